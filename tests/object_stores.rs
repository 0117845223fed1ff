//! Contexts from object stores, and logins for the registries of the clouds that have them.

mod common;

#[path = "object_stores/azure.rs"]
mod azure;
#[path = "object_stores/azure_registry.rs"]
mod azure_registry;
#[path = "object_stores/azurite.rs"]
mod azurite;
#[allow(dead_code, reason = "tests of other files use the rest")]
#[path = "remote/built.rs"]
mod built;
#[allow(dead_code, reason = "tests of other files use the rest")]
#[path = "registries/certificates.rs"]
mod certificates;
#[path = "object_stores/front.rs"]
mod front;
#[path = "object_stores/google.rs"]
mod google;
#[path = "object_stores/google_registry.rs"]
mod google_registry;
#[path = "object_stores/ports.rs"]
mod ports;
