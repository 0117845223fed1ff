//! The files of kiln's image, laid out in a directory.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::step::{quiet, workspace};

/// Debian's static busybox (busybox-static).
const BUSYBOX: &str = "/bin/busybox";
/// Debian's certificate authorities (ca-certificates), in one file.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Directories and their modes. Jobs run as any user and write their credentials into /kaniko, so
/// that has to be everyone's, as it is in kaniko's image.
const DIRECTORIES: [(&str, u32); 17] = [
    ("bin", 0o755),
    ("busybox", 0o755),
    ("etc", 0o755),
    ("kaniko", 0o777),
    ("kaniko/.docker", 0o777),
    ("kaniko/ssl", 0o755),
    ("kaniko/ssl/certs", 0o777),
    ("root", 0o755),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("usr/local", 0o755),
    ("usr/local/bin", 0o755),
    ("usr/share", 0o755),
    ("usr/share/doc", 0o755),
    ("var", 0o755),
    ("var/tmp", 0o1777),
    ("workspace", 0o777),
];

/// Small files with their text.
const FILES: [(&str, &str); 4] = [
    // How kiln knows that what is around it is its own image, and not somebody's system.
    ("kaniko/image", "kiln\n"),
    ("etc/group", "root:x:0:\nnobody:x:65534:\n"),
    ("etc/nsswitch.conf", "hosts: files dns\n"),
    ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"),
];

/// Debian's busybox has no nohup, and without it Jenkins starts no step
/// (<https://github.com/jenkinsci/durable-task-plugin>, BourneShellScript).
const NOHUP: &str = "#!/busybox/sh\ntrap '' HUP\nexec \"$@\"\n";

/// Symbolic links, so that the program is in the image once. `warmer` and `executor` are names
/// under which kiln takes kaniko's flags. A runner looks for its shell in /bin, then in /busybox.
const LINKS: [(&str, &str); 3] = [
    ("kaniko/warmer", "executor"),
    ("usr/local/bin/kiln", "/kaniko/executor"),
    ("bin/sh", "/busybox/sh"),
];

/// Lays out the image's files with this kiln below `root`, which must not be there yet.
///
/// # Errors
/// If busybox or the certificates are not there, or the disk refuses.
pub(crate) fn lay_out(root: &Path, kiln: &Path) -> anyhow::Result<()> {
    let at = |path: &str| root.join(path);
    fs::create_dir(root)?;
    for (path, mode) in DIRECTORIES {
        directory(&at(path), mode)?;
    }
    copy(kiln, &at("kaniko/executor"), 0o755)?;
    copy(Path::new(CERTIFICATES), &at("kaniko/ssl/certs/ca-certificates.crt"), 0o644)?;
    for (path, text) in FILES {
        fs::write(at(path), text)?;
        mode(&at(path), 0o644)?;
    }
    for (path, to) in LINKS {
        symlink(to, at(path))?;
    }
    busybox(&at("busybox"))?;
    licences(&at("usr/share/doc"))
}

/// busybox and a link for each of its commands.
fn busybox(dir: &Path) -> anyhow::Result<()> {
    copy(Path::new(BUSYBOX), &dir.join("busybox"), 0o755)?;
    let list = quiet(Command::new(BUSYBOX).arg("--list"))?;
    for name in list.lines().filter(|name| *name != "busybox") {
        symlink("busybox", dir.join(name))?;
    }
    let nohup = dir.join("nohup");
    if nohup.symlink_metadata().is_err() {
        fs::write(&nohup, NOHUP)?;
        mode(&nohup, 0o755)?;
    }
    Ok(())
}

/// What comes from Debian comes with its licence.
fn licences(dir: &Path) -> anyhow::Result<()> {
    let debian = |package: &str| PathBuf::from(format!("/usr/share/doc/{package}/copyright"));
    for (name, from) in [
        ("busybox-static", debian("busybox-static")),
        ("ca-certificates", debian("ca-certificates")),
        ("kiln", workspace().join("LICENSE")),
    ] {
        directory(&dir.join(name), 0o755)?;
        copy(&from, &dir.join(name).join("copyright"), 0o644)?;
    }
    Ok(())
}

fn directory(path: &Path, bits: u32) -> anyhow::Result<()> {
    fs::create_dir(path).with_context(|| format!("cannot make {}", path.display()))?;
    mode(path, bits)
}

fn copy(from: &Path, to: &Path, bits: u32) -> anyhow::Result<()> {
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    mode(to, bits)
}

/// Whatever the umask is.
fn mode(path: &Path, bits: u32) -> anyhow::Result<()> {
    Ok(fs::set_permissions(path, Permissions::from_mode(bits))?)
}
