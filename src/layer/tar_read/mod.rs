//! Reads tar, streaming: ustar, PAX, GNU and v7 archives, in hostile hands.
//!
//! Where readers differ, this one does as Go's archive/tar, because Docker, containerd and all
//! registries' tools use it, and a layer must mean the same here as where it runs. It differs where
//! Go leaves a danger to its caller: a path with `..` is refused, sparse files come out as the plain
//! data that they stand for, and an unknown type of member is an error.

use std::fmt;
use std::io::{self, BufRead, Read};

use super::entry::{Entry, Kind};
use super::tar_error::{TarError, printable};
use super::tar_header::{BLOCK, CHECKSUM, NAME, SIZE, TYPE, checksums, number};
use member::Extended;
use sparse::Sparse;
use stream::Stream;

mod member;
mod pax;
mod sparse;
mod stream;

/// PAX records and GNU long names of a member may have this many bytes, as in Go.
const MAX_EXTENDED: u64 = super::tar_write::MAX_PAX as u64;
/// Zeros that the sparse members of one archive may stand for: 16 GiB, as much as a compressed stream
/// may claim without proof (see [`super::Limit`]). Without a limit, 512 bytes
/// could ask for eight exabytes.
const MAX_HOLES: u64 = 16 << 30;

/// Takes an archive apart, member by member.
pub struct TarReader<R> {
    stream: Stream<R>,
    globals: pax::Records,
    /// What is left of the current member's content.
    body: Body,
    holes: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Ended,
    Broken,
}

#[derive(Default)]
struct Body {
    /// For messages.
    name: Vec<u8>,
    /// Bytes in the archive, without the padding.
    stored: u64,
    padding: u64,
    sparse: Option<Sparse>,
}

/// One member. Reading from it gives its content; what is not read is skipped.
pub struct TarEntry<'a, R> {
    /// Path, metadata, kind. The path is clean, as is a hard link's target.
    pub entry: Entry,
    /// Where the content starts in the uncompressed archive, in bytes. `None` for a sparse member,
    /// whose bytes in the archive are not the file's.
    pub position: Option<u64>,
    reader: &'a mut TarReader<R>,
}

impl<R> fmt::Debug for TarReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TarReader").field("position", &self.stream.position).finish_non_exhaustive()
    }
}

impl<R> fmt::Debug for TarEntry<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TarEntry").field("entry", &self.entry).finish_non_exhaustive()
    }
}

impl<R> TarEntry<'_, R> {
    /// Path, metadata, kind.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }
}

impl<R: BufRead> Read for TarEntry<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.reader.read_body(buf)
    }
}

impl<R: BufRead> TarReader<R> {
    /// Reads an uncompressed archive.
    pub fn new(inner: R) -> Self {
        Self {
            stream: Stream::new(inner),
            globals: pax::Records::default(),
            body: Body::default(),
            holes: 0,
            state: State::Reading,
        }
    }

