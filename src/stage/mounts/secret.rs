//! `type=secret`: the bytes of a secret, read when a RUN wants them.

use std::fs::File;
use std::io::Read as _;

use anyhow::{Context as _, Result, bail};

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
        let path = match self.commands.secrets.get(id) {
            None => return Ok(None),
            Some(Secret::Value(value)) => return Ok(Some(value.bytes().to_vec())),
            Some(Secret::Unset(variable)) => {
                self.reporter.warning(&format!(
                    "the secret {id} is empty: the environment variable {variable} is not set"
                ));
                return Ok(Some(Vec::new()));
            }
            Some(Secret::File(path)) => path,
        };
        let mut value = Vec::new();
        File::open(path)
            .and_then(|file| file.take(Secret::MAX_SIZE + 1).read_to_end(&mut value))
            .with_context(|| format!("cannot read the secret {id} from {}", path.display()))?;
        if value.len() as u64 > Secret::MAX_SIZE {
            bail!("secret {id} too big. max size 500KB");
        }
        Ok(Some(value))
    }
}
