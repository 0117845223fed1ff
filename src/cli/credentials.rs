//! Where credentials are looked for: what people wrote down before what their CI offers by itself.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::env::{self, Environment};
use crate::registry::{Cloud, CredentialSource, HostLogin, Login};

/// Where kaniko's image has Docker's config.json; jobs write it there whatever the image sets.
const KANIKO_FILE: &str = "/kaniko/.docker/config.json";
/// The user of every GitLab job token.
const JOB_USER: &str = "gitlab-ci-token";

/// All sources, in order.
pub(super) fn sources(env: &Environment) -> Vec<CredentialSource> {
    let mut sources = vec![docker_auth_config(env)];
    sources.extend(files(env));
    let hosts = host_logins(env);
    if !hosts.is_empty() {
        sources.push(CredentialSource::Hosts(hosts));
    }
    sources.extend([Cloud::Google, Cloud::Aws, Cloud::Azure].map(CredentialSource::Cloud));
    // The proxy first: it can have the registry's host, and only the registry's port may be left
    // out.
    sources.extend(dependency_proxy(env));
    sources.push(gitlab_registry(env));
    sources
}

/// GitLab jobs have this variable as text and as the path of a file. What is no path of a file is
/// taken for text, so that nothing of it is shown.
fn docker_auth_config(env: &Environment) -> CredentialSource {
    let variable = env::DOCKER_AUTH_CONFIG.to_owned();
    let Some(value) = env.get(env::DOCKER_AUTH_CONFIG) else {
        return CredentialSource::Unset { variable };
    };
    let path = env.absolute(value);
    if path.is_file() {
        return CredentialSource::File { path, named: true };
    }
    let text = value.to_string_lossy().into_owned().into();
    CredentialSource::Text { variable, text }
}

/// Docker's, kaniko's and Podman's files, each once: kaniko's image sets `DOCKER_CONFIG` to its
/// own directory.
fn files(env: &Environment) -> Vec<CredentialSource> {
    let path = |name| env.get(name).map(|value| env.absolute(value));
    let home = path(env::HOME);
    let runtime = path(env::XDG_RUNTIME_DIR).map(|dir| dir.join("containers/auth.json"));
    let below_home = |rest| home.as_ref().map(|home| home.join(rest));
    let all = [
        (path(env::DOCKER_CONFIG).map(config_json), true),
        (Some(PathBuf::from(KANIKO_FILE)), false),
        (below_home(".docker/config.json"), false),
        (path(env::REGISTRY_AUTH_FILE), true),
        (runtime, false),
        (below_home(".config/containers/auth.json"), false),
    ];
    let mut files: Vec<CredentialSource> = Vec::new();
    for (path, named) in all {
        let Some(path) = path else { continue };
        let known = |file: &CredentialSource| matches!(file, CredentialSource::File { path: other, .. } if *other == path);
        if !files.iter().any(known) {
            files.push(CredentialSource::File { path, named });
        }
    }
    files
}

/// Where a login is kept: in the file that a variable names, Docker's before Podman's, else in Docker's
/// ordinary one. None without a home.
pub(super) fn login_file(env: &Environment) -> Option<PathBuf> {
    let path = |name| env.get(name).map(|value| env.absolute(value));
    path(env::DOCKER_CONFIG)
        .map(config_json)
        .or_else(|| path(env::REGISTRY_AUTH_FILE))
        .or_else(|| path(env::HOME).map(|home| home.join(".docker/config.json")))
}

/// DOCKER_CONFIG is a directory, but the file's own path is a mistake that cannot mean anything
/// else.
fn config_json(path: PathBuf) -> PathBuf {
    if path.is_file() { path } else { path.join("config.json") }
}

/// `KANIKO_host_USER` and `KANIKO_host_PASSWORD`, by host.
fn host_logins(env: &Environment) -> Vec<HostLogin> {
    let mut logins = BTreeMap::new();
    for (name, value) in env.beginning_with(env::KANIKO) {
        let (host, is_user) = match (name.strip_suffix("_USER"), name.strip_suffix("_PASSWORD")) {
            (Some(host), _) => (host, true),
            (_, Some(host)) => (host, false),
            _ => continue,
        };
        let login = logins.entry(host).or_insert_with(|| HostLogin {
            variables: format!("{}{host}", env::KANIKO),
            host: host.to_owned(),
            user: String::new(),
            password: String::new().into(),
        });
        let value = value.to_string_lossy().into_owned();
        if is_user { login.user = value } else { login.password = value.into() }
    }
    logins.into_values().collect()
}

