//! The mount tables that a RUN reads: of a process whose root is no mount point the kernel shows none,
//! but programs look there for / and /proc.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::place::Content;

/// Mount point, type and options, as they would be in a container.
const MOUNTS: [(&str, &str, &str); 5] = [
    ("/", "overlay", "rw,relatime"),
    ("/proc", "proc", "rw,nosuid,nodev,noexec,relatime"),
    ("/dev", "tmpfs", "rw,nosuid"),
    ("/dev/shm", "tmpfs", "rw,nosuid,nodev,noexec,relatime"),
    ("/sys", "sysfs", "ro,nosuid,nodev,noexec,relatime"),
];

/// Both tables.
#[derive(Debug)]
pub(super) struct Tables {
    mounts: String,
    mountinfo: String,
}

impl Tables {
    /// For a root at this path.
    pub(super) fn new(root: &Path) -> Self {
        let mut tables = Self { mounts: String::new(), mountinfo: String::new() };
        for (number, (point, kind, options)) in MOUNTS.into_iter().enumerate() {
            let real = if point == "/" { root } else { Path::new(point) };
            let device = std::fs::metadata(real).map_or(0, |real| real.dev());
            let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
            let (own, parent) = (number + 2, if number == 0 { 1 } else { 2 });
            tables.mounts += &format!("{kind} {point} {kind} {options} 0 0\n");
            // proc_pid_mountinfo(5)
            tables.mountinfo += &format!(
                "{own} {parent} {major}:{minor} / {point} {options} - {kind} {kind} {}\n",
                options.split(',').next().unwrap_or_default()
            );
        }
        tables
    }

    pub(super) fn content(&self, content: Content) -> &str {
        match content {
            Content::Mounts => &self.mounts,
            Content::MountInfo => &self.mountinfo,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_the_fields_that_programs_count() {
        let tables = Tables::new(Path::new("/"));
        for line in tables.content(Content::Mounts).lines() {
            assert_eq!(line.split(' ').count(), 6, "{line}");
        }
        for line in tables.content(Content::MountInfo).lines() {
            let (left, right) = line.split_once(" - ").expect("a separator");
            assert_eq!((left.split(' ').count(), right.split(' ').count()), (6, 3), "{line}");
        }
    }
}
