//! The well-known failures: facts → what goes wrong and what to do. Pure.

use serde::Serialize;

use super::Facts;
use super::credentials::{SourceLine, SourceStanding};
use super::directories::{Directory, WorkPlace};
use super::isolation::{Chosen, Kind};
use super::machine::Probe;

/// How bad it is; the worst comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// No RUN can succeed.
    Blocks,
    /// Some builds fail.
    Limits,
    /// Good to know.
    Note,
}

/// Something that goes wrong, or can.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub weight: Weight,
    /// What fails and why: sentences.
    pub what: String,
    /// What to do, if there is something.
    pub fix: Option<String>,
}

/// Less than this is too little for most images.
const LITTLE_SPACE: u64 = 1_000_000_000;
/// An image of a distribution with a language runtime has some tens of thousands of files.
const FEW_INODES: u64 = 20_000;

impl Finding {
    fn new(weight: Weight, what: impl Into<String>, fix: Option<&str>) -> Self {
        Self { weight, what: what.into(), fix: fix.map(str::to_owned) }
    }
}

impl Facts {
    /// All that applies with the chosen isolation, the worst first.
    pub fn findings(&self, chosen: &Chosen) -> Vec<Finding> {
        let mut found = Vec::new();
        found.extend(self.openat2());
        found.extend(self.no_work_dir(chosen));
        found.extend(self.notification(chosen));
        found.extend(self.set_user_id(chosen));
        found.extend(self.missing_capabilities(chosen));
        found.extend(self.only_root(chosen));
        let place = self.work.iter().find(|p| Some(&p.directory.path) == chosen.work_dir.as_ref());
        if let Some(place) = place {
            found.extend(self.mount_options(chosen, &place.directory));
            found.extend(space(&place.directory));
            found.extend(in_memory(&place.directory));
        }
        found.extend(self.read_only_root(chosen));
        found.extend(self.context());
        found.extend(self.broken_credentials());
        // Stable: of one weight they stay in this order.
        found.sort_by_key(|finding| finding.weight);
        found
    }

    fn openat2(&self) -> Option<Finding> {
        let (what, fix) = match &self.machine.openat2 {
            Probe::Works => return None,
            Probe::Unknown => (
                "the system call openat2 is not known here, so that no image can be unpacked"
                    .into(),
                "kiln needs Linux 5.6; in a container, an engine whose seccomp profile knows \
                 openat2 (Docker 20.10 and libseccomp 2.5, or later)",
            ),
            Probe::Refused(error) => (
                format!(
                    "the system call openat2 is refused ({error}), so that no image can be \
                         unpacked: the container's seccomp profile is older than the kernel"
                ),
                "update the container engine and its libseccomp (Docker 20.10 and libseccomp 2.5, or \
                 later), or start the container with --security-opt seccomp=unconfined",
            ),
        };
        Some(Finding::new(Weight::Blocks, what, Some(fix)))
    }

    fn no_work_dir(&self, chosen: &Chosen) -> Option<Finding> {
        if chosen.work_dir.is_some() {
            return None;
        }
        let problem = |place: &WorkPlace| place.directory.problem.clone();
        let problems: Vec<String> = self.work.iter().filter_map(problem).collect();
        if problems.is_empty() {
            return None;
        }
        let what = format!("there is no place for a work directory: {}", problems.join("; "));
        let fix = "name a directory that can be written to with --work-dir (or TMPDIR)";
        Some(Finding::new(Weight::Blocks, what, Some(fix)))
    }

    /// Where that is why there is no chroot; for another user it would not help.
    fn notification(&self, chosen: &Chosen) -> Option<Finding> {
        if self.machine.uid != 0 || !matches!(chosen.kind, Kind::Inplace | Kind::None) {
            return None;
        }
        let (what, fix) = match &self.machine.notification {
            Probe::Works => return None,
            Probe::Unknown => (
                "system call filters cannot notify another process here, so that isolation `chroot` \
                 is not possible".to_owned(),
                "it takes Linux 5.9; sandboxes that are a kernel of their own (gVisor) do not have it",
            ),
            Probe::Refused(error) => (
                format!("system call filters are refused ({error}), so that isolation `chroot` is \
                         not possible: the container's seccomp profile does not allow seccomp(2)"),
                "start the container with the engine's default profile, which allows it",
            ),
        };
        Some(Finding::new(Weight::Limits, what, Some(fix)))
    }

