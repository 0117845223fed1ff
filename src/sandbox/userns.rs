//! A user namespace, for who is not root: the process that was started makes it for a child, maps ids
//! into it and from then on only waits. It is the child that builds.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{
    DumpableBehavior, Pid, Signal, WaitOptions, getegid, geteuid, kill_process,
    set_dumpable_behavior, waitpid,
};
use rustix::thread::UnshareFlags;

use super::enter::own_mounts;
use super::subid::{self, Range};
use crate::sys::{self, process::Fork, process::Parent};

/// Where newuidmap and newgidmap are: set-uid programs, so not looked for in a PATH.
const HELPER_DIRECTORIES: [&str; 5] =
    ["/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", "/run/wrappers/bin"];

/// Signals that end a build, or that a terminal or a supervisor sends for it.
const FORWARDED: [Signal; 4] = [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT];

/// Which ids a new namespace gets, and who maps them.
#[derive(Debug)]
enum Maps {
    /// By this process: it may map what it has, as root without CAP_SYS_ADMIN does.
    Own { uids: Vec<Range>, gids: Vec<Range> },
    /// By the set-uid programs.
    Helpers { uids: Vec<Range>, gids: Vec<Range>, newuidmap: PathBuf, newgidmap: PathBuf },
    /// Only the present user, which needs nobody's permission.
    Single,
}

/// Makes the calling process's child go on in a new user and mount namespace. Returns only there
/// (with the reason why only one id is mapped, where that is so), or with what the machine refused.
pub(super) fn enter() -> Result<Option<String>, String> {
    let several = several();
    let why_single = match several {
        Ok(maps) => match attempt(&maps) {
            Ok(()) => return Ok(None),
            Err(reason) => reason,
        },
        Err(reason) => reason,
    };
    attempt(&Maps::Single)?;
    Ok(Some(why_single))
}

/// Maps with more than one id, or why there are none.
fn several() -> Result<Maps, String> {
    if geteuid().is_root() {
        let own = |table: &str| subid::identity(Path::new(table)).map_err(|e| e.to_string());
        return Ok(Maps::Own {
            uids: own("/proc/self/uid_map")?,
            gids: own("/proc/self/gid_map")?,
        });
    }
    let newuidmap = helper("newuidmap")?;
    let newgidmap = helper("newgidmap")?;
    let uid = geteuid().as_raw();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = subid::account(&passwd, uid);
    let map = |file: &str, id: u32| {
        let table =
            std::fs::read_to_string(file).map_err(|e| format!("cannot read {file}: {e}"))?;
        let map = subid::map(id, &table, name, uid);
        if map.len() > 1 {
            Ok(map)
        } else {
            Err(format!("{file} has no range for user `{}` ({uid})", name.unwrap_or("?")))
        }
    };
    let uids = map("/etc/subuid", uid)?;
    let gids = map("/etc/subgid", getegid().as_raw())?;
    Ok(Maps::Helpers { uids, gids, newuidmap, newgidmap })
}

fn helper(name: &str) -> Result<PathBuf, String> {
    HELPER_DIRECTORIES
        .iter()
        .map(|directory| Path::new(directory).join(name))
        .find(|path| path.exists())
        .ok_or_else(|| format!("{name} is not installed"))
}

/// Forks a child that goes on in the new namespaces. If it cannot, it is gone when this returns.
fn attempt(maps: &Maps) -> Result<(), String> {
    let (mut here, mut there) = UnixStream::pair().map_err(because("cannot make a socket"))?;
    let parent = Parent::this().map_err(because("cannot open a pidfd"))?;
    match sys::process::fork().map_err(because("cannot fork"))? {
        Fork::Child => {
            drop(here);
            if let Err(reason) = leave(parent, &mut there) {
                tell(&mut there, Err(&reason)).ok();
                sys::process::exit_now(1);
            }
            Ok(())
        }
        Fork::Parent(child) => {
            drop(there);
            let ready = hear(&mut here)
                .and_then(|()| maps.write(child))
                .and_then(|()| tell(&mut here, Ok(())))
                .and_then(|()| hear(&mut here));
            if ready.is_ok() {
                wait_for(child);
            }
            // It ends when it hears nothing.
            here.shutdown(Shutdown::Both).ok();
            waitpid(Some(child), WaitOptions::empty()).ok();
            ready
        }
    }
}

/// The child's part.
fn leave(parent: Parent, socket: &mut UnixStream) -> Result<(), String> {
    // A process that is not dumpable has its /proc/PID owned by root, where the parent cannot write
    // the maps (proc(5)): as after a change of user.
    set_dumpable_behavior(DumpableBehavior::Dumpable)
        .map_err(|error| format!("cannot open /proc/self to the parent: {error}"))?;
    sys::namespace::unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS)
        .map_err(because("a user namespace is refused"))?;
    tell(socket, Ok(()))?;
    hear(socket)?;
    own_mounts()?;
    // Last, because a change of credentials would undo it.
    parent.die_with().map_err(because("cannot tie the build to the process that was started"))?;
    tell(socket, Ok(()))
}

