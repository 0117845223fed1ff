//! Whom connections trust and which way they go, as the environment and the machine say it.

use std::path::PathBuf;

use super::env::{self, Environment};
use crate::registry::{ProxySettings, ProxyVariable};

/// Where kaniko's image has certificates; jobs append a company's to a file there.
const KANIKO_DIR: &str = "/kaniko/ssl/certs";

/// What is trusted beside the machine's own certificates.
pub(super) fn more_ca(env: &Environment) -> Vec<PathBuf> {
    let gitlab = env.get(env::CI_SERVER_TLS_CA_FILE).map(|path| env.absolute(path));
    std::iter::once(PathBuf::from(KANIKO_DIR)).chain(gitlab).collect()
}

/// Podman's and Docker's directories of hosts: the user's before the machine's. Docker Desktop's is
/// in `~/.docker`, that of a rootless daemon in the directory of settings.
pub(super) fn host_dirs(env: &Environment) -> Vec<PathBuf> {
    let home = env.get(env::HOME).map(|home| env.absolute(home));
    let settings = match env.get(env::XDG_CONFIG_HOME) {
        Some(dir) => Some(env.absolute(dir)),
        None => home.as_ref().map(|home| home.join(".config")),
    };
    let mut dirs = Vec::new();
    // Podman's does not follow XDG_CONFIG_HOME (containers-certs.d(5)).
    dirs.extend(home.as_ref().map(|home| home.join(".config/containers/certs.d")));
    dirs.extend(home.as_ref().map(|home| home.join(".docker/certs.d")));
    dirs.extend(settings.map(|dir| dir.join("docker/certs.d")));
    dirs.extend(["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from));
    dirs
}

/// Client certificates: what flags say, and before that the one that GitLab Runner shows to the GitLab
/// server, for that server alone: the dependency proxy and the registry's token server are there.
pub(super) fn client_certs(
    typed: Vec<(String, String, String)>,
    env: &Environment,
) -> Vec<(String, PathBuf, PathBuf)> {
    let typed = typed
        .into_iter()
        .map(|(host, certificate, key)| (host, env.absolute(certificate), env.absolute(key)));
    of_gitlab(env).into_iter().chain(typed).collect()
}

fn of_gitlab(env: &Environment) -> Option<(String, PathBuf, PathBuf)> {
    let file = |name| env.get(name).map(|path| env.absolute(path)).filter(|path| path.is_file());
    let host = env.get(env::CI_SERVER_HOST)?.to_str()?;
    let host = match env.get(env::CI_SERVER_PORT).and_then(|port| port.to_str()) {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    Some((host, file(env::CI_SERVER_TLS_CERT_FILE)?, file(env::CI_SERVER_TLS_KEY_FILE)?))
}

/// Capitals first, as Go reads them.
pub(super) fn proxies(env: &Environment) -> ProxySettings {
    let first = |names: [&str; 2]| {
        names.into_iter().find_map(|name| Some((name.to_owned(), env.get(name)?.to_str()?)))
    };
    let proxy = |names| {
        first(names).map(|(variable, address)| ProxyVariable { variable, address: address.into() })
    };
    ProxySettings {
        https: proxy(["HTTPS_PROXY", "https_proxy"]),
        http: proxy(["HTTP_PROXY", "http_proxy"]),
        no_proxy: first(["NO_PROXY", "no_proxy"]).map_or_else(String::new, |(_, it)| it.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(variables: &[(&str, &str)]) -> Environment {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        Environment::new("/here".into(), variables)
    }

    #[test]
    fn capitals_come_first_and_nothing_shows_a_password() {
        let all = [
            ("HTTPS_PROXY", "http://u:geheim@a:1"),
            ("https_proxy", "http://b:2"),
            ("http_proxy", "c:3"),
            ("HTTP_PROXY", ""),
            ("no_proxy", "x,y"),
            ("ALL_PROXY", "http://d:4"),
        ];
        let found = proxies(&env(&all));
        let names =
            [&found.https, &found.http].map(|it| it.as_ref().map(|it| it.variable.as_str()));
        assert_eq!(names, [Some("HTTPS_PROXY"), Some("http_proxy")]);
        assert_eq!(found.no_proxy, "x,y");
        assert!(!format!("{found:?}").contains("geheim"));
    }

    #[test]
    fn the_runner_s_certificate_is_for_the_gitlab_server() {
        let dir = tempfile::tempdir().expect("temp");
        let path = |name: &str| dir.path().join(name).display().to_string();
        let (cert, key) = (path("cert"), path("key"));
        let all = [
            ("CI_SERVER_HOST", "gitlab.example"),
            ("CI_SERVER_PORT", "443"),
            ("CI_SERVER_TLS_CERT_FILE", cert.as_str()),
            ("CI_SERVER_TLS_KEY_FILE", key.as_str()),
            ("CI_SERVER_TLS_CA_FILE", "ca.pem"),
        ];
        assert!(client_certs(Vec::new(), &env(&all)).is_empty(), "the files are not there");
        for path in [&cert, &key] {
            std::fs::write(path, "x").expect("write");
        }
        let typed = vec![("r.io".to_owned(), "c".to_owned(), "k".to_owned())];
        let found = client_certs(typed, &env(&all));
        let expected = [
            ("gitlab.example:443".to_owned(), cert.clone().into(), key.clone().into()),
            ("r.io".to_owned(), "/here/c".into(), "/here/k".into()),
        ];
        assert_eq!(found, expected);
        assert_eq!(more_ca(&env(&all))[1], PathBuf::from("/here/ca.pem"));
    }

    #[test]
    fn the_user_s_directories_come_before_the_machine_s() {
        let all = [("HOME", "/home/u"), ("XDG_CONFIG_HOME", "/xdg")];
        let expected = [
            "/home/u/.config/containers/certs.d",
            "/home/u/.docker/certs.d",
            "/xdg/docker/certs.d",
            "/etc/containers/certs.d",
            "/etc/docker/certs.d",
        ];
        assert_eq!(host_dirs(&env(&all)), expected.map(PathBuf::from));
        assert_eq!(host_dirs(&env(&[])).len(), 2);
    }
}
