//! What was measured, and what is allowed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::mode::{Mode, VARIABLE};
use super::trace::Counts;

/// What a row says: what the count was when it was written down, and what it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    measured: u64,
    ceiling: u64,
}

/// Rows by case and by what they count.
type Table = BTreeMap<String, BTreeMap<String, Row>>;

/// Without an overlay a file that is as young as the clock's grain is read again after a command, since
/// it may have changed within the same step of the clock (`src/rootfs/scan/clock.rs`). Which files these
/// are is a matter of time.
fn has_young_files(case: &str) -> bool {
    case.ends_with("chroot")
}

/// What is not compared for that reason: such a file may be large.
fn is_noise(case: &str, what: &str) -> bool {
    has_young_files(case) && what == "bytes read from trees"
}

/// Compares the counts of a case with its rows, or does what else the environment says.
#[track_caller]
pub fn check(case: &str, counts: &Counts) {
    assert_none(&complaints(case, counts));
}

/// What does not hold of a case, a line for each.
#[track_caller]
pub fn complaints(case: &str, counts: &Counts) -> String {
    match Mode::of_environment() {
        Mode::Check | Mode::Keep => {}
        Mode::Print => print!("{}", block(case, &rows(case, counts))),
        Mode::Write => {
            write(case, counts);
            return String::new();
        }
    }
    let table = parse(&fs::read_to_string(path()).expect("the table"));
    match table.get(case) {
        Some(rows) => compare(case, rows, counts),
        None => format!("{case}: this case is not in the table\n"),
    }
}

/// Fails with all complaints, and says how the table is changed.
#[track_caller]
pub fn assert_none(complaints: &str) {
    let path = path();
    assert!(
        complaints.is_empty(),
        "\n{complaints}\
         To see the calls, run it with {VARIABLE}=keep. If this is meant, write the new table with\n    \
         {VARIABLE}=write cargo test --test counted\n\
         and commit {} with the reason.\n",
        path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(&path).display(),
    );
}

/// A sentence for each row that does not hold.
fn compare(case: &str, rows: &BTreeMap<String, Row>, counts: &Counts) -> String {
    let mut said = String::new();
    let mut say = |text: String| writeln!(said, "{case}: {text}").expect("memory");
    for (what, &count) in counts {
        match rows.get(what) {
            None if count > 0 && !is_noise(case, what) => {
                say(format!("{what}: {count}, where there were none before"))
            }
            Some(row) if count > row.ceiling => say(format!(
                "{what}: {count} instead of {}, and no more than {} are allowed",
                row.measured, row.ceiling
            )),
            _ => {}
        }
    }
    for (what, row) in rows {
        let count = counts.get(what).copied().unwrap_or(0);
        if count < row.measured - row.measured / 3 {
            say(format!("{what}: {count} instead of {}; lower the ceiling", row.measured));
        }
    }
    said
}

fn rows(case: &str, counts: &Counts) -> BTreeMap<String, Row> {
    let row = |(what, &measured): (&String, &u64)| {
        (what.clone(), Row { measured, ceiling: ceiling(case, what, measured) })
    };
    let meant = |what: &str, count: u64| count > 0 && !is_noise(case, what);
    counts.iter().filter(|(what, count)| meant(what, **count)).map(row).collect()
}

/// What is allowed where so much was measured.
fn ceiling(case: &str, what: &str, measured: u64) -> u64 {
    match what {
        _ if EXACT.iter().any(|start| what.starts_with(start)) => measured,
        // Times, names and ports are written with more or fewer digits.
        _ if what.starts_with("bytes") => measured + measured / 50 + 100,
        "files opened" | "stats" if has_young_files(case) => measured + measured / 33 + 15,
        // Which files of /proc and /sys are there to be covered depends on the kernel.
        "mounts" => measured + measured / 8 + 4,
        _ => measured + measured / 33 + 2,
    }
}

