//! With a cache and without, the same image comes of the same project.

use fastrand::Rng;

use super::edits::edit;
use super::lab::{Built, Lab, lose};
use super::project::{From, Project};
use super::seeds;
use super::words::{once_in, project};

/// Where a sequence of builds has its caches.
struct Places {
    kind: u8,
    repository: String,
}

impl Places {
    fn new(lab: &Lab, rng: &mut Rng, seed: u64) -> Self {
        Self { kind: rng.u8(..5), repository: format!("{}/cache-{seed}", lab.registry.host()) }
    }

    fn flags(&self, lab: &Lab, rng: &mut Rng) -> Vec<String> {
        let local =
            |name: &str, more: &str| format!("type=local,{name}={}{more}", lab.path("c").display());
        let texts: Vec<String> = match self.kind {
            0 => vec!["--cache-repo".into(), self.repository.clone()],
            1 => {
                let mode = if once_in(rng, 2) { ",mode=max" } else { "" };
                let (from, to) = (local("src", ",tag=kiln"), local("dest", ",tag=kiln"));
                vec!["--cache-from".into(), from, "--cache-to".into(), to + mode]
            }
            2 => {
                let (one, two) = if once_in(rng, 2) { ("c", "c2") } else { ("c2", "c") };
                vec!["--cache-repo".into(), lab.cache(one), "--cache-from".into(), lab.cache(two)]
            }
            _ => vec!["--cache-repo".into(), lab.cache("c")],
        };
        let mut flags = texts;
        match rng.u8(..16) {
            0 => flags.push("--no-cache".into()),
            1 => flags.push("--cache-copy-layers=false".into()),
            2 => flags.push("--cache-run-layers=false".into()),
            3 => flags.extend(["--no-cache-filter".into(), format!("s{}", rng.u8(1..9))]),
            _ => {}
        }
        flags.push("--explain".into());
        flags
    }
}

fn isolation(rng: &mut Rng) -> Vec<String> {
    let name = if once_in(rng, 6) { "chroot" } else { "namespaces" };
    vec!["--isolation".into(), name.into()]
}

#[test]
fn an_image_is_the_same_with_a_cache() {
    let (seeds, rounds) = seeds(0..4, 12);
    let lab = Lab::new();
    let mut builds = (0, 0, 0);
    for seed in seeds {
        let done = sequence(&lab, seed, rounds);
        builds = (builds.0 + done.0, builds.1 + done.1, builds.2 + done.2);
    }
    eprintln!("{} builds, {} failed as they had to, {} hits", builds.0, builds.1, builds.2);
}

/// Edits and builds; builds, failures and hits.
fn sequence(lab: &Lab, seed: u64, rounds: usize) -> (usize, usize, usize) {
    let mut rng = Rng::with_seed(seed);
    for name in ["c", "c2"] {
        _ = std::fs::remove_dir_all(lab.path(name));
    }
    let places = Places::new(lab, &mut rng, seed);
    let mut project = project(&mut rng);
    let (mut builds, mut failures, mut hits) = (0, 0, 0);
    let mut history = Vec::new();
    // Projects of which all results are in the cache.
    let mut kept: Vec<Project> = Vec::new();
    for round in 0..rounds {
        let before = project.clone();
        let mut edits = Vec::new();
        while round > 0 && edits.len() < 1 + usize::from(once_in(&mut rng, 3)) {
            let mut edited = project.clone();
            let told = edit(&mut rng, &mut edited);
            if edited.is_sound() {
                project = edited;
                edits.push(told);
            }
        }
        if !project.is_sound() {
            project = super::words::project(&mut rng);
            continue;
        }
        lab.write(&project);
        if once_in(&mut rng, 5) {
            lose(&mut rng, &lab.path("c"), "kiln");
            edits.push("results were lost".into());
            kept.clear();
        }
        let flags = places.flags(lab, &mut rng);
        history.push(format!("{edits:?} {flags:?}"));
        let (one, two) = (isolation(&mut rng), isolation(&mut rng));
        let cached = lab.build(&project, "a", &[&flags[..], &one].concat());
        let fresh = lab.build(&project, "b", &two);
        builds += 2;
        hits += cached.hits();
        let told = || {
            let history = history.join("\n");
            format!(
                "seed {seed}, round {round}\n{history}\n{before}\n{project}\n{}",
                cached.outcome
            )
        };
        let differences = cached.differences(&fresh);
        assert!(differences.is_empty(), "{}\n{}", told(), differences.join("\n"));
        if flags.iter().any(|flag| flag.starts_with("--no-cache")) {
            kept.clear();
        }
        if cached.image.is_none() {
            failures += 1;
            if round == 0 || !once_in(&mut rng, 6) {
                project = if round == 0 { super::words::project(&mut rng) } else { before };
            }
            continue;
        }
        if flags.iter().any(|flag| flag.contains("-layers=")) {
            continue;
        }
        kept.push(project.clone());
        match rng.u8(..6) {
            0 => builds += again(lab, &project, &places, Some(&cached), &told),
            1 => builds += again(lab, &kept[rng.usize(..kept.len())], &places, None, &told),
            _ => {}
        }
    }
    (builds, failures, hits)
}

/// What did not change is not built, nor what is as it was once; times of files are no change.
fn again(
    lab: &Lab,
    project: &Project,
    places: &Places,
    first: Option<&Built>,
    told: &dyn Fn() -> String,
) -> usize {
    lab.write(project);
    let flags = match places.kind {
        // What is not in the image is not in the cache, and need not be; two may know different things.
        1 | 2 => return 0,
        0 => vec!["--cache-repo".into(), places.repository.clone()],
        _ => vec!["--cache-repo".into(), lab.cache("c")],
    };
    let second = lab.build(project, "a", &[flags, vec!["--explain".into()]].concat());
    let log = || format!("{}\nAGAIN {project}\n{}", told(), second.outcome);
    let misses: Vec<_> =
        second.misses().into_iter().filter(|it| !it.contains("(not needed)")).collect();
    assert!(misses.is_empty(), "{}\n{misses:#?}", log());
    // The layer of such a context has the times of its files.
    let Some(first) = first.filter(|_| project.stages.iter().all(|it| it.from != From::Named))
    else {
        return 1;
    };
    let digests = [first, &second].map(|it| it.image.as_ref().unwrap().digest.clone());
    assert_eq!(digests[0], digests[1], "{}", log());
    1
}
