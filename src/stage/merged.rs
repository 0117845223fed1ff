//! An image's layers as one: a single layer, a tar of its files, or a directory of them.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};

use super::layers::ImageLayer;
use super::pull::through_tar;
use super::workshop::Workshop;
use crate::layer::{Entry, Kind, LayerWriter, Metadata, TarWriter, Timestamp, Whiteout};
use crate::rootfs::diff::SinkError;
use crate::rootfs::{
    ChangeSink, Entries, Extract, Index, Merge, Ownership, Root, Survey, Wanted, Whiteouts, extract,
};

impl Workshop {
    /// Makes one layer of several, lowest first; what they take away from those below them, it does.
    pub fn squash(&self, layers: &[Arc<ImageLayer>]) -> Result<Arc<ImageLayer>> {
        let merge = self.survey(layers)?;
        let writer = LayerWriter::create(&self.blobs, &self.layer_options)?;
        let mut sink = IntoLayer { writer, now: self.now };
        for whiteout in merge.removed() {
            sink.writer.whiteout(whiteout, self.now)?;
        }
        self.hand_on(&merge, layers, &mut sink)?;
        Ok(Arc::new(ImageLayer::built(&sink.writer.finish()?, None)))
    }

    /// Adds the files of an image to an archive, below `prefix`, which may be empty.
    pub fn add_root_to_tar<W: Write>(
        &self,
        layers: &[Arc<ImageLayer>],
        prefix: &Path,
        tar: &mut TarWriter<W>,
    ) -> Result<()> {
        let merge = self.survey(layers)?;
        let mut sink = IntoTar { tar, prefix };
        if !prefix.as_os_str().is_empty() {
            let meta = Metadata { mode: 0o755, mtime: self.now, ..Metadata::default() };
            let top = Entry { path: prefix.to_owned(), meta, kind: Kind::Dir };
            sink.tar.append(&top, &mut io::empty())?;
        }
        for dir in merge.directories() {
            sink.append(&dir, &mut io::empty())?;
        }
        self.hand_on(&merge, layers, &mut sink)
    }

    /// Unpacks an image into a directory, which is made where it is missing. Files that are there
    /// already stay, but for those in whose place the image has something. All belong to whoever runs
    /// kiln, as with BuildKit.
    pub fn unpack_root(&self, layers: &[Arc<ImageLayer>], dir: &Path) -> Result<()> {
        let made = std::fs::create_dir_all(dir).and_then(|()| dir.canonicalize());
        let dir = made.with_context(|| format!("cannot make the directory {}", dir.display()))?;
        let root = Root::open(&dir)?;
        let index = Arc::new(self.own_index(layers)?);
        let everything: Wanted = Arc::new(|path| !path.as_os_str().is_empty());
        let mut refused = 0;
        for (layer, part) in layers.iter().zip(index.visible_parts(&everything)?) {
            let policy = Extract {
                filter: Some(part.filter),
                relocate: part.relocate,
                ..Extract::new(Whiteouts::Skip, Ownership::Keep)
            };
            self.cancel.check()?;
            let blob = self.blobs.open(&layer.descriptor.digest)?;
            let extracted = through_tar(layer, Box::new(blob), |entries| {
                Ok(extract(&mut Own::new(entries), &root, &policy)?)
            })?;
            refused += extracted.devices_refused;
        }
        index.complete(&root, Ownership::Keep, &everything)?;
        if refused > 0 {
            self.reporter.warning(&format!(
                "{refused} device files of the image are not in {}: only root can make them",
                dir.display()
            ));
        }
        Ok(())
    }

    /// The names in layers, as if everything in them were this user's.
    fn own_index(&self, layers: &[Arc<ImageLayer>]) -> Result<Index> {
        let mut index = Index::default();
        self.each_header(layers, |entries| Ok(index.apply(&mut Own::new(entries))?))?;
        Ok(index)
    }

    fn survey(&self, layers: &[Arc<ImageLayer>]) -> Result<Merge> {
        let mut survey = Survey::default();
        self.each_header(layers, |entries| Ok(survey.add(entries)?))?;
        Ok(survey.merge()?)
    }

    fn hand_on(
        &self,
        merge: &Merge,
        layers: &[Arc<ImageLayer>],
        sink: &mut dyn ChangeSink,
    ) -> Result<()> {
        for (number, layer) in layers.iter().enumerate() {
            self.cancel.check()?;
            let blob = self.blobs.open(&layer.descriptor.digest)?;
            through_tar(
                layer,
                Box::new(blob),
                |entries| Ok(merge.hand_on(number, entries, sink)?),
            )?;
        }
        Ok(merge.hand_on_links(sink)?)
    }
}

struct IntoLayer {
    writer: LayerWriter<'static>,
    now: Timestamp,
}

impl ChangeSink for IntoLayer {
    fn file(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), SinkError> {
        Ok(self.writer.append(entry, content)?)
    }

    fn whiteout(&mut self, whiteout: &Whiteout) -> Result<(), SinkError> {
        Ok(self.writer.whiteout(whiteout, self.now)?)
    }
}

struct IntoTar<'a, W: Write> {
    tar: &'a mut TarWriter<W>,
    prefix: &'a Path,
}

impl<W: Write> IntoTar<'_, W> {
    fn append(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<()> {
        let below = |path: &PathBuf| self.prefix.join(path);
        let kind = match &entry.kind {
            Kind::HardLink(target) => Kind::HardLink(below(target)),
            kind => kind.clone(),
        };
        let entry = Entry { path: below(&entry.path), meta: entry.meta.clone(), kind };
        Ok(self.tar.append(&entry, content)?)
    }
}

impl<W: Write> ChangeSink for IntoTar<'_, W> {
    fn file(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), SinkError> {
        // All directories are there already.
        if entry.kind == Kind::Dir { Ok(()) } else { Ok(self.append(entry, content)?) }
    }

    /// Nothing is below.
    fn whiteout(&mut self, _: &Whiteout) -> Result<(), SinkError> {
        Ok(())
    }
}

/// Entries that all belong to whoever runs kiln.
struct Own<'a> {
    entries: &'a mut dyn Entries,
    uid: u32,
    gid: u32,
}

impl<'a> Own<'a> {
    fn new(entries: &'a mut dyn Entries) -> Self {
        let uid = rustix::process::geteuid().as_raw();
        Self { entries, uid, gid: rustix::process::getegid().as_raw() }
    }
}

impl Entries for Own<'_> {
    fn next_entry(&mut self) -> io::Result<Option<(Entry, Box<dyn Read + '_>)>> {
        let (uid, gid) = (self.uid, self.gid);
        Ok(self.entries.next_entry()?.map(|(mut entry, content)| {
            (entry.meta.uid, entry.meta.gid) = (uid, gid);
            (entry, content)
        }))
    }
}
