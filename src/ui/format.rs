//! Sizes and durations as people read them.

use std::time::Duration;

/// A number of bytes in decimal units, as registries and `docker images` count: `45.2 MB`.
pub fn size(bytes: u64) -> String {
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut units = ["kB", "MB", "GB", "TB", "PB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    // 999.95 would be shown as 1000.0.
    while value >= 999.95 {
        let Some(next) = units.next() else { break };
        value /= 1000.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// A duration: `0.3s`, `1m05s`, `2h00m`.
pub fn duration(duration: Duration) -> String {
    let tenths = (duration.as_millis() + 50) / 100;
    if tenths < 600 {
        return format!("{}.{}s", tenths / 10, tenths % 10);
    }
    let seconds = (duration.as_millis() + 500) / 1000;
    if seconds < 3600 {
        format!("{}m{:02}s", seconds / 60, seconds % 60)
    } else {
        format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60)
    }
}

/// How far something is: `12.0 MB of 45.2 MB`, or the first half when the end is unknown.
pub fn progress(done: u64, total: Option<u64>) -> String {
    match total {
        Some(total) => format!("{} of {}", size(done), size(total)),
        None => size(done),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_round_into_the_next_unit() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (45_240_000, "45.2 MB"),
            (1_500_000_000, "1.5 GB"),
            (u64::MAX, "18446.7 PB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn durations_round_into_the_next_unit() {
        for (millis, text) in [
            (0, "0.0s"),
            (49, "0.0s"),
            (50, "0.1s"),
            (59_949, "59.9s"),
            (59_950, "1m00s"),
            (65_499, "1m05s"),
            (3_599_499, "59m59s"),
            (3_599_500, "1h00m"),
            (7_380_000, "2h03m"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), text, "{millis}");
        }
    }
}
