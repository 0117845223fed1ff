//! What is built: files, a Dockerfile, and what the command line says.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use testkit::tar::TarBytes;

/// Files by their paths. Directories are made on the way.
pub type Files = BTreeMap<String, Node>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    File(String, u32),
    Dir(u32),
    Link(String),
    /// A tar whose content is one of a few.
    Archive(u8),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    Scratch,
    /// `base:latest`, behind which is now this image and now that.
    Moving,
    /// `base:vN`
    Image(usize),
    /// Another stage, by its name.
    Stage(String),
    /// The context `nc` as a file system.
    Named,
}

#[derive(Debug, Clone)]
pub struct Stage {
    pub name: String,
    pub from: From,
    pub steps: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Project {
    pub files: Files,
    /// The context `nc`.
    pub named: Files,
    pub ignore: Vec<String>,
    pub stages: Vec<Stage>,
    pub args: BTreeMap<String, String>,
    pub target: Option<String>,
    /// Which image `base:latest` is.
    pub base: usize,
    /// Makes names that are new.
    pub counter: usize,
}

impl Project {
    /// `BASE` is the repository of the base images.
    pub fn dockerfile(&self) -> String {
        let stage = |stage: &Stage| {
            let from = match &stage.from {
                From::Scratch => "scratch".to_owned(),
                From::Moving => "BASE:latest".to_owned(),
                From::Image(number) => format!("BASE:v{number}"),
                From::Stage(name) => name.clone(),
                From::Named => "nc".to_owned(),
            };
            let steps: String = stage.steps.iter().map(|step| format!("{step}\n")).collect();
            format!("FROM {from} AS {}\n{steps}", stage.name)
        };
        self.stages.iter().map(stage).collect()
    }

    /// Whether commands can run in a stage.
    pub fn has_shell(&self, from: &From) -> bool {
        match from {
            From::Scratch | From::Named => false,
            From::Moving | From::Image(_) => true,
            From::Stage(name) => {
                let stage = self.stages.iter().find(|stage| stage.name == *name);
                stage.is_some_and(|stage| self.has_shell(&stage.from))
            }
        }
    }

    /// Whether every stage that is named stands before. Another name would be that of an image
    /// somewhere in the world.
    pub fn is_sound(&self) -> bool {
        let mut known: Vec<&str> = Vec::new();
        for stage in &self.stages {
            let base = match &stage.from {
                From::Stage(name) => Some(name.as_str()),
                _ => None,
            };
            let words = stage.steps.iter().flat_map(|step| step.split([' ', ',']));
            let froms =
                words.filter_map(|word| word.trim_start_matches("--").strip_prefix("from="));
            let others = ["nc", "BASE:v0", "BASE:v2", "BASE:v3"];
            let mut named = base.into_iter().chain(froms.filter(|name| !others.contains(name)));
            if !named.all(|name| known.contains(&name)) {
                return false;
            }
            known.push(&stage.name);
        }
        self.target.as_deref().is_none_or(|target| known.contains(&target)) && !known.is_empty()
    }

    pub fn next(&mut self) -> usize {
        self.counter += 1;
        self.counter
    }
}

impl fmt::Display for Project {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "--- Dockerfile\n{}---", self.dockerfile())?;
        writeln!(f, "context {:?}\nnc {:?}\nignored {:?}", self.files, self.named, self.ignore)?;
        write!(f, "args {:?} target {:?} base {}", self.args, self.target, self.base)
    }
}

/// Puts files into a directory, in place of all that is there. All have a new time.
pub fn write(files: &Files, dir: &Path) {
    _ = fs::remove_dir_all(dir);
    fs::create_dir_all(dir).unwrap();
    for (path, node) in files {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match node {
            Node::File(content, mode) => {
                fs::write(&path, content).unwrap();
                fs::set_permissions(&path, Permissions::from_mode(*mode)).unwrap();
            }
            Node::Dir(mode) => {
                fs::create_dir_all(&path).unwrap();
                fs::set_permissions(&path, Permissions::from_mode(*mode)).unwrap();
            }
            Node::Link(target) => symlink(target, &path).unwrap(),
            Node::Archive(number) => {
                let tar = TarBytes::new().dir("in").mode(0o750).owner(3, 4);
                let tar = tar.file("in/a", format!("{number}\n")).file("b", "b").owner(7, 8);
                fs::write(&path, tar.finish()).unwrap();
            }
        }
    }
}
