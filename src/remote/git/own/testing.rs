//! A way in for tests of this crate that send what no server would: a program has no use for it, so it is
//! in no documentation. What is behind it is private, and stays so.

use std::path::Path;
use std::rc::Rc;

use super::budget::{Budget, Limits};
use super::id::{Id, Kind};
use super::objects::Objects;
use super::{modules, pkt, tree};
use crate::cancel::Cancel;

/// Reads what a server might send as a pack, in its packet lines, and resolves it; how many objects are in
/// it, none of which may be larger than a megabyte.
///
/// # Errors
/// What is wrong with it, as a user would be told.
pub fn survey(answer: &[u8], dir: &Path) -> Result<usize, String> {
    let limits = Limits { object: 1 << 20, objects: 10_000, work: 64 << 20, ..Limits::default() };
    let budget = Rc::new(Budget::new(limits));
    let file = tempfile::tempfile_in(dir).map_err(|error| error.to_string())?;
    let pack = pkt::Band::new(pkt::Packets::new(answer));
    let objects = Objects::receive(pack, file, dir, budget, &Cancel::default(), &|_| {});
    let mut objects = objects.map_err(|wrong| wrong.to_string())?;
    let ids: Vec<Id> = objects.listed().map(|(id, ..)| id).collect();
    for id in &ids {
        let Some((_, kind)) = objects.find(id) else { return Err(format!("{id} is lost")) };
        let content = objects.small(id, kind).map_err(|wrong| wrong.to_string())?;
        let bytes = content.bytes().unwrap_or_default();
        let read = match kind {
            Kind::Tree => tree::entries(bytes).map(drop),
            Kind::Commit => tree::commit(bytes).map(drop),
            Kind::Tag => tree::tag(bytes).map(drop),
            Kind::Blob => modules::parse(&String::from_utf8_lossy(bytes)).map(drop),
        };
        read.map_err(|wrong| wrong.to_string())?;
    }
    Ok(ids.len())
}
