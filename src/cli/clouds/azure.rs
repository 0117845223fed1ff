//! Microsoft's variables: those of its libraries, of its command line for storage, and kaniko's.

use super::super::env::Environment;
use super::text;
use crate::registry::{AzureManaged, AzureSettings, AzureStorage};

/// The tenant and the application, or the client id of a managed identity.
const TENANT_ID: &str = "AZURE_TENANT_ID";
const CLIENT_ID: &str = "AZURE_CLIENT_ID";
/// How the application proves to be it.
const CLIENT_SECRET: &str = "AZURE_CLIENT_SECRET";
const CLIENT_CERTIFICATE_PATH: &str = "AZURE_CLIENT_CERTIFICATE_PATH";
const FEDERATED_TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";
/// Who hands out tokens.
const AUTHORITY_HOST: &str = "AZURE_AUTHORITY_HOST";
/// kaniko's: the name of the cloud.
const ENVIRONMENT: &str = "AZURE_ENVIRONMENT";
/// The metadata service of virtual machines at another address.
const POD_IDENTITY_AUTHORITY_HOST: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";
/// App Service's and its relatives'.
const IDENTITY_ENDPOINT: &str = "IDENTITY_ENDPOINT";
const IDENTITY_HEADER: &str = "IDENTITY_HEADER";
/// A storage account's key: kaniko's name, and that of Microsoft's command line.
const STORAGE_KEYS: [&str; 2] = ["AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_KEY"];
/// The command line's as well.
const STORAGE_ACCOUNT: &str = "AZURE_STORAGE_ACCOUNT";
const STORAGE_SAS_TOKEN: &str = "AZURE_STORAGE_SAS_TOKEN";
const STORAGE_SERVICE_ENDPOINT: &str = "AZURE_STORAGE_SERVICE_ENDPOINT";
const STORAGE_CONNECTION_STRING: &str = "AZURE_STORAGE_CONNECTION_STRING";

/// Whatever emulator runs here has this account
/// (learn.microsoft.com/azure/storage/common/storage-connect-azurite).
const DEVELOPMENT: &str = "AccountName=devstoreaccount1;\
    AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;\
    BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1";

/// What the environment says.
pub(super) fn settings(env: &Environment) -> AzureSettings {
    let path = |name: &str| env.get(name).map(|value| env.absolute(value));
    AzureSettings {
        tenant: text(env, TENANT_ID),
        client: text(env, CLIENT_ID),
        secret: text(env, CLIENT_SECRET).map(Into::into),
        certificate: path(CLIENT_CERTIFICATE_PATH),
        federated_token: path(FEDERATED_TOKEN_FILE),
        authority: text(env, AUTHORITY_HOST),
        environment: text(env, ENVIRONMENT),
        managed: Some(managed(env)),
        storage: storage(env),
    }
}

fn managed(env: &Environment) -> AzureManaged {
    match (text(env, IDENTITY_ENDPOINT), text(env, IDENTITY_HEADER)) {
        (Some(endpoint), Some(header)) => AzureManaged::Service { endpoint, header: header.into() },
        _ => match text(env, POD_IDENTITY_AUTHORITY_HOST) {
            Some(host) => AzureManaged::At(host),
            None => AzureManaged::Usual,
        },
    }
}

/// What has a variable of its own comes before what the connection string says. But key and signature
/// are for the account and the endpoint that they came with: a signature without an account is shown
/// to its endpoint.
fn storage(env: &Environment) -> AzureStorage {
    let key = STORAGE_KEYS.into_iter().find_map(|name| Some((name, text(env, name)?)));
    let own = AzureStorage {
        account: text(env, STORAGE_ACCOUNT),
        key: key.map(|(name, key)| (name.to_owned(), key.into())),
        signature: text(env, STORAGE_SAS_TOKEN).map(|sas| (STORAGE_SAS_TOKEN.into(), sas.into())),
        endpoint: text(env, STORAGE_SERVICE_ENDPOINT),
    };
    let named = own.endpoint.as_deref().and_then(AzureStorage::account_of);
    let connection = text(env, STORAGE_CONNECTION_STRING);
    let connection = connection.map(|text| connection_string(&text)).unwrap_or_default();
    if own.key.is_some() || own.signature.is_some() {
        let account = own.account.or(named);
        let is_bound = own.signature.is_some() && account.is_none();
        let others = connection.endpoint.filter(|_| !is_bound);
        return AzureStorage { account, endpoint: own.endpoint.or(others), ..own };
    }
    let account = own.account.or(connection.account);
    let is_bound = connection.signature.is_some() && account.is_none();
    let endpoint = match is_bound {
        true => connection.endpoint.or(own.endpoint),
        false => own.endpoint.or(connection.endpoint),
    };
    AzureStorage { account: account.or(named), endpoint, ..connection }
}

