//! What the flags of the cache, the environment and a job of GitLab's make of a request.

use std::time::Duration;

use super::*;
use crate::request::{CachePlace, CacheReach, CacheTarget, MountLimits};

const JOB: &[(&str, &str)] = &[
    ("CI_PROJECT_DIR", "/"),
    ("CI_REGISTRY_IMAGE", "r.test:5050/g/p"),
    ("CI_COMMIT_REF_SLUG", "main"),
];

/// Where things are read and written, in one line: `a,b > c:max!` for a place that must be written.
fn shown(project: &Project, cache: &CacheChoice) -> String {
    let place = |place: &CachePlace| match place {
        CachePlace::Registry(name) => name.clone(),
        CachePlace::Layout { dir, tag } => {
            let dir = dir.strip_prefix(project.path("")).unwrap_or(dir);
            format!("[{}]{tag}", dir.display())
        }
    };
    let target = |target: &CacheTarget| match target {
        CacheTarget::Inline => "inline".to_owned(),
        CacheTarget::Place { place: to, reach, must_succeed } => {
            let reach = if *reach == CacheReach::All { "max" } else { "min" };
            format!("{} {reach}{}", place(to), if *must_succeed { "!" } else { "" })
        }
    };
    let from: Vec<String> = cache.from.iter().map(place).collect();
    let to: Vec<String> = cache.to.iter().map(target).collect();
    format!("{} > {}", from.join(", "), to.join(", "))
}

fn job(project: &Project, flags: &str, variables: &[(&str, &str)]) -> (Request, Vec<String>) {
    let context = if variables.starts_with(JOB) { "app" } else { "" };
    match project.run(&format!("build {flags} {context}"), variables) {
        Ok(Invocation::Build(job)) => {
            let said = job.remarks.into_iter().map(|remark| match remark {
                Remark::Detail(text) => format!("detail: {text}"),
                Remark::Note(text) => format!("note: {text}"),
                Remark::Warning(text) => format!("warning: {text}"),
            });
            let said = said.filter(|text| !text.contains("destination")).collect();
            (*job.request, said)
        }
        other => panic!("{flags}: {other:?}"),
    }
}

