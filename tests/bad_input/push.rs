//! Destinations that cannot be pushed to, or fail half-way.

use std::time::Duration;

use insta::assert_snapshot;
use testkit::{Action, Fault, Quirk, Registry};

use crate::common::bench::Bench;

const PASSWORD: &str = "correct horse battery";
/// A build of one small layer.
const SMALL: &str = "FROM scratch\nCOPY Dockerfile /\n";

/// A build that would show that it was started.
const RUN: &str = "FROM REGISTRY/base:1\nRUN echo was-executed\n";

#[test]
fn a_refusal_is_known_before_the_build_and_costs_three_requests() {
    let source = Bench::new().with_busybox();
    let target = Registry::builder().basic_auth("ci", PASSWORD).start();
    let kiln = source.kiln_without_name(RUN).args(["-t", &format!("{}/app:1", target.host())]);
    let kiln = kiln.login(target.host(), "ci", "wrong-secret-7361");
    let failure = source.fails(kiln, 1);
    assert!(!failure.log.contains("was-executed"), "{}", failure.log);
    assert!(!failure.log.contains("wrong-secret-7361"), "{}", failure.log);
    // What the registry speaks, whom it wants to know, and the one that is refused.
    assert!(target.requests().len() <= 3, "{:#?}", target.requests());
    let pulled = source.registry.requests();
    assert!(!pulled.iter().any(|r| r.bytes_out > 100_000), "layers were fetched: {pulled:#?}");
    assert_eq!(target.open_uploads(), 0);
    assert_snapshot!(failure.error.replace(target.host(), "TARGET"), @"error: cannot push to TARGET/app:1: the registry `TARGET` does not let kiln push to `app` (status 401, scope `repository:app:pull,push`); kiln used the entry `TARGET` of DIR/home/.docker/config.json. The registry says: UNAUTHORIZED: authentication required");
}

#[test]
fn a_destination_that_is_down_is_known_before_the_build() {
    let bench = Bench::new().with_busybox();
    // Not a port that was free a moment ago: the next registry of another test would get it.
    let down = "127.0.0.2:9".to_owned();
    let kiln = bench.kiln_without_name(RUN).args(["-t", &format!("{down}/app:1")]);
    let failure = bench.fails(kiln, 1);
    assert!(!failure.log.contains("was-executed"), "{}", failure.log);
    assert_snapshot!(failure.error.replace(&down, "DOWN"), @"error: cannot push to DOWN/app:1: the registry `DOWN` refuses connections (Connection refused). Check the host and port, and that the registry runs");
}

#[test]
fn no_credentials_for_the_destination() {
    let target = Registry::builder().basic_auth("ci", PASSWORD).start();
    let bench = Bench::on(target);
    assert_snapshot!(bench.fails(bench.kiln(SMALL), 1).error, @"error: cannot push to REGISTRY/app:1: the registry `REGISTRY` does not let kiln push to `app` (status 401, scope `repository:app:pull,push`); kiln asked without credentials (`kiln login REGISTRY` keeps some): none of these files exists: /kaniko/.docker/config.json, DIR/home/.docker/config.json, DIR/home/.config/containers/auth.json; none of these variables is set: DOCKER_AUTH_CONFIG, CI_REGISTRY. The registry says: UNAUTHORIZED: authentication required");
}

/// What each request of a push can be answered with, and what kiln says then.
fn with_fault(fault: Fault) -> (Bench, String) {
    let bench = Bench::new();
    bench.registry.fault(fault);
    let error = bench.fails(bench.kiln(SMALL), 1).error;
    (bench, error)
}

fn denied(code: u16) -> Action {
    let body = r#"{"errors":[{"code":"DENIED","message":"quota of team exceeded"}]}"#;
    Action::Status { code, headers: Vec::new(), body: body.into() }
}

#[test]
fn the_start_of_an_upload_is_refused() {
    for code in [401, 403, 404, 405] {
        let (_bench, error) = with_fault(Fault::on("POST", "/uploads/", denied(code)).always());
        assert!(error.contains("quota of team exceeded"), "{error}");
    }
    let refused = |code| with_fault(Fault::on("POST", "/uploads/", denied(code)).always()).1;
    assert_snapshot!(refused(401), @"error: cannot push to REGISTRY/app:1: the registry `REGISTRY` does not let kiln push to `app` (status 401, scope `repository:app:pull,push`); kiln asked without credentials (`kiln login REGISTRY` keeps some): none of these files exists: /kaniko/.docker/config.json, DIR/home/.docker/config.json, DIR/home/.config/containers/auth.json; none of these variables is set: DOCKER_AUTH_CONFIG, CI_REGISTRY. The registry says: DENIED: quota of team exceeded");
    assert_snapshot!(refused(403), @"error: cannot push to REGISTRY/app:1: the registry `REGISTRY` does not let kiln push to `app` (status 403, scope `repository:app:pull,push`); kiln asked without credentials (`kiln login REGISTRY` keeps some): none of these files exists: /kaniko/.docker/config.json, DIR/home/.docker/config.json, DIR/home/.config/containers/auth.json; none of these variables is set: DOCKER_AUTH_CONFIG, CI_REGISTRY. The registry says: DENIED: quota of team exceeded");
    assert_snapshot!(refused(404), @"error: cannot push to REGISTRY/app:1: the repository `REGISTRY/app` (some registries, such as Amazon ECR, want it to be made before the first push) does not exist, or needs credentials and kiln has none: none of these files exists: /kaniko/.docker/config.json, DIR/home/.docker/config.json, DIR/home/.config/containers/auth.json; none of these variables is set: DOCKER_AUTH_CONFIG, CI_REGISTRY. Check the name, or log in. The registry says: DENIED: quota of team exceeded");
    assert_snapshot!(refused(405), @"error: cannot push to REGISTRY/app:1: the registry `REGISTRY` answered 405 when kiln wanted to push to `app`. The registry says: DENIED: quota of team exceeded");
}

