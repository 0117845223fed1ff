//! The rules of ARCHITECTURE.md that a machine can check: which module may use which, where
//! `unsafe`, printing and the environment are, and how long files get.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Modules that everyone may use.
const CARRIERS: &[&str] = &["sys", "digest", "cancel", "event"];

/// The others, in the order in which the data travels: each uses only what stands before it.
const ORDER: &[&str] = &[
    "dockerfile",
    "layer",
    "rootfs",
    "context",
    "image",
    "registry",
    "remote",
    "base_cache",
    "request",
    "plan",
    "lint",
    "cache",
    "sandbox",
    "stage",
    "publish",
    "carry",
    "schedule",
    "work_dir",
    "settings",
    "doctor",
    "warm",
    "pipeline",
    "ui",
    "cli",
    "main",
];

/// More than this is two jobs in one file.
const LONGEST_FILE: usize = 600;

fn sources() -> BTreeMap<PathBuf, String> {
    fn collect(dir: &Path, found: &mut BTreeMap<PathBuf, String>) {
        for entry in std::fs::read_dir(dir).expect("src is readable") {
            let path = entry.expect("an entry").path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let of_tests = ["tests", "vectors", "testing", "testserver"];
            if of_tests.iter().any(|end| name.ends_with(end)) {
                continue;
            }
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source file");
                found.insert(path, text);
            }
        }
    }
    let mut found = BTreeMap::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 40, "the sources were not found");
    found
}

fn module_of(path: &Path) -> String {
    let below = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let first = below.expect("below src").components().next().expect("a name");
    first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// The file without its unit tests, comments and string contents that could look like code.
fn code(text: &str) -> String {
    let before_tests = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text);
    before_tests
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect()
}

fn used_modules(code: &str) -> Vec<String> {
    let mut used = Vec::new();
    for prefix in ["crate::", "kiln::"] {
        for part in code.split(prefix).skip(1) {
            if let Some(group) = part.strip_prefix('{') {
                let names = group.split('}').next().unwrap_or_default();
                used.extend(names.split(',').map(|name| name.trim().to_owned()));
            } else {
                used.push(part.to_owned());
            }
        }
    }
    let name = |text: String| -> String {
        text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    used.into_iter().map(name).filter(|name| !name.is_empty()).collect()
}

#[test]
fn modules_use_only_what_stands_before_them() {
    let rank = |module: &str| ORDER.iter().position(|name| *name == module);
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let own = module_of(&path);
        if own == "lib" {
            continue;
        }
        for used in used_modules(&code(&text)) {
            if used == own || CARRIERS.contains(&used.as_str()) {
                continue;
            }
            let allowed = match (rank(&own), rank(&used)) {
                (Some(own), Some(used)) => used < own,
                // A carrier uses only other carriers.
                (None, Some(_)) => false,
                (_, None) => panic!("{}: `{used}` is no known module", path.display()),
            };
            if !allowed {
                wrong.push(format!("{} uses {used}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "against the order of the modules:\n{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_is_in_sys_only() {
    for (path, text) in sources() {
        if module_of(&path) != "sys" {
            assert!(!code(&text).contains("unsafe "), "{} has unsafe code", path.display());
        }
    }
}

#[test]
fn only_ui_prints_and_only_cli_reads_the_environment() {
    for (path, text) in sources() {
        let (module, code) = (module_of(&path), code(&text));
        if module != "ui" {
            for word in ["println!", "eprintln!", "print!(", "eprint!("] {
                assert!(!code.contains(word), "{} prints with {word}", path.display());
            }
        }
        if module != "cli" {
            assert!(!code.contains("env::var"), "{} reads the environment", path.display());
        }
    }
}

#[test]
fn no_file_is_too_long_to_read() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines", path.display());
    }
}

#[test]
fn nothing_is_left_undone() {
    for (path, text) in sources() {
        for word in ["todo!(", "unimplemented!(", "FIXME", "XXX"] {
            assert!(!text.contains(word), "{} has {word}", path.display());
        }
    }
}

/// Which is why `cargo xtask test` does not build the library once more to run them.
#[test]
fn documentation_has_no_code_to_run() {
    for (path, text) in sources() {
        let fences = text.lines().filter_map(|line| {
            let line = line.trim_start();
            let text = line.strip_prefix("//!").or_else(|| line.strip_prefix("///"))?;
            text.trim_start().strip_prefix("```")
        });
        for opening in fences.step_by(2) {
            assert_eq!(opening, "text", "{} has an example", path.display());
        }
    }
}
