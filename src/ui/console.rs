//! The terminal or pipe that everything is written to.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::choice::{ColorChoice, OutputChoice, ProgressChoice, Verbosity};
use super::live::Live;
use super::log::{During, Log, LogLines};
use super::paint::Paint;
use super::plain::Plain;
use super::quiet::Quiet;
use super::report::Report;
use super::sections::Sections;
use super::{Size, View, diagnostic, task};
use crate::event::{Event, Observer};

/// Between two frames of the live view.
const FRAME_TIME: Duration = Duration::from_millis(100);

/// Shows a build while it runs. The live view ends, and gives the cursor back, with
/// [`Console::report`], [`Console::error`], [`Console::close`] or when the console is dropped.
pub struct Console {
    shared: Arc<Shared>,
    ticker: Mutex<Option<JoinHandle<()>>>,
}

/// Where a console writes.
pub struct Device {
    log: Box<dyn Write + Send>,
    result: Box<dyn Write + Send>,
    log_is_terminal: bool,
    size: Box<dyn Fn() -> Size + Send + Sync>,
    clock: Box<dyn Fn() -> Duration + Send + Sync>,
    /// The time of day when the clock was zero.
    start: SystemTime,
}

struct Shared {
    /// Locked before `view`, so that texts are written in the order in which they were made.
    log: Mutex<Box<dyn Write + Send>>,
    view: Mutex<Box<dyn View>>,
    result: Mutex<Box<dyn Write + Send>>,
    size: Box<dyn Fn() -> Size + Send + Sync>,
    clock: Box<dyn Fn() -> Duration + Send + Sync>,
    closed: Mutex<bool>,
    closing: Condvar,
    /// Events are only remembered; a thread shows them.
    live: bool,
    quiet: bool,
    /// kaniko's log instead of kiln's.
    log_lines: Option<LogLines>,
    verbose: bool,
    colour: bool,
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("live", &self.shared.live).finish_non_exhaustive()
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("log_is_terminal", &self.log_is_terminal)
            .finish_non_exhaustive()
    }
}

impl Device {
    /// Standard error for the log, standard output for the result.
    pub fn standard() -> Self {
        let start = Instant::now();
        Self {
            log: Box::new(io::stderr()),
            result: Box::new(io::stdout()),
            log_is_terminal: io::stderr().is_terminal(),
            size: Box::new(terminal_size),
            clock: Box::new(move || start.elapsed()),
            start: SystemTime::now(),
        }
    }

    /// Any two writers that are no terminal.
    pub fn writers(log: impl Write + Send + 'static, result: impl Write + Send + 'static) -> Self {
        Self {
            log: Box::new(log),
            result: Box::new(result),
            log_is_terminal: false,
            ..Self::standard()
        }
    }
}

impl Console {
    /// Opens a console; the live view draws from a thread of its own.
    pub fn new(choice: OutputChoice, device: Device) -> Self {
        let colour = choice.color.applies(device.log_is_terminal);
        let verbose = choice.verbosity == Verbosity::Verbose;
        let live = device.log_is_terminal
            && matches!(choice.progress, ProgressChoice::Auto | ProgressChoice::Tty);
        let quiet = choice.progress == ProgressChoice::Quiet;
        let log_lines = match choice.progress {
            ProgressChoice::Log(log) => Some(LogLines::new(log, device.start)),
            _ => None,
        };
        let view: Box<dyn View> = match (choice.progress, log_lines) {
            (_, Some(lines)) => Box::new(Log::new(lines)),
            (ProgressChoice::Quiet, _) => Box::new(Quiet::new(colour)),
            (ProgressChoice::Gitlab, _) => {
                let start = device.start.duration_since(UNIX_EPOCH).unwrap_or_default();
                Box::new(Sections::new(colour, start.as_secs()))
            }
            _ if live => Box::new(Live::new(colour, verbose)),
            _ => Box::new(Plain::new(colour)),
        };
        let shared = Arc::new(Shared {
            log: Mutex::new(device.log),
            view: Mutex::new(view),
            result: Mutex::new(device.result),
            size: device.size,
            clock: device.clock,
            closed: Mutex::new(false),
            closing: Condvar::new(),
            live,
            quiet,
            log_lines,
            verbose,
            colour,
        });
        let ticker = live.then(|| {
            let shared = shared.clone();
            std::thread::Builder::new().name("progress".into()).spawn(move || shared.tick())
        });
        // Without the thread nothing is redrawn, but the lines still come out at the end.
        let ticker = ticker.and_then(Result::ok);
        Self { shared, ticker: Mutex::new(ticker) }
    }

