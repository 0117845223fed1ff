//! The program: children of the sandbox first, then flags, isolation, the build, the exit code.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use kiln::cancel::{Cancel, Cancelled};
use kiln::cli::{self, Environment, Invocation, OutputChoice};
use kiln::event::Reporter;
use kiln::pipeline::{self, Ground};
use kiln::request::Request;
use kiln::sandbox;
use kiln::stage::RunFailed;
use kiln::ui::{Console, Report};

fn main() -> ExitCode {
    // A child of the sandbox must not do anything else first.
    if let Some(code) = sandbox::dispatch() {
        return code;
    }
    match cli::parse(std::env::args_os(), &Environment::read()) {
        Ok(Invocation::Build { request, output }) => build(&request, output),
        Ok(Invocation::Help(text) | Invocation::Version(text)) => Console::print_text(&text),
        Err(error) => Console::print_usage_error(&error),
    }
}

fn build(request: &Request, output: OutputChoice) -> ExitCode {
    // Namespaces can only be entered while there is one thread.
    let sandbox = match sandbox::enter(request.isolation) {
        Ok(sandbox) => sandbox,
        Err(error) => return Console::fail(&error.into(), &output),
    };
    let cancel = Cancel::default();
    let signal = stop_on_signals(&cancel);
    let console = Arc::new(Console::new(&output));
    let ground = Ground { sandbox, reporter: Reporter::new(console.clone()), cancel };
    let result = pipeline::build(request, &ground);
    match (result, signal.load(Ordering::Relaxed)) {
        (Ok(built), _) => {
            console.report(&Report::from(&built));
            ExitCode::SUCCESS
        }
        (Err(error), 0) => {
            console.error(&error);
            ExitCode::from(exit_code(&error))
        }
        (Err(error), signal) => {
            if !is_cancelled(&error) {
                console.error(&error);
            }
            console.interrupted(signal);
            ExitCode::from(128 + u8::try_from(signal).unwrap_or(0))
        }
    }
}

/// A failed RUN's own code; 1 for all else.
fn exit_code(error: &anyhow::Error) -> u8 {
    let failed = error.chain().find_map(|cause| cause.downcast_ref::<RunFailed>());
    failed.map_or(1, RunFailed::exit_code)
}
