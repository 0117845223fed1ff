//! The builds that are counted. Small, and the same each time.

use crate::common::Kiln;
use crate::common::bases::noise;
use crate::common::built::Bench;

use super::base;

/// How RUN is carried out.
#[derive(Debug, Clone, Copy)]
pub enum Isolation {
    Namespaces,
    Chroot,
}

impl Isolation {
    pub const BOTH: [Self; 2] = [Self::Namespaces, Self::Chroot];

    pub fn name(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::Chroot => "chroot",
        }
    }
}

/// A registry, and builds of a project with it. Each is on a machine that knows nothing yet.
#[derive(Debug)]
pub struct Project {
    pub bench: Bench,
    dockerfile: String,
    files: Vec<(String, Vec<u8>)>,
    args: Vec<String>,
}

impl Project {
    pub fn new(dockerfile: &str) -> Self {
        let bench = Bench::new();
        base::add(&bench);
        Self { bench, dockerfile: dockerfile.to_owned(), files: Vec::new(), args: Vec::new() }
    }

    pub fn file(mut self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.retain(|(known, _)| known != name);
        self.files.push((name.to_owned(), content.into()));
        self
    }

    fn files(self, count: usize, name: impl Fn(usize) -> String) -> Self {
        (0..count).fold(self, |project, number| {
            project.file(&name(number), format!("file {number}\n").repeat(20))
        })
    }

    fn isolation(mut self, isolation: Isolation) -> Self {
        self.args.extend(["--isolation".to_owned(), isolation.name().to_owned()]);
        self
    }

    fn cached(mut self) -> Self {
        let repository = format!("{}/app/cache", self.bench.registry.host());
        self.args.extend(["--cache-repo".to_owned(), repository]);
        self
    }

    pub fn kiln(&self) -> Kiln {
        let kiln = self.bench.kiln(&self.dockerfile).args(&self.args);
        // Times that differ from build to build compress differently.
        let kiln = kiln.env("SOURCE_DATE_EPOCH", "1700000000");
        self.files.iter().fold(kiln, |kiln, (name, content)| kiln.file(name, content))
    }

    /// The same project after a build that went well.
    fn built(self) -> Self {
        self.kiln().run().ok();
        self
    }
}

/// A program into an image without running anything in it.
pub fn copy_only() -> Project {
    Project::new("FROM BASE/base\nCOPY program /usr/bin/program\nCMD [\"program\"]\n")
        .file("program", noise(100_000, 3))
}

/// Like a small service: what it needs, a command, its files.
pub fn flask(isolation: Isolation) -> Project {
    let dockerfile = "\
FROM BASE/base
WORKDIR /app
COPY requirements.txt .
RUN while read name; do echo $name > /app/lib-$name; done < requirements.txt
COPY . .
ENV PORT=8000
CMD [\"app\"]
";
    let needs: String = (0..30).map(|number| format!("package{number}\n")).collect();
    Project::new(dockerfile)
        .file("requirements.txt", needs)
        .file("app.py", "print(1)\n")
        .files(20, |number| format!("static/file{number}.css"))
        .isolation(isolation)
}

/// The same again, with a cache in which all of it is.
pub fn unchanged(isolation: Isolation) -> Project {
    flask(isolation).cached().built()
}

/// The same with another file, with a cache in which the rest is.
pub fn one_changed(isolation: Isolation) -> Project {
    flask(isolation).cached().built().file("app.py", "print(2)\n")
}

/// This many commands, each of which writes a file.
pub fn deep(isolation: Isolation, runs: usize) -> Project {
    let runs: String =
        (0..runs).map(|number| format!("RUN echo {number} > /f{number}\n")).collect();
    Project::new(&format!("FROM BASE/base\n{runs}")).isolation(isolation)
}

/// Three stages side by side, and one with a file of each.
pub fn stages(isolation: Isolation) -> Project {
    let stage = |name: &str| {
        format!("FROM BASE/base AS {name}\nRUN echo {name} > /made\nRUN echo more >> /made\n")
    };
    let copy = |name: &str| format!("COPY --from={name} /made /{name}\n");
    let names = ["one", "two", "three"];
    let text = names.map(stage).concat() + "FROM BASE/base\n" + &names.map(copy).concat();
    Project::new(&text).isolation(isolation)
}

/// This many files of which 60 are copied, from one directory in fifty.
pub fn monorepo(files: usize) -> Project {
    Project::new("FROM BASE/base\nCOPY service /service\n")
        .files(files, |number| format!("others/part{}/file{number}", number % 49))
        .files(60, |number| format!("service/file{number}"))
}

/// A context of this many files, all of which are copied.
pub fn copied(files: usize) -> Project {
    Project::new("FROM BASE/base\nCOPY service /service\n")
        .files(files, |number| format!("service/file{number}"))
}

/// All of a context is copied but for this many files, which .dockerignore hides.
pub fn ignored(files: usize) -> Project {
    Project::new("FROM BASE/base\nCOPY . /all\n")
        .files(files, |number| format!("modules/file{number}"))
        .file(".dockerignore", "modules\n")
}

/// A command that writes this many files.
pub fn writes(isolation: Isolation, files: usize) -> Project {
    let text = format!(
        "FROM BASE/base\n\
         RUN i=0; while [ $i -lt {files} ]; do echo $i > /var/file$i; i=$((i+1)); done\n"
    );
    Project::new(&text).isolation(isolation)
}

/// A base image with this many files, below a command that writes one.
pub fn wide_base(isolation: Isolation, files: usize) -> Project {
    let project = Project::new("FROM BASE/base\nRUN echo > /made\n").isolation(isolation);
    base::add_wide(&project.bench, files);
    project
}

/// A layer that does not compress: 32 MB that come from the context, and that a command copies.
pub fn large(isolation: Isolation) -> Project {
    let project = Project::new("FROM BASE/base\nCOPY noise /noise\nRUN exec cat /noise > /made\n");
    project.file("noise", noise(LARGE, 4)).isolation(isolation)
}

/// Bytes of the file in [`large`].
pub const LARGE: usize = 32_000_000;
