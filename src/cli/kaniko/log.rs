//! `--verbosity`, `--log-format`, `--log-timestamp`.

use super::values::Values;
use crate::ui::{LogChoice, LogFormat, LogLevel, OutputChoice, ProgressChoice};

/// How the log looks.
pub(super) fn output(values: &Values) -> OutputChoice {
    let level = match values.text("verbosity") {
        Some("trace") => LogLevel::Trace,
        Some("debug") => LogLevel::Debug,
        Some("warn" | "warning") => LogLevel::Warn,
        Some("error") => LogLevel::Error,
        Some("fatal" | "panic") => LogLevel::Fatal,
        _ => LogLevel::Info,
    };
    let format = match values.text("log-format") {
        Some("text") => LogFormat::Text,
        Some("json") => LogFormat::Json,
        _ => LogFormat::Color,
    };
    let choice = LogChoice { format, level, timestamp: values.switch("log-timestamp") };
    OutputChoice { progress: ProgressChoice::Log(choice), ..OutputChoice::default() }
}
