//! Layers applied one after another to a tree in memory.
//!
//! Source: OCI image-spec layer.md: an entry replaces what stood there; `.wh.NAME` removes NAME of
//! the layers below; `.wh..wh..opq` removes all that the layers below have in the directory. Marks
//! work on lower layers only, wherever they stand in their own.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};

use super::object::{Kind, Object, Objects};
use crate::digest::sha256_of;

const MARK: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";

/// A tree that layers are applied to.
#[derive(Debug, Default)]
pub(crate) struct Merger {
    /// Each path's file, and the layer that it comes from.
    paths: BTreeMap<String, (usize, usize)>,
    /// Files. A hard link is a second path to the same one.
    files: Vec<Object>,
    layer: usize,
}

impl Merger {
    /// Applies a layer's tar archive.
    pub fn apply(&mut self, tar: impl Read) -> io::Result<()> {
        self.layer += 1;
        let mut archive = tar::Archive::new(tar);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let path = clean(&entry.path_bytes());
            let (dir, name) = path.rsplit_once('/').unwrap_or(("", &path));
            if name == OPAQUE {
                self.remove_lower(dir, false);
            } else if let Some(name) = name.strip_prefix(MARK) {
                let slash = if dir.is_empty() { "" } else { "/" };
                self.remove_lower(&format!("{dir}{slash}{name}"), true);
            } else if entry.header().entry_type().is_hard_link() {
                let target = clean(&entry.link_name_bytes().unwrap_or_default());
                let file = self.paths.get(&target).map(|(file, _)| *file);
                let file = file.ok_or_else(|| {
                    io::Error::other(format!(
                        "{path} is a hard link to {target}, which is not there"
                    ))
                })?;
                // As Docker and containerd do: the link's header is applied to the file.
                let header = entry.header();
                let object = &mut self.files[file];
                object.mode = header.mode()? & 0o7777;
                (object.uid, object.gid) = (header.uid()?, header.gid()?);
                self.place(path, file);
            } else if let Some(object) = read_object(&mut entry)? {
                self.files.push(object);
                self.place(path, self.files.len() - 1);
            }
        }
        Ok(())
    }

    fn place(&mut self, path: String, file: usize) {
        if self.files[file].kind != Kind::Dir {
            // What was a directory goes with all that was in it.
            self.paths.retain(|other, _| !is_below(other, &path));
        }
        self.paths.insert(path, (file, self.layer));
    }

    /// Removes what lower layers have below a directory, and with `itself` the directory too.
    fn remove_lower(&mut self, dir: &str, itself: bool) {
        let layer = self.layer;
        self.paths.retain(|path, (_, from)| {
            *from == layer || !(is_below(path, dir) || itself && path == dir)
        });
    }

    /// The tree.
    pub fn finish(self) -> Objects {
        let mut first: HashMap<usize, (String, usize)> = HashMap::new();
        for (path, (file, _)) in &self.paths {
            first.entry(*file).or_insert_with(|| (path.clone(), 0)).1 += 1;
        }
        let objects = self.paths.into_iter().map(|(path, (file, _))| {
            let mut object = self.files[file].clone();
            object.same_as = first.get(&file).filter(|(_, n)| *n > 1).map(|(path, _)| path.clone());
            (path, object)
        });
        objects.collect()
    }
}

/// Entries of one layer by themselves. Marks appear under their own names.
pub(crate) fn entries(tar: impl Read) -> io::Result<Vec<(String, Object)>> {
    let mut found = Vec::new();
    for entry in tar::Archive::new(tar).entries()? {
        let mut entry = entry?;
        let path = clean(&entry.path_bytes());
        if entry.header().entry_type().is_hard_link() {
            let mut object = Object::new(Kind::File, entry.header().mode()? & 0o7777);
            object.same_as = Some(clean(&entry.link_name_bytes().unwrap_or_default()));
            found.push((path, object));
        } else if let Some(object) = read_object(&mut entry)? {
            found.push((path, object));
        }
    }
    Ok(found)
}

fn is_below(path: &str, dir: &str) -> bool {
    dir.is_empty() && !path.is_empty()
        || path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'))
}

/// A path in the form that the tree's keys have: `./a//b/` is `a/b`. The root itself is empty.
fn clean(path: &[u8]) -> String {
    let path = String::from_utf8_lossy(path);
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    parts.join("/")
}

/// The object that an entry describes; none for entries that describe other entries.
fn read_object<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<Option<Object>> {
    let header = entry.header().clone();
    let kind = match header.entry_type().as_byte() {
        b'0' | b'\0' | b'7' => Kind::File,
        b'5' => Kind::Dir,
        b'2' => Kind::Symlink,
        b'6' => Kind::Fifo,
        b'3' => Kind::CharDevice,
        b'4' => Kind::BlockDevice,
        _ => return Ok(None),
    };
    let mut object = Object::new(kind, header.mode()? & 0o7777);
    (object.uid, object.gid) = (header.uid()?, header.gid()?);
    object.mtime = i64::try_from(header.mtime()?).unwrap_or(i64::MAX);
    if let Some(extensions) = entry.pax_extensions()? {
        for extension in extensions {
            let extension = extension?;
            let key = extension.key().map_err(io::Error::other)?;
            let value = extension.value_bytes();
            let number = || std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            match key {
                "uid" => object.uid = number().unwrap_or(object.uid),
                "gid" => object.gid = number().unwrap_or(object.gid),
                _ => {}
            }
            if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
                object.xattrs.insert(name.to_owned(), value.to_vec());
            }
        }
    }
    match kind {
        Kind::File => (object.sha256, object.size) = sha256_of(entry)?,
        Kind::Symlink => {
            object.mode = 0o777;
            let target = entry.link_name_bytes().unwrap_or_default();
            object.target = String::from_utf8_lossy(&target).into_owned();
        }
        Kind::CharDevice | Kind::BlockDevice => {
            let number = |part: Option<u32>| u64::from(part.unwrap_or_default());
            object.device = (number(header.device_major()?), number(header.device_minor()?));
        }
        Kind::Dir | Kind::Fifo => {}
    }
    Ok(Some(object))
}
