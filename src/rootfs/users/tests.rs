use super::*;
use crate::rootfs::Index;
use crate::rootfs::testing::Layer;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
    daemon:x:1:1::/:/sbin/nologin\n\
    # a comment\n\
    app:x:1000:1001:App:/home/app:/bin/sh\n\
    app:x:1:1:second of its name:/:\n\
    nohome:x:7:7\n\
    badid:x:many:7::/:\n\
    toor:x:4294967295:0::/:\n\
    :x:8:8::/:\n\
    short:x\n\
    2000:x:2001:2002::/numeric:\n";
const GROUP: &str = "root:x:0:root\n\
    app:x:1001:\n\
    wheel:x:10:root,app\n\
    again:x:10:app\n\
    docker:x:999:other,app\n\
    broken\n\
    worse:x:y:app\n";

fn users() -> Users {
    Users::parse(PASSWD, GROUP)
}

#[test]
fn user_of_a_command() {
    type Row = (&'static str, u32, u32, &'static [u32], &'static str, Option<&'static str>);
    let rows: [Row; 13] = [
        ("", 0, 0, &[0, 10], "/root", Some("root")),
        ("root", 0, 0, &[0, 10], "/root", Some("root")),
        ("0", 0, 0, &[0, 10], "/root", Some("root")),
        ("0:0", 0, 0, &[], "/root", Some("root")),
        ("app", 1000, 1001, &[10, 999], "/home/app", Some("app")),
        ("1000", 1000, 1001, &[10, 999], "/home/app", Some("app")),
        ("1000:5", 1000, 5, &[], "/home/app", Some("app")),
        ("app:docker", 1000, 999, &[], "/home/app", Some("app")),
        ("app:12", 1000, 12, &[], "/home/app", Some("app")),
        ("5000", 5000, 0, &[], "/", None),
        ("5000:wheel", 5000, 10, &[], "/", None),
        (":wheel", 0, 10, &[], "/root", Some("root")),
        ("nohome", 7, 7, &[], "/", Some("nohome")),
    ];
    for (spec, uid, gid, groups, home, name) in rows {
        let expected = Process {
            uid,
            gid,
            groups: groups.to_vec(),
            home: home.into(),
            name: name.map(str::to_owned),
        };
        assert_eq!(users().process(spec), Ok(expected), "{spec:?}");
    }
    // A number is an id even if somebody has it for a name.
    assert_eq!(users().process("2000").map(|process| process.uid), Ok(2000));
}

#[test]
fn unknown_users_of_a_command() {
    let user = |name: &str| UserError::UnknownUser(name.into());
    let group = |name: &str| UserError::UnknownGroup(name.into());
    let range = |name: &str| UserError::OutOfRange(name.into());
    for (spec, expected) in [
        ("nobody", user("nobody")),
        ("badid", user("badid")),
        ("toor", user("toor")),
        ("short", user("short")),
        ("-1", user("-1")),
        ("+1", user("+1")),
        ("app:nogroup", group("nogroup")),
        ("0:worse", group("worse")),
        ("1:2:3", group("2:3")),
        ("4294967295:0", range("4294967295")),
        ("0:4294967295", range("4294967295")),
        ("99999999999999999999", range("99999999999999999999")),
    ] {
        assert_eq!(users().process(spec), Err(expected), "{spec:?}");
    }
    assert_eq!(user("x").to_string(), "the image has no user `x` in /etc/passwd");
}

#[test]
fn an_image_without_users_has_root() {
    let nobody = Users::default();
    let root = Process { uid: 0, gid: 0, groups: vec![], home: "/".into(), name: None };
    assert_eq!(nobody.process(""), Ok(root.clone()));
    assert_eq!(nobody.process("0:0"), Ok(root));
    assert_eq!(nobody.process("root"), Err(UserError::UnknownUser("root".into())));
}

#[test]
fn owner_of_copied_files() {
    for (spec, expected) in [
        ("app", Ok((1000, 1001))),
        ("app:wheel", Ok((1000, 10))),
        ("app:5", Ok((1000, 5))),
        ("1000", Ok((1000, 1000))),
        ("55:66", Ok((55, 66))),
        ("55:wheel", Ok((55, 10))),
        (":wheel", Ok((0, 10))),
        ("app:", Ok((1000, 1001))),
        ("", Ok((0, 0))),
        ("nobody", Err(UserError::UnknownUser("nobody".into()))),
        ("app:nogroup", Err(UserError::UnknownGroup("nogroup".into()))),
        ("4294967295", Err(UserError::OutOfRange("4294967295".into()))),
    ] {
        assert_eq!(users().chown(spec), expected, "{spec:?}");
    }
}

#[test]
fn files_are_found_through_links_inside_the_image() {
    let layer = Layer::default()
        .file("usr/etc/passwd", "me:x:5:6::/me:\n")
        .symlink("etc", "/../usr/etc")
        .file("usr/etc/group", "us:x:6:\n");
    let mut index = Index::default();
    index.apply(&mut layer.entries()).expect("applies");
    let users = Users::load(&index).expect("readable");
    assert_eq!(users.chown("me:us"), Ok((5, 6)));
}

#[test]
fn images_with_odd_files_have_no_users() {
    for layer in [
        Layer::default(),
        Layer::default().file("etc", ""),
        Layer::default().dir("etc/passwd"),
        Layer::default().symlink("etc/passwd", "passwd"),
        Layer::default().symlink("etc/passwd", "gone"),
    ] {
        let mut index = Index::default();
        index.apply(&mut layer.entries()).expect("applies");
        assert_eq!(Users::load(&index).expect("no error"), Users::default(), "{layer:?}");
    }
}

#[test]
fn a_line_that_was_cut_off_is_no_entry() {
    let mut content = "a:x:1:1::/:\n".to_owned();
    content.push_str(&"#".repeat(MAX_FILE as usize - content.len() - 9));
    content.push_str("\nroot2:x:0:0::/:\n");
    struct Cut(String);
    impl View for Cut {
        fn lstat(&self, path: &Path) -> Result<Option<crate::layer::Entry>, ViewError> {
            let kind = match path.to_str() {
                Some("etc/passwd") => crate::layer::Kind::File { size: self.0.len() as u64 },
                Some("" | "etc") => crate::layer::Kind::Dir,
                _ => return Ok(None),
            };
            let meta = crate::layer::Metadata::default();
            Ok(Some(crate::layer::Entry { path: path.into(), meta, kind }))
        }
        fn list(&self, _: &Path) -> Result<Vec<std::ffi::OsString>, ViewError> {
            Ok(vec![])
        }
        fn read(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, ViewError> {
            let content = &self.0.as_bytes()[..self.0.len().min(limit as usize)];
            Ok(path.ends_with("passwd").then(|| content.to_vec()))
        }
    }
    let users = Users::load(&Cut(content)).expect("readable");
    assert_eq!(users.chown("a"), Ok((1, 1)));
    assert_eq!(users.users.len(), 1);
}
