//! What stands in the example.

use std::fs;
use std::path::{Path, PathBuf};

/// The job that a project has which used kaniko, but for the image's name.
const KANIKO: &str = r#"
  image: {name: registry.example.com/kiln:debug, entrypoint: [""]}
  variables: {DOCKER_CONFIG: /kaniko/.docker/}
  before_script:
    - echo "{\"auths\":{\"$CI_REGISTRY\":{\"username\":\"$CI_REGISTRY_USER\",\"password\":\"$CI_REGISTRY_PASSWORD\"}}}" > /kaniko/.docker/config.json
  script:
    - /kaniko/executor --context $CI_PROJECT_DIR --dockerfile $CI_PROJECT_DIR/Dockerfile --destination $CI_REGISTRY_IMAGE:$CI_COMMIT_REF_SLUG
"#;

/// The example's directory.
pub fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/gitlab")
}

/// The example's .gitlab-ci.yml.
pub fn pipeline() -> String {
    fs::read_to_string(example().join(".gitlab-ci.yml")).unwrap()
}

/// A job's lines, without its name and without comments that stand before the next job.
fn job(name: &str) -> String {
    let pipeline = pipeline();
    let body = pipeline.split(&format!("\n{name}:")).nth(1).expect("the job is there");
    let lines = body.lines().skip(1).take_while(|line| line.starts_with(' '));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn kanikos_job_is_as_it_was_written_for_kaniko() {
    assert_eq!(job("kaniko"), KANIKO.trim_start_matches('\n'));
}

#[test]
fn kilns_job_is_one_line() {
    assert_eq!(job("kiln"), "  image: registry.example.com/kiln:latest\n  script: [kiln build]\n");
}