#[test]
fn where_the_cache_is() {
    let project = Project::new();
    for (flags, expected) in [
        ("-t r.test/a:1", " > "),
        ("-t r.test/a:1 --cache", "r.test/a/cache > r.test/a/cache max"),
        ("-t r.test/a:1 -t s.test/b --cache", "r.test/a/cache > r.test/a/cache max"),
        ("-t r.test/a --cache --cache=false", " > "),
        ("-t r.test/a --cache-repo s.test/c", "s.test/c > s.test/c max"),
        ("-t r.test/a --cache-repo s.test/c:x", "s.test/c:x > s.test/c:x max"),
        ("-t r.test/a --cache --cache-repo c/d", "c/d > c/d max"),
        ("-t r.test/a --cache-repo oci:d", "[d]kiln > [d]kiln max"),
        ("-t r.test/a --cache-repo oci:d:main", "[d]main > [d]main max"),
        ("-t r.test/a --cache-repo oci:///d", "[/d]kiln > [/d]kiln max"),
        ("-t r.test/a --cache-repo /d/e:f", "[/d/e]f > [/d/e]f max"),
        ("-t r.test/a --cache-repo ./d:5/e", "[d:5/e]kiln > [d:5/e]kiln max"),
        ("-t r.test/a --cache-repo ''", " > "),
        ("-t r.test/a --cache --no-push-cache", "r.test/a/cache > "),
        ("-t a --cache-repo b --no-push-cache --cache-to c", "b > c:latest min"),
        ("-t r.test/a --no-push --cache --no-push-cache", "r.test/a/cache > "),
        ("-t r.test/a --no-push --cache-repo r.test/c", "r.test/c > r.test/c max"),
        ("--tar-path x --cache-repo r.test/c", "r.test/c > r.test/c max"),
        // buildx'.
        ("-t a --cache-from c", "c:latest > "),
        ("-t a --cache-from c:1,r.test:5/d", "c:1, r.test:5/d:latest > "),
        ("-t a --cache-from ''", " > "),
        ("-t a --cache-from c --cache-from c:latest", "c:latest > "),
        ("-t a --cache-from type=registry,ref=c --cache-from oci:d", "c:latest, [d]kiln > "),
        ("-t a --cache-from type=local,src=d", "[d]latest > "),
        ("-t a --cache-from type=local,src=d,tag=x", "[d]x > "),
        ("-t a --cache-to c", " > c:latest min"),
        ("-t a --cache-to type=registry,ref=c,mode=max", " > c:latest max"),
        ("-t a --cache-to MODE=max,REF=c,type=registry", " > c:latest max"),
        ("-t a --cache-to type=local,dest=d,mode=min", " > [d]latest min"),
        ("-t a --cache-to type=inline", " > inline"),
        ("-t a --no-push --cache-to type=inline,mode=min", " > inline"),
        ("-t a --cache-to type=registry,ref=c,ignore-error=false", " > c:latest min!"),
        ("-t a --cache-to type=registry,ref=c,ignore-error=true", " > c:latest min"),
        (
            "-t a --cache-to c --cache-to type=registry,ref=c,mode=max --cache-to type=inline",
            " > c:latest max, inline",
        ),
        ("-t a --build-arg BUILDKIT_INLINE_CACHE=1", " > inline"),
        ("-t a --build-arg BUILDKIT_INLINE_CACHE=0", " > "),
        ("-t a --build-arg BUILDKIT_INLINE_CACHE=1 --cache-to type=inline", " > inline"),
        // Both.
        ("-t r.test/a --cache --cache-from c", "r.test/a/cache, c:latest > r.test/a/cache max"),
        ("-t r.test/a --cache --cache-to c", " > c:latest min"),
        (
            "-t r.test/a --cache-repo b/c --cache-from d --cache-to e",
            "b/c, d:latest > b/c max, e:latest min",
        ),
        // The cache alone.
        ("-o type=cacheonly --cache-repo b/c", "b/c > b/c max!"),
        ("-t r.test/a -o type=cacheonly --cache", "r.test/a/cache > r.test/a/cache max!"),
    ] {
        let (request, said) = job(&project, flags, &[]);
        assert_eq!(shown(&project, &request.cache), expected, "{flags}");
        assert_eq!(said, [""; 0], "{flags}");
        assert_eq!(request.cache.mounts, None, "{flags}");
    }
}

#[test]
fn the_cache_alone_is_neither_pushed_nor_written() {
    let project = Project::new();
    for (flags, push, exports) in [
        ("-t r.test/a -o type=cacheonly", false, 0),
        ("-t r.test/a -o type=cacheonly --push", true, 0),
        ("-t r.test/a -o type=cacheonly -o type=registry", true, 0),
        ("-t r.test/a -o type=cacheonly -o type=oci,dest=x", false, 1),
    ] {
        let (request, _) = job(&project, &format!("{flags} --cache-repo c/d"), &[]);
        assert_eq!((request.push, request.exports.all.len()), (push, exports), "{flags}");
    }
}

#[test]
fn what_is_kept_and_for_how_long() {
    let project = Project::new();
    let request = project.build("-t r.test/a --cache");
    assert_eq!(request.cache_dir, None);
    let CacheChoice { ttl, runs, copies, mounts, explain, .. } = request.cache;
    assert_eq!((ttl, runs, copies), (Duration::from_secs(336 * 3600), true, true));
    assert_eq!((mounts, explain), (None, false));
    let request = project.build(
        "-t r.test/a --cache --cache-ttl 1h30m --cache-run-layers=false --cache-copy-layers=false \
         --cache-mounts --explain --cache-dir images",
    );
    assert_eq!(request.cache_dir, Some(project.path("images")));
    let CacheChoice { ttl, runs, copies, mounts, explain, .. } = request.cache;
    assert_eq!((ttl.as_secs(), runs, copies, explain), (5400, false, false, true));
    let month = Duration::from_secs(30 * 86400);
    assert_eq!(mounts, Some(MountLimits { size: 2 << 30, age: month }));
    assert!(project.build("-t a --explain").cache.is_used());
    assert_eq!(project.build("-t r.test/a --cache --cache-ttl 14d").cache.ttl.as_secs(), 1_209_600);
    for (value, size, hours) in [
        ("=true", 2 << 30, 720),
        ("=size=500m", 500 << 20, 720),
        ("=age=12h,size=1GB", 1 << 30, 12),
        ("=age=7d", 2 << 30, 168),
    ] {
        let cache = project.build(&format!("-t r.test/a --cache --cache-mounts{value}")).cache;
        let age = Duration::from_secs(hours * 3600);
        assert_eq!(cache.mounts, Some(MountLimits { size, age }), "{value}");
    }
    assert_eq!(project.build("-t a --cache-mounts=false").cache.mounts, None);
}

