//! Every status at every step.
//!
//! A line of the table: the step, the status, `once` or `always`, and behind `|` what comes of it:
//! `image`, or the error. Where both come to the same, `any` stands for them.

use testkit::{Action, Fault};

use crate::case::{Case, Deed, side_by_side, with_tokens};
use crate::world::ending;

const TABLE: &str = include_str!("statuses.table");

const STATUSES: [u16; 14] = [400, 401, 403, 404, 405, 408, 413, 416, 429, 500, 502, 503, 504, 522];

/// What a step is, and the requests that it is made of.
type Step = (&'static str, Deed, fn(Action) -> Fault);

const STEPS: [Step; 15] = [
    ("token", Deed::Push, |action| Fault::on("GET", "/token", action)),
    ("ping", Deed::Push, |action| ending("GET", "/v2/", action)),
    ("manifest-head", Deed::Pull, |action| Fault::on("HEAD", "/manifests/1", action)),
    ("manifest-get", Deed::Pull, |action| Fault::on("GET", "/manifests/1", action)),
    ("config-get", Deed::Pull, |action| nth_blob(action, 1)),
    ("layer-get", Deed::Pull, |action| nth_blob(action, 2)),
    ("blob-head", Deed::Push, |action| Fault::on("HEAD", "/blobs/", action)),
    ("upload-post", Deed::Push, |action| Fault::on("POST", "/uploads/", action).nth(2)),
    ("upload-put", Deed::Push, |action| Fault::on("PUT", "/uploads/", action)),
    ("upload-patch", Deed::PushChunks, |action| Fault::on("PATCH", "/uploads/", action)),
    ("upload-status", Deed::Push, |action| Fault::on("GET", "/uploads/", action)),
    ("upload-delete", Deed::Push, |action| Fault::on("DELETE", "/uploads/", action)),
    ("mount", Deed::Mount, |action| Fault::on("POST", "/uploads/", action).query("mount=")),
    ("manifest-put", Deed::Push, |action| Fault::on("PUT", "/manifests/sha256", action)),
    ("tag-put", Deed::Push, |action| ending("PUT", "/manifests/1", action)),
];

/// The config is the first blob that is read.
fn nth_blob(action: Action, nth: usize) -> Fault {
    Fault::on("GET", "/blobs/sha256", action).nth(nth)
}

fn case(step: &Step, status: u16, always: bool) -> Case {
    let (name, deed, fault) = *step;
    let times = if always { "always" } else { "once" };
    let open = usize::from(name == "upload-delete");
    let case = Case::new(format!("{name} {status} {times}"), deed).leaves(open);
    let case = if name == "token" { case.setup(with_tokens) } else { case };
    case.faults(move || {
        let fault = fault(Action::error(status, "TESTED", "as scripted"));
        let fault = if always { fault.always() } else { fault };
        // Nobody asks how far an upload is unless it broke.
        let broken = Fault::on("PUT", "/uploads/", Action::CutUploadAfter(1000));
        let broken = (name == "upload-status").then_some(broken);
        broken.into_iter().chain([fault]).collect()
    })
}

/// A line of the table for what really happens.
fn lines(step: &Step, status: u16) -> Vec<String> {
    let run = |always: bool| {
        let (outcome, problems) = case(step, status, always).run();
        let text = outcome.err().unwrap_or_else(|| "image".into());
        match problems.is_empty() {
            true => text,
            false => format!("{text}\n    {}", problems.join("\n    ")),
        }
    };
    let line = |times: &str, text: &str| format!("{} {status} {times} | {text}", step.0);
    match (run(false), run(true)) {
        (once, always) if once == always => vec![line("any", &once)],
        (once, always) => vec![line("once", &once), line("always", &always)],
    }
}

#[test]
fn every_status_at_every_step() {
    let all: Vec<_> = STEPS.iter().flat_map(|step| STATUSES.map(|status| (step, status))).collect();
    let found: Vec<_> =
        side_by_side(&all, |(step, status)| lines(step, *status)).into_iter().flatten().collect();
    let written = TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let written: Vec<_> = written.collect();
    let missing: Vec<_> = written.iter().filter(|line| !found.iter().any(|f| f == *line)).collect();
    let new: Vec<_> = found.iter().filter(|line| !written.contains(&line.as_str())).collect();
    let print = |lines: Vec<String>| lines.join("\n");
    assert!(
        missing.is_empty() && new.is_empty(),
        "the table says\n{}\n\nand what happens is\n{}\n",
        print(missing.iter().map(|line| format!("- {line}")).collect()),
        print(new.iter().map(|line| format!("+ {line}")).collect())
    );
}
