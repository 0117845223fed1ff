//! Reading an image.

use std::time::Duration;

use testkit::{Action, Fault, Quirk};

use super::CUTS;
use crate::case::Case;
use crate::case::Deed::{CopyFrom, Pull};

/// The config is the first blob, the large layer the second.
fn layer(action: Action) -> Fault {
    Fault::on("GET", "/blobs/sha256", action).nth(2)
}

/// A row whose fault strikes the large layer once.
fn of_layer(name: &str, action: Action) -> Case {
    Case::new(name, Pull).faults(move || vec![layer(action.clone())])
}

pub fn rows() -> Vec<Case> {
    let mut rows = Vec::new();
    for (place, bytes) in CUTS {
        rows.push(of_layer(&format!("a layer is cut {place}"), Action::CutAfter(bytes)));
        rows.push(
            Case::new(format!("a layer is cut {place}, and the registry knows no ranges"), Pull)
                .setup(|b| b.quirk(Quirk::NoRange))
                .faults(move || vec![layer(Action::CutAfter(bytes))]),
        );
        rows.push(Case::new(format!("a layer that is passed on is cut {place}"), CopyFrom).once(
            "GET",
            "/blobs/",
            Action::CutAfter(bytes),
        ));
    }
    rows.extend(documents());
    rows.extend(layers());
    rows.extend(passed_on());
    rows
}

fn documents() -> Vec<Case> {
    let mut rows = Vec::new();
    for (what, path) in [("the manifest", "/manifests/"), ("the config", "/blobs/")] {
        for (fault, action) in [
            ("is cut in its head", Action::CutHead(12)),
            ("is cut at once", Action::CutAfter(0)),
            ("is cut in the middle", Action::CutAfter(100)),
            ("is longer in its head", Action::WrongLength(9)),
            ("gets no answer", Action::DropConnection),
            ("comes late", Action::Delay(Duration::from_millis(300))),
            ("comes slowly", Action::SlowBody { piece: 50, pause: Duration::from_millis(5) }),
        ] {
            rows.push(Case::new(format!("{what} {fault}"), Pull).once("GET", path, action));
        }
    }
    rows.extend([
        Case::new("the manifest is always cut", Pull)
            .always("GET", "/manifests/", Action::CutAfter(100))
            .error("the connection to the registry `SOURCE` failed: error decoding response body: error reading a body from connection: end of file before message length reached"),
        Case::new("the manifest never gets an answer", Pull)
            .always("GET", "/manifests/", Action::DropConnection)
            .error("the connection to the registry `SOURCE` failed: connection closed before message completed"),
        Case::new("the manifest is always cut in its head", Pull)
            .always("GET", "/manifests/", Action::CutHead(12))
            .error("the connection to the registry `SOURCE` failed: connection closed before message completed"),
        Case::new("the manifest is shorter in its head", Pull)
            .once("GET", "/manifests/", Action::WrongLength(-9))
            .error("the manifest of `SOURCE/base:1` from `SOURCE` is damaged: expected sha256:…, found sha256:…"),
        Case::new("the manifest has a wrong byte", Pull)
            .once("GET", "/manifests/", Action::CorruptBody)
            .error("the manifest of `SOURCE/base:1` from `SOURCE` is damaged: expected sha256:…, found sha256:…"),
        Case::new("the manifest's digest is another's", Pull)
            .once("GET", "/manifests/", Action::WrongDigestHeader)
            .error("the manifest of `SOURCE/base:1` from `SOURCE` is damaged: expected sha256:…, found sha256:…"),
        Case::new("the manifest has no digest", Pull)
            .always("*", "/manifests/", Action::WithoutHeader("Docker-Content-Digest")),
        Case::new("the manifest has no type", Pull)
            .once("GET", "/manifests/", Action::WithoutHeader("Content-Type")),
        Case::new("the manifest has an odd type", Pull)
            .once("GET", "/manifests/", Action::SetHeader("Content-Type", "text/plain".into())),
        Case::new("there is a page instead of the manifest", Pull)
            .always("GET", "/manifests/", Action::text(200, "<html>Log in to the network</html>"))
            .error("`SOURCE/base:1`: the manifest is not valid: expected value at line 1 column 1"),
        Case::new("there is too much instead of the manifest", Pull)
            .always("GET", "/manifests/", Action::text(200, " ".repeat(9 << 20)))
            .error("the registry `SOURCE` gave an unusable answer when kiln wanted to read the manifest of `SOURCE/base:1`: its body is larger than 8388608 bytes"),
        Case::new("there is nothing instead of the manifest", Pull)
            .always("GET", "/manifests/", Action::status(200))
            .error("`SOURCE/base:1`: the manifest is not valid: EOF while parsing a value at line 1 column 0"),
        Case::new("the config has a wrong byte", Pull)
            .once("GET", "/blobs/", Action::CorruptBody)
            .error("the config sha256:… of `SOURCE/base` from `SOURCE` is damaged: expected sha256:…, found sha256:…"),
        Case::new("the config is shorter in its head", Pull)
            .once("GET", "/blobs/", Action::WrongLength(-9))
            .error("the config sha256:… of `SOURCE/base` from `SOURCE` is damaged: expected 237 bytes, found 228"),
        Case::new("the config is always cut", Pull)
            .always("GET", "/blobs/", Action::CutAfter(100))
            .error("the connection to the registry `SOURCE` failed: error decoding response body: error reading a body from connection: end of file before message length reached"),
    ]);
    rows
}

