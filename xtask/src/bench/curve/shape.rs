//! Which things are counted, and the build that has so many of one.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;
use std::process::Command;

use super::place::Place;
use crate::step::quiet;

/// How a RUN is set up; the others run nothing.
const NAMESPACES: &str = "namespaces";
const CHROOT: &str = "chroot";

/// One curve.
pub(super) struct Shape {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// One of what is counted.
    pub(super) unit: &'static str,
    pub(super) counts: &'static [u64],
    pub(super) isolation: &'static str,
    /// What has to be there for so many.
    pub(super) make: fn(&Place, u64) -> anyhow::Result<Project>,
    /// What one costs on the disk: bytes and inodes.
    pub(super) disk: (u64, u64),
}

/// What is built.
pub(super) struct Project {
    /// Writes into the context and says what its Dockerfile is.
    pub(super) dockerfile: String,
    /// Layers that come with the base.
    pub(super) base_layers: usize,
}

impl From<String> for Project {
    fn from(dockerfile: String) -> Self {
        Self { dockerfile, base_layers: 0 }
    }
}

const MILLION: &[u64] = &[100, 1_000, 10_000, 100_000, 1_000_000];
const HUNDRED_THOUSAND: &[u64] = &[100, 1_000, 10_000, 100_000];
const HUNDRED: &[u64] = &[1, 10, 30, 100];
const MEGABYTES: &[u64] = &[10, 100, 1_000, 2_000];
/// A file of a few bytes takes a block.
const FILE: (u64, u64) = (4 << 10, 1);
const SMALL: (u64, u64) = (1 << 20, 1_000);

pub(super) const SHAPES: [Shape; 10] = [
    Shape {
        id: "files",
        title: "files that a RUN writes, `namespaces`",
        unit: "file",
        counts: MILLION,
        isolation: NAMESPACES,
        make: files,
        disk: FILE,
    },
    Shape {
        id: "files-chroot",
        title: "files that a RUN writes, `chroot`",
        unit: "file",
        counts: MILLION,
        isolation: CHROOT,
        make: files,
        disk: FILE,
    },
    Shape {
        id: "copied",
        title: "files of a context, all of which are copied",
        unit: "file",
        counts: HUNDRED_THOUSAND,
        isolation: NAMESPACES,
        make: copied,
        disk: (8 << 10, 2),
    },
    Shape {
        id: "ignored",
        title: "files of a context, all but one of which .dockerignore leaves out by their names",
        unit: "file",
        counts: MILLION,
        isolation: NAMESPACES,
        make: ignored,
        disk: (256, 1),
    },
    Shape {
        id: "beside",
        title: "files of a context, beside the one that is copied",
        unit: "file",
        counts: MILLION,
        isolation: NAMESPACES,
        make: beside,
        disk: (256, 1),
    },
    Shape {
        id: "layers",
        title: "layers of a base, under one RUN",
        unit: "layer",
        counts: HUNDRED,
        isolation: NAMESPACES,
        make: layers,
        disk: SMALL,
    },
    Shape {
        id: "runs",
        title: "RUN steps of one file each",
        unit: "step",
        counts: HUNDRED,
        isolation: NAMESPACES,
        make: runs,
        disk: SMALL,
    },
    Shape {
        id: "copies",
        title: "COPY steps of one file each",
        unit: "step",
        counts: HUNDRED,
        isolation: NAMESPACES,
        make: copies,
        disk: SMALL,
    },
    Shape {
        id: "stages",
        title: "stages with a RUN each, of which the last one copies a file each",
        unit: "stage",
        counts: HUNDRED,
        isolation: NAMESPACES,
        make: stages,
        disk: SMALL,
    },
    Shape {
        id: "megabytes",
        title: "megabytes of one file, which do not compress, as a layer",
        unit: "MB",
        counts: MEGABYTES,
        isolation: NAMESPACES,
        make: megabytes,
        disk: (3 << 20, 0),
    },
];

const WRITER: &str = "FROM scratch\nCOPY writer /\n";

