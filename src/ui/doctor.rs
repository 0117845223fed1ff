//! The doctor's answer, for people and for programs.

use super::clean;
use super::format;
use super::task::push_line;
use crate::doctor::{
    Diagnosis, Directory, Finding, IsolationRow, Machine, Probe, Purpose, RegistryLogin, Seccomp,
    SourceLine, SourceStanding, Weight,
};

/// Columns of the texts that stand at the left.
const LEFT: usize = 15;

/// As people read it.
pub fn text(diagnosis: &Diagnosis) -> String {
    let mut page = Page::default();
    machine(&mut page, &diagnosis.machine);
    isolation(&mut page, diagnosis);
    page.heading("Directories");
    diagnosis.directories.iter().for_each(|one| directory(&mut page, one));
    page.heading("What to know");
    diagnosis.findings.iter().for_each(|one| finding(&mut page, one));
    if diagnosis.findings.is_empty() {
        page.line("  nothing: no known failure applies");
    }
    page.heading("Credentials");
    diagnosis.registries.iter().for_each(|one| login(&mut page, one));
    page.line("");
    page.line(&conclusion(diagnosis));
    page.0
}

/// As programs read it: one JSON object.
pub fn json(diagnosis: &Diagnosis) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(diagnosis)? + "\n")
}

#[derive(Default)]
struct Page(String);

impl Page {
    /// Names and messages come from files and from the system: nothing of them acts on a terminal.
    fn line(&mut self, text: &str) {
        push_line(&mut self.0, &clean::line(text));
    }

    fn heading(&mut self, text: &str) {
        if !self.0.is_empty() {
            self.line("");
        }
        self.line(text);
    }

    fn pair(&mut self, left: &str, right: &str) {
        self.line(&format!("  {left:LEFT$} {right}"));
    }
}

fn machine(page: &mut Page, machine: &Machine) {
    page.heading("Machine");
    let user = machine.user.as_deref().unwrap_or("a user without a name");
    let container = match &machine.container {
        Some(mark) => format!("in a container ({mark})"),
        None => "not in a container, as far as can be seen".to_owned(),
    };
    let Machine { kernel, processor, uid, gid, .. } = machine;
    page.line(&format!("  Linux {kernel} on {processor}, {container}"));
    page.pair("user", &format!("{user} (uid {uid}, gid {gid}), {}", ids(machine)));
    page.pair("capabilities", &capabilities(machine));
    let filters = match machine.seccomp {
        Seccomp::Off => "no filter".to_owned(),
        Seccomp::Strict => "strict mode".to_owned(),
        Seccomp::Filters(Some(1)) => "1 filter".to_owned(),
        Seccomp::Filters(Some(count)) => format!("{count} filters"),
        Seccomp::Filters(None) => "filters".to_owned(),
    };
    let set = if machine.no_new_privs { "set" } else { "not set" };
    let probe = |name: &str, probe: &Probe| match probe {
        Probe::Works => String::new(),
        Probe::Unknown => format!("; {name} not known"),
        Probe::Refused(error) => format!("; {name} refused ({error})"),
    };
    let probes =
        probe("user notification", &machine.notification) + &probe("openat2", &machine.openat2);
    page.pair("seccomp", &format!("{filters}; no_new_privs is {set}{probes}"));
    page.pair("profile", machine.lsm.as_deref().unwrap_or("none of AppArmor or SELinux"));
}

fn ids(machine: &Machine) -> String {
    if machine.has_all_ids() {
        return "with all ids of the machine".to_owned();
    }
    let range = |[inside, outside, count]: &[u32; 3]| match count {
        1 => format!("{inside} is {outside}"),
        _ => format!("{inside}-{} are {outside}-{}", inside + (count - 1), outside + (count - 1)),
    };
    let ranges: Vec<String> = machine.uid_map.iter().map(range).collect();
    format!("in a user namespace where {}", ranges.join(", "))
}

fn capabilities(machine: &Machine) -> String {
    let (own, missing) = (machine.capabilities.names(), machine.capabilities.missing());
    let others = machine.capabilities.others();
    let own = match (own.len(), others.len()) {
        (0, _) => return "none".to_owned(),
        (_, 0) => "all".to_owned(),
        (some, few) if few < some => format!("all but {}", others.join(" ")),
        _ => own.join(" "),
    };
    if missing.is_empty() { own } else { format!("{own}; missing: {}", missing.join(" ")) }
}