/// `Name=value;…` (learn.microsoft.com/azure/storage/common/storage-configure-connection-string).
fn connection_string(text: &str) -> AzureStorage {
    let value = |wanted: &str| {
        let mut pairs = text.split(';').filter_map(|pair| pair.split_once('='));
        let found = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.trim().to_owned()).filter(|value| !value.is_empty())
    };
    if value("UseDevelopmentStorage").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return connection_string(DEVELOPMENT);
    }
    let secret = |name: &str| Some((STORAGE_CONNECTION_STRING.to_owned(), value(name)?.into()));
    // The portal's strings with a signature name no account, but its endpoint.
    let account = || value("BlobEndpoint").as_deref().and_then(AzureStorage::account_of);
    AzureStorage {
        account: value("AccountName").or_else(account),
        key: secret("AccountKey"),
        signature: secret("SharedAccessSignature"),
        endpoint: value("BlobEndpoint"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings_of(variables: &[(&str, &str)]) -> AzureSettings {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        settings(&Environment::new("/here".into(), variables))
    }

    #[test]
    fn variables_become_identities() {
        let found = settings_of(&[
            ("AZURE_TENANT_ID", "t"),
            ("AZURE_CLIENT_ID", "c"),
            ("AZURE_CLIENT_SECRET", "geheim"),
            ("AZURE_CLIENT_CERTIFICATE_PATH", "cert.pem"),
            ("AZURE_FEDERATED_TOKEN_FILE", "/token"),
            ("AZURE_AUTHORITY_HOST", "https://login.example"),
            ("AZURE_ENVIRONMENT", "AzureChinaCloud"),
            ("IDENTITY_ENDPOINT", "http://127.0.0.1:1/token"),
            ("IDENTITY_HEADER", "geheim"),
        ]);
        let expected = AzureSettings {
            tenant: Some("t".into()),
            client: Some("c".into()),
            secret: Some("geheim".into()),
            certificate: Some("/here/cert.pem".into()),
            federated_token: Some("/token".into()),
            authority: Some("https://login.example".into()),
            environment: Some("AzureChinaCloud".into()),
            managed: Some(AzureManaged::Service {
                endpoint: "http://127.0.0.1:1/token".into(),
                header: "geheim".into(),
            }),
            storage: AzureStorage::default(),
        };
        assert_eq!(found, expected);
        assert!(!format!("{found:?}").contains("geheim"));
        assert_eq!(settings_of(&[]).managed, Some(AzureManaged::Usual));
        let pod = settings_of(&[("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://h")]);
        assert_eq!(pod.managed, Some(AzureManaged::At("http://h".into())));
    }

    #[test]
    fn keys_come_from_variables_or_a_connection_string() {
        let connection = "DefaultEndpointsProtocol=https;AccountName=me;AccountKey=a2V5==;\
                          EndpointSuffix=core.windows.net";
        let from = |variable: &str, text: &str| Some((variable.to_owned(), text.into()));
        let name = "AZURE_STORAGE_CONNECTION_STRING";
        let found = settings_of(&[(name, connection)]).storage;
        let expected = AzureStorage {
            account: Some("me".into()),
            key: from(name, "a2V5=="),
            ..AzureStorage::default()
        };
        assert_eq!(found, expected);
        let both = settings_of(&[(name, connection), ("AZURE_STORAGE_ACCESS_KEY", "b3RoZXI=")]);
        let expected = AzureStorage {
            key: from("AZURE_STORAGE_ACCESS_KEY", "b3RoZXI="),
            ..AzureStorage::default()
        };
        assert_eq!(both.storage, expected);
        let signature = "BlobEndpoint=https://b.example/;SharedAccessSignature=sv=1&sig=x%3D";
        let expected = AzureStorage {
            signature: from(name, "sv=1&sig=x%3D"),
            endpoint: Some("https://b.example/".into()),
            ..AzureStorage::default()
        };
        assert_eq!(settings_of(&[(name, signature)]).storage, expected);
        let portal = "BlobEndpoint=https://me.blob.core.windows.net/;\
                      QueueEndpoint=https://me.queue.core.windows.net/;\
                      SharedAccessSignature=sv=1&sig=x%3D";
        let expected_of_portal = AzureStorage {
            account: Some("me".into()),
            signature: from(name, "sv=1&sig=x%3D"),
            endpoint: Some("https://me.blob.core.windows.net/".into()),
            ..AzureStorage::default()
        };
        assert_eq!(settings_of(&[(name, portal)]).storage, expected_of_portal);
        // A signature of its own is not shown to the string's endpoint.
        let both = settings_of(&[(name, signature), ("AZURE_STORAGE_SAS_TOKEN", "sv=2&sig=y")]);
        let expected_of_both = AzureStorage {
            signature: from("AZURE_STORAGE_SAS_TOKEN", "sv=2&sig=y"),
            ..AzureStorage::default()
        };
        assert_eq!(both.storage, expected_of_both);
        // Nor is the string's signature shown to another endpoint.
        let other = ("AZURE_STORAGE_SERVICE_ENDPOINT", "https://other.example/");
        assert_eq!(settings_of(&[(name, signature), other]).storage, expected);
        let account = settings_of(&[
            ("AZURE_STORAGE_SAS_TOKEN", "sv=2&sig=y"),
            ("AZURE_STORAGE_SERVICE_ENDPOINT", "https://me.blob.core.windows.net"),
        ]);
        assert_eq!(account.storage.account.as_deref(), Some("me"));
        let development = settings_of(&[(name, "UseDevelopmentStorage=true")]).storage;
        assert_eq!(development.account.as_deref(), Some("devstoreaccount1"));
        let blob = "http://127.0.0.1:10000/devstoreaccount1/c/b";
        assert!(development.is_blob(blob) && !expected.is_blob(blob));
    }
}
