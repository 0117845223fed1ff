//! Amazon's variables.

use super::super::env::Environment;
use crate::registry::AwsSettings;

/// What the environment says.
pub(super) fn settings(_env: &Environment) -> AwsSettings {
    AwsSettings::default()
}
