//! What can go wrong with a registry, in sentences for the person who has to act.

use std::path::PathBuf;
use std::time::Duration;

use crate::cancel::Cancelled;
use crate::digest::Digest;
use crate::image::manifest::ManifestError;

/// Why a registry operation failed. No variant holds a secret; texts of the registry are stripped
/// of control characters and cut.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The build was told to stop.
    #[error("{0}")]
    Cancelled(#[from] Cancelled),
    /// The operating system gave no threads.
    #[error("the registry client cannot start: {0}")]
    Start(String),
    /// A file or variable of credentials cannot be used.
    #[error("the registry credentials in {place} cannot be used: {reason}")]
    Credentials {
        /// The file's path or the variable's name.
        place: String,
        /// What is wrong, with line and column where known.
        reason: String,
    },
    /// A certificate or key that was configured cannot be used.
    #[error("{} cannot be used {purpose}: {reason}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What it was meant for.
        purpose: String,
        /// What is wrong.
        reason: String,
    },
    /// An option's value has no meaning.
    #[error("`{value}` is no {what}: {reason}")]
    Option {
        /// Kind of option.
        what: &'static str,
        /// Its value.
        value: String,
        /// What is wrong.
        reason: String,
    },
    /// The host's name has no address.
    #[error(
        "the registry `{host}` cannot be found: {cause}. Check the name, and this machine's DNS \
         and proxy settings"
    )]
    Dns {
        /// `host[:port]`.
        host: String,
        /// The resolver's words.
        cause: String,
        /// Whether the name server said that the name does not exist.
        unknown: bool,
    },
    /// No connection, or one that broke.
    #[error("the connection to the registry `{host}` failed: {cause}{hint}")]
    Connection {
        /// `host[:port]`.
        host: String,
        /// What the operating system or HTTP library says.
        cause: String,
        /// What to do, starting with `. `; may be empty.
        hint: &'static str,
    },
    /// Nobody listens.
    #[error(
        "the registry `{host}` refuses connections ({cause}). Check the host and port, and that \
         the registry runs"
    )]
    Refused {
        /// `host[:port]`.
        host: String,
        /// What the operating system says.
        cause: String,
    },
    /// The TLS handshake failed.
    #[error("no secure connection to the registry `{host}`: {cause}. {hint}")]
    Tls {
        /// `host[:port]`.
        host: String,
        /// What is wrong with the certificate or handshake.
        cause: String,
        /// What to do.
        hint: String,
        /// Whether the other side does not speak TLS at all.
        plain: bool,
    },
    /// A proxy that is in the way.
    #[error("the registry `{host}` cannot be reached: the proxy `{proxy}` {cause}. {hint}")]
    Proxy {
        /// `host[:port]`.
        host: String,
        /// The proxy's address, without user and password.
        proxy: String,
        /// What it did; a part of a sentence.
        cause: String,
        /// What to do.
        hint: String,
        /// Whether it may be otherwise soon.
        passing: bool,
    },
    /// The registry does not let these credentials do this.
    #[error("{}", UnauthorizedText(.0))]
    Unauthorized(Box<Unauthorized>),
    /// An image, blob or repository that is not there (or not for these credentials).
    #[error("{what} does not exist{hint}{}", Said(.said))]
    NotFound {
        /// ``the image `host/repo:tag` ``, or the blob or repository.
        what: String,
        /// `, or needs credentials …`; may be empty.
        hint: String,
        /// The registry's words.
        said: String,
    },
    /// A rate limit, and no patience left.
    #[error("the registry `{host}` allows no more requests now{}{limit}{}{hint}", Wait(.retry_after), Said(.said))]
    TooManyRequests {
        /// `host[:port]`.
        host: String,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
        /// What the registry says of its limit, starting with `; `; may be empty.
        limit: String,
        /// The registry's words.
        said: String,
        /// What to do, starting with `. `; may be empty.
        hint: &'static str,
    },
    /// A tag that the registry protects against change, and that names another image.
    #[error("the tag `{reference}` exists and the registry does not let it be changed{}", Said(.said))]
    ImmutableTag {
        /// The tag's full name.
        reference: String,
        /// The registry's words.
        said: String,
    },
    /// A registry that does not take a kind of document or layer.
    #[error(
        "the registry does not take `{reference}`, as it does not know the media type \
         `{media_type}`{advice}{}", Said(.said)
    )]
    MediaType {
        /// The image.
        reference: String,
        /// The type that it named.
        media_type: String,
        /// What to do, starting with `. `.
        advice: &'static str,
        /// The registry's words.
        said: String,
    },
    /// Any other status.
    #[error("the registry `{host}` answered {status} when kiln wanted to {action}{}", Said(.said))]
    Status {
        /// `host[:port]`.
        host: String,
        /// E.g. ``upload the blob sha256:… to `team/app` ``.
        action: String,
        /// The HTTP status, without its phrase.
        status: u16,
        /// How long the registry asks to wait.
        retry_after: Option<Duration>,
        /// The registry's words.
        said: String,
    },
    /// A token server that is not where the registry says.
    #[error("the token server `{host}` answered 404 when kiln wanted to {action}")]
    TokenServer {
        /// `host[:port]`.
        host: String,
        /// What was asked.
        action: String,
    },
    /// An answer that does not follow the protocol.
    #[error("the registry `{host}` gave an unusable answer when kiln wanted to {action}: {reason}")]
    Protocol {
        /// `host[:port]`.
        host: String,
        /// What was asked.
        action: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// Bytes that are not those that were asked for.
    #[error("{what} from `{host}` is damaged: expected {expected}, found {found}")]
    Digest {
        /// The blob or manifest.
        what: String,
        /// `host[:port]`.
        host: String,
        /// As the descriptor or header says.
        expected: Digest,
        /// Of the bytes that came.
        found: Digest,
    },
    /// Fewer or more bytes than were announced.
    #[error("{what} from `{host}` is damaged: expected {expected} bytes, found {found}")]
    Size {
        /// The blob or manifest.
        what: String,
        /// `host[:port]`.
        host: String,
        /// As the descriptor says.
        expected: u64,
        /// What came; for a blob that is too long, when kiln stopped to read.
        found: u64,
    },
    /// A blob whose bytes stopped to come, after all attempts.
    #[error("{what} could not be read to its end: {received} of {size} bytes came; {source}")]
    Truncated {
        /// The blob.
        what: String,
        /// Bytes that came.
        received: u64,
        /// Bytes that were announced.
        size: u64,
        /// What ended the last attempt.
        source: Box<RegistryError>,
    },
    /// A file whose rest could not be read, because it is another one now.
    #[error(
        "the file on `{host}` changed while kiln read it, after the connection had broken: try again"
    )]
    Changed {
        /// `host[:port]`.
        host: String,
    },
    /// An object store that does not hand out an object.
    #[error("{}", ObjectText(.0))]
    Object(Box<ObjectRefusal>),
    /// An object that cannot be asked for, because a login for it failed.
    #[error("kiln cannot sign a request for {object}: {reason}")]
    Unsigned {
        /// Without secrets.
        object: String,
        /// What was looked for, and what each place said.
        reason: String,
    },
    /// A manifest that kiln cannot use.
    #[error("`{reference}`: {source}")]
    Manifest {
        /// The image.
        reference: String,
        /// What is wrong.
        source: ManifestError,
    },
    /// A config that does not belong to its manifest, or is none.
    #[error("`{reference}`: the image's config is not valid: {reason}")]
    ImageConfig {
        /// The image.
        reference: String,
        /// What is wrong.
        reason: String,
    },
    /// An index without the platform.
    #[error("`{reference}` has no image for {wanted}; it has {available}")]
    Platform {
        /// The image.
        reference: String,
        /// What was asked for.
        wanted: String,
        /// What there is, comma separated, or `none at all`.
        available: String,
    },
    /// A file that was to be uploaded.
    #[error("{} cannot be read: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A blob whose bytes could not be had when they were to be uploaded.
    #[error("the blob {digest} cannot be read: {source}")]
    Source {
        /// Of the blob.
        digest: Digest,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A blob whose bytes the registry found to be others.
    #[error(
        "the registry `{host}` got other bytes than kiln sent when kiln wanted to {action}. Try \
         again; if it stays so, something between kiln and the registry changes requests{}",
        Said(.said)
    )]
    Damaged {
        /// `host[:port]`.
        host: String,
        /// What was asked.
        action: String,
        /// The registry's words.
        said: String,
    },
    /// A registry that asks to wait longer than kiln is willing to.
    #[error(
        "{answer}. kiln does not wait that long: {} s are left of the {} s that it waits in all \
         (--retry-budget)", left.as_secs(), budget.as_secs()
    )]
    Impatient {
        /// Of the budget.
        left: Duration,
        /// For all waits of one operation.
        budget: Duration,
        /// What the registry answered.
        answer: Box<RegistryError>,
    },
    /// A download that could not be written to disk.
    #[error("the download cannot be written: {0}")]
    Store(String),
    /// A file or byte string whose length is not the descriptor's.
    #[error("{what} has {found} bytes, but {expected} were to be uploaded")]
    Length {
        /// The file or blob.
        what: String,
        /// As the descriptor says.
        expected: u64,
        /// What there is.
        found: u64,
    },
    /// Mirrors failed, and then so did the registry itself.
    #[error("{source}; before that, the mirrors failed: {mirrors}")]
    Mirrors {
        /// One sentence for each.
        mirrors: String,
        /// The last place's error.
        source: Box<RegistryError>,
    },
}

