//! Commands that give something else each time: whatever is made of one's result has to be made of the
//! same one, everywhere in an image.

use std::collections::BTreeMap;
use std::thread;

use fastrand::Rng;
use testkit::image::{Image, Kind};

use super::lab::{Built, Lab, lose};
use super::project::{From, Node, Project, Stage};
use super::seeds;
use super::words::{digit, once_in};

/// A command that leaves a line with a name and something that nobody has seen before.
fn generate(project: &mut Project) -> String {
    let id = project.next();
    format!("RUN echo \"id{id} $(cat /proc/sys/kernel/random/uuid)\" > /g{id}")
}

/// A step that is made of what others have left.
fn derive(rng: &mut Rng, project: &mut Project, at: usize) -> String {
    let number = project.next();
    let stage = (at > 0).then(|| project.stages[rng.usize(..at)].name.clone());
    match (rng.u8(..9), stage) {
        (0..=2, Some(stage)) => {
            let link = if once_in(rng, 3) { "--link " } else { "" };
            let (what, to) = if once_in(rng, 2) { ("/g*", "/") } else { ("/d*", "/e/") };
            format!("COPY {link}--from={stage} {what} {to}")
        }
        (3..=4, Some(stage)) => {
            format!(
                "RUN --mount=type=bind,from={stage},target=/m cat /m/g* /m/d* > /d{number} || true"
            )
        }
        (5..=6, _) => format!("RUN cat /g* /e/* > /d{number} || true"),
        (7, _) => format!("RUN rm -f /g{} || true", number / 2),
        _ => format!("COPY a /a{number}"),
    }
}

fn stage(rng: &mut Rng, project: &mut Project) -> Stage {
    let at = project.stages.len();
    let from = match rng.u8(..4) {
        0..=1 if at > 0 => From::Stage(project.stages[rng.usize(..at)].name.clone()),
        _ => From::Moving,
    };
    let mut steps = Vec::new();
    for _ in 0..rng.usize(1..5) {
        steps.push(if once_in(rng, 3) { generate(project) } else { derive(rng, project, at) });
    }
    Stage { name: format!("s{}", project.next()), from, steps }
}

fn edit(rng: &mut Rng, project: &mut Project) {
    let at = rng.usize(..project.stages.len());
    let new = if once_in(rng, 4) { generate(project) } else { derive(rng, project, at) };
    let steps = &mut project.stages[at].steps;
    let place = rng.usize(..=steps.len());
    match rng.u8(..8) {
        0 if place < steps.len() => drop(steps.remove(place)),
        1..=3 => steps.insert(place, new),
        4 if project.stages.len() < 5 => {
            let new = stage(rng, project);
            project.stages.push(new);
        }
        5 => {
            let some = rng.usize(..project.stages.len());
            project.target = (!once_in(rng, 2)).then(|| project.stages[some].name.clone());
        }
        _ => drop(project.files.insert("a".into(), Node::File(digit(rng), 0o644))),
    }
}

/// Flags of one build.
fn flags(rng: &mut Rng, lab: &Lab, project: &Project) -> Vec<String> {
    let local = |name: &str| format!("type=local,{name}={},tag=kiln", lab.path("c").display());
    let mut flags: Vec<String> = match once_in(rng, 3) {
        true => vec!["--cache-from".into(), local("src"), "--cache-to".into(), local("dest")],
        false => vec!["--cache-repo".into(), lab.cache("c")],
    };
    match rng.u8(..12) {
        0 => flags.push("--no-cache".into()),
        1 => {
            let some = rng.usize(..project.stages.len());
            flags.extend(["--no-cache-filter".into(), project.stages[some].name.clone()]);
        }
        2 => flags.push("--cache-copy-layers=false".into()),
        3 => flags.push("--cache-run-layers=false".into()),
        _ => {}
    }
    flags.push("--explain".into());
    flags
}

/// Lines that have one name and are not the same.
fn contradictions(image: &Image) -> Vec<String> {
    let mut known: BTreeMap<String, (String, String)> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (path, object) in image.tree().unwrap() {
        let is_ours = ["g", "d", "e/"].iter().any(|start| path.starts_with(start));
        if object.kind != Kind::File || !is_ours {
            continue;
        }
        for line in image.text(&path).unwrap().lines() {
            let Some((id, value)) = line.split_once(' ') else { continue };
            let new = (value.to_owned(), path.clone());
            let (first, at) = known.entry(id.to_owned()).or_insert(new);
            if first != value {
                wrong.push(format!("{id} is {first} in {at}, and {value} in {path}"));
            }
        }
    }
    wrong
}

#[test]
fn what_is_of_one_command_is_of_one_time() {
    let (seeds, rounds) = seeds(0..4, 10);
    let lab = Lab::new();
    let (mut builds, mut hits) = (0, 0);
    for seed in seeds {
        let mut rng = Rng::with_seed(seed);
        _ = std::fs::remove_dir_all(lab.path("c"));
        let mut project = first(&mut rng);
        let mut history = Vec::new();
        for round in 0..rounds {
            let mut edited = project.clone();
            edit(&mut rng, &mut edited);
            if !edited.is_sound() {
                continue;
            }
            project = edited;
            let lost = once_in(&mut rng, 3);
            if lost {
                lose(&mut rng, &lab.path("c"), "kiln");
            }
            let mut now = project.clone();
            let fails = once_in(&mut rng, 6);
            if fails {
                let at = rng.usize(..now.stages.len());
                now.stages[at].steps.push("RUN exit 3".into());
            }
            lab.write(&now);
            let flags = flags(&mut rng, &lab, &now);
            history.push(format!("round {round}: lost {lost}, {flags:?}\n{}", now.dockerfile()));
            for built in several(&mut rng, &lab, &now, &flags) {
                builds += 1;
                hits += built.hits();
                let told = || {
                    let history = history.join("\n");
                    format!("seed {seed}, round {round}\n{history}\n{now}\n{}", built.outcome)
                };
                assert!(fails || built.image.is_some(), "{}", told());
                let Some(image) = &built.image else { continue };
                let wrong = contradictions(image);
                assert!(wrong.is_empty(), "{}\n{}", told(), wrong.join("\n"));
            }
        }
    }
    eprintln!("{builds} builds, {hits} hits");
}

fn first(rng: &mut Rng) -> Project {
    let mut project = Project {
        files: [("a".to_owned(), Node::File("0".into(), 0o644))].into(),
        named: BTreeMap::new(),
        ignore: Vec::new(),
        stages: Vec::new(),
        args: BTreeMap::new(),
        target: None,
        base: 0,
        counter: 0,
    };
    for _ in 0..rng.usize(2..5) {
        let new = stage(rng, &mut project);
        project.stages.push(new);
    }
    project
}

/// One build, or two at the same time on the same cache.
fn several(rng: &mut Rng, lab: &Lab, project: &Project, flags: &[String]) -> Vec<Built> {
    let mut other = project.clone();
    other.target = Some(other.stages[rng.usize(..other.stages.len())].name.clone());
    if !once_in(rng, 4) {
        return vec![lab.build(project, "a", flags)];
    }
    let two = lab.kiln(&other, "b", flags);
    let two = thread::spawn(|| two.run());
    let one = lab.build(project, "a", flags);
    vec![one, lab.built("b", two.join().unwrap())]
}
