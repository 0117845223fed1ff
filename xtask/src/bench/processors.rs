//! The time of processors that programs have taken.

use std::fs;
use std::ops::Range;

/// Seconds of processors that this process had, and its children that have ended, and theirs.
pub(super) fn used() -> f64 {
    seconds(14..18)
}

/// Those of its children alone.
pub(super) fn of_children() -> f64 {
    seconds(16..18)
}

/// The sum of these fields of proc_pid_stat(5), which count from 1; `utime` is 14, `cstime` 17.
fn seconds(fields: Range<usize>) -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The first two are before the bracket.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks = rest.skip(fields.start - 3).take(fields.len());
    // A tick is a hundredth on every architecture that Linux shows to programs.
    ticks.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::step::quiet;

    #[test]
    fn processors_of_children_count() {
        let before = [used(), of_children()];
        let busy = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        assert!(quiet(Command::new("sh").args(["-c", busy])).is_ok());
        assert!(used() > before[0] && of_children() > before[1]);
        assert!(of_children() <= used());
    }
}
