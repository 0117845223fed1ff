//! Content that is there before a client comes.

use super::Registry;
use super::store::lock;
use crate::digest::sha256;

impl Registry {
    /// Puts a blob into the repository. Returns its digest.
    ///
    /// # Panics
    /// If the disk refuses.
    pub fn put_blob(&self, repo: &str, bytes: &[u8]) -> String {
        let store = self.store();
        let put = || {
            let id = store.begin(repo)?;
            if let Some(upload) = store.upload(&id) {
                let mut upload = lock(&upload);
                upload.append(bytes)?;
                store.commit(&id, &upload)?;
            }
            std::io::Result::Ok(sha256(bytes))
        };
        put().unwrap_or_else(|error| panic!("cannot store a blob of {repo}: {error}"))
    }

    /// Puts a manifest into the repository under a tag or its digest, unchecked. Returns its
    /// digest.
    ///
    /// # Panics
    /// If the disk refuses.
    pub fn put_manifest(
        &self,
        repo: &str,
        reference: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> String {
        let tag = (!reference.contains(':')).then_some(reference);
        let put = self.store().put_manifest(repo, tag, media_type, bytes);
        put.unwrap_or_else(|error| panic!("cannot store {repo}:{reference}: {error}"))
    }
}
