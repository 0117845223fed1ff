#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::layer::{Entry, TarReader, Whiteout};
use crate::rootfs::diff::SinkError;
use crate::rootfs::{
    ChangeSink, Extract, Ledger, Ownership, Root, Scan, Snapshot, Whiteouts, extract,
};

/// A root, a place for what is aside, and sources.
struct Bench {
    dir: tempfile::TempDir,
    mounts: Vec<RunMount>,
    ledger: Arc<Ledger>,
}

/// The paths that a layer would have.
#[derive(Default)]
struct Paths(Vec<String>);

impl ChangeSink for Paths {
    fn file(&mut self, entry: &Entry, _: &mut dyn Read) -> Result<(), SinkError> {
        self.0.push(entry.path.display().to_string());
        Ok(())
    }

    fn whiteout(&mut self, whiteout: &Whiteout) -> Result<(), SinkError> {
        self.0.push(format!("- {}", whiteout.to_path().display()));
        Ok(())
    }
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let bench = Self { dir, mounts: Vec::new(), ledger: Arc::default() };
        for name in ["root", "aside", "scratch", "source/a"] {
            fs::create_dir_all(bench.at(name)).unwrap();
        }
        bench.fill();
        fs::write(bench.at("source/a/file"), "of the source").unwrap();
        bench
    }

    /// As kiln does, which therefore knows what is in the files.
    fn fill(&self) {
        let text = b"of the image";
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_uid(rustix::process::geteuid().as_raw().into());
        header.set_gid(rustix::process::getegid().as_raw().into());
        let mut layer = tar::Builder::new(Vec::new());
        layer.append_data(&mut header, "etc/conf", text.as_slice()).unwrap();
        let layer = layer.into_inner().unwrap();
        let policy = Extract {
            ledger: Some(self.ledger.clone()),
            ..Extract::new(Whiteouts::Apply, Ownership::Keep)
        };
        let root = Root::open(&self.at("root")).unwrap();
        extract(&mut TarReader::new(layer.as_slice()), &root, &policy).unwrap();
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn mount(mut self, target: &str, source: MountSource, access: Access) -> Self {
        self.mounts.push(RunMount { target: target.into(), source, access });
        self
    }

    fn path(self, target: &str, source: &str, access: Access) -> Self {
        let source = MountSource::Path(self.at(source));
        self.mount(target, source, access)
    }

    fn tmpfs(self, target: &str) -> Self {
        self.mount(target, MountSource::Tmpfs { size: None }, Access::Discard)
    }

    fn secret(self, target: &str) -> Self {
        let own = rustix::process::geteuid().as_raw();
        let group = rustix::process::getegid().as_raw();
        let content = b"hunter2".to_vec().into();
        let source = MountSource::File { content, mode: 0o400, uid: own, gid: group };
        self.mount(target, source, Access::ReadOnly)
    }

    /// Lets a command be at work with the mounts, and says what is in its layer.
    #[track_caller]
    fn layer(&self, command: impl FnOnce(&Path)) -> Vec<String> {
        let (left, layer) = self.try_layer(command);
        left.unwrap();
        layer
    }

    fn try_layer(&self, command: impl FnOnce(&Path)) -> (Result<(), SandboxError>, Vec<String>) {
        let path = self.at("root");
        let (root, ledger) = (Root::open(&path).unwrap(), self.ledger.clone());
        let threads = NonZeroUsize::MIN;
        let scan = Scan { skip: BTreeSet::new(), threads, scratch: self.at("scratch") };
        let mut snapshot = Snapshot::take(&root, ledger, &scan).unwrap();
        let aside = self.at("aside");
        let site = Site {
            root: &path,
            aside: &aside,
            allowed: &|_, _| Ok(()),
            notes: None,
            single_id: false,
        };
        let left = Brought::bring(&site, &self.mounts, &Cancel::default()).and_then(|brought| {
            command(&path);
            brought.take_out()
        });
        assert_eq!(fs::read_dir(&aside).unwrap().count(), 0, "something is still aside");
        let mut layer = Paths::default();
        snapshot.changes(&root, &scan, &BTreeSet::new(), &mut layer).unwrap();
        (left, layer.0)
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }
}

