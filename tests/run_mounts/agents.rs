//! `type=ssh`, with an agent that knows no key and says how often it was asked.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::{BOTH, built, fails, made};
use crate::common::tools::run;

/// Says to the agent in SSH_AUTH_SOCK what its arguments say, one byte each, and prints the answers.
const CLIENT: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
int main(int count, char **words) {
    struct sockaddr_un address = {AF_UNIX};
    strcpy(address.sun_path, getenv("SSH_AUTH_SOCK"));
    int agent = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(agent, (void *)&address, sizeof address)) { perror(address.sun_path); return 1; }
    for (int word = 1; word < count; word++) {
        unsigned char message[5] = {0, 0, 0, 1, atoi(words[word])}, answer[64];
        write(agent, message, 5);
        int size = read(agent, answer, sizeof answer);
        for (int at = 4; at < size; at++) printf("%d%c", answer[at], at + 1 < size ? ' ' : '\n');
        fflush(stdout);
    }
}
"#;

/// `SSH_AGENT_IDENTITIES_ANSWER` with no key.
const NO_KEYS: &[u8] = &[0, 0, 0, 5, 12, 0, 0, 0, 0];

fn client() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("client.c"), dir.path().join("client"));
    std::fs::write(&from, CLIENT).unwrap();
    run("gcc", ["-static", "-w", "-o", to.to_str().unwrap(), from.to_str().unwrap()]);
    std::fs::read(to).unwrap()
}

/// Answers every question, and counts them.
fn agent(path: &Path) -> Arc<AtomicUsize> {
    let listener = UnixListener::bind(path).unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, count) = (client.unwrap(), count.clone());
            thread::spawn(move || {
                let mut question = [0; 5];
                while client.read_exact(&mut question).is_ok() {
                    count.fetch_add(1, Ordering::SeqCst);
                    client.write_all(NO_KEYS).unwrap();
                }
            });
        }
    });
    asked
}

#[test]
fn a_command_may_ask_an_agent_and_not_change_it() {
    let dockerfile = "FROM BASE/busybox\nCOPY --chmod=755 client /client\n\
         RUN --mount=type=ssh --mount=type=ssh,id=other,target=/socket,mode=0666,uid=5,gid=6 \
             /client 11 17 19 11 > /out && echo $SSH_AUTH_SOCK >> /out && \
             stat -c '%F %a %u:%g %n' $SSH_AUTH_SOCK /socket >> /out && \
             SSH_AUTH_SOCK=/socket /client 11 >> /out\n\
         RUN echo ${SSH_AUTH_SOCK-unset} >> /out; ls -d /run/buildkit /socket 2> /dev/null; true\n";
    let client = client();
    for isolation in BOTH {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        let (asked, other) = (agent(&one), agent(&two));
        let image = built(isolation, dockerfile, |kiln| {
            kiln.file("client", &client).env("SSH_AUTH_SOCK", &one).args([
                "--ssh",
                "default",
                "--ssh",
                &format!("other={}", two.display()),
            ])
        });
        assert_eq!(
            image.text("out").unwrap(),
            "12 0 0 0 0\n5\n5\n12 0 0 0 0\n/run/buildkit/ssh_agent.0\n\
             socket 600 0:0 /run/buildkit/ssh_agent.0\nsocket 666 5:6 /socket\n12 0 0 0 0\nunset\n",
            "{isolation}"
        );
        // What changes it did not even reach it.
        assert_eq!(asked.load(Ordering::SeqCst), 2, "{isolation}");
        assert_eq!(other.load(Ordering::SeqCst), 1, "{isolation}");
        assert_eq!(made(&image).into_iter().collect::<Vec<_>>(), ["client", "out"], "{isolation}");
    }
}

#[test]
fn another_user_s_command_and_an_own_variable() {
    let dockerfile = "FROM BASE/busybox\nCOPY --chmod=755 client /client\n\
         RUN mkdir -m 777 /w\nUSER 5:6\nENV SSH_AUTH_SOCK=/mine\n\
         RUN --mount=type=ssh,target=/mine,uid=5,gid=6 /client 11 > /w/out\n";
    let client = client();
    for isolation in BOTH {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("agent");
        agent(&socket);
        let image = built(isolation, dockerfile, |kiln| {
            kiln.file("client", &client).args(["--ssh", &format!("default={}", socket.display())])
        });
        assert_eq!(image.text("w/out").unwrap(), "12 0 0 0 0\n", "{isolation}");
    }
}

#[test]
fn what_is_required_and_missing() {
    let text = |mount: &str| format!("FROM BASE/busybox\nRUN --mount=type=ssh,{mount} true\n");
    let outcome = fails(super::NAMESPACES, &text("required"), |kiln| kiln);
    assert!(outcome.stderr.contains("no SSH key \"default\" forwarded"), "{outcome}");
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("agent");
    agent(&socket);
    let outcome = fails(super::NAMESPACES, &text("id=x,required=1"), |kiln| {
        kiln.args(["--ssh", &format!("y={}", socket.display())])
    });
    assert!(outcome.stderr.contains("unset ssh forward key x"), "{outcome}");
    built(super::NAMESPACES, &text("id=x"), |kiln| kiln);
}
