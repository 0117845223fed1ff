//! Debian's Podman without root, with runc.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::Outcome;
use crate::common::built::need_root;
use crate::common::containers::archive;

/// `nobody`, who has no rights.
const UID: u32 = 65534;

/// Podman would raise limits, which it may not everywhere; its own network needs more packages; and
/// runc cannot make control groups here without systemd.
const CONFIG: &str = "[containers]\n\
    default_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n\
    netns = \"host\"\n\
    [engine]\n\
    runtime = \"runc\"\n\
    cgroup_manager = \"cgroupfs\"\n\
    events_logger = \"file\"\n";

/// A user's Podman with all that it keeps.
#[derive(Debug)]
pub struct Podman {
    dir: tempfile::TempDir,
}

impl Podman {
    /// Lays out the user's directories and kiln's image.
    pub fn start() -> Self {
        need_root();
        let dir = tempfile::tempdir().expect("a directory");
        let path = |name: &str| dir.path().join(name);
        for name in ["home", "run"] {
            fs::create_dir(path(name)).unwrap();
            chown(path(name), Some(UID), Some(UID)).unwrap();
        }
        fs::set_permissions(path("run"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(path("containers.conf"), CONFIG).unwrap();
        fs::write(path("ids"), format!("{UID}:200000:65536\n")).unwrap();
        fs::copy(archive("latest"), path("kiln.tar")).unwrap();
        chown(dir.path(), Some(UID), Some(UID)).unwrap();
        Self { dir }
    }

    /// Runs a script in a container of kiln that sees the set at `/set` and can write to `/results`.
    pub fn run(&self, set: &Path, out: &Path, script: &str) -> Outcome {
        let (set, out) =
            (format!("{}:/set:ro", set.display()), format!("{}:/results", out.display()));
        // Podman keeps processes and mounts between calls; all of them are in this one's
        // namespaces, and gone with it.
        let user = "podman load --quiet --input kiln.tar > load.log && \
                    podman run --rm --network host --volume \"$SET\" --volume \"$OUT\" \
                    --entrypoint '[\"\"]' localhost/kiln:latest sh -ec \"$SCRIPT\"";
        let root = format!(
            "mount --bind ids /etc/subuid && mount --bind ids /etc/subgid && \
             mount -t proc proc /proc && cd home && ln -s ../kiln.tar kiln.tar && \
             setpriv --reuid {UID} --regid {UID} --clear-groups sh -c \"$USER_SCRIPT\""
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]);
        command.args(["sh", "-c", &root]).env_clear().stdin(Stdio::null());
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("HOME", self.dir.path().join("home"));
        command.env("XDG_RUNTIME_DIR", self.dir.path().join("run"));
        command.env("CONTAINERS_CONF", self.dir.path().join("containers.conf"));
        command.env("SET", set).env("OUT", out).env("SCRIPT", script).env("USER_SCRIPT", user);
        command.current_dir(self.dir.path());
        Outcome::from(command.output().expect("unshare starts"))
    }
}
