//! `type=secret`: the bytes of a secret, read when a RUN wants them.

use anyhow::{Result, anyhow, bail};

use crate::plan::SecretMount;
use crate::request::Secret;
use crate::stage::workshop::Workshop;

/// The secret; nothing where there is none and none is needed.
pub(super) fn value(shop: &Workshop, mount: &SecretMount) -> Result<Option<Vec<u8>>> {
    let value = shop.secret(&mount.id)?;
    if value.is_none() && mount.required {
        bail!("secret {}: not found: no --secret has this id", mount.id);
    }
    Ok(value)
}

/// The secret as a variable's value.
pub(super) fn text(mount: &SecretMount, value: &[u8]) -> Result<String> {
    match std::str::from_utf8(value) {
        Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
        _ => bail!(
            "the secret {} is no text, so no variable can have it: leave env= out and read its file",
            mount.id
        ),
    }
}

impl Workshop {
    /// The secret of this id, if there is one.
    pub fn secret(&self, id: &str) -> Result<Option<Vec<u8>>> {
        let Some(secret) = self.commands.secrets.get(id) else { return Ok(None) };
        if let Secret::Unset(variable) = secret {
            self.reporter.warning(&format!(
                "the secret {id} is empty: the environment variable {variable} is not set"
            ));
        }
        secret.read().map(Some).map_err(|why| anyhow!("secret {id}: {why}"))
    }
}
