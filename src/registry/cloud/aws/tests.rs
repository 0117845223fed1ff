//! The whole way to logins and signatures, against a server that stands for all of Amazon's services.

use std::io::Read as _;
use std::path::Path;

use serde_json::json;

use super::*;
use crate::cancel::Cancel;
use crate::registry::auth::Credentials;
use crate::registry::cloud::{CloudSettings, Object};
use crate::registry::testserver::{Reply, Seen, Server};
use crate::registry::{Client, FileAt, Options, RegistryError};

const REGISTRY: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com:5000";
const TARGET: &str = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken";

fn block<T>(work: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime").block_on(work)
}

fn pool() -> Pool {
    Pool::new(&Options::default()).expect("a pool")
}

/// Answers as STS, ECR and metadata do. Keys end in so many seconds.
fn amazon(life: i64) -> Server {
    Server::start(move |seen| answer(seen, life))
}

fn answer(seen: &Seen, life: i64) -> Reply {
    let body = String::from_utf8_lossy(&seen.body).into_owned();
    let end = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(life);
    let keys = |id: &str| {
        let end = end.to_string();
        json!({"AccessKeyId": id, "SecretAccessKey": "s", "Token": "t", "Expiration": end})
            .to_string()
    };
    match (seen.method.as_str(), seen.path()) {
        ("POST", "/") if seen.header("x-amz-target").is_some() => {
            let data = json!({"authorizationToken": "QVdTOmdlaGVpbQ==", "expiresAt": 4e9});
            Reply::new(200, json!({ "authorizationData": [data] }).to_string())
        }
        ("POST", "/") if body.contains("refused") => {
            let quoted = "<Message>Not authorized: secret-token</Message>";
            Reply::new(403, format!("<Error><Code>AccessDenied</Code>{quoted}</Error>"))
        }
        ("POST", "/") => Reply::new(
            200,
            format!(
                "<R><Credentials><AccessKeyId>ASTS</AccessKeyId><SecretAccessKey>s\
                     </SecretAccessKey><SessionToken>t</SessionToken><Expiration>{end}\
                     </Expiration></Credentials></R>"
            ),
        ),
        ("GET", "/container") => Reply::new(200, keys("ACONTAINER")),
        ("PUT", "/latest/api/token") => Reply::new(200, "metadata-token"),
        ("GET", path) => match path.strip_prefix("/latest/meta-data/") {
            Some("iam/security-credentials/") => Reply::new(200, "worker"),
            Some("iam/security-credentials/worker") => Reply::new(200, keys("AINSTANCE")),
            Some("placement/region") => Reply::new(200, "ap-south-1"),
            _ => Reply::new(404, ""),
        },
        _ => Reply::new(404, ""),
    }
}

/// Everything is at this server.
fn settings(server: &Server) -> AwsSettings {
    let address = format!("http://{}", server.host());
    AwsSettings {
        endpoints: [(String::new(), address.clone())].into(),
        metadata: AwsMetadata { endpoint: Some(address), ..AwsMetadata::default() },
        ..AwsSettings::default()
    }
}

fn identity(dir: &Path, role: &str) -> Option<AwsWebIdentity> {
    std::fs::write(dir.join("token"), "secret-token\n").expect("written");
    let (token_file, role) = (dir.join("token"), role.to_owned());
    Some(AwsWebIdentity { token_file, role, session: None })
}

fn static_keys() -> Option<StaticKeys> {
    Some(StaticKeys { id: "AKID".into(), secret: "geheim".into(), token: None })
}

/// Whose key an Authorization header names, where and for what.
fn scope(seen: &Seen) -> String {
    let text = seen.header("authorization").unwrap_or("nobody");
    let credential = text.split("Credential=").nth(1).unwrap_or(text);
    let parts: Vec<&str> =
        credential.split([',', ' ']).next().unwrap_or_default().split('/').collect();
    // Without the day.
    parts
        .iter()
        .enumerate()
        .filter(|(at, _)| *at != 1)
        .map(|(_, part)| *part)
        .collect::<Vec<_>>()
        .join("/")
}

