//! Tokens that end, token servers that fail, and challenges that make no sense.

use std::time::Duration;

use testkit::{Action, Fault, Quirk};

use crate::case::Case;
use crate::case::Deed::{CopyTo, Mount, Pull, Push};
use crate::case::with_tokens;
use crate::world::{PASSWORD, USER};

pub fn rows() -> Vec<Case> {
    let mut rows = Vec::new();
    rows.extend(ends());
    rows.extend(servers());
    rows.extend(challenges());
    rows
}

fn ends() -> Vec<Case> {
    let expire = |deed, method, path| {
        let name = format!("all tokens end before {method} {path}");
        Case::new(name, deed).setup(with_tokens).once(method, path, Action::ExpireTokens)
    };
    let refuse = |name: &str, bytes| {
        let action = Action::RefuseAfter { code: 401, bytes };
        Case::new(name, Push).setup(with_tokens).once("PUT", "/uploads/", action)
    };

    vec![
        expire(Pull, "GET", "/manifests/"),
        expire(Pull, "GET", "/blobs/"),
        expire(Push, "HEAD", "/blobs/"),
        expire(Push, "POST", "/uploads/"),
        expire(Push, "PUT", "/uploads/"),
        expire(Push, "DELETE", "/uploads/"),
        expire(Push, "PUT", "/manifests/sha256"),
        expire(Push, "PUT", "/manifests/1"),
        expire(CopyTo, "PUT", "/uploads/"),
        expire(Mount, "POST", "/uploads/"),
        refuse("a token ends in the middle of an upload", 150_000),
        refuse("a token ends at the end of an upload", u64::MAX),
        refuse("a token ends in the first byte of an upload", 0),
        Case::new("a token is good for one request, to pull", Pull)
            .setup(|b| with_tokens(b).token_uses(1)),
        Case::new("a token is good for two requests, to mount", Mount)
            .setup(|b| with_tokens(b).token_uses(2)),
        Case::new("a token lives a second, and everything takes longer", Push)
            .setup(|b| {
                b.token_auth(USER, PASSWORD, Duration::from_secs(1)).quirk(Quirk::StrictTokens)
            })
            .faults(|| {
                let late = Action::Delay(Duration::from_millis(400));
                vec![Fault::on("PUT", "/", late).always()]
            }),
        Case::new("a token has ended when it comes", Pull)
            .setup(|b| b.token_auth(USER, PASSWORD, Duration::ZERO))
            .error("the registry `SOURCE` does not let kiln read the manifest of `SOURCE/base:1` (status 401, scope `repository:base:pull`); kiln used the entry `SOURCE` of DIR/config.json. The registry says: UNAUTHORIZED: invalid_token"),
        Case::new("a token ends in every upload", Push)
            .setup(with_tokens)
            .always("PUT", "/uploads/", Action::ExpireTokens)
            .error("the registry `TARGET` does not let kiln upload the blob sha256:… to `app` (status 401, scope `repository:app:pull,push`); kiln used the entry `TARGET` of DIR/config.json. The registry says: UNAUTHORIZED: invalid_token"),
        Case::new("an anonymous token is enough to pull", Pull)
            .setup(|b| with_tokens(b).anonymous_pull()),
    ]
}