    fn set_user_id(&self, chosen: &Chosen) -> Option<Finding> {
        if self.machine.no_new_privs {
            let mut what =
                "no_new_privs is set: set-user-ID programs have no effect, so that sudo, su \
                 and ping fail in a RUN under USER"
                    .to_owned();
            if self.machine.uid != 0 {
                what += ", and newuidmap cannot map a range of ids for kiln";
            }
            let fix = "start the container without --security-opt no-new-privileges (Kubernetes: \
                       allowPrivilegeEscalation: true), or do as root what needs root, before USER";
            return Some(Finding::new(Weight::Limits, what, Some(fix)));
        }
        let what = "in isolation `chroot` set-user-ID programs have no effect (the system call filter \
                    takes no_new_privs), so that sudo and su fail in a RUN under USER";
        let fix = "do as root what needs root, before USER; or use an isolation that has none of it: \
                   `namespaces`, or `inplace` in kiln's own image";
        (chosen.kind == Kind::Chroot).then(|| Finding::new(Weight::Note, what, Some(fix)))
    }

    fn missing_capabilities(&self, chosen: &Chosen) -> Vec<Finding> {
        // Who is not root has none, and what to do about that is said of the isolations.
        if chosen.kind == Kind::None && self.machine.uid != 0 {
            return Vec::new();
        }
        let lacks = self.inside.lacks().into_iter();
        let finding = |(set, lack): (super::Capabilities, super::capabilities::Lack)| {
            let names = set.names();
            let what = format!("without {}, {}", names.join(" and "), lack.effect);
            let flags: Vec<_> = names.iter().map(|name| format!("--cap-add {name}")).collect();
            let fix = format!(
                "start the container with {} (Kubernetes: securityContext.capabilities.add)",
                flags.join(" ")
            );
            Finding::new(lack.weight, what, Some(&fix))
        };
        lacks.map(finding).collect()
    }

    fn only_root(&self, chosen: &Chosen) -> Option<Finding> {
        let reason = self.possible.only_root(chosen.kind)?;
        let what = format!(
            "in a RUN root is the only user ({reason}): chown to others fails, and so do USER and \
             programs that change their user, such as apt-get"
        );
        let fix = "install newuidmap and newgidmap (package uidmap or shadow-utils) and give this \
                   user a range of ids in /etc/subuid and /etc/subgid; for apt-get alone, \
                   `-o APT::Sandbox::User=root` does";
        Some(Finding::new(Weight::Limits, what, Some(fix)))
    }

    /// An overlay is a mount of its own, which has none of these options; elsewhere a RUN's files are
    /// used where they are.
    fn mount_options(&self, chosen: &Chosen, work: &Directory) -> Vec<Finding> {
        let (files, fix) = match chosen.kind {
            Kind::Namespaces if work.has("noexec") => {
                let what = format!(
                    "`{}` is mounted noexec: that does not matter in isolation `namespaces`, but in \
                     `chroot` no program could be executed there",
                    work.path.display()
                );
                return vec![Finding::new(Weight::Note, what, None)];
            }
            Kind::Namespaces | Kind::None => return Vec::new(),
            Kind::Chroot => (work, "name another directory with --work-dir (or TMPDIR)"),
            Kind::Inplace => (&self.root, "start the container without this option"),
        };
        let path = files.path.display();
        let mut found = Vec::new();
        if files.has("noexec") {
            let what = format!(
                "`{path}` is mounted noexec, and a RUN's files are there: no program can be executed, \
                 and every RUN fails with \"permission denied\""
            );
            found.push(Finding::new(Weight::Blocks, what, Some(fix)));
        }
        if files.has("nosuid") && chosen.kind == Kind::Inplace {
            let what = format!(
                "`{path}` is mounted nosuid, and a RUN's files are there: set-user-ID programs (sudo, \
                 su) and file capabilities have no effect"
            );
            found.push(Finding::new(Weight::Limits, what, Some(fix)));
        } else if files.has("nosuid") {
            let what = format!(
                "`{path}` is mounted nosuid: set-user-ID programs and file capabilities have no effect \
                 in a RUN, which in isolation `chroot` they would not have anyway"
            );
            found.push(Finding::new(Weight::Note, what, None));
        }
        found
    }

