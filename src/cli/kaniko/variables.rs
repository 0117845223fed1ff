//! Variables of the environment that kaniko reads and kiln does not. Those that kiln reads are named
//! in [`super::super::env`].

use super::super::Remark;
use super::super::env::Environment;
use super::super::values;

/// Variables that ask for something, and why nothing comes of it. A test keeps docs/kaniko.md in
/// step with this.
pub(super) const WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("KANIKO_PRE_CLEANUP", "kiln leaves its container's own root directory as it was"),
    ("KANIKO_CLEANUP", "kiln leaves its container's own root directory as it was"),
    ("KANIKO_PRESERVE_CONTEXT", "kiln leaves its container's own root directory as it was"),
    ("KANIKO_PRINT_PLAN", "use --dryrun"),
    ("KANIKO_IGNORE_ASSERTIONS", "kiln has no such assertions"),
    ("KANIKO_TELEMETRY_ENDPOINT", "kiln sends nothing to anybody but registries"),
    ("KANIKO_TELEMETRY_OMIT_DOCKERFILE", "kiln sends nothing to anybody but registries"),
    ("SNAPSHOT_TIMEOUT_DURATION", "kiln takes no snapshots; limit the job's time instead"),
    ("BENCHMARK_FILE", "the log's last lines name the slowest steps"),
    ("STACKLOG_PATH", "kiln has no profiler built in"),
];

/// What follows `FF_KANIKO_` in the flags of osscontainertools/kaniko up to 1.28.3 and the pull
/// requests after it.
pub(super) const FEATURES: &[&str] = &[
    "ADD_CHECKSUM",
    "BUILDKIT_ARG_ENV_PRECEDENCE",
    "CACHE_HASH_BLAKE3",
    "CACHE_LOOKAHEAD",
    "CACHE_PROBE_AFTER_MISS",
    "CHOWN_ON_IMPLICIT_DIRS",
    "CLEAN_KANIKO_DIR",
    "COPY_AS_ROOT",
    "COPY_CHMOD_ON_IMPLICIT_DIRS",
    "COPY_SKIP_SPECIAL_FILES",
    "CROSS_REPO_MOUNT",
    "DEPRECATE_INTER_STAGE_RESTORE",
    "DISABLE_HTTP2",
    "EXPAND_HEREDOC",
    "HASH_DIR_FRAMING",
    "IGNORE_CACHED_MANIFEST",
    "INFER_CROSS_STAGE_CACHE_KEY",
    "NATIVE_COPY",
    "NO_PROPAGATE_ANNOTATIONS",
    "OCI_SCRATCH_BASE",
    "OCI_WARMER",
    "PATH_SCOPED_REGISTRY_AUTH",
    "PLATFORM_CACHE_KEY",
    "POOL_REGISTRY_CONNECTIONS",
    "PRECOMPILE_DOCKERIGNORE",
    "PRESERVE_HARDLINKS",
    "PRESERVE_MOUNTED_PATHS",
    "RELATIVE_LINK_TARGETS",
    "REPRODUCIBLE_PRESERVE_BASE_LAYERS",
    "RESOLVE_CACHE_KEY",
    "ROLLING_CACHE_KEY",
    "RUN_HONOR_GROUP",
    "RUN_MOUNT_BIND",
    "RUN_VIA_TINI",
    "SCOPED_DOCKERIGNORE",
    "SECUREJOIN_EXTRACTION",
    "SHARED_BASE_CACHE",
    "SKIP_CACHED_STAGES",
    "SKIP_RELABEL_RECOMPRESS",
    "SKIP_WRITE_WHITEOUTS",
    "UNTAR_SKIP_ROOT",
    "VOLUME_SKIP_MKDIR",
    "WARMER_CACHE_LOCK",
];

/// What is to be said about the variables that are set.
pub(super) fn remarks(env: &Environment) -> Vec<Remark> {
    let mut remarks = Vec::new();
    for (name, why) in WITHOUT_EFFECT {
        let value = env.get(name).map(|value| value.to_string_lossy());
        // Off is what it is anyway.
        if value.is_some_and(|value| values::switch(&value) != Ok(false)) {
            remarks.push(Remark::Warning(format!("{name} has no effect: {why}")));
        }
    }
    let set: Vec<&str> = env.names().filter(|name| name.starts_with("FF_KANIKO_")).collect();
    let (known, unknown): (Vec<&str>, Vec<&str>) = set.iter().partition(|name| {
        name.strip_prefix("FF_KANIKO_").is_some_and(|feature| FEATURES.contains(&feature))
    });
    if !known.is_empty() {
        let names = known.join(", ");
        remarks.push(Remark::Detail(format!(
            "{names}: kiln has no such switches, see docs/kaniko.md"
        )));
    }
    for name in unknown {
        remarks.push(Remark::Warning(format!(
            "{name} is no feature flag of kaniko's, and has no effect"
        )));
    }
    remarks
}
