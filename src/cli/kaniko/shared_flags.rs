//! Flags that `executor` and `warmer` share.

use super::table::{Flag, list, pairs, switch, word};

/// What kaniko knows of snapshots.
pub(super) const SNAPSHOT_MODES: &[&str] = &["full", "redo", "time"];

/// What logrus knows of levels.
pub(super) const LEVELS: &[&str] =
    &["trace", "debug", "info", "warn", "warning", "error", "fatal", "panic"];

/// How registries are reached.
pub(super) const COMMON: &[Flag] = &[
    switch("insecure-pull", "Pull over plain HTTP where the registry has no TLS"),
    switch("skip-tls-verify-pull", "kaniko never read it; use --skip-tls-verify-registry")
        .nothing(),
    list("insecure-registry", "Use plain HTTP with this host"),
    list("skip-tls-verify-registry", "Do not verify this host's certificate").or_bare(),
    pairs("registry-certificate", "`HOST=FILE`: trust these certificate authorities for HOST too"),
    pairs("registry-client-cert", "`HOST=CERTIFICATE,KEY`: show this certificate to HOST"),
    pairs("registry-map", "`HOST=MIRROR[;HOST=MIRROR]`: try MIRROR first for images of HOST"),
    list("registry-mirror", "Try this mirror first for images of Docker Hub"),
    switch("skip-default-registry-fallback", "Fail when no mirror has an image"),
];

/// How the log looks.
pub(super) const LOG_FORMATS: &[Flag] = &[
    word("verbosity", LEVELS, "info", "Least level that is logged").short('v'),
    word("log-format", &["text", "color", "json"], "color", "How a line of the log looks"),
    switch("log-timestamp", "Time of day instead of seconds since the start, in colour"),
];
