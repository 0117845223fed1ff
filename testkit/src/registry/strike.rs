//! What a scripted fault does to a request before it is answered, and to its answer.

use std::io;

use super::deliver::Delivery;
use super::fault::Action;
use super::http::{Body, BodyReader, Head, Response};
use super::server::Shared;
use crate::digest;

/// What is to be sent.
pub(crate) enum Outcome {
    /// An answer, and how it is to be spoilt.
    Answer(Response, Delivery),
    /// Nothing: the connection breaks.
    Break,
    /// Nothing, while the connection stands.
    Silence,
}

/// Does what the request asks for, as far as the fault lets it.
///
/// # Errors
/// When the client's connection or the store's disk fails; there is no answer then.
pub(crate) fn prepare(
    shared: &Shared,
    head: &Head,
    body: &mut BodyReader<'_>,
    action: Option<Action>,
) -> io::Result<Outcome> {
    let mut delivery = Delivery::default();
    let Some(action) = action else {
        return Ok(Outcome::Answer(ask(shared, head, body)?, delivery));
    };
    let instead = |response: Response| Ok(Outcome::Answer(response, Delivery::default()));
    match &action {
        Action::DropConnection => return Ok(Outcome::Break),
        Action::Silence => return Ok(Outcome::Silence),
        Action::Status { .. } | Action::RetryAfter { .. } | Action::RedirectTo(_) => {
            return instead(answer_of(&action, head));
        }
        Action::RefuseAfter { code, bytes } => {
            (body.cut_after, body.cut_at_end) = (Some(*bytes), true);
            // What was asked fails at the cut, and has kept what came before it.
            let _ = shared.api.answer(head, body);
            body.mend();
            return instead(Response::new(*code));
        }
        Action::CutUploadAfter(bytes) => body.cut_after = Some(*bytes),
        Action::SlowUpload { piece, pause } => body.slow = Some((*piece, *pause)),
        Action::Delay(time) => shared.sleep(*time),
        Action::ExpireTokens => shared.api.auth.expire(),
        Action::ForgetUploads => shared.api.store.forget_uploads()?,
        Action::CutAfter(bytes) => delivery.cut_after = Some(*bytes),
        Action::CutHead(bytes) => delivery.cut_head = Some(*bytes),
        Action::SlowBody { piece, pause } => delivery.slow = Some((*piece, *pause)),
        Action::CorruptBody => delivery.corrupt = true,
        Action::WrongLength(by) => delivery.wrong_length = *by,
        _ => {}
    }
    let response = ask(shared, head, body)?;
    let response = match action {
        Action::DropAnswer => return Ok(Outcome::Break),
        Action::LateStatus(code) => Response::new(code),
        Action::WithoutHeader(name) => response.instead(name, None),
        Action::SetHeader(name, value) => response.instead(name, Some(value)),
        Action::WrongDigestHeader => {
            let other = digest::sha256(b"other content");
            response.instead("Docker-Content-Digest", Some(other))
        }
        _ => response,
    };
    Ok(Outcome::Answer(response, delivery))
}

fn ask(shared: &Shared, head: &Head, body: &mut BodyReader<'_>) -> io::Result<Response> {
    let response = shared.api.answer(head, body)?;
    Ok(response.with("Docker-Distribution-Api-Version", "registry/2.0"))
}

/// The answer of a fault that brings its own.
fn answer_of(action: &Action, head: &Head) -> Response {
    match action {
        Action::Status { code, headers, body } => {
            let body = Body::Bytes(body.clone().into_bytes());
            Response { status: *code, headers: headers.clone(), body }
        }
        Action::RetryAfter { code, seconds } => {
            let refusal = super::api::error(*code, "TOOMANYREQUESTS", "come back later");
            refusal.with("Retry-After", seconds.to_string())
        }
        Action::RedirectTo(host) => {
            let query = if head.query.is_empty() { "" } else { "?" };
            let location = format!("http://{host}{}{query}{}", head.path, head.query);
            Response::new(307).with("Location", location)
        }
        _ => Response::new(500),
    }
}