#[test]
fn the_environment_is_the_default() {
    let project = Project::new();
    let to_c = "c/d > c/d max";
    for (flags, variables, expected, travels) in [
        ("", &[("KILN_CACHE_REPO", "c/d")][..], to_c, false),
        ("", &[("KILN_CACHE_REPO", "oci:d")], "[d]kiln > [d]kiln max", false),
        ("--no-push-cache", &[("KILN_CACHE_REPO", "c/d")], "c/d > ", false),
        ("--cache", &[("KILN_CACHE_REPO", "c/d")], to_c, false),
        ("--cache-repo e/f", &[("KILN_CACHE_REPO", "c/d")], "e/f > e/f max", false),
        ("--cache=false", &[("KILN_CACHE_REPO", "c/d")], " > ", false),
        ("", &[("KILN_CACHE_REPO", "c/d"), ("KILN_CACHE", "false")], " > ", false),
        ("--cache-repo e/f", &[("KILN_CACHE", "false")], "e/f > e/f max", false),
        ("", &[("KILN_CACHE", "1")], "r.test/a/cache > r.test/a/cache max", false),
        ("", &[("KILN_CACHE_REPO", "c/d"), ("KILN_CACHE_MOUNTS", "true")], to_c, true),
        ("", &[("KILN_CACHE_REPO", "c/d"), ("KILN_CACHE_MOUNTS", "size=1g")], to_c, true),
        (
            "--cache-mounts=false",
            &[("KILN_CACHE_REPO", "c/d"), ("KILN_CACHE_MOUNTS", "true")],
            to_c,
            false,
        ),
    ] {
        let (request, said) = job(&project, &format!("-t r.test/a {flags}"), variables);
        assert_eq!(shown(&project, &request.cache), expected, "{flags} {variables:?}");
        assert_eq!(request.cache.mounts.is_some(), travels, "{flags} {variables:?}");
        assert_eq!(said, [""; 0], "{flags} {variables:?}");
    }
    // A variable may be that of a whole group, so what it cannot do here is no error.
    for (flags, variable, remark) in [
        ("--no-push", "KILN_CACHE=true", "note: KILN_CACHE has no effect: there is no name"),
        ("-t a", "KILN_CACHE=true", "note: KILN_CACHE has no effect: --cache does not know"),
        (
            "-t a",
            "KILN_CACHE_MOUNTS=true",
            "note: KILN_CACHE_MOUNTS has no effect: the build has no",
        ),
    ] {
        let variable = variable.split_once('=').expect("NAME=VALUE");
        let (request, said) = job(&project, flags, &[variable]);
        assert_eq!(request.cache, CacheChoice::none());
        assert!(said.len() == 1 && said[0].starts_with(remark), "{said:?}");
    }
    for (name, value) in [
        ("KILN_CACHE", "maybe"),
        ("KILN_CACHE_REPO", "A B"),
        ("KILN_CACHE_REPO", "r.test/a@sha256:0"),
        ("KILN_CACHE_MOUNTS", "much"),
    ] {
        let error = project.error("build -t a", &[(name, value)]);
        assert!(error.contains(name) && error.contains(value), "{error}");
    }
}

