//! `--build-context NAME=VALUE`, in buildx's words, and what git is told of this machine.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::clouds;
use super::env::{self, Environment};
use super::error::CliError;
use crate::base_cache::{LAYOUT, layout_dir};
use crate::registry::{Object, Reference, ReferenceError};
use crate::remote::git::{self, GitReference};
use crate::remote::{GitSettings, is_http, without_secrets};
use crate::request::{NamedSource, RunChoice};

const FORM: &str = "write --build-context NAME=VALUE; VALUE is a directory, docker-image://NAME, \
                    oci-layout://DIR, a git repository, an https address, or s3:// or gs://BUCKET/NAME";
/// For the system's hosts of ssh.
const SSH_KNOWN_HOSTS: &str = "/etc/ssh/ssh_known_hosts";

/// Reads all that were typed; a later one of the same name wins.
pub(super) fn named(
    typed: &[String],
    env: &Environment,
) -> Result<BTreeMap<String, NamedSource>, CliError> {
    let pair = |text: &String| {
        let (name, value) =
            text.split_once('=').filter(|(_, value)| !value.is_empty()).ok_or_else(|| {
                let shown = without_secrets(text);
                CliError::new(format!("--build-context: `{shown}` has no value"), FORM)
            })?;
        Ok((name_of(name)?, source(name, value, env)?))
    };
    typed.iter().map(pair).collect()
}

/// A context has the name of an image, with a platform after `::` if it is for that one alone.
fn name_of(name: &str) -> Result<String, CliError> {
    let (image, platform) = name.split_once("::").unwrap_or((name, ""));
    let lower = image.to_lowercase();
    lower.parse::<Reference>().map_err(|error: ReferenceError| {
        CliError::new(format!("invalid context name {name}: {error}"), FORM)
    })?;
    Ok(if platform.is_empty() { lower } else { format!("{lower}::{platform}") })
}

fn source(name: &str, value: &str, env: &Environment) -> Result<NamedSource, CliError> {
    if let Some(image) = value.strip_prefix("docker-image://") {
        return match image {
            "scratch" => Ok(NamedSource::Nothing),
            image => image
                .parse::<Reference>()
                .map(|_| NamedSource::Image(image.to_owned()))
                .map_err(|error| wrong(name, &error.to_string())),
        };
    }
    if let Some(place) = value.strip_prefix(LAYOUT) {
        return layout(name, place, env);
    }
    if value.starts_with("target:") {
        return Err(wrong(
            name,
            "target: is a target of a bake file, which kiln does not read: build that target first, \
             as an OCI layout (--oci-layout-path), and name it with oci-layout://",
        ));
    }
    if let Some(reference) = repository(value, env) {
        return reference.map(NamedSource::Repository).map_err(|error| wrong(name, &error));
    }
    if let Some(found) = Object::parse(value) {
        let why = |why| wrong(name, &format!("`{}` {why}", without_secrets(value)));
        return found.map(NamedSource::Object).map_err(why);
    }
    if let Some(blob) = clouds::blob(value, env) {
        return Ok(NamedSource::Object(blob));
    }
    if is_http(value) {
        return Ok(NamedSource::Address(value.to_owned()));
    }
    if let Some((scheme, _)) = value.split_once("://") {
        return Err(wrong(name, &format!("unsupported context source {scheme} for {name}")));
    }
    let dir = env.absolute(value);
    let problem = match (dir.is_dir(), dir.exists()) {
        (true, _) => return Ok(NamedSource::Directory(dir)),
        (_, true) => "is not a directory",
        _ => "does not exist",
    };
    Err(wrong(name, &format!("{} {problem}", dir.display())))
}

fn wrong(name: &str, why: &str) -> CliError {
    CliError::new(format!("--build-context {name}: {why}"), FORM)
}

/// A layout's address, with its directory made absolute.
fn layout(name: &str, place: &str, env: &Environment) -> Result<NamedSource, CliError> {
    let dir = layout_dir(place);
    let rest = place.get(dir.as_os_str().len()..).unwrap_or_default();
    let dir = env.absolute(dir);
    if !dir.join("index.json").is_file() {
        return Err(wrong(name, &format!("{} is not an OCI layout", dir.display())));
    }
    Ok(NamedSource::Layout(format!("{LAYOUT}{}{rest}", dir.display())))
}

