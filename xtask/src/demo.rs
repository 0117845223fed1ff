//! What kiln does, shown on this machine: a Flask application goes from its Dockerfile to an image
//! in a registry, back again, and answers a request. Nothing but the loopback is pushed to.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use testkit::image::Image;
use testkit::process::{Daemon, Ready};
use testkit::{Registry, base, client};

use crate::packages;
use crate::step::{quiet, release_binary, run as run_command, target, timed, workspace};

const BASE_REPO: &str = "library/python";
const BASE_TAG: &str = "3-slim";
const APP: &str = "pythonapp-flask";
/// What Docker Hub gets to answer in, before the demo goes on without it.
const HUB_PATIENCE: Duration = Duration::from_secs(8);

/// Runs the demo.
///
/// # Errors
/// If a step fails; says which and why.
pub(crate) fn run() -> anyhow::Result<()> {
    let dir = target().join("demo");
    fs::create_dir_all(&dir)?;
    let start = Instant::now();
    let kiln = timed("cargo build --release: kiln", release_binary)?;
    let registry = timed("a registry on the loopback", || {
        Registry::builder().dir(dir.join("registry")).try_start()
    })?;
    let demo = Demo { kiln, registry, dir };
    demo.base()?;
    let digest = timed("kiln build: the application", || demo.build())?;
    let image = timed("pull it back and check every digest", || demo.pull(&digest))?;
    let root = demo.dir.join("run");
    let answer = timed("unpack it, start it, ask it for /", || demo.serve(&image, &root));
    // Also after a failure.
    timed("clean up", || remove(&root))?;
    let answer = answer?;
    println!("\nimage   {}/{APP}:demo", demo.registry.host());
    println!("digest  {digest}");
    println!("size    {}", size(&image.manifest));
    println!("answer  {}", answer.trim());
    println!("total   {:.1} s", start.elapsed().as_secs_f64());
    println!("\nNothing is left running. What was made lies in {}.", demo.dir.display());
    Ok(())
}

struct Demo {
    kiln: PathBuf,
    registry: Registry,
    dir: PathBuf,
}

impl Demo {
    /// `kiln build CONTEXT`, with the loopback registry in front of Docker Hub.
    fn kiln_build(&self, context: &Path) -> Command {
        let mut command = Command::new(&self.kiln);
        command.arg("build").arg(context).args(["--progress", "plain"]);
        for flag in ["--registry-mirror", "--insecure-registry"] {
            command.args([flag, self.registry.host()]);
        }
        command
    }

    /// Sees to it that `FROM python:3-slim` means something.
    fn base(&self) -> anyhow::Result<()> {
        if self.registry.digest(BASE_REPO, BASE_TAG).is_some() {
            println!("           python:3-slim is there from an earlier demo");
            return Ok(());
        }
        if timed("is Docker Hub there?", || Ok(self.hub_answers()))? {
            println!("           python:3-slim comes from Docker Hub");
            return Ok(());
        }
        println!("           it is not: python:3-slim is made from Debian packages");
        let mut needed = vec!["mmdebstrap", "debian-archive-keyring"];
        if !packages::is_root() {
            needed.push("uidmap");
        }
        packages::ensure(&needed, "making python:3-slim from Debian packages")?;
        let python = timed("mmdebstrap: Debian with Python", || base::python(&self.dir))?;
        timed("kiln build: python:3-slim", || self.build_base(&python))
    }

    /// Whether kiln can read the base image's manifest from Docker Hub.
    fn hub_answers(&self) -> bool {
        let context = self.dir.join("hub");
        let dockerfile = format!("FROM python:{BASE_TAG}\n");
        let written = fs::create_dir_all(&context)
            .and_then(|()| fs::write(context.join("Dockerfile"), dockerfile));
        let mut command = self.kiln_build(&context);
        command.arg("--no-push");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        written.is_ok() && succeeds_within(&mut command, HUB_PATIENCE)
    }

    fn build_base(&self, python: &base::Base) -> anyhow::Result<()> {
        let context = self.dir.join("base");
        remove(&context)?;
        fs::create_dir_all(&context)?;
        fs::hard_link(&python.rootfs, context.join("rootfs.tar"))?;
        let mut dockerfile = "FROM scratch\nADD rootfs.tar /\n".to_owned();
        for variable in strings(&python.config["Env"]) {
            dockerfile += &format!("ENV {variable}\n");
        }
        dockerfile += &format!("CMD {}\n", python.config["Cmd"]);
        fs::write(context.join("Dockerfile"), dockerfile)?;
        let name = format!("{}/{BASE_REPO}:{BASE_TAG}", self.registry.host());
        quiet(self.kiln_build(&context).args(["-t", &name])).map(drop)
    }

