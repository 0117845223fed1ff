//! Logins: asked about, kept, taken back.

use anyhow::{Context as _, Result, anyhow};

use crate::cancel::Cancel;
use crate::registry::{
    Client, CredentialSource, KeptBy, Login, RegistryError, Repository, Secret, Server,
    SourceState, credential_report, drop_all_logins, drop_login, keep_login,
};
use crate::request::{LoginRequest, LogoutRequest};
use crate::settings;

/// A login that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedIn {
    /// Who keeps it.
    pub kept_by: KeptBy,
    /// The source of credentials that builds use before it, if there is one.
    pub hidden_by: Option<String>,
}

/// What was taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedOut {
    /// For what.
    pub servers: Vec<String>,
    /// The source of credentials that builds use for the registry all the same, if there is one.
    pub left: Option<String>,
}

/// Asks the registry to let this user in, and keeps the login if it does.
pub fn log_in(
    request: &LoginRequest,
    user: &str,
    password: &Secret,
    cancel: &Cancel,
) -> Result<LoggedIn> {
    let LoginRequest { server, file, registry } = request;
    let mut options = settings::registry_options(registry);
    let given = Login {
        registry: server.registry.clone(),
        port_is_optional: false,
        user: user.to_owned(),
        password: password.clone(),
        registry_variable: "SERVER".into(),
        password_variable: "the password".into(),
    };
    options.credentials = vec![CredentialSource::Login(given)];
    let asked = Client::new(options, cancel.clone())?.admission(&server.registry);
    asked.map_err(|error| refused(error, server, user))?;
    let kept_by = keep_login(file, server, user, password, cancel)
        .with_context(|| format!("cannot keep the login for {server}"))?;
    let used = used(&registry.credentials, server, cancel);
    let own = file.display().to_string();
    Ok(LoggedIn { kept_by, hidden_by: used.filter(|name| *name != own) })
}

fn refused(error: RegistryError, server: &Server, user: &str) -> anyhow::Error {
    match error {
        RegistryError::Unauthorized(no) => {
            let said = match no.said.as_str() {
                "" => String::new(),
                said => format!(". {} says: {said}", no.host),
            };
            anyhow!(
                "{server} does not let `{user}` in with this password (status {}){said}; nothing was \
                 kept",
                no.status
            )
        }
        error if error.is_not_found() => {
            anyhow!("{server} is no registry: it answers 404 where one says that it is there")
        }
        error => anyhow::Error::new(error).context(format!("cannot log in to {server}")),
    }
}

/// Takes logins back; one that is not there is as good.
pub fn log_out(request: &LogoutRequest, cancel: &Cancel) -> Result<LoggedOut> {
    let LogoutRequest { server, file, credentials } = request;
    let Some(server) = server else {
        let servers = drop_all_logins(file, cancel).context("cannot log out")?;
        return Ok(LoggedOut { servers, left: None });
    };
    let was_there =
        drop_login(file, server, cancel).with_context(|| format!("cannot log out of {server}"))?;
    let servers = if was_there { vec![server.to_string()] } else { Vec::new() };
    Ok(LoggedOut { servers, left: used(credentials, server, cancel) })
}

/// The source whose credentials a build would use.
fn used(sources: &[CredentialSource], server: &Server, cancel: &Cancel) -> Option<String> {
    let repository = Repository { registry: server.registry.clone(), name: server.path.clone() };
    let report = credential_report(sources, &repository, cancel);
    let has = |state: &SourceState| matches!(state, SourceState::Credentials { .. });
    report.into_iter().find(|source| has(&source.state)).map(|source| source.name)
}
