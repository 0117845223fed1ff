//! What a Dockerfile may ask for and kiln never gives: more rights than its own. Each is an error at its
//! place: nothing in a Dockerfile is ever ignored without a word.

use super::graph::Source;
use crate::dockerfile::{Instruction, Located, Node, Run};

/// Refuses an instruction that asks for more than kiln can do.
pub(super) fn check(source: &Source<'_>, node: &Node) -> Result<(), Located> {
    let Instruction::Run(run) = &node.instruction else { return Ok(()) };
    match refused_of_run(run) {
        Some((message, help)) => Err(source.error(&node.span, message, Some(help.to_owned()))),
        None => Ok(()),
    }
}

/// What a RUN asks for and no flag can grant, and what to do instead.
fn refused_of_run(run: &Run) -> Option<(String, &'static str)> {
    if let Some(device) = run.devices.first() {
        return Some((
            format!("RUN --device={device}: kiln gives a command no device of the machine"),
            "leave it out, and do what needs the device when the image runs; or build that part \
             where the device is, and take it with COPY --from=IMAGE",
        ));
    }
    (run.security.as_deref() == Some("insecure")).then(|| {
        (
            "RUN --security=insecure is not granted: a command never gets more rights than kiln's \
             own RUN has (security.insecure)"
                .to_owned(),
            "leave it out, and make what needs it elsewhere: in a privileged container, whose \
             result COPY --from=IMAGE takes",
        )
    })
}
