//! What is built: nine projects, each with something else that takes time.

mod check;
mod context;
mod dockerfile;

use std::path::{Path, PathBuf};

use testkit::image::Objects;

pub(crate) use dockerfile::flask_command;

/// One project and what is done with it.
#[derive(Debug)]
pub(crate) struct Case {
    /// Its word on the command line and in the results.
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    /// It is measured less often, and not before the clock counts.
    pub(crate) is_long: bool,
    pub(crate) build: Build,
    /// Which of the directories that are made once is its context.
    project: Project,
    /// How many stages it has that do not need one another.
    pub(crate) stages: usize,
    /// Bytes of the disk for the builder, and of the one for the registry. They are sparse.
    pub(crate) disks: [u64; 2],
}

/// What was built before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    Cold,
    /// The same, on another machine, with a cache.
    Unchanged,
    /// The same but for a line of app.py.
    Changed,
}

/// A context without its Dockerfile, whose FROM names a registry that is another each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Project {
    Flask,
    Large,
    Stages,
    CopyOnly,
    Deep,
    Monorepo,
    BigPush,
}

const GIB: u64 = 1 << 30;

/// All of them, in the order of the tables.
pub(crate) const CASES: [Case; 9] = [
    short("flask-cold", "flask, cold", Project::Flask),
    Case {
        build: Build::Unchanged,
        ..short("flask-unchanged", "flask, unchanged", Project::Flask)
    },
    Case {
        build: Build::Changed,
        ..short("flask-changed", "flask, one line of app.py changed", Project::Flask)
    },
    long("large", "500 MB in 20,000 files", Project::Large),
    Case { stages: 3, ..long("stages", "three independent stages", Project::Stages) },
    short("copy-only", "a static binary on Debian", Project::CopyOnly),
    long("deep", "40 RUNs of one small file", Project::Deep),
    short("monorepo", "2 % of a context of 60,000 files", Project::Monorepo),
    Case {
        disks: [16 * GIB, 16 * GIB],
        ..long("big-push", "one incompressible layer of 2 GB", Project::BigPush)
    },
];

const fn short(id: &'static str, title: &'static str, project: Project) -> Case {
    let disks = [8 * GIB, 4 * GIB];
    Case { id, title, is_long: false, build: Build::Cold, project, stages: 1, disks }
}

const fn long(id: &'static str, title: &'static str, project: Project) -> Case {
    Case { is_long: true, ..short(id, title, project) }
}

impl Case {
    pub(crate) fn named(id: &str) -> Option<&'static Self> {
        CASES.iter().find(|case| case.id == id)
    }

    /// Makes the context without its Dockerfile, if it was not made before. Returns its directory
    /// below `dir`.
    ///
    /// # Errors
    /// If the disk refuses, or pip fails.
    pub(crate) fn context(&self, dir: &Path) -> anyhow::Result<PathBuf> {
        context::prepare(self.project, dir)
    }

    /// The Dockerfile for base images in this registry.
    pub(crate) fn dockerfile(&self, host: &str) -> String {
        dockerfile::of(self.project, host)
    }

    /// Changes the checkout as a developer would.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(crate) fn change(&self, context: &Path) -> anyhow::Result<()> {
        if self.build == Build::Changed {
            let file = context.join("app.py");
            std::fs::write(&file, std::fs::read_to_string(&file)? + "# changed\n")?;
        }
        Ok(())
    }

    /// Whether an image has what the case is about.
    ///
    /// # Errors
    /// If not; says what it lacks.
    pub(crate) fn check(&self, tree: &Objects, context: &Path) -> anyhow::Result<()> {
        check::check(self.project, tree, context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_cases() {
        for case in &CASES {
            assert_eq!(Case::named(case.id).map(|found| found.title), Some(case.title));
            let dockerfile = case.dockerfile("127.0.0.1:5000");
            assert!(dockerfile.starts_with("FROM 127.0.0.1:5000/library/"), "{dockerfile}");
        }
        assert!(Case::named("small").is_none());
        assert_eq!(CASES.iter().filter(|case| case.is_long).count(), 4);
    }

    #[test]
    fn only_the_changed_case_changes() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let file = dir.path().join("app.py");
        std::fs::write(&file, "one\n")?;
        CASES[0].change(dir.path())?;
        CASES[1].change(dir.path())?;
        assert_eq!(std::fs::read_to_string(&file)?, "one\n");
        CASES[2].change(dir.path())?;
        assert_eq!(std::fs::read_to_string(&file)?, "one\n# changed\n");
        Ok(())
    }
}
