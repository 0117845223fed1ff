//! Files that no registry has: what is read again, and what is not.

use std::io::Read as _;

use super::*;

const BYTES: usize = 300_000;

fn text() -> Vec<u8> {
    (0..BYTES).map(|at| (at % 251) as u8).collect()
}

fn read(server: &Server, path: &str) -> Result<Vec<u8>, RegistryError> {
    let client = client(options());
    let address = format!("http://{}{path}", server.host());
    let mut reader =
        client.open_file(FileAt::Address { address: &address, authorization: None })?;
    let mut bytes = Vec::new();
    match reader.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(_) => Err(reader.take_failure().expect("the reason")),
    }
}

fn start_of(range: &str) -> Option<usize> {
    range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
}

/// The rest that a request asks for.
fn rest(seen: &Seen) -> Reply {
    let from = seen.header("range").and_then(start_of).expect("a range");
    let range = format!("bytes {from}-{}/{BYTES}", BYTES - 1);
    Reply::new(206, &text()[from..]).header("Content-Range", range)
}

#[test]
fn a_broken_file_goes_on_where_it_broke() {
    let server = Server::start(|seen| {
        let strong = ("ETag", "\"one\"");
        let date = ("Last-Modified", "Sat, 03 Feb 2001 04:05:06 GMT");
        let mut reply = match seen.header("range") {
            None => Reply::new(200, text()).cut(100_000),
            Some(_) if seen.path() == "/no-ranges" => Reply::new(200, text()),
            Some(_) => rest(seen),
        };
        for (name, value) in match seen.path() {
            "/etag" | "/no-ranges" => vec![strong, date],
            "/weak" => vec![("ETag", "W/\"one\""), date],
            "/date" => vec![date],
            _ => vec![],
        } {
            reply = reply.header(name, value);
        }
        reply
    });
    for (path, condition) in [
        ("/etag", Some("\"one\"")),
        ("/no-ranges", Some("\"one\"")),
        ("/weak", Some("Sat, 03 Feb 2001 04:05:06 GMT")),
        ("/date", Some("Sat, 03 Feb 2001 04:05:06 GMT")),
        ("/size-alone", None),
    ] {
        assert_eq!(read(&server, path).expect(path), text(), "{path}");
        let seen = server.seen();
        let of_path: Vec<_> = seen.iter().filter(|seen| seen.path() == path).collect();
        let [first, second] = of_path[..] else { panic!("{:?}", server.lines()) };
        assert_eq!(first.headers_named(&["range", "if-range"]), [None, None], "{path}");
        assert_eq!(second.header("if-range"), condition, "{path}");
        let from = second.header("range").and_then(start_of).expect("a range");
        assert!(from > 0 && from <= 100_000, "{path}: {from}");
    }
}

#[test]
fn another_file_is_not_taken_for_the_rest() {
    let server = Server::start(|seen| {
        if seen.header("range").is_none() {
            return Reply::new(200, text()).header("ETag", "\"one\"").cut(100_000);
        }
        match seen.path() {
            "/again" => Reply::new(200, text()).header("ETag", "\"two\""),
            "/shorter" => Reply::new(200, "short").header("ETag", "\"one\""),
            "/gone" => Reply::new(416, "").header("Content-Range", "bytes */5"),
            "/part" => rest(seen).header("ETag", "\"two\""),
            "/unnamed" => rest(seen),
            "/elsewhere" => Reply::new(206, "x").header("Content-Range", "bytes 5-5/300000"),
            _ => Reply::new(206, "x"),
        }
    });
    for path in ["/again", "/shorter", "/gone", "/part", "/unnamed", "/elsewhere", "/nowhere"] {
        let error = read(&server, path).expect_err(path);
        assert!(matches!(error, RegistryError::Changed { .. }), "{path}: {error}");
    }
    assert_eq!(server.lines().len(), 14, "nothing is tried again: {:?}", server.lines());
}

#[test]
fn patience_ends_and_says_how_far_it_came() {
    let server = Server::start(|seen| match seen.path() {
        "/gone" => Reply::new(404, ""),
        _ if seen.header("range").is_none() => Reply::new(200, text()).cut(1000),
        _ => Reply::new(500, ""),
    });
    let error = read(&server, "/f").expect_err("broken");
    assert!(matches!(error, RegistryError::Status { status: 500, .. }), "{error}");
    assert_eq!(server.lines().len(), 6, "once, and 5 tries");
    assert!(matches!(read(&server, "/gone"), Err(RegistryError::Status { status: 404, .. })));
}
