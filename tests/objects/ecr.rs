//! Amazon's registries: pushed to and pulled from with a login that nobody wrote down.

use testkit::registry::Registry;

use crate::common::Kiln;
use crate::server::{Answer, Server};

/// `AWS:geheim`.
const TOKEN: &str = "QVdTOmdlaGVpbQ==";
const HOST: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";

/// STS and ECR.
fn amazon() -> Server {
    Server::start(|request, _| {
        let target = request.header("x-amz-target").to_owned();
        if request.method != "POST" {
            Answer::status(404)
        } else if target.is_empty() {
            Answer::file(
                "<R><Credentials><AccessKeyId>ASTS</AccessKeyId><SecretAccessKey>s\
                 </SecretAccessKey><SessionToken>t</SessionToken>\
                 <Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></R>",
            )
        } else if request.header("authorization").contains("Credential=ASTS/") {
            Answer::file(format!(
                r#"{{"authorizationData":[{{"authorizationToken":"{TOKEN}","expiresAt":4e9}}]}}"#
            ))
        } else {
            Answer::file(r#"{"__type":"com.amazon#UnrecognizedClientException","message":"no"}"#)
                .of_status(400)
        }
    })
}

struct Place {
    registry: Registry,
    /// `host:port`, by its name.
    name: String,
}

impl Place {
    fn new() -> Self {
        let registry = Registry::builder().basic_auth("AWS", "geheim").start();
        let port = registry.host().rsplit(':').next().expect("a port").to_owned();
        Self { registry, name: format!("{HOST}:{port}") }
    }

    fn kiln(&self, amazon: &Server) -> Kiln {
        let image = format!("{}/team/app:1", self.name);
        Kiln::build()
            .dockerfile("FROM scratch\nCOPY Dockerfile /\n")
            .args(["-t", &image, "--insecure-registry", &self.name])
            .env("AWS_ENDPOINT_URL", amazon.url(""))
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .hosts(&format!("127.0.0.1 localhost {HOST}\n"))
    }
}

#[test]
fn a_job_s_token_is_enough_to_push_to_ecr() {
    let (amazon, place) = (amazon(), Place::new());
    let kiln = place.kiln(&amazon).home_file("token", "jwt");
    let token = kiln.dir().join("home/token");
    let kiln = kiln.env("AWS_WEB_IDENTITY_TOKEN_FILE", token);
    kiln.env("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/push").run().ok();
    assert!(place.registry.digest("team/app", "1").is_some());
    // The one role, and the one password, for the whole build.
    assert_eq!(amazon.requests().len(), 2);
}

#[test]
fn a_helper_that_is_not_installed_is_replaced() {
    let (amazon, place) = (amazon(), Place::new());
    let kiln = place.kiln(&amazon).docker_config(r#"{"credsStore":"ecr-login"}"#);
    let kiln = kiln.env("AWS_ACCESS_KEY_ID", "ASTS").env("AWS_SECRET_ACCESS_KEY", "s");
    let outcome = kiln.run().ok();
    assert!(!outcome.stderr.contains("not installed"), "{outcome}");
    assert!(place.registry.digest("team/app", "1").is_some());
}

#[test]
fn who_was_refused_is_said() {
    let (amazon, place) = (amazon(), Place::new());
    let kiln = place.kiln(&amazon).env("AWS_ACCESS_KEY_ID", "AOTHER");
    let outcome = kiln.env("AWS_SECRET_ACCESS_KEY", "geheim").run();
    let said = "ECR gives no login for the keys of AWS_ACCESS_KEY_ID: ";
    let outcome = outcome.fails(1, said);
    assert!(outcome.stderr.contains("UnrecognizedClientException: no"), "{outcome}");
    assert!(!outcome.stderr.contains("geheim"), "{outcome}");
    let outcome = place.kiln(&amazon).run();
    let outcome = outcome.fails(1, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not both set");
    assert!(outcome.stderr.contains("AWS_EC2_METADATA_DISABLED is set"), "{outcome}");
}

#[test]
fn doctor_says_what_would_be_asked_and_asks_nobody() {
    let amazon = amazon();
    let doctor = |variables: &[(&str, &str)]| {
        let kiln = Kiln::subcommand("doctor").args([HOST]).env("AWS_ENDPOINT_URL", amazon.url(""));
        let all = variables.iter().fold(kiln, |kiln, (name, value)| kiln.env(name, value));
        let (mut command, _dir) = all.into_bare_command();
        let output = command.output().expect("kiln starts");
        String::from_utf8(output.stdout).expect("text")
    };
    let keys = [("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "geheim")];
    let said = doctor(&keys);
    let expected = format!("{HOST}: Amazon Web Services would use the keys of AWS_ACCESS_KEY_ID\n");
    assert!(said.contains(&expected) && !said.contains("geheim"), "{said}");
    let said = doctor(&[]);
    assert!(said.contains("Amazon Web Services would ask the instance's metadata\n"), "{said}");
    assert_eq!(amazon.requests().len(), 0);
}
