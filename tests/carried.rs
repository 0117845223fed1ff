//! `kiln push` and `kiln index`: images that are there already.

mod common;

#[path = "carried/gitlab.rs"]
mod gitlab;
#[path = "carried/index.rs"]
mod index;
#[path = "carried/push.rs"]
mod push;

use common::{Kiln, Outcome};

/// Runs a command of kiln's in a directory of its own; nothing may be left in its TMPDIR.
fn kiln(name: &str, args: &[&str]) -> Outcome {
    let (mut command, dir) = Kiln::subcommand(name).args(args).into_bare_command();
    let outcome = Outcome::from(command.output().expect("kiln starts"));
    common::assert_no_work_dir(dir.path(), &outcome);
    outcome
}

/// Requests that change something, or send bytes.
fn changes(registry: &testkit::Registry) -> Vec<String> {
    let requests = registry.requests();
    let changing = requests.iter().filter(|it| !["GET", "HEAD"].contains(&it.method.as_str()));
    changing.map(testkit::Request::line).collect()
}
