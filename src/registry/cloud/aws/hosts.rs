//! Names of Amazon's registries and services.

use super::settings::AwsSettings;

/// Amazon's public registry, by its names.
const PUBLIC: [&str; 2] = ["public.ecr.aws", "ecr-public.aws.com"];
/// What private registries' names end with, as Amazon's own helper has it
/// (awslabs/amazon-ecr-credential-helper, ecr-login/api/client.go).
const PRIVATE: [&str; 9] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "on.aws",
    "on.amazonwebservices.com.cn",
    "amazonaws.eu",
    "sc2s.sgov.gov",
    "c2s.ic.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
];
/// Regions whose STS is the global one in the mode `legacy`
/// (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-sts-regionalized-endpoints.html>).
const LEGACY: [&str; 15] = [
    "ap-northeast-1",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

/// A registry of Amazon's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Registry {
    /// For everybody.
    Public,
    /// An account's.
    Private { region: String, fips: bool },
}

/// Whether a host is one of ECR's.
pub(in crate::registry::cloud) fn is_registry(host: &str) -> bool {
    registry(host).is_some()
}

/// What a host's name says. `ACCOUNT.dkr.ecr[-fips].REGION.…`, or `ACCOUNT.dkr-ecr.REGION.on.aws`.
pub(super) fn registry(host: &str) -> Option<Registry> {
    let host = host.to_ascii_lowercase();
    if PUBLIC.contains(&host.as_str()) {
        return Some(Registry::Public);
    }
    let (account, rest) = host.split_once('.')?;
    if account.is_empty()
        || !account.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    {
        return None;
    }
    let rest = rest.strip_prefix("dkr.ecr").or_else(|| rest.strip_prefix("dkr-ecr"))?;
    let (fips, rest) = match rest.strip_prefix("-fips.") {
        Some(rest) => (true, rest),
        None => (false, rest.strip_prefix('.')?),
    };
    let (region, suffix) = rest.split_once('.')?;
    let known = is_region(region) && PRIVATE.contains(&suffix);
    known.then(|| Registry::Private { region: region.to_owned(), fips })
}

/// Whether a text may be a region: it becomes a part of a host's name.
pub(super) fn is_region(text: &str) -> bool {
    let usual = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.len() <= 32 && text.bytes().all(usual)
}

/// What the names of a region's services end with.
pub(super) fn suffix(region: &str) -> &'static str {
    let suffixes = [
        ("cn-", "amazonaws.com.cn"),
        ("us-isob-", "sc2s.sgov.gov"),
        ("us-isof-", "csp.hci.ic.gov"),
        ("eu-isoe-", "cloud.adc-e.uk"),
        ("us-iso-", "c2s.ic.gov"),
        ("eusc-", "amazonaws.eu"),
    ];
    let found = suffixes.iter().find(|(prefix, _)| region.starts_with(prefix));
    found.map_or("amazonaws.com", |(_, suffix)| suffix)
}

/// Where STS is asked, and the region that signatures for it name.
pub(super) fn sts(settings: &AwsSettings, region: Option<&str>) -> (String, String) {
    let global = super::DEFAULT_REGION;
    if let Some(own) = settings.endpoint("STS") {
        return (own.to_owned(), region.unwrap_or(global).to_owned());
    }
    match region {
        Some(region) if !settings.legacy_sts || !LEGACY.contains(&region) => {
            let fips = if settings.use_fips { "-fips" } else { "" };
            (format!("https://sts{fips}.{region}.{}", suffix(region)), region.to_owned())
        }
        _ => ("https://sts.amazonaws.com".to_owned(), global.to_owned()),
    }
}

/// Where a registry's API is, what it is called in signatures, and its region.
pub(super) fn ecr(settings: &AwsSettings, registry: &Registry) -> (String, &'static str, String) {
    match registry {
        // It has logins in this region only.
        Registry::Public => {
            let region = super::DEFAULT_REGION;
            let own = settings.endpoint("ECR_PUBLIC").map(str::to_owned);
            let usual = || format!("https://api.ecr-public.{region}.amazonaws.com");
            (own.unwrap_or_else(usual), "ecr-public", region.to_owned())
        }
        Registry::Private { region, fips } => {
            let own = settings.endpoint("ECR").map(str::to_owned);
            let name = if *fips || settings.use_fips { "ecr-fips" } else { "api.ecr" };
            let usual = || format!("https://{name}.{region}.{}", suffix(region));
            (own.unwrap_or_else(usual), "ecr", region.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_known_by_their_names() {
        let private = |region: &str, fips| Some(Registry::Private { region: region.into(), fips });
        for (host, expected) in [
            ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", private("eu-west-1", false)),
            (
                "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
                private("us-gov-west-1", true),
            ),
            ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", private("cn-north-1", false)),
            ("123456789012.dkr-ecr.us-east-2.on.aws", private("us-east-2", false)),
            ("public.ecr.aws", Some(Registry::Public)),
            ("Public.ECR.aws", Some(Registry::Public)),
            ("123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.io", None),
            ("evil.io.dkr.ecr.eu-west-1.amazonaws.com", None),
            ("dkr.ecr.eu-west-1.amazonaws.com", None),
            ("123456789012.dkr.ecr.eu-west-1.example.com", None),
            ("ecr.aws", None),
        ] {
            assert_eq!(registry(host), expected, "{host}");
        }
    }

    #[test]
    fn services_are_where_the_settings_say() {
        let plain = AwsSettings::default();
        let fips = AwsSettings { use_fips: true, ..AwsSettings::default() };
        let legacy = AwsSettings { legacy_sts: true, ..AwsSettings::default() };
        let own = AwsSettings {
            endpoints: [("".into(), "http://a/".into()), ("ECR".into(), "http://b".into())].into(),
            ..AwsSettings::default()
        };
        for (settings, region, expected) in [
            (&plain, Some("eu-west-1"), "https://sts.eu-west-1.amazonaws.com"),
            (&plain, Some("cn-north-1"), "https://sts.cn-north-1.amazonaws.com.cn"),
            (&plain, None, "https://sts.amazonaws.com"),
            (&fips, Some("us-east-1"), "https://sts-fips.us-east-1.amazonaws.com"),
            (&legacy, Some("eu-west-1"), "https://sts.amazonaws.com"),
            (&legacy, Some("af-south-1"), "https://sts.af-south-1.amazonaws.com"),
            (&own, Some("eu-west-1"), "http://a"),
        ] {
            assert_eq!(sts(settings, region).0, expected);
        }
        let private = Registry::Private { region: "eu-west-1".into(), fips: false };
        for (settings, registry, expected) in [
            (&plain, &private, "https://api.ecr.eu-west-1.amazonaws.com"),
            (&fips, &private, "https://ecr-fips.eu-west-1.amazonaws.com"),
            (&plain, &Registry::Public, "https://api.ecr-public.us-east-1.amazonaws.com"),
            (&own, &private, "http://b"),
            (&own, &Registry::Public, "http://a"),
        ] {
            assert_eq!(ecr(settings, registry).0, expected);
        }
    }
}
