//! What is in a root that outlives kiln, written down so that the build after a killed one can undo it.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, renameat, unlinkat};
use serde::{Deserialize, Serialize};

use super::ground::{Ground, Spot, stat_of};
use super::kept::home_of;

/// One mount's.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Note {
    /// Where it is, relative to the root.
    pub path: OsString,
    /// Directories that were made for it, outermost first.
    pub made: Vec<OsString>,
    /// Where it belongs, if it is to be kept.
    pub source: Option<OsString>,
}

/// The file that they are in.
#[derive(Debug)]
pub(in crate::sandbox) struct Notes(PathBuf);

impl Notes {
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Writes them anew.
    pub(super) fn write(&self, notes: &[Note]) -> io::Result<()> {
        // Whoever is killed meanwhile leaves the old ones whole.
        let new = self.0.with_extension("new");
        std::fs::write(&new, serde_json::to_vec(notes)?)?;
        std::fs::rename(new, &self.0)
    }

    /// There is nothing to undo any more.
    pub(super) fn remove(&self) -> io::Result<()> {
        match std::fs::remove_file(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    /// Takes what a killed build has brought out of the root again: kept sources go back, all else is
    /// removed. Nothing without notes.
    pub fn undo(&self, root: &Path) -> io::Result<()> {
        let text = match std::fs::read(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            text => text?,
        };
        let notes: Vec<Note> = serde_json::from_slice(&text)?;
        let ground = Ground::open(root)?;
        notes.iter().rev().try_for_each(|note| note.undo(&ground))?;
        self.remove()
    }
}

impl Note {
    fn undo(&self, ground: &Ground) -> io::Result<()> {
        if let Some(spot) = spot_of(ground, Path::new(&self.path))? {
            if let Some(source) = &self.source {
                let home = home_of(Path::new(source))?;
                if stat_of(&home.dir, &home.name)?.is_none() {
                    // If it cannot go back, it was a copy.
                    renameat(&spot.dir, &spot.name, &home.dir, &home.name).ok();
                }
            }
            spot.remove()?;
        }
        for made in self.made.iter().rev() {
            if let Some(spot) = spot_of(ground, Path::new(made))? {
                // It stays if something is in it.
                unlinkat(&spot.dir, &spot.name, AtFlags::REMOVEDIR).ok();
            }
        }
        Ok(())
    }
}

fn spot_of(ground: &Ground, path: &Path) -> io::Result<Option<Spot>> {
    let Some(name) = path.file_name() else { return Ok(None) };
    let dir = ground.directory(path.parent().unwrap_or(Path::new("")))?;
    Ok(dir.map(|dir| Spot { dir, name: name.to_owned() }))
}