fn isolation(page: &mut Page, diagnosis: &Diagnosis) {
    page.heading("Isolation of a RUN (`*`: what --isolation auto takes here)");
    diagnosis.isolations.iter().for_each(|one| row(page, one, &diagnosis.chosen.why));
    for step in &diagnosis.steps {
        let which = if diagnosis.steps.len() == 1 { "the next better one, " } else { "" };
        page.line(&format!("  for {which}{}: {}", step.kind.name(), step.advice));
    }
}

fn row(page: &mut Page, row: &IsolationRow, why: &str) {
    let mark = if row.chosen { "*" } else { " " };
    let possible = if row.possible { "yes" } else { "no" };
    let note = row.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
    let chosen = if row.chosen { format!(" ({why})") } else { String::new() };
    page.line(&format!("{mark} {:LEFT$} {possible}{note}{chosen}", row.kind.name()));
}

fn directory(page: &mut Page, directory: &Directory) {
    let mut facts = vec![directory.file_system.as_deref().unwrap_or("unknown").to_owned()];
    if let Some(space) = directory.space {
        facts.push(format!("{} free", format::size(space.free_bytes)));
        facts.extend(space.free_inodes.map(|free| format!("{free} inodes free")));
    }
    facts.extend(directory.options.iter().cloned());
    if !directory.exists {
        let will_be = directory.purpose == Purpose::Work && directory.problem.is_none();
        facts.push(if will_be { "will be made" } else { "is not there" }.to_owned());
    }
    facts.extend(directory.problem.clone());
    let purpose = match directory.purpose {
        Purpose::Work => "work",
        Purpose::Context => "context",
        Purpose::Root => "root",
    };
    page.pair(purpose, &format!("{}: {}", directory.path.display(), facts.join(", ")));
}

fn finding(page: &mut Page, finding: &Finding) {
    let weight = match finding.weight {
        Weight::Blocks => "error",
        Weight::Limits => "warning",
        Weight::Note => "note",
    };
    page.line(&format!("  {weight}: {}", finding.what));
    if let Some(fix) = &finding.fix {
        page.line(&format!("    help: {fix}"));
    }
}

fn login(page: &mut Page, login: &RegistryLogin) {
    let used = match login.used() {
        Some(SourceLine { name, standing: SourceStanding::Used { user, key } }) => {
            let whose = user.as_ref().map_or("a token".to_owned(), |user| format!("user `{user}`"));
            format!("{whose}, from {name} (`{key}`)")
        }
        _ => match login.asked() {
            Some((name, how)) => format!("{name} {how}"),
            None => "none: it is asked without".to_owned(),
        },
    };
    page.line(&format!("  {}: {used}", login.name));
    let mut missing = Vec::new();
    for SourceLine { name, standing } in &login.sources {
        match standing {
            SourceStanding::Used { .. } => {}
            SourceStanding::Asked { how } if login.used().is_some() => {
                page.line(&format!("    {name} {how}, did the above not come first"));
            }
            SourceStanding::Asked { .. } => {}
            SourceStanding::Later { user, key } => {
                let user = user.as_deref().unwrap_or("a token");
                page.line(&format!("    {name}: `{key}`, {user}: not used, the above comes first"));
            }
            SourceStanding::NoEntry { why } => page.line(&format!("    {name}: {why}")),
            SourceStanding::Broken { why, .. } => {
                page.line(&format!("    {name}: cannot be used: {why}"));
            }
            SourceStanding::Missing => missing.push(name.as_str()),
        }
    }
    if !missing.is_empty() {
        page.line(&format!("    not there: {}", missing.join(", ")));
    }
}

