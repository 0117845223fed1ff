//! Which isolation a RUN gets here, and why not a stronger one.

use std::path::PathBuf;

use serde::Serialize;

use super::Facts;
use super::machine::{self, Machine};
use crate::sandbox::{Entered, Unable};

/// The isolations, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An overlay in namespaces.
    Namespaces,
    /// A directory in a chroot, with a broker.
    Chroot,
    /// `/` of kiln's own image.
    Inplace,
    /// No RUN.
    None,
}

impl Kind {
    /// As `--isolation` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::Chroot => "chroot",
            Self::Inplace => "inplace",
            Self::None => "none",
        }
    }
}

/// The users that a RUN can have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ids {
    /// Why root is the only one, if so; ends a sentence.
    pub only_root: Option<String>,
}

/// Which isolations the machine allows.
#[derive(Debug, Clone)]
pub struct Possible {
    /// Whether kiln, which is not root, has made itself root in a user namespace; what is said of the
    /// others holds in there.
    pub root_by_namespace: bool,
    /// Commands in namespaces.
    pub namespaces: Result<Ids, Unable>,
    /// Commands in a chroot.
    pub chroot: Result<Ids, Unable>,
    /// Commands in `/`.
    pub inplace: Result<(), Unable>,
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IsolationRow {
    /// Which.
    pub kind: Kind,
    /// Whether the machine allows it.
    pub possible: bool,
    /// Whether `auto` takes it here.
    pub chosen: bool,
    /// Why it is not possible, or what to know of it.
    pub note: Option<String>,
    /// What would make it possible.
    pub advice: Option<String>,
}

/// What `auto` takes here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Chosen {
    /// The isolation.
    pub kind: Kind,
    /// The directory that the work directory is made in, if there is one that can be used.
    pub work_dir: Option<PathBuf>,
    /// A sentence.
    pub why: String,
    /// Why namespaces are not taken though they are possible: no directory holds an overlay.
    pub overlay_problem: Option<String>,
}

/// What to do for a stronger isolation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The isolation.
    pub kind: Kind,
    /// What to grant or set.
    pub advice: String,
}

impl Possible {
    /// What entering has found.
    pub(super) fn of(entered: &Entered, before: &Machine) -> Self {
        let ids = |reason: Option<&str>| Ids { only_root: reason.map(str::to_owned) };
        let namespaces = entered.namespaces.as_ref();
        let chroot = entered.chroot.as_ref();
        Self {
            root_by_namespace: before.uid != 0
                && machine::user_namespace() != before.user_namespace,
            namespaces: namespaces.map(|n| ids(n.single_id_reason())).map_err(Clone::clone),
            chroot: chroot.map(|c| ids(c.single_id_reason())).map_err(Clone::clone),
            inplace: entered.inplace.as_ref().map(drop).map_err(Clone::clone),
        }
    }

    fn unable(&self, kind: Kind) -> Option<&Unable> {
        match kind {
            Kind::Namespaces => self.namespaces.as_ref().err(),
            Kind::Chroot => self.chroot.as_ref().err(),
            Kind::Inplace => self.inplace.as_ref().err(),
            Kind::None => None,
        }
    }

    /// The strongest that is possible without an overlay.
    fn without_overlay(&self) -> Kind {
        match (&self.chroot, &self.inplace) {
            (Ok(_), _) => Kind::Chroot,
            (Err(_), Ok(())) => Kind::Inplace,
            (Err(_), Err(_)) => Kind::None,
        }
    }

    /// Why root is the only user in a RUN with this isolation.
    pub(super) fn only_root(&self, kind: Kind) -> Option<&str> {
        let ids = match kind {
            Kind::Namespaces => self.namespaces.as_ref().ok(),
            Kind::Chroot => self.chroot.as_ref().ok(),
            Kind::Inplace | Kind::None => None,
        };
        ids?.only_root.as_deref()
    }

    /// The table.
    pub(super) fn rows(&self, chosen: &Chosen) -> Vec<IsolationRow> {
        let kinds = [Kind::Namespaces, Kind::Chroot, Kind::Inplace, Kind::None];
        kinds.into_iter().map(|kind| self.row(kind, chosen)).collect()
    }

    fn row(&self, kind: Kind, chosen: &Chosen) -> IsolationRow {
        let unable = self.unable(kind);
        let note = match kind {
            Kind::None => Some("builds without RUN".to_owned()),
            Kind::Namespaces if unable.is_none() => chosen.overlay_problem.clone(),
            // kiln started with `--isolation chroot` makes no user namespace, and is not root.
            Kind::Chroot if unable.is_none() && self.root_by_namespace => Some(
                "where no work directory holds an overlay; named by --isolation, it takes root"
                    .to_owned(),
            ),
            _ => unable.map(|unable| unable.reason.clone()),
        };
        IsolationRow {
            kind,
            possible: unable.is_none(),
            chosen: kind == chosen.kind,
            note,
            advice: unable.map(|unable| unable.advice.clone()),
        }
    }
}

