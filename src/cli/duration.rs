//! A length of time as Go's time.ParseDuration reads it.

use std::time::Duration;

/// `336h`, `1h30m`, `1.5h`, `0`; not negative.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let expected = || "expected a duration such as 90s, 336h or 1h30m".to_owned();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(expected)?;
        let number: f64 = rest[..digits].parse().map_err(|_| expected())?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        seconds += number
            * match &rest[..unit] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return Err(expected()),
            };
        rest = &rest[unit..];
    }
    let valid = if text.is_empty() { None } else { Duration::try_from_secs_f64(seconds).ok() };
    valid.ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_reads_them() {
        for (text, seconds) in [
            ("336h", Some(1_209_600.0)),
            ("1h30m", Some(5400.0)),
            ("1.5h", Some(5400.0)),
            ("250ms", Some(0.25)),
            ("0", Some(0.0)),
            ("", None),
            ("5", None),
            ("h", None),
            ("-1h", None),
            ("1d", None),
        ] {
            assert_eq!(parse(text).ok().map(|time| time.as_secs_f64()), seconds, "{text}");
        }
    }
}
