//! `kiln cache`.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use kiln::cli::Caretaking;
use kiln::pipeline::{self, Upkept};
use kiln::ui;

use super::{Desk, phase};

/// Says what it found or did, and then, if that is so, why some of it could not be done.
pub(super) fn look_after(caretaking: &Caretaking) -> ExitCode {
    let desk = Desk::open(caretaking.output, &[]);
    let answer = pipeline::look_after(&caretaking.request, &desk.reporter, &desk.cancel);
    let shown = answer.and_then(|upkept| {
        let Upkept { places, failure } = upkept;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let text = match caretaking.json {
            true => ui::cache::json(&places)?,
            false => ui::cache::text(&places, now),
        };
        Ok((text, failure))
    });
    match shown {
        Ok((text, None)) => {
            desk.console.close();
            ui::print(&text);
            ExitCode::SUCCESS
        }
        Ok((text, Some(error))) => {
            ui::print(&text);
            desk.fail(phase(&error), &error)
        }
        Err(error) => desk.fail(phase(&error), &error),
    }
}
