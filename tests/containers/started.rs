//! The ways in which jobs start kiln's image.

use testkit::image::{Image, Objects};

use crate::common::containers::{Engine, archive};

fn tree(tag: &str) -> (Image, Objects) {
    let image = Image::from_docker_archive(&archive(tag)).unwrap();
    image.verify().unwrap();
    let tree = image.tree().unwrap();
    (image, tree)
}

#[test]
fn the_image_has_what_jobs_look_for() {
    for tag in ["latest", "debug"] {
        let (image, tree) = tree(tag);
        let config = &image.config["config"];
        assert_eq!(config["Entrypoint"], serde_json::json!(["/kaniko/executor"]));
        assert_eq!(config["WorkingDir"], "/workspace");
        let has_volume = config["Volumes"]["/busybox"].is_object();
        assert_eq!(has_volume, tag == "debug");
        for (path, mode) in [
            ("kaniko", 0o777),
            ("kaniko/.docker", 0o777),
            ("kaniko/executor", 0o755),
            ("kaniko/ssl/certs/ca-certificates.crt", 0o644),
            ("root", 0o755),
            ("tmp", 0o1777),
            ("workspace", 0o777),
        ] {
            assert_eq!(tree[path].mode, mode, "{path}");
        }
        assert_eq!(tree["kaniko/warmer"].target, "executor");
        assert_eq!(tree["bin/sh"].target, "/busybox/sh");
        assert_eq!(image.text("kaniko/image").unwrap(), "kiln\n");
        let large = tree.values().filter(|object| object.size > 4_000_000).count();
        assert_eq!(large, 1, "the program is there once");
    }
}

#[test]
fn dockerd_starts_it_in_every_way_that_jobs_use() {
    let engine = Engine::start();
    for container in [engine.container(), engine.container().debug()] {
        let named = |program: &str| container.clone().entrypoint(program);
        // As GitLab's runner starts a job, with and without `entrypoint: [""]`.
        for job in [named(""), container.clone()] {
            for shell in ["sh", "/bin/sh", "/busybox/sh"] {
                let outcome = job.run([shell, "-c", "echo $((6 * 7)); exit 3"]);
                assert_eq!((outcome.code, &*outcome.stdout), (Some(3), "42\n"), "{outcome}");
            }
        }
        // By name and by path.
        for program in ["kiln", "/usr/local/bin/kiln"] {
            let outcome = named(program).run(["--version"]).ok();
            assert!(outcome.stdout.starts_with("kiln "), "{outcome}");
        }
        let executor = [container.clone(), named("/kaniko/executor"), named("executor")];
        for executor in executor {
            let outcome = executor.run(["--help"]).ok();
            assert!(outcome.stdout.contains("--destination"), "{outcome}");
        }
        for warmer in [named("/kaniko/warmer"), named("warmer")] {
            let outcome = warmer.run(["--help"]).ok();
            assert!(outcome.stdout.contains("--image"), "{outcome}");
        }
        let outcome = named("").run(["sh", "-c", "env; pwd; ls -a /kaniko; id -un"]).ok();
        for expected in [
            "HOME=/root\n",
            "USER=root\n",
            "DOCKER_CONFIG=/kaniko/.docker/\n",
            "SSL_CERT_DIR=/kaniko/ssl/certs\n",
            "PATH=/usr/local/bin:/kaniko:/busybox:/usr/bin:/bin\n",
            "/workspace\n",
            "executor\n",
            "root\n",
        ] {
            assert!(outcome.stdout.contains(expected), "{expected}{outcome}");
        }
    }
}
