//! Google's variables.

use super::super::env::Environment;
use crate::registry::GoogleSettings;

/// What the environment says.
pub(super) fn settings(_env: &Environment) -> GoogleSettings {
    GoogleSettings::default()
}