#[test]
fn a_web_identity_gets_a_login_for_a_registry() {
    let (server, dir) = (amazon(3600), tempfile::tempdir().expect("a directory"));
    let web_identity = identity(dir.path(), "arn:aws:iam::1:role/push");
    let aws = Aws::new(AwsSettings { web_identity, ..settings(&server) });
    let http = pool();
    for _ in 0..2 {
        let login = block(aws.login(&http, REGISTRY)).expect("a login");
        let expected = Credentials::Basic { user: "AWS".into(), password: "geheim".into() };
        assert_eq!(login.credentials, expected);
        let source = "ECR's login for the role arn:aws:iam::1:role/push (token of \
                      AWS_WEB_IDENTITY_TOKEN_FILE)";
        assert_eq!(login.source, source);
    }
    let seen = server.seen();
    let [sts, first, _second] = &seen[..] else { panic!("{:?}", server.lines()) };
    let body = String::from_utf8_lossy(&sts.body);
    assert_eq!(sts.header("authorization"), None);
    for part in [
        "Action=AssumeRoleWithWebIdentity",
        "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fpush",
        "WebIdentityToken=secret-token&",
        "Version=2011-06-15",
    ] {
        assert!(body.contains(part), "{part}: {body}");
    }
    assert_eq!(first.header("x-amz-target"), Some(TARGET));
    assert_eq!(first.header("x-amz-security-token"), Some("t"));
    assert_eq!(scope(first), "ASTS/eu-west-1/ecr/aws4_request");
}

#[test]
fn a_failure_ends_the_search_and_quotes_nothing() {
    let (server, dir) = (amazon(3600), tempfile::tempdir().expect("a directory"));
    let web_identity = identity(dir.path(), "refused");
    let aws = Aws::new(AwsSettings { web_identity, ..settings(&server) });
    for _ in 0..2 {
        let error = block(aws.login(&pool(), REGISTRY)).expect_err("refused");
        assert!(error.contains("the role refused for the token of AWS_WEB_IDENTITY"), "{error}");
        assert!(!error.contains("secret-token"), "{error}");
    }
    assert_eq!(server.lines(), ["POST /"], "asked once, and not the instance then");
}

/// Answers as [`amazon`] does, but is busy the first time on each of its paths.
fn starting() -> Server {
    let asked = Mutex::new(std::collections::HashSet::new());
    Server::start(move |seen| {
        let is_first = asked.lock().expect("lock").insert(seen.target.clone());
        if is_first { Reply::new(503, "starting") } else { answer(seen, 3600) }
    })
}

#[test]
fn services_that_start_are_asked_again() {
    let server = starting();
    let keys = block(Aws::new(settings(&server)).keys(&pool(), None)).expect("the instance's");
    assert_eq!(keys.id, "AINSTANCE");
    let roles = "GET /latest/meta-data/iam/security-credentials/";
    let expected = [
        ["PUT /latest/api/token"; 2],
        [roles; 2],
        ["GET /latest/meta-data/iam/security-credentials/worker"; 2],
    ];
    assert_eq!(server.lines(), expected.concat());
    let server = starting();
    let uri = Ok(format!("http://{}/container", server.host()));
    let container = Some(AwsContainer { uri, token: None, token_file: None });
    let aws = Aws::new(AwsSettings { container, ..settings(&server) });
    assert_eq!(block(aws.keys(&pool(), None)).expect("the container's").id, "ACONTAINER");
    assert_eq!(server.lines(), ["GET /container"; 2]);
    let server = starting();
    let login = Aws::new(AwsSettings { keys: static_keys(), ..settings(&server) });
    block(login.login(&pool(), REGISTRY)).expect("a login");
    assert_eq!(server.lines(), ["POST /"; 2]);
}

