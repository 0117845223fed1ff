//! The program: children of the sandbox first, then flags, isolation, the build, the exit code.

#[path = "main/caretaker.rs"]
mod caretaker;
#[path = "main/carriers.rs"]
mod carriers;
#[path = "main/logins.rs"]
mod logins;

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;

use kiln::cancel::Cancel;
use kiln::cli::{self, Call, Environment, Invocation, Job, Remark, Shell, Subject, Warming};
use kiln::doctor::{self, Diagnosis, Machine};
use kiln::event::Reporter;
use kiln::pipeline::{self, Built, Checkup, Ground, Looked};
use kiln::publish::PushFailed;
use kiln::request::{DoctorRequest, IsolationChoice, Request};
use kiln::sandbox::{self, Choice};
use kiln::stage::RunFailed;
use kiln::ui::check::Source;
use kiln::ui::{
    self, Console, Device, During, LogLevel, OutputChoice, ProgressChoice, Report, Work,
};
use kiln::warm;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::signal_name;

fn main() -> ExitCode {
    // A child of the sandbox must not do anything else first.
    if let Some(code) = sandbox::dispatch() {
        return code;
    }
    let invocation = Environment::read()
        .map_err(|error| format!("cannot find the working directory: {error}"))
        .map(|environment| cli::parse(std::env::args_os(), &environment));
    // What was named on the command line may be where a killed build has put it.
    let invocation = match invocation {
        Ok(Ok(Invocation::Shell(shell))) => Ok(Ok(Invocation::Shell(shell))),
        parsed => match sandbox::restore_leftover(say_waiting) {
            Ok(()) if matches!(parsed, Ok(Err(_))) => Environment::read()
                .map_err(|error| format!("cannot find the working directory: {error}"))
                .map(|environment| cli::parse(std::env::args_os(), &environment)),
            Ok(()) => parsed,
            Err(error) => Err(error.to_string()),
        },
    };
    match invocation {
        Ok(Ok(Invocation::Build(job))) => build(&job),
        Ok(Ok(Invocation::Look { job, call })) => look(&job, call),
        Ok(Ok(Invocation::Plan(job))) => plan(&job),
        Ok(Ok(Invocation::Warm(warming))) => warm_up(&warming),
        Ok(Ok(Invocation::Doctor { request, json })) => examine(&request, json),
        Ok(Ok(Invocation::Push(pushing))) => carriers::push(&pushing),
        Ok(Ok(Invocation::Index(joining))) => carriers::index(&joining),
        Ok(Ok(Invocation::Upkeep(caretaking))) => caretaker::look_after(&caretaking),
        Ok(Ok(Invocation::Login(entrance))) => logins::log_in(entrance),
        Ok(Ok(Invocation::Logout(request))) => logins::log_out(&request),
        Ok(Ok(Invocation::Shell(shell))) => become_shell(&shell),
        Ok(Ok(Invocation::Nothing(text) | Invocation::Help(text) | Invocation::Version(text))) => {
            ui::print(&text);
            ExitCode::SUCCESS
        }
        Ok(Err(error)) => {
            ui::print_error(&error.render(ui::stderr_colour(ui::ColorChoice::Auto)));
            ExitCode::from(error.exit_code())
        }
        Err(message) => {
            ui::print_error(&ui::diagnostic::render_message(&message, None, false));
            ExitCode::FAILURE
        }
    }
}

fn say_waiting() {
    ui::print_error("another build in this container has its root directory: waiting for it\n");
}

fn build(job: &Job) -> ExitCode {
    let request: &Request = &job.request;
    // Namespaces can only be entered while there is one thread.
    let sandbox = sandbox::enter(isolation(request.isolation));
    let desk = Desk::open(job.output, &job.remarks);
    let result = sandbox.map_err(anyhow::Error::new).and_then(|sandbox| {
        let (reporter, cancel) = (desk.reporter.clone(), desk.cancel.clone());
        pipeline::build(request, &Ground { sandbox, reporter, cancel })
    });
    match result {
        Ok(built) => {
            desk.console.report(&report(built, request.exports.use_stdout()));
            ExitCode::SUCCESS
        }
        Err(error) => desk.fail(phase(&error), &error),
    }
}

