//! From Dockerfile text to a plan: what is needed, what each word expands to, what is refused.

use std::collections::BTreeMap;

use kiln::dockerfile::{self, Located};
use kiln::image::{ImageConfig, Platform};
use kiln::plan::{
    Action, Base, BindMount, BindSource, FilesFrom, Graph, Inputs, NamedContext, Plan, StageId,
    StepMount, plan,
};

#[derive(Clone)]
struct Case {
    text: &'static str,
    args: Vec<(&'static str, &'static str)>,
    target: Option<&'static str>,
    base: ImageConfig,
    contexts: Vec<(&'static str, NamedContext)>,
}

fn case(text: &'static str) -> Case {
    let platform = Platform::host();
    let mut base = ImageConfig::scratch(&platform);
    base.config.cmd = Some(vec!["base-cmd".into()]);
    Case { text, args: Vec::new(), target: None, base, contexts: Vec::new() }
}

impl Case {
    fn arg(mut self, name: &'static str, value: &'static str) -> Self {
        self.args.push((name, value));
        self
    }

    fn target(mut self, name: &'static str) -> Self {
        self.target = Some(name);
        self
    }

    fn context(mut self, name: &'static str, context: NamedContext) -> Self {
        self.contexts.push((name, context));
        self
    }

    fn base(mut self, change: impl FnOnce(&mut ImageConfig)) -> Self {
        change(&mut self.base);
        self
    }

    fn plan(self) -> Result<Plan, Located> {
        let file = dockerfile::parse(self.text.as_bytes()).expect("the text parses");
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let inputs = Inputs {
            path: "Dockerfile".into(),
            args: self.args.iter().map(own).collect(),
            target: self.target.map(str::to_owned),
            platform: Platform::host(),
            labels: Vec::new(),
            contexts: self
                .contexts
                .iter()
                .map(|(name, context)| ((*name).to_owned(), context.clone()))
                .collect(),
        };
        let mut graph = Graph::new(&file, &inputs)?;
        let mut bases = BTreeMap::new();
        loop {
            let new = graph.images.keys().map(|key| (key.clone(), self.base.clone()));
            bases.extend(new);
            if !graph.follow_triggers(&file, &inputs, &bases)? {
                break;
            }
        }
        plan(&file, &inputs, &graph, &bases)
    }

    fn target_stage(self) -> kiln::plan::Stage {
        let mut plan = self.plan().expect("a plan");
        let place = plan.stages.iter().position(|stage| stage.id == plan.target);
        plan.stages.swap_remove(place.expect("the target is planned"))
    }

