use rustix::thread::CapabilitySet;

use super::super::made_up::{ordinary_container, root_of_a_machine, unable};
use super::super::{Capabilities, Diagnosis, Ids, RegistryLogin, SourceLine};
use super::*;

/// What is found, and whether a RUN is possible.
fn examine(facts: &Facts) -> (Vec<Finding>, bool) {
    let diagnosis = Diagnosis::of(facts.clone());
    (diagnosis.findings, diagnosis.run_possible)
}

/// The one finding that a change of a machine in good health leads to.
#[track_caller]
fn one(facts: Facts, weight: Weight, words: &[&str]) {
    let (mut found, possible) = examine(&facts);
    // What every chroot has.
    found.retain(|finding| !finding.what.starts_with("in isolation `chroot` set-user-ID"));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].weight, weight, "{found:#?}");
    assert_eq!(possible, weight != Weight::Blocks);
    let text = format!("{} {}", found[0].what, found[0].fix.as_deref().unwrap_or_default());
    for word in words {
        assert!(text.contains(word), "`{word}` is not in: {text}");
    }
}

fn without(mut facts: Facts, missing: CapabilitySet) -> Facts {
    let less = Capabilities(facts.inside.0 - missing);
    (facts.machine.capabilities, facts.inside) = (less, less);
    facts
}

fn mounted(mut facts: Facts, option: &str) -> Facts {
    facts.work[0].directory.options.push(option.to_owned());
    facts
}

fn inplace() -> Facts {
    let mut facts = ordinary_container();
    facts.possible.chroot = Err(unable("kiln does not have CAP_SYS_CHROOT"));
    facts.possible.inplace = Ok(());
    facts
}

#[test]
fn a_machine_in_good_health_has_nothing() {
    assert_eq!(examine(&root_of_a_machine()), (vec![], true));
    assert_eq!(examine(&inplace()), (vec![], true));
}

#[test]
fn sudo_cannot_work_in_a_chroot_nor_under_no_new_privs() {
    let (found, possible) = examine(&ordinary_container());
    assert!(possible);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].weight, Weight::Note);
    assert!(found[0].what.contains("sudo") && found[0].what.contains("no_new_privs"));

    for mut facts in [ordinary_container(), root_of_a_machine(), inplace()] {
        facts.machine.no_new_privs = true;
        one(facts, Weight::Limits, &["sudo", "no-new-privileges", "allowPrivilegeEscalation"]);
    }
}

#[test]
fn no_new_privs_takes_newuidmap_from_other_users() {
    let mut facts = root_of_a_machine();
    facts.machine.uid = 1000;
    facts.machine.no_new_privs = true;
    one(facts, Weight::Limits, &["newuidmap"]);
}

#[test]
fn each_missing_capability_says_what_fails() {
    use CapabilitySet as C;
    let rows = [
        (C::CHOWN, Weight::Limits, &["without CHOWN, chown", "--cap-add CHOWN"][..]),
        (C::DAC_OVERRIDE, Weight::Limits, &["without DAC_OVERRIDE", "other users"]),
        (C::FOWNER, Weight::Limits, &["without FOWNER", "mode"]),
        (C::FSETID, Weight::Note, &["without FSETID", "set-group-ID"]),
        (C::SETUID | C::SETGID, Weight::Limits, &["SETGID and SETUID", "apt-get", "USER"]),
        (C::SETFCAP, Weight::Limits, &["without SETFCAP", "setcap"]),
        (C::KILL, Weight::Limits, &["without KILL", "stop processes"]),
        (C::MKNOD, Weight::Note, &["without MKNOD", "mknod"]),
        (C::SYS_CHROOT, Weight::Limits, &["without SYS_CHROOT", "`chroot`"]),
        (C::SETPCAP, Weight::Limits, &["without SETPCAP", "`chroot`"]),
    ];
    for (missing, weight, words) in rows {
        one(without(inplace(), missing), weight, words);
    }
}

#[test]
fn a_user_without_any_isolation_hears_of_that_alone() {
    let mut facts = ordinary_container();
    facts.machine.uid = 1000;
    facts.possible.chroot = Err(unable("kiln does not run as root"));
    let facts = without(facts, CapabilitySet::all());
    assert_eq!(examine(&facts), (vec![], false));
}

#[test]
fn noexec_blocks_where_files_are_used_in_place() {
    let words = ["/var/tmp", "noexec", "permission denied", "--work-dir"];
    one(mounted(ordinary_container(), "noexec"), Weight::Blocks, &words);
    one(mounted(root_of_a_machine(), "noexec"), Weight::Note, &["does not matter"]);
    let mut facts = inplace();
    facts.root.options.push("noexec".to_owned());
    one(facts, Weight::Blocks, &["`/` is mounted noexec"]);
}

