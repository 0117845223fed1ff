//! Free ports, and waiting for who listens there.

use std::net::{TcpListener, TcpStream};
use std::process::Child;
use std::time::{Duration, Instant};

/// A port that was free just now.
pub fn free() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    listener.local_addr().expect("bound").port()
}

/// `host:port` where nobody listens.
pub fn nobody() -> String {
    format!("127.0.0.1:{}", free())
}

/// Waits until a program listens.
pub fn wait(port: u16, child: &mut Child) {
    let end = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        let ended = child.try_wait().expect("a child");
        assert!(ended.is_none(), "the server ended at once: {ended:?}");
        assert!(Instant::now() < end, "nobody listens on port {port}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
