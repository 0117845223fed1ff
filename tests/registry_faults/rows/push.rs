//! Writing an image.

use std::time::Duration;

use testkit::{Action, Fault, Quirk};

use super::CUTS;
use crate::case::Deed::{CopyTo, Mount, Push, PushChunks, PushLarge};
use crate::case::{Case, Expect, with_tokens};
use crate::world::ending;

fn put(name: &str, action: Action) -> Case {
    Case::new(name, Push).once("PUT", "/uploads/", action)
}

pub fn rows() -> Vec<Case> {
    let mut rows = Vec::new();
    for (place, bytes) in CUTS {
        let cut = Action::CutUploadAfter(bytes);
        rows.push(put(&format!("an upload is cut {place}"), cut.clone()));
        rows.push(
            Case::new(format!("a layer that is passed on is cut {place} on its way in"), CopyTo)
                .once("PUT", "/uploads/", cut.clone()),
        );
        let lossy = put(&format!("an upload is cut {place} and nothing kept"), cut);
        rows.push(lossy.setup(|b| b.quirk(Quirk::NoPartialUploads)));
    }
    rows.extend(uploads());
    rows.extend(beginnings());
    rows.extend(answers());
    rows.extend(manifests());
    rows.extend(kinds());
    rows.extend(chunks());
    rows
}

fn uploads() -> Vec<Case> {
    let slow = Action::SlowUpload { piece: 60_000, pause: Duration::from_millis(20) };
    let refuse = |code, bytes| Action::RefuseAfter { code, bytes };
    vec![
        Case::new("every upload is cut, and its rest is not", Push).always(
            "PUT",
            "/uploads/",
            Action::CutUploadAfter(1000),
        ),
        Case::new("every request with bytes is cut at once", Push)
            .faults(|| {
                let cut = Action::CutUploadAfter(0);
                ["PUT", "PATCH"].map(|m| Fault::on(m, "/uploads/", cut.clone()).always()).into()
            })
            .error("the connection to the registry `TARGET` failed: connection closed before message completed"),
        Case::new("no upload gets an answer", Push)
            .always("PUT", "/uploads/", Action::DropConnection)
            .error("the connection to the registry `TARGET` failed: connection closed before message completed"),
        put("an upload is read slowly", slow),
        put("an upload is answered late", Action::Delay(Duration::from_millis(300))),
        put("an upload is refused in the middle by a 503", refuse(503, 150_000)),
        put("an upload is refused at its end by a 502", refuse(502, u64::MAX)),
        put("an upload is refused in the middle for good", refuse(403, 150_000)).error("the registry `TARGET` does not let kiln upload the blob sha256:… to `app` (status 403, scope `repository:app:pull,push`); kiln used the entry `TARGET` of DIR/config.json"),
        put("an upload is refused as too large", refuse(413, 1000)).error("the registry `TARGET` answered 413 when kiln wanted to upload the blob sha256:… to `app`. The registry says: nothing; a proxy before the registry limits the size of uploads (nginx: client_max_body_size); smaller pieces: --upload-chunk-size"),
        put("an upload is forgotten", Action::ForgetUploads),
        Case::new("every upload is forgotten", Push)
            .always("PUT", "/uploads/", Action::ForgetUploads)
            .error("the upload that the registry had begun does not exist, or is not for these credentials: kiln used the entry `TARGET` of DIR/config.json. Check the name. The registry says: BLOB_UPLOAD_UNKNOWN: upload upload-… is unknown to this repository"),
        put("an upload has a digest that the registry finds wrong", {
            Action::error(400, "DIGEST_INVALID", "the content's digest is another")
        })
        .error("the registry `TARGET` got other bytes than kiln sent when kiln wanted to upload the blob sha256:… to `app`. Try again; if it stays so, something between kiln and the registry changes requests. The registry says: DIGEST_INVALID: the content's digest is another"),
        Case::new("five requests in a second are allowed", Push)
            .setup(|b| b.rate_limit(8, Duration::from_millis(700))),
        put("an upload has to wait a second", Action::RetryAfter { code: 429, seconds: 1 }),
        put("an upload would have to wait a day", Action::RetryAfter { code: 429, seconds: 86_400 })
            .error("the registry `TARGET` allows no more requests now; it asks to wait 86400 s. The registry says: TOOMANYREQUESTS: come back later. kiln does not wait that long: 20 s are left of the 20 s that it waits in all (--retry-budget)"),
    ]
}

