//! ADD of a local archive: its members become the layer's objects, in the destination as their root.
//!
//! As in Docker, whose ADD unpacks in a chroot of the destination: what leads through links, in the
//! archive or in the image, stays below the destination, absolute links included. Contents are not
//! copied where they stand uncompressed in the archive.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::job::{Copy, keep_xattrs};
use super::plan::Plan;
use super::source::Match;
use super::{CopyError, Owner};
use crate::layer::content::{Content, FileSlice};
use crate::layer::tar_read::looks_like_tar;
use crate::layer::{Entry, Format, Kind, Metadata, TarError, TarReader, decoder, sniff};
use crate::rootfs::view::View;
use crate::rootfs::xattr;

/// A tar header's length, more than what tells how a file is compressed.
const START: usize = 512;

/// Unpacks a file if it is an archive; false if it is none.
pub(super) fn unpack<'a>(
    copy: &Copy<'a>,
    plan: &mut Plan<'a>,
    found: &Match,
) -> Result<bool, CopyError> {
    let fail = |error| CopyError::read(&found.path, error);
    let file = copy.root().open_file(&found.path)?;
    let format = sniff(&start(&file).map_err(fail)?);
    (&file).rewind().map_err(fail)?;
    // What only starts as if it were compressed is an ordinary file, as in Docker.
    let is_tar = decoder(&file).and_then(start).is_ok_and(|start| looks_like_tar(&start));
    if !is_tar {
        return Ok(false);
    }
    (&file).rewind().map_err(fail)?;
    let dest = copy.make_dest(plan)?;
    let file = Arc::new(file);
    let original = (format == Format::Plain).then(|| file.clone());
    let spool = Spool::new(copy.request.spool);
    let archive = Archive { copy, plan, dest, path: &found.path, original, spool, last: None };
    archive.members(decoder(BufReader::new(&*file)).map_err(fail)?)?;
    Ok(true)
}

fn start(file: impl Read) -> io::Result<Vec<u8>> {
    let mut start = Vec::with_capacity(START);
    file.take(START as u64).read_to_end(&mut start)?;
    Ok(start)
}

struct Archive<'c, 'p, 'a> {
    copy: &'c Copy<'a>,
    plan: &'p mut Plan<'a>,
    /// In the image, without links.
    dest: PathBuf,
    /// Of the archive, for messages.
    path: &'c Path,
    /// The archive itself, if it is not compressed.
    original: Option<Arc<File>>,
    spool: Spool<'c>,
    /// The last member's directory and where it led: most members are beside the one before.
    last: Option<(PathBuf, PathBuf)>,
}

impl Archive<'_, '_, '_> {
    fn members(mut self, data: impl Read) -> Result<(), CopyError> {
        let mut reader = TarReader::new(BufReader::new(data));
        let path = self.path;
        let tar = |source: TarError| CopyError::Tar { path: path.to_owned(), source };
        while let Some(mut member) = reader.next().map_err(tar)? {
            let entry = member.entry.clone();
            let content = match (&entry.kind, member.position, &self.original) {
                (Kind::File { size: 0 }, ..) => Content::None,
                (Kind::File { size }, Some(offset), Some(file)) => {
                    let slice = FileSlice { file: file.clone(), offset, len: *size };
                    Content::Source(Box::new(slice))
                }
                (Kind::File { size }, ..) => {
                    Content::Source(Box::new(self.spool.store(&mut member, *size, self.path)?))
                }
                _ => Content::None,
            };
            let is_file = matches!(entry.kind, Kind::File { .. });
            self.member(entry, content)?;
            if !is_file {
                // It may be a link, or be in the place of one.
                self.last = None;
            }
        }
        self.spool.finish()
    }

    fn member(&mut self, entry: Entry, content: Content) -> Result<(), CopyError> {
        let Entry { path, meta, kind } = entry;
        let Some(at) = self.place(&path)? else {
            // The destination itself, which keeps its metadata.
            return Ok(());
        };
        let mut meta = self.metadata(meta);
        let parent = at.parent().unwrap_or(Path::new(""));
        self.plan.ensure_dir(parent, &self.copy.implied())?;
        if let Kind::HardLink(target) = &kind {
            return self.link(&path, &at, target, meta);
        }
        if kind == Kind::Dir
            && let Some(there) = self.plan.lstat(&at)?
            && there.kind == Kind::Dir
        {
            keep_xattrs(&mut meta, &there);
        }
        self.plan.put(&at, meta, kind, content)
    }

    fn link(
        &mut self,
        member: &Path,
        at: &Path,
        target: &Path,
        meta: Metadata,
    ) -> Result<(), CopyError> {
        let file = self.place(target)?;
        if let Some(file) = file
            && self.plan.put_link(at, &file, Some(meta))?
        {
            return Ok(());
        }
        Err(CopyError::Archive {
            path: self.path.to_owned(),
            why: format!(
                "its member {} is a hard link to {}, which is no file of the archive",
                member.display(),
                target.display()
            ),
        })
    }

    /// Where a member goes, its parents' links followed below the destination; nothing for the
    /// destination itself.
    fn place(&mut self, member: &Path) -> Result<Option<PathBuf>, CopyError> {
        let (Some(parent), Some(name)) = (member.parent(), member.file_name()) else {
            return Ok(None);
        };
        if let Some((last, led_to)) = &self.last
            && last == parent
        {
            return Ok(Some(led_to.join(name)));
        }
        let leads_to = self.plan.resolve_below(&self.dest, parent)?;
        let at = leads_to.join(name);
        self.last = Some((parent.to_owned(), leads_to));
        Ok(Some(at))
    }

    fn metadata(&self, mut meta: Metadata) -> Metadata {
        if let Owner::Fixed(uid, gid) = self.copy.request.owner {
            (meta.uid, meta.gid) = (uid, gid);
        }
        meta.xattrs.retain(|name, _| xattr::carried(name));
        meta
    }
}

/// Contents that an archive does not have as they are, in a nameless temporary file.
struct Spool<'s> {
    dir: &'s Path,
    file: Option<Arc<File>>,
    len: u64,
    buffer: Vec<u8>,
}

impl<'s> Spool<'s> {
    fn new(dir: &'s Path) -> Self {
        Self { dir, file: None, len: 0, buffer: vec![0; 128 << 10] }
    }

    /// Stores one member's content.
    fn store(
        &mut self,
        content: &mut impl Read,
        size: u64,
        archive: &Path,
    ) -> Result<FileSlice, CopyError> {
        let dir = self.dir;
        let fail = |source| CopyError::Spool { path: dir.to_owned(), source };
        let file = match &self.file {
            Some(file) => file.clone(),
            None => Arc::new(tempfile::tempfile_in(dir).map_err(fail)?),
        };
        self.file = Some(file.clone());
        let slice = FileSlice { file: file.clone(), offset: self.len, len: size };
        let mut left = size;
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            let block = &mut self.buffer[..wanted];
            content.read_exact(block).map_err(|source| CopyError::Tar {
                path: archive.to_owned(),
                source: TarError::Read(source),
            })?;
            // Zeros stay holes, so that a sparse member does not fill the disk.
            if block.iter().any(|byte| *byte != 0) {
                file.write_all_at(block, self.len).map_err(fail)?;
            }
            self.len += wanted as u64;
            left -= wanted as u64;
        }
        Ok(slice)
    }

    /// The last hole is only there if the file has its length.
    fn finish(self) -> Result<(), CopyError> {
        let Some(file) = self.file else { return Ok(()) };
        file.set_len(self.len)
            .map_err(|source| CopyError::Spool { path: self.dir.to_owned(), source })
    }
}