fn files(place: &Place, count: u64) -> anyhow::Result<Project> {
    place.add_writer()?;
    Ok(format!("{WRITER}RUN [\"/writer\", \"/made\", \"{count}\", \"1\"]\n").into())
}

fn copied(place: &Place, count: u64) -> anyhow::Result<Project> {
    write(place, count, true)?;
    Ok("FROM scratch\nCOPY made /made\n".to_owned().into())
}

fn ignored(place: &Place, count: u64) -> anyhow::Result<Project> {
    write(place, count, false)?;
    fs::write(place.context().join("one"), "1")?;
    fs::write(place.context().join(".dockerignore"), "**/*.dat\n")?;
    Ok("FROM scratch\nCOPY . /\n".to_owned().into())
}

fn beside(place: &Place, count: u64) -> anyhow::Result<Project> {
    write(place, count, false)?;
    fs::write(place.context().join("one"), "1")?;
    Ok("FROM scratch\nCOPY one /\n".to_owned().into())
}

/// So many files in the context: of a few bytes, or empty.
fn write(place: &Place, count: u64, bytes: bool) -> anyhow::Result<()> {
    let mut writer = Command::new(place.writer());
    writer.arg(place.context().join("made")).arg(count.to_string());
    quiet(writer.arg(if bytes { "1" } else { "0" })).map(drop)
}

fn layers(place: &Place, count: u64) -> anyhow::Result<Project> {
    let base = place.context().join("base");
    fs::create_dir(&base)?;
    let dockerfile = numbered(&base, count)?;
    fs::write(base.join("Dockerfile"), dockerfile)?;
    let name = format!("{}/base:1", place.host());
    let mut build = place.checkout.kiln();
    quiet(build.arg("build").arg(&base).args(["-t", &name]))?;
    fs::remove_dir_all(&base)?;
    place.add_writer()?;
    let dockerfile =
        format!("FROM {name}\nCOPY writer /\nRUN [\"/writer\", \"/made\", \"1\", \"1\"]\n");
    Ok(Project { dockerfile, base_layers: usize::try_from(count)? })
}

fn copies(place: &Place, count: u64) -> anyhow::Result<Project> {
    Ok(numbered(&place.context(), count)?.into())
}

/// Files of a number each, and a Dockerfile that copies one after the other.
fn numbered(context: &Path, count: u64) -> io::Result<String> {
    let mut dockerfile = "FROM scratch\n".to_owned();
    for number in 0..count {
        fs::write(context.join(format!("{number}")), format!("{number}\n"))?;
        let _ = writeln!(dockerfile, "COPY {number} /");
    }
    Ok(dockerfile)
}

fn runs(place: &Place, count: u64) -> anyhow::Result<Project> {
    place.add_writer()?;
    let mut dockerfile = WRITER.to_owned();
    for number in 0..count {
        let _ = writeln!(dockerfile, "RUN [\"/writer\", \"/made{number}\", \"1\", \"1\"]");
    }
    Ok(dockerfile.into())
}

fn stages(place: &Place, count: u64) -> anyhow::Result<Project> {
    place.add_writer()?;
    let mut dockerfile = String::new();
    for number in 0..count {
        let stage = WRITER.replace("scratch", &format!("scratch AS stage{number}"));
        let _ = writeln!(dockerfile, "{stage}RUN [\"/writer\", \"/made{number}\", \"1\", \"1\"]");
    }
    dockerfile += "FROM scratch\n";
    for number in 0..count {
        let made = format!("/made{number}");
        let _ = writeln!(dockerfile, "COPY --from=stage{number} {made} {made}");
    }
    Ok(dockerfile.into())
}

fn megabytes(place: &Place, count: u64) -> anyhow::Result<Project> {
    let mut random = fs::File::open("/dev/urandom")?.take(count * 1_000_000);
    io::copy(&mut random, &mut fs::File::create(place.context().join("file"))?)?;
    Ok("FROM scratch\nCOPY file /\n".to_owned().into())
}
