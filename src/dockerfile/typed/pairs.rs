//! ARG, ENV and LABEL.

use super::{Fault, Flags, some_arguments};
use crate::dockerfile::tree::{Item, Word};
use crate::dockerfile::{Arg, Pair};

pub(super) fn arg(item: &Item) -> Result<Vec<Arg>, Fault> {
    let arg = |word: &Word| match word.text.split_once('=') {
        Some(("", _)) => Err(blank("ARG", word)),
        Some((name, default)) => {
            Ok(Arg { name: name.to_owned(), default: Some(default.to_owned()) })
        }
        None => Ok(Arg { name: word.text.clone(), default: None }),
    };
    some_arguments(item, "ARG")?.iter().map(arg).collect()
}

pub(super) fn env_or_label(item: &Item, name: &str) -> Result<Vec<Pair>, Fault> {
    Flags::none(item)?;
    let (triples, rest) = some_arguments(item, name)?.as_chunks::<3>();
    if !rest.is_empty() {
        return Err(Fault::new(format!("Bad input to {name}, too many arguments")));
    }
    let pair = |[key, value, _]: &[Word; 3]| {
        if key.text.is_empty() {
            return Err(blank(name, key));
        }
        Ok(Pair { key: key.text.clone(), value: value.text.clone() })
    };
    triples.iter().map(pair).collect()
}

fn blank(name: &str, word: &Word) -> Fault {
    Fault::new(format!("{name} names can not be blank")).at(&word.at)
}
