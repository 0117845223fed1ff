//! Between kiln and a server: cuts the first connection.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A way to a server; its threads end with the test.
pub struct Proxy {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Leads to `host:port`. The first connection ends after so many bytes of its answer.
    pub fn cutting(to: &str, after: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let (to, kept) = (to.to_owned(), heads.clone());
        thread::spawn(move || {
            for (number, stream) in listener.incoming().flatten().enumerate() {
                let limit = if number == 0 { after } else { usize::MAX };
                let (to, kept) = (to.clone(), kept.clone());
                thread::spawn(move || pass(stream, &to, limit, &kept));
            }
        });
        Self { address, heads }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What came from kiln, by connection.
    pub fn requests(&self) -> Vec<String> {
        self.heads.lock().expect("not poisoned").clone()
    }
}

fn pass(client: TcpStream, to: &str, limit: usize, kept: &Mutex<Vec<String>>) -> Option<()> {
    let server = TcpStream::connect(to).ok()?;
    let (mut from, mut into) = (client.try_clone().ok()?, server.try_clone().ok()?);
    let mut buffer = vec![0; 64 << 10];
    let count = from.read(&mut buffer).ok()?;
    kept.lock().ok()?.push(String::from_utf8_lossy(&buffer[..count]).into_owned());
    into.write_all(&buffer[..count]).ok()?;
    thread::spawn(move || std::io::copy(&mut from, &mut into));
    let mut answer = server.take(limit as u64);
    let _ = std::io::copy(&mut answer, &mut &client);
    let _ = client.shutdown(Shutdown::Both);
    Some(())
}