#[test]
fn nosuid_takes_the_effect_of_set_user_id_programs() {
    one(mounted(ordinary_container(), "nosuid"), Weight::Note, &["nosuid", "anyway"]);
    assert_eq!(examine(&mounted(root_of_a_machine(), "nosuid")), (vec![], true));
    let mut facts = inplace();
    facts.root.options.push("nosuid".to_owned());
    one(facts, Weight::Limits, &["sudo", "file capabilities"]);
}

#[test]
fn a_read_only_root_needs_a_volume() {
    let mut facts = root_of_a_machine();
    facts.root.options.push("ro".to_owned());
    one(facts.clone(), Weight::Note, &["read-only", "inplace"]);
    facts.work[0].directory.problem = Some("cannot make a work directory in /var/tmp".to_owned());
    let (found, possible) = examine(&facts);
    assert!(!possible);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].what.contains("cannot make a work directory in /var/tmp"));
    assert!(found[1].fix.as_ref().is_some_and(|fix| fix.contains("emptyDir")));
}

#[test]
fn a_full_disk_and_one_without_inodes() {
    let with = |free_bytes, free_inodes| {
        let mut facts = root_of_a_machine();
        facts.work[0].directory.space = Some(super::super::Space { free_bytes, free_inodes });
        facts
    };
    one(with(0, Some(9)), Weight::Blocks, &["full", "--work-dir"]);
    one(with(1 << 40, Some(0)), Weight::Blocks, &["no free inodes", "df -i"]);
    one(with(500_000_000, None), Weight::Limits, &["little free space (500 MB)"]);
    one(with(1 << 40, Some(900)), Weight::Limits, &["few free inodes (900)"]);
    // btrfs and others do not count inodes.
    assert_eq!(examine(&with(1 << 40, None)), (vec![], true));
}

#[test]
fn a_tmpfs_is_memory() {
    let mut facts = root_of_a_machine();
    facts.work[0].directory.file_system = Some("tmpfs".to_owned());
    one(facts, Weight::Note, &["memory"]);
}

#[test]
fn a_user_namespace_without_ranges_has_root_alone() {
    let mut facts = root_of_a_machine();
    facts.machine.uid = 1000;
    let only_root = Some("newuidmap is not installed".to_owned());
    facts.possible.namespaces = Ok(Ids { only_root });
    one(facts, Weight::Limits, &["newuidmap is not installed", "/etc/subuid", "uidmap", "apt-get"]);
}

#[test]
fn filters_that_cannot_notify_are_why_there_is_no_chroot() {
    let with = |probe| {
        let mut facts = inplace();
        facts.machine.notification = probe;
        facts
    };
    one(with(Probe::Unknown), Weight::Limits, &["Linux 5.9", "gVisor"]);
    let refused = Probe::Refused("Operation not permitted".to_owned());
    one(with(refused), Weight::Limits, &["seccomp(2)", "default profile"]);
}

#[test]
fn openat2_is_needed_for_everything() {
    let with = |probe| {
        let mut facts = root_of_a_machine();
        facts.machine.openat2 = probe;
        facts
    };
    one(with(Probe::Unknown), Weight::Blocks, &["openat2", "Linux 5.6"]);
    let refused = Probe::Refused("Operation not permitted".to_owned());
    one(with(refused), Weight::Blocks, &["libseccomp", "Operation not permitted"]);
}

#[test]
fn a_context_that_cannot_be_read() {
    let mut facts = root_of_a_machine();
    facts.context.problem = Some("No such file or directory (os error 2)".to_owned());
    one(facts, Weight::Limits, &["/src", "--context"]);
}

#[test]
fn a_broken_source_of_credentials_is_told_once() {
    let with = |stops_builds| {
        let mut facts = root_of_a_machine();
        let why = "line 1, column 2: expected a key".to_owned();
        let line = SourceLine {
            name: "/root/.docker/config.json".to_owned(),
            standing: SourceStanding::Broken { why, stops_builds },
        };
        for name in ["docker.io", "r.example"] {
            let sources = vec![line.clone()];
            facts.registries.push(RegistryLogin { name: name.to_owned(), sources });
        }
        facts
    };
    one(
        with(true),
        Weight::Limits,
        &["/root/.docker/config.json", "line 1, column 2", "every build"],
    );
    one(with(false), Weight::Note, &["goes on without"]);
}

#[test]
fn the_worst_comes_first() {
    let mut facts = mounted(ordinary_container(), "noexec");
    facts.machine.no_new_privs = true;
    facts.work[0].directory.file_system = Some("tmpfs".to_owned());
    let weights: Vec<_> = examine(&facts).0.iter().map(|finding| finding.weight).collect();
    assert_eq!(weights, [Weight::Blocks, Weight::Limits, Weight::Note]);
}
