//! The Dockerfiles and what stands in them for this test.

use std::fs;
use std::path::{Path, PathBuf};

/// One Dockerfile. Comments that begin with `#:` tell how it is built:
///
/// - `#: args --target one`: more arguments for both builders
/// - `#: ignore *.txt`: a line of the context's `.dockerignore`
/// - `#: ignore-of-file *.txt`: a line of the Dockerfile's own `.dockerignore`
/// - `#: xattrs`: the context has a directory of files with extended attributes
/// - `#: fails`: both builders have to refuse it
#[derive(Debug)]
pub struct Case {
    pub name: String,
    pub path: PathBuf,
    pub args: Vec<String>,
    pub ignore: Vec<String>,
    pub ignore_of_file: Vec<String>,
    pub xattrs: bool,
    pub fails: bool,
}

impl Case {
    /// All cases, or those that `KILN_CASE` names, in alphabetical order.
    pub fn all() -> Vec<Self> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
        let entries = fs::read_dir(dir).expect("the directory of the cases");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let files = paths.filter(|path| path.extension().is_some_and(|end| end == "dockerfile"));
        let mut cases: Vec<_> = files.map(Self::read).collect();
        cases.sort_by(|one, other| one.name.cmp(&other.name));
        if let Ok(wanted) = std::env::var("KILN_CASE") {
            let wanted: Vec<_> = wanted.split(',').collect();
            cases.retain(|case| wanted.contains(&case.name.as_str()));
            assert_eq!(cases.len(), wanted.len(), "KILN_CASE names a case that is not there");
        }
        assert!(!cases.is_empty(), "there are no cases");
        cases
    }

    /// Whether its context is not that of all.
    pub fn has_own_context(&self) -> bool {
        self.xattrs || !self.ignore.is_empty()
    }

    fn read(path: PathBuf) -> Self {
        let text = fs::read_to_string(&path).expect("a Dockerfile");
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let mut case = Self {
            name,
            path,
            args: Vec::new(),
            ignore: Vec::new(),
            ignore_of_file: Vec::new(),
            xattrs: false,
            fails: false,
        };
        for line in text.lines().filter_map(|line| line.strip_prefix("#: ")) {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            match key {
                "args" => case.args.extend(value.split(' ').map(str::to_owned)),
                "ignore" => case.ignore.push(value.to_owned()),
                "ignore-of-file" => case.ignore_of_file.push(value.to_owned()),
                "xattrs" => case.xattrs = true,
                "fails" => case.fails = true,
                _ => panic!("{}: `#: {key}` means nothing", case.path.display()),
            }
        }
        case
    }
}
