//! What is known of a file, as each architecture's programs expect to find it in their memory.

use rustix::fs::{StatFs, Statx, StatxTimestamp};

use super::call::Layout;

/// Bytes that are put together one field after the other, in the machine's byte order.
#[derive(Debug, Default)]
struct Fields(Vec<u8>);

impl Fields {
    fn u32(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&(value as u32).to_ne_bytes());
        self
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_ne_bytes());
        self
    }

    fn u16(&mut self, value: u16) -> &mut Self {
        self.0.extend_from_slice(&value.to_ne_bytes());
        self
    }

    fn zeroes(&mut self, count: usize) -> &mut Self {
        self.0.resize(self.0.len() + count, 0);
        self
    }
}

/// `struct stat` (`struct stat64` for 32-bit programs), arch/*/include/uapi/asm/stat.h.
pub(super) fn stat(file: &Statx, layout: Layout) -> Vec<u8> {
    let device = old_device(file.stx_dev_major, file.stx_dev_minor);
    let special = old_device(file.stx_rdev_major, file.stx_rdev_minor);
    let (mode, links) = (u64::from(file.stx_mode), u64::from(file.stx_nlink));
    let (uid, gid) = (u64::from(file.stx_uid), u64::from(file.stx_gid));
    let block = u64::from(file.stx_blksize);
    let times = [&file.stx_atime, &file.stx_mtime, &file.stx_ctime];
    let mut fields = Fields::default();
    match layout {
        Layout::X86_64 => {
            fields.u64(device).u64(file.stx_ino).u64(links);
            fields.u32(mode).u32(uid).u32(gid).zeroes(4);
            fields.u64(special).u64(file.stx_size).u64(block).u64(file.stx_blocks);
            for time in times {
                fields.u64(time.tv_sec.cast_unsigned()).u64(time.tv_nsec.into());
            }
            fields.zeroes(24);
        }
        Layout::Generic64 => {
            fields.u64(device).u64(file.stx_ino).u32(mode).u32(links).u32(uid).u32(gid);
            fields.u64(special).zeroes(8).u64(file.stx_size).u32(block).zeroes(4);
            fields.u64(file.stx_blocks);
            for time in times {
                fields.u64(time.tv_sec.cast_unsigned()).u64(time.tv_nsec.into());
            }
            fields.zeroes(8);
        }
        Layout::I386 => {
            fields.u64(device).zeroes(4).u32(file.stx_ino).u32(mode).u32(links).u32(uid).u32(gid);
            fields.u64(special).zeroes(4).u64(file.stx_size).u32(block).u64(file.stx_blocks);
            for time in times {
                fields.u32(time.tv_sec.cast_unsigned()).u32(time.tv_nsec.into());
            }
            fields.u64(file.stx_ino);
        }
    }
    fields.0
}

/// `struct statx`, the same everywhere (linux/stat.h).
pub(super) fn statx(file: &Statx) -> Vec<u8> {
    let mut fields = Fields::default();
    fields.u32(file.stx_mask.into()).u32(file.stx_blksize.into());
    fields.u64(file.stx_attributes.bits()).u32(file.stx_nlink.into());
    fields.u32(file.stx_uid.into()).u32(file.stx_gid.into()).u16(file.stx_mode).zeroes(2);
    fields.u64(file.stx_ino).u64(file.stx_size).u64(file.stx_blocks);
    fields.u64(file.stx_attributes_mask.bits());
    for time in [&file.stx_atime, &file.stx_btime, &file.stx_ctime, &file.stx_mtime] {
        timestamp(&mut fields, time);
    }
    fields.u32(file.stx_rdev_major.into()).u32(file.stx_rdev_minor.into());
    fields.u32(file.stx_dev_major.into()).u32(file.stx_dev_minor.into());
    fields.u64(file.stx_mnt_id);
    fields.zeroes(256 - fields.0.len());
    fields.0
}

fn timestamp(fields: &mut Fields, time: &StatxTimestamp) {
    fields.u64(time.tv_sec.cast_unsigned()).u32(time.tv_nsec.into()).zeroes(4);
}

/// `struct statfs` of 64-bit architectures (asm-generic/statfs.h), or `struct statfs64` of i386,
/// which is the same but for its alignment.
pub(super) fn statfs(system: &StatFs, layout: Layout) -> Vec<u8> {
    let mut fields = Fields::default();
    let narrow = layout == Layout::I386;
    let word = |fields: &mut Fields, value: u64| {
        if narrow {
            fields.u32(value)
        } else {
            fields.u64(value)
        };
    };
    word(&mut fields, system.f_type as u64);
    word(&mut fields, system.f_bsize as u64);
    for count in [system.f_blocks, system.f_bfree, system.f_bavail, system.f_files, system.f_ffree]
    {
        fields.u64(count);
    }
    // The identity of the file system, which nobody may rely on.
    fields.zeroes(8);
    word(&mut fields, system.f_namelen as u64);
    word(&mut fields, system.f_frsize as u64);
    word(&mut fields, system.f_flags as u64);
    fields.zeroes(if narrow { 16 } else { 32 });
    fields.0
}

/// As `new_encode_dev` in the kernel (linux/kdev_t.h).
fn old_device(major: u32, minor: u32) -> u64 {
    let (major, minor) = (u64::from(major), u64::from(minor));
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use rustix::fs::{AtFlags, CWD, StatxFlags};

    fn of(path: &str) -> Statx {
        rustix::fs::statx(CWD, path, AtFlags::empty(), StatxFlags::ALL).unwrap()
    }

    fn word(bytes: &[u8], at: usize) -> u64 {
        u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
    }

    /// The kernel's own answers are the reference.
    #[test]
    fn the_layout_is_the_kernels() {
        use std::os::unix::fs::MetadataExt;
        for path in ["/dev/null", "/proc/self/status", "/"] {
            let expected = std::fs::metadata(path).unwrap();
            let file = of(path);
            let native = stat(&file, super::super::call::TABLES[0].layout);
            assert_eq!(native.len(), size_of::<libc::stat>());
            let place = std::mem::offset_of!(libc::stat, st_rdev);
            assert_eq!(word(&native, place), expected.rdev());
            let place = std::mem::offset_of!(libc::stat, st_dev);
            assert_eq!(word(&native, place), expected.dev());
            let place = std::mem::offset_of!(libc::stat, st_mtime);
            assert_eq!(word(&native, place), expected.mtime().cast_unsigned());
            let place = std::mem::offset_of!(libc::stat, st_blocks);
            assert_eq!(word(&native, place), expected.blocks());
            assert_eq!(stat(&file, Layout::I386).len(), 96);
            let extended = statx(&file);
            assert_eq!(extended.len(), size_of::<libc::statx>());
            let place = std::mem::offset_of!(libc::statx, stx_mtime);
            assert_eq!(word(&extended, place), expected.mtime().cast_unsigned());
            let place = std::mem::offset_of!(libc::statx, stx_rdev_major);
            assert_eq!(extended[place], (expected.rdev() >> 8) as u8);
        }
    }

    #[test]
    fn statfs_has_the_size_that_programs_reserve() {
        let system = rustix::fs::statfs("/").unwrap();
        let native = statfs(&system, super::super::call::TABLES[0].layout);
        assert_eq!(native.len(), size_of::<libc::statfs>());
        assert_eq!(word(&native, std::mem::offset_of!(libc::statfs, f_files)), system.f_files);
        assert_eq!(statfs(&system, Layout::I386).len(), 84);
    }
}