#[test]
fn nothing_of_any_mount_is_in_the_layer() {
    let _listener;
    let bench = Bench::new();
    let socket = bench.at("agent");
    _listener = UnixListener::bind(&socket).unwrap();
    let own = rustix::process::geteuid().as_raw();
    let group = rustix::process::getegid().as_raw();
    let socket = MountSource::Socket { path: socket, mode: 0o600, uid: own, gid: group };
    let bench = bench
        .path("/etc", "source", Access::Discard)
        .path("/opt/a/b", "source", Access::ReadOnly)
        .path("/var/cache/x", "source", Access::Keep)
        .secret("/run/secrets/x")
        .tmpfs("/opt/a/tmp")
        .mount("/run/agent", socket, Access::ReadOnly);
    let layer = bench.layer(|root| {
        assert_eq!(fs::read(root.join("etc/a/file")).unwrap(), b"of the source");
        assert!(!root.join("etc/conf").exists());
        let secret = root.join("run/secrets/x");
        assert_eq!(fs::read(&secret).unwrap(), b"hunter2");
        assert_eq!(fs::metadata(&secret).unwrap().mode() & 0o7777, 0o400);
        assert_eq!(fs::metadata(root.join("opt/a/tmp")).unwrap().mode() & 0o7777, 0o1777);
        UnixStream::connect(root.join("run/agent")).unwrap();
        for made in ["etc/new", "opt/a/b/new", "opt/a/tmp/new", "var/cache/x/new"] {
            fs::write(root.join(made), "").unwrap();
        }
        fs::remove_file(root.join("opt/a/b/a/file")).unwrap();
    });
    assert_eq!(layer, [""; 0]);
    assert!(bench.at("source/new").exists() && bench.at("source/a/file").exists());
    assert_eq!(bench.text("root/etc/conf"), "of the image");
    assert!(bench.at("agent").exists());
}

#[test]
fn what_is_made_beside_a_mount_stays() {
    let bench = Bench::new().tmpfs("/opt/a/b").tmpfs("/etc/new");
    let layer = bench.layer(|root| {
        fs::write(root.join("opt/own"), "").unwrap();
        fs::write(root.join("etc/own"), "").unwrap();
    });
    assert_eq!(layer, ["etc", "etc/own", "opt", "opt/own"]);
}

#[test]
fn a_mount_inside_of_another_one() {
    let bench =
        Bench::new().tmpfs("/a").path("/a/b", "source", Access::Keep).secret("/a/b/c/secret");
    let layer = bench.layer(|root| {
        assert_eq!(fs::read(root.join("a/b/a/file")).unwrap(), b"of the source");
        assert_eq!(fs::read(root.join("a/b/c/secret")).unwrap(), b"hunter2");
        fs::write(root.join("a/b/new"), "").unwrap();
    });
    assert_eq!(layer, [""; 0]);
    assert!(bench.at("source/new").exists() && !bench.at("source/c").exists());
}

#[test]
fn a_mount_that_covers_an_earlier_one() {
    let bench = Bench::new().path("/m", "source", Access::Keep).tmpfs("/m");
    let layer = bench.layer(|root| assert_eq!(fs::read_dir(root.join("m")).unwrap().count(), 0));
    assert_eq!((layer, bench.text("source/a/file")), (vec![], "of the source".into()));
}

