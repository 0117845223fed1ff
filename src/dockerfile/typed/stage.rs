//! FROM.

use super::{Fault, Flags};
use crate::dockerfile::From;
use crate::dockerfile::tree::Item;
use crate::dockerfile::typed::flags::Kind;

pub(super) fn from(item: &Item) -> Result<From, Fault> {
    let (base, name) = match item.args.as_slice() {
        [base] => (base, None),
        [base, keyword, name] if keyword.text.eq_ignore_ascii_case("as") => (base, Some(name)),
        _ => {
            return Err(Fault::new("FROM requires either one or three arguments")
                .help("write FROM image, or FROM image AS name"));
        }
    };
    let name = match name {
        Some(word) => Some(stage_name(&word.text).ok_or_else(|| {
            let message = format!(
                "invalid name for build stage: {:?}, name can't start with a number or contain \
                 symbols",
                word.text
            );
            Fault::new(message).at(&word.at)
        })?),
        None => None,
    };
    let flags = Flags::parse(&[("platform", Kind::Text)], &item.flags)?;
    Ok(From { platform: flags.text("platform"), base: base.text.clone(), name })
}

/// The name in small letters, if it is one: `[a-z][a-z0-9-_.]*`.
fn stage_name(text: &str) -> Option<String> {
    let name = text.to_lowercase();
    let valid = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-' | '_' | '.'));
    valid.then_some(name)
}