#[test]
fn gitlab_s_project_has_a_cache_by_itself() {
    let project = Project::new();
    let project_s = "r.test:5050/g/p/cache > r.test:5050/g/p/cache max";
    let note = "note: GitLab: cache r.test:5050/g/p/cache from CI_REGISTRY_IMAGE";
    for (flags, more, expected, noted) in [
        ("", None, project_s, true),
        ("-t r.test:5050/g/p/my/image:1", None, project_s, true),
        ("-t r.test:5050/g/p/my/image:1 --cache", None, project_s, true),
        ("-t other.test/a -t r.test:5050/g/p", None, project_s, true),
        ("--no-push-cache", None, "r.test:5050/g/p/cache > ", true),
        ("-o type=cacheonly", None, "r.test:5050/g/p/cache > r.test:5050/g/p/cache max!", true),
        ("-t r.test:5050/g/pp", None, " > ", false),
        ("-t other.test/a", None, " > ", false),
        ("-t other.test/a --cache", None, "other.test/a/cache > other.test/a/cache max", false),
        ("--no-push", None, " > ", false),
        ("--tar-path x", None, " > ", false),
        ("--cache=false", None, " > ", false),
        ("", Some(("KILN_CACHE", "false")), " > ", false),
        ("", Some(("KILN_CACHE_REPO", "c/d")), "c/d > c/d max", false),
        ("--cache-repo c/d", None, "c/d > c/d max", false),
        ("--cache-from c/d", None, "c/d:latest > ", false),
        ("--cache-to type=inline", None, " > inline", false),
        ("--build-arg BUILDKIT_INLINE_CACHE=true", None, " > inline", false),
    ] {
        let variables: Vec<(&str, &str)> = JOB.iter().copied().chain(more).collect();
        let (request, said) = job(&project, flags, &variables);
        assert_eq!(shown(&project, &request.cache), expected, "{flags} {more:?}");
        assert_eq!(said.contains(&note.to_owned()), noted, "{flags} {more:?}: {said:?}");
    }
    let (request, _) = job(&project, "--no-cache --cache-mounts", JOB);
    assert!(request.freshness.no_cache && request.cache.mounts.is_some());
    assert_eq!(shown(&project, &request.cache), project_s);
}

#[test]
fn what_was_pushed_by_plain_http_is_read_so() {
    let project = Project::new();
    for (flags, hosts) in [
        ("-t r.test:5/a --cache", &[][..]),
        ("-t r.test:5/a --cache --insecure", &["r.test:5"]),
        ("-t r.test:5/a --cache-repo s.test/c --insecure --insecure-registry s.test", &["s.test"]),
        ("-t r.test:5/a --cache-repo oci:d --insecure", &[]),
        ("-t r.test:5/a --cache-to t.test/c --cache-from u.test/c --insecure", &["t.test"]),
        ("-t a --cache-from type=registry,ref=v.test:1/c,registry.insecure=true", &["v.test:1"]),
        ("-t a --cache-to type=registry,ref=v.test:1/c,registry.insecure=1", &["v.test:1"]),
        ("-t a --cache-to type=registry,ref=v.test:1/c,registry.insecure=false", &[]),
    ] {
        assert_eq!(project.build(flags).registry.insecure_registries, hosts, "{flags}");
    }
}

#[test]
fn what_has_no_effect_is_said() {
    let project = Project::new();
    for (flags, remark) in [
        ("--cache-to type=registry,ref=c,compression=zstd", Some("--cache-to: `compression` has")),
        ("--cache-to type=registry,ref=c,compression=gzip", None),
        ("--cache-to type=registry,ref=c,compression=zstd --compression zstd", None),
        ("--cache-to type=registry,ref=c,compression-level=3", Some("`compression-level` has")),
        ("--cache-to type=registry,ref=c,compression-level=3 --compression-level 3", None),
        ("--cache-to type=registry,ref=c,force-compression=true", Some("`force-compression` has")),
        ("--cache-to type=registry,ref=c,force-compression=false", None),
        ("--cache-to type=registry,ref=c,oci-mediatypes=false", Some("`oci-mediatypes` has")),
        ("--cache-to type=registry,ref=c,oci-mediatypes=true,image-manifest=true", None),
        ("--cache-to type=local,dest=d,image-manifest=false", Some("`image-manifest` has")),
        ("--cache-to type=local,dest=d,reset=true", Some("`reset` has no effect: `kiln cache")),
        ("--cache-to type=local,dest=d,reset=false", None),
        ("--cache-to type=inline,mode=max", Some("`mode=max` has")),
        ("--cache-to type=inline,ref=c", Some("`ref` has")),
        ("--cache-from type=local,src=d,digest=sha256:0", Some("--cache-from: `digest` has")),
        ("--cache-from type=registry,ref=c,mode=max", Some("--cache-from: `mode` has")),
        ("--cache-ttl 1h", Some("--cache-ttl has no effect: there is no cache; add --cache")),
        ("--cache-ttl 336h --cache-run-layers --cache-copy-layers", None),
        ("--no-push-cache", Some("--no-push-cache has no effect")),
        ("--cache-run-layers=false", Some("--cache-run-layers has no effect")),
        ("--cache-copy-layers=false", Some("--cache-copy-layers has no effect")),
        ("--cache=false --cache-ttl 1h --no-push-cache", None),
        (
            "--cache=false --build-arg BUILDKIT_INLINE_CACHE=1",
            Some("BUILDKIT_INLINE_CACHE has no effect"),
        ),
    ] {
        let (_, said) = job(&project, &format!("-t r.test/a {flags}"), &[]);
        assert_eq!(said.len(), usize::from(remark.is_some()), "{flags}: {said:?}");
        let found = remark.is_none_or(|remark| said[0].contains(remark));
        assert!(found, "{flags}: {said:?}");
    }
}

