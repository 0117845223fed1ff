//! One row, and how rows are run.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use testkit::registry::Builder;
use testkit::{Action, Fault, Registry};

use crate::world::{PASSWORD, Seed, USER, World};
use crate::{library, program};

/// What is done. The registry that the fault is for comes second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// The library reads `base:1` with all its layers; from the source.
    Pull,
    /// The library writes the image, by digest and then as `app:1`; to the target.
    Push,
    /// The same in chunks of 100 000 bytes; to the target.
    PushChunks,
    /// The same with a layer of 12 MiB, in one request; to the target.
    PushLarge,
    /// The same as `Push`, with mounts from `base`; at the target.
    Mount,
    /// The library passes `base:1` on to the target; the source.
    CopyFrom,
    /// The same; the target.
    CopyTo,
    /// The program builds upon `base:1`, looks into it, and pushes; the source.
    BuildFrom,
    /// The same; the target.
    BuildTo,
    /// The program builds and pushes to two tags and another repository of one registry; the target.
    BuildThree,
}

impl Deed {
    fn of_source(self) -> bool {
        matches!(self, Self::Pull | Self::CopyFrom | Self::BuildFrom)
    }
}

/// What must come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// The image, as without the fault.
    Image,
    /// This error and no tag. Hosts are SOURCE, TARGET and ELSEWHERE, digests `sha256:…`.
    Error(&'static str),
    /// This error, though the tag is there: the answer was lost, and nobody can know.
    ErrorAndTag(&'static str),
}

type Setup = fn(Builder) -> Builder;
type Script = Box<dyn Fn(&World) -> Vec<Fault> + Send + Sync>;

/// A row.
pub struct Case {
    pub name: String,
    pub deed: Deed,
    setup: Setup,
    script: Script,
    expect: Expect,
    open_uploads: usize,
    most: Option<(&'static str, &'static str, usize)>,
    args: &'static [&'static str],
}

impl Case {
    pub fn new(name: impl Into<String>, deed: Deed) -> Self {
        Self {
            name: name.into(),
            deed,
            setup: |builder| builder,
            script: Box::new(|_| Vec::new()),
            expect: Expect::Image,
            open_uploads: 0,
            most: None,
            args: &[],
        }
    }

    /// The registry that the row is about is set up so.
    pub fn setup(mut self, setup: Setup) -> Self {
        self.setup = setup;
        self
    }

    /// These faults are scripted there.
    pub fn faults(self, script: impl Fn() -> Vec<Fault> + Send + Sync + 'static) -> Self {
        self.script(move |_| script())
    }

    /// The same where an address is needed.
    pub fn script(mut self, script: impl Fn(&World) -> Vec<Fault> + Send + Sync + 'static) -> Self {
        self.script = Box::new(script);
        self
    }

    /// The fault strikes the first such request.
    pub fn once(self, method: &'static str, path: &'static str, action: Action) -> Self {
        self.faults(move || vec![Fault::on(method, path, action.clone())])
    }

    /// It strikes every one.
    pub fn always(self, method: &'static str, path: &'static str, action: Action) -> Self {
        self.faults(move || vec![Fault::on(method, path, action.clone()).always()])
    }

    /// It ends with this error.
    pub fn error(mut self, text: &'static str) -> Self {
        self.expect = Expect::Error(text);
        self
    }

    pub fn expect(mut self, expect: Expect) -> Self {
        self.expect = expect;
        self
    }

    /// So many uploads stay open: the client could not know of them, or not reach the registry.
    pub fn leaves(mut self, open_uploads: usize) -> Self {
        self.open_uploads = open_uploads;
        self
    }

    /// So many requests with this method and path at most.
    pub fn at_most(mut self, method: &'static str, path: &'static str, most: usize) -> Self {
        self.most = Some((method, path, most));
        self
    }

