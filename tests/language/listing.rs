//! Files as lines of text, for expectations, archives and base images:
//!
//! ```text
//! f 0644 0:0 /a/file "content\n"
//! d 0755 0:0 /a
//! l 0:0 /a/link -> target
//! h /a/second = /a/file
//! p 0644 0:0 /a/pipe
//! x /a/deleted
//! X /a/emptied
//! ```

use std::collections::BTreeMap;
use std::io::Read;

use testkit::tar::TarBytes;

/// Longer contents are shown as their length.
const LONG: usize = 400;

/// An archive of what the lines describe.
pub fn to_tar(lines: &[String]) -> TarBytes {
    lines.iter().filter(|line| !line.is_empty()).fold(TarBytes::new(), |tar, line| {
        add(tar, line).unwrap_or_else(|| panic!("not a line of a listing: {line}"))
    })
}

fn add(tar: TarBytes, line: &str) -> Option<TarBytes> {
    let (kind, rest) = line.split_once(' ')?;
    let member = |path: &str| path.trim_start_matches('/').to_owned();
    match kind {
        "x" => return Some(tar.whiteout(&member(rest))),
        "X" => return Some(tar.opaque(&member(rest))),
        "h" => {
            let (path, other) = rest.split_once(" = ")?;
            return Some(tar.hardlink(member(path), member(other)));
        }
        "l" => {
            let (owner, rest) = rest.split_once(' ')?;
            let (path, target) = rest.split_once(" -> ")?;
            let (uid, gid) = owner_of(owner)?;
            return Some(tar.symlink(member(path), target).owner(uid, gid));
        }
        _ => {}
    }
    let (mode, rest) = rest.split_once(' ')?;
    let (owner, rest) = rest.split_once(' ')?;
    let tar = match kind {
        "f" => {
            let (path, content) = rest.split_once(' ')?;
            let content: String = serde_json::from_str(content).ok()?;
            tar.file(member(path), content)
        }
        "d" => tar.dir(member(rest)),
        "p" => tar.fifo(member(rest)),
        _ => return None,
    };
    let (uid, gid) = owner_of(owner)?;
    Some(tar.mode(u32::from_str_radix(mode, 8).ok()?).owner(uid, gid).mtime(1_500_000_000))
}

fn owner_of(text: &str) -> Option<(u64, u64)> {
    let (uid, gid) = text.split_once(':')?;
    Some((uid.parse().ok()?, gid.parse().ok()?))
}

/// What layers do together, one on another, in the order of the paths.
#[derive(Debug, Default)]
pub struct Listing(BTreeMap<String, String>);

impl Listing {
    pub fn add(&mut self, layer: impl Read) -> anyhow::Result<()> {
        let mut archive = tar::Archive::new(layer);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let path = format!("/{}", path.trim_matches('/'));
            let (dir, name) = path.rsplit_once('/').unwrap_or(("", &path));
            if name == ".wh..wh..opq" {
                self.0.retain(|other, _| !other.starts_with(&format!("{dir}/")));
                self.0.insert(format!("{dir} (opaque)"), format!("X {dir}"));
            } else if let Some(name) = name.strip_prefix(".wh.") {
                let path = format!("{dir}/{name}");
                self.remove(&path);
                self.0.insert(path.clone(), format!("x {path}"));
            } else {
                let line = line(&mut entry, &path)?;
                if !line.starts_with("d ") {
                    self.remove(&path);
                }
                self.0.insert(path, line);
            }
        }
        Ok(())
    }

    fn remove(&mut self, path: &str) {
        let below = format!("{path}/");
        self.0.retain(|other, _| other != path && !other.starts_with(&below));
    }

    /// The lines.
    pub fn lines(self) -> Vec<String> {
        self.0.into_values().collect()
    }
}

fn line<R: Read>(entry: &mut tar::Entry<'_, R>, path: &str) -> anyhow::Result<String> {
    let header = entry.header();
    let owner = format!("{}:{}", header.uid()?, header.gid()?);
    let mode = format!("{:04o}", header.mode()? & 0o7777);
    let target = entry.link_name_bytes().map(|name| String::from_utf8_lossy(&name).into_owned());
    let target = target.unwrap_or_default();
    Ok(match header.entry_type() {
        tar::EntryType::Directory => format!("d {mode} {owner} {path}"),
        tar::EntryType::Symlink => format!("l {owner} {path} -> {target}"),
        tar::EntryType::Link => format!("h {path} = /{}", target.trim_matches('/')),
        tar::EntryType::Fifo => format!("p {mode} {owner} {path}"),
        tar::EntryType::Regular => {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            let content = match String::from_utf8(bytes) {
                Ok(text) if text.len() <= LONG => serde_json::to_string(&text)?,
                Ok(text) => format!("({} bytes)", text.len()),
                Err(_) => "(binary)".to_owned(),
            };
            format!("f {mode} {owner} {path} {content}")
        }
        other => format!("{other:?} {mode} {owner} {path}"),
    })
}