/// Requests, and what costs as much as many files at once.
const EXACT: [&str; 7] =
    ["GET ", "HEAD ", "POST ", "PUT ", "PATCH ", "DELETE ", "directories of certificates"];

/// Stands for no row, so that one can see that it is meant.
const NOTHING: &str = "nothing";

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/counted/counts.table")
}

/// Puts the counts of a case into the file, between those of others.
fn write(case: &str, counts: &Counts) {
    // Tests that run side by side write one after the other.
    let lock = File::open(path()).expect("the table");
    lock.lock().expect("a lock");
    let text = fs::read_to_string(path()).expect("the table");
    let head: String = text
        .lines()
        .take_while(|line| line.starts_with('#'))
        .map(|line| format!("{line}\n"))
        .collect();
    let mut table = parse(&text);
    table.insert(case.to_owned(), rows(case, counts));
    let blocks: String = table.iter().map(|(case, rows)| block(case, rows)).collect();
    fs::write(path(), head + &blocks).expect("the table can be written");
}

fn block(case: &str, rows: &BTreeMap<String, Row>) -> String {
    let mut text = format!("\n{case}\n");
    if rows.is_empty() {
        writeln!(text, "  {NOTHING}").expect("memory");
    }
    for (what, Row { measured, ceiling }) in rows {
        writeln!(text, "  {what:<36} measured {measured:>9}  ceiling {ceiling:>9}")
            .expect("memory");
    }
    text
}

#[track_caller]
fn parse(text: &str) -> Table {
    let mut table = Table::new();
    let mut case = String::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_prefix("  ") {
            None => {
                case = line.to_owned();
                table.entry(case.clone()).or_default();
            }
            Some(NOTHING) => {}
            Some(line) => {
                let (what, row) = row(line).unwrap_or_else(|| panic!("not a row: {line}"));
                table.entry(case.clone()).or_default().insert(what, row);
            }
        }
    }
    table
}

fn row(line: &str) -> Option<(String, Row)> {
    let (what, numbers) = line.split_once(" measured ")?;
    let (measured, ceiling) = numbers.split_once(" ceiling ")?;
    let row =
        Row { measured: measured.trim().parse().ok()?, ceiling: ceiling.trim().parse().ok()? };
    Some((what.trim().to_owned(), row))
}

#[test]
fn more_fails_and_much_less_fails() {
    let rows =
        parse("case\n  stats   measured 90  ceiling 92\n  GET blob  measured 3  ceiling 3\n");
    let said = |stats: u64, gets: u64, others: u64| {
        let counts = [("stats", stats), ("GET blob", gets), ("HEAD blob", others)];
        let counts = counts.map(|(what, count)| (what.to_owned(), count)).into_iter().collect();
        compare("case", &rows["case"], &counts)
    };
    assert_eq!(said(92, 3, 0), "");
    assert_eq!(said(60, 2, 0), "");
    assert_eq!(said(93, 3, 0), "case: stats: 93 instead of 90, and no more than 92 are allowed\n");
    assert_eq!(said(59, 3, 0), "case: stats: 59 instead of 90; lower the ceiling\n");
    assert_eq!(said(90, 1, 0), "case: GET blob: 1 instead of 3; lower the ceiling\n");
    assert_eq!(said(90, 3, 1), "case: HEAD blob: 1, where there were none before\n");
}

#[test]
fn what_is_written_is_read() {
    let counts = Counts::from([("stats".to_owned(), 100), ("GET blob".to_owned(), 2)]);
    let text = block("a case", &rows("a case", &counts));
    assert_eq!(parse(&text)["a case"], rows("a case", &counts));
    assert_eq!(parse(&block("a case", &BTreeMap::new()))["a case"].len(), 0);
    assert_eq!(rows("a case", &counts)["GET blob"].ceiling, 2);
    assert_eq!(rows("a case", &counts)["stats"].ceiling, 105);
}
