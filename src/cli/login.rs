//! Which registry is logged into, as whom, and where that is kept.

use super::env::{self, Environment};
use super::error::CliError;
use super::login_flags::{LoginFlags, LogoutFlags};
use super::{Invocation, Remark, credentials, gitlab, resolve};
use crate::registry::{HUB, Secret, Server};
use crate::request::{LoginRequest, LogoutRequest};

/// A login that is to be tried and kept.
#[derive(Debug)]
pub struct Entrance {
    /// Where, and what keeps it.
    pub request: Box<LoginRequest>,
    /// The user; asked for at the terminal if none.
    pub user: Option<String>,
    /// The password. Shows none.
    pub password: PasswordFrom,
    /// What is to be said first.
    pub remarks: Vec<Remark>,
}

/// Where a password comes from.
#[derive(Debug, PartialEq, Eq)]
pub enum PasswordFrom {
    /// The command line.
    Argument(Secret),
    /// Standard input, up to its end; a line break there is not a part of it.
    Stdin,
    /// The terminal.
    Terminal,
}

pub(super) fn login(flags: LoginFlags, env: &Environment) -> Result<Invocation, CliError> {
    if let Some(why) = needs_none(&flags, env) {
        return Ok(Invocation::Nothing(why));
    }
    let server = server(flags.server.as_deref())?;
    let user = given("user", flags.username)?;
    let password = given("password", flags.password)?;
    let mut remarks = Vec::new();
    let password = match (password, flags.password_stdin) {
        (Some(_), true) => {
            return Err(CliError::new(
                "-p and --password-stdin contradict each other",
                "leave out -p",
            ));
        }
        (None, true) if user.is_none() => {
            return Err(CliError::new(
                "--password-stdin has no user for the password",
                "name the user with -u",
            ));
        }
        (None, true) => PasswordFrom::Stdin,
        (None, false) => PasswordFrom::Terminal,
        (Some(password), false) => {
            let advice = "a password on the command line is seen by all processes of this machine \
                          and kept in the shell's history; --password-stdin reads it from a pipe";
            remarks.push(Remark::Warning(advice.into()));
            PasswordFrom::Argument(password.into())
        }
    };
    let registry = resolve::registry_choice(flags.reach.with_retries(0), env);
    let request = Box::new(LoginRequest { server, file: file(env)?, registry });
    Ok(Invocation::Login(Entrance { request, user, password, remarks }))
}

pub(super) fn logout(flags: LogoutFlags, env: &Environment) -> Result<Invocation, CliError> {
    if flags.all && flags.server.is_some() {
        return Err(CliError::new("--all and a server contradict each other", "leave one out"));
    }
    let server = if flags.all { None } else { Some(server(flags.server.as_deref())?) };
    let credentials = credentials::sources(env);
    Ok(Invocation::Logout(Box::new(LogoutRequest { server, file: file(env)?, credentials })))
}

/// Without a server it is Docker Hub, as with docker. docker takes an empty one for that, too, and so
/// sends the password of a registry whose variable is not set to Docker Hub.
fn server(typed: Option<&str>) -> Result<Server, CliError> {
    let text = typed.unwrap_or(HUB);
    if text.trim().is_empty() {
        return Err(CliError::new(
            "the server is empty",
            "is the variable that you wrote there set? Without an argument it is Docker Hub",
        ));
    }
    Server::parse(text).map_err(CliError::complete)
}

fn given(what: &str, typed: Option<String>) -> Result<Option<String>, CliError> {
    if typed.as_deref() == Some("") {
        return Err(CliError::new(
            format!("the {what} is empty"),
            "is the variable that you wrote there set? GitLab sets protected variables on protected \
             branches and tags only",
        ));
    }
    Ok(typed)
}

fn file(env: &Environment) -> Result<std::path::PathBuf, CliError> {
    credentials::login_file(env).ok_or_else(|| {
        CliError::new(
            "there is no place to keep logins: HOME is not set",
            "set DOCKER_CONFIG to a directory",
        )
    })
}

