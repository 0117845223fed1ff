//! One line of a trace, and what its call is counted as.
//!
//! Left out is what depends on who is scheduled when: futex, epoll, sched, poll and wait; memory
//! (mmap, madvise, brk), with which allocators of threads grow; and how many reads and writes move
//! the bytes of a pipe or a socket. Of reads and writes the bytes are counted instead. Connections are
//! left out too: a client opens another one where the last is busy (2 to 9 for one build).

use std::path::Path;

/// Calls by what they are counted as.
const KINDS: [(&str, &[&str]); 13] = [
    ("files opened", &["open", "openat", "openat2", "creat"]),
    (
        "stats",
        &["stat", "lstat", "fstat", "newfstatat", "statx", "access", "faccessat", "faccessat2"],
    ),
    ("directories listed", &["getdents64"]),
    ("links read", &["readlink", "readlinkat"]),
    (
        "names made",
        &["mkdir", "mkdirat", "mknod", "mknodat", "symlink", "symlinkat", "link", "linkat"],
    ),
    ("names removed", &["unlink", "unlinkat", "rmdir"]),
    ("renames", &["rename", "renameat", "renameat2"]),
    (
        "owners, modes, times set",
        &[
            "chown",
            "lchown",
            "fchown",
            "fchownat",
            "chmod",
            "fchmod",
            "fchmodat",
            "fchmodat2",
            "utimensat",
        ],
    ),
    (
        "attributes",
        &[
            "getxattr",
            "lgetxattr",
            "fgetxattr",
            "listxattr",
            "llistxattr",
            "flistxattr",
            "setxattr",
            "lsetxattr",
            "fsetxattr",
            "removexattr",
            "lremovexattr",
            "fremovexattr",
        ],
    ),
    (
        "mounts",
        &[
            "mount",
            "umount2",
            "fsopen",
            "fsconfig",
            "fsmount",
            "move_mount",
            "open_tree",
            "mount_setattr",
            "pivot_root",
            "unshare",
            "setns",
        ],
    ),
    ("programs executed", &["execve", "execveat"]),
    ("syncs", &["fsync", "fdatasync", "syncfs", "sync_file_range"]),
    ("locks", &["flock"]),
];

/// These count where they are about the build's own directory alone. What is asked of /proc, /etc and
/// /sys depends on the machine: on how many processes, processors and certificates it has; and
/// /etc/hosts is read for each connection, of which there are more or fewer from run to run.
pub const LOOKS: [&str; 4] = ["files opened", "stats", "directories listed", "links read"];

/// Calls that make processes, or threads, which their flags tell.
const CLONES: [&str; 4] = ["clone", "clone3", "fork", "vfork"];
/// Calls that move bytes from their first descriptor.
const READS: [&str; 5] = ["read", "pread64", "readv", "preadv", "preadv2"];
/// Calls that move bytes to their first descriptor.
const WRITES: [&str; 5] = ["write", "pwrite64", "writev", "pwritev", "pwritev2"];
/// Calls that move bytes from one descriptor to another.
const COPIES: [&str; 3] = ["copy_file_range", "sendfile", "splice"];

/// What strace is asked for.
pub static NAMES: std::sync::LazyLock<Vec<&str>> = std::sync::LazyLock::new(|| {
    let kinds = KINDS.iter().flat_map(|(_, names)| names.iter().copied());
    kinds.chain(CLONES).chain(READS).chain(WRITES).chain(COPIES).collect()
});

/// A call that has returned.
#[derive(Debug)]
pub struct Call<'a> {
    pub name: &'a str,
    pub args: &'a str,
    /// `None` if the process has ended instead.
    pub result: Option<i64>,
}

impl<'a> Call<'a> {
    /// `None` for what is no call.
    pub fn parse(line: &'a str) -> Option<Self> {
        let (call, result) = line.rsplit_once(" = ")?;
        let (name, args) = call.split_once('(')?;
        let end = result.find(|c: char| c != '-' && !c.is_ascii_digit()).unwrap_or(result.len());
        Some(Self { name, args, result: result[..end].parse().ok() })
    }

    /// How many bytes it has moved, if it does that at all.
    pub fn bytes(&self) -> Option<u64> {
        self.result.and_then(|result| u64::try_from(result).ok())
    }

    /// The path that it names: where the name is relative, the directory's, and a descriptor's where
    /// there is no name.
    pub fn path(&self) -> &'a Path {
        // openat2 resolves an absolute name below its directory (RESOLVE_IN_ROOT).
        let absolute = |name: &&str| name.starts_with('/') && self.name != "openat2";
        let name = self.args.split('"').nth(1).filter(absolute);
        Path::new(name.or_else(|| self.paths().next()).unwrap_or_default())
    }

    /// The paths behind the descriptors among its arguments: `5</path>`.
    fn paths(&self) -> impl Iterator<Item = &'a str> {
        let parts = self.args.split('<').skip(1);
        parts.filter_map(|part| part.split_once('>').map(|(path, _)| path))
    }
}

/// What a call is counted as, if it is.
pub fn kind(call: &Call<'_>) -> Option<&'static str> {
    if CLONES.contains(&call.name) {
        return (!call.args.contains("CLONE_THREAD")).then_some("processes made");
    }
    KINDS.iter().find(|(_, names)| names.contains(&call.name)).map(|(kind, _)| *kind)
}

/// Where bytes came from and went to: paths of descriptors.
pub fn ends<'a>(call: &Call<'a>) -> Option<(Option<&'a str>, Option<&'a str>)> {
    let mut paths = call.paths();
    let first = paths.next();
    match call.name {
        name if READS.contains(&name) => Some((first, None)),
        name if WRITES.contains(&name) => Some((None, first)),
        "sendfile" => Some((paths.next(), first)),
        name if COPIES.contains(&name) => Some((first, paths.next())),
        _ => None,
    }
}
