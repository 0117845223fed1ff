//! Microsoft's variables.

use super::super::env::Environment;
use crate::registry::AzureSettings;

/// What the environment says.
pub(super) fn settings(_env: &Environment) -> AzureSettings {
    AzureSettings::default()
}
