//! What a registry may be told to be like.

/// A way to behave that the specification allows, or that well-known registries have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Quirk {
    /// Mounts are never done; the answer begins an upload instead.
    NoMount,
    /// A mount without `from` looks into all repositories.
    AnonymousMount,
    /// POST with a digest begins an upload instead of completing it.
    NoMonolithicPost,
    /// `Range` is ignored when a blob is read.
    NoRange,
    /// `Location` has no host in it.
    RelativeLocation,
    /// A tag cannot be moved.
    ImmutableTags,
    /// There is no referrers endpoint, and `subject` means nothing.
    NoReferrers,
    /// A blob's content is redirected to another host, which refuses any `Authorization`.
    RedirectBlobs,
    /// Uploads go on at another host, which refuses any `Authorization`.
    UploadsElsewhere,
    /// PATCH is answered with 405.
    NoPatch,
    /// HEAD is answered with 405.
    NoHead,
    /// GET of an upload is answered with 405.
    NoUploadStatus,
    /// Of a request that was cut, an upload keeps nothing.
    NoPartialUploads,
    /// Tokens of requests that send blobs are looked at again after each MiB, and at the end.
    StrictTokens,
}