/// GitLab's pull-through cache of Docker Hub. Its variable has a port even where images' names have
/// none, `gitlab.com:443`; the default port means nothing in either.
fn dependency_proxy(env: &Environment) -> Option<CredentialSource> {
    let server = value(env, env::CI_DEPENDENCY_PROXY_SERVER)?;
    let password = value(env, env::CI_DEPENDENCY_PROXY_PASSWORD).unwrap_or_default();
    Some(CredentialSource::Login(Login {
        registry: server,
        port_is_optional: false,
        user: value(env, env::CI_DEPENDENCY_PROXY_USER).unwrap_or_else(|| JOB_USER.into()),
        password: password.into(),
        registry_variable: env::CI_DEPENDENCY_PROXY_SERVER.into(),
        password_variable: env::CI_DEPENDENCY_PROXY_PASSWORD.into(),
    }))
}

/// The registry of the GitLab server that runs the job. The password is the job's token, and has
/// the second name where the first is missing.
fn gitlab_registry(env: &Environment) -> CredentialSource {
    let Some(registry) = value(env, env::CI_REGISTRY) else {
        return CredentialSource::Unset { variable: env::CI_REGISTRY.into() };
    };
    let user = value(env, env::CI_REGISTRY_USER).unwrap_or_else(|| JOB_USER.into());
    let password = value(env, env::CI_REGISTRY_PASSWORD);
    let (user, password, variable) = match (password, value(env, env::CI_JOB_TOKEN)) {
        (None, Some(token)) => (JOB_USER.into(), token, env::CI_JOB_TOKEN),
        (password, _) => (user, password.unwrap_or_default(), env::CI_REGISTRY_PASSWORD),
    };
    CredentialSource::Login(Login {
        registry,
        port_is_optional: true,
        user,
        password: password.into(),
        registry_variable: env::CI_REGISTRY.into(),
        password_variable: variable.into(),
    })
}