/// Says something about a Dockerfile; 1 if a check found something, as with buildx.
fn look(job: &Job, call: Call) -> ExitCode {
    let desk = Desk::open(job.output, &job.remarks);
    let answer = sandbox::enter(Choice::None).map_err(anyhow::Error::new).and_then(|sandbox| {
        let (reporter, cancel) = (desk.reporter.clone(), desk.cancel.clone());
        answer(job, call, &Ground { sandbox, reporter, cancel })
    });
    match answer {
        Ok(Answer { text, found, error: None }) => {
            desk.console.close();
            ui::print(&text);
            ExitCode::from(u8::from(found && !call.ignore_status))
        }
        Ok(Answer { text, error: Some(error), .. }) => {
            ui::print(&text);
            desk.fail(During::Build, &error)
        }
        Err(error) => desk.fail(During::Build, &error),
    }
}

/// What is said of a Dockerfile.
struct Answer {
    text: String,
    /// Whether something is doubtful.
    found: bool,
    /// What is wrong, unless the text says it.
    error: Option<anyhow::Error>,
}

fn answer(job: &Job, call: Call, ground: &Ground) -> anyhow::Result<Answer> {
    let calm = |text| Answer { text, found: false, error: None };
    Ok(match call.subject {
        Subject::Check => {
            let Looked { path, text, found } = pipeline::check(&job.request, ground)?;
            let source = Source { path: &path, text: &text };
            let Checkup { findings, error } = found;
            let some = !findings.is_empty() || error.is_some();
            if call.json {
                let text = ui::check::findings_json(source, &findings, error.as_ref());
                return Ok(Answer { text, found: some, error: None });
            }
            let colour = ui::stdout_colour(job.output.color);
            let mut text = ui::check::findings(source, &findings, colour);
            if error.is_none() {
                text.push_str(&ui::check::conclusion(findings.len()));
            }
            Answer { text, found: some, error }
        }
        Subject::Outline => {
            let Looked { path, text, found } = pipeline::outline(&job.request, ground)?;
            let source = Source { path: &path, text: &text };
            let json = || ui::check::outline_json(source, &found);
            calm(if call.json { json() } else { ui::check::outline(&found) })
        }
        Subject::Targets => {
            let Looked { path, text, found } = pipeline::targets(&job.request, ground)?;
            let source = Source { path: &path, text: &text };
            let json = || ui::check::targets_json(source, &found);
            calm(if call.json { json() } else { ui::check::targets(&found) })
        }
    })
}

/// Says what would be built.
fn plan(job: &Job) -> ExitCode {
    let desk = Desk::open(job.output, &job.remarks);
    let result = sandbox::enter(Choice::None).map_err(anyhow::Error::new).and_then(|sandbox| {
        let (reporter, cancel) = (desk.reporter.clone(), desk.cancel.clone());
        pipeline::dry_run(&job.request, &Ground { sandbox, reporter, cancel })
    });
    match result {
        Ok(lines) => {
            desk.console.close();
            ui::print(&(lines.join("\n") + "\n"));
            ExitCode::SUCCESS
        }
        Err(error) => desk.fail(During::Build, &error),
    }
}

fn warm_up(warming: &Warming) -> ExitCode {
    let desk = Desk::open(warming.output, &warming.remarks);
    match warm::warm(&warming.request, &desk.reporter, &desk.cancel) {
        Ok(_) => {
            desk.console.close();
            ExitCode::SUCCESS
        }
        Err(error) => desk.fail(During::Warm, &error),
    }
}

/// Does not return where there is a shell.
fn become_shell(shell: &Shell) -> ExitCode {
    for program in &shell.programs {
        let error = Command::new(program).args(&shell.args).exec();
        if error.kind() != std::io::ErrorKind::NotFound {
            let message = format!("cannot start {}: {error}", program.to_string_lossy());
            ui::print_error(&ui::diagnostic::render_message(&message, None, false));
            return ExitCode::from(Shell::MISSING);
        }
    }
    ui::print_error(&ui::diagnostic::render_message(&shell.missing(), None, false));
    ExitCode::from(Shell::MISSING)
}

fn isolation(choice: IsolationChoice) -> Choice {
    match choice {
        IsolationChoice::Auto => Choice::Auto,
        IsolationChoice::Namespaces => Choice::Namespaces,
        IsolationChoice::Chroot => Choice::Chroot,
        IsolationChoice::Inplace => Choice::Inplace,
        IsolationChoice::None => Choice::None,
    }
}