/// A refusal, and what it was that was refused.
#[derive(Debug)]
pub struct Unauthorized {
    /// `host[:port]`.
    pub host: String,
    /// The HTTP status; 401 or 403.
    pub status: u16,
    /// What was asked, e.g. ``push to `team/app` ``.
    pub action: String,
    /// Where the credentials came from, or why there are none; a part of a sentence.
    pub credentials: String,
    /// Whether there were credentials.
    pub anonymous: bool,
    /// What a token had to allow, e.g. `repository:team/app:pull,push`.
    pub scope: String,
    /// The registry's words.
    pub said: String,
    /// What is likely wrong, starting with `. `; may be empty.
    pub hint: &'static str,
}

/// An object store's answer, and who had asked.
#[derive(Debug)]
pub struct ObjectRefusal {
    /// Without secrets.
    pub object: String,
    /// `host[:port]`.
    pub host: String,
    /// The HTTP status.
    pub status: u16,
    /// The store's words: its code and message.
    pub said: String,
    /// Whose signature it was, or why there was none; a part of a sentence.
    pub identity: String,
    /// Whether there was no signature.
    pub anonymous: bool,
    /// How long the store asks to wait.
    pub retry_after: Option<Duration>,
}

struct ObjectText<'a>(&'a ObjectRefusal);