    fn error(self) -> String {
        self.plan().expect_err("must be refused").to_string()
    }
}

fn run_env(stage: &kiln::plan::Stage, step: usize, name: &str) -> Option<String> {
    let Action::Run(run) = &stage.steps[step].action else { panic!("no RUN at {step}") };
    run.environment().into_iter().find(|(own, _)| own == name).map(|(_, value)| value)
}

#[test]
fn only_what_the_target_needs_is_planned() {
    let text = "FROM a AS one\nFROM b AS two\nFROM c AS three\nCOPY --from=one /x /\nFROM d";
    let plan = case(text).target("THREE").plan().expect("a plan");
    let ids: Vec<_> = plan.stages.iter().map(|stage| stage.id).collect();
    assert_eq!(ids, [StageId(0), StageId(2)]);
    assert_eq!(plan.target, StageId(2));
}

#[test]
fn a_stage_below_a_run_is_unpacked_and_no_other() {
    let text = "FROM a AS one\nFROM one AS two\nRUN x\nFROM a AS three\nCOPY --from=two / /";
    let plan = case(text).plan().expect("a plan");
    let unpacked: Vec<_> = plan.stages.iter().map(|stage| stage.unpacked).collect();
    assert_eq!(unpacked, [true, true, false]);
}

fn copies_from(stage: &kiln::plan::Stage, step: usize) -> &FilesFrom {
    let Action::Copy(copy) = &stage.steps[step].action else { panic!("no COPY at {step}") };
    &copy.from
}

#[test]
fn variables_in_from_are_those_of_the_dockerfile() {
    let text = "ARG G=one\nFROM a AS one\nFROM b AS two\nFROM x AS parent\nENV S=t\nFROM parent\n\
                ARG G\nCOPY --from=$G / /\nARG T=${S}wo\nCOPY --from=$T / /\n\
                COPY --from=img:${V:-1} / /";
    let stage = case(text).target_stage();
    assert_eq!(copies_from(&stage, 1), &FilesFrom::Stage(StageId(0)));
    assert_eq!(copies_from(&stage, 3), &FilesFrom::Stage(StageId(1)));
    assert!(matches!(copies_from(&stage, 4), FilesFrom::Image(key) if key.name == "img:1"));
    let given = case(text).arg("T", "0").target_stage();
    assert_eq!(copies_from(&given, 3), &FilesFrom::Stage(StageId(0)));
}

#[test]
fn triggers_of_a_base_name_stages_and_images() {
    let text = "FROM scratch AS built\nFROM x AS last";
    let plan = case(text)
        .base(|base| {
            base.config.on_build =
                vec!["COPY --from=built /b /".into(), "COPY --from=other:2 /o /".into()]
        })
        .target("last")
        .plan();
    let plan = plan.expect("a plan");
    assert_eq!(plan.stages.len(), 2);
    assert_eq!(copies_from(&plan.stages[1], 0), &FilesFrom::Stage(StageId(0)));
    assert!(
        matches!(copies_from(&plan.stages[1], 1), FilesFrom::Image(key) if key.name == "other:2")
    );
}

#[test]
fn triggers_of_a_parent_stage_name_stages() {
    let text = "FROM a AS built\nFROM b AS parent\nONBUILD COPY --from=built /b /\nFROM parent";
    let plan = case(text).plan().expect("a plan");
    assert_eq!(plan.stages.len(), 3);
    assert_eq!(copies_from(&plan.stages[2], 0), &FilesFrom::Stage(StageId(0)));
}

#[test]
fn named_contexts_stand_in_for_stages_and_images() {
    let image = |name: &str| NamedContext::Image(name.to_owned());
    let plan = case("FROM alpine AS base\nRUN never\nFROM base\nCOPY --from=files /a /")
        .context("base", image("other:1"))
        .context("files", NamedContext::Files)
        .plan()
        .expect("a plan");
    assert!(matches!(&plan.stages[0].base, Base::Image(key) if key.name == "other:1"));
    assert!(plan.stages[0].steps.is_empty());
    assert_eq!(copies_from(&plan.stages[1], 0), &FilesFrom::Named("files".into()));
    for name in ["alpine", "alpine:latest", "docker.io/library/alpine", "Alpine"] {
        let stage = case("FROM alpine").context(name, NamedContext::Files).target_stage();
        assert_eq!(stage.base, Base::Named(name.into()), "{name}");
    }
    let stage = case("FROM alpine:3").context("alpine", NamedContext::Files).target_stage();
    assert!(matches!(&stage.base, Base::Image(_)));
}

#[test]
fn arguments_have_scopes() {
    let text = "ARG G=global\nARG H=$G-more\nFROM ${H}\nRUN before\nARG G\nARG D=def\nARG N\nRUN after\n\
                ENV D=env\nRUN last";
    let stage = case(text).arg("D", "given").target_stage();
    assert_eq!(run_env(&stage, 0, "G"), None);
    assert_eq!(run_env(&stage, 4, "G").as_deref(), Some("global"));
    assert_eq!(run_env(&stage, 4, "D").as_deref(), Some("given"));
    assert_eq!(run_env(&stage, 4, "N"), None);
    assert_eq!(run_env(&stage, 6, "D").as_deref(), Some("env"));
    assert_eq!(
        stage.steps[4].created_by.as_deref(),
        Some("RUN |3 G=global D=given N= /bin/sh -c after # buildkit")
    );
}

#[test]
fn platform_arguments_need_no_declaration_before_from() {
    let stage = case("FROM x-$TARGETARCH\nARG TARGETOS\nRUN y").target_stage();
    assert_eq!(run_env(&stage, 1, "TARGETOS").as_deref(), Some("linux"));
    assert_eq!(run_env(&stage, 1, "TARGETARCH"), None);
}

#[test]
fn proxies_reach_run_but_not_history() {
    let stage = case("FROM x\nRUN y").arg("HTTP_PROXY", "http://p").target_stage();
    assert_eq!(run_env(&stage, 0, "HTTP_PROXY").as_deref(), Some("http://p"));
    assert_eq!(stage.steps[0].created_by.as_deref(), Some("RUN /bin/sh -c y # buildkit"));
}

#[test]
fn entrypoint_clears_only_an_inherited_cmd() {
    let cleared = case("FROM x\nENTRYPOINT [\"e\"]").target_stage();
    assert_eq!(cleared.config.config.cmd, None);
    let kept = case("FROM x\nCMD [\"own\"]\nENTRYPOINT [\"e\"]").target_stage();
    assert_eq!(kept.config.config.cmd.as_deref(), Some(&["own".to_owned()][..]));
}

#[test]
fn triggers_run_first_and_once() {
    let stage = case("FROM x\nRUN own")
        .base(|config| config.config.on_build = vec!["ENV T=1".into(), "RUN trigger".into()])
        .target_stage();
    let lines: Vec<_> = stage.steps.iter().map(|step| step.line.as_str()).collect();
    assert_eq!(lines, ["ENV T=1", "RUN trigger", "RUN own"]);
    assert!(stage.config.config.on_build.is_empty());
    assert_eq!(run_env(&stage, 2, "T").as_deref(), Some("1"));
}

#[test]
fn destinations_follow_the_working_directory() {
    let stage = case("FROM x\nWORKDIR /a\nWORKDIR b/../c\nCOPY x .\nCOPY y d/").target_stage();
    let dests: Vec<_> = stage
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::Copy(copy) => Some(copy.dest.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(dests, ["/a/c/", "/a/c/d/"]);
}

fn mounts(case: Case) -> Vec<StepMount> {
    let plan = case.plan().expect("a plan");
    let step = plan.stages.last().and_then(|stage| stage.steps.last()).expect("a step");
    match &step.action {
        Action::Run(run) => run.mounts.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn mounts_are_expanded_and_have_their_defaults() {
    let all = mounts(
        case(
            "FROM a\nWORKDIR /w\nARG D=d\n\
             RUN --mount=target=$D,source=../$D --mount=type=cache,target=./c/ \
             --mount=type=tmpfs,target=/t/../u --mount=type=secret,id=x/y \
             --mount=type=secret,id=z,env=Z --mount=type=ssh --mount=type=ssh,id=o true",
        )
        .arg("BUILDKIT_CACHE_MOUNT_NS", "ns"),
    );
    let bind = BindMount {
        target: "/w/d".into(),
        from: BindSource::Files(FilesFrom::Context),
        source: "/d".into(),
        read_only: true,
    };
    assert_eq!(all[0], StepMount::Bind(bind));
    let StepMount::Cache(cache) = &all[1] else { panic!("{all:?}") };
    assert_eq!((cache.id.as_str(), cache.target.as_str()), ("ns/c", "/w/c"));
    let tmpfs = StepMount::Tmpfs { target: "/u".into(), size: None, read_only: false };
    assert_eq!(all[2], tmpfs);
    let StepMount::Secret(secret) = &all[3] else { panic!("{all:?}") };
    assert_eq!((secret.target.as_deref(), secret.mode), (Some("/run/secrets/y"), 0o400));
    let StepMount::Secret(secret) = &all[4] else { panic!("{all:?}") };
    assert_eq!((&secret.target, secret.env.as_deref()), (&None, Some("Z")));
    for (mount, target) in all[5..].iter().zip(["ssh_agent.0", "ssh_agent.1"]) {
        let StepMount::Ssh(ssh) = mount else { panic!("{all:?}") };
        assert_eq!(ssh.target, format!("/run/buildkit/{target}"));
    }
}

#[test]
fn what_mounts_take_files_from_is_in_the_graph() {
    let plan = case(
        "FROM a AS one\nFROM b AS two\nFROM c AS three\n\
         FROM a\nARG S=two\nRUN --mount=from=$S,target=/x --mount=from=d,target=/y \
         --mount=from=scratch,target=/z --mount=type=cache,from=0,target=/w true",
    );
    let plan = plan.plan().expect("a plan");
    let stages: Vec<usize> = plan.stages.iter().map(|stage| stage.id.0).collect();
    assert_eq!(stages, [0, 1, 3]);
    let looked_into: Vec<&str> =
        plan.images_looked_into(&|_, _| false).into_iter().map(|key| key.name.as_str()).collect();
    assert_eq!(looked_into, ["a", "b", "d"]);
}

#[test]
fn unused_arguments_are_warned_of() {
    let plan = case("FROM x\nARG USED").arg("USED", "1").arg("TYPO", "1").arg("http_proxy", "p");
    let warnings = plan.plan().expect("a plan").warnings;
    assert!(warnings.iter().any(|text| text.contains("not consumed: TYPO;")), "{warnings:?}");
}

#[test]
fn what_cannot_be_planned_names_its_line() {
    let refused: &[(Case, &str)] = &[
        (case("FROM a\n").target("nope"), "target stage \"nope\" could not be found"),
        (case("ARG B\nFROM $B"), "Dockerfile:2: base name ($B) should not be blank"),
        (case("FROM a AS x\nCOPY --from=x / /"), "circular dependency"),
        (
            case("FROM a\nCOPY --from=later / /\nFROM b AS later").target("0"),
            "needs to be defined before",
        ),
        (case("FROM a\nCOPY --from=3 / /"), "invalid stage index 3"),
        (case("FROM a\nCOPY --from=$X / /"), "`X` has no value here"),
        (case("FROM a\nRUN --mount=type=$T x").arg("T", "x"), "unsupported mount type \"\""),
        (case("FROM a\nRUN --mount=target=. x"), "invalid mount target \"/\""),
        (case("FROM a\nRUN --mount=from=0,target=/a x"), "invalid stage index 0"),
        (case("FROM a\nRUN --security=insecure x"), "security.insecure"),
        (case("FROM a\nRUN --device=a.b/c=d x"), "RUN --device=a.b/c=d"),
        (case("FROM a\nRUN <<../x\n#!/x\n../x"), "is no file name"),
        (case("FROM a\nCOPY https://x.example/a /"), "source can't be a URL for COPY"),
        (case("FROM a\nSTOPSIGNAL SIGNOT"), "invalid stop signal: SIGNOT"),
        (case("FROM a\nENV X=${Y:?missing}"), "missing"),
    ];
    for (case, expected) in refused {
        let again = case.clone();
        let error = again.error();
        assert!(error.contains(expected), "{}: {error}", case.text);
    }
}
