//! The system calls that the broker hears of, on each architecture: their numbers, and what their
//! arguments mean.

/// What a call asks for. All but the last seven take a path, and the arguments that follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// flags, mode
    Open,
    /// mode
    Create,
    /// struct open_how, its size
    Open2,
    /// buffer
    Stat,
    /// buffer
    Lstat,
    /// buffer, flags
    StatAt,
    /// flags, mask, buffer
    Statx,
    /// buffer, size
    Readlink,
    /// mode, and flags where the call has them
    Access,
    /// Nothing more.
    Chdir,
    /// buffer
    Statfs,
    /// size, buffer
    Statfs64,
    /// argv, envp
    Execute,
    /// New owner or mode.
    Change,
    /// The path is that of the link; its target comes first.
    Symlink,
    /// request, process
    Trace,
    /// process, signal
    Kill,
    /// process or thread, …: it gets a signal, or a descriptor by which it can get one.
    Signal,
    /// process, …
    Memory,
    /// process (0 for the caller's), …
    Limits,
    /// Makes a file; a mode and a device's number come after the path.
    Node,
    /// Of no use to a RUN but to look into others.
    Never,
}

impl Kind {
    /// Whether one of the arguments is a path.
    pub(super) fn has_path(self) -> bool {
        use Kind::{Kill, Limits, Memory, Never, Node, Signal, Trace};
        !matches!(self, Trace | Kill | Signal | Memory | Limits | Node | Never)
    }
}

/// One system call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub number: i32,
    pub kind: Kind,
    /// Which argument is the directory that the path is relative to.
    pub dir: Option<usize>,
    /// Which argument is the path.
    pub path: usize,
    /// Which argument may say AT_EMPTY_PATH: then it is about the descriptor.
    pub empty_flag: Option<usize>,
}

impl Call {
    /// Path first.
    const fn plain(number: i64, kind: Kind) -> Self {
        Self { number: number as i32, kind, dir: None, path: 0, empty_flag: None }
    }

    /// Directory first, then the path.
    const fn at(number: i64, kind: Kind) -> Self {
        Self { number: number as i32, kind, dir: Some(0), path: 1, empty_flag: None }
    }

    const fn with_empty(self, flags: usize) -> Self {
        Self { empty_flag: Some(flags), ..self }
    }

    /// Which argument is the `n`-th after the path.
    pub(super) fn after_path(&self, n: usize) -> usize {
        self.path + 1 + n
    }
}

/// How an architecture lays out `struct stat` and its like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "another architecture"))]
    X86_64,
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "another architecture"))]
    I386,
    #[cfg_attr(not(target_arch = "aarch64"), expect(dead_code, reason = "another architecture"))]
    Generic64,
}

/// A table of system calls.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table {
    /// `AUDIT_ARCH_*` (linux/audit.h).
    pub arch: u32,
    pub layout: Layout,
    /// Calls whose first instruction of business is a bit in the number: another ABI, which gets
    /// ENOSYS, so that nothing goes past the filter.
    pub foreign_bit: Option<u32>,
    pub calls: &'static [Call],
}

/// The tables of this machine: its own architecture's, and that of its 32-bit programs. 32-bit
/// programs on ARM are not heard: they run, but find nothing in /proc.
pub(super) const TABLES: &[Table] = &[
    Table { arch: NATIVE.0, layout: NATIVE.1, foreign_bit: NATIVE.2, calls: NATIVE_CALLS },
    #[cfg(target_arch = "x86_64")]
    Table { arch: 0x4000_0003, layout: Layout::I386, foreign_bit: None, calls: I386_CALLS },
];

#[cfg(target_arch = "x86_64")]
const NATIVE: (u32, Layout, Option<u32>) = (0xC000_003E, Layout::X86_64, Some(0x4000_0000));
#[cfg(target_arch = "aarch64")]
const NATIVE: (u32, Layout, Option<u32>) = (0xC000_00B7, Layout::Generic64, None);