fn conclusion(diagnosis: &Diagnosis) -> String {
    let name = diagnosis.chosen.kind.name();
    if diagnosis.run_possible {
        format!("A RUN is possible here, with isolation `{name}`.")
    } else {
        "A RUN is not possible here; builds without RUN may be.".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{Chosen, Kind, Space, Step};

    fn diagnosis() -> Diagnosis {
        let mut machine = Machine::read();
        machine.kernel = "6.1.0".to_owned();
        machine.processor = "x86_64".to_owned();
        (machine.uid, machine.gid, machine.user) = (1000, 100, None);
        machine.container = Some("Docker: /.dockerenv is there".to_owned());
        machine.capabilities = crate::doctor::Capabilities(rustix::thread::CapabilitySet::KILL);
        machine.seccomp = Seccomp::Filters(Some(2));
        machine.no_new_privs = true;
        machine.uid_map = vec![[0, 1000, 1], [1, 100_000, 65536]];
        machine.lsm = Some("docker-default (enforce)".to_owned());
        machine.openat2 = Probe::Works;
        machine.notification = Probe::Refused("no".to_owned());
        let row = |kind, possible, note: &str| IsolationRow {
            kind,
            possible,
            chosen: kind == Kind::Chroot,
            note: (!note.is_empty()).then(|| note.to_owned()),
            advice: None,
        };
        let standing = |user: Option<&str>| SourceStanding::Used {
            user: user.map(str::to_owned),
            key: "r.example".to_owned(),
        };
        let line = |name: &str, standing| SourceLine { name: name.to_owned(), standing };
        Diagnosis {
            run_possible: true,
            machine,
            isolations: vec![
                row(Kind::Namespaces, false, "kiln does not have CAP_SYS_ADMIN"),
                row(Kind::Chroot, true, ""),
            ],
            chosen: Chosen {
                kind: Kind::Chroot,
                work_dir: Some("/var/tmp".into()),
                why: "the strongest that is possible here".to_owned(),
                overlay_problem: None,
            },
            steps: vec![Step { kind: Kind::Namespaces, advice: "grant it".to_owned() }],
            directories: vec![Directory {
                path: "/var/\x1b[2Jtmp".into(),
                purpose: Purpose::Work,
                exists: false,
                file_system: Some("overlay".to_owned()),
                options: vec!["nosuid".to_owned()],
                space: Some(Space { free_bytes: 5_000_000, free_inodes: Some(7) }),
                problem: None,
            }],
            findings: vec![Finding {
                weight: Weight::Limits,
                what: "something fails".to_owned(),
                fix: Some("do that".to_owned()),
            }],
            registries: vec![
                RegistryLogin {
                    name: "r.example/app".to_owned(),
                    sources: vec![
                        line("A", SourceStanding::Missing),
                        line("B", standing(Some("me"))),
                        line("C", SourceStanding::NoEntry { why: "it has nothing".to_owned() }),
                        line(
                            "D",
                            SourceStanding::Broken { why: "line 1".to_owned(), stops_builds: true },
                        ),
                    ],
                },
                RegistryLogin {
                    name: "1.dkr.ecr.x.amazonaws.com".to_owned(),
                    sources: vec![
                        line("A", SourceStanding::Missing),
                        line("Cloud", SourceStanding::Asked { how: "would use its keys".into() }),
                    ],
                },
                RegistryLogin {
                    name: "docker.io".to_owned(),
                    sources: vec![line("A", SourceStanding::Missing)],
                },
            ],
        }
    }

    #[test]
    fn all_that_is_known_stands_on_one_page() {
        insta::assert_snapshot!(text(&diagnosis()));
    }

    #[test]
    fn programs_read_the_same() {
        let json: serde_json::Value =
            serde_json::from_str(&json(&diagnosis()).expect("JSON")).expect("JSON");
        assert_eq!(json["run_possible"], true);
        assert_eq!(json["chosen"]["kind"], "chroot");
        assert_eq!(json["machine"]["capabilities"][0], "KILL");
        assert_eq!(json["machine"]["seccomp"]["filters"], 2);
        assert_eq!(json["findings"][0]["weight"], "limits");
        assert_eq!(json["registries"][0]["sources"][1]["state"], "used");
        assert_eq!(json["registries"][0]["sources"][1]["user"], "me");
    }

    #[test]
    fn a_machine_that_can_run_nothing_says_so_last() {
        let diagnosis = Diagnosis { run_possible: false, findings: vec![], ..diagnosis() };
        let text = text(&diagnosis);
        assert!(text.contains("no known failure applies"), "{text}");
        assert!(
            text.ends_with("A RUN is not possible here; builds without RUN may be.\n"),
            "{text}"
        );
    }
}
