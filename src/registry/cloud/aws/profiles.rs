//! The shared files: `~/.aws/credentials` and `~/.aws/config`
//! (<https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html>).

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::settings::{AwsSettings, AwsWebIdentity, StaticKeys};
use crate::registry::cloud::file::read;

/// What is taken where none is named.
const DEFAULT: &str = "default";

type Profile = BTreeMap<String, String>;

/// Both files, as one.
#[derive(Debug)]
pub(super) struct Profiles {
    /// The profile that counts, and whether somebody named it.
    name: String,
    named: bool,
    all: BTreeMap<String, Profile>,
    /// What there was to read.
    files: Vec<String>,
}

/// How a profile leads to keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Recipe {
    Keys(StaticKeys),
    WebIdentity(AwsWebIdentity),
    Role { arn: String, source: Source, role: Role },
}

/// Who takes on a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    Keys(StaticKeys),
    Profile(String),
    Environment,
    Container,
    Instance,
}

/// More about a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Role {
    pub(super) session: Option<String>,
    pub(super) external_id: Option<String>,
    /// In seconds.
    pub(super) duration: Option<u32>,
}

impl Profiles {
    /// Reads what is there. A file that cannot be read has no profiles, and that is said when keys are
    /// missing.
    pub(super) fn read(settings: &AwsSettings) -> Self {
        let mut all: BTreeMap<String, Profile> = BTreeMap::new();
        let mut files = Vec::new();
        // What both have counts as the file of keys has it.
        for (path, is_config) in
            [(&settings.config_file, true), (&settings.credentials_file, false)]
        {
            let Some(path) = path else { continue };
            match read(path) {
                Ok(text) => {
                    let text = String::from_utf8_lossy(&text);
                    for (name, profile) in parse(&text, is_config) {
                        all.entry(name).or_default().extend(profile);
                    }
                    files.push(path.display().to_string());
                }
                Err(error) => files.push(unreadable(path, &error)),
            }
        }
        let named = settings.profile.is_some();
        let name = settings.profile.clone().unwrap_or_else(|| DEFAULT.to_owned());
        Self { name, named, all, files }
    }

    /// The profile that counts.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A value of it.
    pub(super) fn chosen(&self, key: &str) -> Option<&str> {
        self.all.get(&self.name)?.get(key).map(String::as_str)
    }

    /// How a profile leads to keys; inside, why it is none of them.
    ///
    /// # Errors
    /// A profile that leads to keys by a way that kiln does not go.
    pub(super) fn recipe(&self, name: &str) -> Result<Result<Recipe, String>, String> {
        let files = if self.files.is_empty() {
            "no file of profiles".into()
        } else {
            self.files.join(", ")
        };
        let Some(profile) = self.all.get(name) else {
            let none = format!("there is no profile `{name}` in: {files}");
            // Somebody believes that there is one.
            return if self.named && name == self.name { Err(none) } else { Ok(Err(none)) };
        };
        let get = |key: &str| profile.get(key).filter(|value| !value.is_empty()).cloned();
        let keys = static_keys(profile);
        if let Some(arn) = get("role_arn") {
            return self.role(name, profile, arn, keys).map(Ok);
        }
        if let Some(keys) = keys {
            return Ok(Ok(Recipe::Keys(keys)));
        }
        for (key, what) in [
            ("credential_process", "a program (credential_process)"),
            ("sso_session", "a login in a browser (sso_session)"),
            ("sso_start_url", "a login in a browser (sso_start_url)"),
        ] {
            if get(key).is_some() {
                return Err(format!(
                    "the profile `{name}` gets its keys from {what}, which kiln does not do: export \
                     them with `aws configure export-credentials --format env`"
                ));
            }
        }
        Ok(Err(format!("the profile `{name}` has no keys in: {files}")))
    }

    fn role(
        &self,
        name: &str,
        profile: &Profile,
        arn: String,
        keys: Option<StaticKeys>,
    ) -> Result<Recipe, String> {
        let get = |key: &str| profile.get(key).filter(|value| !value.is_empty()).cloned();
        if let Some(token_file) = get("web_identity_token_file") {
            let (token_file, session) = (PathBuf::from(token_file), get("role_session_name"));
            return Ok(Recipe::WebIdentity(AwsWebIdentity { token_file, role: arn, session }));
        }
        if get("mfa_serial").is_some() {
            return Err(format!("the profile `{name}` asks for a code of a device (mfa_serial)"));
        }
        let source = match (get("source_profile"), get("credential_source").as_deref()) {
            (Some(own), _) if own == name => {
                let none =
                    format!("the profile `{name}` is its own source_profile and has no keys");
                Source::Keys(keys.ok_or(none)?)
            }
            (Some(other), _) => Source::Profile(other),
            (None, Some("Environment")) => Source::Environment,
            (None, Some("EcsContainer")) => Source::Container,
            (None, Some("Ec2InstanceMetadata")) => Source::Instance,
            (None, Some(other)) => {
                return Err(format!("the profile `{name}` has the credential_source `{other}`"));
            }
            (None, None) => {
                return Err(format!(
                    "the profile `{name}` has a role_arn, but neither source_profile nor \
                     credential_source"
                ));
            }
        };
        let role = Role {
            session: get("role_session_name"),
            external_id: get("external_id"),
            duration: get("duration_seconds").and_then(|text| text.parse().ok()),
        };
        Ok(Recipe::Role { arn, source, role })
    }
}

fn static_keys(profile: &Profile) -> Option<StaticKeys> {
    let get = |key: &str| profile.get(key).filter(|value| !value.is_empty()).cloned();
    Some(StaticKeys {
        id: get("aws_access_key_id")?,
        secret: get("aws_secret_access_key")?.into(),
        token: get("aws_session_token").map(Into::into),
    })
}

