//! Other people's command-line tools.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// Runs a program to its end; its standard output. It must be there and succeed.
#[track_caller]
pub fn run<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> String {
    let mut command = Command::new(program);
    command.args(args);
    output(command)
}

/// The same for a command that is set up already.
#[track_caller]
pub fn output(mut command: Command) -> String {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => panic!("cannot run {name}: {error}; install it with: apt-get install {name}"),
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}{err}", output.status);
    out
}

/// A program in another root, with nothing in its environment but what the caller adds.
pub fn in_root(root: &Path, program: &str) -> Command {
    // By its path: without PATH it would be looked for in /bin and /usr/bin.
    let mut command = Command::new("/usr/sbin/chroot");
    command.arg(root).arg(program).env_clear();
    command
}

/// Copies an image from registry to registry with skopeo, into the media types of `format`: `oci`
/// or `v2s2`. Certificates are not verified. `more` are further arguments.
#[track_caller]
pub fn skopeo_copy(from: &str, to: &str, format: &str, more: &[&str]) {
    let args = ["--insecure-policy", "copy", "--quiet", "--format", format];
    let tls = ["--src-tls-verify=false", "--dest-tls-verify=false"];
    let (from, to) = (format!("docker://{from}"), format!("docker://{to}"));
    run("skopeo", args.into_iter().chain(tls).chain(more.iter().copied()).chain([&*from, &*to]));
}

/// What skopeo says of an image: `docker://…`, `oci:…` or `docker-archive:…`.
#[track_caller]
pub fn skopeo_inspect(image: &str, more: &[&str]) -> serde_json::Value {
    let tls = if image.starts_with("docker:") { &["--tls-verify=false"][..] } else { &[] };
    let args = ["--insecure-policy", "inspect"].iter().chain(tls).chain(more).copied();
    let text = run("skopeo", args.chain([image]));
    serde_json::from_str(&text).expect("JSON")
}