impl std::fmt::Display for ObjectText<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ObjectRefusal { host, status, said, identity, anonymous, .. } = self.0;
        write!(f, "`{host}` answered {status}")?;
        if !said.is_empty() {
            write!(f, " ({said})")?;
        }
        f.write_str(if *anonymous {
            "; kiln asked without a signature: "
        } else {
            "; kiln used "
        })?;
        f.write_str(identity)
    }
}

struct UnauthorizedText<'a>(&'a Unauthorized);

impl std::fmt::Display for UnauthorizedText<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Unauthorized { host, action, credentials, scope, said, status, anonymous, hint } =
            self.0;
        write!(f, "the registry `{host}` does not let kiln {action} (status {status}")?;
        // An action may name the scope already.
        if !scope.is_empty() && !action.contains(scope.as_str()) {
            write!(f, ", scope `{scope}`")?;
        }
        match anonymous {
            true => {
                write!(f, "); kiln asked without credentials (`kiln login {host}` keeps some): ")?
            }
            false => write!(f, "); kiln used ")?,
        }
        write!(f, "{credentials}")?;
        write!(f, "{}{hint}", Said(said))
    }
}

struct Said<'a>(&'a String);

impl std::fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ". The registry says: {}", self.0) }
    }
}

struct Wait<'a>(&'a Option<Duration>);

impl std::fmt::Display for Wait<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(wait) => write!(f, "; it asks to wait {} s", wait.as_secs()),
            None => Ok(()),
        }
    }
}

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    /// No.
    Never,
    /// After a pause of our choice.
    Backoff,
    /// After the pause that the registry asks for.
    After(Duration),
}

impl RegistryError {
    /// Whether the image, blob or repository was not there (as far as the credentials can see).
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::NotFound { .. } => true,
            Self::Mirrors { source, .. } => source.is_not_found(),
            _ => false,
        }
    }

    /// Whether the registry said no to what it was sent, whoever sends it and whenever: a manifest that
    /// names what it does not have gets 404 or, from most, 400 (distribution-spec, `MANIFEST_BLOB_UNKNOWN`).
    pub fn refuses_content(&self) -> bool {
        self.is_not_found() || matches!(self, Self::Status { status: 400 | 404, .. })
    }

    /// Whether the registry refused the credentials, or wants some.
    pub fn is_unauthorized(&self) -> bool {
        match self {
            Self::Unauthorized(_) => true,
            Self::Mirrors { source, .. } => source.is_unauthorized(),
            _ => false,
        }
    }

    /// Whether the build was told to stop.
    pub fn is_cancelled(&self) -> bool {
        match self {
            Self::Cancelled(_) => true,
            Self::Truncated { source, .. } | Self::Mirrors { source, .. } => source.is_cancelled(),
            _ => false,
        }
    }

    /// The registry's words; empty where there are none.
    pub(super) fn said(&self) -> &str {
        match self {
            Self::Impatient { answer, .. } => answer.said(),
            Self::MediaType { said, .. } | Self::Damaged { said, .. } => said,
            Self::Unauthorized(refusal) => &refusal.said,
            Self::NotFound { said, .. }
            | Self::TooManyRequests { said, .. }
            | Self::ImmutableTag { said, .. }
            | Self::Status { said, .. } => said,
            _ => "",
        }
    }

    /// Whether trying again can help.
    pub(super) fn is_passing(&self) -> bool {
        self.retry() != Retry::Never
    }

    /// How trying again can help. No wait makes a server know a
    /// method (501) or a version (505).
    pub(super) fn retry(&self) -> Retry {
        let after = |wait: &Option<Duration>| wait.map_or(Retry::Backoff, Retry::After);
        match self {
            Self::TooManyRequests { retry_after, .. } => after(retry_after),
            Self::Status { status, retry_after, .. } if passes(*status) => after(retry_after),
            Self::Object(refusal) if passes(refusal.status) || refusal.status == 429 => {
                after(&refusal.retry_after)
            }
            Self::Connection { .. }
            | Self::Refused { .. }
            | Self::TokenServer { .. }
            | Self::Proxy { passing: true, .. }
            | Self::Dns { unknown: false, .. } => Retry::Backoff,
            _ => Retry::Never,
        }
    }
}

fn passes(status: u16) -> bool {
    matches!(status, 408 | 499 | 500 | 502..=504 | 506..=599)
}