fn unreadable(path: &Path, error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            format!("{} (which does not exist)", path.display())
        }
        _ => format!("{} (which cannot be read: {error})", path.display()),
    }
}

/// Sections with their pairs. The file of settings calls a profile `profile NAME`, but for the default
/// one; its other sections are no profiles.
fn parse(text: &str, is_config: bool) -> BTreeMap<String, Profile> {
    let mut all: BTreeMap<String, Profile> = BTreeMap::new();
    let mut section: Option<String> = None;
    for line in text.lines() {
        let is_nested = line.starts_with([' ', '\t']);
        let line = without_comment(line).trim();
        if line.is_empty() || is_nested {
            continue;
        }
        if let Some(title) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            let title = title.trim();
            let profile =
                title.strip_prefix("profile").filter(|rest| rest.starts_with([' ', '\t']));
            section = match profile {
                Some(name) if is_config => Some(unquoted(name.trim())),
                _ if !is_config || title == DEFAULT => Some(unquoted(title)),
                _ => None,
            };
            continue;
        }
        if let (Some(section), Some((key, value))) = (&section, line.split_once('=')) {
            let key = key.trim().to_ascii_lowercase();
            all.entry(section.clone()).or_default().insert(key, value.trim().to_owned());
        }
    }
    all
}

fn unquoted(name: &str) -> String {
    name.trim_matches(['"', '\'']).to_owned()
}

/// A comment begins a line, or follows a space.
fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with(['#', ';']) {
        return "";
    }
    let cut = [" #", " ;", "\t#", "\t;"].iter().filter_map(|mark| line.find(mark)).min();
    &line[..cut.unwrap_or(line.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "# comment\n[default]\nregion = eu-west-1 ; there\n[profile dev]\n\
        role_arn = arn:aws:iam::1:role/dev\nsource_profile = base\nexternal_id = x\ns3 =\n  \
        max = 1\n[sso-session s]\nregion = no\n[profile browser]\nsso_session = s\n\
        [profile program]\ncredential_process = /bin/x\n[profile self]\nrole_arn = a\n\
        source_profile = self\n[profile odd]\nrole_arn = a\n[profile web]\nrole_arn = b\n\
        web_identity_token_file = /t\n[profile mfa]\nrole_arn = a\nsource_profile = base\n\
        mfa_serial = m\n[profile 'ecs']\nrole_arn = a\ncredential_source = EcsContainer\n";
    const KEYS: &str = "[base]\naws_access_key_id = AKID\naws_secret_access_key=geheim+/=\n\
        [self]\naws_access_key_id=A\naws_secret_access_key=geheim\naws_session_token=geheim\n";

    fn profiles(named: Option<&str>) -> (tempfile::TempDir, Profiles) {
        let dir = tempfile::tempdir().expect("a directory");
        let (config, keys) = (dir.path().join("config"), dir.path().join("credentials"));
        std::fs::write(&config, CONFIG).expect("written");
        std::fs::write(&keys, KEYS).expect("written");
        let settings = AwsSettings {
            profile: named.map(str::to_owned),
            config_file: Some(config),
            credentials_file: Some(keys),
            ..AwsSettings::default()
        };
        let profiles = Profiles::read(&settings);
        (dir, profiles)
    }

    #[test]
    fn profiles_lead_to_keys() {
        let (_dir, profiles) = profiles(None);
        assert_eq!(profiles.chosen("region"), Some("eu-west-1"));
        let Ok(Ok(Recipe::Keys(keys))) = profiles.recipe("base") else { panic!("{profiles:?}") };
        assert_eq!((keys.id.as_str(), keys.secret.expose()), ("AKID", "geheim+/="));
        let Ok(Ok(Recipe::Role { arn, source, role })) = profiles.recipe("dev") else { panic!() };
        assert_eq!(
            (arn.as_str(), source),
            ("arn:aws:iam::1:role/dev", Source::Profile("base".into()))
        );
        assert_eq!(role.external_id.as_deref(), Some("x"));
        let recipe = profiles.recipe("self").expect("good").expect("there");
        assert!(matches!(recipe, Recipe::Role { source: Source::Keys(_), .. }));
        let recipe = profiles.recipe("ecs").expect("good").expect("there");
        assert!(matches!(recipe, Recipe::Role { source: Source::Container, .. }));
        let recipe = profiles.recipe("web").expect("good").expect("there");
        assert!(matches!(recipe, Recipe::WebIdentity(_)));
    }

    #[test]
    fn files_without_an_end_have_no_profiles() {
        let settings =
            AwsSettings { config_file: Some("/dev/zero".into()), ..AwsSettings::default() };
        let none = Profiles::read(&settings).recipe("default").expect("no error");
        let none = none.expect_err("no keys");
        assert!(none.contains("/dev/zero (which cannot be read: it is larger than"), "{none}");
    }

    #[test]
    fn what_is_not_done_is_said() {
        let (_dir, own) = profiles(Some("gone"));
        for (name, words) in [
            ("browser", "a login in a browser"),
            ("program", "credential_process"),
            ("odd", "neither source_profile nor"),
            ("mfa", "mfa_serial"),
            ("gone", "no profile `gone` in: "),
        ] {
            let error = own.recipe(name).expect_err(name);
            assert!(error.contains(words) && !error.contains("geheim"), "{error}");
        }
        let (_dir, unnamed) = profiles(None);
        let none = unnamed.recipe("default").expect("no error").expect_err("no keys");
        assert!(none.contains("the profile `default` has no keys"), "{none}");
        assert!(unnamed.recipe("gone").expect("no error").is_err());
    }
}
