//! Users and passwords in variables: which registry they are for.

use std::net::Ipv4Addr;

use super::super::reference::HUB;
use super::config::split_key;
use super::source::{HostLogin, Login, Secret};
use super::{Answer, Credentials, NOT_SET_HERE};

impl Login {
    /// The credentials, if they are this registry's.
    pub(super) fn answer(&self, registry: &str) -> Answer {
        let Self { user, password, registry_variable, password_variable, .. } = self;
        if !self.is_for(registry) {
            let (own, _) = split_key(&self.registry);
            return Answer::None(format!("{registry_variable} is `{own}`, not `{registry}`"));
        }
        if password.is_empty() {
            let why = format!("{password_variable} {NOT_SET_HERE}");
            return Answer::None(format!("{registry_variable} is `{registry}`, but {why}"));
        }
        Answer::Found {
            credentials: basic(user, password),
            key: self.registry.clone(),
            source: format!("{password_variable} for the registry of {registry_variable}"),
        }
    }

    fn is_for(&self, registry: &str) -> bool {
        let (own, _) = split_key(&self.registry);
        if own == registry {
            return true;
        }
        let ((own_host, own_port), (host, port)) = (split_port(&own), split_port(registry));
        let one_port = own_port.is_none() != port.is_none();
        self.port_is_optional && one_port && own_host == host
    }
}

/// The pair for a registry: with the port before without, the whole host before the domains that
/// it is in.
pub(super) fn answer(logins: &[HostLogin], registry: &str) -> Answer {
    let wanted = spellings(registry);
    let same = |login: &HostLogin, name: &str| login.host.eq_ignore_ascii_case(name);
    let found = wanted.iter().find_map(|name| logins.iter().find(|login| same(login, name)));
    let Some(HostLogin { variables, user, password, .. }) = found else {
        let names: Vec<_> = logins.iter().map(|login| login.variables.as_str()).collect();
        return Answer::None(format!("{}_… is for another registry", names.join("_…, ")));
    };
    if password.is_empty() {
        return Answer::None(format!("{variables}_PASSWORD {NOT_SET_HERE}"));
    }
    Answer::Found {
        credentials: basic(user, password),
        key: variables.clone(),
        source: format!("{variables}_USER and {variables}_PASSWORD"),
    }
}

/// How a variable's name may spell a registry.
fn spellings(registry: &str) -> Vec<String> {
    let (host, port) = split_port(registry);
    let mut names = Vec::new();
    if port.is_some() {
        names.push(registry.to_owned());
    }
    // Credentials of Docker Hub are kept under its old name by most tools.
    if registry == HUB {
        names.push("index.docker.io".into());
    }
    names.push(host.to_owned());
    // The end of an address is no domain.
    if host.parse::<Ipv4Addr>().is_err() && !host.starts_with('[') {
        let dots = host.match_indices('.').map(|(dot, _)| host[dot + 1..].to_owned());
        names.extend(dots);
    }
    names.iter().map(|name| name.replace(['.', '-', ':'], "_")).collect()
}

fn split_port(registry: &str) -> (&str, Option<&str>) {
    match registry.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (registry, None),
    }
}

fn basic(user: &str, password: &Secret) -> Credentials {
    Credentials::Basic { user: user.to_owned(), password: password.expose().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(registry: &str, port_is_optional: bool) -> Login {
        Login {
            registry: registry.into(),
            port_is_optional,
            user: "u".into(),
            password: "p".into(),
            registry_variable: "CI_REGISTRY".into(),
            password_variable: "CI_REGISTRY_PASSWORD".into(),
        }
    }

    #[test]
    fn a_login_is_for_one_host() {
        for (own, port_is_optional, registry, expected) in [
            ("r.io", true, "r.io", true),
            ("r.io", true, "r.io:5050", true),
            ("r.io:5050", true, "r.io", true),
            ("r.io:5050", true, "r.io:5051", false),
            ("r.io:5050", true, "r.io:5050", true),
            ("https://R.io:443/", false, "r.io", true),
            ("r.io", false, "r.io:5050", false),
            ("r.io", true, "other.r.io", false),
            ("r.io", true, "evil-r.io", false),
            ("[::1]:5000", true, "[::1]", true),
            ("[::1]", true, "[::2]", false),
        ] {
            let found =
                matches!(login(own, port_is_optional).answer(registry), Answer::Found { .. });
            assert_eq!(found, expected, "{own} {port_is_optional} {registry}");
        }
    }

    #[test]
    fn variables_spell_hosts_with_underscores() {
        let host = |name: &str| HostLogin {
            variables: format!("KANIKO_{name}"),
            host: name.into(),
            user: name.into(),
            password: "p".into(),
        };
        let all: Vec<_> = [
            "my_reg_example_com",
            "MY_REG_EXAMPLE_COM_5000",
            "example_com",
            "127_0_0_1",
            "docker_io",
        ]
        .map(host)
        .into();
        for (registry, expected) in [
            ("my-reg.example.com", Some("my_reg_example_com")),
            ("my-reg.example.com:5000", Some("MY_REG_EXAMPLE_COM_5000")),
            ("my-reg.example.com:5001", Some("my_reg_example_com")),
            ("other.example.com", Some("example_com")),
            ("a.b.example.com:1", Some("example_com")),
            ("example.org", None),
            ("127.0.0.1:5000", Some("127_0_0_1")),
            ("1.127.0.0", None),
            ("docker.io", Some("docker_io")),
        ] {
            let found = match answer(&all, registry) {
                Answer::Found { credentials: Credentials::Basic { user, .. }, .. } => Some(user),
                _ => None,
            };
            assert_eq!(found.as_deref(), expected, "{registry}");
        }
    }
}
