//! Random projects and instructions. Of few names, so that they meet; what commands do depends on
//! nothing but what is in their keys.

use fastrand::Rng;

use super::project::{Files, From, Node, Project, Stage};

pub const NAMES: [&str; 9] =
    ["a", "b", "c.txt", "d/a", "d/b.txt", "d/e/f", "x.log", "k/a", "t.tar"];
/// Images behind `base:vN`.
pub const BASES: usize = 4;

pub fn one<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    of[rng.usize(..of.len())]
}

/// True once in so many times.
pub fn once_in(rng: &mut Rng, times: u32) -> bool {
    rng.u32(..times) == 0
}

pub fn project(rng: &mut Rng) -> Project {
    let mut project = Project {
        files: files(rng),
        named: files(rng),
        ignore: vec!["*.log".into()],
        stages: Vec::new(),
        args: [("B".to_owned(), digit(rng))].into(),
        target: None,
        base: rng.usize(..BASES),
        counter: 0,
    };
    for _ in 0..rng.usize(1..=4) {
        let stage = stage(rng, &mut project);
        project.stages.push(stage);
    }
    project
}

fn files(rng: &mut Rng) -> Files {
    let mut one = |name: &str| (rng.u8(..4) > 0).then(|| (name.to_owned(), node(rng, name)));
    NAMES.iter().filter_map(|name| one(name)).collect()
}

pub fn node(rng: &mut Rng, name: &str) -> Node {
    if name.ends_with(".tar") {
        return Node::Archive(rng.u8(..2));
    }
    match rng.u8(..12) {
        0 => Node::Link(one(rng, &["a", "d", "nowhere", "/w"]).to_owned()),
        1 => Node::Dir(mode(rng, 0o755)),
        _ => Node::File(format!("{}\n", digit(rng)), mode(rng, 0o644)),
    }
}

fn mode(rng: &mut Rng, usual: u32) -> u32 {
    if once_in(rng, 4) { usual | 0o110 } else { usual }
}

pub fn digit(rng: &mut Rng) -> String {
    rng.u8(..3).to_string()
}

pub fn stage(rng: &mut Rng, project: &mut Project) -> Stage {
    let from = from(rng, project);
    let has_shell = project.has_shell(&from);
    let number = project.next();
    let count = rng.usize(1..=6);
    let steps = (0..count).map(|_| instruction(rng, project, has_shell)).collect();
    Stage { name: format!("s{number}"), from, steps }
}

pub fn from(rng: &mut Rng, project: &Project) -> From {
    let earlier = project.stages.len();
    match rng.u8(..10) {
        0 => From::Scratch,
        1 if once_in(rng, 2) => From::Named,
        2..=5 if earlier > 0 => From::Stage(project.stages[rng.usize(..earlier)].name.clone()),
        1..=5 => From::Moving,
        _ => From::Image(rng.usize(..BASES)),
    }
}

/// An instruction that can stand behind all stages that there are.
pub fn instruction(rng: &mut Rng, project: &mut Project, has_shell: bool) -> String {
    match rng.u8(..20) {
        0..=6 if has_shell => run(rng, project),
        0..=11 => copy(rng, project),
        12 => format!("ADD {} {}", one(rng, &["t.tar", "t.tar", "*.tar", "a"]), dest(rng)),
        13 => format!("WORKDIR {}", one(rng, &["/w", "/x/y", "y", "/l", "/new/$A", "/home"])),
        14 => format!("ENV {}={}", one(rng, &["A", "C"]), one(rng, &["0", "1", "$B", "${A}x"])),
        15 => format!("ARG {}", one(rng, &["B", "B=7", "D=1", "D=$A", "A=9"])),
        16 => format!("USER {}", one(rng, &["u", "0", "1000:5", "root", "u:0"])),
        17 => format!("LABEL {}={}", one(rng, &["p", "q"]), digit(rng)),
        18 => one(rng, &["SHELL [\"/bin/sh\", \"-ec\"]", "VOLUME /w", "CMD [\"a\"]", "# comment"])
            .to_owned(),
        _ => format!("COPY <<E {}\n{} $A $B\nE", one(rng, &["/w/h", "/w/", "/x/h"]), digit(rng)),
    }
}

fn dest(rng: &mut Rng) -> &'static str {
    one(rng, &["/w/", "/w", "/x/y", ".", "./", "/l/", "/l", "/w/a", "/", "/x/", "/w/a/", "/v/d"])
}