#[test]
fn refusals_show_no_secret_wherever_it_stands() {
    // The words are cut after some hundred characters: a token across the cut is one, too.
    let quoting = |format: fn(&str, &str) -> String, lead: usize| {
        Server::start(move |seen| {
            let body = String::from_utf8_lossy(&seen.body).into_owned();
            let token = seen.header("x-amz-security-token").or(seen.header("authorization"));
            // The secret of static keys, as if the server knew it.
            let secret = seen.header("x-amz-security-token").map_or("", |_| "geheim/+");
            let said =
                format!("{} {body} {} {secret}", "x".repeat(lead), token.unwrap_or_default());
            Reply::new(403, format("AccessDenied", &said))
        })
    };
    let json = |code: &str, said: &str| json!({"__type": code, "message": said}).to_string();
    let xml = |code: &str, said: &str| {
        format!("<Error><Code>{code}</Code><Message>{said}</Message></Error>")
    };
    for format in [json, xml] {
        for lead in [0, 370, 380, 390, 395] {
            let dir = tempfile::tempdir().expect("a directory");
            let keys = StaticKeys {
                id: "AKID".into(),
                secret: "geheim/+".into(),
                token: Some("session-geheim".into()),
            };
            let server = quoting(format, lead);
            let uri = Ok(format!("http://{}/container", server.host()));
            let token = Some("container-geheim".into());
            let container = Some(AwsContainer { uri, token, token_file: None });
            let web_identity = identity(dir.path(), "role");
            for settings in [
                AwsSettings { keys: Some(keys), ..settings(&server) },
                AwsSettings { web_identity, ..settings(&server) },
                AwsSettings { container, ..settings(&server) },
            ] {
                let error = block(Aws::new(settings).login(&pool(), REGISTRY)).expect_err("403");
                assert!(error.contains("answered 403: AccessDenied: "), "{error}");
                for part in ["geheim", "session-g", "container-g", "secret-t"] {
                    assert!(!error.contains(part), "{lead}: {error}");
                }
            }
        }
    }
}

#[test]
fn keys_are_found_in_amazon_s_order() {
    let (server, dir) = (amazon(3600), tempfile::tempdir().expect("a directory"));
    let container = || {
        let uri = Ok(format!("http://{}/container", server.host()));
        Some(AwsContainer { uri, token: Some("container-token".into()), token_file: None })
    };
    let files = dir.path().join("config");
    let role = "[default]\nrole_arn=arn\nsource_profile=base\nexternal_id=x\n\
                [profile base]\naws_access_key_id=ABASE\naws_secret_access_key=geheim\n";
    std::fs::write(&files, role).expect("written");
    let config_file = Some(files);
    let web = identity(dir.path(), "web");
    let all = AwsSettings {
        keys: static_keys(),
        web_identity: web,
        config_file,
        container: container(),
        ..settings(&server)
    };
    let without_keys = AwsSettings { keys: None, ..all.clone() };
    let without_web = AwsSettings { web_identity: None, ..without_keys.clone() };
    let without_files = AwsSettings { config_file: None, ..without_web.clone() };
    let instance = AwsSettings { container: None, ..without_files.clone() };
    for (settings, id, source, requests) in [
        (all, "AKID", "the keys of AWS_ACCESS_KEY_ID", &[][..]),
        (without_keys, "ASTS", "the role web (token of AWS_WEB_IDENTITY_TOKEN_FILE)", &["POST /"]),
        (without_web, "ASTS", "the role arn (the keys of the profile `base`)", &["POST /"]),
        (without_files, "ACONTAINER", "the container's credentials service", &["GET /container"]),
        (
            instance,
            "AINSTANCE",
            "the role worker of the instance",
            &[
                "PUT /latest/api/token",
                "GET /latest/meta-data/iam/security-credentials/",
                "GET /latest/meta-data/iam/security-credentials/worker",
            ],
        ),
    ] {
        let before = server.lines().len();
        let aws = Aws::new(settings);
        let keys = block(aws.keys(&pool(), None)).expect(source);
        assert_eq!((keys.id.as_str(), keys.source.as_str()), (id, source));
        assert_eq!(server.lines()[before..], *requests, "{source}");
    }
    let seen = server.seen();
    let by_profile = &seen[1];
    assert_eq!(scope(by_profile), "ABASE/us-east-1/sts/aws4_request");
    assert!(String::from_utf8_lossy(&by_profile.body).contains("ExternalId=x"));
    assert_eq!(seen[2].header("authorization"), Some("container-token"));
    assert_eq!(seen[4].header("x-aws-ec2-metadata-token"), Some("metadata-token"));
}

#[test]
fn a_machine_without_identity_is_asked_once_and_says_where_it_looked() {
    let server = Server::start(|_| Reply::new(404, ""));
    let aws = Aws::new(settings(&server));
    let first = block(aws.login(&pool(), "public.ecr.aws")).expect_err("nobody");
    for place in [
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not both set",
        "AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN are not both set",
        "no profile `default`",
        "no AWS_CONTAINER_CREDENTIALS_",
        "the instance's metadata gave no token",
    ] {
        assert!(first.contains(place), "{place}: {first}");
    }
    assert_eq!(block(aws.login(&pool(), REGISTRY)).expect_err("nobody"), first);
    assert_eq!(server.lines(), ["PUT /latest/api/token"]);
    let off = AwsMetadata { disabled: true, ..AwsMetadata::default() };
    let aws = Aws::new(AwsSettings { metadata: off, ..AwsSettings::default() });
    assert!(aws.plan().expect_err("nobody").contains("AWS_EC2_METADATA_DISABLED is set"));
}

