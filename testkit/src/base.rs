//! Base images made from what Debian has, for machines that cannot reach Docker Hub.
//!
//! Root file systems that take minutes to make are made once and kept in the target directory,
//! under a name that changes with their recipe.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::Registry;
use crate::digest::{sha256, sha256_of};
use crate::registry::Layer;
use crate::tar::TarBytes;

/// The Debian release that images are made from.
const SUITE: &str = "bookworm";
/// What an image has no use for, and no fsync per file of what is thrown away if it fails.
const DPKG_OPTIONS: &str = "force-unsafe-io\n\
    path-exclude=/usr/share/man/*\n\
    path-exclude=/usr/share/locale/*\n\
    path-exclude=/usr/share/info/*\n\
    path-exclude=/usr/share/doc/*\n\
    path-include=/usr/share/doc/*/copyright\n";
/// A fixed date makes the archive the same whenever the packages are the same.
const SOURCE_DATE: &str = "1700000000";
const SEARCH_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The layer of a busybox image of about 2 MB: all commands, users, the directories that programs
/// expect. `sh` is a hard link, the other commands are symbolic links.
///
/// # Errors
/// If busybox-static is not installed.
pub fn busybox() -> anyhow::Result<TarBytes> {
    let path = Path::new("/bin/busybox");
    let hint = "/bin/busybox is needed; install it with: apt-get install busybox-static";
    let program = fs::read(path).context(hint)?;
    ensure!(!has_interpreter(&program), "{hint} (the one that is there needs shared libraries)");
    let list = Command::new(path).arg("--list").output().context(hint)?;
    let list = String::from_utf8(list.stdout)?;
    let mut tar = TarBytes::new();
    for dir in ["bin", "dev", "etc", "home", "proc", "root", "sys", "usr", "usr/bin", "var"] {
        tar = tar.dir(dir);
    }
    tar = tar.dir("tmp").mode(0o1777).dir("var/tmp").mode(0o1777);
    tar =
        tar.file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n");
    tar = tar.file("etc/group", "root:x:0:\nnobody:x:65534:\n");
    // A hard link's own mode counts too, since whoever unpacks it sets it.
    tar = tar.file("bin/busybox", program).mode(0o755);
    tar = tar.hardlink("bin/sh", "bin/busybox").mode(0o755);
    for name in list.lines().filter(|name| !["busybox", "sh"].contains(name)) {
        tar = tar.symlink(format!("bin/{name}"), "busybox");
    }
    Ok(tar.symlink("usr/bin/env", "../../bin/busybox"))
}

/// Whether an ELF file of this machine's kind asks for a dynamic loader: PT_INTERP, which is 3,
/// among its program headers (elf(5), the 64-bit layout).
fn has_interpreter(elf: &[u8]) -> bool {
    let half = |at: usize| {
        let bytes = elf.get(at..at + 2).unwrap_or(&[0, 0]);
        usize::from(u16::from_le_bytes([bytes[0], bytes[1]]))
    };
    // e_phoff at 32, e_phentsize at 54, e_phnum at 56; the table is near the start.
    let (start, size, count) = (half(32), half(54), half(56));
    (0..count).any(|index| half(start + index * size) == 3)
}

/// A root file system with its image configuration.
#[derive(Debug, Clone)]
pub struct Base {
    /// The root file system as a plain tar archive.
    pub rootfs: PathBuf,
    /// Its digest.
    pub diff_id: String,
    /// The image's `config` (Env, Cmd).
    pub config: Value,
}

impl Base {
    /// Puts it as an image of one gzipped layer into the registry. Returns the manifest's digest.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn add_to(&self, registry: &Registry, repo: &str, tag: &str) -> anyhow::Result<String> {
        let gzip = self.rootfs.with_extension("tar.gz");
        if !gzip.exists() {
            atomically(&gzip, |file| {
                let mut gzip = GzEncoder::new(BufWriter::new(file), Compression::fast());
                io::copy(&mut File::open(&self.rootfs)?, &mut gzip)?;
                Ok(gzip.finish()?.flush()?)
            })?;
        }
        let digest = registry.put_blob_file(repo, &gzip)?;
        let size = fs::metadata(&gzip)?.len();
        let media_type = "application/vnd.oci.image.layer.v1.tar+gzip".to_owned();
        let layer = Layer { media_type, digest, size, diff_id: self.diff_id.clone() };
        let config = json!({ "config": self.config });
        Ok(registry.add_layers(repo, tag, vec![layer], config))
    }
}

/// A minimal Debian with apt.
///
/// # Errors
/// As [`python`].
pub fn debian(cache: &Path) -> anyhow::Result<Base> {
    let config = json!({ "Env": [SEARCH_PATH], "Cmd": ["bash"] });
    Recipe { name: "debian", variant: "apt", packages: &[], hooks: Vec::new() }.make(cache, config)
}

