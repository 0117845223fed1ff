//! kaniko's context in git: `git://[user[:password]@]host/path[#ref[#commit]]`, which is read over
//! https. What stays of the clone in kaniko stays here too: `.git`.

use super::super::env::{self, Environment};
use super::super::error::CliError;
use super::values::Values;
use crate::remote::git::{self, GitReference, GitReferenceError};

const SCHEME: &str = "git://";

/// The repository, if a context is one in kaniko's form.
pub(super) fn repository(
    context: &str,
    values: &Values,
    env: &Environment,
) -> Result<Option<GitReference>, CliError> {
    let Some(rest) = context.strip_prefix(SCHEME) else { return Ok(None) };
    let options = Options::read(values)?;
    let (place, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (name, commit) = fragment.split_once('#').unwrap_or((fragment, ""));
    let method = match env.text(env::GIT_PULL_METHOD)?.as_deref() {
        Some("http") => "http",
        _ => "https",
    };
    let place = with_login(place, env)?;
    let name = Some(name).filter(|name| !name.is_empty()).unwrap_or(&options.branch);
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let found = GitReference {
        remote: format!("{method}://{place}"),
        reference: given(name),
        checksum: given(commit),
        fetch_by_commit: !commit.is_empty(),
        keep_git_dir: Some(true),
        submodules: Some(options.submodules),
        unencrypted: method == "http",
        ..GitReference::default()
    };
    let found = git::checked(found).map_err(|error: GitReferenceError| {
        CliError::complete(format!("the build context cannot be used: {error}"))
    })?;
    Ok(Some(found))
}

/// What `--git` says.
#[derive(Debug, Default)]
struct Options {
    branch: String,
    submodules: bool,
}

impl Options {
    fn read(values: &Values) -> Result<Self, CliError> {
        let mut options = Self::default();
        let pairs = values.list("git").iter().flat_map(|text| text.split(','));
        for pair in pairs.filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, "true"));
            match key {
                "branch" => options.branch = value.to_owned(),
                "recurse-submodules" => {
                    options.submodules = super::super::values::switch(value)
                        .map_err(|why| CliError::complete(format!("--git {key}: {why}")))?
                }
                // One commit is fetched in any case.
                "single-branch" | "depth" => {}
                "insecure-skip-tls" if !matches!(value, "true" | "1") => {}
                "insecure-skip-tls" => {
                    return Err(CliError::new(
                        "kiln does not fetch a repository past its certificate: --git \
                         insecure-skip-tls",
                        "name the certificate with --registry-certificate HOST=FILE, or give \
                         --skip-tls-verify",
                    ));
                }
                _ => {
                    return Err(CliError::complete(format!(
                        "--git has no option `{key}`; it has branch, single-branch, depth, \
                         recurse-submodules and insecure-skip-tls"
                    )));
                }
            }
        }
        Ok(options)
    }
}

/// A user in the address wins over those of the environment: a token, or a name and a password.
fn with_login(place: &str, env: &Environment) -> Result<String, CliError> {
    let authority = place.split('/').next().unwrap_or_default();
    if authority.contains('@') {
        return Ok(place.to_owned());
    }
    if let Some(token) = env.text(env::GIT_TOKEN)? {
        return Ok(format!("{}@{place}", encoded(&token)));
    }
    let (user, password) = (env.text(env::GIT_USERNAME)?, env.text(env::GIT_PASSWORD)?);
    Ok(match (user, password) {
        (Some(user), Some(password)) => {
            format!("{}:{}@{place}", encoded(&user), encoded(&password))
        }
        _ => place.to_owned(),
    })
}

fn encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let one = |b: u8| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") };
    text.bytes().map(one).collect()
}
