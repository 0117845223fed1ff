//! HEALTHCHECK.

use std::time::Duration;

use super::flags::{Kind, Spec};
use super::{Fault, Flags, command};
use crate::dockerfile::Healthcheck;
use crate::dockerfile::tree::{Item, Word};

const FLAGS: [Spec; 5] = [
    ("interval", Kind::Text),
    ("timeout", Kind::Text),
    ("start-period", Kind::Text),
    ("start-interval", Kind::Text),
    ("retries", Kind::Text),
];

/// Docker refuses to look more often.
const SHORTEST: Duration = Duration::from_millis(1);

pub(super) fn healthcheck(item: &Item) -> Result<Healthcheck, Fault> {
    let Some((kind, args)) = item.args.split_first() else {
        return Err(Fault::new("HEALTHCHECK requires at least one argument"));
    };
    let flags = Flags::parse(&FLAGS, &item.flags)?;
    match kind.text.to_uppercase().as_str() {
        "NONE" if args.is_empty() => Ok(Healthcheck::None),
        "NONE" => Err(Fault::new("HEALTHCHECK NONE takes no arguments").at(&args[0].at)),
        "CMD" if args.is_empty() => {
            Err(Fault::new("Missing command after HEALTHCHECK CMD").at(&kind.at))
        }
        "CMD" => Ok(Healthcheck::Check {
            command: command(args, item.json),
            interval: duration(&flags, "interval")?,
            timeout: duration(&flags, "timeout")?,
            start_period: duration(&flags, "start-period")?,
            start_interval: duration(&flags, "start-interval")?,
            retries: retries(&flags)?,
        }),
        other => {
            let message = format!("Unknown type {other:?} in HEALTHCHECK (try CMD)");
            Err(Fault::new(message).at(&kind.at))
        }
    }
}

fn duration(flags: &Flags<'_>, name: &str) -> Result<Option<Duration>, Fault> {
    let Some(text) = flags.text(name) else { return Ok(None) };
    let fault = |message: String| with_word(Fault::new(message), flags.word(name));
    let duration = parse_duration(&text).map_err(fault)?;
    if duration < SHORTEST && !duration.is_zero() {
        return Err(fault(format!("Interval {name:?} cannot be less than 1ms")));
    }
    Ok(Some(duration))
}

fn retries(flags: &Flags<'_>) -> Result<Option<u32>, Fault> {
    let Some(text) = flags.text("retries") else { return Ok(None) };
    let fault = |message: String| with_word(Fault::new(message), flags.word("retries"));
    let number: i32 =
        text.parse().map_err(|_| fault(format!("invalid number of --retries: {text:?}")))?;
    u32::try_from(number)
        .map(Some)
        .map_err(|_| fault(format!("--retries cannot be negative ({number})")))
}

fn with_word(fault: Fault, word: Option<&Word>) -> Fault {
    match word {
        Some(word) => fault.at(&word.at),
        None => fault,
    }
}

/// Go's time.ParseDuration without negative values: `1m30s`, `1.5h`, `0`.
///
/// # Errors
///
/// A message for the author of the Dockerfile.
pub(in super::super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.starts_with('-') {
        return Err(format!("{text:?} is negative, and a duration cannot be"));
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut nanoseconds: u128 = 0;
    while !rest.is_empty() {
        let (number, more) = split_at_not(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, more) = split_at_not(more, |c| !c.is_ascii_digit() && c != '.');
        let scale: u128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "" => return Err(format!("time: missing unit in duration {text:?}")),
            _ => return Err(format!("time: unknown unit {unit:?} in duration {text:?}")),
        };
        let part = scaled(number, scale).ok_or_else(invalid)?;
        nanoseconds = nanoseconds.saturating_add(part);
        rest = more;
    }
    // An image's config holds Go's int64.
    match i64::try_from(nanoseconds) {
        Ok(nanoseconds) => Ok(Duration::from_nanos(nanoseconds.unsigned_abs())),
        Err(_) => Err(invalid()),
    }
}

fn split_at_not(text: &str, wanted: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !wanted(c)).unwrap_or(text.len()))
}

/// A decimal number times `scale`, cut to a whole; `None` if it is no number, or huge.
fn scaled(number: &str, scale: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // Beyond 18 digits a fraction of an hour is no nanosecond any more.
    let fraction = &fraction[..fraction.len().min(18)];
    let power = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    let part: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    whole.checked_mul(scale)?.checked_add(part * scale / power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, expected) in [
            ("1m30s", Some(90_000_000_000)),
            ("1.5h", Some(5_400_000_000_000)),
            (".5s", Some(500_000_000)),
            ("1.s", Some(1_000_000_000)),
            ("5µs1ns", Some(5_001)),
            ("0", Some(0)),
            ("+3s", Some(3_000_000_000)),
            ("9223372036854775807ns", Some(i64::MAX as u64)),
            ("9223372036854775808ns", None),
            ("999999999999999999999999999999999999999h", None),
            ("5", None),
            ("5d", None),
            ("-1s", None),
            ("", None),
            (".s", None),
            ("1.2.3s", None),
            ("s", None),
        ] {
            let found = parse_duration(text).ok().map(|found| found.as_nanos());
            assert_eq!(found, expected.map(u128::from), "{text:?}");
        }
    }
}
