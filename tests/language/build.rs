//! Builds cases and holds what came of them against their files.

use std::cell::OnceCell;
use std::path::Path;

use serde_json::{Value, json};
use testkit::Registry;
use testkit::image::Image;
use testkit::process::Dockerd;

use crate::common::{Kiln, Outcome, built::PATH};
use crate::format::{Case, Section};
use crate::image::{Base, Built};
use crate::listing::to_tar;
use crate::place;

/// Nothing in an image is younger.
const EPOCH: &str = "1700000000";
const ISOLATIONS: [&str; 2] = ["namespaces", "chroot"];

/// A registry with the base images, and the builders that use it.
#[derive(Debug)]
pub struct Builders {
    registry: Registry,
    docker: OnceCell<Dockerd>,
}

impl Builders {
    /// Starts the registry. `busybox` is in it; a case may have images of its own.
    pub fn start() -> Self {
        let builders = Self { registry: Registry::start(), docker: OnceCell::new() };
        let layer = testkit::base::busybox().expect("busybox");
        let config = json!({
            "config": { "Env": [format!("PATH={PATH}")] },
            "history": [{ "created_by": "busybox" }],
        });
        builders.registry.add_image("library/busybox", "latest", vec![layer], config);
        builders
    }

    /// What is wrong with a case, a paragraph for each thing.
    pub fn check(&self, case: &Case) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        self.furnish(case, dir.path());
        let mut wrong = Vec::new();
        let mut digests = Vec::new();
        for isolation in ISOLATIONS {
            let outcome = self.kiln(case, dir.path(), isolation);
            let found = if case.fails() {
                refusal(case, &outcome)
            } else if outcome.code == Some(0) {
                digests.push(outcome.stdout.clone());
                self.compare(case, &outcome)
            } else {
                vec![format!("the build fails:\n{outcome}")]
            };
            wrong.extend(found.into_iter().map(|text| format!("  {isolation}: {text}")));
        }
        digests.dedup();
        if digests.len() > 1 {
            wrong.push(format!("  the images of {} are not the same", ISOLATIONS.join(" and ")));
        }
        wrong
    }

    /// Writes what a builder makes of a case into those sections of its file that are empty.
    pub fn write(&self, case: &Case, builder: &str) {
        let dir = tempfile::tempdir().unwrap();
        self.furnish(case, dir.path());
        let outcome = match builder {
            "docker" => self.docker(case, dir.path()),
            _ => self.kiln(case, dir.path(), ISOLATIONS[0]),
        };
        if outcome.code != Some(0) || case.fails() {
            println!("{}: {outcome}", case.name);
            return;
        }
        let built = self.built();
        case.rewrite(|section| {
            let lines = built.shown(section).filter(|_| section.body.is_empty())?;
            Some(lines.iter().map(|line| format!("{line}\n")).collect())
        });
    }

    /// Writes the context and fills the registry.
    fn furnish(&self, case: &Case, dir: &Path) {
        let context = place::context(dir);
        std::fs::create_dir(&context).unwrap();
        place::write(case, &context);
        case.all("image").for_each(|section| self.add_image(section));
    }

    /// `=== image NAME [on busybox]`: a line of JSON for the configuration, then the files.
    fn add_image(&self, section: &Section) {
        let mut lines = section.lines();
        let is_json = lines.first().is_some_and(|line| line.starts_with('{'));
        let mut config: Value = match is_json {
            true => serde_json::from_str(&lines.remove(0)).expect("a configuration"),
            false => json!({}),
        };
        if config["config"]["Env"].is_null() {
            config["config"]["Env"] = json!([format!("PATH={PATH}")]);
        }
        let mut history = vec![json!({ "created_by": "files" })];
        let mut layers = vec![to_tar(&lines)];
        if section.words.get(1..) == Some(&["on".to_owned(), "busybox".to_owned()]) {
            layers.insert(0, testkit::base::busybox().expect("busybox"));
            history.push(json!({ "created_by": "busybox" }));
        }
        config["history"] = json!(history);
        self.registry.add_image(&format!("library/{}", section.words[0]), "latest", layers, config);
    }

    fn args(&self, case: &Case) -> Vec<String> {
        let lines = case.one("args").map(Section::lines).unwrap_or_default();
        lines.into_iter().map(|line| line.replace("REGISTRY", self.registry.host())).collect()
    }

    fn kiln(&self, case: &Case, dir: &Path, isolation: &str) -> Outcome {
        let host = self.registry.host();
        Kiln::build()
            .context_dir(&place::context(dir))
            .env("SOURCE_DATE_EPOCH", EPOCH)
            .args(["--insecure-registry", host, "--registry-mirror", host])
            .args(["--tag", &format!("{host}/out:1"), "--isolation", isolation])
            .args(["--progress", "plain"])
            .args(self.args(case))
            .run()
    }

    fn docker(&self, case: &Case, dir: &Path) -> Outcome {
        let daemon = self.docker.get_or_init(|| testkit::process::dockerd().expect("dockerd"));
        let host = self.registry.host();
        for repo in self.registry.repositories() {
            if let Some(name) = repo.strip_prefix("library/") {
                let full = format!("{host}/{repo}:latest");
                daemon.run(&["pull", "--quiet", &full]).unwrap();
                daemon.run(&["tag", &full, name]).unwrap();
            }
        }
        let tag = format!("{host}/out:1");
        let mut command = daemon.docker();
        command.args(["build", "--network=host", "--progress=plain", "--tag", &tag]);
        command.args(self.args(case)).arg(place::context(dir));
        let outcome = Outcome::from(command.output().unwrap());
        if outcome.code == Some(0) {
            daemon.run(&["push", "--quiet", &tag]).unwrap();
        }
        outcome
    }

    fn compare(&self, case: &Case, outcome: &Outcome) -> Vec<String> {
        let built = self.built();
        if let Err(error) = built.image.verify() {
            return vec![error.to_string()];
        }
        let mut wrong = missing(case.one("log"), &outcome.stderr);
        for section in &case.sections {
            let Some(found) = built.shown(section) else { continue };
            let expected = section.lines();
            if found != expected {
                wrong.push(format!("{}\n{}", section.kind, difference(&expected, &found)));
            }
        }
        wrong
    }

    fn built(&self) -> Built {
        let image = |repo: &str, tag: &str| Image::from_registry(&self.registry, repo, tag);
        let repos = self.registry.repositories();
        let bases = repos.iter().filter(|repo| repo.starts_with("library/"));
        let bases: Vec<_> = bases.map(|repo| Base::of(&image(repo, "latest").unwrap())).collect();
        Built::new(image("out", "1").expect("an image was pushed"), &bases)
    }
}

/// A build that has to fail says why in all of these words.
fn refusal(case: &Case, outcome: &Outcome) -> Vec<String> {
    if outcome.code == Some(0) {
        return vec!["the build succeeds".to_owned()];
    }
    missing(case.one("error"), &outcome.stderr)
}

fn missing(section: Option<&Section>, log: &str) -> Vec<String> {
    let words = section.map(Section::lines).unwrap_or_default();
    let missing: Vec<_> = words.iter().filter(|words| !log.contains(words.as_str())).collect();
    match missing.is_empty() {
        true => Vec::new(),
        false => vec![format!("the log lacks {missing:?}:\n{log}")],
    }
}

/// Lines of one list that are not in the other.
fn difference(expected: &[String], found: &[String]) -> String {
    let minus = expected.iter().filter(|line| !found.contains(line));
    let plus = found.iter().filter(|line| !expected.contains(line));
    let lines: Vec<_> = minus
        .map(|line| format!("    expected: {line}"))
        .chain(plus.map(|line| format!("    found:    {line}")))
        .collect();
    match lines.is_empty() {
        true => format!("    another order, or one twice: {found:?}"),
        false => lines.join("\n"),
    }
}