    /// The program gets these arguments too.
    pub fn args(mut self, args: &'static [&'static str]) -> Self {
        self.args = args;
        self
    }

    fn world(&self) -> World {
        let plain = Registry::builder;
        match self.deed.of_source() {
            true => World::new((self.setup)(plain()), plain()),
            false => World::new(plain(), (self.setup)(plain())),
        }
    }

    /// Runs it. What came of it: nothing for the right image, or an error.
    fn outcome(&self, world: &World) -> Result<(), String> {
        match self.deed {
            Deed::Pull => library::pull(world),
            Deed::Push => library::push(world, &Seed::new(), false, None),
            Deed::PushChunks => library::push(world, &Seed::new(), false, Some(100_000)),
            Deed::PushLarge => library::push(world, &Seed::large(), false, None),
            Deed::Mount => library::push(world, &Seed::new(), true, None),
            Deed::CopyFrom | Deed::CopyTo => library::copy(world),
            Deed::BuildFrom | Deed::BuildTo => program::build(world, &["app:1"], self.args),
            Deed::BuildThree => program::build(world, &["app:1", "app:2", "other:1"], self.args),
        }
    }

    /// What came of it, as an expectation would be written, and what else is wrong.
    pub fn run(&self) -> (Result<(), String>, Vec<String>) {
        let world = self.world();
        let registry = if self.deed.of_source() { &world.source } else { &world.target };
        (self.script)(&world).into_iter().for_each(|fault| registry.fault(fault));
        let outcome = self.outcome(&world).map_err(|error| world.plain(&error));
        registry.clear_faults();
        let mut problems = world.problems(self.open_uploads);
        let tagged = world.target.digest("app", "1").is_some();
        let may = outcome.is_ok() || matches!(self.expect, Expect::ErrorAndTag(_));
        if tagged && !may {
            problems.push("the tag is set although the push failed".into());
        }
        if let Some((method, path, most)) = self.most {
            let requests = registry.requests();
            let fits = |r: &&testkit::Request| r.method == method && r.path.contains(path);
            let count = requests.iter().filter(fits).count();
            if count > most {
                problems.push(format!("{count} times {method} {path}, not {most}"));
            }
        }
        if problems.is_empty() {
            return (outcome, problems);
        }
        let lines = registry.requests().into_iter().map(|r| {
            format!("      {} ?{} -> {} ({} in)", r.line(), r.query, r.status, r.bytes_in)
        });
        problems.extend(lines);
        (outcome, problems)
    }

    /// The sentence about what is wrong; none where all is right.
    fn verdict(&self) -> Option<String> {
        let (outcome, problems) = self.run();
        let right = match (&outcome, self.expect) {
            (Ok(()), Expect::Image) => true,
            (Err(error), Expect::Error(text) | Expect::ErrorAndTag(text)) => error == text,
            _ => false,
        };
        if right && problems.is_empty() {
            return None;
        }
        let outcome = match outcome {
            Ok(()) => "the image".to_owned(),
            Err(error) => format!("error: {error}"),
        };
        let expected = match self.expect {
            Expect::Image => "the image".to_owned(),
            Expect::Error(text) | Expect::ErrorAndTag(text) => format!("error: {text}"),
        };
        let wrong = if right { String::new() } else { format!("\n    expected: {expected}") };
        let problems: String = problems.iter().map(|line| format!("\n    {line}")).collect();
        Some(format!("{:?}: {}{wrong}\n    got:      {outcome}{problems}", self.deed, self.name))
    }
}

/// Runs work side by side, most of which is waiting; results in order.
pub fn side_by_side<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::SeqCst);
                    let Some(item) = items.get(at) else { break };
                    let result = work(item);
                    results.lock().expect("no panic").push((at, result));
                }
            });
        }
    });
    let mut results = results.into_inner().expect("no panic");
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

/// All rows must hold; those that do not are printed, all of them.
#[track_caller]
pub fn check(cases: &[Case]) {
    let wrong: Vec<String> = side_by_side(cases, Case::verdict).into_iter().flatten().collect();
    assert!(
        wrong.is_empty(),
        "{} of {} rows are wrong\n\n{}\n",
        wrong.len(),
        cases.len(),
        wrong.join("\n\n")
    );
}

/// A registry that wants a token.
pub fn with_tokens(builder: Builder) -> Builder {
    builder.token_auth(USER, PASSWORD, Duration::from_secs(600))
}