fn servers() -> Vec<Case> {
    let once =
        |name: &str, action| Case::new(name, Push).setup(with_tokens).once("GET", "/token", action);
    let always = |name: &str, action| {
        Case::new(name, Push).setup(with_tokens).always("GET", "/token", action)
    };
    vec![
        once("the token server hangs up", Action::DropConnection),
        once("the token server is cut in its answer", Action::CutAfter(10)),
        once("the token server is cut in its head", Action::CutHead(10)),
        once("the token server is late", Action::Delay(Duration::from_millis(300))),
        once("the token server wants patience", Action::RetryAfter { code: 429, seconds: 1 }),
        once("the token server is not there for a moment", Action::text(404, "<html>404</html>")),
        always("the token server always hangs up", Action::DropConnection).error("the connection to the registry `TARGET` failed: connection closed before message completed"),
        always("the token server talks nonsense", Action::text(200, "certainly!")).error("the registry `TARGET` gave an unusable answer when kiln wanted to get a token for repository:app:pull,push: it is not the JSON of a token"),
        always("the token server sends a page", Action::text(200, "<html>Log in</html>")).error("the registry `TARGET` gave an unusable answer when kiln wanted to get a token for repository:app:pull,push: it is not the JSON of a token"),
        always("the token server sends no token", Action::text(200, "{}")).error("the registry `TARGET` gave an unusable answer when kiln wanted to get a token for repository:app:pull,push: it holds no token"),
        always("the token server sends an empty token", Action::text(200, r#"{"token":""}"#))
            .error("the registry `TARGET` gave an unusable answer when kiln wanted to get a token for repository:app:pull,push: it holds no token"),
        always("the token server sends no text as a token", Action::text(200, r#"{"token":7}"#))
            .error("the registry `TARGET` gave an unusable answer when kiln wanted to get a token for repository:app:pull,push: it is not the JSON of a token"),
        always(
            "the token server sends a token with a line break",
            Action::text(200, "{\"token\":\"a\\r\\nX-Evil: 1\"}"),
        )
        .error("the registry `TARGET` gave an unusable answer when kiln wanted to get a token for repository:app:pull,push: its token is no header"),
        always("the token server sends too much", Action::text(200, " ".repeat(2 << 20)))
            .error("the registry `TARGET` gave an unusable answer when kiln wanted to get a token for repository:app:pull,push: its body is larger than 1048576 bytes"),
        always("the token server redirects", Action::redirect("/elsewhere")).error("the registry `TARGET` answered 307 when kiln wanted to get a token for repository:app:pull,push"),
        always("the token server sends a token that nobody knows", {
            Action::text(200, r#"{"token":"made-up"}"#)
        })
        .error("the registry `TARGET` does not let kiln push to `app` (status 401, scope `repository:app:pull,push`); kiln used the entry `TARGET` of DIR/config.json. The registry says: UNAUTHORIZED: invalid_token"),
    ]
}

fn challenges() -> Vec<Case> {
    let challenged = |name: &str, challenge: &str| {
        let headers = vec![("WWW-Authenticate".to_owned(), challenge.to_owned())];
        let action = Action::Status { code: 401, headers, body: String::new() };
        Case::new(name, Push).always("POST", "/", action)
    };
    vec![
        challenged("a challenge of another kind", "Negotiate").error("the registry `TARGET` does not let kiln push to `app` (status 401, scope `repository:app:pull,push`); kiln used the entry `TARGET` of DIR/config.json"),
        challenged("a challenge without a realm", "Bearer service=\"x\"").error("the registry `TARGET` does not let kiln push to `app` (status 401, scope `repository:app:pull,push`); kiln used the entry `TARGET` of DIR/config.json"),
        challenged("a challenge with a realm that is no address", "Bearer realm=\"here\"")
            .error("the registry `TARGET` gave an unusable answer when kiln wanted to log in: its token server is no URL: `here`"),
        challenged("a challenge with a realm on disk", "Bearer realm=\"file:///etc/passwd\"")
            .error("the registry `TARGET` gave an unusable answer when kiln wanted to log in: its token server cannot be used: it leads to a URL with the scheme `file`"),
        challenged(
            "a challenge with a realm in the machine's surroundings",
            "Bearer realm=\"http://169.254.169.254/latest\"",
        )
        .error("the registry `TARGET` gave an unusable answer when kiln wanted to log in: its token server cannot be used: it leads to `169.254.169.254`, an address that only this machine can reach"),
        challenged("a challenge for a password that is refused", "Basic realm=\"x\"").error("the registry `TARGET` does not let kiln push to `app` (status 401, scope `repository:app:pull,push`); kiln used the entry `TARGET` of DIR/config.json"),
        challenged("an empty challenge", "").error("the registry `TARGET` does not let kiln push to `app` (status 401, scope `repository:app:pull,push`); kiln used the entry `TARGET` of DIR/config.json"),
        Case::new("a password that is right", Push).setup(|b| b.basic_auth(USER, PASSWORD)),
        Case::new("a password that is wrong", Push)
            .setup(|b| b.basic_auth(USER, "another"))
            .error("the registry `TARGET` does not let kiln push to `app` (status 401, scope `repository:app:pull,push`); kiln used the entry `TARGET` of DIR/config.json. The registry says: UNAUTHORIZED: authentication required"),
        Case::new("a password that the token server does not know", Pull)
            .setup(|b| b.token_auth(USER, "another", Duration::from_secs(60)))
            .error("the registry `SOURCE` does not let kiln get a token for repository:base:pull (status 401); kiln used the entry `SOURCE` of DIR/config.json. The registry says: UNAUTHORIZED: these credentials are not known"),
    ]
}
