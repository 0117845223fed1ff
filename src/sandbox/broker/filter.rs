//! The filter of a RUN: a program for the kernel's classic BPF machine (bpf(4), seccomp(2)) that sends
//! path system calls to the broker and lets all others pass.
//!
//! It cannot read a path, but it sees the other arguments: a path that is relative to an open directory
//! needs no broker, because a RUN never gets a descriptor of a directory outside its root.

use crate::sys::seccomp::Instruction;

use super::call::{Call, Kind, TABLES, Table};

/// Offsets in struct seccomp_data (linux/seccomp.h).
const NUMBER: u32 = 0;
const ARCH: u32 = 4;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const EQUALS: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const ANY_BIT: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;

/// The devices that a RUN may make: those of every container (moby: oci/defaults.go), /dev/ptmx, and
/// the whiteouts of overlayfs. Any other may be this machine's disk, and where no device cgroup keeps
/// it shut, all that kiln has is on it.
const HARMLESS_DEVICES: [u32; 9] = [0x000, 0x103, 0x105, 0x107, 0x108, 0x109, 0x500, 0x501, 0x502];

const PTRACE_ATTACH: u32 = 16;
const PTRACE_SEIZE: u32 = 0x4206;

/// The whole program.
pub(super) fn program() -> Vec<Instruction> {
    let mut program = Vec::new();
    for table in TABLES {
        let body = body(table);
        // Jumps reach 255 instructions, so that a table is skipped by one unconditional jump.
        program.push(load(ARCH));
        program.push(Instruction(EQUALS, 1, 0, table.arch));
        program.push(Instruction(JUMP, 0, 0, body.len() as u32));
        program.extend(body);
    }
    program.push(allow());
    program
}

const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;

/// Ends in every case.
fn body(table: &Table) -> Vec<Instruction> {
    let mut body = vec![load(NUMBER)];
    if let Some(bit) = table.foreign_bit {
        body.push(Instruction(ANY_BIT, 0, 1, bit));
        body.push(refuse(libc::ENOSYS));
    }
    for call in table.calls {
        let test = test(call);
        body.push(Instruction(EQUALS, 0, test.len() as u8, call.number.cast_unsigned()));
        body.extend(test);
    }
    body.push(allow());
    body
}

/// What decides about one call. Ends in every case.
fn test(call: &Call) -> Vec<Instruction> {
    let mut test = Vec::new();
    if call.kind == Kind::Node {
        return test_node(call);
    }
    // Every execution is heard of: the memory of the process is another one afterwards.
    if let (Some(dir), false) = (call.dir, call.kind == Kind::Execute) {
        test.push(load(argument(dir)));
        test.push(Instruction(EQUALS, 1, 0, libc::AT_FDCWD.cast_unsigned()));
        test.push(allow());
    }
    if let Some(flags) = call.empty_flag {
        test.push(load(argument(flags)));
        test.push(Instruction(ANY_BIT, 0, 1, libc::AT_EMPTY_PATH.cast_unsigned()));
        test.push(allow());
    }
    if call.kind == Kind::Trace {
        test.push(load(argument(0)));
        test.push(Instruction(EQUALS, 2, 0, PTRACE_ATTACH));
        test.push(Instruction(EQUALS, 1, 0, PTRACE_SEIZE));
        test.push(allow());
    }
    // Every program asks for its own limits.
    if call.kind == Kind::Limits {
        test.push(load(argument(0)));
        test.push(Instruction(EQUALS, 0, 1, 0));
        test.push(allow());
    }
    test.push(Instruction(RETURN, 0, 0, libc::SECCOMP_RET_USER_NOTIF));
    test
}

/// mknod(2) is decided here: a mode and a number are all that there is to know.
fn test_node(call: &Call) -> Vec<Instruction> {
    let mut test = vec![
        load(argument(call.after_path(0))),
        Instruction(AND, 0, 0, libc::S_IFMT),
        Instruction(EQUALS, 2, 0, libc::S_IFBLK),
        Instruction(EQUALS, 2, 0, libc::S_IFCHR),
        allow(),
        refuse(libc::EPERM),
        load(argument(call.after_path(1))),
    ];
    for device in HARMLESS_DEVICES {
        test.extend([Instruction(EQUALS, 0, 1, device), allow()]);
    }
    test.push(refuse(libc::EPERM));
    test
}

fn refuse(errno: i32) -> Instruction {
    Instruction(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | errno.cast_unsigned())
}

fn load(offset: u32) -> Instruction {
    Instruction(LOAD, 0, 0, offset)
}

fn allow() -> Instruction {
    Instruction(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW)
}

