//! Tables of curves.

use std::fmt::Write as _;

use super::shape::SHAPES;
use crate::bench::Spread;
use crate::bench::results::{Curve, Curves, Point, Sample};
use crate::bench::table::machine;

/// From one point to the next the cost may grow with this power of the count.
const LINEAR: f64 = 1.15;

/// All of them, and what they were measured on.
pub(super) fn all(curves: &Curves) -> String {
    let mut text = machine(&curves.machine, &curves.date, &curves.commit);
    for curve in &curves.curves {
        let _ = write!(text, "\n## {}\n\n{}", upper(&curve.title), table(curve));
    }
    text
}

fn table(curve: &Curve) -> String {
    let unit = SHAPES.iter().find(|shape| shape.id == curve.id).map_or("one", |shape| shape.unit);
    let mut text = format!(
        "| {unit}s | seconds | of these the RUN's own | kiln's | each further {unit} (µs) | growth \
         | CPU seconds | memory (MiB) | requests |\n|---|---|---|---|---|---|---|---|---|\n"
    )
    .replace("MBs", "MB");
    let mut last: Option<&Point> = None;
    for point in curve.points.iter().filter(|point| !point.samples.is_empty()) {
        let further = last.map_or_else(|| "–".to_owned(), |last| further(last, point));
        let growth = last.map_or_else(|| "–".to_owned(), |last| growth(last, point));
        let seconds: Vec<f64> = point.samples.iter().map(|sample| sample.wall).collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {:.2} | {further} | {growth} | {:.2} | {:.0} | {:.0} |",
            grouped(point.count),
            Spread::of(&seconds),
            shown(median(point, run)),
            median(point, own),
            median(point, |sample| sample.cpu),
            median(point, |sample| sample.memory as f64 / f64::from(1 << 20)),
            median(point, |sample| sample.requests as f64),
        );
        last = Some(point);
    }
    text
}

/// What a command of RUN needed by itself.
fn run(sample: &Sample) -> f64 {
    sample.phases.get("RUN").copied().unwrap_or_default()
}

fn own(sample: &Sample) -> f64 {
    sample.wall - run(sample)
}

fn shown(seconds: f64) -> String {
    if seconds > 0.0 { format!("{seconds:.2}") } else { "–".to_owned() }
}

fn median(point: &Point, of: impl Fn(&Sample) -> f64) -> f64 {
    let all: Vec<f64> = point.samples.iter().map(of).collect();
    Spread::of(&all).median
}

fn further(last: &Point, point: &Point) -> String {
    let more = median(point, own) - median(last, own);
    let each = more * 1e6 / (point.count - last.count) as f64;
    if each < 100.0 { format!("{each:.1}") } else { format!("{each:.0}") }
}

/// With which power of the count the cost grew.
fn exponent(last: &Point, point: &Point) -> f64 {
    let cost = median(point, own) / median(last, own);
    cost.ln() / (point.count as f64 / last.count as f64).ln()
}

fn growth(last: &Point, point: &Point) -> String {
    let exponent = exponent(last, point);
    let mark = if exponent > LINEAR { ", **more than linear**" } else { "" };
    format!("{exponent:.2}{mark}")
}

/// 1000000 as 1,000,000.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn upper(title: &str) -> String {
    let mut letters = title.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(count: u64, own: f64, run: f64) -> Point {
        let phases = [("RUN".to_owned(), run)].into();
        let sample = Sample { wall: own + run, phases, requests: 7, ..Sample::default() };
        Point { count, samples: vec![sample] }
    }

    #[test]
    fn what_grows_faster_than_its_number_is_marked() {
        let points = vec![point(100, 0.1, 0.0), point(1_000, 1.0, 5.0), point(10_000, 20.0, 0.0)];
        let curve = Curve { id: "files".into(), title: "files".into(), points };
        let text = table(&curve);
        assert!(text.starts_with("| files | seconds |"), "{text}");
        let linear = "| 1,000 | 6.00 (6.00–6.00) | 5.00 | 1.00 | 1000 | 1.00 | 0.00 | 0 | 7 |";
        assert!(text.contains(linear), "{text}");
        assert!(
            text.contains(
                "| 10,000 | 20.00 (20.00–20.00) | – | 20.00 | 2111 | 1.30, **more than linear** |"
            ),
            "{text}"
        );
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([1, 999, 1_000, 1_000_000].map(grouped), ["1", "999", "1,000", "1,000,000"]);
    }
}