#[test]
fn an_upload_is_refused_after_the_check_that_allowed_it() {
    // The first POST is the check before the build.
    let refused = |code| with_fault(Fault::on("POST", "/uploads/", denied(code)).nth(2).always()).1;
    assert_snapshot!(refused(403), @"error: cannot push layer … to REGISTRY/app: the registry `REGISTRY` does not let kiln push to `app` (status 403, scope `repository:app:pull,push`); kiln asked without credentials (`kiln login REGISTRY` keeps some): none of these files exists: /kaniko/.docker/config.json, DIR/home/.docker/config.json, DIR/home/.config/containers/auth.json; none of these variables is set: DOCKER_AUTH_CONFIG, CI_REGISTRY. The registry says: DENIED: quota of team exceeded");
    assert_snapshot!(refused(500), @"error: cannot push layer … to REGISTRY/app: the registry `REGISTRY` answered 500 when kiln wanted to push to `app`. The registry says: DENIED: quota of team exceeded");
}

#[test]
fn the_bytes_of_a_layer_are_refused() {
    let refused = |code| with_fault(Fault::on("PUT", "/uploads/", denied(code)).always()).1;
    assert_snapshot!(refused(401), @"error: cannot push layer … to REGISTRY/app: the registry `REGISTRY` does not let kiln upload the blob sha256:… to `app` (status 401, scope `repository:app:pull,push`); kiln asked without credentials (`kiln login REGISTRY` keeps some): none of these files exists: /kaniko/.docker/config.json, DIR/home/.docker/config.json, DIR/home/.config/containers/auth.json; none of these variables is set: DOCKER_AUTH_CONFIG, CI_REGISTRY. The registry says: DENIED: quota of team exceeded");
    assert_snapshot!(refused(403), @"error: cannot push layer … to REGISTRY/app: the registry `REGISTRY` does not let kiln upload the blob sha256:… to `app` (status 403, scope `repository:app:pull,push`); kiln asked without credentials (`kiln login REGISTRY` keeps some): none of these files exists: /kaniko/.docker/config.json, DIR/home/.docker/config.json, DIR/home/.config/containers/auth.json; none of these variables is set: DOCKER_AUTH_CONFIG, CI_REGISTRY. The registry says: DENIED: quota of team exceeded");
    assert_snapshot!(refused(404), @"error: cannot push layer … to REGISTRY/app: the upload that the registry had begun does not exist, or needs credentials and kiln has none: none of these files exists: /kaniko/.docker/config.json, DIR/home/.docker/config.json, DIR/home/.config/containers/auth.json; none of these variables is set: DOCKER_AUTH_CONFIG, CI_REGISTRY. Check the name, or log in. The registry says: DENIED: quota of team exceeded");
    assert_snapshot!(refused(413), @"error: cannot push layer … to REGISTRY/app: the registry `REGISTRY` answered 413 when kiln wanted to upload the blob sha256:… to `app`. The registry says: DENIED: quota of team exceeded");
    assert_snapshot!(refused(500), @"error: cannot push layer … to REGISTRY/app: the registry `REGISTRY` answered 500 when kiln wanted to upload the blob sha256:… to `app`. The registry says: DENIED: quota of team exceeded");
}

#[test]
fn the_connection_is_cut_before_each_upload() {
    let (_bench, error) =
        with_fault(Fault::on("PUT", "/uploads/", Action::DropConnection).always());
    assert_snapshot!(error, @"error: cannot push layer … to REGISTRY/app: the connection to the registry `REGISTRY` failed: connection closed before message completed");
}