#[test]
fn what_the_command_removes_or_replaces() {
    let removed = |bench: &Bench, path: &'static str| {
        bench.layer(|root| fs::remove_dir_all(root.join(path)).unwrap())
    };
    let kept = Bench::new().path("/m", "source", Access::Keep);
    fs::set_permissions(kept.at("source"), fs::Permissions::from_mode(0o2770)).unwrap();
    assert_eq!(removed(&kept, "m"), [""; 0]);
    // As if it had been busy.
    assert_eq!(fs::metadata(kept.at("source")).unwrap().mode() & 0o7777, 0o2770);
    assert_eq!(fs::read_dir(kept.at("source")).unwrap().count(), 0);

    let discarded = Bench::new().path("/opt/a/b", "source", Access::Discard);
    assert_eq!(removed(&discarded, "opt"), [""; 0]);

    let covering = Bench::new().path("/etc", "source", Access::Discard);
    assert_eq!(removed(&covering, "etc"), [""; 0]);
    assert_eq!(covering.text("root/etc/conf"), "of the image");

    let replaced = Bench::new().path("/opt/a/m", "source", Access::Keep).secret("/opt/s");
    let layer = replaced.layer(|root| {
        fs::remove_dir_all(root.join("opt")).unwrap();
        fs::create_dir_all(root.join("opt/a/m")).unwrap();
        fs::write(root.join("opt/a/m/new"), "").unwrap();
        fs::write(root.join("opt/s"), "leaked").unwrap();
    });
    // The directories above it are the command's own now.
    assert_eq!(layer, ["opt", "opt/a"]);
    assert!(replaced.at("source/new").exists());
}

#[test]
fn what_the_command_renames() {
    let bench = Bench::new()
        .path("/m", "source", Access::Keep)
        .secret("/opt/secret")
        .path("/opt/c/d", "source/a", Access::Discard)
        .path("/etc", "source", Access::ReadOnly);
    let layer = bench.layer(|root| {
        for (from, to) in [("m", "n"), ("opt", "elsewhere"), ("etc", "conf")] {
            fs::rename(root.join(from), root.join(to)).unwrap();
        }
        fs::rename(root.join("elsewhere/secret"), root.join("secret")).unwrap();
        fs::write(root.join("n/new"), "").unwrap();
    });
    assert_eq!(layer, [""; 0]);
    assert!(bench.at("source/new").exists());
    assert_eq!(bench.text("root/etc/conf"), "of the image");
}

#[test]
fn a_directory_of_the_image_that_was_renamed_keeps_what_a_mount_covered() {
    let bench = Bench::new().tmpfs("/etc/dir");
    fs::create_dir(bench.at("root/etc/dir")).unwrap();
    fs::write(bench.at("root/etc/dir/own"), "").unwrap();
    let layer = bench.layer(|root| fs::rename(root.join("etc"), root.join("moved")).unwrap());
    assert!(
        layer.contains(&"moved/dir/own".into()) && layer.contains(&"- .wh.etc".into()),
        "{layer:?}"
    );
}

#[test]
fn links_of_the_image_lead_nowhere_else() {
    let bench = Bench::new().secret("/absolute/x").secret("/climbing/x").secret("/nowhere");
    fs::create_dir(bench.at("outside")).unwrap();
    symlink(bench.at("outside"), bench.at("root/absolute")).unwrap();
    symlink("../../../../../../../etc", bench.at("root/climbing")).unwrap();
    symlink("/etc/gone/x", bench.at("root/nowhere")).unwrap();
    let outside = bench.at("outside");
    let layer = bench.layer(|root| {
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        assert!(root.join("etc/x").exists() && root.join("etc/gone/x").exists());
    });
    assert_eq!(layer, [""; 0]);
    for target in ["/", "/dev", "/proc"] {
        let bench = Bench::new().tmpfs("/link");
        fs::create_dir(bench.at("root/dev")).unwrap();
        symlink(target, bench.at("root/link")).unwrap();
        let (left, layer) = bench.try_layer(|_| panic!("{target}"));
        assert!(left.unwrap_err().to_string().contains("nothing can be mounted"));
        assert_eq!(layer, [""; 0]);
    }
}

#[test]
fn one_that_fails_undoes_the_others() {
    let rows = [
        ("/etc/conf", "the image has a file there"),
        ("/m", "cannot bring in the mount `/m`: No such file"),
    ];
    for (target, expected) in rows {
        let source = if target == "/m" { "nowhere" } else { "source" };
        let bench = Bench::new()
            .path("/etc/new/a", "source/a", Access::Keep)
            .secret("/opt/x")
            .path(target, source, Access::ReadOnly);
        let (left, layer) = bench.try_layer(|_| panic!("{target}"));
        let error = left.unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
        assert_eq!(layer, [""; 0]);
        assert_eq!(bench.text("source/a/file"), "of the source");
    }
    let bench = Bench::new().path("/m", "source", Access::ReadOnly);
    let cancel = Cancel::default();
    cancel.cancel();
    let (root, aside) = (bench.at("root"), bench.at("aside"));
    let site =
        Site { root: &root, aside: &aside, allowed: &|_, _| Ok(()), notes: None, single_id: false };
    let error = Brought::bring(&site, &bench.mounts, &cancel).err().unwrap();
    assert!(matches!(error, SandboxError::Cancelled(_)), "{error}");
    assert!(!root.join("m").exists());
}

