//! Directories that were made for one RUN and serve the next: a copy of the context, a part of an
//! image. They are in the work directory and go with it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;

/// What is there, by a text that says what it is.
#[derive(Debug, Default)]
pub struct Shelf(Mutex<HashMap<String, Arc<Mutex<Option<PathBuf>>>>>);

impl Shelf {
    /// What is there by this name; made, if nothing is. Whoever comes at the same time waits.
    pub(super) fn get(
        &self,
        name: String,
        make: impl FnOnce() -> Result<PathBuf>,
    ) -> Result<PathBuf> {
        let place = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.entry(name).or_default().clone()
        };
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = &*place {
            return Ok(path.clone());
        }
        let path = make()?;
        *place = Some(path.clone());
        Ok(path)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_tried_again_and_what_is_there_is_not() {
        let shelf = Shelf::default();
        let get = |make: fn() -> Result<PathBuf>| shelf.get("x".into(), make);
        assert!(get(|| anyhow::bail!("no")).is_err());
        assert_eq!(get(|| Ok("/a".into())).unwrap(), PathBuf::from("/a"));
        assert_eq!(get(|| unreachable!("it is there")).unwrap(), PathBuf::from("/a"));
    }
}
