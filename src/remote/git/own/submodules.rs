//! Repositories within a repository, each at the commit that the one around it names.

use std::path::Path;

use super::checkout::CheckedOut;
use super::modules::{Module, address, parse};
use super::tree::Mode;
use super::wrong::{Wrong, unusable};
use super::{Own, Remote};
use crate::remote::git::repository::Attempt;
use crate::remote::git::resolve::Wanted;
use crate::remote::{is_http, without_secrets};
use crate::rootfs::Root;

/// Submodules of submodules.
const DEPTH_MAX: usize = 16;
/// In all.
const COUNT_MAX: usize = 1000;

/// The submodules of one repository.
pub(super) struct Within<'a> {
    pub(super) own: &'a Own<'a>,
    pub(super) remote: &'a Remote,
    /// The repository that was asked for.
    pub(super) first: &'a Remote,
    pub(super) root: &'a Root,
    pub(super) top: &'a Path,
    pub(super) depth: usize,
}

impl Within<'_> {
    /// Fetches all of them, into their directories; their names and addresses.
    pub(super) fn fetch(
        &self,
        out: &CheckedOut,
        notes: &mut Vec<String>,
    ) -> Result<Vec<(String, String)>, Wrong> {
        let known = parse(out.modules.as_deref().unwrap_or_default());
        let mut fetched = Vec::new();
        let submodules = out.made.iter().filter(|made| made.mode == Mode::Module);
        for made in submodules {
            let path = made.path.display();
            let of = format!("the submodule `{}`: ", self.top.join(&made.path).display());
            let outcome = known.as_ref().map_err(|wrong| Wrong::Unusable(wrong.to_string()));
            let outcome = outcome.and_then(|known| {
                let is_it = |module: &&Module| {
                    module.path.as_deref().is_some_and(|path| Path::new(path) == made.path)
                };
                let Some(module) = known.iter().find(is_it) else {
                    return unusable(format!(
                        "no url found for submodule path '{path}' in .gitmodules"
                    ));
                };
                if module.is_off {
                    return Ok(None);
                }
                let Some(url) = module.url.as_deref().filter(|url| !url.is_empty()) else {
                    return unusable("`.gitmodules` has no url for it");
                };
                let url = self.one(&address(url, &self.remote.url)?, made, notes)?;
                Ok(Some((module.name.clone(), url)))
            });
            match outcome {
                Ok(one) => fetched.extend(one),
                Err(wrong) => {
                    let Attempt { error, passing } =
                        self.own.failed("update submodules for", &of, wrong);
                    return Err(if passing { Wrong::Later(error) } else { Wrong::Ours(error) });
                }
            }
        }
        Ok(fetched)
    }

    /// Fetches one; its address.
    fn one(
        &self,
        url: &str,
        made: &super::checkout::Made,
        notes: &mut Vec<String>,
    ) -> Result<String, Wrong> {
        if !is_http(url) {
            let shown = without_secrets(url);
            return unusable(match url.contains("://") && !url.starts_with("file:") {
                true => format!(
                    "`{shown}` is fetched with the program git, which is not here: install git where \
                     kiln runs. Only http and https go without"
                ),
                false => format!(
                    "`{shown}` is not fetched. Only http, https, ssh and git are fetched, in \
                     submodules as well"
                ),
            });
        }
        let count = self.own.modules.get() + 1;
        self.own.modules.set(count);
        if self.depth >= DEPTH_MAX || count > COUNT_MAX {
            return unusable("there are more submodules than kiln takes");
        }
        let remote = self.own.fetcher.authorized_within(url, self.first);
        let remote = remote.or_else(|why| {
            let shown = without_secrets(url);
            unusable(format!("its address in .gitmodules, `{shown}`, is not used: {why}"))
        })?;
        let session = self.own.open(&remote)?;
        let top = self.top.join(&made.path);
        let place =
            format!("the submodule `{}` at {}", top.display(), without_secrets(&remote.url));
        let got = self.own.get(&session, &Wanted::Commit(made.id.to_string()), &place)?;
        let found = self.own.unfold(got, &remote, self.first, self.root, &top, self.depth + 1)?;
        notes.extend(found);
        Ok(remote.url)
    }
}
