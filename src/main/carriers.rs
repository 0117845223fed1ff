//! `kiln push` and `kiln index`.

use std::process::ExitCode;

use kiln::cli::{Joining, Pushing};
use kiln::pipeline::{self, IndexMade, PushMade};
use kiln::ui::{Report, Work};

use super::{Desk, phase};

pub(super) fn push(pushing: &Pushing) -> ExitCode {
    let desk = Desk::open(pushing.output, &[]);
    match pipeline::push(&pushing.request, &desk.reporter, &desk.cancel) {
        Ok(made) => {
            desk.console.report(&of_push(made));
            ExitCode::SUCCESS
        }
        Err(error) => desk.fail(phase(&error), &error),
    }
}

fn of_push(made: PushMade) -> Report {
    Report {
        work: Work::Pushed {
            uploaded: made.sent.uploaded,
            mounted: made.sent.mounted,
            nothing_to_do: made.sent.tags == 0,
        },
        names: made.names,
        digest: made.digest,
        size: made.size,
        layers: made.layers,
        images: made.images,
        stdout_taken: false,
        seconds: made.time.as_secs_f64(),
        steps: Vec::new(),
        peak_memory: None,
    }
}

pub(super) fn index(joining: &Joining) -> ExitCode {
    let desk = Desk::open(joining.output, &[]);
    match pipeline::index(&joining.request, &desk.reporter, &desk.cancel) {
        Ok(made) => {
            desk.console.report(&of_index(made));
            ExitCode::SUCCESS
        }
        Err(error) => desk.fail(phase(&error), &error),
    }
}

fn of_index(made: IndexMade) -> Report {
    Report {
        work: Work::Joined {
            platforms: made.platforms.iter().map(ToString::to_string).collect(),
            uploaded: made.sent.uploaded + made.sent.mounted,
            nothing_to_do: made.sent.tags == 0,
        },
        names: made.names,
        digest: made.digest,
        size: 0,
        layers: 0,
        images: made.platforms.len(),
        stdout_taken: false,
        seconds: made.time.as_secs_f64(),
        steps: Vec::new(),
        peak_memory: None,
    }
}
