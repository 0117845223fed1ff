//! What people see: the real program, from a Dockerfile to its one error.

use testkit::{Action, Fault, Quirk};

use crate::case::Deed::{BuildFrom, BuildThree, BuildTo};
use crate::case::{Case, Expect, with_tokens};
use crate::world::{PASSWORD, USER, ending};

pub fn rows() -> Vec<Case> {
    let mut rows = Vec::new();
    rows.extend(refused());
    rows.extend(survived());
    rows.extend(bases());
    rows.extend(several());
    rows
}

fn refused() -> Vec<Case> {
    let always =
        |name: &str, method, path, action| Case::new(name, BuildTo).always(method, path, action);
    vec![
        always("nobody may push there", "POST", "/", Action::error(403, "DENIED", "no rights"))
            .error("cannot push to TARGET/app:1: the registry `TARGET` does not let kiln push to `app` (status 403, scope `repository:app:pull,push`); kiln used the entry `TARGET` of HOME/home/.docker/config.json. The registry says: DENIED: no rights"),
        always("the repository is not there", "POST", "/", {
            Action::error(404, "NAME_UNKNOWN", "repository name not known to registry")
        })
        .error("cannot push to TARGET/app:1: the repository `TARGET/app` (some registries, such as Amazon ECR, want it to be made before the first push) does not exist, or is not for these credentials: kiln used the entry `TARGET` of HOME/home/.docker/config.json. Check the name. The registry says: NAME_UNKNOWN: repository name not known to registry"),
        always("a proxy takes no large bodies", "PUT", "/uploads/", {
            Action::text(413, "<html>413 Request Entity Too Large</html>")
        })
        .error("cannot push layer … to TARGET/app: the registry `TARGET` answered 413 when kiln wanted to upload the blob sha256:… to `app`. The registry says: nothing; a proxy before the registry limits the size of uploads (nginx: client_max_body_size); smaller pieces: --upload-chunk-size"),
        always("the quota is used up", "PUT", "/uploads/", {
            Action::error(403, "DENIED", "quota exceeded")
        })
        .error("cannot push layer … to TARGET/app: the registry `TARGET` does not let kiln upload the blob sha256:… to `app` (status 403, scope `repository:app:pull,push`); kiln used the entry `TARGET` of HOME/home/.docker/config.json. The registry says: DENIED: quota exceeded"),
        always("the manifest is not liked", "PUT", "/manifests/", {
            Action::error(400, "MANIFEST_INVALID", "unknown media type")
        })
        .error("cannot push TARGET/app:1: the registry `TARGET` answered 400 when kiln wanted to push the manifest `TARGET/app:1`. The registry says: MANIFEST_INVALID: unknown media type"),
        always("the manifest may not be put", "PUT", "/manifests/", {
            Action::error(403, "DENIED", "protected tag")
        })
        .error("cannot push TARGET/app:1: the registry `TARGET` does not let kiln push the manifest `TARGET/app:1` (status 403, scope `repository:app:pull,push`); kiln used the entry `TARGET` of HOME/home/.docker/config.json. The registry says: DENIED: protected tag"),
        always("uploads have no address", "POST", "/", Action::WithoutHeader("Location"))
            .leaves(1)
            .error("cannot push to TARGET/app:1: the registry `TARGET` gave an unusable answer when kiln wanted to push to `app`: it has no Location"),
        always("the token server talks nonsense", "GET", "/token", Action::text(200, "hello"))
            .setup(with_tokens)
            .error("cannot push to TARGET/app:1: the registry `TARGET` gave an unusable answer when kiln wanted to get a token for repository:app:pull,push: it is not the JSON of a token"),
        Case::new("the password is wrong", BuildTo)
            .setup(|b| b.basic_auth(USER, "another"))
            .error("cannot push to TARGET/app:1: the registry `TARGET` does not let kiln push to `app` (status 401, scope `repository:app:pull,push`); kiln used the entry `TARGET` of HOME/home/.docker/config.json. The registry says: UNAUTHORIZED: authentication required"),
        Case::new("the password is wrong for the token server", BuildTo)
            .setup(|b| b.token_auth(USER, "another", std::time::Duration::from_secs(60)))
            .error("cannot push to TARGET/app:1: the registry `TARGET` does not let kiln get a token for repository:app:pull,push (status 401); kiln used the entry `TARGET` of HOME/home/.docker/config.json. The registry says: UNAUTHORIZED: these credentials are not known"),
        always("the registry is always busy", "PUT", "/uploads/", Action::status(503))
            .args(&["--retry-budget", "1s"])
            .error("cannot push layer … to TARGET/app: the registry `TARGET` answered 503 when kiln wanted to upload the blob sha256:… to `app`"),
        always("patience for a day is asked for", "PUT", "/uploads/", {
            Action::RetryAfter { code: 429, seconds: 86_400 }
        })
        .error("cannot push layer … to TARGET/app: the registry `TARGET` allows no more requests now; it asks to wait 86400 s. The registry says: TOOMANYREQUESTS: come back later. kiln does not wait that long: 180 s are left of the 180 s that it waits in all (--retry-budget)"),
    ]
}

