//! Registries of all kinds: Debian's `docker-registry`, logins, TLS, plain HTTP, mirrors, indexes.

mod common;

#[path = "registries/certificates.rs"]
mod certificates;
#[path = "registries/formats.rs"]
mod formats;
#[path = "registries/login.rs"]
mod login;
#[path = "registries/logins.rs"]
mod logins;
#[path = "registries/plain.rs"]
mod plain;
#[path = "registries/proxy.rs"]
mod proxy;
#[path = "registries/sources.rs"]
mod sources;
#[path = "registries/tls.rs"]
mod tls;
