//! Whether a registry lets a user in, as `docker login` asks: `GET /v2/`, with a token for nothing in
//! particular where it wants one.

use reqwest::Method;

use super::client::Client;
use super::error::RegistryError;
use super::reference::canonical_registry;
use super::transport::{Access, Place, Request, Target};

impl Client {
    /// Asks a registry to let this client's credentials in.
    ///
    /// # Errors
    /// [`RegistryError::Unauthorized`] is its no; the others are those of connections.
    pub fn admission(&self, registry: &str) -> Result<(), RegistryError> {
        let place = Place {
            registry: canonical_registry(registry),
            name: String::new(),
            access: Access::Push,
        };
        // Below no repository; see `Request::scopes`.
        let target = Target::Path("../".into());
        let request = Request::new(Method::GET, &place, target, "log in")
            .what(format!("the registry protocol at `{registry}`"));
        let ask = async || self.transport().expect(&request, &[200]).await.map(drop);
        self.engine().block_on(self.policy().run(ask))
    }
}