fn value(env: &Environment, name: &str) -> Option<String> {
    env.get(name).map(|value| value.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn sources_of(directory: &Path, variables: &[(&str, &str)]) -> Vec<CredentialSource> {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        sources(&Environment::new(directory.to_owned(), variables))
    }

    fn file(path: impl Into<PathBuf>, named: bool) -> CredentialSource {
        CredentialSource::File { path: path.into(), named }
    }

    const CLOUDS: [CredentialSource; 3] = [
        CredentialSource::Cloud(Cloud::Google),
        CredentialSource::Cloud(Cloud::Aws),
        CredentialSource::Cloud(Cloud::Azure),
    ];

    fn unset(variable: &str) -> CredentialSource {
        CredentialSource::Unset { variable: variable.into() }
    }

    #[test]
    fn files_are_asked_in_this_order() {
        let all = [
            ("HOME", "/home/u"),
            ("DOCKER_CONFIG", "conf"),
            ("REGISTRY_AUTH_FILE", "auth.json"),
            ("XDG_RUNTIME_DIR", "/run/user/1"),
        ];
        let expected = [
            unset("DOCKER_AUTH_CONFIG"),
            file("/here/conf/config.json", true),
            file("/kaniko/.docker/config.json", false),
            file("/home/u/.docker/config.json", false),
            file("/here/auth.json", true),
            file("/run/user/1/containers/auth.json", false),
            file("/home/u/.config/containers/auth.json", false),
            CLOUDS[0].clone(),
            CLOUDS[1].clone(),
            CLOUDS[2].clone(),
            unset("CI_REGISTRY"),
        ];
        assert_eq!(sources_of("/here".as_ref(), &all), expected);
        let kaniko = [("DOCKER_CONFIG", "/kaniko/.docker/")];
        let expected = [
            unset("DOCKER_AUTH_CONFIG"),
            file("/kaniko/.docker/config.json", true),
            CLOUDS[0].clone(),
            CLOUDS[1].clone(),
            CLOUDS[2].clone(),
            unset("CI_REGISTRY"),
        ];
        assert_eq!(sources_of("/here".as_ref(), &kaniko), expected);
    }

    #[test]
    fn docker_s_variables_can_name_a_file() {
        let dir = tempfile::tempdir().expect("temp");
        fs::write(dir.path().join("my.json"), "{}").expect("write");
        let own = file(dir.path().join("my.json"), true);
        assert_eq!(sources_of(dir.path(), &[("DOCKER_CONFIG", "my.json")])[1], own);
        assert_eq!(sources_of(dir.path(), &[("DOCKER_AUTH_CONFIG", "my.json")])[0], own);
        for text in [r#"{"auths":{}}"#, "elsewhere.json", "\"auths\": {"] {
            let expected =
                CredentialSource::Text { variable: "DOCKER_AUTH_CONFIG".into(), text: text.into() };
            assert_eq!(sources_of(dir.path(), &[("DOCKER_AUTH_CONFIG", text)])[0], expected);
        }
    }

    #[test]
    fn gitlab_s_variables_are_two_logins() {
        let login = |registry: &str, user: &str, password: &str, variables: [&str; 2]| Login {
            registry: registry.into(),
            port_is_optional: variables[0] == "CI_REGISTRY",
            user: user.into(),
            password: password.into(),
            registry_variable: variables[0].into(),
            password_variable: variables[1].into(),
        };
        let registry = ["CI_REGISTRY", "CI_REGISTRY_PASSWORD"];
        let token = ["CI_REGISTRY", "CI_JOB_TOKEN"];
        let proxy = ["CI_DEPENDENCY_PROXY_SERVER", "CI_DEPENDENCY_PROXY_PASSWORD"];
        for (variables, expected) in [
            (
                "CI_REGISTRY=r CI_REGISTRY_USER=u CI_REGISTRY_PASSWORD=p CI_JOB_TOKEN=t",
                vec![login("r", "u", "p", registry)],
            ),
            (
                "CI_REGISTRY=r CI_REGISTRY_USER=u CI_JOB_TOKEN=t",
                vec![login("r", JOB_USER, "t", token)],
            ),
            ("CI_REGISTRY=r CI_REGISTRY_PASSWORD=p", vec![login("r", JOB_USER, "p", registry)]),
            ("CI_REGISTRY=r", vec![login("r", JOB_USER, "", registry)]),
            ("CI_JOB_TOKEN=t CI_DEPLOY_USER=u CI_DEPLOY_PASSWORD=p", vec![]),
            (
                "CI_DEPENDENCY_PROXY_SERVER=g:443 CI_DEPENDENCY_PROXY_USER=u \
                 CI_DEPENDENCY_PROXY_PASSWORD=p CI_REGISTRY=r CI_REGISTRY_PASSWORD=q",
                vec![login("g:443", "u", "p", proxy), login("r", JOB_USER, "q", registry)],
            ),
        ] {
            let pairs: Vec<_> =
                variables.split_whitespace().filter_map(|pair| pair.split_once('=')).collect();
            let found: Vec<_> = sources_of("/".as_ref(), &pairs)
                .into_iter()
                .filter_map(|source| match source {
                    CredentialSource::Login(login) => Some(login),
                    _ => None,
                })
                .collect();
            assert_eq!(found, expected, "{variables}");
        }
    }

    #[test]
    fn variables_with_hosts_are_paired() {
        let variables = [
            ("KANIKO_ghcr_io_USER", "u"),
            ("KANIKO_ghcr_io_PASSWORD", "geheim"),
            ("KANIKO_R_IO_PASSWORD", "q"),
            ("KANIKO_DIR", "/kaniko"),
        ];
        let sources = sources_of("/".as_ref(), &variables);
        let Some(CredentialSource::Hosts(logins)) =
            sources.iter().find(|source| matches!(source, CredentialSource::Hosts(_)))
        else {
            panic!("{sources:?}");
        };
        let pairs: Vec<_> =
            logins.iter().map(|login| (login.variables.as_str(), login.user.as_str())).collect();
        assert_eq!(pairs, [("KANIKO_R_IO", ""), ("KANIKO_ghcr_io", "u")]);
        assert_eq!(logins[1].password, "geheim".into());
        assert!(!format!("{sources:?}").contains("geheim"));
    }
}
