//! A web server on loopback: files as a test says, and git repositories, both ways (`git
//! http-backend` below `/git/`, plain files below `/dumb/`).

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

/// A request, as far as the tests ask.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// A header's value; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }
}

/// What the server says.
#[derive(Debug, Clone)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Bytes after which the connection breaks.
    breaks_after: Option<usize>,
}

impl Answer {
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), breaks_after: None }
    }

    pub fn file(body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::status(200) }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The same with another status.
    #[allow(dead_code, reason = "each test file uses its own part")]
    pub fn of_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    pub fn breaks_after(mut self, bytes: usize) -> Self {
        self.breaks_after = Some(bytes);
        self
    }
}

type Route = dyn Fn(&Request, usize) -> Answer + Send + Sync;

/// The server; its thread ends with the test.
pub struct Server {
    port: u16,
    dir: tempfile::TempDir,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers with what a function says of a request and of how many came before for its path.
    pub fn start(route: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let dir = tempfile::tempdir().expect("a directory");
        let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (route, root, log): (Arc<Route>, PathBuf, _) =
            (Arc::new(route), dir.path().to_owned(), seen.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (route, root, log) = (route.clone(), root.clone(), log.clone());
                thread::spawn(move || serve(stream, &*route, &root, &log));
            }
        });
        Self { port, dir, seen }
    }

    /// Serves nothing but repositories.
    pub fn of_repositories() -> Self {
        Self::start(|_, _| Answer::status(404))
    }

    /// `http://127.0.0.1:PORT/path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.seen.lock().expect("not poisoned").clone()
    }

    /// Where repositories are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

fn serve(stream: TcpStream, route: &Route, root: &Path, log: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream.try_clone().expect("cloned"));
    let Some(request) = read(&mut reader) else { return };
    let before = {
        let mut log = log.lock().expect("not poisoned");
        log.push(request.clone());
        log.iter().filter(|other| other.path == request.path).count() - 1
    };
    let authorized = match request.path.contains("/private.git/") {
        true => request
            .header("authorization")
            .eq_ignore_ascii_case("Basic eC1hY2Nlc3MtdG9rZW46Z2VoZWlt"),
        false => true,
    };
    let answer = match (authorized, request.path.strip_prefix("/dumb/")) {
        (false, _) => Answer::status(401).header("WWW-Authenticate", "Basic realm=\"git\""),
        (true, Some(path)) => match std::fs::read(root.join(path)) {
            Ok(bytes) => Answer::file(bytes),
            Err(_) => Answer::status(404),
        },
        (true, None) if request.path.starts_with("/git/") => backend(&request, root),
        (true, None) => route(&request, before),
    };
    _ = write(stream, &answer);
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let (path, query) = (path.to_owned(), query.to_owned());
    let mut request = Request { method, path, query, headers, body: Vec::new() };
    let length = request.header("content-length").parse().unwrap_or(0);
    reader.take(length).read_to_end(&mut request.body).ok()?;
    Some(request)
}

fn write(mut stream: TcpStream, answer: &Answer) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {} X\r\nConnection: close\r\n", answer.status)?;
    for (name, value) in &answer.headers {
        write!(stream, "{name}: {value}\r\n")?;
    }
    write!(stream, "Content-Length: {}\r\n\r\n", answer.body.len())?;
    let end = answer.breaks_after.unwrap_or(answer.body.len());
    stream.write_all(&answer.body[..end])
}

/// git's own CGI program.
fn backend(request: &Request, root: &Path) -> Answer {
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", request.path.strip_prefix("/git").unwrap_or_default())
        .env("QUERY_STRING", &request.query)
        .env("REQUEST_METHOD", &request.method)
        .env("CONTENT_TYPE", request.header("content-type"))
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", request.header("content-encoding"))
        .env("GIT_PROTOCOL", request.header("git-protocol"))
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("git http-backend");
    _ = child.stdin.take().expect("piped").write_all(&request.body);
    let output = child.wait_with_output().expect("it ends").stdout;
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").expect("headers");
    let mut answer = Answer::file(&output[end + 4..]);
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        let (name, value) = line.split_once(": ").expect("a header");
        match name {
            "Status" => answer.status = value[..3].parse().expect("a status"),
            _ => answer = answer.header(name, value),
        }
    }
    answer
}
