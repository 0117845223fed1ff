//! The pipeline runs.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use testkit::image::Image;
use testkit::process::DockerRegistry;
use testkit::{Registry, base, client};

use crate::common::Outcome;
use crate::common::containers::Engine;
use crate::common::tools::run;
use crate::jobs::{example, pipeline};
use crate::runner::Runner;

const USER: &str = "gitlab-ci-token";
const PASSWORD: &str = "glcbt-64_Wa+x/Yz=";

/// The example's jobs with what comes after the build in many projects.
const MORE: &str = r#"
kaniko-and-more:
  extends: kaniko
  after_script:
    - ls "$CI_PROJECT_DIR" > after.txt
    - echo "$(printf %s-%s the shell)" >> after.txt
  artifacts: {paths: [after.txt]}

kiln-and-more:
  extends: kiln
  after_script:
    - ls "$CI_PROJECT_DIR" > after.txt
    - echo "$(printf %s-%s the shell)" >> after.txt
  artifacts: {paths: [after.txt]}
"#;

/// A copy of the example in a Git repository, as GitLab has it.
struct Project {
    dir: tempfile::TempDir,
    base: Registry,
    registry: DockerRegistry,
}

impl Project {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let registry = DockerRegistry::builder().login(USER, PASSWORD).start().unwrap();
        let base = Registry::start();
        let python = base::python(&base::cache_dir()).expect("a Debian with Python");
        python.add_to(&base, "python", "3-slim").unwrap();
        let project = Self { dir, base, registry };
        project.check_in();
        project
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("flask")
    }

    fn check_in(&self) {
        let path = self.path();
        fs::create_dir(&path).unwrap();
        for name in ["Dockerfile", ".dockerignore", "app.py", "requirements.txt"] {
            // Through the links to the other example.
            fs::write(path.join(name), fs::read(example().join(name)).unwrap()).unwrap();
        }
        fs::write(path.join(".gitlab-ci.yml"), pipeline() + MORE).unwrap();
        let dockerfile = fs::read_to_string(path.join("Dockerfile")).unwrap();
        let here = format!("FROM {}/python:3-slim", self.base.host());
        let dockerfile = dockerfile.replace("FROM python:3-slim", &here);
        assert!(dockerfile.contains(&here), "{dockerfile}");
        fs::write(path.join("Dockerfile"), dockerfile).unwrap();
        for args in [
            &["init", "--quiet", "--initial-branch", "feature/one"][..],
            &["remote", "add", "origin", "git@gitlab.example.com:group/flask.git"],
            &["config", "user.name", "A. Tester"],
            &["config", "user.email", "tester@example.com"],
            &["add", "--all"],
            &["commit", "--quiet", "--message", "The application"],
        ] {
            run("git", ["-C", path.to_str().unwrap()].iter().chain(args));
        }
    }

    fn job(&self, runner: &Runner<'_>, job: &str) -> Outcome {
        let image = format!("{}/group/flask", self.registry.host());
        let given = [
            ("GITLAB_CI", "true"),
            ("CI_REGISTRY", self.registry.host()),
            ("CI_REGISTRY_IMAGE", &image),
            ("CI_REGISTRY_USER", USER),
            ("CI_REGISTRY_PASSWORD", PASSWORD),
        ];
        let outcome = runner.job(&self.path(), job, &given).ok();
        let log = outcome.to_string();
        assert!(!log.contains(PASSWORD), "the password is in the log:\n{log}");
        outcome
    }

    /// What was pushed; the tag is gone afterwards, so that the next job has to push again.
    fn pushed(&self) -> Image {
        let login = Some((USER, PASSWORD));
        let host = self.registry.host();
        // CI_COMMIT_REF_SLUG of feature/one.
        let image = Image::pull(host, "group/flask", "feature-one", login).expect("an image");
        image.verify().unwrap();
        let url = format!("http://{host}/v2/group/flask/manifests/{}", image.digest);
        let login = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
        let deleted = client::request("DELETE", &url, &[("Authorization", &login)], b"").unwrap();
        assert_eq!(deleted.status, 202, "{}", deleted.text());
        image
    }
}

/// It is the application of the example.
fn assert_is_the_application(image: &Image) {
    let config = &image.config["config"];
    assert_eq!(config["Cmd"], json!(["gunicorn", "app:app"]));
    assert_eq!(config["WorkingDir"], "/app");
    let app = fs::read_to_string(example().join("app.py")).unwrap();
    assert_eq!(image.text("app/app.py").unwrap(), app);
    let tree = image.tree().unwrap();
    assert!(tree.keys().any(|path| path.ends_with("/flask/__init__.py")), "no Flask");
}

/// What an after_script saw, which came back as an artifact.
fn assert_more(project: &Path) {
    let after = project.join("after.txt");
    let seen = fs::read_to_string(&after).expect("the artifact");
    for expected in ["Dockerfile", "app.py", "the-shell"] {
        assert!(seen.contains(expected), "{seen}");
    }
    fs::remove_file(after).unwrap();
}

#[test]
fn dockerd_runs_the_jobs_of_the_example() {
    let engine = Engine::start();
    let docker = engine.docker();
    for tag in ["latest", "debug"] {
        let (own, name) = (format!("kiln:{tag}"), format!("registry.example.com/kiln:{tag}"));
        docker.run(&["tag", &own, &name]).unwrap();
    }
    let (runner, project) = (Runner::new(docker), Project::new());
    for job in ["kaniko", "kiln"] {
        project.job(&runner, job);
        assert_is_the_application(&project.pushed());
        project.job(&runner, &format!("{job}-and-more"));
        assert_is_the_application(&project.pushed());
        assert_more(&project.path());
    }
}