const NATIVE_CALLS: &[Call] = &[
    #[cfg(target_arch = "x86_64")]
    Call::plain(libc::SYS_open, Kind::Open),
    #[cfg(target_arch = "x86_64")]
    Call::plain(libc::SYS_creat, Kind::Create),
    #[cfg(target_arch = "x86_64")]
    Call::plain(libc::SYS_stat, Kind::Stat),
    #[cfg(target_arch = "x86_64")]
    Call::plain(libc::SYS_lstat, Kind::Lstat),
    #[cfg(target_arch = "x86_64")]
    Call::plain(libc::SYS_access, Kind::Access),
    #[cfg(target_arch = "x86_64")]
    Call::plain(libc::SYS_readlink, Kind::Readlink),
    #[cfg(target_arch = "x86_64")]
    Call::plain(libc::SYS_chmod, Kind::Change),
    #[cfg(target_arch = "x86_64")]
    Call::plain(libc::SYS_chown, Kind::Change),
    #[cfg(target_arch = "x86_64")]
    Call::plain(libc::SYS_lchown, Kind::Change),
    #[cfg(target_arch = "x86_64")]
    Call { path: 1, ..Call::plain(libc::SYS_symlink, Kind::Symlink) },
    Call::at(libc::SYS_openat, Kind::Open),
    Call::at(libc::SYS_openat2, Kind::Open2),
    Call::at(libc::SYS_newfstatat, Kind::StatAt).with_empty(3),
    Call::at(libc::SYS_statx, Kind::Statx).with_empty(2),
    Call::at(libc::SYS_readlinkat, Kind::Readlink),
    Call::at(libc::SYS_faccessat, Kind::Access),
    Call::at(libc::SYS_faccessat2, Kind::Access).with_empty(3),
    Call::at(libc::SYS_fchmodat, Kind::Change),
    Call::at(libc::SYS_fchownat, Kind::Change).with_empty(4),
    Call { dir: Some(1), path: 2, ..Call::plain(libc::SYS_symlinkat, Kind::Symlink) },
    Call::plain(libc::SYS_chdir, Kind::Chdir),
    Call::plain(libc::SYS_statfs, Kind::Statfs),
    Call::plain(libc::SYS_execve, Kind::Execute),
    Call::at(libc::SYS_execveat, Kind::Execute),
    Call::plain(libc::SYS_ptrace, Kind::Trace),
    Call::plain(libc::SYS_kill, Kind::Kill),
    Call::plain(libc::SYS_tkill, Kind::Signal),
    Call::plain(libc::SYS_tgkill, Kind::Signal),
    Call::plain(libc::SYS_rt_sigqueueinfo, Kind::Signal),
    Call::plain(libc::SYS_rt_tgsigqueueinfo, Kind::Signal),
    Call::plain(libc::SYS_pidfd_open, Kind::Signal),
    Call::plain(libc::SYS_prlimit64, Kind::Limits),
    #[cfg(target_arch = "x86_64")]
    Call::plain(libc::SYS_mknod, Kind::Node),
    Call::at(libc::SYS_mknodat, Kind::Node),
    Call::plain(libc::SYS_process_vm_readv, Kind::Memory),
    Call::plain(libc::SYS_process_vm_writev, Kind::Memory),
    Call::plain(libc::SYS_pidfd_getfd, Kind::Never),
];

/// arch/x86/entry/syscalls/syscall_32.tbl. `stat` and its like from before there were large files are
/// not among them.
#[cfg(target_arch = "x86_64")]
const I386_CALLS: &[Call] = &[
    Call::plain(5, Kind::Open),
    Call::plain(8, Kind::Create),
    Call::plain(11, Kind::Execute),
    Call::plain(12, Kind::Chdir),
    Call::plain(14, Kind::Node),
    Call::plain(15, Kind::Change),
    Call::plain(26, Kind::Trace),
    Call::plain(33, Kind::Access),
    Call::plain(37, Kind::Kill),
    Call { path: 1, ..Call::plain(83, Kind::Symlink) },
    Call::plain(85, Kind::Readlink),
    Call::plain(178, Kind::Signal),
    Call::plain(195, Kind::Stat),
    Call::plain(196, Kind::Lstat),
    Call::plain(198, Kind::Change),
    Call::plain(212, Kind::Change),
    Call::plain(238, Kind::Signal),
    Call::plain(268, Kind::Statfs64),
    Call::plain(270, Kind::Signal),
    Call::at(295, Kind::Open),
    Call::at(297, Kind::Node),
    Call::at(298, Kind::Change).with_empty(4),
    Call::at(300, Kind::StatAt).with_empty(3),
    Call { dir: Some(1), path: 2, ..Call::plain(304, Kind::Symlink) },
    Call::at(305, Kind::Readlink),
    Call::at(306, Kind::Change),
    Call::at(307, Kind::Access),
    Call::plain(335, Kind::Signal),
    Call::plain(340, Kind::Limits),
    Call::plain(347, Kind::Memory),
    Call::plain(348, Kind::Memory),
    Call::at(358, Kind::Execute),
    Call::at(383, Kind::Statx).with_empty(2),
    Call::at(437, Kind::Open2),
    Call::plain(434, Kind::Signal),
    Call::plain(438, Kind::Never),
    Call::at(439, Kind::Access).with_empty(3),
];

/// Finds a call by its architecture and number.
pub(super) fn find(arch: u32, number: i32) -> Option<(Layout, &'static Call)> {
    let table = TABLES.iter().find(|table| table.arch == arch)?;
    let call = table.calls.iter().find(|call| call.number == number)?;
    Some((table.layout, call))
}
