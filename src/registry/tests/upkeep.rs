//! Lists of tags, and their removal.

use super::*;

fn repository(server: &Server) -> Repository {
    reference(server, "team/app").repository()
}

#[test]
fn pages_are_read_until_there_is_none() {
    let server = Server::start(|seen| match seen.target.as_str() {
        "/v2/team/app/tags/list?n=1000" => Reply::new(200, r#"{"tags":["a","b"]}"#)
            .header("Link", r#"</v2/team/app/tags/list?next_page=x%3D&n=2>; rel="next""#),
        // Somebody else's address: only its query is of use.
        "/v2/team/app/tags/list?next_page=x%3D&n=2" => Reply::new(200, r#"{"tags":["c"]}"#)
            .header("Link", r#"<http://evil.example/v2/other/tags/list?last=c&n=2>; rel=next"#),
        "/v2/team/app/tags/list?last=c&n=2" => Reply::new(200, r#"{"tags":["d","../e","f g",""]}"#)
            .header("Link", "</v2/team/app/tags/list?n=1>; rel=\"first\""),
        _ => Reply::new(400, ""),
    });
    let tags = client(options()).tags(&repository(&server)).expect("a list");
    assert_eq!(tags, ["a", "b", "c", "d"]);
    assert_eq!(server.lines().iter().filter(|line| line.contains("tags/list")).count(), 3);
}

#[test]
fn answers_that_are_no_lists() {
    for (status, body, expected) in [
        (200, r#"{"name":"x","tags":null}"#, Ok(0)),
        (200, r#"{"tags":[]}"#, Ok(0)),
        (404, "", Ok(0)),
        (200, "[]", Err("unusable answer")),
        (200, r#"{"tags":[1]}"#, Err("unusable answer")),
        (200, "<html>", Err("unusable answer")),
        (403, "", Err("does not let kiln list the tags of `team/app`")),
    ] {
        let server = Server::start(move |_| Reply::new(status, body));
        let found = client(options()).tags(&repository(&server)).map(|tags| tags.len());
        let found = found.map_err(|error| error.to_string());
        match (&found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(*found, expected, "{body}"),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            _ => panic!("{body}: {found:?}"),
        }
    }
}

#[test]
fn a_list_without_an_end_ends() {
    let counter = Counter::default();
    let server = Server::start(move |_| {
        let link = format!("</v2/team/app/tags/list?last={}>; rel=next", counter.next());
        Reply::new(200, r#"{"tags":["a"]}"#).header("Link", link)
    });
    let error = client(options()).tags(&repository(&server)).expect_err("no end").to_string();
    assert!(error.contains("does not end"), "{error}");
    assert!(server.lines().len() < 110);
    // The same page again and again is the last one.
    let server = Server::start(|_| {
        Reply::new(200, r#"{"tags":["a"]}"#)
            .header("Link", "</v2/team/app/tags/list?n=1000>; rel=next")
    });
    assert_eq!(client(options()).tags(&repository(&server)).expect("a list"), ["a"]);
    let long = Server::start(|_| Reply::new(200, vec![b' '; 17 << 20]));
    let error = client(options()).tags(&repository(&long)).expect_err("too long").to_string();
    assert!(error.contains("unusable answer"), "{error}");
}

#[test]
fn a_tag_is_taken_away_or_the_manifest_where_there_is_no_other_way() {
    let digest = Digest::of(b"manifest");
    let by_digest = format!("DELETE /v2/team/app/manifests/{digest}");
    for (tag, manifest, expected, lines) in [
        (202, 500, Ok(()), 1),
        (404, 500, Ok(()), 1),
        (405, 202, Ok(()), 3),
        (400, 202, Ok(()), 3),
        (405, 405, Err("answered 405 when kiln wanted to delete"), 3),
        (403, 202, Err("does not let kiln delete"), 1),
    ] {
        let server = Server::start(move |seen| match seen.method.as_str() {
            "HEAD" => Reply::new(200, "").header("Docker-Content-Digest", digest.to_string()),
            "DELETE" if seen.target.contains("sha256:") => Reply::new(manifest, ""),
            "DELETE" => Reply::new(tag, ""),
            _ => Reply::new(200, ""),
        });
        let reference = reference(&server, "team/app:kiln");
        let outcome = client(options()).delete_tag(&reference).map_err(|error| error.to_string());
        match (&outcome, expected) {
            (Ok(()), Ok(())) => {}
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            _ => panic!("{tag}: {outcome:?}"),
        }
        let seen = server.lines();
        let asked: Vec<_> = seen.iter().filter(|line| line.contains("/manifests/")).collect();
        assert_eq!(asked.len(), lines, "{seen:?}");
        assert_eq!(asked[0], "DELETE /v2/team/app/manifests/kiln");
        assert!(lines == 1 || *asked[2] == by_digest, "{seen:?}");
    }
}

#[test]
fn a_token_for_a_deletion_allows_it() {
    let server = Server::start(|seen| match (seen.path(), seen.header("authorization")) {
        ("/token", _) => Reply::new(200, r#"{"token":"t"}"#),
        (_, None) => {
            let host = seen.header("host").expect("a host");
            let header = format!(r#"Bearer realm="http://{host}/token""#);
            Reply::new(401, "").header("WWW-Authenticate", header)
        }
        _ => Reply::new(202, ""),
    });
    client(options()).delete_tag(&reference(&server, "team/app:kiln")).expect("deleted");
    let token = "GET /token?scope=repository%3Ateam%2Fapp%3Apull%2Cdelete";
    assert!(server.lines().iter().any(|line| line == token), "{:?}", server.lines());
}