#[test]
fn mistakes_are_named_before_anything_is_done() {
    let project = Project::new();
    let errors: String = [
        "--cache --no-push",
        "--cache --tar-path x",
        "-t r.test/a --cache --no-push",
        "-t a --cache",
        "-t a --cache=maybe",
        "-t a --cache=false --cache-repo c",
        "-t a --cache=false --cache-to c",
        "-t a --cache=false --cache-mounts",
        "-t a --cache-repo https://r.test/c",
        "-t a --cache-repo r.test/c@sha256:0000000000000000000000000000000000000000000000000000000000000000",
        "-t a --cache-repo oci:",
        "-t a --cache-repo oci:d:-x",
        "-t a --cache-repo oci:here.Dockerfile",
        "-t a --cache-ttl 2weeks",
        "-t a --cache-mounts",
        "-t a --cache-mounts --cache-to type=inline",
        "-t a --cache-repo c --cache-mounts=siez=1g",
        "-t a --cache-repo c --cache-mounts=size=much",
        "-t a --cache-repo c --cache-mounts=age=0s",
        "-t a --cache-repo c --cache-mounts=1g",
        "-t a --cache-run-layers=some",
        "-o type=cacheonly",
        "-t r.test/a -o type=cacheonly --cache-to type=inline",
        "-t r.test/a -o type=cacheonly --cache-from c",
        "-o type=cacheonly,dest=x --cache-repo c",
        "-t a --cache-from type=gha,scope=x",
        "-t a --cache-to type=s3,bucket=b,secret_access_key=secret",
        "-t a --cache-to type=azblob,name=c,secret_access_key=secret",
        "-t a --cache-to type=registy,ref=c",
        "-t a --cache-to type=redis,password=secret",
        "-t a --cache-to ref=c",
        "-t a --cache-to type=registry",
        "-t a --cache-to type=local,src=d",
        "-t a --cache-from type=local,dest=d",
        "-t a --cache-from type=inline",
        "-t a --cache-to type=registry,ref=c,secret",
        "-t a --cache-to type=registry,ref=c,mode=all",
        "-t a --cache-to type=registry,ref=c,mdoe=max",
        "-t a --cache-to type=registry,ref=c,password=secret",
        "-t a --cache-to type=registry,ref=c,ignore-error=perhaps",
        "-t a --cache-to type=registry,ref=r.test/c@sha256:0000000000000000000000000000000000000000000000000000000000000000",
        "-t a --cache-to type=local,dest=here.Dockerfile",
        "-t a --cache-to \"type=registry,ref=c",
        "-t a --cache-from Registry.test/C",
    ]
    .iter()
    .map(|flags| {
        let error = project.error(&format!("build {flags}"), &[]);
        assert!(!error.contains("secret"), "{error}");
        format!("$ kiln build {flags}\n{error}")
    })
    .collect();
    insta::assert_snapshot!(errors);
}

/// A question is about the Dockerfile alone.
#[test]
fn a_question_has_no_cache() {
    let project = Project::new();
    for line in ["check --cache", "build --check --cache-to type=gha", "check -o type=cacheonly"] {
        match project.run(line, JOB) {
            Ok(Invocation::Look { job, .. }) => assert!(!job.request.cache.is_used(), "{line}"),
            other => panic!("{line}: {other:?}"),
        }
    }
}
