//! A layer that takes longer than any token lives.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use testkit::{Action, Fault, Quirk, Registry};

use crate::common::{Kiln, release};
use crate::world::{PASSWORD, USER};

/// Bytes of the file; all zeroes, which cost no disk here and none at the registry.
const SIZE: u64 = 2 << 30;
const LIFE: Duration = Duration::from_secs(3);
/// The registry takes no more than this in a tenth of a second, so that the whole takes twice the
/// life of a token at least.
const PIECE: u64 = 32 << 20;
const PAUSE: Duration = Duration::from_millis(100);
/// What may be in memory at one time.
const MAX_MEMORY: u64 = 150_000_000;
/// What may be sent again after each refusal: what was on its way.
const AGAIN: u64 = 32 << 20;

#[test]
fn two_gigabytes_go_through_tokens_of_three_seconds() {
    let registry = Registry::builder().token_auth(USER, PASSWORD, LIFE);
    let registry = registry.quirk(Quirk::StrictTokens).start();
    for method in ["PUT", "PATCH"] {
        let slow = Action::SlowUpload { piece: PIECE, pause: PAUSE };
        registry.fault(Fault::on(method, "/uploads/", slow).always());
    }
    let kiln = Kiln::build()
        .dockerfile("FROM scratch\nCOPY large /large\n")
        .login(registry.host(), USER, PASSWORD)
        .args(["--compression", "uncompressed", "-t", &format!("{}/app:1", registry.host())]);
    let (kiln, _memory) = in_memory(kiln);
    let large = File::create(kiln.context().join("large")).expect("a file");
    large.set_len(SIZE).expect("a sparse file");
    let (command, _dir) = kiln.with_program(&release()).into_command();
    let (output, peak) = testkit::process::measure(command).expect("kiln starts");
    let requests = registry.requests();
    let lines = || {
        let line =
            |r: &testkit::Request| format!("{} -> {} ({} in)", r.line(), r.status, r.bytes_in);
        requests.iter().map(line).collect::<Vec<_>>().join("\n")
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}\n{}", lines());
    assert!(peak < MAX_MEMORY, "{peak} bytes");

    let (manifest, _) = registry.manifest("app", "1").expect("a manifest");
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("JSON");
    let layer = &manifest["layers"][0];
    // The registry has checked the digest; the size says that it is the whole file.
    assert!(layer["size"].as_u64().expect("a size") > SIZE, "{layer}");
    assert!(registry.has_blob("app", layer["digest"].as_str().expect("a digest")));
    assert_eq!(registry.open_uploads(), 0);

    let uploads = || requests.iter().filter(|r| r.path.contains("/blobs/uploads/"));
    let refused = uploads().filter(|r| r.status == 401 && r.bytes_in > 0).count();
    let tokens = requests.iter().filter(|r| r.path == "/token").count();
    assert!(tokens >= 3, "{tokens} tokens\n{}", lines());
    let sent: u64 = uploads().map(|r| r.bytes_in).sum();
    let most = SIZE + (refused as u64 + 1) * AGAIN;
    assert!(sent < most, "{sent} bytes were sent\n{}", lines());
}

/// Lets kiln keep the layer in memory, where the machine has that much: it is the network that is
/// tested, and a disk may take half a minute for as many bytes.
fn in_memory(kiln: Kiln) -> (Kiln, Option<tempfile::TempDir>) {
    let shm = Path::new("/dev/shm");
    let room = rustix::fs::statvfs(shm).map_or(0, |found| found.f_bavail * found.f_frsize);
    let dir = (room > 2 * SIZE).then(|| tempfile::tempdir_in(shm).ok()).flatten();
    match &dir {
        Some(found) => (kiln.arg_pair("--work-dir", found.path()), dir),
        None => (kiln, dir),
    }
}
