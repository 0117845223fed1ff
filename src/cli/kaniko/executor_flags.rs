//! kaniko's `executor`: all flags of GoogleContainerTools/kaniko 1.24.0, osscontainertools/kaniko
//! 1.28.3 and the Chainguard fork, by name.

use super::shared_flags::{COMMON, LOG_FORMATS, SNAPSHOT_MODES};
use super::table::{Flag, duration, list, number, pairs, switch, text, word};

const CONTAINER: &str = "kiln leaves its container's own root directory as it was";

/// The flags that `warmer` does not have too.
const OWN: &[Flag] = &[
    text("dockerfile", "Dockerfile", "Path of the Dockerfile: absolute, or seen from the working \
        directory, or from the context; or an `http://` or `https://` address").short('f'),
    text("context", "/workspace/", "Directory that COPY and ADD read, also as `dir://PATH`, or in \
        a tar, plain or compressed: `tar://FILE`, `tar://stdin`, `https://HOST/FILE`, \
        `s3://BUCKET/KEY`, `gs://BUCKET/NAME`, `https://ACCOUNT.blob.core.windows.net/...`; or a \
        repository: `git://HOST/PATH[#REF[#COMMIT]]`").short('c'),
    text("context-sub-path", "", "Directory inside a context that is written with `://`; a plain \
        directory is taken as it is, as kaniko does, with a warning"),
    text("bucket", "", "Old form of a context in a bucket, with the object's name: \
        `BUCKET/NAME`, which is `gs://BUCKET/NAME`, or `s3://BUCKET/KEY`").short('b'),
    list("destination", "Name of the image in a registry").short('d'),
    word("snapshot-mode", SNAPSHOT_MODES, "full", "kiln takes no snapshots: it sees exactly what a \
        RUN changed").old(&["snapshotMode"]).nothing(),
    text("custom-platform", "", "Platform of the image, `os/arch[/variant]`; FROM --platform counts \
        too").old(&["customPlatform"]),
    list("build-arg", "Value of an ARG; `NAME` alone takes the environment's"),
    number("image-fs-extract-retry", "0", "Try a failed download again, as --image-download-retry: \
        unpacking fails in passing only where downloading does"),
    number("image-download-retry", "0", "Try a failed download again so often, in addition to the 5 \
        times that kiln always does"),
    text("kaniko-dir", "/kaniko", "Directory for the build's files; `/kaniko` means none: kiln then \
        takes TMPDIR or /var/tmp"),
    text("tar-path", "", "Write the image as an archive for `docker load`; without --destination it \
        has no name").old(&["tarPath"]),
    switch("single-snapshot", "each step that changes files stays a layer of its own; the image has \
        the same files").nothing(),
    switch("reproducible", "No date is later than 1970-01-01 or SOURCE_DATE_EPOCH. The layers of \
        the base image stay as they are"),
    list("target", "Stage to build; empty is the last one. More than one is an error"),
    switch("no-push", "Do not push"),
    switch("no-push-cache", "Take layers from the cache, and put none there"),
    text("cache-repo", "", "Repository of the layer cache, `oci:DIR[:TAG]` or a directory; without it \
        `cache` below that of the first --destination, on GitLab `$CI_REGISTRY_IMAGE/cache`"),
    text("cache-dir", "/cache", "Where warmer put base images; read with --cache"),
    text("digest-file", "", "Gets `sha256:...`, after the push; an `https://` address gets it by PUT"),
    text("image-name-with-digest-file", "", "Gets a line NAME@DIGEST for each destination"),
    text("image-name-tag-with-digest-file", "", "Gets a line NAME:TAG@DIGEST for each destination"),
    text("oci-layout-path", "", "Write the image as an OCI layout"),
    word("compression", &["gzip", "zstd"], "gzip", "How new layers are compressed; zstd makes an \
        OCI image and is an error with --tar-path or --image-format=docker"),
    number("compression-level", "-1", "1 to 9 for gzip, 1 to 22 for zstd; others mean kiln's own"),
    word("image-format", &["docker", "oci"], "", "The manifest's format; without it the base image's"),
    switch("cache", "Take layers of steps that did not change from --cache-repo, and put new ones \
        there; take base images from --cache-dir"),
    switch("cache-copy-layers", "Keep and take layers of COPY and ADD, too"),
    switch("cache-run-layers", "Keep and take layers of RUN and WORKDIR").on(),
    switch("compressed-caching", "kiln never holds a layer in memory").on().nothing(),
    switch("pre-cleanup", CONTAINER).nothing(),
    switch("cleanup", CONTAINER).nothing(),
    switch("preserve-context", CONTAINER).nothing(),
    switch("materialize", CONTAINER).nothing(),
    switch("ignore-var-run", "`--ignore-path /var/run`, where it is written out. By default kiln \
        keeps what a RUN leaves there, as Docker does: nothing of the job is mounted there in a RUN")
        .old(&["whitelist-var-run"]).on(),
    list("ignore-path", "What a RUN changes at or below this path is not in the image; COPY writes \
        there all the same"),
    list("label", "Add a label"),
    pairs("annotation", "Add an annotation to the manifest"),
    switch("use-new-run", "kiln takes no snapshots: it sees exactly what a RUN changed").nothing(),
    pairs("git", "Options of a context in git: `branch`, `recurse-submodules`").or_bare(),
    list("secret", "Secret for RUN --mount=type=secret: `id=ID[,src=FILE][,env=NAME]`, as Docker \
        has it"),
    switch("dryrun", "Print the plan; build nothing, push nothing"),
    switch("force-build-metadata", "instructions without files need no layer").nothing(),
    switch("skip-unused-stages", "stages that the target does not need are never built").nothing(),
    switch("skip-push-permission-check", "Do not ask before the build if it may push"),
    switch("insecure", "Push over plain HTTP where the registry has no TLS; the same for the layer \
        cache"),
    switch("skip-tls-verify", "Verify no server's certificate"),
    list("credential-helpers", "Sources of credentials that are asked beside files and \
        DOCKER_AUTH_CONFIG: `env`, `google`, `ecr`, `acr`, `gitlab`; all of them without the flag, \
        none if it is empty"),
    number("push-retry", "0", "Try a failed push again so often, in addition to the 5 times that \
        kiln always does"),
    switch("push-ignore-immutable-tag-errors", "A tag that exists and may not be changed is no error"),
    duration("cache-ttl", "336h", "Take no layer that was not used for so long"),
    switch("force", "kiln runs inside and outside of containers").nothing(),
];

/// All flags of the executor.
pub(super) const FLAGS: &[&[Flag]] = &[OWN, COMMON, LOG_FORMATS];