fn beginnings() -> Vec<Case> {
    // The first POST asks for the permission.
    let post = |name: &str, action: Action| {
        Case::new(name, Push).faults(move || vec![Fault::on("POST", "/", action.clone()).nth(2)])
    };
    vec![
        post("the start of an upload is cut", Action::DropConnection),
        post("the start of an upload gets no answer", Action::DropAnswer).leaves(1),
        post("the start of an upload is cut in its answer", Action::CutHead(20)).leaves(1),
        post("the start of an upload has no address", Action::WithoutHeader("Location"))
            .leaves(1)
            .error("the registry `TARGET` gave an unusable answer when kiln wanted to push to `app`: it has no Location"),
        post("the start of an upload has an empty address", {
            Action::SetHeader("Location", String::new())
        })
        .leaves(1)
        .error("the registry `TARGET` answered 405 when kiln wanted to upload the blob sha256:… to `app`. The registry says: UNSUPPORTED: the operation is unsupported"),
        post("the start of an upload has no range", Action::WithoutHeader("Range")),
        post("the start of an upload is 200", Action::status(200)).error("the registry `TARGET` answered 200 when kiln wanted to push to `app`"),
        post("the start of an upload is a page", Action::text(200, "<html>Log in</html>"))
            .error("the registry `TARGET` answered 200 when kiln wanted to push to `app`"),
        Case::new("the question for the permission is cut", Push).once(
            "POST",
            "/",
            Action::DropConnection,
        ),
        Case::new("the end of the question is cut", Push)
            .once("DELETE", "/", Action::DropConnection)
            .leaves(1),
        Case::new("there is no HEAD", Push).setup(|b| b.quirk(Quirk::NoHead)),
        Case::new("a blob is said to be there and is not", Push)
            .always("HEAD", "/blobs/", Action::status(200))
            .error("the registry `TARGET` answered 404 when kiln wanted to push the manifest `TARGET/app@sha256:…`. The registry says: MANIFEST_BLOB_UNKNOWN: blob sha256:… is unknown to this repository ({\"digest\":\"sha256:…\"})"),
        Case::new("the question for a blob is cut", Push).once(
            "HEAD",
            "/blobs/",
            Action::DropConnection,
        ),
        Case::new("the question for a blob is cut in its answer", Push).once(
            "HEAD",
            "/blobs/",
            Action::CutHead(20),
        ),
    ]
}

fn answers() -> Vec<Case> {
    let mut rows = vec![
        put("an upload is there, and its answer is lost", Action::DropAnswer),
        put("an upload is there, and its answer is cut", Action::CutHead(20)),
        put("an upload is there, and a proxy said 504", Action::LateStatus(504)),
        put(
            "an upload is there, and has no digest",
            Action::WithoutHeader("Docker-Content-Digest"),
        ),
        put("an upload is there, and has no address", Action::WithoutHeader("Location")),
    ];
    for status in [200, 202, 204] {
        let late = Action::LateStatus(status);
        rows.push(put(&format!("an upload is there, and is {status}"), late.clone()));
        let manifest = Case::new(format!("a manifest is there, and is {status}"), Push);
        rows.push(manifest.always("PUT", "/manifests/", late));
    }
    rows
}

