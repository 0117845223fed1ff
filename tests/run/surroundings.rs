//! What a RUN finds around it: /proc, /dev, /sys, the files in /etc, the root itself.

use std::fs;
use std::os::unix::process::CommandExt as _;

use testkit::base::busybox;
use testkit::tar::TarBytes;

use crate::common::Outcome;
use crate::common::built::{Bench, need_root};

/// Prints the number of each check that fails.
fn checks(lines: &str) -> String {
    let check = |(number, line): (usize, &str)| format!("({}) || echo line {number}", line.trim());
    lines.lines().enumerate().map(check).collect::<Vec<_>>().join("\n")
}

#[test]
fn proc_dev_and_sys_are_as_programs_expect() {
    need_root();
    let failed = checks(
        "ps | grep -q ps
         [ -e /proc/self/exe ] && [ -r /proc/meminfo ] && [ -r /proc/cpuinfo ]
         echo x > /dev/null
         [ $(head -c 4 /dev/zero | wc -c) = 4 ]
         [ $(head -c 4 /dev/urandom | wc -c) = 4 ]
         [ $(head -c 4 /dev/random | wc -c) = 4 ]
         ! echo x 2> /dev/null > /dev/full
         echo a > /dev/shm/a && [ $(cat /dev/shm/a) = a ]
         [ $(stat -c %a /dev/shm) = 1777 ]
         [ \"$(echo in | cat /dev/fd/0)\" = in ]
         [ \"$(echo in | cat /dev/stdin)\" = in ]
         [ -c /dev/ptmx ] && [ -c /dev/tty ] && [ -d /dev/pts ]
         exec 3<>/dev/ptmx && [ -c /dev/pts/0 ]
         [ -d /sys/kernel ] && [ -d /sys/class/net ]
         [ -d /dev/mqueue ]
         [ ! -e /dev/vda ] && [ ! -e /dev/sda ] && [ ! -e /dev/kmsg ] && [ ! -e /dev/mem ]
         [ $(stat -c %a /dev) = 755 ]
         [ $(cat /proc/sys/kernel/ostype) = Linux ]
         grep -q ' /proc ' /proc/mounts && grep -q ' / ' /proc/mounts",
    );
    assert_eq!(Bench::new().prints(&failed), "");
}

#[test]
fn the_size_of_dev_shm_is_as_asked_for() {
    need_root();
    let bench = Bench::new();
    let text = "FROM BASE/busybox\nRUN df -k /dev/shm | tail -1 | awk '{print $2}' > /size\n";
    bench.kiln(text).run().ok();
    assert_eq!(bench.image().text("size").unwrap(), "65536\n");
    bench.kiln(text).args(["--shm-size", "128m"]).run().ok();
    assert_eq!(bench.image().text("size").unwrap(), "131072\n");
}

#[test]
fn names_of_hosts_and_resolvers() {
    need_root();
    let bench = Bench::new();
    let text = "FROM BASE/busybox\n\
         RUN mkdir /out && cp /etc/hosts /etc/hostname /etc/resolv.conf /out && hostname > /out/name\n";
    let hosts = ["--add-host", "db.test:10.9.8.7", "--add-host", "six.test:fd00::1"];
    bench.kiln(text).args(hosts).run().ok();
    let image = bench.image();
    let hosts = image.text("out/hosts").unwrap();
    let address = |name: &str| {
        let line = hosts.lines().find(|line| line.split_whitespace().skip(1).any(|w| w == name));
        line.and_then(|line| line.split_whitespace().next()).map(str::to_owned)
    };
    assert_eq!(address("db.test").as_deref(), Some("10.9.8.7"), "{hosts}");
    assert_eq!(address("six.test").as_deref(), Some("fd00::1"), "{hosts}");
    assert_eq!(address("localhost").as_deref(), Some("127.0.0.1"), "{hosts}");
    let name = image.text("out/name").unwrap();
    assert_eq!(image.text("out/hostname").unwrap(), name);
    assert_eq!(address(name.trim()).as_deref(), Some("127.0.0.1"), "{hosts}");
    let resolv = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    assert_eq!(image.text("out/resolv.conf").unwrap(), resolv);
    let tree = image.tree().unwrap();
    assert!(!tree.contains_key("etc/hosts") && !tree.contains_key("etc/resolv.conf"));
}

#[test]
fn the_root_directory_is_the_images() {
    need_root();
    let bench = Bench::new();
    let busybox = busybox().unwrap();
    let strict = TarBytes::new().dir("./").mode(0o750).owner(0, 12);
    let silent = TarBytes::new().file("more", "");
    bench.base("strict", vec![strict, busybox, silent], serde_json::json!({}));
    let image = bench.build(
        "FROM BASE/strict\n\
         RUN stat -c '%a %u:%g' / > /first\n\
         RUN stat -c '%a %u:%g' / > /second\n\
         COPY Dockerfile /\n\
         RUN stat -c '%a %u:%g' / > /third\n",
    );
    for name in ["first", "second", "third"] {
        assert_eq!(image.text(name).unwrap(), "750 0:12\n", "{name}");
    }
}

#[test]
fn the_callers_umask_does_not_matter() {
    need_root();
    let bench = Bench::new();
    let text = "FROM BASE/busybox\n\
         RUN stat -c %a / > /first && mkdir -m 777 /open && mkdir /dir\n\
         USER nobody\n\
         RUN stat -c %a / > /open/second && umask > /open/umask && cat /etc/passwd > /open/copy\n\
         WORKDIR /made/by/workdir\n\
         COPY Dockerfile /made/by/copy/\n\
         RUN stat -c %a . ../copy > /open/dirs\n";
    let (mut command, _dir) = bench.kiln(text).into_command();
    let restrict = || {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
        Ok(())
    };
    // SAFETY: umask(2) neither allocates nor locks.
    unsafe { command.pre_exec(restrict) };
    Outcome::from(command.output().unwrap()).ok();
    let image = bench.image();
    let text = |path: &str| image.text(path).unwrap();
    assert_eq!((text("first"), text("open/second")), ("755\n".into(), "755\n".into()));
    assert_eq!((text("open/umask"), text("open/dirs")), ("0022\n".into(), "755\n755\n".into()));
    let tree = image.tree().unwrap();
    assert_eq!((tree["dir"].mode, tree["first"].mode), (0o755, 0o644));
}

#[test]
fn an_image_without_a_word_on_its_root_has_an_ordinary_one() {
    need_root();
    assert_eq!(Bench::new().prints("stat -c '%a %u:%g' /"), "755 0:0\n");
}