    fn read_only_root(&self, chosen: &Chosen) -> Option<Finding> {
        if !self.root.has("ro") {
            return None;
        }
        let (weight, fix) = match chosen.work_dir {
            None => (
                Weight::Blocks,
                "mount a volume (Kubernetes: an emptyDir) and name it with --work-dir (or TMPDIR)",
            ),
            Some(_) => (
                Weight::Note,
                "leave out --read-only (Kubernetes: readOnlyRootFilesystem) to have it",
            ),
        };
        let what = "the root file system is read-only: nothing can be written but on volumes, and \
                    isolation `inplace` is not possible";
        Some(Finding::new(weight, what, Some(fix)))
    }

    fn context(&self) -> Option<Finding> {
        let problem = self.context.problem.as_ref()?;
        let what =
            format!("the context `{}` cannot be read: {problem}", self.context.path.display());
        Some(Finding::new(Weight::Limits, what, Some("name the right directory with --context")))
    }

    /// Each once: they are the same for every registry.
    fn broken_credentials(&self) -> Vec<Finding> {
        let lines = self.registries.first().into_iter().flat_map(|login| &login.sources);
        let finding = |line: &SourceLine| {
            let SourceStanding::Broken { why, stops_builds } = &line.standing else { return None };
            let (weight, effect) = if *stops_builds {
                (Weight::Limits, "every build that asks a registry ends with this error")
            } else {
                (Weight::Note, "a build goes on without them")
            };
            let what = format!("the credentials in {} cannot be used: {why}; {effect}", line.name);
            Some(Finding::new(weight, what, Some("correct it, or remove it")))
        };
        lines.filter_map(finding).collect()
    }
}

fn space(work: &Directory) -> Option<Finding> {
    let space = work.space?;
    let path = work.path.display();
    let fix = "remove what is not needed there, or name a larger file system with --work-dir (or \
               TMPDIR)";
    let (weight, what) = if space.free_bytes == 0 {
        (Weight::Blocks, format!("`{path}` is on a file system that is full"))
    } else if space.free_inodes == Some(0) {
        (
            Weight::Blocks,
            format!(
                "`{path}` is on a file system with no free inodes: no file can be made, though there is \
             space (df -i)"
            ),
        )
    } else if space.free_bytes < LITTLE_SPACE {
        (
            Weight::Limits,
            format!(
                "`{path}` has little free space ({} MB): the base image is unpacked there, and new layers \
             are kept there",
                space.free_bytes / 1_000_000
            ),
        )
    } else {
        let inodes = space.free_inodes.filter(|free| *free < FEW_INODES)?;
        (
            Weight::Limits,
            format!(
                "`{path}` has few free inodes ({inodes}): the base image is unpacked there, and each of \
             its files takes one"
            ),
        )
    };
    Some(Finding::new(weight, what, Some(fix)))
}

fn in_memory(work: &Directory) -> Option<Finding> {
    let tmpfs = work.file_system.as_deref() == Some("tmpfs");
    let what = format!(
        "`{}` is a tmpfs: what a build writes there is memory, and counts against the job's limit",
        work.path.display()
    );
    tmpfs.then(|| Finding::new(Weight::Note, what, None))
}

#[cfg(test)]
mod tests;
