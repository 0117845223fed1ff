//! What this machine allows a build to do, and what to change: `kiln doctor`.
//!
//! In two halves. What is read and tried here ([`Machine::read`], [`look_around`]) gives [`Facts`];
//! what follows from them ([`Facts::choose`], [`Facts::findings`]) is pure, so that every well-known
//! failure has a test that makes it up.
//!
//! | file | job |
//! |---|---|
//! | `machine` | kernel, user, capabilities, filters: before anything is entered |
//! | `status` | /proc/self/status |
//! | `capabilities` | what fails without each capability |
//! | `directories` | file systems: type, space, mount options; where a work directory can be |
//! | `isolation` | what is possible, what `auto` chooses and why |
//! | `findings` | facts → sentences with something to do |
//! | `credentials` | which credentials apply to which registry |

mod capabilities;
mod credentials;
mod directories;
mod findings;
mod isolation;
mod machine;
mod status;

#[cfg(test)]
mod made_up;

use serde::Serialize;

use crate::cancel::Cancel;
use crate::request::DoctorRequest;
use crate::sandbox::Entered;

pub use self::capabilities::Capabilities;
pub use self::credentials::{RegistryLogin, SourceLine, SourceStanding};
pub use self::directories::{Directory, Purpose, Space, WorkPlace};
pub use self::findings::{Finding, Weight};
pub use self::isolation::{Chosen, Ids, IsolationRow, Kind, Possible, Step};
pub use self::machine::{Machine, Probe};
pub use self::status::Seccomp;

/// All that was read and tried.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The process as it was started.
    pub machine: Machine,
    /// The capabilities after it got as far as it could: those that a RUN's root can be given.
    pub inside: Capabilities,
    /// Which isolations are possible.
    pub possible: Possible,
    /// Where a work directory may be, in the order in which a build tries them.
    pub work: Vec<WorkPlace>,
    /// What COPY reads.
    pub context: Directory,
    /// `/`.
    pub root: Directory,
    /// Which credentials apply.
    pub registries: Vec<RegistryLogin>,
}

/// The whole answer.
#[derive(Debug, Clone, Serialize)]
pub struct Diagnosis {
    /// Whether a RUN is possible.
    pub run_possible: bool,
    /// Where kiln runs.
    pub machine: Machine,
    /// All isolations, the strongest first.
    pub isolations: Vec<IsolationRow>,
    /// What `auto` chooses here.
    pub chosen: Chosen,
    /// What to do for a stronger one, the next one first.
    pub steps: Vec<Step>,
    /// The directories that matter.
    pub directories: Vec<Directory>,
    /// What goes wrong or can, the worst first.
    pub findings: Vec<Finding>,
    /// Which credentials apply to which registry.
    pub registries: Vec<RegistryLogin>,
}

/// Reads and tries what is left after [`Machine::read`] and [`crate::sandbox::enter`]. Files that are
/// made on the way are removed again; programs that keep credentials may be run.
pub fn look_around(
    request: &DoctorRequest,
    machine: Machine,
    entered: &Entered,
    cancel: &Cancel,
) -> Facts {
    let possible = Possible::of(entered, &machine);
    Facts {
        inside: Capabilities::now(),
        work: directories::work_places(request, entered),
        context: Directory::look_at(&request.context, Purpose::Context),
        root: Directory::look_at("/".as_ref(), Purpose::Root),
        registries: credentials::look_up(request, cancel),
        possible,
        machine,
    }
}

impl Diagnosis {
    /// What follows from the facts.
    pub fn of(facts: Facts) -> Self {
        let chosen = facts.choose();
        let findings = facts.findings(&chosen);
        let blocked = findings.iter().any(|finding| finding.weight == Weight::Blocks);
        let isolations = facts.possible.rows(&chosen);
        let steps = facts.steps(&chosen);
        let Facts { machine, work, context, root, registries, .. } = facts;
        let mut directories: Vec<_> = work.into_iter().map(|place| place.directory).collect();
        directories.extend([context, root]);
        Self {
            run_possible: chosen.kind != Kind::None && !blocked,
            machine,
            isolations,
            chosen,
            steps,
            directories,
            findings,
            registries,
        }
    }
}
