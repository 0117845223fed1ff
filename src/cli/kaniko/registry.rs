//! How registries are reached, as `executor` and `warmer` are told.

use super::super::env::{self, Environment};
use super::super::error::CliError;
use super::super::flags::RegistryFlags;
use super::super::reach_flags::ReachFlags;
use super::super::{resolve, values};
use super::values::Values;
use crate::request::RegistryChoice;

/// The flags that both programs have; the variables add to them, as in kaniko.
pub(super) fn choice(values: &Values, env: &Environment) -> Result<RegistryChoice, CliError> {
    let mut mirrors = values.each("registry-mirror", values::mirror)?;
    if let Some(text) = env.text(env::KANIKO_REGISTRY_MIRROR)? {
        for mirror in text.split(';').filter(|mirror| !mirror.is_empty()) {
            mirrors.push(
                values::mirror(mirror)
                    .map_err(|why| bad(env::KANIKO_REGISTRY_MIRROR, &text, &why))?,
            );
        }
    }
    let mut map = values.each("registry-map", values::registry_map)?;
    if let Some(text) = env.text(env::KANIKO_REGISTRY_MAP)? {
        map.push(
            values::registry_map(&text)
                .map_err(|why| bad(env::KANIKO_REGISTRY_MAP, &text, &why))?,
        );
    }
    let flags = RegistryFlags {
        registry_mirror: mirrors,
        registry_map: map,
        skip_default_registry_fallback: values.switch("skip-default-registry-fallback"),
        insecure_pull: values.switch("insecure-pull"),
        reach: ReachFlags {
            insecure_registry: values.each("insecure-registry", values::host)?,
            skip_tls_verify_registry: values.each("skip-tls-verify-registry", values::host)?,
            registry_certificate: values.each("registry-certificate", values::host_path)?,
            registry_client_cert: values.each("registry-client-cert", values::host_certificate)?,
            ..Default::default()
        },
        ..Default::default()
    };
    let client = env.text(env::UPSTREAM_CLIENT_TYPE)?;
    // It goes into a header.
    let client = client.filter(|text| text.chars().all(|c| c.is_ascii_graphic()));
    Ok(RegistryChoice { upstream_client: client, ..resolve::registry_choice(flags, env) })
}

fn bad(variable: &str, value: &str, why: &str) -> CliError {
    CliError::complete(format!("{variable} is `{value}`: {why}"))
}
