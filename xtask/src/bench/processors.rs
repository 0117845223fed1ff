//! The time that curves and limits take.

use std::fs;

/// Seconds of processors that this process had, and its children that have ended, and theirs; see
/// proc_pid_stat(5), `utime` to `cstime`.
pub(super) fn used() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    // The 14th to the 17th of all; the first two are before the bracket.
    let ticks = fields.skip(11).take(4).filter_map(|field| field.parse::<f64>().ok());
    // A tick is a hundredth on every architecture that Linux shows to programs.
    ticks.sum::<f64>() / 100.0
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::step::quiet;

    #[test]
    fn processors_of_children_count() {
        let before = used();
        let busy = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        assert!(quiet(Command::new("sh").args(["-c", busy])).is_ok());
        assert!(used() > before);
    }
}
