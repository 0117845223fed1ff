//! The thread whose system call waits: its memory, its ids, its place.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::sys::credentials::FileIds;

/// PATH_MAX, the final zero included.
const LONGEST_PATH: usize = 4096;

/// Most paths are shorter.
const FIRST_READ: usize = 192;

/// Reads and writes stop at pages that are not there.
const PAGE: u64 = 4096;

/// More open memories than this are threads that have long ended.
const MOST_MEMORIES: usize = 256;

/// What status(5) in /proc says of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    /// The process.
    pub process: i32,
    /// The thread, a process of its own if the two are the same.
    pub thread: i32,
    /// Effective user and group.
    pub uid: u32,
    pub gid: u32,
}

impl Identity {
    /// Of a thread that waits.
    pub(super) fn of(thread: i32) -> io::Result<Self> {
        let status = std::fs::read_to_string(format!("/proc/{thread}/status"))?;
        let field = |name: &str, place: usize| -> io::Result<u32> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let value = line.and_then(|line| line.split_whitespace().nth(place));
            value.and_then(|value| value.parse().ok()).ok_or_else(|| io::ErrorKind::NotFound.into())
        };
        Ok(Self {
            process: field("Tgid:", 0)?.cast_signed(),
            thread,
            uid: field("Uid:", 1)?,
            gid: field("Gid:", 1)?,
        })
    }

    /// Looks at files with the eyes of this thread's user, on this thread of the broker. Root's are
    /// the broker's own.
    pub(super) fn eyes(&self) -> Option<FileIds> {
        (self.uid != 0 || self.gid != 0).then(|| FileIds::take(self.uid, self.gid))
    }
}

/// The memory of a thread's process.
#[derive(Debug, Clone)]
pub(super) struct Memory(Arc<File>);

impl Memory {
    /// Opens it. The kernel gives it to its own user alone (ptrace(2), PTRACE_MODE_ATTACH_FSCREDS), so
    /// where that is not root the question has to come from that user.
    pub(super) fn of(thread: i32) -> io::Result<Self> {
        let open = || OpenOptions::new().read(true).write(true).open(format!("/proc/{thread}/mem"));
        let file = match open() {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let identity = Identity::of(thread)?;
                let _eyes = identity.eyes();
                open()?
            }
            result => result?,
        };
        Ok(Self(Arc::new(file)))
    }

    /// A text that ends with a zero byte, without it.
    pub(super) fn read_path(&self, address: u64) -> io::Result<Vec<u8>> {
        let mut first = [0; FIRST_READ];
        let length = self.read_some(address, &mut first)?;
        let start = &first[..length];
        match start.iter().position(|byte| *byte == 0) {
            Some(end) => Ok(start[..end].to_owned()),
            None => self.read_on(address, start.to_owned()),
        }
    }

    /// The rest of a long text, or of one that goes on in another page.
    fn read_on(&self, address: u64, start: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut text = start;
        let mut buffer = [0; LONGEST_PATH];
        while text.len() < LONGEST_PATH {
            let at = address.checked_add(text.len() as u64).ok_or(io::ErrorKind::InvalidInput)?;
            let length = self.read_some(at, &mut buffer[..LONGEST_PATH - text.len()])?;
            if let Some(end) = buffer[..length].iter().position(|byte| *byte == 0) {
                text.extend_from_slice(&buffer[..end]);
                return Ok(text);
            }
            text.extend_from_slice(&buffer[..length]);
        }
        Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG))
    }

    /// Fills a buffer.
    pub(super) fn read(&self, address: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buffer, address).map_err(|_| fault())
    }

    /// Writes all of it. Nothing is written where the kernel would not have written, but for memory
    /// that the process itself cannot write to: its own matter.
    pub(super) fn write(&self, address: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, address).map_err(|_| fault())
    }

    /// As much as there is, at least up to the end of the page.
    fn read_some(&self, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read_at(buffer, address) {
            Ok(0) => Err(fault()),
            Err(error) if error.raw_os_error() == Some(libc::EIO) => {
                let to_page_end = (PAGE - address % PAGE) as usize;
                let length = to_page_end.min(buffer.len());
                match self.0.read_at(&mut buffer[..length], address)? {
                    0 => Err(fault()),
                    length => Ok(length),
                }
            }
            result => result,
        }
    }
}

fn fault() -> io::Error {
    io::Error::from_raw_os_error(libc::EFAULT)
}

/// Memories that are open, by thread: to open one costs as much as all else in a notification.
///
/// What is remembered may be stale, because numbers of threads are used again and an execution
/// gives a process a new memory. A memory whose last process has ended has nothing to read, so it is
/// found out; the one case in which it lives on in another process, an execution after vfork(2), is
/// told by [`Memories::forget`].
#[derive(Debug, Default)]
pub(super) struct Memories(HashMap<i32, Memory>);

impl Memories {
    /// The path at an address, and the memory it is in.
    pub(super) fn read_path(&mut self, thread: i32, address: u64) -> io::Result<(Memory, Vec<u8>)> {
        if let Some(memory) = self.0.get(&thread) {
            if let Ok(path) = memory.read_path(address) {
                return Ok((memory.clone(), path));
            }
            self.0.remove(&thread);
        }
        let memory = Memory::of(thread)?;
        let path = memory.read_path(address)?;
        if self.0.len() >= MOST_MEMORIES {
            self.0.clear();
        }
        self.0.insert(thread, memory.clone());
        Ok((memory, path))
    }

    /// The thread is about to get another memory.
    pub(super) fn forget(&mut self, thread: i32) {
        self.0.remove(&thread);
    }
}

/// Where the caller's relative paths begin, on this machine.
pub(super) fn working_directory(caller: &Identity) -> io::Result<Vec<u8>> {
    let _eyes = caller.eyes();
    let link = std::fs::read_link(format!("/proc/{}/cwd", caller.thread))?;
    Ok(link.into_os_string().into_vec())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_up_to_its_end() {
        let memory = Memory::of(std::process::id().cast_signed()).unwrap();
        let long = vec![b'a'; 4095];
        for text in [&b""[..], b"/proc", &long] {
            let stored = [text, b"\0rest"].concat();
            let address = stored.as_ptr() as u64;
            assert_eq!(memory.read_path(address).unwrap(), text);
        }
        let endless = vec![b'a'; 5000];
        let error = memory.read_path(endless.as_ptr() as u64).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENAMETOOLONG));
        assert!(memory.read_path(0).is_err());
    }

    #[test]
    fn a_thread_is_known_by_its_status() {
        let identity = Identity::of(std::process::id().cast_signed()).unwrap();
        assert_eq!(identity.process, std::process::id().cast_signed());
        assert_eq!(identity.uid, rustix::process::geteuid().as_raw());
    }
}
