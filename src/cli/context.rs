//! Where the files of the build are, in Docker's words and in kaniko's.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::build_context;
use super::clouds;
use super::env::Environment;
use super::error::CliError;
use crate::context::{Archive, leads_out};
use crate::registry::Object;
use crate::remote::{is_http, without_secrets};
use crate::request::{DockerfileSource, Elsewhere};

/// What happens with contexts that kiln does not fetch itself.
const SCHEMES: &str = "write a repository's address with https://, ssh:// or git://";
const DOWNLOAD: &str = "download it first and give kiln tar://FILE, or tar://stdin to pipe it in";

/// A context, as a request has it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ContextChoice {
    /// The directory: absolute, or within what is elsewhere.
    pub(super) dir: PathBuf,
    /// Where it is, if it is no directory of this machine.
    pub(super) elsewhere: Option<Elsewhere>,
}

/// Reads the context that was typed, else the current directory; of it, the directory `sub_path`.
pub(super) fn source(
    typed: Option<&OsStr>,
    sub_path: Option<&OsStr>,
    env: &Environment,
) -> Result<ContextChoice, CliError> {
    let typed = typed.unwrap_or(OsStr::new("."));
    if typed.is_empty() {
        return Err(CliError::new(
            "the build context is empty",
            "name a directory; is the variable that you wrote there set?",
        ));
    }
    // It is below the context, whether or not it begins with a slash.
    let below = within(sub_path);
    if leads_out(below) {
        return Err(CliError::new(
            format!("`{}` leads out of the build context", below.display()),
            "name a directory inside of it",
        ));
    }
    let place = match typed.to_str() {
        Some(text) => place(text, env)?,
        None => Place::Directory(env.absolute(typed)),
    };
    match place {
        Place::Elsewhere(place) => {
            Ok(ContextChoice { dir: below.to_owned(), elsewhere: Some(place) })
        }
        Place::Directory(dir) => {
            let dir: PathBuf = dir.join(below).components().collect();
            directory(&dir)?;
            Ok(ContextChoice { dir, elsewhere: None })
        }
    }
}

/// A directory within a context, whether or not it begins with a slash.
pub(super) fn within(sub_path: Option<&OsStr>) -> &Path {
    let below = Path::new(sub_path.unwrap_or_default());
    below.strip_prefix("/").unwrap_or(below)
}

fn directory(dir: &Path) -> Result<(), CliError> {
    if dir.is_dir() {
        return Ok(());
    }
    let (problem, help) = match dir.exists() {
        true => ("is not a directory", "name a directory, or tar://FILE if it is an archive"),
        false => ("does not exist", "name the directory that COPY and ADD shall read"),
    };
    Err(CliError::new(format!("the build context {} {problem}", dir.display()), help))
}

enum Place {
    Directory(PathBuf),
    Elsewhere(Elsewhere),
}

/// A path, or one of kaniko's forms. Those that are not read here are known, so that the error can
/// say more than that a directory named `https:` does not exist.
fn place(context: &str, env: &Environment) -> Result<Place, CliError> {
    if let Some(path) = context.strip_prefix("dir://") {
        return Ok(Place::Directory(env.absolute(path)));
    }
    if let Some(path) = context.strip_prefix("tar://") {
        return archive(path, env).map(Elsewhere::Archive).map(Place::Elsewhere);
    }
    if context == "-" {
        return Ok(Place::Elsewhere(Elsewhere::Stdin));
    }
    if let Some(found) = build_context::repository(context, env) {
        let wrong = |why| CliError::complete(format!("the build context {why}"));
        return found.map(Elsewhere::Repository).map(Place::Elsewhere).map_err(wrong);
    }
    if let Some(found) = object(context) {
        return found.map(Elsewhere::Object).map(Place::Elsewhere);
    }
    if let Some(blob) = clouds::blob(context, env) {
        return Ok(Place::Elsewhere(Elsewhere::Object(blob)));
    }
    if is_http(context) {
        return Ok(Place::Elsewhere(Elsewhere::Address(context.to_owned())));
    }
    let is_scheme =
        |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '+' || c == '-');
    let Some((scheme, _)) = context.split_once("://").filter(|(scheme, _)| is_scheme(scheme))
    else {
        return Ok(Place::Directory(env.absolute(context)));
    };
    Err(CliError::new(
        format!("kiln cannot read a build context from {scheme}: `{}`", without_secrets(context)),
        if scheme.starts_with("git+") { SCHEMES } else { DOWNLOAD },
    ))
}