#[test]
fn a_hard_link_to_a_secret_is_an_error_and_one_into_a_cache_is_parted() {
    let bench = Bench::new().secret("/s");
    let (left, _) =
        bench.try_layer(|root| fs::hard_link(root.join("s"), root.join("leak")).unwrap());
    let error = left.unwrap_err().to_string();
    assert!(error.contains("`/s`") && error.contains("hard link"), "{error}");

    let bench = Bench::new().path("/c", "source", Access::Keep);
    fs::hard_link(bench.at("source/a/file"), bench.at("source/twin")).unwrap();
    let layer = bench.layer(|root| {
        fs::hard_link(root.join("c/a/file"), root.join("installed")).unwrap();
        fs::write(root.join("c/a/one"), "").unwrap();
        fs::hard_link(root.join("c/a/one"), root.join("c/two")).unwrap();
    });
    assert_eq!(layer, ["installed"]);
    let of = |path: &str| fs::metadata(bench.at(path)).unwrap();
    assert_eq!((of("root/installed").nlink(), of("source/twin").nlink()), (1, 2));
    assert_eq!(of("source/twin").ino(), of("source/a/file").ino());
    assert_eq!(of("source/a/one").ino(), of("source/two").ino());
    assert_eq!(bench.text("root/installed"), "of the source");
    fs::write(bench.at("source/twin"), "changed").unwrap();
    assert_eq!(bench.text("root/installed"), "of the source");
}

#[test]
fn one_source_at_two_targets_is_the_same() {
    let bench = Bench::new()
        .path("/a", "source", Access::Keep)
        .path("/b", "source", Access::Keep)
        .path("/copy", "source", Access::Discard)
        .path("/part", "source/a", Access::ReadOnly);
    let layer = bench.layer(|root| {
        assert!(root.join("copy/a/file").exists() && root.join("part/file").exists());
        // The link is of the root, which this process is not in.
        assert_eq!(fs::read_link(root.join("b")).unwrap(), Path::new("/a"));
        fs::write(root.join("a/new"), "").unwrap();
    });
    assert_eq!(layer, [""; 0]);
    assert!(bench.at("source/new").exists());
}

#[test]
fn files_are_brought_like_directories() {
    let rows = [
        (Access::ReadOnly, "of the source"),
        (Access::Discard, "of the source"),
        (Access::Keep, "new"),
    ];
    for (access, after) in rows {
        let bench = Bench::new().path("/etc/conf", "source/a/file", access);
        let layer = bench.layer(|root| fs::write(root.join("etc/conf"), "new").unwrap());
        assert_eq!((layer, bench.text("source/a/file").as_str()), (vec![], after));
        assert_eq!(bench.text("root/etc/conf"), "of the image");
    }
    // An editor replaces the file that it writes.
    let bench = Bench::new().path("/etc/conf", "source/a/file", Access::Keep);
    let layer = bench.layer(|root| {
        fs::write(root.join("etc/conf.new"), "new").unwrap();
        fs::rename(root.join("etc/conf.new"), root.join("etc/conf")).unwrap();
    });
    // The time of /etc is a change of the command's.
    assert_eq!((layer, bench.text("source/a/file").as_str()), (vec!["etc".to_owned()], "new"));
}

