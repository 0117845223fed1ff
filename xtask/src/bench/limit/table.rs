//! Tables of limits.

use std::fmt::Write as _;

use super::{Layer, Limits, Start, Written};
use crate::bench::Spread;
use crate::bench::results::Point;
use crate::bench::table::machine;

/// Of the speed of tar and libdeflate, at least.
const SPEED: f64 = 0.8;
/// Milliseconds, at most.
const START: f64 = 40.0;
/// Times of the smaller layer's memory, at most.
const MEMORY: f64 = 1.1;

pub(super) fn all(limits: &Limits) -> String {
    format!(
        "{}\n## A layer\n\n{}\n## The start\n\n{}\n## Memory\n\n{}",
        machine(&limits.machine, &limits.date, &limits.commit),
        layer(&limits.layer),
        starts(&limits.starts),
        memory(&limits.memory)
    )
}

fn layer(layer: &Layer) -> String {
    let mut text = format!(
        "A tree of {:.0} MB in {} files as a layer.\n\n\
         | | seconds | MB/s | CPU seconds | MB written | kiln's speed | at least | |\n\
         |---|---|---|---|---|---|---|---|\n",
        layer.bytes as f64 / 1e6,
        layer.files
    );
    let mut line = |name: &str, written: &Written, against: &str| {
        let seconds = Spread::of(&written.seconds);
        let _ = writeln!(
            text,
            "| {name} | {seconds} | {:.0} | {:.2} | {:.1} | {against} |",
            layer.bytes as f64 / 1e6 / seconds.median,
            Spread::of(&written.processors).median,
            written.size as f64 / 1e6
        );
    };
    line("kiln: all of a build, with both digests", &layer.kiln, "| |");
    let speed =
        |of: &Written| Spread::of(&of.seconds).median / Spread::of(&layer.kiln.seconds).median;
    let bare = speed(&layer.bare);
    let aim = format!("{bare:.2} | {SPEED} | {}", verdict(bare >= SPEED));
    line("`tar`, libdeflate on all cores", &layer.bare, &aim);
    line("the same, and both digests", &layer.hashed, &format!("{:.2} | |", speed(&layer.hashed)));
    text
}

fn starts(starts: &[Start]) -> String {
    let mut text =
        "| started by | ms until the first useful request | at most | |\n|---|---|---|---|\n"
            .to_owned();
    for start in starts {
        let Spread { median, least, most } = Spread::of(&start.milliseconds);
        let _ = writeln!(
            text,
            "| {} | {median:.1} ({least:.1}–{most:.1}) | {START} | {} |",
            start.who,
            verdict(median <= START)
        );
    }
    text
}

fn memory(points: &[Point]) -> String {
    let mut text =
        "| a layer of | peak memory (MiB) | times the first | at most | |\n|---|---|---|---|---|\n"
            .to_owned();
    let peak = |point: &Point| {
        let all: Vec<f64> = point.samples.iter().map(|sample| sample.memory as f64).collect();
        Spread::of(&all).median
    };
    for (index, point) in points.iter().enumerate() {
        let times = peak(point) / peak(&points[0]);
        let aim = match index {
            0 => "– | – | ".to_owned(),
            _ => format!("{times:.2} | {MEMORY} | {}", verdict(times <= MEMORY)),
        };
        let mib = peak(point) / f64::from(1 << 20);
        let _ = writeln!(text, "| {} MB | {mib:.1} | {aim} |", point.count);
    }
    text
}

fn verdict(reached: bool) -> &'static str {
    if reached { "reached" } else { "**missed**" }
}

#[cfg(test)]
mod tests {
    use super::super::super::made_up;
    use super::*;
    use crate::bench::results::Sample;

    fn written(seconds: f64) -> Written {
        Written { seconds: vec![seconds; 3], processors: vec![3.0; 3], size: 200_000_000 }
    }

    fn point(count: u64, memory: u64) -> Point {
        Point { count, samples: vec![Sample { memory, ..Sample::default() }] }
    }

    #[test]
    fn limits_are_judged() {
        let start = |milliseconds| Start { who: "root".into(), milliseconds: vec![milliseconds] };
        let limits = Limits {
            date: "2026-11-30".into(),
            commit: "1234567".into(),
            machine: made_up::machine(),
            layer: Layer {
                bytes: 500_000_000,
                files: 20_000,
                kiln: written(2.0),
                bare: written(1.5),
                hashed: written(2.5),
            },
            starts: vec![start(12.0), start(41.0)],
            memory: vec![point(100, 50 << 20), point(2_000, 54 << 20)],
        };
        let text = all(&limits);
        assert!(
            text.contains(
                "| kiln: all of a build, with both digests | 2.00 (2.00–2.00) | 250 | 3.00 | 200.0 | | | |"
            ),
            "{text}"
        );
        assert!(
            text.contains("| 1.50 (1.50–1.50) | 333 | 3.00 | 200.0 | 0.75 | 0.8 | **missed** |"),
            "{text}"
        );
        assert!(text.contains("| 2.50 (2.50–2.50) | 200 | 3.00 | 200.0 | 1.25 | | |"), "{text}");
        assert!(text.contains("| root | 12.0 (12.0–12.0) | 40 | reached |"), "{text}");
        assert!(text.contains("| root | 41.0 (41.0–41.0) | 40 | **missed** |"), "{text}");
        assert!(text.contains("| 2000 MB | 54.0 | 1.08 | 1.1 | reached |"), "{text}");
    }
}
