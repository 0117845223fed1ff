//! RUN in namespaces: as root, and as a user with many ids and with one.
//!
//! Needs root (to become those users), /bin/busybox (package busybox-static) and newuidmap (uidmap).

#![allow(clippy::unwrap_used, reason = "tests, and the program that they drive")]

#[path = "sandbox_run/driver.rs"]
mod driver;
#[path = "sandbox_run/layers.rs"]
mod layers;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use driver::{Step, World};
use layers::{Layers, PATH, exec, mark, runs, sh, start, wait_until};

/// Docker's default capabilities, as /proc/PID/status shows them.
const DOCKER_CAPABILITIES: &str = "00000000a80425fb";

macro_rules! in_every_world {
    ($($name:ident,)*) => {
        mod as_root {
            $(#[test] fn $name() { super::$name(super::World::Root) })*
        }
        mod in_a_user_namespace {
            $(#[test] fn $name() { super::$name(super::World::Ranges) })*
        }
        mod with_a_single_id {
            $(#[test] fn $name() { super::$name(super::World::Single) })*
        }
    };
}

#[path = "sandbox_run/brought.rs"]
mod brought;
#[path = "sandbox_run/mounts.rs"]
mod mounts;

in_every_world! {
    a_command_ends_with_its_code_or_signal,
    the_environment_is_what_was_given,
    the_working_directory_is_there,
    users_and_groups,
    the_names_of_hosts,
    processes_are_in_a_namespace_of_their_own,
    what_runs_in_the_background_ends_with_the_command,
    output_comes_whole_and_apart,
    orphans_are_reaped,
    a_killed_build_leaves_no_process,
    only_the_commands_changes_are_in_the_upper_directory,
    many_layers,
    programs_that_cannot_be_executed,
    a_view_is_read_only,
    links_of_a_hostile_image_lead_nowhere,
    devices,
    the_host_is_out_of_reach,
    a_chroot_in_the_sandbox_leads_nowhere,
    capabilities_are_dockers,
    signals_and_files_are_as_a_program_expects,
    without_network,
    a_cancelled_command_is_gone,
    several_at_once,
    the_work_directory_is_tried,
    nothing_stays_mounted,
}

fn a_command_ends_with_its_code_or_signal(world: World) {
    let layers = Layers::new(world);
    let log = layers.log(vec![
        Step::Run(sh("exit 3")),
        Step::Run(sh("kill -9 $$")),
        Step::Run(sh("kill -TERM $$")),
        Step::Run(exec(&["true"])),
    ]);
    let ends: Vec<_> = log.outcomes.iter().map(|outcome| (outcome.code, outcome.signal)).collect();
    assert_eq!(ends, [(Some(3), None), (None, Some(9)), (None, Some(15)), (Some(0), None)]);
    assert_eq!(log.userxattr, !matches!(world, World::Root | World::Chroot));
    assert_eq!(log.single_id, matches!(world, World::Single | World::HiddenProc), "{log:?}");
    if log.single_id {
        assert!(log.reason.as_ref().is_some_and(|r| r.contains("/etc/subuid")), "{log:?}");
    }
}

fn the_environment_is_what_was_given(world: World) {
    let layers = Layers::new(world);
    let mut run = exec(&["env"]);
    run.env.push(("A".to_owned(), "1 = \"one\"\ntwo".to_owned()));
    let outcome = layers.run(run);
    assert_eq!(outcome.out, format!("PATH={PATH}\nA=1 = \"one\"\ntwo\n"));
}

fn the_working_directory_is_there(world: World) {
    let layers = Layers::new(world);
    let mut run = exec(&["pwd"]);
    run.cwd = "/a/b".to_owned();
    let upper = run.upper.clone();
    assert_eq!(layers.run(run).out, "/a/b\n");
    assert_eq!(layers.path(&upper).join("a/b").metadata().unwrap().mode() & 0o7777, 0o755);
}

fn users_and_groups(world: World) {
    let layers = Layers::new(world);
    assert_eq!(layers.words("id -u; id -g"), ["0", "0"]);
    let mut run = sh("id -u; id -g; id -G; touch /tmp/mine; echo to-stdout > /dev/stdout");
    fs::set_permissions(layers.path("base/tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    (run.uid, run.gid, run.groups) = (1000, 1001, vec![5, 6]);
    let upper = run.upper.clone();
    let outcome = layers.run(run);
    if world == World::Single {
        let error = outcome.error.unwrap();
        assert!(error.contains("1000:1001") && error.contains("/etc/subuid"), "{error}");
        return;
    }
    let words: Vec<&str> = outcome.out.split_whitespace().collect();
    assert_eq!(words, ["1000", "1001", "1001", "5", "6", "to-stdout"], "{outcome:?}");
    let owner = layers.path(&upper).join("tmp/mine").metadata().unwrap().uid();
    assert_eq!(owner, if world == World::Root { 1000 } else { 200_999 });
}

fn the_names_of_hosts(world: World) {
    let layers = Layers::new(world);
    assert_eq!(layers.words("hostname; cat /etc/hostname"), ["buildkitsandbox"; 2]);
    let outcome = layers.run(sh("cat /etc/hosts; cat /etc/resolv.conf >&2"));
    let has = |words: [&str; 2]| {
        outcome.out.lines().any(|line| {
            let found: Vec<&str> = line.split_whitespace().collect();
            found.first() == Some(&words[0]) && found[1..].contains(&words[1])
        })
    };
    assert!(has(["127.0.0.1", "localhost"]) && has(["127.0.0.1", "buildkitsandbox"]));
    assert!(has(["10.9.8.7", "db.test"]), "{}", outcome.out);
    assert_eq!(outcome.err, fs::read_to_string("/etc/resolv.conf").unwrap_or_default());
}

fn processes_are_in_a_namespace_of_their_own(world: World) {
    let layers = Layers::new(world);
    let words = layers.words("echo $$; cd /proc; echo [0-9]*; mount | grep ' on /proc '");
    assert_eq!(words[0], "2");
    assert_eq!(words[1..4], ["1", "2", "proc"], "{words:?}");
}

fn what_runs_in_the_background_ends_with_the_command(world: World) {
    let layers = Layers::new(world);
    let mark = mark();
    let command = format!("(setsid sleep {mark} &) ; sleep {mark} & echo up");
    assert_eq!(layers.words(&command), ["up"]);
    assert!(!runs(&mark));
}

fn output_comes_whole_and_apart(world: World) {
    let layers = Layers::new(world);
    let outcome = layers.run(sh("seq 1 50000; seq 50001 100000 >&2; printf end"));
    let numbers = |from: u32, to: u32| (from..=to).map(|n| format!("{n}\n")).collect::<String>();
    assert!(outcome.out == numbers(1, 50_000) + "end");
    assert!(outcome.err == numbers(50_001, 100_000));
}

fn orphans_are_reaped(world: World) {
    let layers = Layers::new(world);
    let command = "
        for i in 1 2 3 4 5 6 7 8 9; do (sleep 0 &); done
        n=0
        while grep -q ' Z ' /proc/[0-9]*/stat 2>/dev/null; do
            n=$((n+1)); [ $n -lt 3000 ] || exit 1; sleep 0.01
        done
        while set -- /proc/[0-9]*; [ $# != 2 ]; do
            n=$((n+1)); [ $n -lt 3000 ] || exit 1; sleep 0.01
        done";
    let outcome = layers.run(sh(command));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
}

fn a_killed_build_leaves_no_process(world: World) {
    let layers = Layers::new(world);
    let mark = mark();
    let mut run = sh(&format!("(setsid sleep {mark} &) ; echo up; sleep {mark}; true"));
    run.live = true;
    let mut build = start(&layers, vec![Step::Run(run)], "up");
    assert!(runs(&mark));
    build.kill().unwrap();
    build.wait().unwrap();
    wait_until("the command of a killed build is gone", || !runs(&mark));
}

fn only_the_commands_changes_are_in_the_upper_directory(world: World) {
    let layers = Layers::new(world);
    layers.file("base/data/gone", "1");
    layers.file("base/data/kept", "2");
    layers.file("base/data/changed", "3");
    layers.file("base/old/a", "4");
    let mut run =
        sh("rm /data/gone; echo 3+ > /data/changed; rm -r /old; mkdir /old; echo x > /new; \
         echo junk >> /etc/hosts; echo junk > /dev/shm/x; mkdir -p /etc/conf.d");
    run.upper = "u".to_owned();
    let outcome = layers.run(run);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.placeholders.is_empty());
    let expected = ["data", "data/changed", "data/gone", "etc", "etc/conf.d", "new", "old"];
    assert_eq!(layers.list("u"), expected.map(str::to_owned).into());
    let whiteout = layers.path("u/data/gone").symlink_metadata().unwrap();
    assert!(whiteout.file_type().is_char_device() && whiteout.rdev() == 0);
    assert_eq!(fs::read_to_string(layers.path("u/data/changed")).unwrap(), "3+\n");

    let mut next = sh("cat /data/*; ls /old; cat /new");
    next.lowers = vec!["base".to_owned(), "u".to_owned()];
    assert_eq!(layers.run(next).out, "3+\n2x\n");
}

fn many_layers(world: World) {
    let layers = Layers::new(world);
    let mut lowers = vec!["base".to_owned()];
    for number in 0..130 {
        layers.file(&format!("{number}/n{number}"), "");
        layers.file(&format!("{number}/top"), &number.to_string());
        lowers.push(number.to_string());
    }
    let mut run = sh("ls -d /n* | wc -l; cat /top");
    run.lowers = lowers.clone();
    let view = Step::View { lowers, file: "top".to_owned() };
    let log = layers.log(vec![Step::Run(run), view]);
    assert_eq!(log.outcomes[0].out, "130\n129", "{:?}", log.outcomes[0]);
    assert_eq!(log.outcomes[1].out, "129");
}

fn programs_that_cannot_be_executed(world: World) {
    let layers = Layers::new(world);
    layers.file("base/plain", "#!/bin/sh\n");
    layers.file("base/script", "#!/no/such/interpreter\n");
    layers.file("base/bin/garbage", "garbage");
    for name in ["base/script", "base/bin/garbage"] {
        fs::set_permissions(layers.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut scratch = sh("true");
    scratch.lowers.clear();
    let mut runs = vec![Step::Run(scratch)];
    let rows = [
        ("nothing", "`nothing` is not in the image"),
        ("/plain", "permission denied"),
        ("/script", "interpreter"),
        ("garbage", "another architecture"),
    ];
    runs.extend(rows.map(|(program, _)| Step::Run(exec(&[program]))));
    let log = layers.log(runs);
    let errors: Vec<&str> =
        log.outcomes.iter().map(|outcome| outcome.error.as_deref().unwrap_or("none")).collect();
    assert!(errors[0].contains("there is no shell"), "{}", errors[0]);
    for ((program, expected), error) in rows.iter().zip(&errors[1..]) {
        assert!(error.contains(expected) && error.contains(program), "{program}: {error}");
    }
}

fn a_view_is_read_only(world: World) {
    let layers = Layers::new(world);
    layers.file("a/f", "a");
    layers.file("b/f", "b");
    let view = |lowers: &[&str]| Step::View {
        lowers: lowers.iter().map(|lower| (*lower).to_owned()).collect(),
        file: "f".to_owned(),
    };
    let log = layers.log(vec![view(&["a", "b"]), view(&["a"]), view(&[])]);
    for (outcome, expected) in log.outcomes.iter().zip(["b", "a", ""]) {
        assert_eq!(outcome.out, expected, "{outcome:?}");
        // The error of the write, and what is left after the unmount.
        assert_eq!(outcome.err, "Some(\"Read-only file system (os error 30)\") 0");
    }
}

fn links_of_a_hostile_image_lead_nowhere(world: World) {
    let layers = Layers::new(world);
    let outside = tempfile::tempdir().unwrap();
    fs::set_permissions(outside.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let victim = outside.path().join("victim");
    layers.directory("base/etc");
    layers.directory("base/elsewhere");
    symlink(format!("../../../..{}", victim.display()), layers.path("base/etc/resolv.conf"))
        .unwrap();
    symlink(outside.path().join("second"), layers.path("base/etc/hosts")).unwrap();
    symlink("/elsewhere", layers.path("base/proc")).unwrap();
    symlink("/../../../run/dev", layers.path("base/dev")).unwrap();
    let mut run = sh("cat /etc/hosts; ls /proc/self/ > /null; cat /proc/sys/kernel/hostname");
    run.upper = "u".to_owned();
    let outcome = layers.run(run);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.out.contains("db.test"), "{outcome:?}");
    assert!(outcome.out.ends_with("\nbuildkitsandbox\n"), "{outcome:?}");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    let made: Vec<&str> = outcome.placeholders.iter().map(|p| p.to_str().unwrap()).collect();
    let inside = victim.strip_prefix("/").unwrap().to_str().unwrap();
    assert!(made.contains(&inside), "{made:?}");
    let placeholders: BTreeSet<String> = made.iter().map(|path| (*path).to_owned()).collect();
    let others: Vec<String> = layers.list("u").difference(&placeholders).cloned().collect();
    // Parents of placeholders that the image has, and what the command made.
    assert!(
        others.iter().all(|path| ["null", "tmp", "elsewhere"].contains(&&**path)),
        "{others:?}"
    );
}

fn devices(world: World) {
    let layers = Layers::new(world);
    let command = "
        set -e
        echo x > /dev/null; [ -z \"$(cat /dev/null)\" ]
        for name in null zero full random urandom tty; do [ -c /dev/$name ]; done
        [ \"$(head -c 8 /dev/zero | wc -c)\" = 8 ]
        [ \"$(head -c 8 /dev/urandom | wc -c)\" = 8 ]
        if echo x > /dev/full; then exit 1; fi
        echo shared > /dev/shm/x; cat /dev/shm/x
        [ -c /dev/ptmx ]; [ -d /dev/pts ]
        echo piped | cat /dev/stdin
        echo fd3 3>&1 > /dev/fd/3
        df -k /dev/shm | tail -n 1 | awk '{print $2}'
        stat -c %a /dev/shm /dev/null /dev";
    assert_eq!(layers.words(command), ["shared", "piped", "fd3", "65536", "1777", "666", "755"]);
}

fn the_host_is_out_of_reach(world: World) {
    let layers = Layers::new(world);
    let refused = [
        "mount -t tmpfs none /tmp",
        "umount /proc",
        "cat /proc/1/environ",
        "cat /proc/1/maps",
        "ls /proc/1/root/",
        "readlink /proc/1/fd/0",
        "echo > /proc/1/exe",
        "echo x > /proc/sys/kernel/hostname",
        "echo h > /proc/sysrq-trigger",
        "touch /sys/x",
        "hostname other",
        "mkdir /sys/fs/cgroup/x",
        "kill -9 1; kill -0 1 && false",
    ];
    let steps = refused.iter().map(|command| Step::Run(sh(command))).collect();
    for (command, outcome) in refused.iter().zip(layers.log(steps).outcomes) {
        assert!(outcome.code.is_some_and(|code| code != 0), "{command}: {outcome:?}");
    }
    let empty = layers.words("cat /proc/kcore /proc/keys /proc/timer_list; ls /sys/firmware");
    assert!(empty.is_empty(), "{empty:?}");
    let mounts = layers.words("cut -d ' ' -f 5 /proc/self/mountinfo");
    let places = ["/", "/proc", "/sys", "/dev", "/etc"];
    let known = |mount: &String| places.iter().any(|place| Path::new(mount).starts_with(place));
    assert!(mounts.iter().all(known) && mounts.iter().filter(|mount| *mount == "/").count() == 1);
    let base = layers.base().to_str().unwrap();
    assert!(!mounts.iter().any(|mount| mount.contains(base)), "{mounts:?}");
}

/// The usual way out of a chroot, for who has CAP_SYS_CHROOT as root has it in a RUN.
fn a_chroot_in_the_sandbox_leads_nowhere(world: World) {
    let layers = Layers::new(world);
    fs::copy("/proc/self/exe", layers.path("base/bin/escape")).unwrap();
    layers.own(&layers.path("base/bin/escape"));
    let mut run = exec(&["escape", driver::ESCAPE]);
    run.cwd = "/tmp".to_owned();
    let outcome = layers.run(run);
    let found: BTreeSet<&str> = outcome.out.split_whitespace().collect();
    assert_eq!(found, ["bin", "dev", "etc", "proc", "sys", "tmp"].into(), "{outcome:?}");
}

fn capabilities_are_dockers(world: World) {
    let layers = Layers::new(world);
    let command = "grep -E '^(Cap|NoNewPrivs)' /proc/self/status";
    let zero = "0000000000000000";
    let all = DOCKER_CAPABILITIES;
    let status = |prm: &str, eff: &str| {
        let rows = [("Inh", zero), ("Prm", prm), ("Eff", eff), ("Bnd", all), ("Amb", zero)];
        let lines = rows.map(|(name, set)| format!("Cap{name}:\t{set}\n")).concat();
        lines + "NoNewPrivs:\t0\n"
    };
    assert_eq!(layers.run(sh(command)).out, status(all, all));
    if world != World::Single {
        let mut run = sh(command);
        (run.uid, run.gid) = (1000, 1000);
        assert_eq!(layers.run(run).out, status(zero, zero));
    }
}

fn signals_and_files_are_as_a_program_expects(world: World) {
    let layers = Layers::new(world);
    let outcome = layers.run(exec(&["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]));
    assert_eq!(outcome.out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
    let words = layers.words("ls /proc/$$/fd; readlink /proc/$$/fd/0; umask");
    assert_eq!(words, ["0", "1", "2", "/dev/null", "0022"], "{words:?}");
    let session = layers.words("awk '{print $6}' /proc/$$/stat");
    assert_eq!(session, ["2"]);
}

fn without_network(world: World) {
    let layers = Layers::new(world);
    let mut run = sh("grep -c : /proc/net/dev; ping -c 1 -W 5 127.0.0.1 > /dev/null && echo up");
    run.network = false;
    let outcome = layers.run(run);
    assert_eq!(outcome.out, "1\nup\n", "{outcome:?}");
}

fn a_cancelled_command_is_gone(world: World) {
    let layers = Layers::new(world);
    let mark = mark();
    let mut run =
        sh(&format!("trap '' TERM; (setsid sleep {mark} &) ; echo up; sleep {mark}; true"));
    run.cancel = true;
    let outcome = layers.run(run);
    assert_eq!(outcome.error.as_deref(), Some("the build was cancelled"));
    assert!(!runs(&mark));
}

fn several_at_once(world: World) {
    let layers = Layers::new(world);
    let runs = (0..8).map(|number| sh(&format!("sleep 0.1; echo {number} > /f; cat /f")));
    let log = layers.log(vec![Step::Together(runs.collect())]);
    let texts: Vec<&str> = log.outcomes.iter().map(|outcome| outcome.out.as_str()).collect();
    assert_eq!(texts, ["0\n", "1\n", "2\n", "3\n", "4\n", "5\n", "6\n", "7\n"]);
}

fn the_work_directory_is_tried(world: World) {
    let layers = Layers::new(world);
    let mut steps = vec![Step::CheckWorkDir(layers.base().to_owned())];
    if world == World::Root {
        layers.directory("other");
        steps.push(Step::Overlay(layers.path("other")));
        steps.push(Step::CheckWorkDir(layers.path("other/m")));
    }
    steps.push(Step::CheckWorkDir("/proc".into()));
    let outcomes = layers.log(steps).outcomes;
    assert_eq!(outcomes[0].error, None);
    let last = outcomes[outcomes.len() - 1].error.as_deref().unwrap();
    assert!(last.contains("`/proc` (proc)") && last.contains("--work-dir"), "{last}");
    if world == World::Root {
        let error = outcomes[2].error.as_deref().unwrap();
        assert!(error.contains("(overlay)") && error.contains("refused"), "{error}");
    }
    assert_eq!(layers.list("").iter().filter(|name| name.contains("check-")).count(), 0);
}

fn nothing_stays_mounted(world: World) {
    let layers = Layers::new(world);
    let base = layers.base().to_str().unwrap().to_owned();
    let mounted = || fs::read_to_string("/proc/self/mountinfo").unwrap().contains(&base);
    let mut run = sh("echo up; cat /proc/self/mountinfo > /dev/null; sleep 1000");
    run.live = true;
    let mut build = start(&layers, vec![Step::Run(run)], "up");
    let during = mounted();
    build.kill().unwrap();
    build.wait().unwrap();
    assert!(!during && !mounted());
}

/// Machines that are not whole.
mod restricted {
    use super::*;

    #[test]
    fn in_a_chroot() {
        a_command_ends_with_its_code_or_signal(World::Chroot);
        a_chroot_in_the_sandbox_leads_nowhere(World::Chroot);
        the_host_is_out_of_reach(World::Chroot);
        only_the_commands_changes_are_in_the_upper_directory(World::Chroot);
    }

    /// As in a container, where a new /proc is refused and the present one is bound.
    #[test]
    fn with_parts_of_proc_hidden() {
        a_command_ends_with_its_code_or_signal(World::HiddenProc);
        devices(World::HiddenProc);
        a_killed_build_leaves_no_process(World::HiddenProc);
        let layers = Layers::new(World::HiddenProc);
        let own = layers.words("read pid rest < /proc/self/stat; [ $pid = $$ ] || echo another");
        assert_eq!(own, ["another"]);
        // Its processes are seen, but not what is in them.
        let command = "for file in /proc/[0-9]*/environ; do cat $file; done 2> /dev/null";
        let seen = layers.run(sh(command)).out;
        assert!(!seen.contains("KILN_TEST_SECRET"), "{seen}");
        let mut run = exec(&["ls"]);
        run.cwd = "/proc/1/root".to_owned();
        let error = layers.run(run).error.unwrap();
        assert!(error.contains("`/proc/1/root`"), "{error}");
    }

    #[test]
    fn as_root_without_cap_sys_admin() {
        a_command_ends_with_its_code_or_signal(World::NoSysAdmin);
        let layers = Layers::new(World::NoSysAdmin);
        let mut run = sh("id -u; touch /tmp/x");
        fs::set_permissions(layers.path("base/tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        (run.uid, run.gid) = (1000, 1000);
        let upper = run.upper.clone();
        assert_eq!(layers.run(run).out, "1000\n");
        assert_eq!(layers.path(&upper).join("tmp/x").metadata().unwrap().uid(), 1000);
    }
}

/// What is particular to the process that waits outside of the user namespace.
mod waiter {
    use super::*;
    use rustix::process::{Pid, Signal, kill_process};

    #[test]
    fn it_passes_signals_on_and_ends_as_the_build_does() {
        for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 129)] {
            let layers = Layers::new(World::Single);
            let mark = mark();
            let mut run = sh(&format!("echo up; sleep {mark}; true"));
            run.live = true;
            let mut build = start(&layers, vec![Step::Run(run)], "up");
            let pid = Pid::from_raw(i32::try_from(build.id()).unwrap()).unwrap();
            kill_process(pid, signal).unwrap();
            assert_eq!(build.wait().unwrap().code(), Some(code));
            wait_until("the command is gone", || !runs(&mark));
        }
    }
}
