//! A blob's way into a repository, and back onto it when something broke.
//!
//! A blob is sent in one request where that works: every registry knows it, and nothing is faster.
//! When a request breaks, the registry is asked how many bytes it has, and gets the rest; where it
//! has none, or has forgotten the upload, all of it again. Where whole blobs do not get through (a
//! proxy limits requests, or tokens live shorter than a request), chunks do.

mod refusal;

use reqwest::Url;

use super::super::client::Client;
use super::super::error::RegistryError;
use super::super::reference::Repository;
use super::super::retry::Attempts;
use super::chunks::Way;
use super::part::{Broken, Part, Sender, Sent};
use super::session::{Begun, Opened, Session};
use super::source::Source;
use super::{Body, Chance, Pushed, Unfinished, ahead};
use crate::image::Descriptor;

/// Blobs up to so many bytes are sent sooner than a question about them is answered.
const SMALL: u64 = 64 << 10;
/// After so many more bytes the failures before them no longer count.
const PROGRESS: u64 = 1 << 20;
/// How often a registry may refuse the credentials, or break off, before chunks are tried.
const PATIENCE: u32 = 2;

/// A blob that shall be in a repository.
pub(super) struct Upload<'a> {
    pub(super) client: &'a Client,
    pub(super) session: Session<'a>,
    pub(super) descriptor: &'a Descriptor,
    pub(super) body: Body<'a>,
    pub(super) mount_from: Option<&'a Repository>,
    /// Whether the repository may have it already.
    pub(super) chance: Chance,
    pub(super) progress: &'a (dyn Fn(u64) + Sync),
    /// Length of the chunks that the user wants.
    pub(super) chunk: Option<u64>,
}

/// What comes next.
enum Step {
    /// Look for the blob, and begin an upload.
    Begin,
    /// Ask how far the upload is.
    Ask(Going),
    /// Send the next part.
    Send(Going),
}

/// An upload at the registry.
#[derive(Clone)]
struct Going {
    url: Url,
    chunk_min: Option<u64>,
    /// Bytes that the registry has.
    offset: u64,
    /// Bytes that it can have: all that were ever handed over.
    most: u64,
    /// Whether it may have the whole blob, as it never answered the request that ends it.
    perhaps_done: bool,
}

/// What was learned of this blob and this registry.
struct Course<'a> {
    upload: &'a Upload<'a>,
    source: Source<'a>,
    attempts: Attempts,
    /// `None` before the first upload.
    way: Option<Way>,
    /// Whether the way is one that the user, the registry or a proxy's limit wants.
    way_is_wanted: bool,
    /// Whether the registry refused a PATCH.
    knows_no_parts: bool,
    /// Whether the bytes went in several requests.
    in_parts: bool,
    /// Whether the registry refused what it had got so, and a new upload was begun for it.
    began_again: bool,
    /// Whether an upload was begun before anybody looked for the blob.
    began_unseen: bool,
    may_mount: bool,
    refusals: u32,
    breaks: u32,
    /// The largest number of bytes that the registry ever had: only what goes beyond is progress, so
    /// that a registry which forgets again and again is given up.
    farthest: u64,
    /// Where the failures so far were forgotten last: small steps add up to progress too.
    counted: u64,
}

impl Upload<'_> {
    /// Looks, mounts or uploads, until the blob is there; goes on with what is begun.
    pub(super) fn run(&self, begun: Option<Unfinished>) -> Result<Pushed, RegistryError> {
        let mut course = Course {
            upload: self,
            source: Source::new(self.client, self.descriptor, self.body),
            attempts: self.client.policy().start(),
            way: None,
            way_is_wanted: false,
            knows_no_parts: false,
            in_parts: false,
            began_again: false,
            began_unseen: false,
            may_mount: true,
            refusals: 0,
            breaks: 0,
            farthest: 0,
            counted: 0,
        };
        let mut step = match begun {
            None => Step::Begin,
            Some(begun) => begun.take().map_or(Step::Begin, |it| course.take_over(it)),
        };
        loop {
            let upload = step.url().cloned();
            step = match course.take(step) {
                Ok(Next::Step(step)) => step,
                Ok(Next::There(pushed)) => return Ok(pushed),
                Err(error) => {
                    upload.into_iter().for_each(|url| self.forget(url));
                    return if course.was_there(&error) { Ok(Pushed::Exists) } else { Err(error) };
                }
            };
            // A registry keeps what has come of an upload for days, unless it is told not to.
            if matches!(step, Step::Begin) {
                upload.into_iter().for_each(|url| self.forget(url));
            }
        }
    }

    /// Begins an upload, and looks for the blob at the same time: one answer less to wait for.
    async fn begin_and_look(&self) -> Result<Option<Begun>, RegistryError> {
        let Self { session, descriptor, .. } = self;
        let (opened, there) = tokio::join!(session.begin(), session.has_blob(&descriptor.digest));
        Ok(self.judge(opened?, there))
    }

    async fn look_beside(&self, opened: Opened) -> Result<Option<Begun>, RegistryError> {
        let there = self.session.has_blob(&self.descriptor.digest).await;
        Ok(self.judge(opened, there))
    }

    /// An upload goes on unless the blob is there. Who cannot say that may still take it.
    fn judge(&self, opened: Opened, there: Result<bool, RegistryError>) -> Option<Begun> {
        if !there.unwrap_or(false) {
            return Some(Begun::Upload(opened));
        }
        let (transport, place) = (self.client.transport().clone(), self.session.place.clone());
        self.client.engine().tidy_later(async move {
            Session { transport: &transport, place: &place }.cancel(opened.url).await
        });
        None
    }

    fn forget(&self, upload: Url) {
        self.client.engine().tidy(self.session.cancel(upload));
    }
}

