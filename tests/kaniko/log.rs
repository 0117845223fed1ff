//! The three forms of the log.

use testkit::Registry;

use crate::common::bases;
use crate::job::Job;

/// The log with what changes from run to run made the same.
fn log(format: &[&str]) -> String {
    let registry = Registry::start();
    bases::busybox(&registry, "base", "1");
    let job = Job::new(&format!("FROM {}/base:1\nRUN echo made\n", registry.host()));
    let to = format!("{}/app:1", registry.host());
    let outcome = job.executor([&["-d", &to], format].concat()).ok();
    assert_eq!(outcome.stdout, "made\n");
    outcome.stderr.replace(registry.host(), "HOST").replace('\x1b', "^[")
}

#[test]
fn color_is_the_default() {
    let log = log(&[]);
    let line = |text: &str| {
        log.lines().any(|line| {
            line.strip_prefix("^[[36mINFO^[[0m[000").is_some_and(|rest| rest[1..].starts_with(text))
        })
    };
    assert!(line("] resolve HOST/base:1"), "{log}");
    assert!(line("] [1/1] RUN echo made"), "{log}");
    assert!(line("] Pushed HOST/app@sha256:"), "{log}");
    assert!(log.lines().all(|line| line.starts_with("^[[36mINFO")), "{log}");
}

#[test]
fn json_is_json_on_every_line() {
    let log = log(&["--log-format=json", "-v", "debug"]);
    for line in log.lines() {
        let value: serde_json::Value = serde_json::from_str(line).expect(line);
        let keys: Vec<&String> = value.as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["level", "msg", "time"], "{line}");
    }
    assert!(log.contains(r#"{"level":"debug","msg":"[1/1] RUN echo made: done"#), "{log}");
}

#[test]
fn text_is_keys_and_values() {
    let log = log(&["--log-format", "text"]);
    assert!(log.lines().all(|line| line.starts_with("time=\"20")), "{log}");
    assert!(log.contains("Z\" level=info msg=\"[1/1] RUN echo made\"\n"), "{log}");
}

#[test]
fn a_failure_stays_json() {
    let job = Job::new("FROM scratch\nCOPY missing /\n");
    let outcome = job.executor(["--no-push", "--log-format=json"]).fails(1, "");
    let last = outcome.stderr.lines().last().expect("a line");
    let value: serde_json::Value = serde_json::from_str(last).expect(last);
    assert_eq!(value["level"], "fatal");
    let message = value["msg"].as_str().expect("text");
    assert!(message.starts_with("error building image: ") && message.contains("Dockerfile:2"));
}
