//! An HTTP proxy on loopback: CONNECT, and requests with a whole URL. It knows where names lead, so that
//! tests need no DNS, and says of each request what it was.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// What a proxy does.
#[derive(Debug, Default)]
struct Rules {
    /// `host:port` → the address to connect to.
    hosts: BTreeMap<String, String>,
    /// The `Proxy-Authorization` that it wants.
    authorization: Option<String>,
    /// The status line and body that it answers everything with.
    refusal: Option<(String, String)>,
}

/// A running proxy. Dropped, it takes no more connections.
#[derive(Debug)]
pub struct Proxy {
    address: String,
    rules: Arc<Mutex<Rules>>,
    seen: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
}

impl Proxy {
    /// Starts one that leads nowhere.
    ///
    /// # Panics
    /// If there is no loopback port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("bound").to_string();
        let (rules, seen) = (Arc::<Mutex<Rules>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let stop = Arc::new(AtomicBool::new(false));
        let proxy = Self { address, rules: rules.clone(), seen: seen.clone(), stop: stop.clone() };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let (rules, seen) = (rules.clone(), seen.clone());
                // A client that goes away is no failure.
                thread::spawn(move || _ = serve(stream, &rules, &seen));
            }
        });
        proxy
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Lets `host:port` lead to an address.
    #[must_use]
    pub fn host(self, name: &str, address: &str) -> Self {
        self.rules().hosts.insert(name.to_owned(), address.to_owned());
        self
    }

    /// Wants this `Proxy-Authorization` header.
    #[must_use]
    pub fn wants(self, authorization: &str) -> Self {
        self.rules().authorization = Some(authorization.to_owned());
        self
    }

    /// Refuses everything with this status, such as `403 Forbidden`, and body.
    #[must_use]
    pub fn refuses(self, status: &str, body: &str) -> Self {
        self.rules().refusal = Some((status.to_owned(), body.to_owned()));
        self
    }

    /// The first line of all requests so far, but for those to the proxy itself.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn rules(&self) -> std::sync::MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(&self.address));
    }
}

fn serve(stream: TcpStream, rules: &Mutex<Rules>, seen: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        headers.push(line.trim().to_owned());
    }
    let words: Vec<&str> = first.split_whitespace().collect();
    let [method, target, _] = words[..] else { return Ok(()) };
    if target.starts_with('/') {
        let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return reader.get_mut().write_all(answer);
    }
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{method} {target}"));
    let name = match target.strip_prefix("http://") {
        Some(rest) => rest.split('/').next().unwrap_or_default().to_owned(),
        None => target.to_owned(),
    };
    let (refusal, to) =
        judge(&rules.lock().unwrap_or_else(PoisonError::into_inner), &headers, &name);
    if let Some((status, body)) = refusal {
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: \
             close\r\n\r\n{body}",
            body.len()
        );
        return reader.get_mut().write_all(answer.as_bytes());
    }
    let mut server = TcpStream::connect(to)?;
    if method == "CONNECT" {
        reader.get_mut().write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    } else {
        let path = target.trim_start_matches("http://").trim_start_matches(name.as_str());
        write!(server, "{method} {path} HTTP/1.1\r\n")?;
        headers.retain(|line| {
            let lower = line.to_ascii_lowercase();
            !lower.starts_with("proxy-") && !lower.starts_with("connection:")
        });
        // One request for each connection, so that none goes by unseen.
        write!(server, "{}\r\nConnection: close\r\n\r\n", headers.join("\r\n"))?;
    }
    let mut back = server.try_clone()?;
    let mut client = reader.get_ref().try_clone()?;
    let answers = thread::spawn(move || {
        _ = io::copy(&mut back, &mut client);
        _ = client.shutdown(Shutdown::Write);
    });
    let buffered = reader.buffer().len() as u64;
    io::copy(&mut reader.by_ref().take(buffered), &mut server)?;
    _ = io::copy(reader.get_mut(), &mut server);
    _ = server.shutdown(Shutdown::Write);
    _ = answers.join();
    Ok(())
}

/// Why not, or where to.
fn judge(rules: &Rules, headers: &[String], name: &str) -> (Option<(String, String)>, String) {
    let shown = headers.iter().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case("proxy-authorization").then(|| value.trim().to_owned())
    });
    if let Some(refusal) = &rules.refusal {
        return (Some(refusal.clone()), String::new());
    }
    if rules.authorization.is_some() && rules.authorization != shown {
        let status = "407 Proxy Authentication Required".to_owned();
        return (Some((status, String::new())), String::new());
    }
    match rules.hosts.get(name) {
        Some(address) => (None, address.clone()),
        None => (Some(("502 Bad Gateway".into(), String::new())), String::new()),
    }
}