enum Next {
    Step(Step),
    There(Pushed),
}

impl Step {
    fn url(&self) -> Option<&Url> {
        match self {
            Self::Begin => None,
            Self::Ask(going) | Self::Send(going) => Some(&going.url),
        }
    }
}

impl Course<'_> {
    fn take_over(&mut self, begun: ahead::Begun) -> Step {
        let ahead::Begun { url, chunk_min, most } = begun;
        let size = self.upload.descriptor.size;
        let way = Way::first(size, self.upload.chunk, chunk_min);
        (self.way, self.way_is_wanted) = (Some(way), way != Way::Whole);
        self.in_parts = true;
        Step::Ask(Going { url, chunk_min, offset: 0, most: most.min(size), perhaps_done: false })
    }

    fn take(&mut self, step: Step) -> Result<Next, RegistryError> {
        self.upload.client.cancel().check()?;
        match step {
            Step::Begin => match self.begin() {
                Ok(next) => Ok(next),
                Err(error) => self.again(error, Step::Begin),
            },
            Step::Ask(going) => self.ask(going),
            Step::Send(going) => self.send(going),
        }
    }

    fn begin(&mut self) -> Result<Next, RegistryError> {
        let Upload { client, session, descriptor, .. } = self.upload;
        let from = self.upload.mount_from.filter(|_| self.may_mount);
        // What was begun before is asked about, as the answer that it is there may have been lost.
        let chance = if self.way.is_none() { self.upload.chance } else { Chance::Some };
        let small = descriptor.size <= SMALL;
        self.began_unseen |= chance == Chance::Little && small;
        // To its end, as an upload whose address nobody has read cannot be cancelled.
        let begun = client.engine().finish(async {
            match (chance, from) {
                (Chance::Some, _) if session.has_blob(&descriptor.digest).await? => Ok(None),
                (Chance::Little, None) if !small => self.upload.begin_and_look().await,
                (_, None) => Ok(Some(Begun::Upload(session.begin().await?))),
                (chance, Some(from)) => {
                    let begun = session.mount(&descriptor.digest, &from.name).await?;
                    let Begun::Upload(opened) = begun else { return Ok(Some(begun)) };
                    if chance == Chance::Little && !small {
                        return self.upload.look_beside(opened).await;
                    }
                    Ok(Some(Begun::Upload(opened)))
                }
            }
        })?;
        self.may_mount = false;
        let Opened { url, chunk_min } = match begun {
            None => return Ok(Next::There(self.found())),
            Some(Begun::Mounted) => return Ok(Next::There(Pushed::Mounted)),
            Some(Begun::Upload(opened)) => opened,
        };
        if self.way.is_none() {
            let way = Way::first(descriptor.size, self.upload.chunk, chunk_min);
            (self.way, self.way_is_wanted) = (Some(way), way != Way::Whole);
        }
        self.in_parts = false;
        let going = Going { url, chunk_min, offset: 0, most: 0, perhaps_done: false };
        Ok(Next::Step(Step::Send(going)))
    }

    /// Whether a blob that nobody had looked for was there, and this is how the registry says so.
    fn was_there(&self, error: &RegistryError) -> bool {
        let Upload { client, session, descriptor, .. } = self.upload;
        let refused = matches!(error, RegistryError::Status { .. });
        let look = || client.engine().block_on(session.has_blob(&descriptor.digest));
        self.began_unseen && self.way.is_some() && refused && look().unwrap_or(false)
    }

    /// What it means that the blob is there: that of an answer which was lost is kiln's own.
    fn found(&self) -> Pushed {
        if self.way.is_some() { Pushed::Uploaded } else { Pushed::Exists }
    }

    fn send(&mut self, going: Going) -> Result<Next, RegistryError> {
        let part = self.part(&going);
        let Upload { client, session, descriptor, progress, .. } = self.upload;
        let sender = Sender { client, place: session.place, descriptor, progress: *progress };
        self.in_parts |= !part.commits;
        let mut going = going;
        going.most = going.most.max(part.offset + part.length);
        match sender.send(&going.url, part, &mut self.source) {
            Ok(Sent::Committed) => Ok(Next::There(Pushed::Uploaded)),
            Ok(Sent::Taken { next, offset }) => {
                going.url = next.unwrap_or(going.url);
                let end = part.offset + part.length;
                // It may have taken less; what it says otherwise is not believed.
                let taken = offset.filter(|at| *at > part.offset && *at < end);
                going.offset = taken.unwrap_or(end);
                if going.offset > self.farthest {
                    self.refusals = 0;
                }
                self.moved_on(going.offset);
                Ok(Next::Step(Step::Send(going)))
            }
            Ok(Sent::Refused(status, error)) => self.refused(status, error, part, going),
            Err(Broken::Source(error)) => Err(error),
            Err(Broken::Way(error)) => {
                going.perhaps_done = part.commits;
                self.breaks += 1;
                let size = self.upload.descriptor.size;
                let whole = self.way == Some(Way::Whole) && part.offset == 0;
                if self.breaks >= PATIENCE && whole && !self.knows_no_parts {
                    let way = Way::Whole.in_chunks(going.chunk_min);
                    self.way = Some(way).filter(|way| way.is_shorter_than(size)).or(self.way);
                }
                self.again(error, Step::Ask(going))
            }
        }
    }

    fn part(&self, going: &Going) -> Part {
        let offset = going.offset;
        let left = self.upload.descriptor.size.saturating_sub(offset);
        match self.way.unwrap_or(Way::Whole) {
            Way::Whole if offset == 0 => Part { offset, length: left, commits: true },
            _ if left == 0 => Part { offset, length: 0, commits: true },
            Way::Whole => Part { offset, length: left, commits: false },
            Way::Chunks(chunk) => {
                let chunk = chunk.max(going.chunk_min.unwrap_or(0));
                Part { offset, length: left.min(chunk), commits: false }
            }
        }
    }

    fn ask(&mut self, going: Going) -> Result<Next, RegistryError> {
        let Upload { client, session, descriptor, .. } = self.upload;
        let asked = client.engine().block_on(async {
            if going.perhaps_done && session.has_blob(&descriptor.digest).await? {
                return Ok(None);
            }
            session.standing(&going.url).await.map(Some)
        });
        match asked {
            Ok(None) => Ok(Next::There(Pushed::Uploaded)),
            Ok(Some(Some(standing))) if (1..=going.most).contains(&standing.offset) => {
                self.moved_on(standing.offset);
                let (url, offset) = (standing.url, standing.offset);
                let going = Going { url, offset, perhaps_done: false, ..going };
                // The rest goes by PATCH.
                let next = if self.knows_no_parts { Step::Begin } else { Step::Send(going) };
                Ok(Next::Step(next))
            }
            // It has nothing, or more than was sent.
            Ok(Some(_)) => Ok(Next::Step(Step::Begin)),
            Err(error) if error.is_cancelled() => Err(error),
            Err(error) if error.is_passing() => self.again(error, Step::Ask(going)),
            Err(_) => Ok(Next::Step(Step::Begin)),
        }
    }

    /// The registry has so many bytes.
    fn moved_on(&mut self, offset: u64) {
        if offset.saturating_sub(self.counted) >= PROGRESS {
            self.attempts.reset();
            self.breaks = 0;
            self.counted = offset;
        }
        self.farthest = self.farthest.max(offset);
    }

    /// Goes on after a pause, if the error can pass.
    fn again(&mut self, error: RegistryError, step: Step) -> Result<Next, RegistryError> {
        let pause = self.attempts.pause_after(error)?;
        self.upload.client.cancel().sleep(pause)?;
        Ok(Next::Step(step))
    }

    /// Goes on after a pause, whatever the error is.
    fn after_pause(&mut self, error: RegistryError, step: Step) -> Result<Next, RegistryError> {
        let pause = self.attempts.pause_anyway(error)?;
        self.upload.client.cancel().sleep(pause)?;
        Ok(Next::Step(step))
    }
}
