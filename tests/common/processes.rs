//! The machine's processes, to see what a build has left.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How long the kernel may take to end what was killed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Processes that have something to do with a directory: in their command line or environment, as
/// their root or working directory, or among their mounts. Those that are about to end are waited
/// for.
pub fn that_know(dir: &Path) -> Vec<String> {
    let name = dir.file_name().expect("a name").to_str().expect("text").to_owned();
    wait_until_none(|process| {
        let text = |file: &str| fs::read(process.join(file)).unwrap_or_default();
        let link = |file: &str| fs::read_link(process.join(file)).unwrap_or_default();
        let links = ["cwd", "root", "exe"].map(|file| link(file).into_os_string());
        let files = ["cmdline", "environ", "mountinfo"].map(text);
        files
            .iter()
            .map(Vec::as_slice)
            .chain(links.iter().map(|link| link.as_encoded_bytes()))
            .any(|bytes| bytes.windows(name.len()).any(|window| window == name.as_bytes()))
    })
}

/// Processes whose command line has this text in it. Those that are about to end are waited for.
pub fn that_run(text: &str) -> Vec<String> {
    wait_until_none(|process| command_line(process).contains(text))
}

/// Whether a process whose command line has this text in it is there now.
pub fn is_running(text: &str) -> bool {
    !now(|process| command_line(process).contains(text)).is_empty()
}

fn wait_until_none(is_meant: impl Fn(&Path) -> bool) -> Vec<String> {
    let end = Instant::now() + PATIENCE;
    loop {
        let found = now(&is_meant);
        if found.is_empty() || Instant::now() > end {
            return found;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn now(is_meant: impl Fn(&Path) -> bool) -> Vec<String> {
    let own = std::process::id().to_string();
    let processes = fs::read_dir("/proc").expect("/proc").flatten().filter(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.bytes().all(|byte| byte.is_ascii_digit()) && name != own
    });
    let meant = processes.filter(|entry| is_meant(&entry.path()));
    meant
        .map(|entry| format!("{} {}", entry.file_name().display(), command_line(&entry.path())))
        .collect()
}

fn command_line(process: &Path) -> String {
    let bytes = fs::read(process.join("cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}
