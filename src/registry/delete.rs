//! Taking a tag away.
//!
//! Source: OCI distribution-spec, "Content Management".

use reqwest::Method;

use super::client::Client;
use super::error::RegistryError;
use super::pull::image_name;
use super::reference::Reference;
use super::transport::{Place, Request, Target, is_one_of};

impl Client {
    /// Takes a tag away, or, where a registry knows no such thing (distribution before version 3),
    /// the manifest that it names. One that is not there is as good as taken away.
    ///
    /// # Errors
    /// A registry that does not allow it, for one, which is what distribution does as it comes.
    pub fn delete_tag(&self, reference: &Reference) -> Result<(), RegistryError> {
        let tag = reference.version();
        match self.delete(reference, &tag) {
            Err(error) if is_no_tag(&error) => {}
            outcome => return outcome,
        }
        match self.pusher(reference).head_manifest()? {
            None => Ok(()),
            Some(digest) => self.delete(reference, &digest.to_string()),
        }
    }

    fn delete(&self, reference: &Reference, version: &str) -> Result<(), RegistryError> {
        let repository = reference.repository();
        let place = Place::delete(&repository);
        let target = Target::Path(format!("manifests/{version}"));
        let name = image_name(&repository, version);
        let request = Request::new(Method::DELETE, &place, target, format!("delete `{name}`"));
        let ask = async || {
            let response = self.transport().send(&request, None).await?;
            match response.status() {
                status if is_one_of(status, &[200, 202, 204, 404]) => Ok(()),
                _ => Err(self.transport().failure(&request, response).await),
            }
        };
        self.engine().block_on(self.policy().run(ask))
    }
}

/// Whether a registry only takes digests: distribution says 400 or 405.
fn is_no_tag(error: &RegistryError) -> bool {
    matches!(error, RegistryError::Status { status: 400 | 405 | 501, .. })
}
