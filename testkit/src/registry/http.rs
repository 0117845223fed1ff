//! HTTP/1.1 as the registry needs it: one request head at a time, bodies as streams.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longest request head that is read.
const MAX_HEAD: usize = 64 * 1024;
/// Most header lines in a request.
const MAX_HEADERS: usize = 128;

/// A request without its body.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub method: String,
    /// The path, percent-decoded.
    pub path: String,
    /// What stands after the question mark, as sent.
    pub query: String,
    pub headers: Vec<(String, String)>,
    /// Whether the client speaks HTTP/1.0 or asked for the connection to be closed.
    pub close: bool,
}

impl Head {
    /// The first header of that name, compared without regard to case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// All headers of that name: clients may spread `Accept` over several lines.
    pub fn headers_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let same = move |key: &str| key.eq_ignore_ascii_case(name);
        self.headers.iter().filter(move |(key, _)| same(key)).map(|(_, value)| value.as_str())
    }

    /// The first query parameter of that name, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        self.query_all(name).into_iter().next()
    }

    /// All query parameters of that name, decoded: a token request may repeat `scope`.
    pub fn query_all(&self, name: &str) -> Vec<String> {
        form(&self.query).into_iter().filter(|(key, _)| key == name).map(|(_, v)| v).collect()
    }
}

/// The pairs of a query string or of an `application/x-www-form-urlencoded` body, decoded.
pub(crate) fn form(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(&key.replace('+', " ")), decode(&value.replace('+', " ")))
        })
        .collect()
}

/// Percent-decodes; what is no valid escape stays as it is.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'%').then(|| bytes.get(at + 1..at + 3)).flatten();
        let value = escape
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(value.unwrap_or(bytes[at]));
        at += if value.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// First byte of a TLS handshake (RFC 8446, 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// The next request on this connection, or none when the client has closed it.
pub(crate) fn read_head(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Head>> {
    // Docker asks with TLS first, and would wait ten seconds for the answer.
    if stream.fill_buf()?.first() == Some(&TLS_HANDSHAKE) {
        return Err(invalid("a TLS handshake"));
    }
    let mut raw = Vec::new();
    // A TLS client's greeting has no line end to wait for.
    if stream.fill_buf()?.first().is_some_and(|byte| !byte.is_ascii_graphic()) {
        return Err(invalid("not HTTP: it begins with a control character"));
    }
    while !raw.ends_with(b"\r\n\r\n") {
        let left = MAX_HEAD.saturating_sub(raw.len()) as u64;
        let count = stream.by_ref().take(left).read_until(b'\n', &mut raw)?;
        match count {
            0 if raw.is_empty() => return Ok(None),
            0 => return Err(invalid("the request's head is cut or too long")),
            _ => {}
        }
    }
    let mut space = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut space);
    request.parse(&raw).map_err(|error| invalid(&format!("not HTTP: {error}")))?;
    let target = request.path.unwrap_or("/");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers: Vec<_> = (request.headers.iter())
        .map(|h| (h.name.to_owned(), String::from_utf8_lossy(h.value).trim().to_owned()))
        .collect();
    let mut head = Head {
        method: request.method.unwrap_or_default().to_owned(),
        path: decode(path),
        query: query.to_owned(),
        headers,
        close: request.version == Some(0),
    };
    head.close |= head.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"));
    Ok(Some(head))
}

fn scripted_cut() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "scripted cut")
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// How a body ends.
#[derive(Debug)]
enum Framing {
    /// So many bytes are still to come.
    Length(u64),
    /// Chunked; so many bytes of the current chunk are still to come.
    Chunked { left: u64, first: bool },
    /// Nothing more.
    Done,
}

/// A request's body, read from the connection as it is asked for.
#[derive(Debug)]
pub(crate) struct BodyReader<'a> {
    stream: &'a mut BufReader<TcpStream>,
    framing: Framing,
    /// The client waits for `100 Continue` before it sends.
    expects_continue: bool,
    /// Bytes handed out so far.
    pub read: u64,
    /// Reading fails after so many bytes: a scripted fault.
    pub cut_after: Option<u64>,
    /// With `cut_after`: reading fails at the end too.
    pub cut_at_end: bool,
    /// A pause before each piece of so many bytes.
    pub slow: Option<(u64, Duration)>,
}

