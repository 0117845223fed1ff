//! Whose keys, in the order of Amazon's own tools
//! (<https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>): variables, a web
//! identity, the shared files, the container, the instance.
//!
//! A place that has nothing leaves it to the next. One that is set up and fails ends the search, since
//! the next would be somebody else.

use super::profiles::{Profiles, Recipe, Source};
use super::settings::{AwsMetadata, AwsSettings, AwsWebIdentity, StaticKeys};
use super::{Aws, Keys, nearby, sts};
use crate::registry::cloud::CloudAnswer;
use crate::registry::transport::Pool;

/// Roles that lead to roles.
const ROLES_MAX: usize = 5;

/// A place where keys are looked for, and what is known of it without asking.
enum Place<'a> {
    Variables(&'a StaticKeys),
    WebIdentity(&'a AwsWebIdentity),
    Profile(&'a str, Recipe),
    Container,
    Instance(&'a AwsMetadata),
}

/// The first place that has keys or can be asked for some, or why there is none.
fn place(aws: &Aws) -> Result<(Place<'_>, Vec<String>), String> {
    let (settings, profiles) = (&aws.settings, aws.profiles());
    let mut notes = Vec::new();
    if let Some(keys) = &settings.keys {
        return Ok((Place::Variables(keys), notes));
    }
    notes.push("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not both set".to_owned());
    if let Some(identity) = &settings.web_identity {
        return Ok((Place::WebIdentity(identity), notes));
    }
    notes.push("AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN are not both set".to_owned());
    let name = profiles.name();
    match profiles.recipe(name)? {
        Ok(recipe) => return Ok((Place::Profile(name, recipe), notes)),
        Err(none) => notes.push(none),
    }
    if settings.container.is_some() {
        return Ok((Place::Container, notes));
    }
    notes.push("no AWS_CONTAINER_CREDENTIALS_… is set".to_owned());
    if !settings.metadata.disabled {
        return Ok((Place::Instance(&settings.metadata), notes));
    }
    notes.push("AWS_EC2_METADATA_DISABLED is set".to_owned());
    Err(notes.join("; "))
}

/// What would be done for keys, or why there is nobody to ask.
pub(super) fn plan(aws: &Aws) -> CloudAnswer<String> {
    let role = |role: &str| format!("would ask STS for the role {role}");
    Ok(match place(aws)?.0 {
        Place::Variables(_) => "would use the keys of AWS_ACCESS_KEY_ID".into(),
        Place::WebIdentity(identity) => {
            format!("{} with the token of AWS_WEB_IDENTITY_TOKEN_FILE", role(&identity.role))
        }
        Place::Profile(name, Recipe::Keys(_)) => {
            format!("would use the keys of the profile `{name}`")
        }
        Place::Profile(name, Recipe::WebIdentity(AwsWebIdentity { role: arn, .. }))
        | Place::Profile(name, Recipe::Role { arn, .. }) => {
            format!("{}, of the profile `{name}`", role(&arn))
        }
        Place::Container => "would ask the container's credentials service".into(),
        Place::Instance(_) => "would ask the instance's metadata".into(),
    })
}

/// Finds keys. The error says what each place said.
pub(super) async fn find(aws: &Aws, http: &Pool, region: Option<&str>) -> CloudAnswer<Keys> {
    let (settings, profiles) = (&aws.settings, aws.profiles());
    let (place, notes) = place(aws)?;
    let sts = sts::Sts { settings, http, region: aws.region().or(region) };
    match place {
        Place::Variables(keys) => Ok(of_variables(keys)),
        Place::WebIdentity(identity) => {
            sts.web_identity(identity, "AWS_WEB_IDENTITY_TOKEN_FILE").await
        }
        Place::Profile(name, recipe) => {
            let chain = Chain { settings, profiles, http, sts };
            chain.of_profile(name.to_owned(), recipe).await
        }
        Place::Container => nearby::container(settings, http).await,
        Place::Instance(metadata) => {
            let asked = nearby::instance(metadata, http).await;
            asked.map_err(|reason| format!("{}; {reason}", notes.join("; ")))
        }
    }
}

fn of_variables(keys: &StaticKeys) -> Keys {
    of_static(keys, "the keys of AWS_ACCESS_KEY_ID".into())
}

fn of_static(keys: &StaticKeys, source: String) -> Keys {
    let StaticKeys { id, secret, token } = keys.clone();
    Keys { id, secret, token, until: None, source, of_instance: false }
}

struct Chain<'a> {
    settings: &'a AwsSettings,
    profiles: &'a Profiles,
    http: &'a Pool,
    sts: sts::Sts<'a>,
}

impl Chain<'_> {
    /// Follows a profile to keys, and back through the roles that stand before them.
    async fn of_profile(&self, mut name: String, mut recipe: Recipe) -> CloudAnswer<Keys> {
        let mut roles = Vec::new();
        let mut keys = loop {
            match recipe {
                Recipe::Keys(keys) => {
                    break of_static(&keys, format!("the keys of the profile `{name}`"));
                }
                Recipe::WebIdentity(identity) => {
                    let of = format!("the profile `{name}`");
                    break self.sts.web_identity(&identity, &of).await?;
                }
                Recipe::Role { source, role, arn } => {
                    roles.push((arn, role));
                    if roles.len() > ROLES_MAX {
                        return Err(format!("the profile `{name}` leads to too many roles"));
                    }
                    match source {
                        Source::Keys(keys) => {
                            break of_static(&keys, format!("the keys of the profile `{name}`"));
                        }
                        Source::Profile(next) => {
                            recipe = self.profiles.recipe(&next)?.map_err(|none| {
                                format!("the source_profile of `{name}` has no keys: {none}")
                            })?;
                            name = next;
                        }
                        Source::Environment => {
                            let keys = self.settings.keys.as_ref();
                            break of_variables(keys.ok_or_else(|| {
                                format!("the profile `{name}` wants the keys of AWS_ACCESS_KEY_ID, which is not set")
                            })?);
                        }
                        Source::Container => {
                            break nearby::container(self.settings, self.http).await?;
                        }
                        Source::Instance => {
                            break nearby::instance(&self.settings.metadata, self.http).await?;
                        }
                    }
                }
            }
        };
        for (arn, role) in roles.iter().rev() {
            keys = self.sts.role(&keys, arn, role).await?;
        }
        Ok(keys)
    }
}
