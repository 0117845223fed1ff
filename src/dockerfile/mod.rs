//! The Dockerfile language: text → typed instructions with spans. Pure: no I/O.
//!
//! The layers are BuildKit's, so that its quirks have the same home here as there:
//!
//! | module | job |
//! |---|---|
//! | [`directives`] | `# escape=`, `# syntax=`, `# check=` in the first lines |
//! | [`check_frontend`] | whether `# syntax=` names the frontend that kiln is |
//! | `lines` | physical lines → logical lines: continuations, comments |
//! | `words` | a logical line → name, flags, words, JSON array |
//! | `heredoc` | `<<EOF` in a line, and its body |
//! | [`tree`] | the whole text → [`tree::Statement`]s; knows the names of the instructions only |
//! | `typed` | one statement → [`Instruction`] |
//! | `assemble` | statements → [`Dockerfile`], and the warnings that need the whole file |
//! | [`print()`] | [`Dockerfile`] → text |
//! | [`fields`] | the comma-separated values of `RUN --mount` and `--device` |
//! | [`checks`] | what `# check=` says about warnings |
//! | [`expand`] | `$NAME` and quotes, once the values are known |
//! | [`expose_ports`] | the arguments of EXPOSE, once expanded |

pub mod checks;
pub mod directives;
pub mod expand;
pub mod fields;
pub mod instruction;
pub mod located;
pub mod tree;

mod assemble;
mod error;
mod expose;
mod frontend;
mod heredoc;
mod lines;
mod print;
mod suggest;
mod typed;
mod warnings;
mod words;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

pub use assemble::{parse, parse_onbuild};
pub use checks::{Checks, ChecksError};
pub use error::ParseError;
pub use expose::{ExposeError, expose_ports};
pub use frontend::check_frontend;
pub use instruction::*;
pub use located::{Located, line_of};
pub use print::print;
pub use suggest::closest;
pub use typed::device::{Device, DeviceError};
pub use typed::mount::{Mount, MountError, MountKind, Permissions, Sharing};
