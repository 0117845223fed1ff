//! kiln's own image, built by kiln: `kiln:latest` and `kiln:debug`.

pub(crate) mod root;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

use crate::packages;
use crate::step::{quiet, release_binary, target, timed, workspace};

/// What the image is made of besides kiln.
pub(crate) const PACKAGES: [&str; 2] = ["busybox-static", "ca-certificates"];

/// The stages of deploy/image/Dockerfile, which are the image's tags too.
const TAGS: [&str; 2] = ["latest", "debug"];

/// What `cargo xtask image` was asked for.
#[derive(Debug, Default)]
struct Order {
    out: Option<PathBuf>,
    push: Option<String>,
}

impl Order {
    fn parse(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut order = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let value = rest.next().with_context(|| format!("{argument} needs a value"))?;
            match *argument {
                "--out" => order.out = Some(std::env::current_dir()?.join(value)),
                "--push" => order.push = Some((*value).to_owned()),
                _ => bail!("there is no {argument}: cargo xtask image [--out DIR] [--push NAME]"),
            }
        }
        Ok(order)
    }
}

/// `cargo xtask image`: builds kiln and the image, writes it, and pushes it if a name is given.
///
/// # Errors
/// If the arguments are wrong, something that goes into the image is not there, or a build fails.
pub(crate) fn run(arguments: &[&str]) -> anyhow::Result<()> {
    let order = Order::parse(arguments)?;
    packages::ensure(&PACKAGES, "cargo xtask image")?;
    let kiln = timed("cargo build --release: kiln", release_binary)?;
    let out = order.out.unwrap_or_else(directory);
    make(&kiln, &out, order.push.as_deref())
}

/// Where the image is written unless another directory is named.
pub(crate) fn directory() -> PathBuf {
    target().join("image")
}

/// Makes both tags from this binary: `kiln-TAG.tar` for `docker load`, the OCI layout
/// `kiln-TAG.oci` and `kiln-TAG.digest` in the directory `out`, and pushes them as `NAME:TAG`.
///
/// # Errors
/// As [`run`].
pub(crate) fn make(kiln: &Path, out: &Path, push: Option<&str>) -> anyhow::Result<()> {
    fs::create_dir_all(out)?;
    let epoch = source_date()?;
    let context = tempfile::tempdir_in(out).context("no directory to lay out the image in")?;
    timed("lay out the image", || root::lay_out(&context.path().join("root"), kiln))?;
    for tag in TAGS {
        let build = Build { kiln, context: context.path(), out, tag, push };
        timed(&format!("kiln build: kiln:{tag}"), || build.run(&epoch))?;
        println!("           {}", build.summary()?);
    }
    Ok(())
}

/// No date in the image is later: that of the last commit unless SOURCE_DATE_EPOCH names another.
fn source_date() -> anyhow::Result<String> {
    if let Ok(given) = std::env::var("SOURCE_DATE_EPOCH") {
        return Ok(given);
    }
    let mut git = Command::new("git");
    git.args(["log", "-1", "--format=%ct"]).current_dir(workspace());
    let date = quiet(&mut git).context("no commit to take the date from: set SOURCE_DATE_EPOCH")?;
    Ok(date.trim().to_owned())
}

/// One tag's build.
struct Build<'a> {
    kiln: &'a Path,
    context: &'a Path,
    out: &'a Path,
    tag: &'a str,
    push: Option<&'a str>,
}

impl Build<'_> {
    fn file(&self, kind: &str) -> PathBuf {
        self.out.join(format!("kiln-{}.{kind}", self.tag))
    }

    fn run(&self, epoch: &str) -> anyhow::Result<()> {
        let (archive, layout) = (self.file("tar"), self.file("oci"));
        if layout.exists() {
            // An older image would stay in it.
            fs::remove_dir_all(&layout)?;
        }
        let mut command = Command::new(self.kiln);
        command.arg("build").arg(self.context).args(["--progress", "plain", "--quiet"]);
        command.arg("--file").arg(workspace().join("deploy/image/Dockerfile"));
        command.args(["--target", self.tag, "--isolation", "none"]);
        command.args(["--compression-level", "9", "--source-date-epoch", epoch]);
        command.arg("--tar-path").arg(&archive).arg("--oci-layout-path").arg(&layout);
        command.arg("--digest-file").arg(self.file("digest"));
        match self.push {
            Some(name) => command.args(["--tag", &format!("{name}:{}", self.tag)]),
            None => command.args(["--no-push", "--tag", &format!("kiln:{}", self.tag)]),
        };
        quiet(&mut command).map(drop)
    }

    /// The digest, and how much is sent to a registry.
    fn summary(&self) -> anyhow::Result<String> {
        let digest = fs::read_to_string(self.file("digest"))?;
        let mut bytes = 0;
        for blob in fs::read_dir(self.file("oci").join("blobs/sha256"))? {
            bytes += blob?.metadata()?.len();
        }
        ensure!(bytes > 0, "the OCI layout is empty");
        let (mega, tenths) = (bytes / 1_000_000, bytes / 100_000 % 10);
        Ok(format!("{mega}.{tenths} MB  {}  {}", digest.trim(), self.file("tar").display()))
    }
}
