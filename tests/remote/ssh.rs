//! Repositories by ssh: git, ssh, a server of OpenSSH on loopback with keys of its own, and an agent.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::built::{Built, run};
use crate::common::Kiln;
use crate::repository::Repository;

/// What sshd needs to be there when root starts it.
const RUN_DIR: &str = "/run/sshd";

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// A server, its keys and its repositories.
struct Sshd {
    dir: tempfile::TempDir,
    port: u16,
    _running: Running,
}

fn key(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(name);
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
        .arg(&path)
        .status();
    assert!(made.expect("ssh-keygen").success());
    path
}

fn public(key: &Path) -> String {
    fs::read_to_string(key.with_extension("pub")).expect("a public key")
}

impl Sshd {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        let host = key(dir.path(), "host");
        for name in ["user", "stranger", "other-host"] {
            key(dir.path(), name);
        }
        fs::write(at("authorized"), public(&at("user"))).expect("written");
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let config = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n\
             KbdInteractiveAuthentication no\nSetEnv GIT_CONFIG_COUNT=1 \
             GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=*\n",
            host.display(),
            at("authorized").display()
        );
        fs::write(at("config"), config).expect("written");
        fs::create_dir_all(RUN_DIR).expect("root makes it");
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(at("config"))
            .stdout(Stdio::null())
            .stderr(fs::File::create(at("log")).expect("a log"))
            .spawn()
            .expect("sshd, of the package openssh-server");
        wait(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { dir, port, _running: Running(child) }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// An agent with one key; its socket.
    fn agent(&self, name: &str) -> (Running, PathBuf) {
        let socket = self.at(&format!("{name}.agent"));
        let child = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .expect("ssh-agent");
        wait(|| socket.exists());
        let added = Command::new("ssh-add")
            .arg("-q")
            .arg(self.at(name))
            .env("SSH_AUTH_SOCK", &socket)
            .status();
        assert!(added.expect("ssh-add").success());
        (Running(child), socket)
    }

    fn kiln(&self, name: &str) -> Kiln {
        let place = self.at(name).display().to_string();
        let url = format!("ssh://root@127.0.0.1:{}{place}", self.port);
        Kiln::build().dockerfile(&format!("FROM scratch\nADD {url}#side /\n"))
    }

    fn known(&self, key: &str) -> String {
        format!("[127.0.0.1]:{} {}", self.port, public(&self.at(key)))
    }

    #[track_caller]
    fn log(&self) -> String {
        fs::read_to_string(self.at("log")).expect("a log")
    }
}

fn wait(done: impl Fn() -> bool) {
    for _ in 0..500 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn with_agent(kiln: Kiln, socket: &Path) -> Built {
    run(kiln.args(["--ssh".to_owned(), format!("default={}", socket.display())]))
}

#[test]
fn repositories_by_ssh() {
    let server = Sshd::start();
    Repository::with_history(server.dir.path(), "r.git");
    let (_agent, socket) = server.agent("user");
    let good = with_agent(server.kiln("r.git"), &socket);
    assert_eq!(good.outcome.code, Some(0), "{}\n{}", good.outcome, server.log());
    assert_eq!(good.text("f"), "two");

    // A host that is known by its key, and one that shows another.
    let known = |key: &str| server.kiln("r.git").home_file(".ssh/known_hosts", server.known(key));
    assert_eq!(with_agent(known("host"), &socket).text("f"), "two");
    let other = with_agent(known("other-host"), &socket);
    other.fails("Host key verification failed");
    other.fails("Its key is another than the one in ~/.ssh/known_hosts");

    // A key that the server does not take, and none at all.
    let (_other_agent, stranger) = server.agent("stranger");
    let refused = with_agent(server.kiln("r.git"), &stranger);
    refused.fails("Permission denied (publickey");
    refused.fails("kiln offers the keys of the agent at SSH_AUTH_SOCK, and no others");
    // A Dockerfile has no keys of the user's own session without --ssh.
    run(server.kiln("r.git").env("SSH_AUTH_SOCK", &socket)).fails("Permission denied (publickey");

    with_agent(server.kiln("none.git"), &socket).fails("does not appear to be a git repository");

    // git, and no ssh.
    let programs = server.at("programs");
    fs::create_dir(&programs).expect("made");
    let git = std::env::split_paths(&std::env::var_os("PATH").expect("PATH"))
        .map(|dir| dir.join("git"))
        .find(|path| path.is_file())
        .expect("git");
    std::os::unix::fs::symlink(git, programs.join("git")).expect("linked");
    let without = with_agent(server.kiln("r.git").env("PATH", &programs), &socket);
    without.fails("There is no ssh in PATH");
}
