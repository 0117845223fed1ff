//! How much caches take, for people and for programs.

use super::clean;
use super::format;
use super::task::push_line;
use crate::pipeline::{Blobs, Kind, PlaceReport, PlaceUsage, Pruned, ThingUsage, Used};

/// As people read it; `now` in seconds since 1970.
pub fn text(places: &[PlaceReport], now: u64) -> String {
    let mut text = String::new();
    for place in places {
        match place {
            PlaceReport::Usage(usage) => {
                if !text.is_empty() {
                    text.push('\n');
                }
                table(&mut text, usage, now);
            }
            PlaceReport::Pruned(pruned) => of_pruned(&mut text, pruned),
        }
    }
    text
}

/// As programs read it: one JSON array, with an object for each place.
pub fn json(places: &[PlaceReport]) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(places)? + "\n")
}

/// Names come from registries and files: nothing of them acts on a terminal.
fn line(text: &mut String, line: &str) {
    push_line(text, &clean::line(line));
}

fn table(text: &mut String, usage: &PlaceUsage, now: u64) {
    line(text, &usage.place);
    let mut rows: Vec<[String; 4]> = usage.things.iter().map(|thing| row(thing, now)).collect();
    if let Some(Blobs { blobs, bytes }) = usage.unreferenced.filter(|loose| loose.blobs > 0) {
        let what = format!("{} that nothing leads to", counted(blobs, "blob"));
        rows.push([what, String::new(), format::size(bytes), String::new()]);
    }
    if rows.is_empty() {
        line(text, "  empty");
        return;
    }
    let total = [String::from("total"), String::new(), format::size(usage.bytes), String::new()];
    rows.push(total);
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or_default()
    };
    let (name, count, size) = (width(0), width(1), width(2));
    for [a, b, c, d] in &rows {
        let row = format!("  {a:name$}  {b:>count$}  {c:>size$}  {d}");
        line(text, row.trim_end());
    }
}

fn row(thing: &ThingUsage, now: u64) -> [String; 4] {
    // Before it is measured.
    let name = clean::line(&thing.name);
    let (name, count) = match thing.kind {
        Kind::Results => (name, counted(thing.count, "result")),
        Kind::TravellingMount => (format!("{name} (RUN cache)"), counted(thing.count, "part")),
        Kind::BaseImage => (name, "base image".into()),
        Kind::RunCache => (name, "RUN cache".into()),
    };
    let mut used = match thing.used {
        None => "not known when used".to_owned(),
        Some(Used { oldest, newest }) if oldest / 60 == newest / 60 => {
            format!("used {}", ago(newest, now))
        }
        Some(Used { oldest, newest }) => {
            format!("used {}, the oldest {}", ago(newest, now), ago(oldest, now))
        }
    };
    if thing.in_use {
        used = "in use now".into();
    }
    [name, count, format::size(thing.bytes), used]
}

fn of_pruned(text: &mut String, pruned: &Pruned) {
    let mut what = Vec::new();
    if pruned.results > 0 {
        what.push(counted(pruned.results, "result"));
    }
    if pruned.things > 0 {
        what.push(counted(pruned.things, if pruned.results > 0 { "RUN cache" } else { "thing" }));
    }
    let would = if pruned.dry_run { "would be taken away" } else { "taken away" };
    let what = match what.is_empty() {
        true => format!("nothing {would}"),
        false => format!("{} ({}) {would}", what.join(" and "), format::size(pruned.bytes)),
    };
    line(text, &format!("{}: {what}", pruned.place));
    let Blobs { blobs: deleted, bytes } = pruned.deleted;
    if deleted > 0 {
        let deleted = counted(deleted, "blob");
        line(text, &format!("  {deleted} deleted, {} freed", format::size(bytes)));
    }
    let Blobs { blobs: kept, bytes } = pruned.kept_back;
    if kept > 0 {
        let (kept, bytes) = (counted(kept, "blob"), format::size(bytes));
        line(
            text,
            &format!(
                "  {kept} ({bytes}) used within the hour: a prune after that deletes what is then unused"
            ),
        );
    }
    if pruned.in_use > 0 {
        line(text, &format!("  {} in use, left alone", counted(pruned.in_use, "thing")));
    }
    if pruned.by_registry && !pruned.dry_run && pruned.results + pruned.things > 0 {
        line(text, "  the registry frees the space when it collects its garbage");
    }
    for refusal in &pruned.refused {
        line(text, &format!("  the tag {} stays: {}", refusal.tag, refusal.why));
    }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// `just now`, `5 min ago`, `3 h ago`, `12 days ago`. A clock that was set back is now.
fn ago(then: u64, now: u64) -> String {
    match now.saturating_sub(then) {
        0..60 => "just now".into(),
        seconds @ 60..5400 => format!("{} min ago", seconds / 60),
        seconds @ 5400..172_800 => format!("{} h ago", (seconds + 1800) / 3600),
        seconds => format!("{} days ago", (seconds + 43_200) / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thing(kind: Kind, name: &str, count: usize, bytes: u64) -> ThingUsage {
        ThingUsage {
            kind,
            name: name.into(),
            count,
            bytes,
            used: Some(Used { oldest: 1_000_000 - 864_000, newest: 1_000_000 - 300 }),
            in_use: false,
        }
    }

    #[test]
    fn a_table_for_people() {
        let mut unknown = thing(Kind::TravellingMount, "kiln-mount-0f", 1, 5_000_000);
        unknown.used = None;
        let usage = PlaceUsage {
            place: "registry.example/app/cache".into(),
            things: vec![thing(Kind::Results, "kiln\u{1b}[31m", 42, 45_240_000), unknown],
            unreferenced: Some(Blobs { blobs: 2, bytes: 1000 }),
            bytes: 50_241_000,
        };
        let empty = PlaceUsage {
            place: "oci:/cache".into(),
            things: Vec::new(),
            unreferenced: Some(Blobs::default()),
            bytes: 0,
        };
        let text = text(&[PlaceReport::Usage(usage), PlaceReport::Usage(empty)], 1_000_000);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn what_was_taken_away() {
        let begin = || Pruned { place: "oci:/cache".into(), ..Pruned::default() };
        let all = [
            begin(),
            Pruned {
                results: 3,
                things: 1,
                bytes: 5_000_000,
                deleted: Blobs { blobs: 7, bytes: 4_000_000 },
                kept_back: Blobs { blobs: 1, bytes: 1_000_000 },
                ..begin()
            },
            Pruned { results: 1, bytes: 10, dry_run: true, by_registry: true, ..begin() },
            Pruned {
                results: 1,
                bytes: 10,
                by_registry: true,
                in_use: 1,
                refused: vec![crate::pipeline::Refusal { tag: "kiln".into(), why: "no".into() }],
                ..begin()
            },
        ];
        let text = text(&all.map(PlaceReport::Pruned), 0);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn times_as_people_say_them() {
        for (seconds, expected) in [
            (0, "just now"),
            (59, "just now"),
            (60, "1 min ago"),
            (5399, "89 min ago"),
            (5400, "2 h ago"),
            (172_799, "48 h ago"),
            (172_800, "2 days ago"),
            (864_000, "10 days ago"),
        ] {
            assert_eq!(ago(1_000_000 - seconds, 1_000_000), expected);
        }
        assert_eq!(ago(5, 0), "just now");
    }
}
