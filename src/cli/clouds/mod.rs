//! Who this machine is to a cloud: the variables that the clouds' own tools read.

mod aws;
mod azure;
mod google;

use super::env::Environment;
use crate::registry::CloudSettings;

/// What the environment says of all clouds.
pub(super) fn settings(env: &Environment) -> CloudSettings {
    CloudSettings {
        aws: aws::settings(env),
        google: google::settings(env),
        azure: azure::settings(env),
    }
}

/// A variable's text.
fn text(env: &Environment, name: &str) -> Option<String> {
    env.get(name).map(|value| value.to_string_lossy().into_owned())
}