fn copy(rng: &mut Rng, project: &Project) -> String {
    let mut flags = String::new();
    let mut foreign = false;
    let earlier = project.stages.len();
    if earlier > 0 && once_in(rng, 2) {
        foreign = true;
        flags += &format!("--from={} ", project.stages[rng.usize(..earlier)].name);
    } else if once_in(rng, 5) {
        foreign = true;
        flags += one(rng, &["--from=nc ", "--from=nc ", "--from=BASE:v0 ", "--from=BASE:v3 "]);
    }
    if once_in(rng, 4) {
        flags += one(rng, &["--chown=u ", "--chown=1:2 ", "--chown=u:root ", "--chown=7 "]);
    }
    if once_in(rng, 5) {
        flags += one(rng, &["--chmod=600 ", "--chmod=755 ", "--chmod=u+x "]);
    }
    if once_in(rng, 4) {
        flags += "--link ";
    }
    if once_in(rng, 6) {
        flags += "--parents ";
    }
    if once_in(rng, 6) {
        flags += one(rng, &["--exclude=*.txt ", "--exclude=a ", "--exclude=d "]);
    }
    let of = if flags.contains("--from=nc") { &project.named } else { &project.files };
    let source = |rng: &mut Rng| match rng.u8(..8) {
        0 => one(rng, &[".", "/", "d/", "d"]).to_owned(),
        1 => one(rng, &["*", "d/*", "[ab]", "?.txt", "d*", "*/a"]).to_owned(),
        2 => one(rng, &NAMES).to_owned(),
        _ if of.is_empty() => ".".to_owned(),
        _ => of.keys().nth(rng.usize(..of.len())).unwrap().clone(),
    };
    let places = ["/w", "/w/*", "/x", "/w/a", "/etc/passwd", "/r*", "/v", "/[wx]"];
    let source = |rng: &mut Rng| match foreign && !flags.contains("=nc") {
        true => one(rng, &places).to_owned(),
        false => source(rng),
    };
    let sources: Vec<_> = (0..if once_in(rng, 4) { 2 } else { 1 }).map(|_| source(rng)).collect();
    let dest = match sources.len() {
        1 => dest(rng),
        _ => one(rng, &["/w/", "./", "/x/", "/l/"]),
    };
    format!("COPY {flags}{} {dest}", sources.join(" "))
}

fn run(rng: &mut Rng, project: &mut Project) -> String {
    let number = project.next();
    let mut flags = String::new();
    let command = if once_in(rng, 4) {
        flags = mount(rng, project);
        format!(
            "{{ cd /m && find . ! -type l -exec stat -c '%n %a %u %g %F' {{}} + | grep -v sys | sort \
             && find . -type f -maxdepth 3 ! -name busybox | sort | xargs cat; }} > /r{number} 2>&1"
        )
    } else {
        command(rng, number)
    };
    if once_in(rng, 12) {
        // Not `none`, which some isolations do not have.
        flags += "--network=host ";
    }
    if once_in(rng, 10) {
        return format!("RUN {flags}<<E\n{command}\ntrue\nE");
    }
    format!("RUN {flags}{{ {command}; }} || true")
}

fn mount(rng: &mut Rng, project: &Project) -> String {
    let earlier = project.stages.len();
    match rng.u8(..8) {
        0..=1 if earlier > 0 => {
            let stage = &project.stages[rng.usize(..earlier)].name;
            format!("--mount=type=bind,from={stage},source=/w,target=/m ")
        }
        0..=1 => "--mount=type=bind,from=nc,target=/m ".to_owned(),
        2 => "--mount=type=bind,source=d,target=/m ".to_owned(),
        3 => "--mount=type=bind,rw,target=/m ".to_owned(),
        4 => "--mount=type=tmpfs,target=/m ".to_owned(),
        5 => "--mount=type=bind,from=BASE:v2,source=/w,target=/m ".to_owned(),
        6 => "--mount=type=bind,source=d/e,target=/m/q --mount=type=tmpfs,target=/m ".to_owned(),
        _ => "--mount=type=bind,target=/m ".to_owned(),
    }
}

fn command(rng: &mut Rng, number: usize) -> String {
    let k = digit(rng);
    match rng.u8(..16) {
        0..=1 => format!(
            "find /w /x /v /l/ /home /new ! -type l -exec stat -c '%n %a %u %g %F' {{}} + 2>/dev/null \
             | sort > /r{number}"
        ),
        2..=3 => {
            format!("find /w /x /v -type f 2>/dev/null | sort | xargs cat > /r{number} 2>/dev/null")
        }
        4 => format!("mkdir -p /w; echo \"$A $B $C $D\" > /w/env{k}"),
        5 => format!("env | sort > /r{number}"),
        6 => format!("(id; pwd; echo ~) > /r{number}"),
        7 => format!("rm -rf /w/{}", one(rng, &["a", "d", "*", "c.txt"])),
        8 => "mv /w/a /w/z".to_owned(),
        9 => "chmod 700 /w/*".to_owned(),
        10 => "ln -sfn /v /l; mkdir -p /v".to_owned(),
        11 => "true".to_owned(),
        12 => format!("mkdir -p /x/y; echo {k} > /x/y/{}", one(rng, &["a", "b", "q"])),
        13 => format!("sed -i s/u:x:[0-9]*/u:x:{k}00/ /etc/passwd"),
        14 => "ln -f /w/b /w/hard".to_owned(),
        _ => format!("cat /w/a /w/d/a > /w/o{k}"),
    }
}