#[test]
fn the_shared_files_are_read_when_somebody_asks() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("config");
    let aws = Aws::new(AwsSettings { config_file: Some(path.clone()), ..AwsSettings::default() });
    std::fs::write(&path, "[default]\nregion = eu-west-3\n").expect("written");
    assert_eq!(aws.region(), Some("eu-west-3"));
}

#[test]
fn keys_are_renewed_before_they_end() {
    for (life, asked) in [(3600, 1), (200, 2)] {
        let (server, dir) = (amazon(life), tempfile::tempdir().expect("a directory"));
        let web_identity = identity(dir.path(), "web");
        let aws = Aws::new(AwsSettings { web_identity, ..settings(&server) });
        for _ in 0..2 {
            block(aws.keys(&pool(), None)).expect("keys");
        }
        assert_eq!(server.lines().len(), asked, "{life} s");
    }
}

fn client(aws: AwsSettings) -> Client {
    let clouds = CloudSettings { aws, ..CloudSettings::default() };
    let retry_delay = Duration::from_millis(1);
    let options = Options { clouds, retry_delay, ..Options::default() };
    Client::new(options, Cancel::default()).expect("a client")
}

fn read(aws: AwsSettings) -> Result<String, RegistryError> {
    let object = Object::S3 { bucket: "b".into(), key: "a b/c.tgz".into() };
    let mut text = String::new();
    client(aws).open_file(FileAt::Object(&object))?.read_to_string(&mut text).expect("read");
    Ok(text)
}

#[test]
fn a_bucket_says_where_it_is() {
    let server = Server::start(|seen| match scope(seen).as_str() {
        "AKID/eu-central-1/s3/aws4_request" => Reply::new(200, "text"),
        _ => Reply::new(301, "").header("x-amz-bucket-region", "eu-central-1"),
    });
    assert_eq!(
        read(AwsSettings { keys: static_keys(), ..settings(&server) }).expect("read"),
        "text"
    );
    assert_eq!(server.lines(), ["GET /b/a%20b/c.tgz"; 2]);
    // One that leads in circles, or to no region.
    for region in ["us-east-1", "evil.example/"] {
        let server =
            Server::start(move |_| Reply::new(301, "").header("x-amz-bucket-region", region));
        let error = read(AwsSettings { keys: static_keys(), ..settings(&server) });
        assert!(matches!(error, Err(RegistryError::Object(_))), "{error:?}");
        assert_eq!(server.lines().len(), 1, "{:?}", server.lines());
    }
}

#[test]
fn an_instance_knows_its_region() {
    let server = amazon(3600);
    let aws = Aws::new(settings(&server));
    for _ in 0..2 {
        let signed = block(aws.sign(&pool(), "b", "k")).expect("signed");
        let value = signed.headers.iter().find(|(name, _)| name == "authorization");
        let (_, value) = value.expect("a signature");
        assert!(value.to_str().expect("text").contains("/ap-south-1/s3/"), "{value:?}");
    }
    let asked = server.lines().iter().filter(|line| line.contains("placement")).count();
    assert_eq!(asked, 1, "{:?}", server.lines());
}

#[test]
fn a_refusal_says_who_asked_and_what_the_store_said() {
    let denied = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
    let server = Server::start(move |_| Reply::new(403, denied));
    let off = AwsMetadata { disabled: true, ..AwsMetadata::default() };
    let nobody = AwsSettings { metadata: off, ..settings(&server) };
    let error = read(nobody.clone()).expect_err("denied").to_string();
    let start = format!("`{}` answered 403 (AccessDenied: Access Denied)", server.host());
    let rest = "; kiln asked without a signature: AWS_ACCESS_KEY_ID and";
    assert!(error.starts_with(&format!("{start}{rest}")), "{error}");
    assert_eq!(server.seen()[0].header("authorization"), None);
    let error =
        read(AwsSettings { keys: static_keys(), ..nobody }).expect_err("denied").to_string();
    assert_eq!(error, format!("{start}; kiln used the keys of AWS_ACCESS_KEY_ID"));
}
