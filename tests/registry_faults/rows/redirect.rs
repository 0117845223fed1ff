//! Redirects, and addresses of uploads.

use testkit::{Action, Fault, Quirk};

use crate::case::Case;
use crate::case::Deed::{Pull, Push};
use crate::case::with_tokens;
use crate::world::World;

/// The target's storage, under a name that is not the registry's: it refuses credentials.
fn storage(world: &World) -> String {
    format!("{}/storage", world.target.host().replace("127.0.0.1", "localhost"))
}

pub fn rows() -> Vec<Case> {
    let mut rows = Vec::new();
    rows.extend(reading());
    rows.extend(uploads());
    rows.extend(writing());
    rows
}

fn reading() -> Vec<Case> {
    let elsewhere = |name: &str, method: &'static str, path: &'static str| {
        Case::new(name, Pull).setup(with_tokens).script(move |world| {
            let action = Action::RedirectTo(world.elsewhere.host().to_owned());
            vec![Fault::on(method, path, action).always()]
        })
    };
    let leads_to = |name: &str, location: &str| {
        Case::new(name, Pull).always("GET", "/blobs/", Action::redirect(location))
    };
    vec![
        elsewhere("blobs lie elsewhere", "GET", "/blobs/"),
        elsewhere("manifests lie elsewhere", "GET", "/manifests/"),
        elsewhere("questions are answered elsewhere", "HEAD", "/manifests/"),
        Case::new("blobs lie in a storage that refuses credentials", Pull)
            .setup(|b| with_tokens(b).quirk(Quirk::RedirectBlobs)),
        Case::new("a blob in a storage is cut, and asked for again", Pull)
            .setup(|b| with_tokens(b).quirk(Quirk::RedirectBlobs))
            .once("GET", "/storage/", Action::CutAfter(100)),
        Case::new("a storage refuses", Pull)
            .setup(|b| with_tokens(b).quirk(Quirk::RedirectBlobs))
            .always("GET", "/storage/", Action::text(403, "<Error>AccessDenied</Error>"))
            .error("the registry `STORAGE-OF-SOURCE` does not let kiln read the config sha256:… of `SOURCE/base` (status 403, scope `repository:base:pull`); kiln used the entry `SOURCE` of DIR/config.json"),
        Case::new("a storage's address has run out, and the next has not", Pull)
            .setup(|b| with_tokens(b).quirk(Quirk::RedirectBlobs))
            .once("GET", "/storage/", Action::text(503, "SlowDown")),
        Case::new("blobs lead to themselves", Pull)
            .script(|world| {
                let action = Action::RedirectTo(world.source.host().to_owned());
                vec![Fault::on("GET", "/blobs/", action).always()]
            })
            .error("the registry `SOURCE` gave an unusable answer when kiln wanted to read the config sha256:… of `SOURCE/base`: it is redirected in circles"),
        leads_to("blobs lead to nowhere", "").error("the registry `SOURCE` gave an unusable answer when kiln wanted to read the config sha256:… of `SOURCE/base`: it is redirected in circles"),
        leads_to("blobs lead to no address", "http://[/").error("the registry `SOURCE` gave an unusable answer when kiln wanted to read the config sha256:… of `SOURCE/base`: it leads to something that is no URL"),
        leads_to("blobs lead to a file", "file:///etc/passwd").error("the registry `SOURCE` gave an unusable answer when kiln wanted to read the config sha256:… of `SOURCE/base`: it leads to a URL with the scheme `file`"),
        leads_to("blobs lead to a cloud's secrets", "http://169.254.169.254/latest").error("the registry `SOURCE` gave an unusable answer when kiln wanted to read the config sha256:… of `SOURCE/base`: it leads to `169.254.169.254`, an address that only this machine can reach"),
        leads_to("blobs lead to an address with a password", "http://u:p@127.0.0.1/").error("the registry `SOURCE` gave an unusable answer when kiln wanted to read the config sha256:… of `SOURCE/base`: it leads to a URL with a user or password"),
        Case::new("a redirect without an address", Pull)
            .always("GET", "/blobs/", Action::status(307))
            .error("the registry `SOURCE` answered 307 when kiln wanted to read the config sha256:… of `SOURCE/base`"),
    ]
}

fn uploads() -> Vec<Case> {
    let located = |name: &str, location: &str| {
        let action = Action::SetHeader("Location", location.to_owned());
        // The first POST asks for the permission.
        Case::new(name, Push).always("POST", "/", action)
    };
    vec![
        Case::new("uploads have addresses without a host", Push)
            .setup(|b| b.quirk(Quirk::RelativeLocation)),
        Case::new("uploads go elsewhere", Push)
            .setup(|b| with_tokens(b).quirk(Quirk::UploadsElsewhere)),
        Case::new("an upload elsewhere is cut", Push)
            .setup(|b| with_tokens(b).quirk(Quirk::UploadsElsewhere))
            .once("PUT", "/storage/", Action::CutUploadAfter(150_000)),
        Case::new("an upload elsewhere is refused", Push)
            .setup(|b| with_tokens(b).quirk(Quirk::UploadsElsewhere))
            .always("PUT", "/storage/", Action::text(403, "<Error>AccessDenied</Error>"))
            .error("the registry `STORAGE-OF-TARGET` does not let kiln upload the blob sha256:… to `app` (status 403, scope `repository:app:pull,push`); kiln used the entry `TARGET` of DIR/config.json"),
        located("uploads lead to a file", "file:///etc/passwd").leaves(1).error("the registry `TARGET` gave an unusable answer when kiln wanted to push to `app`: it leads to a URL with the scheme `file`"),
        located("uploads lead to a cloud's secrets", "http://169.254.169.254/latest")
            .leaves(1)
            .error("the registry `TARGET` gave an unusable answer when kiln wanted to push to `app`: it leads to `169.254.169.254`, an address that only this machine can reach"),
        located("uploads lead to no address", "http://[/").leaves(1).error("the registry `TARGET` gave an unusable answer when kiln wanted to push to `app`: its Location is no URL"),
        located("uploads lead to an address with a password", "http://u:p@127.0.0.1/")
            .leaves(1)
            .error("the registry `TARGET` gave an unusable answer when kiln wanted to push to `app`: it leads to a URL with a user or password"),
    ]
}

fn writing() -> Vec<Case> {
    let moved = |name: &str, method: &'static str, path: &'static str| {
        Case::new(name, Push)
            .setup(with_tokens)
            .script(move |world| vec![Fault::on(method, path, Action::RedirectTo(storage(world)))])
    };
    vec![
        moved("an upload is redirected to a storage", "PUT", "/v2/app/blobs/uploads/"),
        Case::new("every upload is redirected to itself", Push)
            .script(|world| {
                let action = Action::RedirectTo(world.target.host().to_owned());
                vec![Fault::on("PUT", "/uploads/", action).always()]
            })
            .error("the registry `TARGET` gave an unusable answer when kiln wanted to upload the blob sha256:… to `app`: it is redirected in circles"),
        Case::new("a tag is redirected", Push)
            .script(|world| {
                let action = Action::RedirectTo(world.elsewhere.host().to_owned());
                vec![Fault::on("PUT", "/manifests/1", action)]
            })
            .error("the registry `TARGET` answered 404 when kiln wanted to push the manifest `TARGET/app:1`. The registry says: MANIFEST_BLOB_UNKNOWN: blob sha256:… is unknown to this repository ({\"digest\":\"sha256:…\"})"),
    ]
}
