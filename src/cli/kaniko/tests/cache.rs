use std::time::Duration;

use super::*;
use crate::request::{CacheChoice, CachePlace, CacheReach, CacheTarget};

const BASE: &str = "-c app -d r.test:5/g/p:1";
const JOB: &[(&str, &str)] =
    &[("CI_PROJECT_DIR", "/"), ("CI_REGISTRY_IMAGE", "r.test:5/g"), ("GITLAB_CI", "true")];

/// What is read, and what is written: all of each.
fn places(cache: &CacheChoice) -> (Vec<CachePlace>, Vec<CachePlace>) {
    let written = cache.to.iter().map(|target| match target {
        CacheTarget::Place { place, reach: CacheReach::All, must_succeed: false } => place.clone(),
        other => panic!("{other:?}"),
    });
    (cache.from.clone(), written.collect())
}

#[test]
fn the_layer_cache_is_where_kaniko_has_it() {
    let project = Project::new();
    let registry = |name: &str| CachePlace::Registry(name.into());
    let layout = |dir: &str, tag: &str| CachePlace::Layout { dir: dir.into(), tag: tag.into() };
    let inferred = || registry("r.test:5/g/p/cache");
    let repo = [("KILN_CACHE_REPO", "s.test/c")];
    for (flags, variables, expected, is_written) in [
        ("", &[][..], None, false),
        ("--cache", &[], Some(inferred()), true),
        ("--cache=true --cache-repo=", &[], Some(inferred()), true),
        ("--cache --no-push-cache", &[], Some(inferred()), false),
        ("--cache --no-push --no-push-cache", &[], Some(inferred()), false),
        ("--cache --cache-repo s.test/c", &[], Some(registry("s.test/c")), true),
        ("--cache --cache-repo=s.test/c --no-push", &[], Some(registry("s.test/c")), true),
        ("--cache --cache-repo=oci:/d", &[], Some(layout("/d", "kiln")), true),
        ("--cache --cache-repo=oci:/d:x", &[], Some(layout("/d", "x")), true),
        ("--cache", &repo, Some(registry("s.test/c")), true),
        ("--cache --no-push", &repo, Some(registry("s.test/c")), true),
        ("--cache --cache-repo=t.test/c", &repo, Some(registry("t.test/c")), true),
        // Only the flag switches it on, in a job of GitLab's, too.
        ("", &repo, None, false),
        ("--cache-repo s.test/c", &[], None, false),
        ("--build-arg BUILDKIT_INLINE_CACHE=1", &[], None, false),
        ("", JOB, None, false),
        ("--cache", JOB, Some(registry("r.test:5/g/cache")), true),
        ("--cache --cache-repo s.test/c", JOB, Some(registry("s.test/c")), true),
    ] {
        let request = project.job_with(&format!("{BASE} {flags}"), variables).request;
        let (from, to) = places(&request.cache);
        let expected: Vec<CachePlace> = expected.into_iter().collect();
        assert_eq!(from, expected, "{flags} {variables:?}");
        let written = if is_written { expected } else { Vec::new() };
        assert_eq!(to, written, "{flags} {variables:?}");
        assert_eq!(request.cache_dir.is_some(), !from.is_empty(), "{flags}: that is read with it");
    }
}

#[test]
fn what_is_kept_has_kanikos_defaults() {
    let project = Project::new();
    let cache = project.job(&format!("{BASE} --cache")).request.cache;
    assert_eq!((cache.runs, cache.copies, cache.ttl), (true, false, CacheChoice::TTL));
    assert_eq!((cache.mounts, cache.explain), (None, false));
    let flags = "--cache --cache-copy-layers --cache-run-layers=false --cache-ttl 6h";
    let travel = [("KILN_CACHE_MOUNTS", "size=1g")];
    let cache = project.job_with(&format!("{BASE} {flags}"), &travel).request.cache;
    assert_eq!((cache.runs, cache.copies), (false, true));
    assert_eq!(cache.ttl, Duration::from_secs(6 * 3600));
    assert_eq!(cache.mounts.map(|limits| limits.size), Some(1 << 30));
}

#[test]
fn insecure_is_about_the_cache_too() {
    let project = Project::new();
    for (flags, hosts) in [
        ("--cache", &[][..]),
        ("--insecure", &[]),
        ("--cache --insecure", &["r.test:5"]),
        ("--cache --insecure --no-push-cache", &["r.test:5"]),
        ("--cache --insecure --cache-repo s.test/c", &["s.test"]),
        ("--cache --insecure --cache-repo oci:/d", &[]),
        ("--cache --cache-repo s.test/c --insecure-registry s.test", &["s.test"]),
    ] {
        let registry = project.job(&format!("{BASE} {flags}")).request.registry;
        assert_eq!(registry.insecure_registries, hosts, "{flags}");
        assert!(!registry.insecure_pull, "{flags}");
    }
}

#[test]
fn what_has_no_effect_is_said() {
    let project = Project::new();
    for (flags, said) in [
        ("--cache-dir /c", &["--cache-dir is read only with --cache"][..]),
        ("--cache-dir=/cache --cache-ttl=336h --cache-run-layers --cache-repo=", &[]),
        (
            "--cache=false --cache-repo r.test/c --cache-ttl=1h --cache-copy-layers --no-push-cache \
             --cache-run-layers=false",
            &[
                "--cache-repo",
                "--cache-ttl",
                "--cache-copy-layers",
                "--cache-run-layers",
                "--no-push-c",
            ],
        ),
        ("--cache", &[]),
        ("-d a:1 --cache", &[]),
    ] {
        let job = project.job(&format!("{BASE} {flags}"));
        let found = warnings(&job);
        assert_eq!(found.len(), said.len(), "{flags}: {found:?}");
        assert!(found.iter().zip(said).all(|(found, said)| found.starts_with(said)), "{found:?}");
    }
    // A build goes on where kaniko's does.
    for (flags, why) in [
        ("-c app -d team/a:1 --cache", "on Docker Hub there is no repository below another"),
        ("-c app --no-push --cache --no-push-cache", "there is no name that the repository"),
    ] {
        let job = project.job(flags);
        assert_eq!(job.request.cache.from, [], "{flags}");
        let found = warnings(&job);
        assert!(matches!(found[..], [one] if one.contains(why) && one.contains("--cache-repo")));
    }
    for (flags, message) in [
        ("--cache --no-push", "--cache with --no-push needs a --cache-repo"),
        ("--cache --cache-repo A_b/C", "--cache-repo: `A_b/C` is not an image name"),
        ("--cache --cache-repo oci:", "--cache-repo: it names no directory"),
    ] {
        let error = project.error(&format!("executor {BASE} {flags}"), &[]);
        assert!(error.contains(message), "{flags}: {error}");
    }
}
