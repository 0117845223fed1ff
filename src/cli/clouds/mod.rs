//! Who this machine is to a cloud: the variables that the clouds' own tools read.

mod aws;
mod azure;
mod google;

use super::env::Environment;
use crate::registry::{CloudSettings, Object};

/// What the environment says of all clouds.
pub(super) fn settings(env: &Environment) -> CloudSettings {
    CloudSettings {
        aws: aws::settings(env),
        google: google::settings(env),
        azure: azure::settings(env),
    }
}

/// A blob below an address that a variable names for the account, such as an emulator's; others
/// are known by their hosts.
pub(super) fn blob(address: &str, env: &Environment) -> Option<Object> {
    let storage = azure::settings(env).storage;
    storage.is_blob(address).then(|| Object::Azure { address: address.to_owned() })
}

/// A variable's text.
fn text(env: &Environment, name: &str) -> Option<String> {
    env.get(name).map(|value| value.to_string_lossy().into_owned())
}
