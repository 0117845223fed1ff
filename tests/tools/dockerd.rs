//! Debian's Docker pulls, loads and runs.

use testkit::process::Dockerd;

use crate::sample::{PRINTED, Sample};

#[test]
fn dockerd_pulls_loads_and_runs() {
    let docker = testkit::process::dockerd().expect("dockerd");
    let dir = tempfile::tempdir().expect("a directory");
    for format in ["oci", "docker"] {
        let archive = dir.path().join(format!("{format}.tar")).to_string_lossy().into_owned();
        let flag = format!("--image-format={format}");
        let sample = Sample::build(&[&flag, "--tar-path", &archive]);
        let name = sample.name();

        docker.run(&["pull", "-q", &name]).expect("docker pull");
        let digests = inspect(&docker, &name, "{{json .RepoDigests}}");
        assert!(digests.contains(sample.digest()), "{digests}");
        check(&docker, &name);
        let pulled = inspect(&docker, &name, "{{.Id}}");
        docker.run(&["rmi", &name]).expect("docker rmi");

        let loaded = docker.run(&["load", "-i", &archive]).expect("docker load");
        assert!(loaded.contains(&format!("Loaded image: {name}")), "{loaded}");
        assert_eq!(inspect(&docker, &name, "{{.Id}}"), pulled, "the same image both ways");
        check(&docker, &name);
        docker.run(&["rmi", &name]).expect("docker rmi");
    }
}

fn inspect(docker: &Dockerd, name: &str, what: &str) -> String {
    docker.run(&["image", "inspect", "-f", what, name]).expect("docker inspect").trim().to_owned()
}

/// What Docker knows of the image, and what its command prints.
fn check(docker: &Dockerd, name: &str) {
    for (what, expected) in [
        ("{{.Config.User}}", "app"),
        ("{{.Config.WorkingDir}}", "/data"),
        ("{{json .Config.ExposedPorts}}", r#"{"8080/udp":{}}"#),
        ("{{json .Config.Volumes}}", r#"{"/var/lib/app":{}}"#),
        ("{{.Config.StopSignal}}", "SIGINT"),
        ("{{json .Config.Healthcheck.Test}}", r#"["CMD-SHELL","test -e /data/note"]"#),
        ("{{.Config.Healthcheck.Interval}} {{.Config.Healthcheck.Retries}}", "7s 2"),
        (r#"{{index .Config.Labels "org.example.label"}}"#, r#"with "quotes""#),
    ] {
        assert_eq!(inspect(docker, name, what), expected, "{what}");
    }
    let printed = docker.run(&["run", "--rm", "--network=host", name]).expect("docker run");
    assert_eq!(printed, PRINTED);
}
