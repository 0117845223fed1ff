//! The mounts of this process, as /proc/self/mountinfo has them (proc_pid_mountinfo(5)).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it is; absolute.
    pub point: PathBuf,
    /// The type of its file system: `overlay`, `ext4`.
    pub file_system: String,
    /// Options of the mount and of the file system: `rw`, `noexec`, `size=64m`.
    pub options: Vec<String>,
}

impl Mount {
    /// Whether it has this option.
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|own| own == option)
    }
}

/// All mounts, in the table's order. Lines that are none are left out.
pub fn mounts(table: &[u8]) -> Vec<Mount> {
    table.split(|byte| *byte == b'\n').filter_map(mount).collect()
}

/// The mount that a directory is on. The directory has to be absolute and without links.
pub fn mount_of(table: &[u8], dir: &Path) -> Option<Mount> {
    let above = mounts(table).into_iter().filter(|mount| dir.starts_with(&mount.point));
    // Of those at one point, the last is on top.
    above.max_by_key(|mount| mount.point.as_os_str().len())
}

fn mount(line: &[u8]) -> Option<Mount> {
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let separator = fields.iter().position(|field| *field == b"-")?;
    let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
    let own = fields.get(5)?;
    let of_file_system = fields.get(separator + 3).copied().unwrap_or_default();
    let options = [own, of_file_system].into_iter().flat_map(|list| list.split(|b| *b == b','));
    Some(Mount {
        point: unescape(fields.get(4)?),
        file_system: text(fields.get(separator + 1)?),
        options: options.filter(|option| !option.is_empty()).map(text).collect(),
    })
}

/// Space, tab, newline and backslash are three octal digits there.
fn unescape(text: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let octal = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if *first == b'\\' => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - overlay overlay rw
30 27 0:26 / /mnt/a\\040b rw shared:1 - ext4 /dev/sda rw
31 30 0:27 / /mnt/a\\040b ro,noexec shared:1 master:2 - xfs /dev/sdb rw,inode64
broken
";

    #[test]
    fn the_nearest_mount_is_found() {
        let rows = [("/tmp", "overlay"), ("/mnt/a b/c", "xfs"), ("/proc/1", "proc")];
        for (dir, expected) in rows {
            let mount = mount_of(TABLE, Path::new(dir)).expect("a mount");
            assert_eq!(mount.file_system, expected, "{dir}");
        }
        assert_eq!(mount_of(b"", Path::new("/")), None);
    }

    #[test]
    fn mounts_are_read_with_their_spaces_and_options() {
        let mounts = mounts(TABLE);
        assert_eq!(mounts.len(), 4);
        assert_eq!(mounts[2].point, Path::new("/mnt/a b"));
        assert_eq!(mounts[3].options, ["ro", "noexec", "rw", "inode64"]);
        assert!(mounts[3].has("noexec") && !mounts[2].has("noexec"));
    }
}
