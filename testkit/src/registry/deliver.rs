//! An answer on its way to the client, and what faults do to it there.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::http::{Body, Head, Response};
use super::server::Shared;

/// How an answer is spoilt on its way.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    /// The connection breaks after so many bytes of the head.
    pub cut_head: Option<usize>,
    /// The same for the body.
    pub cut_after: Option<u64>,
    pub slow: Option<(usize, Duration)>,
    pub corrupt: bool,
    /// What is announced beyond the body's length.
    pub wrong_length: i64,
}

/// Writes the answer. Returns how much of its body went out.
pub(crate) fn deliver(
    shared: &Shared,
    writer: &mut TcpStream,
    head: &Head,
    response: Response,
    delivery: &Delivery,
    close: bool,
) -> (u64, io::Result<()>) {
    let mut sent = 0;
    let mut bytes = response.head_bytes(close, delivery.wrong_length);
    if let Some(cut) = delivery.cut_head {
        bytes.truncate(cut);
        return (sent, writer.write_all(&bytes).and_then(|()| broken("scripted cut")));
    }
    let mut result = writer.write_all(&bytes);
    if head.method != "HEAD" && result.is_ok() {
        let length = response.length();
        result = match response.body {
            Body::Bytes(bytes) => {
                send(shared, writer, bytes.as_slice(), length, delivery, &mut sent)
            }
            Body::File { file, start, length } => seek(file, start)
                .and_then(|file| send(shared, writer, file, length, delivery, &mut sent)),
        };
    }
    (sent, result)
}

fn seek(mut file: File, start: u64) -> io::Result<File> {
    file.seek(SeekFrom::Start(start))?;
    Ok(file)
}

fn send(
    shared: &Shared,
    writer: &mut TcpStream,
    body: impl Read,
    length: u64,
    delivery: &Delivery,
    sent: &mut u64,
) -> io::Result<()> {
    let piece = delivery.slow.map_or(128 * 1024, |(piece, _)| piece.max(1));
    let mut buffer = vec![0; piece];
    let mut body = body.take(delivery.cut_after.unwrap_or(u64::MAX).min(length));
    loop {
        if let Some((_, pause)) = delivery.slow {
            shared.sleep(pause);
        }
        if shared.is_stopping() {
            return broken("the server stops");
        }
        let count = body.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        // In the middle, where neither a compressor's header nor its trailer is.
        let spoilt = usize::try_from((length / 2).wrapping_sub(*sent)).unwrap_or(usize::MAX);
        if let Some(byte) = buffer[..count].get_mut(spoilt).filter(|_| delivery.corrupt) {
            *byte ^= 1;
        }
        writer.write_all(&buffer[..count])?;
        *sent += count as u64;
    }
    match *sent == length && delivery.wrong_length == 0 {
        true => Ok(()),
        false => broken("scripted cut"),
    }
}

fn broken(why: &str) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::ConnectionAborted, why.to_owned()))
}