fn survived() -> Vec<Case> {
    let once =
        |name: &str, method, path, action| Case::new(name, BuildTo).once(method, path, action);
    vec![
        once("an upload is cut", "PUT", "/uploads/", Action::CutUploadAfter(50_000)),
        once("an upload's answer is lost", "PUT", "/uploads/", Action::DropAnswer),
        once("the registry is busy", "PUT", "/uploads/", Action::status(503)),
        once("the tag's answer is lost", "PUT", "/manifests/", Action::DropAnswer),
        once("the token server is not there for a moment", "GET", "/token", Action::status(404))
            .setup(with_tokens),
        once("the token ends in the middle of an upload", "PUT", "/uploads/", {
            Action::RefuseAfter { code: 401, bytes: 50_000 }
        })
        .setup(with_tokens),
        Case::new("uploads go elsewhere", BuildTo)
            .setup(|b| with_tokens(b).quirk(Quirk::UploadsElsewhere)),
    ]
}

fn bases() -> Vec<Case> {
    let once =
        |name: &str, method, path, action| Case::new(name, BuildFrom).once(method, path, action);
    let layer = |name: &str, action: Action| {
        Case::new(name, BuildFrom)
            .faults(move || vec![Fault::on("GET", "/blobs/", action.clone()).nth(2)])
    };
    vec![
        once("the base is not there", "GET", "/manifests/", {
            Action::error(404, "MANIFEST_UNKNOWN", "manifest unknown")
        })
        .error("the image `SOURCE/base:1` does not exist, or is not for these credentials: kiln used the entry `SOURCE` of HOME/home/.docker/config.json. Check the name. The registry says: MANIFEST_UNKNOWN: manifest unknown"),
        once("there is a page instead of the base", "GET", "/manifests/", {
            Action::text(200, "<html>Log in to the network</html>")
        })
        .error("`SOURCE/base:1`: the manifest is not valid: expected value at line 1 column 1"),
        once("the base's limit of pulls is reached", "GET", "/manifests/", {
            Action::RetryAfter { code: 429, seconds: 21_600 }
        })
        .error("the registry `SOURCE` allows no more requests now; it asks to wait 21600 s. The registry says: TOOMANYREQUESTS: come back later. kiln does not wait that long: 180 s are left of the 180 s that it waits in all (--retry-budget)"),
        layer("a layer of the base is cut", Action::CutAfter(2000)),
        layer("a layer of the base has a wrong byte", Action::CorruptBody).error("cannot fetch a layer from SOURCE/base: the blob sha256:… of `SOURCE/base` from `SOURCE` is damaged: expected sha256:…, found sha256:…"),
        layer("a layer of the base is gone", Action::error(404, "BLOB_UNKNOWN", "gone")).error("the blob sha256:… of `SOURCE/base` does not exist, or is not for these credentials: kiln used the entry `SOURCE` of HOME/home/.docker/config.json. Check the name. The registry says: BLOB_UNKNOWN: gone"),
        Case::new("the base's blobs lie in a storage", BuildFrom)
            .setup(|b| with_tokens(b).quirk(Quirk::RedirectBlobs)),
        Case::new("the base's blobs lead to a cloud's secrets", BuildFrom)
            .always("GET", "/blobs/", Action::redirect("http://169.254.169.254/latest"))
            .error("the registry `SOURCE` gave an unusable answer when kiln wanted to read the config sha256:… of `SOURCE/base`: it leads to `169.254.169.254`, an address that only this machine can reach"),
        Case::new("the base is for others", BuildFrom)
            .setup(|b| b.token_auth(USER, PASSWORD, std::time::Duration::from_secs(60)))
            .always("GET", "/manifests/", Action::error(403, "DENIED", "not for you"))
            .error("the registry `SOURCE` does not let kiln read the manifest of `SOURCE/base:1` (status 403, scope `repository:base:pull`); kiln used the entry `SOURCE` of HOME/home/.docker/config.json. The registry says: DENIED: not for you"),
    ]
}

fn several() -> Vec<Case> {
    vec![
        Case::new("three names, and an upload is cut", BuildThree).once(
            "PUT",
            "/uploads/",
            Action::CutUploadAfter(50_000),
        ),
        Case::new("three names, and no mounts", BuildThree).setup(|b| b.quirk(Quirk::NoMount)),
        Case::new("three names, and a mount's answer is lost", BuildThree)
            .faults(|| vec![Fault::on("POST", "/", Action::DropAnswer).query("mount=")]),
        Case::new("three names, and the second tag is refused", BuildThree)
            .faults(|| {
                let action = Action::error(403, "DENIED", "protected tag");
                vec![ending("PUT", "/manifests/2", action).always()]
            })
            .expect(Expect::ErrorAndTag("not all names were set: TARGET/app:1 has the new image: cannot push TARGET/app:2: the registry `TARGET` does not let kiln push the manifest `TARGET/app:2` (status 403, scope `repository:app:pull,push`); kiln used the entry `TARGET` of HOME/home/.docker/config.json. The registry says: DENIED: protected tag")),
        Case::new("three names, and the second repository's blobs are refused", BuildThree)
            .faults(|| {
                let action = Action::error(403, "DENIED", "no rights");
                vec![Fault::on("POST", "/v2/other/", action).nth(2).always()]
            })
            .error("cannot push layer … to TARGET/other: the registry `TARGET` does not let kiln push to `other` (status 403, scope `repository:other:pull,push`); kiln used the entry `TARGET` of HOME/home/.docker/config.json. The registry says: DENIED: no rights"),
    ]
}