#[test]
fn the_manifest_is_refused() {
    let refused = |code| with_fault(Fault::on("PUT", "/manifests/", denied(code)).always()).1;
    assert_snapshot!(refused(401), @"error: cannot push REGISTRY/app:1: the registry `REGISTRY` does not let kiln push the manifest `REGISTRY/app:1` (status 401, scope `repository:app:pull,push`); kiln asked without credentials (`kiln login REGISTRY` keeps some): none of these files exists: /kaniko/.docker/config.json, DIR/home/.docker/config.json, DIR/home/.config/containers/auth.json; none of these variables is set: DOCKER_AUTH_CONFIG, CI_REGISTRY. The registry says: DENIED: quota of team exceeded");
    assert_snapshot!(refused(403), @"error: cannot push REGISTRY/app:1: the registry `REGISTRY` does not let kiln push the manifest `REGISTRY/app:1` (status 403, scope `repository:app:pull,push`); kiln asked without credentials (`kiln login REGISTRY` keeps some): none of these files exists: /kaniko/.docker/config.json, DIR/home/.docker/config.json, DIR/home/.config/containers/auth.json; none of these variables is set: DOCKER_AUTH_CONFIG, CI_REGISTRY. The registry says: DENIED: quota of team exceeded");
    assert_snapshot!(refused(400), @"error: cannot push REGISTRY/app:1: the registry `REGISTRY` answered 400 when kiln wanted to push the manifest `REGISTRY/app:1`. The registry says: DENIED: quota of team exceeded");
    assert_snapshot!(refused(500), @"error: cannot push REGISTRY/app:1: the registry `REGISTRY` answered 500 when kiln wanted to push the manifest `REGISTRY/app:1`. The registry says: DENIED: quota of team exceeded");
}

#[test]
fn a_rate_limit_that_outlasts_all_patience() {
    let action = Action::RetryAfter { code: 429, seconds: 86_400 };
    let (_bench, error) = with_fault(Fault::on("PUT", "/uploads/", action).always());
    assert_snapshot!(error, @"error: cannot push layer … to REGISTRY/app: the registry `REGISTRY` allows no more requests now; it asks to wait 86400 s. The registry says: TOOMANYREQUESTS: come back later. kiln does not wait that long: 180 s are left of the 180 s that it waits in all (--retry-budget)");
}

#[test]
fn what_passes_is_waited_for() {
    for (method, path) in [("POST", "/uploads/"), ("PUT", "/uploads/"), ("PUT", "/manifests/")] {
        for action in [
            Action::status(500),
            Action::status(503),
            Action::RetryAfter { code: 429, seconds: 1 },
            Action::DropConnection,
            Action::DropAnswer,
        ] {
            let bench = Bench::new();
            bench.registry.fault(Fault::on(method, path, action.clone()));
            bench.kiln(SMALL).run().ok();
            assert_eq!(bench.registry.tags("app"), ["1"], "{method} {path} {action:?}");
            let image = testkit::image::Image::from_registry(&bench.registry, "app", "1");
            image.expect("an image").verify().expect("it is whole");
        }
    }
}

#[test]
fn a_tag_that_cannot_be_moved() {
    let bench = Bench::on(Registry::builder().quirk(Quirk::ImmutableTags).start());
    let old = bench.registry.add_image("app", "1", Vec::new(), serde_json::json!({}));
    let (outcome, dir) = bench.kiln(SMALL).run_and_keep();
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert_eq!(bench.registry.digest("app", "1"), Some(old));
    assert_eq!(bench.registry.open_uploads(), 0);
    crate::common::bench::assert_gone(dir.path());
    let error = outcome.stderr.split("error: ").nth(1).expect("an error");
    assert_snapshot!(error.replace(bench.registry.host(), "REGISTRY"), @"cannot push REGISTRY/app:1: the tag `REGISTRY/app:1` exists and the registry does not let it be changed. The registry says: TAG_INVALID: tag 1 exists and is immutable");
}

#[test]
fn of_several_destinations_none_is_tagged_if_one_fails() {
    for (method, path) in [("PUT", "/uploads/"), ("PUT", "/manifests/")] {
        let (bench, broken) = (Bench::new(), Registry::start());
        broken.fault(Fault::on(method, path, denied(403)).always());
        let other = format!("{}/app:1", broken.host());
        let failure = bench.fails(bench.kiln(SMALL).args(["-t", &other]), 1);
        assert!(broken.tags("app").is_empty() && broken.open_uploads() == 0);
        assert!(failure.error.contains(broken.host()), "{}", failure.error);
        // In the other order.
        let bench = Bench::new();
        let kiln = bench.kiln_without_name(SMALL);
        bench.fails(kiln.args(["-t", &other, "-t", &bench.name("app:1")]), 1);
    }
}

#[test]
fn slow_and_expired_credentials_do_not_fail_a_push() {
    let registry = Registry::builder().token_auth("ci", PASSWORD, Duration::from_secs(300)).start();
    let bench = Bench::on(registry);
    bench.registry.fault(Fault::on("PUT", "/uploads/", Action::ExpireTokens));
    bench.registry.fault(Fault::on("PUT", "/manifests/", Action::ExpireTokens));
    bench.kiln(SMALL).login(bench.registry.host(), "ci", PASSWORD).run().ok();
    assert_eq!(bench.registry.tags("app"), ["1"]);
}
