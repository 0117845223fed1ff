//! kiln's own registry client: the OCI distribution protocol and Docker's version 2.
//!
//! [`Client`] resolves references to images, reads their blobs and, through a [`Pusher`], writes
//! new ones. Its calls block; asynchrony ends here. From the outside in:
//!
//! | module | job |
//! |---|---|
//! | `reference` | names of images |
//! | `mirror` | where an image is looked for |
//! | `pull`, `memo`, `blob` | manifests and configs, each asked for once; streams of bytes |
//! | `push` | uploads, mounts, manifests |
//! | `tags`, `delete` | lists of tags, and their removal |
//! | `admission` | whether a user is let in |
//! | `put`, `download` | a text to, a file from an address that is no registry's; objects |
//! | `post` | streams from such an address |
//! | `retry` | what is tried again, and when |
//! | `transport` | one request: scheme, credentials, redirects, errors |
//! | `token`, `challenge`, `auth` | from a 401 to an `Authorization` header |
//! | `proxy` | who is reached through a proxy |
//! | `cloud` | logins and signatures of clouds |
//! | `xml` | the errors of clouds |
//! | `tls` | who is trusted |
//! | `engine` | the runtime inside |
//!
//! What every part keeps to: credentials go to the registry that they are for and to its token
//! server, nowhere else; bytes are what their digest says; texts of registries are cut and stripped
//! before they are shown; each wait ends when the build is cancelled.

mod admission;
mod auth;
mod blob;
mod challenge;
mod client;
mod cloud;
mod delete;
mod document;
mod download;
mod engine;
mod error;
mod memo;
mod mirror;
mod options;
mod post;
mod proxy;
mod pull;
mod push;
mod put;
mod reference;
mod retry;
mod tags;
mod tls;
mod token;
mod transport;
mod xml;

pub use auth::{
    CredentialSource, HostLogin, KeptBy, Login, Secret, Server, SourceReport, SourceState,
    StoreError, credential_report, drop_all_logins, drop_login, keep_login,
};
pub use blob::BlobReader;
pub use client::Client;
pub use cloud::{
    AwsContainer, AwsMetadata, AwsSettings, AwsWebIdentity, AzureManaged, AzureSettings,
    AzureStorage, Cloud, CloudSettings, GoogleMetadata, GoogleSettings, Object, StaticKeys,
};
pub use document::RemoteDocument;
pub use download::{Downloaded, FileAt, FileReader};
pub use error::{ObjectRefusal, RegistryError, Unauthorized};
pub use options::{Options, Patience, Ranges};
pub use post::Answer;
pub use proxy::{ProxySettings, ProxyVariable};
pub use pull::{Resolved, choose, choose_from};
pub use push::{Body, Chance, Pushed, Pusher, Sent, Unfinished};
pub use put::put_text;
pub use reference::{HUB, Reference, ReferenceError, Repository};
pub(crate) use transport::same_origin;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod testserver;
