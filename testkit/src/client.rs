//! An HTTP client for tests: plain HTTP/1.1, one connection per request, no redirects, bodies in
//! memory.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, bail};

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Headers in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of that name, compared without regard to case; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Gets `http://HOST:PORT/PATH`.
///
/// # Errors
/// As [`request`].
pub fn get(url: &str) -> anyhow::Result<Answer> {
    request("GET", url, &[], b"")
}

/// Sends a request and reads the answer.
///
/// # Errors
/// If the address is not `http://HOST:PORT/PATH`, nothing listens there, the connection breaks
/// before the answer is complete, or nothing comes for a minute.
pub fn request(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> anyhow::Result<Answer> {
    let send = || {
        let rest = url.strip_prefix("http://").context("only http:// is spoken here")?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let mut stream = TcpStream::connect(host)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut head =
            format!("{method} /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        stream.write_all(head.as_bytes())?;
        // A server may answer and stop reading before it has all of the body.
        let sent = stream.write_all(body);
        read_answer(BufReader::new(stream), method).or_else(|error| {
            sent?;
            Err(error)
        })
    };
    send().with_context(|| format!("{method} {url}"))
}

fn read_answer(mut stream: BufReader<TcpStream>, method: &str) -> anyhow::Result<Answer> {
    loop {
        let mut answer = read_head(&mut stream)?;
        if answer.status == 100 {
            continue;
        }
        let length = answer.header("content-length").parse::<u64>().ok();
        let chunked = answer.header("transfer-encoding").contains("chunked");
        if method == "HEAD" || answer.status == 204 {
            return Ok(answer);
        }
        if chunked {
            answer.body = read_chunks(&mut stream)?;
        } else {
            stream.take(length.unwrap_or(u64::MAX)).read_to_end(&mut answer.body)?;
            if length.is_some_and(|length| length != answer.body.len() as u64) {
                bail!("the answer's body is cut after {} bytes", answer.body.len());
            }
        }
        return Ok(answer);
    }
}

fn read_head(stream: &mut BufReader<TcpStream>) -> anyhow::Result<Answer> {
    let mut raw = Vec::new();
    while !raw.ends_with(b"\r\n\r\n") {
        if stream.read_until(b'\n', &mut raw)? == 0 {
            bail!("the connection was closed without an answer");
        }
    }
    let mut space = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut space);
    response.parse(&raw).context("the answer is not HTTP")?;
    let headers = response.headers.iter();
    let headers =
        headers.map(|h| (h.name.to_owned(), String::from_utf8_lossy(h.value).into_owned()));
    let status = response.code.unwrap_or_default();
    Ok(Answer { status, headers: headers.collect(), body: Vec::new() })
}

fn read_chunks(stream: &mut BufReader<TcpStream>) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let size = u64::from_str_radix(line.trim(), 16).context("bad chunk size")?;
        let wanted = body.len() as u64 + size;
        stream.by_ref().take(size).read_to_end(&mut body)?;
        if body.len() as u64 != wanted {
            bail!("the answer's body is cut after {} bytes", body.len());
        }
        stream.read_line(&mut String::new())?;
        if size == 0 {
            return Ok(body);
        }
    }
}