/// An object of a cloud's store, if the text names one.
pub(super) fn object(text: &str) -> Option<Result<Object, CliError>> {
    Some(Object::parse(text)?.map_err(|why| {
        CliError::new(
            format!("the build context `{}` {why}", without_secrets(text)),
            "name the archive: s3://BUCKET/context.tar.gz, gs://BUCKET/context.tar.gz or \
             https://ACCOUNT.blob.core.windows.net/CONTAINER/context.tar.gz",
        )
    }))
}

fn archive(path: &str, env: &Environment) -> Result<Archive, CliError> {
    if path == "stdin" {
        return Ok(Archive::Stdin);
    }
    let file = env.absolute(path);
    if file.is_file() {
        return Ok(Archive::File(file));
    }
    let problem = if file.exists() { "is not a file" } else { "does not exist" };
    Err(CliError::new(
        format!("the build context {} {problem}", file.display()),
        "name a tar, plain or compressed, or tar://stdin",
    ))
}

/// Where the Dockerfile is: seen from here, as Docker has it, else from the context, as kaniko
/// has it too. What an archive has is known later.
pub(super) fn dockerfile(
    typed: Option<&OsStr>,
    context: &ContextChoice,
    env: &Environment,
) -> Result<DockerfileSource, CliError> {
    let Some(typed) = typed.filter(|typed| !typed.is_empty()) else {
        return Ok(DockerfileSource::Default);
    };
    if typed == "-" {
        return match &context.elsewhere {
            Some(Elsewhere::Stdin | Elsewhere::Archive(Archive::Stdin)) => Err(CliError::complete(
                "can't use stdin for both build context and dockerfile".to_owned(),
            )),
            _ => Ok(DockerfileSource::Stdin),
        };
    }
    if let Some(address) = typed.to_str().filter(|typed| is_http(typed)) {
        return Ok(DockerfileSource::Address(address.to_owned()));
    }
    let here = env.absolute(typed);
    if context.elsewhere.is_some() && Path::new(typed).is_relative() && !here.is_file() {
        return Ok(DockerfileSource::Path(typed.into()));
    }
    let inside: PathBuf = context.dir.join(typed).components().collect();
    let found = [&here, &inside].into_iter().find(|path| path.is_file());
    found.cloned().map(DockerfileSource::Path).ok_or_else(|| {
        let mut message = format!("there is no Dockerfile {}", here.display());
        if inside != here {
            message.push_str(&format!(" or {}", inside.display()));
        }
        CliError::new(message, "a path after -f is looked for here and then in the context")
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn forms_of_contexts() {
        let dir = tempfile::tempdir().expect("temp");
        fs::create_dir_all(dir.path().join("app/sub")).expect("directories");
        fs::write(dir.path().join("c.tar.gz"), "").expect("a file");
        let env = Environment::new(dir.path().to_owned(), []);
        let absolute = |path: &str| dir.path().join(path);
        let tar = Elsewhere::Archive(Archive::File(absolute("c.tar.gz")));
        let blob = "https://a.blob.core.windows.net/c/x.tgz?sig=x";
        let s3 = Elsewhere::Object(Object::S3 { bucket: "b".into(), key: "a b.tgz".into() });
        let google = Elsewhere::Object(Object::Google { bucket: "b".into(), name: "c".into() });
        let azure = Elsewhere::Object(Object::Azure { address: blob.into() });
        let tar_by_path = format!("tar://{}", absolute("c.tar.gz").display());
        let dir_by_path = format!("dir://{}/", absolute("app").display());
        for (typed, sub_path, expected, elsewhere) in [
            ("app", None, absolute("app"), None),
            ("app", Some("sub"), absolute("app/sub"), None),
            ("app/", Some("/sub/"), absolute("app/sub"), None),
            ("dir://app", Some(""), absolute("app"), None),
            (&dir_by_path, Some("sub"), absolute("app/sub"), None),
            ("tar://c.tar.gz", None, PathBuf::new(), Some(tar.clone())),
            (&tar_by_path, Some("a/b"), "a/b".into(), Some(tar)),
            ("tar://stdin", Some("/a"), "a".into(), Some(Elsewhere::Archive(Archive::Stdin))),
            ("-", None, PathBuf::new(), Some(Elsewhere::Stdin)),
            (
                "https://h/x.tgz?sig=x",
                None,
                PathBuf::new(),
                Some(Elsewhere::Address("https://h/x.tgz?sig=x".into())),
            ),
            (
                "https://h/x",
                Some("/a/b/"),
                "a/b/".into(),
                Some(Elsewhere::Address("https://h/x".into())),
            ),
            ("s3://b/a b.tgz", Some("d"), "d".into(), Some(s3)),
            ("gs://b/c", Some("/d"), "d".into(), Some(google)),
            (blob, Some("d/e"), "d/e".into(), Some(azure)),
        ] {
            let found = source(Some(typed.as_ref()), sub_path.map(OsStr::new), &env);
            let expected = ContextChoice { dir: expected, elsewhere };
            assert_eq!(found.ok(), Some(expected), "{typed} {sub_path:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_named_with_a_way_out() {
        let dir = tempfile::tempdir().expect("temp");
        let env = Environment::new(dir.path().to_owned(), []);
        for (typed, message, help) in [
            ("git+ssh://h/r", "from git+ssh: ", "with https://"),
            ("https://u:geheim@h/r.git?x=y", "unexpected query \"x\"", ""),
            ("s3://b", "context `s3://b` names a bucket, but no object", "s3://BUCKET/context"),
            ("gs://u:geheim@b/c", "`gs://…@b/c` names a bucket with", "gs://BUCKET/context"),
            (
                "https://a.blob.core.windows.net/c?sig=geheim",
                "`https://a.blob.core.windows.net/c` names no blob",
                "ACCOUNT.blob.core.windows.net",
            ),
            ("azure://u:geheim@h/c", "from azure: `azure://…@h/c`", "tar://FILE"),
            ("tar://gone.tar", "gone.tar does not exist", "name a tar"),
            ("tar://.", "is not a file", "name a tar"),
            ("", "is empty", "is the variable"),
        ] {
            let error = source(Some(typed.as_ref()), None, &env).expect_err(typed).render(false);
            assert!(error.contains(message) && error.contains(help), "{typed}: {error}");
            assert!(!error.contains("geheim"), "{error}");
        }
    }

    #[test]
    fn a_dockerfile_of_an_archive_is_looked_for_later_unless_it_is_here() {
        let dir = tempfile::tempdir().expect("temp");
        fs::write(dir.path().join("here"), "").expect("a file");
        let env = Environment::new(dir.path().to_owned(), []);
        let context = ContextChoice {
            dir: PathBuf::new(),
            elsewhere: Some(Elsewhere::Archive(Archive::Stdin)),
        };
        let found = |typed: &str| dockerfile(Some(typed.as_ref()), &context, &env).ok();
        assert_eq!(found("here"), Some(DockerfileSource::Path(dir.path().join("here"))));
        assert_eq!(found("d/Dockerfile"), Some(DockerfileSource::Path("d/Dockerfile".into())));
        assert_eq!(found("/nowhere/Dockerfile"), None);
        assert_eq!(found(""), Some(DockerfileSource::Default));
        assert_eq!(found("-"), None, "it is read once");
        let address = "https://h/Dockerfile?x=y";
        assert_eq!(found(address), Some(DockerfileSource::Address(address.into())));
    }
}