/// What was being done when the error came.
fn phase(error: &anyhow::Error) -> During {
    match error.downcast_ref::<PushFailed>() {
        Some(PushFailed::Refused(_)) => During::PushCheck,
        Some(PushFailed::Broken(_) | PushFailed::Half(_)) => During::Push,
        None => During::Build,
    }
}

/// What every command talks through.
struct Desk {
    console: Arc<Console>,
    reporter: Reporter,
    cancel: Cancel,
    /// The signal that came, or 0.
    signal: Arc<AtomicI32>,
}

impl Desk {
    /// Opens the console, which starts threads, and says what is to be said first.
    fn open(output: OutputChoice, remarks: &[Remark]) -> Self {
        let console = Arc::new(Console::new(output, Device::standard()));
        let cancel = Cancel::default();
        let signal = stop_on_signals(&cancel, &console);
        let reporter = Reporter::new(console.clone());
        let details = matches!(output.progress,
            ProgressChoice::Log(log) if log.level <= LogLevel::Debug);
        for remark in remarks {
            match remark {
                Remark::Warning(text) => reporter.warning(text),
                Remark::Note(text) => reporter.note(text),
                Remark::Detail(text) if details => reporter.note(text),
                Remark::Detail(_) => {}
            }
        }
        Self { console, reporter, cancel, signal }
    }

    fn fail(&self, during: During, error: &anyhow::Error) -> ExitCode {
        let signal = self.signal.load(Ordering::Relaxed);
        if signal == 0 {
            self.console.error(during, error.as_ref());
            return ExitCode::from(exit_code(error));
        }
        // Whatever else went wrong came of it.
        self.console.error(During::Stopping, &Stopped(signal));
        ExitCode::from(signal_code(signal))
    }
}

/// Says what this machine allows; 1 if no RUN is possible.
fn examine(request: &DoctorRequest, json: bool) -> ExitCode {
    // Before a user namespace is entered, which has another user and other capabilities.
    let machine = Machine::read();
    let answer = sandbox::enter(Choice::Auto).map_err(anyhow::Error::new).and_then(|entered| {
        let facts = doctor::look_around(request, machine, &entered, &Cancel::default());
        let diagnosis = Diagnosis::of(facts);
        let shown = if json { ui::doctor::json(&diagnosis)? } else { ui::doctor::text(&diagnosis) };
        Ok((shown, diagnosis.run_possible))
    });
    match answer {
        Ok((shown, run_possible)) => {
            ui::print(&shown);
            if run_possible { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            ui::print_error(&ui::diagnostic::render_message(&error.to_string(), None, false));
            ExitCode::FAILURE
        }
    }
}

fn report(built: Built, stdout_taken: bool) -> Report {
    Report {
        work: Work::Built,
        names: built.places,
        digest: built.digest,
        size: built.size,
        layers: built.layers,
        images: built.images,
        stdout_taken,
        seconds: built.time.as_secs_f64(),
        steps: built.steps,
        peak_memory: None,
    }
}

/// A failed RUN's own code; 1 for all else.
fn exit_code(error: &anyhow::Error) -> u8 {
    let failed = error.chain().find_map(|cause| cause.downcast_ref::<RunFailed>());
    failed.map_or(1, RunFailed::exit_code)
}

/// A build that was told to stop.
#[derive(Debug)]
struct Stopped(i32);

impl std::error::Error for Stopped {}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the build was stopped by {}", signal_name(self.0).unwrap_or("a signal"))
    }
}

/// As shells report a process that a signal ended.
fn signal_code(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(1)
}

/// The first signal stops the build, which then cleans up; the second ends the program at once.
fn stop_on_signals(cancel: &Cancel, console: &Arc<Console>) -> Arc<AtomicI32> {
    let received = Arc::new(AtomicI32::new(0));
    let Ok(mut signals) = Signals::new([SIGHUP, SIGINT, SIGTERM]) else { return received };
    let (seen, cancel, console) = (received.clone(), cancel.clone(), console.clone());
    thread::spawn(move || {
        for signal in signals.forever() {
            if seen.swap(signal, Ordering::Relaxed) != 0 {
                console.close();
                std::process::exit(i32::from(signal_code(signal)));
            }
            cancel.cancel();
        }
    });
    received
}
