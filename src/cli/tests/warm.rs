use super::*;
use crate::request::WarmRequest;

fn warm(project: &Project, flags: &str, variables: &[(&str, &str)]) -> WarmRequest {
    match project.run(&format!("warm {flags}"), variables) {
        Ok(Invocation::Warm(warming)) => *warming.request,
        other => panic!("{flags}: {other:?}"),
    }
}

#[test]
fn what_is_fetched() {
    let project = Project::new();
    let request = warm(
        &project,
        "debian:12 alpine -f here.Dockerfile --build-arg A=1 --cache-dir images --force \
         --cache-ttl 2d --platform linux/arm64 --registry-mirror m --registry-map a=b \
         --insecure --retry-budget 1m",
        &[],
    );
    assert_eq!(request.images, ["debian:12", "alpine"]);
    assert_eq!(request.dockerfile, Some(project.path("here.Dockerfile")));
    assert_eq!(request.build_args["A"], "1");
    assert_eq!((request.cache_dir, request.force), (project.path("images"), true));
    assert_eq!(request.ttl.as_secs(), 2 * 86400);
    assert_eq!(request.platform.as_deref(), Some("linux/arm64"));
    let registry = request.registry;
    assert_eq!(registry.mirrors, ["m"]);
    assert_eq!(registry.registry_map, [("a".into(), vec!["b".into()])]);
    assert!(registry.insecure_pull, "all that it does is reading");
    assert_eq!(registry.retry_budget.map(|time| time.as_secs()), Some(60));
    let defaults = warm(&project, "alpine --cache-dir=/c", &[]);
    assert_eq!((defaults.cache_dir, defaults.force), ("/c".into(), false));
    assert_eq!((defaults.ttl.as_secs(), defaults.dockerfile), (336 * 3600, None));
}

#[test]
fn without_images_it_is_the_dockerfile_of_the_project() {
    let project = Project::new();
    fs::write(project.path("Dockerfile"), "").expect("a file");
    fs::write(project.path("app/Dockerfile"), "").expect("a file");
    let dir = project.path("app").display().to_string();
    let job = [("CI_PROJECT_DIR", dir.as_str()), ("GITLAB_CI", "true")];
    let other = [job[0], job[1], ("DOCKERFILE_PATH", "docker/Dockerfile")];
    for (flags, variables, found) in [
        ("", &[][..], Some("Dockerfile")),
        ("", &job, Some("app/Dockerfile")),
        ("", &other, Some("app/docker/Dockerfile")),
        ("-f here.Dockerfile", &other, Some("here.Dockerfile")),
        ("alpine", &other, None),
    ] {
        let request = warm(&project, &format!("--cache-dir c {flags}"), variables);
        assert_eq!(request.dockerfile, found.map(|path| project.path(path)), "{flags}");
    }
}

#[test]
fn mistakes() {
    let project = Project::new();
    for (line, message, help) in [
        ("warm alpine", "no directory that images", "--cache-dir DIR"),
        ("warm --cache-dir ''", "no directory that images", "--cache-dir DIR"),
        ("warm --cache-dir c", "nothing to fetch", "or a Dockerfile with -f"),
        (
            "warm --cache-dir c -f gone",
            "no Dockerfile $PROJECT/gone",
            "after -f is looked for here",
        ),
        ("warm --cache-dir c -f https://h/D?token=geheim", "at an address", "download it"),
        ("warm --cache-dir c -f -", "standard input", "name that"),
        ("warm --cache-dir c --platform a/b,c/d x", "images of one platform", "once for each"),
        ("warm --cache-dir c --platform z80 x", "z80", ""),
        ("warm --cache-dir c --imag x", "no flag `--imag`", "`kiln warm --help`"),
        ("warm --cache-dir c ''", "invalid value", ""),
    ] {
        let error = project.error(line, &[]);
        assert!(error.contains(message) && error.contains(help), "{line}: {error}");
        assert!(!error.contains("geheim"), "{error}");
    }
    let help = project.run("warm --help", &[]);
    assert!(matches!(help, Ok(Invocation::Help(text)) if text == include_str!("../help/warm.txt")));
}
