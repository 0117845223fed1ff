//! Who runs a RUN: ids, groups, HOME, PATH, and programs without a shell.

use serde_json::json;
use testkit::base::busybox;
use testkit::tar::TarBytes;

use crate::common::built::{Bench, PATH, need_root};

/// A base with users of its own, none of which this machine has to know.
fn with_users() -> Bench {
    let bench = Bench::new();
    let passwd = "root:x:0:0:root:/root:/bin/sh\n\
                  app:x:1234:2345:App:/home/app:/bin/sh\n\
                  rootless:x:4000000:4000000::/:/bin/sh\n";
    let group = "root:x:0:\napp:x:2345:\nwheel:x:77:root,app\nmedia:x:88:app\nothers:x:99:\n";
    let users = TarBytes::new()
        .dir("etc")
        .file("etc/passwd", passwd)
        .file("etc/group", group)
        .dir("home/app")
        .owner(1234, 2345)
        .dir("open")
        .mode(0o1777);
    bench.base("users", vec![busybox().unwrap(), users], json!({}));
    bench
}

#[test]
fn ids_and_groups_come_from_the_images_own_files() {
    need_root();
    let bench = with_users();
    let rows = [
        ("app", "1234 2345 2345,77,88", "/home/app"),
        ("1234", "1234 2345 2345,77,88", "/home/app"),
        ("app:others", "1234 99 99", "/home/app"),
        ("app:88", "1234 88 88", "/home/app"),
        ("555", "555 0 0", "/"),
        ("555:666", "555 666 666", "/"),
        ("root", "0 0 0,77", "/root"),
        ("4000000:4000001", "4000000 4000001 4000001", "/"),
    ];
    let mut dockerfile = "FROM BASE/users\n".to_owned();
    for (number, (user, ..)) in rows.iter().enumerate() {
        dockerfile += &format!(
            "USER {user}\n\
             RUN echo $(id -u) $(id -g) $(id -G | tr ' ' ,) $HOME > /open/{number}\n"
        );
    }
    let image = bench.build(&dockerfile);
    let tree = image.tree().unwrap();
    for (number, (user, ids, home)) in rows.iter().enumerate() {
        let path = format!("open/{number}");
        assert_eq!(image.text(&path).unwrap(), format!("{ids} {home}\n"), "USER {user}");
        let owner = format!("{} {}", tree[&path].uid, tree[&path].gid);
        assert!(ids.starts_with(&owner), "USER {user}: {owner}");
    }
}

#[test]
fn home_is_the_users_unless_the_image_sets_it_and_path_is_the_images() {
    need_root();
    let bench = with_users();
    let image = bench.build(
        "FROM BASE/users\n\
         RUN echo $HOME $PATH > /open/root\n\
         USER app\n\
         RUN echo $HOME > /open/app\n\
         ENV HOME=/elsewhere PATH=/opt/bin:$PATH\n\
         RUN echo $HOME $PATH > /open/set\n",
    );
    let text = |name: &str| image.text(&format!("open/{name}")).unwrap();
    assert_eq!(text("root"), format!("/root {PATH}\n"));
    assert_eq!(text("app"), "/home/app\n");
    assert_eq!(text("set"), format!("/elsewhere /opt/bin:{PATH}\n"));
}

#[test]
fn an_image_without_path_gets_the_usual_one() {
    need_root();
    let bench = Bench::new();
    bench.base("bare", vec![busybox().unwrap()], json!({ "Env": [] }));
    let image = bench.build("FROM BASE/bare\nRUN echo $PATH > /out\n");
    assert_eq!(image.text("out").unwrap(), format!("{PATH}\n"));
}

#[test]
fn a_user_whom_the_image_does_not_know_is_an_error_at_the_line() {
    need_root();
    let bench = Bench::new();
    let outcome = bench.kiln("FROM BASE/busybox\nUSER nobodyknows\nRUN true\n").run();
    outcome.fails(1, "nobodyknows");
}

#[test]
fn the_exec_form_needs_no_shell() {
    need_root();
    let bench = Bench::new();
    let program = std::fs::read("/bin/busybox").expect("/bin/busybox (package busybox-static)");
    let kiln = bench.kiln(
        "FROM scratch\n\
         COPY --chmod=755 busybox /bin/cp\n\
         COPY Dockerfile /in\n\
         RUN [\"cp\", \"/in\", \"/a $HOME *\"]\n",
    );
    kiln.file("busybox", program).run().ok();
    let image = bench.image();
    assert_eq!(image.paths(2).unwrap(), ["a $HOME *"]);
}

#[test]
fn a_shell_form_without_a_shell_says_what_to_do() {
    need_root();
    let bench = Bench::new();
    bench.kiln("FROM scratch\nCOPY Dockerfile /\nRUN true\n").run().fails(1, "exec form");
}

#[test]
fn the_umask_is_022() {
    need_root();
    assert_eq!(
        Bench::new().prints("umask; mkdir /d; touch /f; stat -c %a /d /f"),
        "0022\n755\n644\n"
    );
}