/// What stands in for Docker Hub's `python:3-slim`: `python` and `pip` in /usr/local/bin, and pip
/// installs for all users. If this machine trusts certificates of its own or tells pip which index
/// to use, so does the image, since a build on this machine has to go the same way.
///
/// # Errors
/// If mmdebstrap is not installed, this user may not do what it needs, or Debian cannot be
/// reached.
pub fn python(cache: &Path) -> anyhow::Result<Base> {
    let mut hooks = vec![
        r#"rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED"#.to_owned(),
        r#"ln -s /usr/bin/python3 "$1"/usr/local/bin/python"#.to_owned(),
        r#"ln -s /usr/bin/pip3 "$1"/usr/local/bin/pip"#.to_owned(),
    ];
    let certificates = "/etc/ssl/certs/ca-certificates.crt";
    if let Ok(content) = fs::read(certificates) {
        // The digest is for the cache, which knows a recipe by its text.
        let digest = sha256(&content);
        hooks.push(format!(r#"cp {certificates} "$1"{certificates} # {digest}"#));
    }
    if let Some(index) = pip_index() {
        let text = format!("[global]\nindex-url = {index}\n");
        hooks.push(format!(r#"printf %s '{}' > "$1"/etc/pip.conf"#, text.replace('\'', r"'\''")));
    }
    let packages = &["python3", "python3-pip"];
    let recipe = Recipe { name: "python", variant: "essential", packages, hooks };
    recipe.make(cache, json!({ "Env": [SEARCH_PATH], "Cmd": ["python3"] }))
}

/// The package index that this machine's pip is told to use, if it is told.
fn pip_index() -> Option<String> {
    let output = Command::new("pip").args(["config", "get", "global.index-url"]).output();
    let configured = output.ok().filter(|output| output.status.success());
    let configured = configured.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let index = std::env::var("PIP_INDEX_URL").ok().or(configured)?;
    Some(index.trim().to_owned()).filter(|index| !index.is_empty())
}

/// How a root file system is made.
struct Recipe<'a> {
    name: &'a str,
    variant: &'a str,
    packages: &'a [&'a str],
    hooks: Vec<String>,
}

impl Recipe<'_> {
    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![format!("--variant={}", self.variant)];
        arguments.extend(DPKG_OPTIONS.lines().map(|option| format!("--dpkgopt={option}")));
        if !self.packages.is_empty() {
            arguments.push(format!("--include={}", self.packages.join(",")));
        }
        arguments.extend(self.hooks.iter().map(|hook| format!("--customize-hook={hook}")));
        arguments
    }

    /// The root file system from the cache, or made now.
    fn make(&self, cache: &Path, config: Value) -> anyhow::Result<Base> {
        let arguments = self.arguments();
        let key = sha256(format!("{SUITE} {SOURCE_DATE} {arguments:?}").as_bytes());
        let rootfs = cache.join(format!("{}-{}.tar", self.name, &key[7..19]));
        fs::create_dir_all(cache)?;
        // Two tests that need it at the same time wait for one that makes it.
        let lock = File::create(rootfs.with_extension("lock"))?;
        lock.lock()?;
        if !rootfs.exists() {
            let partial = rootfs.with_extension("partial.tar");
            mmdebstrap(&arguments, &partial)?;
            fs::rename(partial, &rootfs)?;
        }
        let said = rootfs.with_extension("digest");
        if !said.exists() {
            let (digest, _) = sha256_of(File::open(&rootfs)?)?;
            atomically(&said, |file| Ok(file.write_all(digest.as_bytes())?))?;
        }
        Ok(Base { diff_id: fs::read_to_string(said)?, rootfs, config })
    }
}

fn mmdebstrap(arguments: &[String], target: &Path) -> anyhow::Result<()> {
    let mut command = Command::new("mmdebstrap");
    command.args(arguments).arg(SUITE).arg(target).env("SOURCE_DATE_EPOCH", SOURCE_DATE);
    let output = match command.output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("mmdebstrap is needed; install it with: apt-get install mmdebstrap")
        }
        other => other.context("cannot start mmdebstrap")?,
    };
    if !output.status.success() {
        let _ = fs::remove_file(target);
        let said = String::from_utf8_lossy(&output.stderr);
        let tail: Vec<_> = said.lines().rev().take(15).collect();
        let tail: Vec<_> = tail.into_iter().rev().collect();
        let hint = match rustix::process::geteuid().is_root() {
            true => "",
            false => {
                "\nas another user than root it needs newuidmap (package uidmap), a range in \
                      /etc/subuid, and user namespaces"
            }
        };
        bail!("mmdebstrap failed:\n{}{hint}", tail.join("\n"));
    }
    Ok(())
}

/// Writes a file that is there only when it is complete.
fn atomically(
    path: &Path,
    write: impl FnOnce(&mut File) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let dir = path.parent().context("a file needs a directory")?;
    let mut temporary = tempfile::NamedTempFile::new_in(dir)?;
    write(temporary.as_file_mut())?;
    temporary.persist(path)?;
    Ok(())
}

/// Where tests keep what takes long to make: `testkit-bases` in the target directory.
pub fn cache_dir() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    // Relative to the workspace, not to the package in whose directory a test runs.
    workspace.join(target.unwrap_or_else(|| "target".into())).join("testkit-bases")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::image::Image;

    #[test]
    fn busybox_is_complete() {
        let Ok(layer) = busybox() else {
            eprintln!("skipped: busybox-static is not installed");
            return;
        };
        let registry = Registry::start();
        registry.add_image("busybox", "latest", vec![layer], json!({}));
        let tree = Image::from_registry(&registry, "busybox", "latest").unwrap().tree().unwrap();
        assert_eq!(tree["tmp"].mode, 0o1777);
        assert_eq!(tree["bin/ls"].target, "busybox");
        assert_eq!(tree["bin/sh"].same_as.as_deref(), Some("bin/busybox"));
    }

    #[test]
    fn only_static_programs_have_no_interpreter() {
        let own = fs::read("/bin/ls").unwrap();
        assert!(has_interpreter(&own));
    }
}
