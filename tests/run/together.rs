//! What happens at the same time.

use std::io::{ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::common::built::{Bench, need_root};

/// For what must come; only ever reached in a failure.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn stages_that_do_not_need_each_other_run_at_the_same_time() {
    need_root();
    let meeting = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = meeting.local_addr().unwrap().port();
    let both = std::thread::spawn(move || meet(&meeting));
    let bench = Bench::new();
    let image = bench.build(&format!(
        "FROM BASE/busybox AS a\n\
         RUN nc 127.0.0.1 {port} > /a\n\
         FROM BASE/busybox AS b\n\
         RUN nc 127.0.0.1 {port} > /b\n\
         FROM scratch\n\
         COPY --from=a /a /\n\
         COPY --from=b /b /\n"
    ));
    assert!(both.join().unwrap());
    assert_eq!((image.text("a").unwrap(), image.text("b").unwrap()), ("met".into(), "met".into()));
}

/// Answers the first caller only when a second one is there too.
fn meet(meeting: &TcpListener) -> bool {
    meeting.set_nonblocking(true).unwrap();
    let end = Instant::now() + PATIENCE;
    let mut callers: Vec<TcpStream> = Vec::new();
    while callers.len() < 2 && Instant::now() < end {
        match meeting.accept() {
            Ok((caller, _)) => callers.push(caller),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(error) => panic!("{error}"),
        }
    }
    let met = callers.len() == 2;
    for mut caller in callers {
        caller.write_all(if met { b"met" } else { b"alone" }).unwrap();
    }
    met
}

#[test]
fn two_hundred_processes_at_once() {
    need_root();
    let said = Bench::new().prints(
        "mkfifo /go
         i=0; while [ $i -lt 200 ]; do (read x < /go; echo $i > /dev/shm/$i) & i=$((i+1)); done
         sleep 1; ps | wc -l > /many; exec 3<> /go; yes | head -200 >&3; wait
         ls /dev/shm | wc -l; [ $(cat /many) -ge 200 ] && echo all",
    );
    assert_eq!(said, "200\nall\n");
}