    /// The next member; `None` at the end. After an error there is only [`TarError::Broken`].
    #[allow(clippy::should_implement_trait)] // An iterator could not lend its reader.
    pub fn next(&mut self) -> Result<Option<TarEntry<'_, R>>, TarError> {
        match self.state {
            State::Ended => return Ok(None),
            State::Broken => return Err(TarError::Broken),
            State::Reading => self.state = State::Broken,
        }
        self.skip_body()?;
        let Some((entry, position)) = self.read_member()? else {
            self.state = State::Ended;
            return Ok(None);
        };
        self.state = State::Reading;
        Ok(Some(TarEntry { entry, position, reader: self }))
    }

    /// Reads on to the end of the stream, past the end of the archive, so that a digest computed
    /// below covers all bytes. Returns the reader below.
    pub fn drain(mut self) -> io::Result<R> {
        self.stream.drain()?;
        Ok(self.stream.inner)
    }

    /// The reader below, wherever it is.
    pub fn into_inner(self) -> R {
        self.stream.inner
    }

    /// Reads headers up to and including the next one that is a member.
    fn read_member(&mut self) -> Result<Option<(Entry, Option<u64>)>, TarError> {
        let mut extended = Extended::default();
        while let Some(header) = self.read_header()? {
            match header[TYPE] {
                b'x' => extended.records = pax::parse(&self.read_extended(&header)?, &header)?,
                b'g' => {
                    let records = pax::parse(&self.read_extended(&header)?, &header)?;
                    self.globals.merge_globals(records, &header[NAME])?;
                }
                b'L' => extended.long_name = Some(text(self.read_extended(&header)?)),
                b'K' => extended.long_link = Some(text(self.read_extended(&header)?)),
                // GNU: the name of the volume, which is no file.
                b'V' => {}
                _ => return self.member(&header, &extended).map(Some),
            }
        }
        if extended.is_empty() {
            Ok(None)
        } else {
            Err(self.stream.damaged("the archive ends after a header that describes the next one"))
        }
    }

    fn member(
        &mut self,
        header: &[u8; BLOCK],
        extended: &Extended,
    ) -> Result<(Entry, Option<u64>), TarError> {
        let (mut entry, stored) = member::interpret(header, extended, &self.globals)?;
        let name = extended.name(header);
        self.body = Body {
            padding: stored.wrapping_neg() % BLOCK as u64,
            stored,
            sparse: Sparse::of(header, &extended.records, &mut self.stream, stored, &name)?,
            name,
        };
        let Some(sparse) = &self.body.sparse else {
            return Ok((entry, Some(self.stream.position)));
        };
        if !matches!(entry.kind, Kind::File { .. }) {
            return Err(TarError::member(&self.body.name, "it is sparse, but no file"));
        }
        self.body.stored = sparse.stored();
        self.holes = self.holes.saturating_add(sparse.size - sparse.stored());
        if self.holes > MAX_HOLES {
            let reason = "the archive's sparse members stand for more than 16 GiB of zeros";
            return Err(TarError::limit(&self.body.name, reason));
        }
        entry.kind = Kind::File { size: sparse.size };
        Ok((entry, None))
    }

    /// A header with a right checksum. `None` at the end of the archive: two blocks of zeros, or, as
    /// some writers leave it, nothing.
    fn read_header(&mut self) -> Result<Option<[u8; BLOCK]>, TarError> {
        let Some(block) = self.stream.block()? else { return Ok(None) };
        if block == [0; BLOCK] {
            return match self.stream.block()? {
                None => Ok(None),
                Some(block) if block == [0; BLOCK] => Ok(None),
                Some(_) => Err(self.stream.damaged("a single block of zeros stands alone")),
            };
        }
        if !has_checksum(&block) {
            return Err(self.stream.damaged("the checksum of a member's header is wrong"));
        }
        Ok(Some(block))
    }

    /// The content of a member that only describes the next one.
    fn read_extended(&mut self, header: &[u8; BLOCK]) -> Result<Vec<u8>, TarError> {
        let size = number(&header[SIZE]).and_then(|size| u64::try_from(size).ok());
        let size = size.ok_or_else(|| self.stream.damaged("a header's size is no number"))?;
        if size > MAX_EXTENDED {
            let reason = "its names and attributes have more than 1 MiB";
            return Err(TarError::limit(&text(header[NAME].to_vec()), reason));
        }
        let mut data = vec![0; size as usize];
        self.stream.exact(&mut data)?;
        self.stream.skip(size.wrapping_neg() % BLOCK as u64)?;
        Ok(data)
    }

    fn skip_body(&mut self) -> Result<(), TarError> {
        let body = std::mem::take(&mut self.body);
        self.stream.skip(body.stored)?;
        self.stream.skip(body.padding)
    }

    fn read_body(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let body = &mut self.body;
        let piece = match &mut body.sparse {
            Some(sparse) => sparse.advance(buf.len()),
            None => sparse::Piece::Data(
                usize::try_from(body.stored).unwrap_or(usize::MAX).min(buf.len()),
            ),
        };
        let wanted = match piece {
            sparse::Piece::Zeros(count) => {
                buf[..count].fill(0);
                return Ok(count);
            }
            sparse::Piece::Data(0) => return Ok(0),
            sparse::Piece::Data(count) => count,
        };
        let count = self.stream.read(&mut buf[..wanted])?;
        if count == 0 {
            self.state = State::Broken;
            let text = format!("the archive ends in the middle of {}", printable(&body.name));
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        body.stored -= count as u64;
        if let Some(sparse) = &mut body.sparse {
            sparse.consumed(count);
        }
        Ok(count)
    }
}

/// Whether these first 512 bytes are a tar archive's.
pub fn looks_like_tar(start: &[u8]) -> bool {
    start.first_chunk::<BLOCK>().is_some_and(|block| *block != [0; BLOCK] && has_checksum(block))
}

fn has_checksum(block: &[u8; BLOCK]) -> bool {
    let (unsigned, signed) = checksums(block);
    number(&block[CHECKSUM])
        .is_some_and(|sum| sum == signed || u64::try_from(sum).is_ok_and(|sum| sum == unsigned))
}

/// A field's or a long name's text: what stands before the first NUL.
fn text(mut field: Vec<u8>) -> Vec<u8> {
    if let Some(end) = field.iter().position(|byte| *byte == 0) {
        field.truncate(end);
    }
    field
}

#[cfg(test)]
mod tests;