fn layers() -> Vec<Case> {
    let slow = Action::SlowBody { piece: 60_000, pause: Duration::from_millis(20) };
    vec![
        of_layer("a layer is cut in its head", Action::CutHead(20)),
        of_layer("a layer comes slowly", slow),
        of_layer("a layer comes late", Action::Delay(Duration::from_millis(300))),
        of_layer("a layer has another's digest in its head", Action::WrongDigestHeader),
        of_layer("a layer has a wrong byte", Action::CorruptBody).error("the blob sha256:… of `SOURCE/base` from `SOURCE` is damaged: expected sha256:…, found sha256:…"),
        of_layer("a layer is longer in its head", Action::WrongLength(9)).error("the blob sha256:… of `SOURCE/base` from `SOURCE` is damaged: expected 302080 bytes, found 302089"),
        of_layer("a layer is shorter in its head", Action::WrongLength(-9)).error("the blob sha256:… of `SOURCE/base` from `SOURCE` is damaged: expected 302080 bytes, found 302071"),
        of_layer("there is a page instead of a layer", Action::text(200, "<html>Log in</html>"))
            .error("the blob sha256:… of `SOURCE/base` from `SOURCE` is damaged: expected 302080 bytes, found 19"),
        of_layer("there is nothing instead of a layer", Action::status(200)).error("the blob sha256:… of `SOURCE/base` from `SOURCE` is damaged: expected 302080 bytes, found 0"),
        of_layer("a layer is 204", Action::status(204)).error("the registry `SOURCE` answered 204 when kiln wanted to read the blob sha256:… of `SOURCE/base`"),
        Case::new("a layer is always cut after a thousand bytes", Pull)
            .faults(|| vec![layer(Action::CutAfter(1000)).always()])
            .error("the blob sha256:… of `SOURCE/base` could not be read to its end: 6000 of 302080 bytes came; the connection to the registry `SOURCE` failed: error decoding response body: error reading a body from connection: end of file before message length reached"),
        Case::new("a layer never gets an answer", Pull)
            .faults(|| vec![layer(Action::DropConnection).always()])
            .error("the connection to the registry `SOURCE` failed: connection closed before message completed"),
        Case::new("a layer is cut, and its rest refused", Pull)
            .faults(|| vec![layer(Action::CutAfter(1000)), layer(Action::status(416)).nth(2)])
            .error("the registry `SOURCE` answered 416 when kiln wanted to read the blob sha256:… of `SOURCE/base`"),
        Case::new("a layer is cut, and then gone", Pull)
            .faults(|| vec![layer(Action::CutAfter(1000)), layer(Action::status(404)).nth(2)])
            .error("the blob sha256:… of `SOURCE/base` does not exist, or is not for these credentials: kiln used the entry `SOURCE` of DIR/config.json. Check the name"),
        Case::new("a layer is cut, and its rest is another part", Pull)
            .faults(|| {
                let other = Action::SetHeader("Content-Range", "bytes 7-302079/302080".into());
                vec![layer(Action::CutAfter(1000)), layer(other).nth(2)]
            })
            .error("the registry `SOURCE` gave an unusable answer when kiln wanted to read the blob sha256:… of `SOURCE/base`: it sent another part of the blob than the one that was asked for"),
        Case::new("a layer is cut five times in different places", Pull).faults(|| {
            [5000, 1, 0, 70_000, 2].map(|bytes| layer(Action::CutAfter(bytes))).into()
        }),
        Case::new("there is no HEAD", Pull).setup(|b| b.quirk(Quirk::NoHead)),
        Case::new("two requests in a second are allowed", Pull)
            .setup(|b| b.rate_limit(3, Duration::from_millis(700))),
        Case::new("a layer has to wait a second", Pull).faults(|| {
            vec![layer(Action::RetryAfter { code: 429, seconds: 1 })]
        }),
        Case::new("a layer would have to wait a day", Pull)
            .faults(|| vec![layer(Action::RetryAfter { code: 503, seconds: 86_400 })])
            .error("the registry `SOURCE` answered 503 when kiln wanted to read the blob sha256:… of `SOURCE/base`. The registry says: TOOMANYREQUESTS: come back later. kiln does not wait that long: 20 s are left of the 20 s that it waits in all (--retry-budget)"),
    ]
}

fn passed_on() -> Vec<Case> {
    vec![
        Case::new("a layer that is passed on has a wrong byte", CopyFrom)
            .once("GET", "/blobs/", Action::CorruptBody)
            .error("the blob sha256:… of `SOURCE/base` from `SOURCE` is damaged: expected sha256:…, found sha256:…"),
        Case::new("a layer that is passed on is longer in its head", CopyFrom)
            .once("GET", "/blobs/", Action::WrongLength(9))
            .error("the blob sha256:… of `SOURCE/base` from `SOURCE` is damaged: expected 302080 bytes, found 302089"),
        Case::new("a layer that is passed on is gone", CopyFrom)
            .once("GET", "/blobs/", Action::error(404, "BLOB_UNKNOWN", "gone"))
            .error("the blob sha256:… of `SOURCE/base` does not exist, or is not for these credentials: kiln used the entry `SOURCE` of DIR/config.json. Check the name. The registry says: BLOB_UNKNOWN: gone"),
        Case::new("a layer that is passed on is always cut", CopyFrom)
            .always("GET", "/blobs/", Action::CutAfter(1000))
            .error("the blob sha256:… of `SOURCE/base` could not be read to its end: 6000 of 302080 bytes came; the connection to the registry `SOURCE` failed: error decoding response body: error reading a body from connection: end of file before message length reached"),
    ]
}
