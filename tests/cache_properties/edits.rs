//! Random edits of a project.

use fastrand::Rng;

use super::project::{Node, Project};
use super::words::{BASES, NAMES, digit, from, instruction, node, once_in, one, stage};

/// Edits a project; the answer says how.
pub fn edit(rng: &mut Rng, project: &mut Project) -> String {
    match rng.u8(..20) {
        0..=5 => file(rng, project),
        6..=13 => step(rng, project),
        14 => {
            project.base = rng.usize(..BASES);
            "another image behind base:latest".into()
        }
        15 => {
            project.args.insert("B".into(), digit(rng));
            "a build argument".into()
        }
        16 => {
            let names: Vec<_> = project.stages.iter().map(|stage| stage.name.clone()).collect();
            let some = rng.usize(..names.len());
            project.target = (!once_in(rng, 2)).then(|| names[some].clone());
            "the target".into()
        }
        17 => {
            project.ignore = [one(rng, &["*.log", "d", "**/a", "c.txt\n!d/e"]).to_owned()].into();
            "the ignore file".into()
        }
        18 => stages(rng, project),
        _ => {
            let last = project.stages.len() - 1;
            let mut before = project.clone();
            before.stages.truncate(last);
            project.stages[last].from = from(rng, &before);
            "the base of the last stage".into()
        }
    }
}

fn file(rng: &mut Rng, project: &mut Project) -> String {
    let is_named = once_in(rng, 4);
    let name = one(rng, &NAMES).to_owned();
    let made = node(rng, &name);
    let files = if is_named { &mut project.named } else { &mut project.files };
    match rng.u8(..6) {
        0 => {
            files.remove(&name);
            format!("without {name}")
        }
        1 => {
            let other = one(rng, &NAMES).to_owned();
            let (one, two) = (files.remove(&name), files.remove(&other));
            files.extend(one.map(|it| (other.clone(), it)));
            files.extend(two.map(|it| (name.clone(), it)));
            format!("{name} and {other} change names")
        }
        2 => {
            if let Some(Node::File(_, mode) | Node::Dir(mode)) = files.get_mut(&name) {
                *mode ^= 0o011;
            }
            format!("another mode of {name}")
        }
        3 => {
            files.insert("n.log".into(), made);
            "an ignored file".into()
        }
        _ => {
            files.insert(name.clone(), made);
            format!("another {name}")
        }
    }
}

fn step(rng: &mut Rng, project: &mut Project) -> String {
    let at = rng.usize(..project.stages.len());
    let has_shell = project.has_shell(&project.stages[at].from);
    // An instruction can only name the stages before it.
    let mut before = project.clone();
    before.stages.truncate(at);
    let new = instruction(rng, &mut before, has_shell);
    project.counter = before.counter;
    let steps = &mut project.stages[at].steps;
    let place = rng.usize(..=steps.len());
    let exists = place < steps.len();
    match rng.u8(..8) {
        0 if exists => {
            let old = steps.remove(place);
            format!("without {old}")
        }
        1 if steps.len() > 1 => {
            let other = rng.usize(..steps.len() - 1);
            steps.swap(other, other + 1);
            format!("{} changes places with the next", steps[other + 1])
        }
        2 if exists => {
            let twin = steps[place].clone();
            steps.insert(place, twin.clone());
            format!("twice {twin}")
        }
        3..=4 if exists => {
            let old = std::mem::replace(&mut steps[place], new.clone());
            format!("{new} instead of {old}")
        }
        _ => {
            steps.insert(place, new.clone());
            format!("inserted {new}")
        }
    }
}

fn stages(rng: &mut Rng, project: &mut Project) -> String {
    if project.stages.len() < 5 {
        let new = stage(rng, project);
        let name = new.name.clone();
        project.stages.push(new);
        // Sometimes one that nobody uses, first.
        if once_in(rng, 2) {
            project.stages.rotate_right(1);
        }
        return format!("the stage {name}");
    }
    let gone = project.stages.pop();
    format!("without the stage {}", gone.map(|stage| stage.name).unwrap_or_default())
}