/// A repository, if the text names one; a directory of that name comes before `github.com/…`.
pub(super) fn repository(
    text: &str,
    env: &Environment,
) -> Option<Result<Box<GitReference>, String>> {
    match git::parse(text)? {
        Ok(found) if found.looks_local && env.absolute(text).exists() => None,
        Ok(found) => Some(Ok(Box::new(found))),
        Err(error) => Some(Err(format!("`{}`: {error}", without_secrets(text)))),
    }
}

/// What git and ssh are told of this machine.
pub(super) fn git_settings(run: &RunChoice, env: &Environment) -> GitSettings {
    let agent = run.agents.get("default").cloned();
    let home = env.get(env::HOME).map(PathBuf::from);
    let own = home.map(|home| home.join(".ssh/known_hosts"));
    let proxies = env::PROXIES
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), env.get(name)?.to_owned())));
    GitSettings {
        search_path: env.get(env::PATH).map(ToOwned::to_owned),
        ssh_auth_sock: agent.or_else(|| env.get(env::SSH_AUTH_SOCK).map(|path| env.absolute(path))),
        known_hosts: own
            .into_iter()
            .chain([PathBuf::from(SSH_KNOWN_HOSTS)])
            .filter(|file| file.is_file())
            .collect(),
        proxies: proxies.collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_kind_of_named_context() {
        let dir = tempfile::tempdir().expect("temp");
        fs::create_dir_all(dir.path().join("app")).expect("made");
        fs::create_dir_all(dir.path().join("layout")).expect("made");
        fs::write(dir.path().join("layout/index.json"), "{}").expect("written");
        let env = Environment::new(dir.path().to_owned(), []);
        let at = |name: &str| dir.path().join(name);
        let layout = |rest: &str| format!("oci-layout://{}{rest}", at("layout").display());
        let one = |text: &str| named(&[text.to_owned()], &env);
        for (text, name, expected) in [
            ("app=app", "app", NamedSource::Directory(at("app"))),
            ("Alpine::linux/arm64=app", "alpine::linux/arm64", NamedSource::Directory(at("app"))),
            ("a=docker-image://r.io/b:1", "a", NamedSource::Image("r.io/b:1".into())),
            ("a=docker-image://scratch", "a", NamedSource::Nothing),
            ("a=oci-layout://layout:v1", "a", NamedSource::Layout(layout(":v1"))),
            ("a=oci-layout://./layout", "a", NamedSource::Layout(layout(""))),
            ("a=https://h/x.tgz?a=b", "a", NamedSource::Address("https://h/x.tgz?a=b".into())),
        ] {
            let found = one(text).unwrap_or_else(|error| panic!("{text}: {}", error.render(false)));
            assert_eq!(found, BTreeMap::from([(name.to_owned(), expected)]), "{text}");
        }
        let found = one("a=s3://b/c/d").expect("read");
        let object = Object::S3 { bucket: "b".into(), key: "c/d".into() };
        assert_eq!(found["a"], NamedSource::Object(object));
        for text in ["a=git@h:r", "a=https://h/r.git#main", "a=github.com/o/r", "a=ssh://h/r"] {
            let found = one(text).expect("read");
            assert!(matches!(found["a"], NamedSource::Repository(_)), "{text}: {found:?}");
        }
    }

    #[test]
    fn what_is_no_context_is_named() {
        let dir = tempfile::tempdir().expect("temp");
        let env = Environment::new(dir.path().to_owned(), []);
        for (text, message) in [
            ("a", "has no value"),
            ("a=", "has no value"),
            ("https://u:geheim@h/x", "has no value"),
            ("a b=.", "invalid context name a b"),
            ("a=gone", "gone does not exist"),
            ("a=target:b", "a bake file"),
            ("a=oci-layout://.", "is not an OCI layout"),
            ("a=docker-image://A B", "--build-context a: "),
            ("a=azure://b/c", "unsupported context source azure for a"),
            ("a=s3://b", "`s3://b` names a bucket, but no object"),
            ("a=https://u:geheim@h/r.git?x=y", "unexpected query \"x\""),
        ] {
            let error = named(&[text.to_owned()], &env).expect_err(text).render(false);
            assert!(error.contains(message) && !error.contains("geheim"), "{text}: {error}");
        }
    }
}