/// Sources on a tmpfs, whereas the root is on a disk (or the other way round).
#[test]
fn a_source_on_another_file_system() {
    let other = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut bench = Bench::new();
    let device = |path: &Path| fs::metadata(path).unwrap().dev();
    if device(other.path()) == device(&bench.at("root")) {
        bench.dir = tempfile::tempdir_in("/var/tmp").unwrap();
        for name in ["root/etc", "aside", "scratch"] {
            fs::create_dir_all(bench.at(name)).unwrap();
        }
    }
    assert_ne!(device(other.path()), device(&bench.at("root")), "one file system is all there is");
    let source = other.path().join("source");
    fs::create_dir_all(source.join("a")).unwrap();
    fs::write(source.join("a/file"), "old").unwrap();
    let listener = UnixListener::bind(other.path().join("agent")).unwrap();
    let own = rustix::process::geteuid().as_raw();
    let group = rustix::process::getegid().as_raw();
    let path = other.path().join("agent");
    let socket = MountSource::Socket { path, mode: 0o660, uid: own, gid: group };
    let bench = bench.mount("/c", MountSource::Path(source.clone()), Access::Keep).mount(
        "/run/agent",
        socket,
        Access::ReadOnly,
    );
    let answer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut question = String::new();
        stream.read_to_string(&mut question).unwrap();
        write!(stream, "{question}!").unwrap();
    });
    let layer = bench.layer(|root| {
        fs::remove_file(root.join("c/a/file")).unwrap();
        fs::write(root.join("c/new"), "new").unwrap();
        // Until it leaves, the source is as it was.
        assert!(source.join("a/file").exists());
        let agent = root.join("run/agent");
        assert_eq!(fs::metadata(&agent).unwrap().mode() & 0o7777, 0o660);
        let mut stream = UnixStream::connect(agent).unwrap();
        stream.write_all(b"sign").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert_eq!(text, "sign!");
    });
    answer.join().unwrap();
    assert_eq!(layer, [""; 0]);
    assert!(source.join("new").exists() && !source.join("a/file").exists());
    assert_eq!(fs::read_dir(other.path()).unwrap().count(), 2);
    // Removed: an empty one is left.
    bench.layer(|root| fs::remove_dir_all(root.join("c")).unwrap());
    assert_eq!(fs::read_dir(&source).unwrap().count(), 0);
}

#[test]
fn what_a_killed_build_has_brought_is_undone() {
    let bench = Bench::new()
        .path("/m", "source", Access::Keep)
        .path("/opt/a/b", "scratch", Access::ReadOnly)
        .secret("/opt/s");
    let (root, aside) = (bench.at("root"), bench.at("aside"));
    let notes = Notes::at(bench.at("notes"));
    let site = Site {
        root: &root,
        aside: &aside,
        allowed: &|_, _| Ok(()),
        notes: Some(&notes),
        single_id: false,
    };
    let brought = Brought::bring(&site, &bench.mounts, &Cancel::default()).unwrap();
    fs::write(root.join("m/new"), "").unwrap();
    std::mem::forget(brought);
    assert!(!bench.at("source").exists());

    notes.undo(&root).unwrap();
    assert_eq!(bench.text("source/a/file"), "of the source");
    assert!(bench.at("source/new").exists());
    let left: Vec<_> =
        fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["etc"]);
    assert!(!bench.at("notes").exists());
    notes.undo(&root).unwrap();

    // And after a RUN that came to its end there is nothing to undo.
    let brought = Brought::bring(&site, &bench.mounts, &Cancel::default()).unwrap();
    assert!(bench.at("notes").exists());
    brought.take_out().unwrap();
    assert!(!bench.at("notes").exists());
}

#[test]
fn a_kept_source_is_one_commands_at_a_time() {
    let bench = Bench::new().path("/m", "source", Access::Keep);
    let holds = Holds::default();
    let cancel = Cancel::default();
    let first = holds.hold(&bench.mounts, &cancel).unwrap();
    assert!(holds.hold(&[], &cancel).is_ok());
    std::thread::scope(|scope| {
        let second = scope.spawn(|| holds.hold(&bench.mounts, &cancel).is_ok());
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(!second.is_finished());
        drop(first);
        assert!(second.join().unwrap());
    });
    let _held = holds.hold(&bench.mounts, &cancel).unwrap();
    cancel.cancel();
    assert!(holds.hold(&bench.mounts, &cancel).is_err());
}
