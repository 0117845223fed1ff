//! tmpfs, network, ulimits, and what is refused.

use super::{BOTH, CHROOT, NAMESPACES, built, fails, prints};

#[test]
fn an_empty_directory_in_memory() {
    let dockerfile = "FROM BASE/busybox\nRUN mkdir -m 751 /old && echo x > /old/x\n\
         RUN --mount=type=tmpfs,target=/old --mount=type=tmpfs,target=/new,size=1m \
             stat -c '%a %n' /old /new > /out; ls /old | wc -l >> /out; \
             df -k /new | tail -1 | awk '{print $2}' >> /out\n\
         RUN cat /old/x >> /out\n";
    let out = prints(NAMESPACES, dockerfile, |kiln| kiln);
    assert_eq!(out, "751 /old\n1777 /new\n0\n1024\nx\n");
    let out = prints(CHROOT, dockerfile, |kiln| kiln);
    assert!(out.starts_with("751 /old\n1777 /new\n0\n") && out.ends_with("\nx\n"), "{out}");
}

#[test]
fn a_network_or_none() {
    let text =
        |flag: &str| format!("FROM BASE/busybox\nRUN {flag} ls /sys/class/net | sort > /out\n");
    // Loopback is all that the machine of a test may have, so namespaces are compared by number.
    let number = |flag: &str, args: &[&str]| {
        let text = format!("FROM BASE/busybox\nRUN {flag} readlink /proc/self/ns/net > /out\n");
        prints(NAMESPACES, &text, |kiln| kiln.args(args))
    };
    let own = std::fs::read_link("/proc/self/ns/net").unwrap().display().to_string();
    assert_eq!(number("", &[]).trim(), own);
    assert_eq!(number("--network=host", &[]).trim(), own);
    assert_eq!(number("--network=host", &["--network", "none"]).trim(), own);
    assert_ne!(number("--network=none", &[]).trim(), own);
    assert_ne!(number("", &["--network", "none"]).trim(), own);
    assert_ne!(
        number("--network=default", &["--network=none", "--allow=network.host"]).trim(),
        own
    );
    assert_eq!(prints(NAMESPACES, &text("--network=none"), |kiln| kiln), "lo\n");
    let outcome = fails(CHROOT, &text("--network=none"), |kiln| kiln);
    assert!(outcome.stderr.contains("--network=none"), "{outcome}");
}

#[test]
fn limits_of_resources() {
    let text = "FROM BASE/busybox\nRUN { ulimit -Sn; ulimit -Hn; ulimit -c; } > /out\n";
    for isolation in BOTH {
        let out = prints(isolation, text, |kiln| {
            kiln.args(["--ulimit", "nofile=99:100", "--ulimit", "core=7", "--ulimit", "core=0"])
        });
        assert_eq!(out, "99\n100\n0\n", "{isolation}");
    }
}

#[test]
fn what_no_command_gets_is_refused_with_what_to_do() {
    for (flag, expected) in [
        ("--security=insecure", "security.insecure"),
        ("--device=vendor.com/gpu=all", "gives a command no device"),
    ] {
        let text = format!("FROM BASE/busybox\nRUN {flag} true\n");
        let outcome = fails(NAMESPACES, &text, |kiln| kiln);
        assert!(outcome.stderr.contains(expected), "{outcome}");
        assert!(outcome.stderr.contains("help: leave it out"), "{outcome}");
    }
    built(NAMESPACES, "FROM BASE/busybox\nRUN --security=sandbox true\n", |kiln| kiln);
}
