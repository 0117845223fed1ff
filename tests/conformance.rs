//! Every Dockerfile of `tests/conformance/` built twice, by Docker's BuildKit and by kiln, from the
//! same base images and context: files and configuration have to be the same. docs/conformance.md
//! says what is compared and what differs on purpose.
//!
//! `KILN_CASE=copy-globs,workdir` runs these cases only.
//!
//! Needs root (for dockerd), /usr/sbin/dockerd and docker (package docker.io) and /bin/busybox
//! (busybox-static).

#[path = "conformance/bases.rs"]
mod bases;
#[path = "conformance/builders.rs"]
mod builders;
#[path = "conformance/case.rs"]
mod case;
mod common;
#[path = "conformance/compare.rs"]
mod compare;
#[path = "conformance/context.rs"]
mod context;
#[path = "conformance/known.rs"]
mod known;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::thread;
use std::time::SystemTime;

use builders::{Built, Docker, Kiln};
use case::Case;
use compare::Difference;
use known::KNOWN;
use testkit::Registry;

/// One daemon serves all cases, so they are one test.
#[test]
fn each_dockerfile_gives_the_image_that_dockerd_builds() {
    let cases = Case::all();
    let start = SystemTime::now();
    let contexts = context::Contexts::create(&cases).expect("the contexts are written");
    let registry = Registry::start();
    bases::add_to(&registry).expect("the base images are made");

    let (docker, kiln) = thread::scope(|scope| {
        let docker = scope.spawn(|| {
            let docker = Docker::start(&registry).expect("a Docker daemon with the base images");
            cases.iter().map(|case| docker.build(case, &contexts)).collect::<Vec<_>>()
        });
        let kiln = Kiln::new(&registry);
        let kiln: Vec<_> = cases.iter().map(|case| kiln.build(case, &contexts)).collect();
        (docker.join().expect("Docker's side"), kiln)
    });

    let mut report = Report::default();
    for ((case, docker), kiln) in cases.iter().zip(docker).zip(kiln) {
        report.add(case, compare_results(case, docker, kiln, start));
    }
    report.finish(cases.len());
}

/// What an image lacks, or why there is none.
fn compare_results(
    case: &Case,
    docker: Result<Built, String>,
    kiln: Result<Built, String>,
    start: SystemTime,
) -> Vec<Difference> {
    match (docker, kiln) {
        (Ok(docker), Ok(kiln)) if !case.fails => compare::compare(&docker, &kiln, start),
        (Ok(_), Ok(_)) => vec![Difference::new("build", "both succeed, but it is to fail")],
        (Err(_), Err(_)) if case.fails => Vec::new(),
        (docker, kiln) => [("docker", docker), ("kiln", kiln)]
            .into_iter()
            .filter_map(|(who, result)| Some((who, result.err()?)))
            .map(|(who, error)| Difference::new("build", format!("{who} fails:\n{error}")))
            .collect(),
    }
}

/// What all cases found together.
#[derive(Debug, Default)]
struct Report {
    text: String,
    failed: usize,
    /// How often each row of [`KNOWN`] was met, for the cases that ran.
    met: BTreeMap<usize, usize>,
}

impl Report {
    fn add(&mut self, case: &Case, found: Vec<Difference>) {
        for row in KNOWN.iter().enumerate().filter(|(_, known)| known.case == case.name) {
            self.met.entry(row.0).or_default();
        }
        let is_new = |difference: &Difference| {
            let row = KNOWN.iter().position(|known| known.is(&case.name, difference));
            row.is_none_or(|row| {
                *self.met.entry(row).or_default() += 1;
                false
            })
        };
        let new: Vec<_> = found.into_iter().filter(is_new).collect();
        if new.is_empty() {
            return;
        }
        self.failed += 1;
        let _ = writeln!(self.text, "{}:", case.name);
        for difference in new {
            let text = difference.to_string().replace('\n', "\n        ");
            let _ = writeln!(self.text, "    {text}");
        }
    }

    /// Fails with all of them, and with what is known but no longer true.
    fn finish(self, cases: usize) {
        let stale: Vec<_> = self.met.iter().filter(|(_, times)| **times == 0).collect();
        let stale: String = stale
            .into_iter()
            .map(|(row, _)| format!("known.rs: {} does not differ any more\n", KNOWN[*row]))
            .collect();
        assert!(
            self.text.is_empty() && stale.is_empty(),
            "{} of {cases} cases differ (docker -> kiln):\n{}{stale}",
            self.failed,
            self.text
        );
    }
}
