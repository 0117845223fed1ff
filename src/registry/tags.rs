//! The tags of a repository.
//!
//! Source: OCI distribution-spec, "Listing Tags".

use reqwest::header::LINK;
use reqwest::{Method, Response};
use serde::Deserialize;

use super::client::Client;
use super::error::RegistryError;
use super::reference::{Repository, is_tag};
use super::transport::{Place, Request, Target, read_body};

/// Tags that a registry is asked for at once.
const PAGE: usize = 1000;
/// Bytes of the largest page: many registries give all at once, whatever they are asked for.
const PAGE_MAX: usize = 16 << 20;
/// Pages that are read. With that many something is wrong: with a cache, or with the registry.
const PAGES_MAX: usize = 100;

#[derive(Deserialize)]
struct Page {
    /// `null` of a repository that has none any more (distribution).
    tags: Option<Vec<String>>,
}

impl Client {
    /// The tags of a repository, in the registry's order; none of one that does not exist. What is no
    /// tag is left out.
    ///
    /// # Errors
    /// All that connections can be, and a list without an end.
    pub fn tags(&self, repository: &Repository) -> Result<Vec<String>, RegistryError> {
        let mut all = Vec::new();
        let mut query = Some(format!("n={PAGE}"));
        for _ in 0..PAGES_MAX {
            let Some(asked) = query.take() else { return Ok(all) };
            let page = self.page(repository, &asked);
            let (tags, next) = match page {
                Err(error) if error.is_not_found() && all.is_empty() => return Ok(all),
                page => page?,
            };
            all.extend(tags.into_iter().filter(|tag| is_tag(tag)));
            query = next.filter(|next| *next != asked);
        }
        match query {
            None => Ok(all),
            Some(_) => Err(RegistryError::Protocol {
                host: repository.host().to_owned(),
                action: action(repository),
                reason: format!("the list does not end after {PAGES_MAX} pages"),
            }),
        }
    }

    fn page(
        &self,
        repository: &Repository,
        query: &str,
    ) -> Result<(Vec<String>, Option<String>), RegistryError> {
        let place = Place::pull(repository);
        let target = Target::Path(format!("tags/list?{query}"));
        let request = Request::new(Method::GET, &place, target, action(repository));
        let ask = async || {
            let response = self.transport().expect(&request, &[200]).await?;
            let next = next(&response);
            let bytes = read_body(response, place.host(), PAGE_MAX, &request.action).await?;
            let page: Page = serde_json::from_slice(&bytes).map_err(|error| {
                let (host, action) = (place.host().to_owned(), request.action.clone());
                RegistryError::Protocol { host, action, reason: error.to_string() }
            })?;
            Ok((page.tags.unwrap_or_default(), next))
        };
        self.engine().block_on(self.policy().run(ask))
    }
}

fn action(repository: &Repository) -> String {
    format!("list the tags of `{}`", repository.name)
}

/// What the next page is asked for with: `Link: </v2/app/tags/list?n=1000&last=x>; rel="next"`. Of the
/// address only the query is taken, so that it leads nowhere else, and a registry behind a proxy may
/// be wrong about its own name. Quay has a word of its own there, so it is not made up here.
fn next(response: &Response) -> Option<String> {
    let links = response.headers().get_all(LINK).iter().filter_map(|link| link.to_str().ok());
    links.flat_map(|links| links.split(',')).find_map(|link| {
        let (address, kind) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = kind.replace([' ', '"'], "").split(';').any(|word| word == "rel=next");
        let (_, query) = address.split_once('?').filter(|_| is_next)?;
        let query = query.split('#').next().unwrap_or_default();
        Some(query.to_owned()).filter(|query| !query.is_empty())
    })
}