    /// Ends the live view. What is reported later comes out line by line.
    pub fn close(&self) {
        *lock(&self.shared.closed) = true;
        self.shared.closing.notify_all();
        if let Some(ticker) = lock(&self.ticker).take() {
            let _ = ticker.join();
        }
        let size = (self.shared.size)();
        self.shared.show(|view, log| view.close(size, log));
    }

    /// Prints what the build made: a few lines to the log, the digest to the result.
    pub fn report(&self, report: &Report) {
        self.close();
        let shared = &self.shared;
        if let Some(lines) = &shared.log_lines {
            // kaniko has no result but the image: standard output is the commands'.
            write(&shared.log, &lines.report(report, (shared.clock)()));
            return;
        }
        if !shared.quiet {
            write(&shared.log, &report.summary(shared.verbose, shared.colour));
        }
        if report.stdout_taken {
            write(&shared.log, &format!("{}\n", report.digest));
        } else {
            write(&shared.result, &format!("{}\n", report.digest));
        }
    }

    /// Prints why the build failed.
    pub fn error(&self, during: During, error: &(dyn std::error::Error + 'static)) {
        self.close();
        let shared = &self.shared;
        let text = match &shared.log_lines {
            Some(lines) => lines.error(during, error, (shared.clock)()),
            None => diagnostic::render_error(error, shared.colour),
        };
        write(&shared.log, &text);
    }
}

impl Observer for Console {
    fn on(&self, event: Event<'_>) {
        let shared = &self.shared;
        let now = (shared.clock)();
        if !shared.live {
            shared.show(|view, log| view.on(&event, now, log));
            return;
        }
        lock(&shared.view).on(&event, now, &mut String::new());
        // What comes after the end is not waited for by a thread that draws it.
        if *lock(&shared.closed) {
            let size = (shared.size)();
            shared.show(|view, log| view.close(size, log));
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    /// Redraws until closed.
    fn tick(&self) {
        let mut closed = lock(&self.closed);
        while !*closed {
            drop(closed);
            let now = (self.clock)();
            let size = (self.size)();
            self.show(|view, log| view.redraw(now, size, log));
            closed = self
                .closing
                .wait_timeout_while(lock(&self.closed), FRAME_TIME, |closed| !*closed)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Writes what the view makes, in one piece.
    fn show(&self, make: impl FnOnce(&mut dyn View, &mut String)) {
        let mut log = lock(&self.log);
        let mut text = String::new();
        let output = {
            let mut view = lock(&self.view);
            make(view.as_mut(), &mut text);
            view.take_output()
        };
        if !output.is_empty() {
            write(&self.result, &output);
        }
        if !text.is_empty() {
            write_all(&mut *log, &text);
        }
    }
}

fn write(to: &Mutex<Box<dyn Write + Send>>, text: &str) {
    write_all(&mut *lock(to), text);
}

/// A reader that went away (`kiln build 2>&1 | head`) must not end the build: the image still has
/// to reach the registry.
fn write_all(to: &mut dyn Write, text: &str) {
    let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The size of the terminal behind standard error; the usual one if it does not say.
fn terminal_size() -> Size {
    let size = rustix::termios::tcgetwinsize(io::stderr()).ok();
    match size.map(|size| (usize::from(size.ws_col), usize::from(size.ws_row))) {
        Some((columns, rows)) if columns > 0 && rows > 0 => Size { columns, rows },
        _ => Size { columns: 80, rows: 24 },
    }
}

/// Prints a text that was asked for, such as `--help`, to standard output.
pub fn print(text: &str) {
    write_all(&mut io::stdout(), text);
}

/// Prints a rendered error to standard error, where no console was opened yet.
pub fn print_error(rendered: &str) {
    write_all(&mut io::stderr(), rendered);
}

/// Prints a warning to standard error, where there is no console.
pub fn print_warning(text: &str) {
    let paint = Paint(stderr_colour(ColorChoice::Auto));
    if let Some(line) = task::remark(&Event::Warning(text), paint) {
        print_error(&(line + "\n"));
    }
}

/// Whether [`print`] may use colours.
pub fn stdout_colour(choice: ColorChoice) -> bool {
    choice.applies(io::stdout().is_terminal())
}

/// Whether [`print_error`] may use colours.
pub fn stderr_colour(choice: ColorChoice) -> bool {
    choice.applies(io::stderr().is_terminal())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::event::{Reporter, Stream};

    /// A writer that keeps what was written.
    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            lock(&self.0).extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Paper {
        fn text(&self) -> String {
            String::from_utf8_lossy(&lock(&self.0)).into_owned()
        }
    }

    fn device(log: &Paper, result: &Paper, log_is_terminal: bool) -> Device {
        Device {
            log_is_terminal,
            size: Box::new(|| Size { columns: 80, rows: 24 }),
            clock: Box::new(|| Duration::ZERO),
            ..Device::writers(log.clone(), result.clone())
        }
    }

    fn run(choice: OutputChoice, is_terminal: bool) -> (String, String) {
        let (log, result) = (Paper::default(), Paper::default());
        let console = Arc::new(Console::new(choice, device(&log, &result, is_terminal)));
        let reporter = Reporter::new(console.clone());
        let task = reporter.start("[1/1] RUN make");
        task.output(Stream::Out, b"made\n");
        task.done();
        console.report(&Report {
            work: crate::ui::Work::Built,
            names: vec!["registry.example/app:1".into()],
            digest: Digest::of(b""),
            size: 45_200_000,
            layers: 7,
            images: 1,
            stdout_taken: false,
            seconds: 12.34,
            steps: Vec::new(),
            peak_memory: None,
        });
        reporter.warning("after the end");
        (log.text(), result.text())
    }

    #[test]
    fn the_result_goes_to_standard_output_in_every_view() {
        for progress in [
            ProgressChoice::Auto,
            ProgressChoice::Plain,
            ProgressChoice::Tty,
            ProgressChoice::Quiet,
        ] {
            for is_terminal in [false, true] {
                let choice =
                    OutputChoice { progress, color: ColorChoice::Never, ..OutputChoice::default() };
                let (log, result) = run(choice, is_terminal);
                assert_eq!(result, format!("{}\n", Digest::of(b"")), "{progress:?}");
                let quiet = progress == ProgressChoice::Quiet;
                assert_eq!(log.is_empty(), quiet, "{progress:?}: {log}");
                assert_eq!(log.contains("after the end"), !quiet, "{progress:?}");
                let live = is_terminal && !quiet && progress != ProgressChoice::Plain;
                assert_eq!(log.contains("  #1 | made"), !live && !quiet, "{progress:?}: {log}");
            }
        }
    }

    #[test]
    fn colours_follow_the_choice() {
        for (color, is_terminal, coloured) in [
            (ColorChoice::Auto, false, false),
            (ColorChoice::Auto, true, true),
            (ColorChoice::Always, false, true),
            (ColorChoice::Never, true, false),
        ] {
            let choice =
                OutputChoice { color, progress: ProgressChoice::Plain, ..OutputChoice::default() };
            let (log, _) = run(choice, is_terminal);
            assert_eq!(log.contains('\x1b'), coloured, "{color:?} {is_terminal}: {log}");
        }
    }

    #[test]
    fn a_dropped_console_gives_the_cursor_back() {
        let (log, result) = (Paper::default(), Paper::default());
        let console = Console::new(OutputChoice::default(), device(&log, &result, true));
        console.on(Event::Started { task: crate::event::TaskId(1), name: "pull" });
        console.shared.show(|view, log| {
            view.redraw(Duration::ZERO, Size { columns: 80, rows: 24 }, log);
        });
        assert!(log.text().contains("\x1b[?25l"));
        drop(console);
        assert!(log.text().ends_with("\x1b[?25h"), "{:?}", log.text());
    }

    #[test]
    fn a_reader_that_went_away_does_no_harm() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        let console = Console::new(OutputChoice::default(), Device::writers(Gone, Gone));
        console.on(Event::Warning("nobody reads this"));
    }
}
