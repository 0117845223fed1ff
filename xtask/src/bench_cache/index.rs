//! A package index on loopback that serves a directory of wheels, with the headers that let pip keep
//! them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use testkit::digest::sha256;

/// What pypi.org says of a project's page: pip asks again each time, and gets 304.
const OF_PAGES: &str = "Content-Type: text/html\r\nCache-Control: max-age=600, public\r\n";
/// What files.pythonhosted.org says of a file: it never changes, and pip asks no second time.
const OF_FILES: &str = "Content-Type: application/octet-stream\r\nCache-Control: max-age=365000000, immutable, public\r\n";

/// A running index. It lives as long as the process.
pub(super) struct Index {
    address: String,
    files: Arc<Files>,
}

struct Files {
    /// Path → content and its headers.
    known: BTreeMap<String, (Vec<u8>, &'static str)>,
    /// Paths that were sent whole, in order.
    sent: Mutex<Vec<String>>,
}

impl Index {
    /// Serves the wheels of a directory.
    ///
    /// # Errors
    /// If one cannot be read, or there is no loopback port.
    pub(super) fn start(wheels: &Path) -> anyhow::Result<Self> {
        let mut known = BTreeMap::new();
        let mut pages = BTreeMap::<String, String>::new();
        for entry in fs::read_dir(wheels)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let content = fs::read(entry.path())?;
            let digest = sha256(&content).replace(':', "=");
            let line = format!("<a href=\"/files/{name}#{digest}\">{name}</a><br>\n");
            *pages.entry(project(&name)).or_default() += &line;
            known.insert(format!("/files/{name}"), (content, OF_FILES));
        }
        for (project, page) in pages {
            let page = format!("<!DOCTYPE html><html><body>\n{page}</body></html>\n");
            known.insert(format!("/simple/{project}/"), (page.into_bytes(), OF_PAGES));
        }
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let files = Arc::new(Files { known, sent: Mutex::default() });
        let served = Arc::clone(&files);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let files = Arc::clone(&served);
                // A client that goes away is no failure.
                thread::spawn(move || _ = serve(&stream, &files));
            }
        });
        Ok(Self { address, files })
    }

    /// `http://127.0.0.1:PORT/simple/`.
    pub(super) fn url(&self) -> String {
        format!("http://{}/simple/", self.address)
    }

    /// `127.0.0.1:PORT`.
    pub(super) fn host(&self) -> &str {
        &self.address
    }

    /// Names of the wheels that were sent since this was last asked, in order.
    pub(super) fn wheels_sent(&self) -> Vec<String> {
        let sent = std::mem::take(&mut *self.files.sent());
        sent.iter().filter_map(|path| path.strip_prefix("/files/").map(str::to_owned)).collect()
    }
}

/// The project that a wheel is of, as its page is named:
/// <https://packaging.python.org/en/latest/specifications/name-normalization/>.
fn project(wheel: &str) -> String {
    wheel.split('-').next().unwrap_or_default().to_lowercase().replace(['_', '.'], "-")
}

impl Files {
    fn sent(&self) -> MutexGuard<'_, Vec<String>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers the requests of one connection.
fn serve(stream: &TcpStream, files: &Files) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let (mut known, mut last) = (None, false);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
                break;
            }
            match line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim())) {
                Some((name, value)) if name == "if-none-match" => known = Some(value.to_owned()),
                Some((name, "close")) if name == "connection" => last = true,
                _ => {}
            }
        }
        let path = first.split(' ').nth(1).unwrap_or_default();
        answer(stream, files, path, known.as_deref())?;
        if last {
            return Ok(());
        }
    }
}

fn answer(mut to: &TcpStream, files: &Files, path: &str, known: Option<&str>) -> io::Result<()> {
    let Some((content, headers)) = files.known.get(path) else {
        return to.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    };
    let tag = format!("\"{}\"", &sha256(content)[7..39]);
    if known == Some(&tag) {
        return write!(to, "HTTP/1.1 304 Not Modified\r\nETag: {tag}\r\n{headers}\r\n");
    }
    files.sent().push(path.to_owned());
    let length = content.len();
    write!(to, "HTTP/1.1 200 OK\r\nETag: {tag}\r\n{headers}Content-Length: {length}\r\n\r\n")?;
    to.write_all(content)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use testkit::client::{get, request};

    use super::*;

    #[test]
    fn pages_and_wheels_are_served_and_asked_about() {
        let dir = tempfile::tempdir().unwrap();
        let wheel = "Some_Thing-1.0-py3-none-any.whl";
        fs::write(dir.path().join(wheel), "wheel").unwrap();
        let index = Index::start(dir.path()).unwrap();
        let page = get(&format!("{}some-thing/", index.url())).unwrap();
        assert!(page.text().contains(&format!("href=\"/files/{wheel}#sha256=")), "{}", page.text());
        let url = format!("http://{}/files/{wheel}", index.host());
        let file = get(&url).unwrap();
        assert_eq!((file.status, file.text().as_str()), (200, "wheel"));
        assert!(file.header("cache-control").contains("immutable"));
        let again = request("GET", &url, &[("If-None-Match", file.header("etag"))], b"").unwrap();
        assert_eq!((again.status, again.text().as_str()), (304, ""));
        assert_eq!(get(&format!("{}other/", index.url())).unwrap().status, 404);
        assert_eq!(index.wheels_sent(), [wheel]);
        assert_eq!(index.wheels_sent(), [""; 0]);
    }
}
