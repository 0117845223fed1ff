//! Runs one command in a root directory and says how long it took: for `cargo xtask bench broker`.
//!
//! `broker kiln|plain ROOT ASIDE PROGRAM ARGUMENT…` prints nanoseconds and the number of system calls
//! that the broker was asked about. `kiln` is kiln's chroot with its broker; `plain` is chroot(8) with
//! this machine's /proc, /sys and /dev bound into the root, for which it takes a mount namespace.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use kiln::cancel::Cancel;
use kiln::event::Stream;
use kiln::sandbox::{Choice, DirectoryRoot, Network, RunRequest, RunStatus, UserSpec};
use rustix::mount::{MountPropagationFlags, mount_bind_recursive, mount_change};
use rustix::thread::UnshareFlags;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn main() -> ExitCode {
    // kiln's sandbox executes this program again.
    if let Some(code) = kiln::sandbox::dispatch() {
        return code;
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    match measure(&args) {
        Ok((time, asked)) => {
            println!("{} {asked}", time.as_nanos());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &[String]) -> Result<(Duration, u64)> {
    match args {
        [way, root, aside, command @ ..] if !command.is_empty() => match way.as_str() {
            "kiln" => with_broker(root.into(), aside.into(), command),
            "plain" => plain(Path::new(root), command).map(|time| (time, 0)),
            _ => bail!("`{way}` is neither `kiln` nor `plain`"),
        },
        // `cargo bench` without more.
        _ => bail!("this is for `cargo xtask bench broker`"),
    }
}

fn with_broker(path: PathBuf, aside: PathBuf, command: &[String]) -> Result<(Duration, u64)> {
    let chroot = kiln::sandbox::enter(Choice::Chroot)?.chroot?;
    let request = RunRequest {
        args: command.to_vec(),
        env: vec![("PATH".to_owned(), PATH.to_owned())],
        cwd: "/".to_owned(),
        user: UserSpec::default(),
        hostname: "bench".to_owned(),
        hosts: Vec::new(),
        mounts: Vec::new(),
        ulimits: Vec::new(),
        shm_size: 64 << 20,
        network: Network::Host,
    };
    let root = DirectoryRoot { path, aside, links: Vec::new() };
    let output = |stream, bytes: &[u8]| {
        if stream == Stream::Err {
            eprint!("{}", String::from_utf8_lossy(bytes));
        }
    };
    let start = Instant::now();
    let report = chroot.run(&root, &request, &output, &Cancel::default())?;
    let time = start.elapsed();
    ensure!(report.status == RunStatus::Exited(0), "the command ended with {:?}", report.status);
    Ok((time, report.asked))
}

fn plain(root: &Path, command: &[String]) -> Result<Duration> {
    kiln::sys::namespace::unshare(UnshareFlags::NEWNS).context("leave the mount namespace")?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    for name in ["proc", "sys", "dev"] {
        mount_bind_recursive(Path::new("/").join(name), root.join(name))
            .with_context(|| format!("mount /{name}"))?;
    }
    let mut chroot = Command::new("chroot");
    chroot.arg(root).args(command).env_clear().env("PATH", PATH).stdin(Stdio::null());
    let start = Instant::now();
    let output = chroot.output().context("start chroot")?;
    let time = start.elapsed();
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(time)
}