impl Facts {
    /// What a build with `--isolation auto` takes, as the pipeline decides it.
    pub fn choose(&self) -> Chosen {
        let first = |overlay: bool| {
            let can = self.work.iter().filter(|place| !place.only_inplace);
            can.into_iter().find(|place| place.can_be_used(overlay))
        };
        let mut overlay_problem = None;
        if self.possible.namespaces.is_ok() {
            if let Some(place) = first(true) {
                return self.chosen(Kind::Namespaces, Some(&place.directory.path), None);
            }
            let problems = self.work.iter().filter_map(|place| place.overlay_problem.clone());
            overlay_problem = problems.into_iter().next();
            // No place for any work directory: another isolation would not help.
            if overlay_problem.is_none() {
                return self.chosen(Kind::Namespaces, None, None);
            }
        }
        let kind = self.possible.without_overlay();
        let place = match kind {
            Kind::Inplace => self.work.iter().find(|place| place.can_be_used(false)),
            _ => first(false),
        };
        self.chosen(kind, place.map(|place| &place.directory.path), overlay_problem)
    }

    fn chosen(
        &self,
        kind: Kind,
        work_dir: Option<&PathBuf>,
        overlay_problem: Option<String>,
    ) -> Chosen {
        let why = match (kind, &overlay_problem) {
            (Kind::Namespaces, _) => "the strongest",
            (Kind::Chroot | Kind::Inplace, Some(_)) => {
                "the strongest that needs no work directory that holds an overlay"
            }
            (Kind::Chroot | Kind::Inplace, None) => "the strongest that is possible here",
            (Kind::None, Some(_)) => {
                "namespaces are possible, but no work directory holds an overlay"
            }
            (Kind::None, None) => "nothing else is possible here",
        };
        Chosen { kind, work_dir: work_dir.cloned(), why: why.to_owned(), overlay_problem }
    }

    /// What to do for a stronger one: for the next, and where there is none at all, for each.
    pub(super) fn steps(&self, chosen: &Chosen) -> Vec<Step> {
        let step = |kind: Kind| {
            let advice = match self.possible.unable(kind) {
                Some(unable) => unable.advice.clone(),
                None if kind == Kind::Namespaces => chosen.overlay_problem.as_ref().map(|_| {
                    "name a volume or a tmpfs with --work-dir (or TMPDIR): a container's own root is \
                     an overlay, which cannot hold another one"
                        .to_owned()
                })?,
                None => return None,
            };
            Some(Step { kind, advice })
        };
        let stronger: &[Kind] = match chosen.kind {
            Kind::Namespaces => &[],
            Kind::Chroot => &[Kind::Namespaces],
            Kind::Inplace => &[Kind::Chroot],
            // The one for kiln's own image comes last: anywhere else it is not to be had.
            Kind::None => &[Kind::Chroot, Kind::Namespaces, Kind::Inplace],
        };
        stronger.iter().filter_map(|kind| step(*kind)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::made_up::{self, unable};
    use super::*;

    #[test]
    fn auto_takes_the_strongest() {
        let facts = made_up::root_of_a_machine();
        let chosen = facts.choose();
        assert_eq!((chosen.kind, facts.steps(&chosen)), (Kind::Namespaces, vec![]));
        assert_eq!(chosen.work_dir.as_deref(), Some("/var/tmp".as_ref()));

        let facts = made_up::ordinary_container();
        let chosen = facts.choose();
        assert_eq!(chosen.kind, Kind::Chroot);
        let steps = facts.steps(&chosen);
        assert_eq!((steps.len(), steps[0].kind), (1, Kind::Namespaces));
    }

    #[test]
    fn without_a_directory_for_an_overlay_there_are_no_namespaces() {
        let mut facts = made_up::root_of_a_machine();
        facts.work[0].overlay_problem = Some("`/var/tmp` (overlay) cannot".to_owned());
        let chosen = facts.choose();
        assert_eq!(chosen.kind, Kind::Chroot);
        let rows = facts.possible.rows(&chosen);
        assert!(rows[0].possible && !rows[0].chosen && rows[1].chosen, "{rows:?}");
        assert!(rows[0].note.as_ref().is_some_and(|note| note.contains("(overlay)")));
        assert!(facts.steps(&chosen)[0].advice.contains("--work-dir"));

        // The second place can.
        facts.work.push(made_up::work_place("/tmp"));
        let chosen = facts.choose();
        assert_eq!(chosen.kind, Kind::Namespaces);
        assert_eq!(chosen.work_dir.as_deref(), Some("/tmp".as_ref()));
    }

    #[test]
    fn only_a_build_in_place_works_in_kilns_own_directory() {
        let mut facts = made_up::ordinary_container();
        let mut own = made_up::work_place("/kaniko");
        own.only_inplace = true;
        facts.work.insert(0, own);
        assert_eq!(facts.choose().work_dir.as_deref(), Some("/var/tmp".as_ref()));
        facts.possible.chroot = Err(unable("kiln does not have CAP_SYS_CHROOT"));
        facts.possible.inplace = Ok(());
        let chosen = facts.choose();
        assert_eq!((chosen.kind, facts.steps(&chosen)[0].kind), (Kind::Inplace, Kind::Chroot));
        assert_eq!(chosen.work_dir.as_deref(), Some("/kaniko".as_ref()));
    }

    #[test]
    fn where_nothing_is_possible_every_way_out_is_named() {
        let mut facts = made_up::ordinary_container();
        facts.possible.chroot = Err(unable("kiln does not run as root"));
        let chosen = facts.choose();
        assert_eq!(chosen.kind, Kind::None);
        assert_eq!(facts.steps(&chosen).len(), 3);
    }
}