    /// Builds and pushes the application. Returns its digest.
    fn build(&self) -> anyhow::Result<String> {
        let digest = self.dir.join("digest");
        let name = format!("{}/{APP}:demo", self.registry.host());
        let mut command = self.kiln_build(&workspace().join("examples").join(APP));
        run_command(command.args(["-t", &name, "--digest-file"]).arg(&digest))?;
        Ok(fs::read_to_string(digest)?.trim().to_owned())
    }

    fn pull(&self, digest: &str) -> anyhow::Result<Image> {
        let image = Image::pull(self.registry.host(), APP, "demo", None)?;
        ensure!(image.digest == digest, "kiln said {digest}, the registry has {}", image.digest);
        image.verify()?;
        Ok(image)
    }

    /// Unpacks the image, starts it as its configuration says, and asks it for `/`.
    fn serve(&self, image: &Image, root: &Path) -> anyhow::Result<String> {
        remove(root)?;
        fs::create_dir_all(root)?;
        image.unpack(root)?;
        let said = "Listening at: http://127.0.0.1:";
        let mut command = contained(image, root)?;
        // gunicorn's own variable: another port without another command.
        command.env("GUNICORN_CMD_ARGS", "--bind=127.0.0.1:0");
        let ready = Ready::Log(said.to_owned());
        let log = self.dir.join("app.log");
        let daemon = Daemon::start(command, &log, &ready, Duration::from_secs(60))?;
        let log = daemon.log();
        let port = log.split(said).nth(1).unwrap_or_default();
        let port: String = port.chars().take_while(char::is_ascii_digit).collect();
        let answer = client::get(&format!("http://127.0.0.1:{port}/"))?;
        ensure!(answer.status == 200, "the application answers with {}", answer.status);
        Ok(answer.text())
    }
}

/// The image's command in the unpacked root: in namespaces of its own where the kernel allows
/// that, else with a changed root only.
fn contained(image: &Image, root: &Path) -> anyhow::Result<Command> {
    let config = &image.config["config"];
    let mut arguments = strings(&config["Entrypoint"]);
    arguments.extend(strings(&config["Cmd"]));
    ensure!(!arguments.is_empty(), "the image has no command");
    let namespaces: &[&str] = match packages::is_root() {
        true => &["--mount", "--pid", "--fork", "--kill-child"],
        false => &["--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child"],
    };
    let probe = Command::new("unshare").args(namespaces).arg("true").output();
    let can_unshare = probe.is_ok_and(|output| output.status.success());
    if !can_unshare && !packages::is_root() {
        bail!("starting the image as this user needs user namespaces, which the system refuses");
    }
    let mut command = match can_unshare {
        true => Command::new("unshare"),
        false => Command::new("/bin/sh"),
    };
    command.env_clear();
    for variable in strings(&config["Env"]) {
        let (name, value) = variable.split_once('=').context("a variable without a value")?;
        command.env(name, value);
    }
    if can_unshare {
        command.args(namespaces).arg("/bin/sh");
    }
    let mounts = "mount -t proc proc \"$1/proc\"; mount --rbind /dev \"$1/dev\"; ";
    let enter =
        "root=$1; shift; exec chroot \"$root\" /bin/sh -c 'cd \"$0\" && exec \"$@\"' \"$@\"";
    let directory = config["WorkingDir"].as_str().filter(|dir| !dir.is_empty()).unwrap_or("/");
    let script = if can_unshare { format!("{mounts}{enter}") } else { enter.to_owned() };
    command.args(["-c", &script, "sh"]).arg(root).arg(directory).args(arguments);
    Ok(command)
}

/// Runs a command that is ended when it takes too long.
fn succeeds_within(command: &mut Command, patience: Duration) -> bool {
    let Ok(mut child) = command.spawn() else { return false };
    let end = Instant::now() + patience;
    while Instant::now() < end {
        if let Ok(Some(status)) = child.try_wait() {
            return status.success();
        }
        thread::sleep(Duration::from_millis(50));
    }
    // It may have ended just now.
    let _ = child.kill();
    let _ = child.wait();
    false
}

fn strings(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

fn size(manifest: &Value) -> String {
    let layers = manifest["layers"].as_array().cloned().unwrap_or_default();
    let bytes: u64 = layers.iter().filter_map(|layer| layer["size"].as_u64()).sum();
    format!("{}.{} MB in {} layers", bytes / 1_000_000, bytes / 100_000 % 10, layers.len())
}

/// Removes a directory, if it is there, with all that is in it.
fn remove(dir: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}