fn manifests() -> Vec<Case> {
    let tag = |name: &str, action: Action| {
        Case::new(name, Push).faults(move || vec![ending("PUT", "/manifests/1", action.clone())])
    };
    let tags = |name: &str, action: Action| {
        Case::new(name, Push)
            .faults(move || vec![ending("PUT", "/manifests/1", action.clone()).always()])
    };
    vec![
        tag("the tag is cut", Action::CutUploadAfter(100)),
        tag("the tag gets no answer", Action::DropConnection),
        tag("the tag is set, and its answer lost", Action::DropAnswer),
        tag("the tag is set, and its answer cut", Action::CutHead(20)),
        tag("the tag is set, and a proxy said 504", Action::LateStatus(504)),
        tag("the tag is set without a digest", Action::WithoutHeader("Docker-Content-Digest")),
        tags("the tag is always cut", Action::CutUploadAfter(100)).error("the connection to the registry `TARGET` failed: connection closed before message completed"),
        tags("the tag is set, and its answers are lost", Action::DropAnswer)
            .expect(Expect::ErrorAndTag("the connection to the registry `TARGET` failed: connection closed before message completed")),
        tag("the tag is set, and has another's digest", Action::WrongDigestHeader)
            .expect(Expect::ErrorAndTag("the manifest `TARGET/app:1` from `TARGET` is damaged: expected sha256:…, found sha256:…")),
        tag("the manifest lacks a blob", {
            Action::error(404, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry")
        })
        .error("the registry `TARGET` answered 404 when kiln wanted to push the manifest `TARGET/app:1`. The registry says: MANIFEST_BLOB_UNKNOWN: blob unknown to registry"),
        tag("the tag cannot be changed", Action::error(409, "CONFLICT", "tag is immutable"))
            .error("the registry `TARGET` answered 409 when kiln wanted to push the manifest `TARGET/app:1`. The registry says: CONFLICT: tag is immutable"),
    ]
}

fn kinds() -> Vec<Case> {
    let cut = |name: &str| put(name, Action::CutUploadAfter(150_000));
    vec![
        cut("an upload is cut where there is no PATCH").setup(|b| b.quirk(Quirk::NoPatch)),
        cut("an upload is cut where there is no status").setup(|b| b.quirk(Quirk::NoUploadStatus)),
        cut("an upload is cut where chunks have a least length").setup(|b| b.min_chunk(200_000)),
        Case::new("chunks have a least length", Push).setup(|b| b.min_chunk(100_000)),
        Case::new("there is no POST with a digest", Push)
            .setup(|b| b.quirk(Quirk::NoMonolithicPost)),
        Case::new("there are no mounts", Mount).setup(|b| b.quirk(Quirk::NoMount)),
        Case::new("a mount needs no source", Mount).setup(|b| b.quirk(Quirk::AnonymousMount)),
        Case::new("the mount gets no answer", Mount).faults(|| {
            vec![Fault::on("POST", "/", Action::DropConnection).query("mount=").always()]
        }),
        Case::new("the mount is done, and its answer lost", Mount).faults(|| {
            vec![Fault::on("POST", "/", Action::DropAnswer).query("mount=")]
        }),
        Case::new("the mount is done, and has no address", Mount).faults(|| {
            let action = Action::WithoutHeader("Location");
            vec![Fault::on("POST", "/", action).query("mount=").always()]
        }),
        Case::new("bodies have a limit, and uploads can be cut to it", Push)
            .setup(|b| b.max_body(100_000))
            .error("the registry `TARGET` answered 413 when kiln wanted to upload the blob sha256:… to `app`. The registry says: nothing; a proxy before the registry limits the size of uploads (nginx: client_max_body_size); smaller pieces: --upload-chunk-size"),
    ]
}

fn chunks() -> Vec<Case> {
    let mut rows = Vec::new();
    for (place, bytes) in [("at once", 0), ("in the middle", 50_000), ("too early", 99_999)] {
        let cut = Action::CutUploadAfter(bytes);
        let name = |more: &str| format!("a chunk is cut {place}{more}");
        rows.push(Case::new(name(""), PushChunks).once("PATCH", "/", cut.clone()));
        rows.push(
            Case::new(name(", and nothing is kept"), PushChunks)
                .setup(|b| b.quirk(Quirk::NoPartialUploads))
                .once("PATCH", "/", cut.clone()),
        );
        rows.push(
            Case::new(name(", and nobody says how far it came"), PushChunks)
                .setup(|b| b.quirk(Quirk::NoUploadStatus))
                .once("PATCH", "/", cut),
        );
    }
    let patch = |name: &str, action| Case::new(name, PushChunks).once("PATCH", "/", action);
    let all = |name: &str, action| Case::new(name, PushChunks).always("PATCH", "/", action);
    rows.extend([
        Case::new("chunks go through", PushChunks).at_most("PATCH", "/", 5),
        patch("a chunk is there, and its answer lost", Action::DropAnswer),
        patch("a chunk is there, and its answer cut", Action::CutHead(20)),
        patch("a chunk is there, and a proxy said 502", Action::LateStatus(502)),
        all("chunks have no range in their answers", Action::WithoutHeader("Range")),
        all("chunks have no address in their answers", Action::WithoutHeader("Location")),
        all("every chunk is cut", Action::CutUploadAfter(1000)).error("the connection to the registry `TARGET` failed: connection closed before message completed"),
        all("no chunk is taken", Action::SetHeader("Range", "0-0".into())),
        all("more is taken than was sent", Action::SetHeader("Range", "0-999999".into())),
        patch("the upload is forgotten between chunks", Action::ForgetUploads),
        patch("a chunk is out of order", Action::error(416, "RANGE_INVALID", "out of order")),
        Case::new("chunks go elsewhere", PushChunks)
            .setup(|b| with_tokens(b).quirk(Quirk::UploadsElsewhere)),
        Case::new("chunks have relative addresses", PushChunks)
            .setup(|b| b.quirk(Quirk::RelativeLocation)),
        Case::new("chunks where there is no PATCH", PushChunks)
            .setup(|b| b.quirk(Quirk::NoPatch))
            .error("the registry `TARGET` answered 405 when kiln wanted to upload the blob sha256:… to `app`. The registry says: UNSUPPORTED: the operation is unsupported"),
        Case::new("a chunk's token ends in its middle", PushChunks).setup(with_tokens).once(
            "PATCH",
            "/",
            Action::RefuseAfter { code: 401, bytes: 50_000 },
        ),
        Case::new("tokens end at each chunk", PushChunks)
            .setup(with_tokens)
            .always("PATCH", "/", Action::ExpireTokens)
            .error("the registry `TARGET` does not let kiln upload the blob sha256:… to `app` (status 401, scope `repository:app:pull,push`); kiln used the entry `TARGET` of DIR/config.json. The registry says: UNAUTHORIZED: invalid_token"),
        Case::new("a proxy takes half of a large layer", PushLarge).setup(|b| b.max_body(6 << 20)),
        Case::new("a proxy takes as much as nginx does", PushLarge).setup(|b| b.max_body(1 << 20)),
        Case::new("a proxy takes less than chunks have", PushLarge)
            .setup(|b| b.max_body(1 << 19))
            .error("the registry `TARGET` answered 413 when kiln wanted to upload the blob sha256:… to `app`. The registry says: nothing; a proxy before the registry limits the size of uploads (nginx: client_max_body_size); smaller pieces: --upload-chunk-size"),
        Case::new("a large layer is cut twice", PushLarge).faults(|| {
            let cut = |bytes| Action::CutUploadAfter(bytes);
            vec![
                Fault::on("PUT", "/uploads/", cut(5 << 20)),
                Fault::on("PATCH", "/uploads/", cut(3 << 20)),
            ]
        }),
        Case::new("a large layer is never cut in the same place", PushLarge)
            .faults(|| {
                ["PUT", "PATCH"]
                    .map(|method| {
                        Fault::on(method, "/uploads/", Action::CutUploadAfter((1 << 20) + 1))
                            .always()
                    })
                    .into()
            })
            .at_most("POST", "/", 4),
        Case::new("a large layer in a registry with chunks", PushLarge)
            .setup(|b| b.min_chunk(5 << 20)),
        Case::new("a large layer in chunks of 5 MiB, each cut once", PushLarge)
            .setup(|b| b.min_chunk(5 << 20).max_body(6 << 20))
            .once("PATCH", "/uploads/", Action::CutUploadAfter(1 << 20)),
    ]);
    rows
}
