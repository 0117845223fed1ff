//! A digest of files: of all that a copy of them has but its times.

use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::key::KeyMaker;
use crate::digest::{Digest, Hasher};
use crate::layer::{Kind, Node, Tree};

/// Bytes that are read at once.
const BUFFER: usize = 256 * 1024;
/// Objects that one thread takes at a time, so that small trees are not worth a second one.
const SHARE: usize = 64;

/// A path and the digest of what is there.
pub type Fingerprint = (String, Digest);

/// The digest of each object, in the order of their paths. Reads every file, on several threads.
///
/// # Errors
/// A file that cannot be read, or is shorter than it was.
pub fn fingerprints(tree: &Tree, threads: NonZeroUsize) -> io::Result<Vec<Fingerprint>> {
    let nodes: Vec<(&Path, &Node)> =
        tree.iter().map(|(path, node)| (path.as_path(), node)).collect();
    let next = AtomicUsize::new(0);
    let work = || -> io::Result<Vec<(usize, Fingerprint)>> {
        let mut done = Vec::new();
        let mut buffer = vec![0; BUFFER];
        loop {
            let first = next.fetch_add(SHARE, Ordering::Relaxed);
            let Some(some) = nodes.get(first..) else { return Ok(done) };
            if some.is_empty() {
                return Ok(done);
            }
            for (at, (path, node)) in some.iter().take(SHARE).enumerate() {
                let digest = of_node(node, &mut buffer)?;
                done.push((first + at, (path.to_string_lossy().into_owned(), digest)));
            }
        }
    };
    let wanted = nodes.len().div_ceil(SHARE).clamp(1, threads.get());
    let mut all: Vec<(usize, Fingerprint)> = thread::scope(|scope| {
        let others: Vec<_> = (1..wanted).map(|_| scope.spawn(work)).collect();
        let mut all = work()?;
        for other in others {
            let done = other.join().map_err(|_| io::Error::other("a thread ended abnormally"))?;
            all.extend(done?);
        }
        Ok::<_, io::Error>(all)
    })?;
    all.sort_by_key(|(at, _)| *at);
    Ok(all.into_iter().map(|(_, print)| print).collect())
}

fn of_node(node: &Node, buffer: &mut [u8]) -> io::Result<Digest> {
    let meta = &node.entry.meta;
    let mut maker = KeyMaker::new("file");
    maker.input("path", node.entry.path.as_os_str().as_encoded_bytes());
    maker.input("owner", format!("{:o} {} {}", meta.mode, meta.uid, meta.gid));
    for (name, value) in &meta.xattrs {
        maker.input("xattr", name.as_encoded_bytes());
        maker.input("value", value);
    }
    match &node.entry.kind {
        Kind::File { size } => {
            maker.input("size", size.to_le_bytes());
            maker.input("file", of_content(node, *size, buffer)?.hex());
        }
        Kind::Dir => maker.input("dir", ""),
        Kind::Symlink(target) => maker.input("link", target.as_os_str().as_encoded_bytes()),
        Kind::HardLink(target) => maker.input("same", target.as_os_str().as_encoded_bytes()),
        Kind::CharDevice { major, minor } => maker.input("char", format!("{major} {minor}")),
        Kind::BlockDevice { major, minor } => maker.input("block", format!("{major} {minor}")),
        Kind::Fifo => maker.input("fifo", ""),
    }
    Ok(maker.finish().0.0)
}

fn of_content(node: &Node, size: u64, buffer: &mut [u8]) -> io::Result<Digest> {
    let mut hasher = Hasher::default();
    let mut content = node.content.open()?;
    loop {
        match content.read(buffer)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    let (digest, count) = hasher.finish();
    if count != size {
        return Err(io::Error::other("it changed while it was read"));
    }
    Ok(digest)
}