/// The lower half of an argument: the kernel looks at no more of a descriptor or of flags.
fn argument(index: usize) -> u32 {
    let lower = if cfg!(target_endian = "big") { 4 } else { 0 };
    16 + 8 * index as u32 + lower
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program as the kernel would.
    fn decide(arch: u32, number: i32, args: [u64; 6]) -> u32 {
        let program = program();
        let word = |offset: u32| match offset {
            NUMBER => number.cast_unsigned(),
            ARCH => arch,
            offset => args[(offset as usize - 16) / 8] as u32,
        };
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let Instruction(code, yes, no, k) = program[at];
            at += 1;
            match code {
                LOAD => accumulator = word(k),
                AND => accumulator &= k,
                RETURN => return k,
                JUMP => at += k as usize,
                EQUALS => at += usize::from(if accumulator == k { yes } else { no }),
                ANY_BIT => at += usize::from(if accumulator & k != 0 { yes } else { no }),
                other => panic!("instruction {other}"),
            }
        }
    }

    const NATIVE: u32 = TABLES[0].arch;
    const HERE: u64 = libc::AT_FDCWD as u64;

    #[test]
    fn only_paths_that_may_be_absolute_are_asked_about() {
        let notify = libc::SECCOMP_RET_USER_NOTIF;
        let allow = libc::SECCOMP_RET_ALLOW;
        let empty = libc::AT_EMPTY_PATH as u64;
        let rows = [
            (libc::SYS_openat, [HERE, 1, 0, 0, 0, 0], notify),
            // A descriptor is 32 bits wide, whatever is above them.
            (libc::SYS_openat, [0xFFFF_FF9C, 1, 0, 0, 0, 0], notify),
            (libc::SYS_openat, [7, 1, 0, 0, 0, 0], allow),
            (libc::SYS_newfstatat, [HERE, 1, 2, 0, 0, 0], notify),
            (libc::SYS_newfstatat, [HERE, 1, 2, empty, 0, 0], allow),
            (libc::SYS_statx, [HERE, 1, empty, 0, 0, 0], allow),
            (libc::SYS_execveat, [7, 1, 0, 0, empty, 0], notify),
            (libc::SYS_symlinkat, [1, HERE, 2, 0, 0, 0], notify),
            (libc::SYS_ptrace, [0, 0, 0, 0, 0, 0], allow),
            (libc::SYS_ptrace, [16, 1, 0, 0, 0, 0], notify),
            (libc::SYS_ptrace, [0x4206, 1, 0, 0, 0, 0], notify),
            (libc::SYS_read, [HERE, 1, 0, 0, 0, 0], allow),
            (libc::SYS_prlimit64, [0, 7, 0, 0, 0, 0], allow),
            (libc::SYS_prlimit64, [1, 7, 0, 0, 0, 0], notify),
            (libc::SYS_pidfd_open, [1, 0, 0, 0, 0, 0], notify),
            (libc::SYS_tgkill, [1, 1, 9, 0, 0, 0], notify),
            (libc::SYS_pidfd_getfd, [0, 0, 0, 0, 0, 0], notify),
        ];
        for (number, args, expected) in rows {
            assert_eq!(decide(NATIVE, number as i32, args), expected, "{number} {args:?}");
        }
    }

    #[test]
    fn no_device_can_be_made_but_the_harmless_ones() {
        let refused = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
        let allow = libc::SECCOMP_RET_ALLOW;
        let rows = [
            (libc::S_IFCHR | 0o666, 0x103, allow),
            (libc::S_IFCHR, 0, allow),
            (libc::S_IFBLK | 0o600, 0x103, refused),
            (libc::S_IFBLK | 0o600, 0xFE00, refused),
            // /dev/mem
            (libc::S_IFCHR | 0o600, 0x101, refused),
            (libc::S_IFIFO | 0o600, 0xFE00, allow),
            (0o644, 0, allow),
        ];
        for (mode, device, expected) in rows {
            let args = [HERE, 1, mode.into(), device, 0, 0];
            assert_eq!(decide(NATIVE, libc::SYS_mknodat as i32, args), expected, "{mode:o}");
            #[cfg(target_arch = "x86_64")]
            {
                let args = [1, mode.into(), device, 0, 0, 0];
                assert_eq!(decide(NATIVE, libc::SYS_mknod as i32, args), expected, "{mode:o}");
                assert_eq!(decide(0x4000_0003, 14, args), expected, "{mode:o}");
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn programs_of_32_bits_are_heard_and_x32_is_refused() {
        assert_eq!(decide(0x4000_0003, 5, [0; 6]), libc::SECCOMP_RET_USER_NOTIF);
        assert_eq!(decide(0x4000_0003, 3, [0; 6]), libc::SECCOMP_RET_ALLOW);
        let refused = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
        assert_eq!(decide(NATIVE, 0x4000_0002, [0; 6]), refused);
        assert_eq!(decide(0x1234, 5, [0; 6]), libc::SECCOMP_RET_ALLOW);
    }
}