impl<'a> BodyReader<'a> {
    /// The body that belongs to the head.
    pub fn new(head: &Head, stream: &'a mut BufReader<TcpStream>) -> io::Result<Self> {
        let chunked = head.header("transfer-encoding").is_some_and(|v| v.contains("chunked"));
        let framing = match head.header("content-length") {
            _ if chunked => Framing::Chunked { left: 0, first: true },
            Some(text) => match text.parse() {
                Ok(0) => Framing::Done,
                Ok(length) => Framing::Length(length),
                Err(_) => return Err(invalid("Content-Length is not a number")),
            },
            None => Framing::Done,
        };
        let expects_continue = head.header("expect").is_some_and(|v| v.contains("100-continue"));
        let (cut_after, cut_at_end, slow) = (None, false, None);
        Ok(Self { stream, framing, expects_continue, read: 0, cut_after, cut_at_end, slow })
    }

    /// Ends the faults, so that the rest can be skipped.
    pub fn mend(&mut self) {
        (self.cut_after, self.cut_at_end, self.slow) = (None, false, None);
    }

    /// How many bytes may be read at once; none where a fault strikes.
    fn allowed(&self, wanted: usize) -> io::Result<u64> {
        let mut limit = wanted as u64;
        if let Some(cut) = self.cut_after {
            limit = limit.min(cut.saturating_sub(self.read));
        }
        if limit == 0 {
            return Err(scripted_cut());
        }
        if let Some((piece, pause)) = self.slow {
            let done = self.read % piece.max(1);
            if done == 0 {
                std::thread::sleep(pause);
            }
            limit = limit.min(piece.max(1) - done);
        }
        Ok(limit)
    }

    /// Whether all of it has been read.
    pub fn is_done(&self) -> bool {
        matches!(self.framing, Framing::Done)
    }

    /// Whether the client still waits for permission to send its body. It may then never send it.
    pub fn is_unasked(&self) -> bool {
        self.expects_continue && !self.is_done()
    }

    fn next_chunk(&mut self, first: bool) -> io::Result<u64> {
        let mut line = String::new();
        if !first {
            self.stream.read_line(&mut line)?;
            line.clear();
        }
        self.stream.by_ref().take(1024).read_line(&mut line)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| invalid("bad chunk size"))?;
        // The last chunk is followed by trailers, which end with an empty line.
        if size == 0 {
            while self.stream.read_line(&mut line)? > 2 {}
        }
        Ok(size)
    }
}

impl Read for BodyReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_done() && self.cut_at_end {
            return Err(scripted_cut());
        }
        if self.is_done() || buffer.is_empty() {
            return Ok(0);
        }
        if std::mem::take(&mut self.expects_continue) {
            self.stream.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let limit = self.allowed(buffer.len())?;
        if let Framing::Chunked { left: 0, first } = self.framing {
            let left = self.next_chunk(first)?;
            self.framing = match left {
                0 => Framing::Done,
                _ => Framing::Chunked { left, first: false },
            };
        }
        let left = match &mut self.framing {
            Framing::Length(left) | Framing::Chunked { left, .. } => left,
            Framing::Done => return Ok(0),
        };
        let limit = usize::try_from(limit.min(*left)).unwrap_or(buffer.len());
        let count = self.stream.read(&mut buffer[..limit])?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the body is cut"));
        }
        *left -= count as u64;
        if matches!(self.framing, Framing::Length(0)) {
            self.framing = Framing::Done;
        }
        self.read += count as u64;
        Ok(count)
    }
}

/// What a response carries.
#[derive(Debug)]
pub(crate) enum Body {
    Bytes(Vec<u8>),
    /// A stretch of a file.
    File {
        file: File,
        start: u64,
        length: u64,
    },
}

/// A response before it is written.
#[derive(Debug)]
pub(crate) struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Body,
}

impl Response {
    /// A response with no body and no headers.
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Body::Bytes(Vec::new()) }
    }

    /// The same with one more header.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The same with this body.
    pub fn bytes(mut self, content_type: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.body = Body::Bytes(bytes.into());
        self.with("Content-Type", content_type)
    }

    /// The same with another value for this header, or without it.
    pub fn instead(mut self, name: &str, value: Option<String>) -> Self {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Length of the body in bytes.
    pub fn length(&self) -> u64 {
        match &self.body {
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::File { length, .. } => *length,
        }
    }

    /// The status line and the headers, ready to be sent. The length that is announced may be wrong
    /// by so much.
    pub fn head_bytes(&self, close: bool, wrong: i64) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        // A 204 must not carry a length (RFC 9110, 8.6).
        if self.status != 204 {
            let length = self.length().saturating_add_signed(wrong);
            text.push_str(&format!("Content-Length: {length}\r\n"));
        }
        if close {
            text.push_str("Connection: close\r\n");
        }
        text.push_str("\r\n");
        text.into_bytes()
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}