/// A job of GitLab's has its registry's login already.
fn needs_none(flags: &LoginFlags, env: &Environment) -> Option<String> {
    let asks = flags.username.is_none() && flags.password.is_none() && !flags.password_stdin;
    let host = env.get(env::CI_REGISTRY)?.to_str()?;
    let password = env.get(env::CI_REGISTRY_PASSWORD).or_else(|| env.get(env::CI_JOB_TOKEN));
    let own = Server::parse(host).ok()?;
    let same = flags.server.as_ref().is_none_or(|server| Server::parse(server) == Ok(own));
    (asks && same && gitlab::is_job(env) && password.is_some()).then(|| {
        format!(
            "Nothing to do: in a job of GitLab's, kiln uses CI_REGISTRY_USER and \
             CI_REGISTRY_PASSWORD for {host} by itself.\n"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn run(line: &str, variables: &[(&str, &str)]) -> Result<Invocation, CliError> {
        let home = [("HOME", "/home/u")].iter().chain(variables);
        let all = home.map(|(name, value)| (name.into(), value.into()));
        let env = Environment::new("/here".into(), all.collect::<Vec<_>>());
        parse(line.split(' ').map(|word| word.replace("''", "").into()), &env)
    }

    fn entrance(line: &str, variables: &[(&str, &str)]) -> Entrance {
        match run(line, variables) {
            Ok(Invocation::Login(entrance)) => entrance,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn docker_s_command_line_is_understood() {
        let hub = entrance("kiln login -u me --password-stdin", &[]);
        assert_eq!(hub.request.server.to_string(), "docker.io");
        assert_eq!(hub.request.file, std::path::Path::new("/home/u/.docker/config.json"));
        assert_eq!((hub.user.as_deref(), hub.password), (Some("me"), PasswordFrom::Stdin));
        let asks = entrance("kiln login r.io:5000/team --insecure-registry r.io:5000", &[]);
        assert_eq!((asks.user, asks.password), (None, PasswordFrom::Terminal));
        assert_eq!(asks.request.server.to_string(), "r.io:5000/team");
        assert_eq!(asks.request.registry.insecure_registries, ["r.io:5000"]);
        for line in [
            "kiln login -u me -p geheim r.io",
            "executor login r.io --username me --password geheim",
        ] {
            let typed = entrance(line, &[]);
            assert_eq!(typed.password, PasswordFrom::Argument("geheim".into()));
            assert!(matches!(&typed.remarks[..], [Remark::Warning(_)]));
            assert!(!format!("{typed:?}").contains("geheim"));
        }
    }

    #[test]
    fn logins_go_where_the_variables_say() {
        for (variables, file) in [
            (&[("REGISTRY_AUTH_FILE", "auth.json")][..], "/here/auth.json"),
            (&[("DOCKER_CONFIG", "/d"), ("REGISTRY_AUTH_FILE", "/a")], "/d/config.json"),
            (&[("DOCKER_CONFIG", "/kaniko/.docker/")], "/kaniko/.docker/config.json"),
        ] {
            let found = entrance("kiln login -u u --password-stdin r.io", variables);
            assert_eq!(found.request.file, std::path::Path::new(file));
        }
        let error = run("kiln login -u u --password-stdin", &[("HOME", "")]).expect_err("no home");
        assert!(error.to_string().contains("HOME is not set"), "{error}");
    }

    #[test]
    fn variables_that_are_not_set_are_found_out() {
        for (line, expected) in [
            ("kiln login -u u -p p ''", "the server is empty"),
            ("kiln login -u '' -p p r.io", "the user is empty"),
            ("kiln login -u u -p '' r.io", "the password is empty"),
            ("kiln login --password-stdin r.io", "no user"),
            ("kiln login -u u -p p --password-stdin r.io", "contradict"),
            ("kiln login -u u -p p $CI_REGISTRY", "is no registry"),
            ("kiln logout --all r.io", "contradict"),
            ("kiln logout ''", "the server is empty"),
        ] {
            let error = run(line, &[]).expect_err(line).to_string();
            assert!(error.contains(expected), "{line}: {error}");
        }
        let error = run("executor login -u u -p p ''", &[]).expect_err("empty");
        assert_eq!(error.exit_code(), 1);
    }

    #[test]
    fn a_job_of_gitlab_s_needs_no_login() {
        let job = [
            ("GITLAB_CI", "true"),
            ("CI_PROJECT_DIR", "/builds/p"),
            ("CI_REGISTRY", "r.example:5050"),
            ("CI_REGISTRY_PASSWORD", "geheim"),
        ];
        for line in ["kiln login", "kiln login r.example:5050"] {
            match run(line, &job) {
                Ok(Invocation::Nothing(text)) => {
                    assert!(text.contains("by itself") && !text.contains("geheim"), "{text}");
                }
                other => panic!("{line}: {other:?}"),
            }
        }
        // Who says more means it.
        for line in ["kiln login other.example", "kiln login -u u --password-stdin r.example:5050"]
        {
            entrance(line, &job);
        }
        entrance("kiln login", &job[..2]);
    }
}