impl Maps {
    fn write(&self, child: Pid) -> Result<(), String> {
        let child = child.as_raw_pid();
        let file = |name: &str| PathBuf::from(format!("/proc/{child}/{name}"));
        match self {
            Self::Own { uids, gids } => {
                write_map(&file("uid_map"), uids)?;
                write_map(&file("gid_map"), gids)
            }
            Self::Helpers { uids, gids, newuidmap, newgidmap } => {
                run_helper(newuidmap, child, uids)?;
                run_helper(newgidmap, child, gids)
            }
            Self::Single => {
                let single = |outside| [Range { inside: 0, outside, count: 1 }];
                // Without a helper a group may only be mapped where setgroups(2) is given up
                // (user_namespaces(7)). Missing before Linux 3.19.
                write(&file("setgroups"), "deny")?;
                write_map(&file("uid_map"), &single(geteuid().as_raw()))?;
                write_map(&file("gid_map"), &single(getegid().as_raw()))
            }
        }
    }
}

/// The kernel takes a map in one write(2).
fn write_map(file: &Path, map: &[Range]) -> Result<(), String> {
    let lines =
        map.iter().map(|Range { inside, outside, count }| format!("{inside} {outside} {count}\n"));
    write(file, &lines.collect::<String>())
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    std::fs::write(file, text).map_err(|error| format!("cannot write {}: {error}", file.display()))
}

fn run_helper(helper: &Path, child: i32, map: &[Range]) -> Result<(), String> {
    let mut command = Command::new(helper);
    command.arg(child.to_string());
    for Range { inside, outside, count } in map {
        command.args([inside, outside, count].map(u32::to_string));
    }
    let output =
        command.output().map_err(|error| format!("cannot run {}: {error}", helper.display()))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(format!("{} failed: {}", helper.display(), text.trim().escape_debug()))
}

fn because(what: &'static str) -> impl FnOnce(io::Error) -> String {
    move |error| format!("{what}: {error}")
}

/// One step is done, or why not; the other end waits for it.
fn tell(socket: &mut UnixStream, step: Result<(), &str>) -> Result<(), String> {
    let text = step.map_or_else(|reason| format!("-{reason}"), |()| "+".to_owned());
    socket.write_all(text.as_bytes()).map_err(|error| format!("cannot reach the child: {error}"))
}

fn hear(socket: &mut UnixStream) -> Result<(), String> {
    let mut first = [0];
    match socket.read(&mut first) {
        Ok(1) if first == *b"+" => Ok(()),
        Ok(1) => {
            let mut reason = String::new();
            socket.read_to_string(&mut reason).ok();
            Err(reason)
        }
        Ok(_) => Err("the process in the user namespace ended".to_owned()),
        Err(error) => Err(format!("cannot hear the process in the user namespace: {error}")),
    }
}

/// Waits for the build and ends as it does. This process has the same secrets in its memory.
fn wait_for(build: Pid) -> ! {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).ok();
    let code = forward_until_end(build).unwrap_or(1);
    sys::process::exit_now(code)
}

fn forward_until_end(build: Pid) -> io::Result<i32> {
    let mut signals = vec![Signal::CHILD];
    signals.extend(FORWARDED);
    sys::signal::block(&signals)?;
    loop {
        // First: it may have ended before the signals were blocked.
        if let Some((_, status)) = waitpid(Some(build), WaitOptions::NOHANG)? {
            // What a shell makes of a signal.
            let signal = status.terminating_signal().map(|signal| 128 + signal);
            return Ok(status.exit_status().or(signal).unwrap_or(1));
        }
        let received = sys::signal::wait(&signals)?;
        // A terminal sends to the whole process group, so the build has got that one already.
        if received.signal != Signal::CHILD && !received.from_kernel {
            kill_process(build, received.signal).ok();
        }
    }
}

/// What to do where user namespaces are refused, from the settings that usually refuse them.
pub(super) fn advice() -> String {
    let setting = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    if setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" {
        "as root, set sysctl kernel.apparmor_restrict_unprivileged_userns=0 or give kiln an AppArmor \
         profile with `userns`"
            .to_owned()
    } else if setting("/proc/sys/kernel/unprivileged_userns_clone") == "0" {
        "as root, set sysctl kernel.unprivileged_userns_clone=1".to_owned()
    } else if setting("/proc/sys/user/max_user_namespaces") == "0" {
        "as root, set sysctl user.max_user_namespaces=10000".to_owned()
    } else {
        "in a container, grant CAP_SYS_ADMIN, or run it with a seccomp and AppArmor profile that \
         allows unshare and mount (such as `unconfined`)"
            .to_owned()
    }
}
