//! What comes after a registry's no to bytes of a blob.

use reqwest::StatusCode;

use super::super::super::error::RegistryError;
use super::super::chunks::Way;
use super::super::part::Part;
use super::{Course, Going, Next, PATIENCE, Step};

impl Course<'_> {
    /// What comes after a status that no request with bytes should have.
    pub(super) fn refused(
        &mut self,
        status: StatusCode,
        error: RegistryError,
        part: Part,
        mut going: Going,
    ) -> Result<Next, RegistryError> {
        match status {
            StatusCode::UNAUTHORIZED => self.unauthorized(error, part, going),
            StatusCode::PAYLOAD_TOO_LARGE => {
                let way = Way::smaller(part.length, going.chunk_min);
                let Some(way) = way.filter(|_| !self.knows_no_parts) else { return Err(error) };
                (self.way, self.way_is_wanted) = (Some(way), true);
                Ok(Next::Step(Step::Ask(going)))
            }
            StatusCode::RANGE_NOT_SATISFIABLE => self.after_pause(error, Step::Ask(going)),
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
                if !part.commits && !self.way_is_wanted =>
            {
                self.knows_no_parts = true;
                self.way = Some(Way::Whole);
                Ok(Next::Step(Step::Begin))
            }
            // The session expired, or another server of a cluster does not know it.
            StatusCode::NOT_FOUND => self.after_pause(error, Step::Begin),
            StatusCode::BAD_REQUEST if is_about_digest(&error) => self.damaged(error),
            _ if self.may_begin_again(status, &error, part) => {
                self.began_again = true;
                if !self.way_is_wanted {
                    self.way = Some(Way::Whole);
                }
                Ok(Next::Step(Step::Begin))
            }
            _ => {
                going.perhaps_done = part.commits;
                self.again(error, Step::Ask(going))
            }
        }
    }

    /// Whether a new upload may do what one in several requests did not: registries differ in what
    /// they say of a part that they cannot put to the others. Once, and not where the no is about
    /// whoever asks (403), or passes.
    fn may_begin_again(&self, status: StatusCode, error: &RegistryError, part: Part) -> bool {
        let resumed = part.offset > 0 || self.in_parts;
        let lasts = status.is_client_error() && status != StatusCode::FORBIDDEN;
        resumed && lasts && !error.is_passing() && !self.began_again
    }

    /// The token ran out while the request was on its way. The next request has a new one; where
    /// that is not enough, shorter requests are.
    fn unauthorized(
        &mut self,
        error: RegistryError,
        part: Part,
        going: Going,
    ) -> Result<Next, RegistryError> {
        self.refusals += 1;
        if self.refusals < PATIENCE {
            return Ok(Next::Step(Step::Ask(going)));
        }
        let next = match self.way {
            _ if self.knows_no_parts => None,
            Some(Way::Chunks(_)) => Way::smaller(part.length, going.chunk_min),
            _ => Some(Way::Whole.in_chunks(going.chunk_min)),
        };
        let Some(way) = next else { return Err(error) };
        self.way = Some(way);
        Ok(Next::Step(Step::Ask(going)))
    }

    /// The digest was wrong. Where the bytes went in several requests the registry may have put
    /// them together wrongly; once.
    fn damaged(&mut self, error: RegistryError) -> Result<Next, RegistryError> {
        if self.in_parts && !self.way_is_wanted && !self.began_again {
            (self.began_again, self.way) = (true, Some(Way::Whole));
            return Ok(Next::Step(Step::Begin));
        }
        Err(match error {
            RegistryError::Status { host, action, said, .. } => {
                RegistryError::Damaged { host, action, said }
            }
            other => other,
        })
    }
}

/// distribution's and the specification's code for a blob that is not what its digest says.
fn is_about_digest(error: &RegistryError) -> bool {
    error.said().contains("DIGEST_INVALID")
}
