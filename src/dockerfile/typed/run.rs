//! RUN.

use super::device::Device;
use super::flags::{Kind, Spec};
use super::mount::Mount;
use super::{Fault, Flags, Request, command};
use crate::dockerfile::tree::RawHeredoc;
use crate::dockerfile::{Heredoc, Run};

const FLAGS: [Spec; 4] = [
    ("mount", Kind::List),
    ("network", Kind::Text),
    ("security", Kind::Text),
    ("device", Kind::List),
];

pub(super) fn run(request: Request<'_>) -> Result<Run, Fault> {
    let item = request.item;
    let flags = Flags::parse(&FLAGS, &item.flags)?;
    for (value, word) in flags.list("mount") {
        Mount::check(value).map_err(|error| Fault::new(error.to_string()).at(&word.at))?;
    }
    for (value, word) in flags.list("device") {
        Device::parse(value).map_err(|error| Fault::new(error.to_string()).at(&word.at))?;
    }
    Ok(Run {
        command: command(&item.args, item.json),
        mounts: flags.texts("mount"),
        network: choice(&flags, "network", &["default", "none", "host"])?,
        security: choice(&flags, "security", &["sandbox", "insecure"])?,
        devices: flags.texts("device"),
        heredocs: request.heredocs.iter().map(as_written).collect(),
    })
}

/// The value of a flag that has only these.
fn choice(flags: &Flags<'_>, name: &str, values: &[&str]) -> Result<Option<String>, Fault> {
    let (Some(value), Some(word)) = (flags.text_or_empty(name), flags.word(name)) else {
        return Ok(None);
    };
    if values.contains(&value) {
        return Ok(Some(value.to_owned()));
    }
    let message = match name {
        "network" => format!("invalid network mode {value:?}"),
        _ => format!("{name} {value:?} is not valid"),
    };
    Err(Fault::new(message).at(&word.at).help(format!("use one of {}", values.join(", "))))
}

/// A heredoc that becomes a file: without the tabs that `<<-` takes away.
pub(super) fn heredoc(raw: &RawHeredoc) -> Heredoc {
    let heredoc = as_written(raw);
    Heredoc { body: heredoc.chomped(), ..heredoc }
}

/// A heredoc that the shell may read itself.
fn as_written(raw: &RawHeredoc) -> Heredoc {
    let opening = &raw.opening;
    Heredoc {
        name: opening.name.clone(),
        body: raw.content.clone(),
        expand: opening.expand,
        chomp: opening.chomp,
        descriptor: opening.descriptor,
    }
}
