//! A few bytes to an address that is no registry's, with the registries' TLS settings.

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Url};

use super::engine::Engine;
use super::error::RegistryError;
use super::options::Options;
use super::transport::{Exchange, Pool, host_of, unreadable};
use crate::cancel::Cancel;

/// Sends a text by PUT; the answer is the status. The address may be signed, which makes it a
/// password: no error names more of it than its host.
///
/// # Errors
/// An address that is none, or a connection that failed.
pub fn put_text(
    options: &Options,
    cancel: &Cancel,
    address: &str,
    text: &str,
) -> Result<u16, RegistryError> {
    let url: Url = address.parse().map_err(|_| unreadable(address))?;
    let pool = Pool::new(options)?;
    let host = host_of(&url);
    let sent = Engine::new(cancel)?.block_on(pool.exchange(
        Exchange {
            registry: &host,
            method: Method::PUT,
            url,
            headers: &[(CONTENT_TYPE, "text/plain".to_owned())],
            authorization: None,
            body: text.as_bytes().to_vec(),
        },
        None,
    ))?;
    Ok(sent.status().as_u16())
}
