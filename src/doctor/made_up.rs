//! Facts that tests make up: two machines in good health.

use rustix::thread::CapabilitySet;

use super::{
    Capabilities, Directory, Facts, Ids, Machine, Possible, Probe, Purpose, Seccomp, Space,
    WorkPlace,
};
use crate::sandbox::Unable;

pub(super) fn unable(reason: &str) -> Unable {
    Unable { reason: reason.to_owned(), advice: format!("what helps against: {reason}") }
}

pub(super) fn directory(path: &str, purpose: Purpose) -> Directory {
    Directory {
        path: path.into(),
        purpose,
        exists: true,
        file_system: Some("ext4".to_owned()),
        options: Vec::new(),
        space: Some(Space { free_bytes: 50_000_000_000, free_inodes: Some(3_000_000) }),
        problem: None,
    }
}

pub(super) fn work_place(path: &str) -> WorkPlace {
    let directory = directory(path, Purpose::Work);
    WorkPlace { directory, only_inplace: false, overlay_problem: None }
}

pub(super) fn root_of_a_machine() -> Facts {
    let all = Capabilities(CapabilitySet::all());
    Facts {
        machine: Machine {
            kernel: "6.1.0".to_owned(),
            processor: "x86_64".to_owned(),
            uid: 0,
            gid: 0,
            user: Some("root".to_owned()),
            container: None,
            capabilities: all,
            seccomp: Seccomp::Off,
            no_new_privs: false,
            uid_map: vec![[0, 0, u32::MAX]],
            lsm: None,
            openat2: Probe::Works,
            notification: Probe::Works,
            user_namespace: 1,
        },
        inside: all,
        possible: Possible {
            root_by_namespace: false,
            namespaces: Ok(Ids::default()),
            chroot: Ok(Ids::default()),
            inplace: Err(unable("this is not kiln's own image")),
        },
        work: vec![work_place("/var/tmp")],
        context: directory("/src", Purpose::Context),
        root: directory("/", Purpose::Root),
        registries: Vec::new(),
    }
}

/// `docker run` with no flag.
pub(super) fn ordinary_container() -> Facts {
    let mut facts = root_of_a_machine();
    // Docker's default set.
    let set = Capabilities(CapabilitySet::from_bits_retain(0xa804_25fb));
    facts.machine.container = Some("Docker: /.dockerenv is there".to_owned());
    facts.machine.capabilities = set;
    facts.machine.seccomp = Seccomp::Filters(Some(1));
    facts.machine.lsm = Some("docker-default (enforce)".to_owned());
    facts.inside = set;
    facts.possible.namespaces = Err(unable("kiln does not have CAP_SYS_ADMIN"));
    for directory in [&mut facts.work[0].directory, &mut facts.root] {
        directory.file_system = Some("overlay".to_owned());
    }
    facts
}
