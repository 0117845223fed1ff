//! The tables.

use std::fmt::Write as _;

use super::measure::Once;
use crate::bench::Spread;

/// What is aimed at.
#[derive(Clone, Copy)]
pub(super) struct Aims {
    pub(super) seconds: Option<f64>,
    pub(super) requests: Option<usize>,
}

/// One kind of build, and what was measured of it.
pub(super) struct Row {
    name: String,
    aims: Aims,
    /// Whether the registries are far.
    far: bool,
    /// So many times the requests of the flask example of which nothing changed are the aim.
    pub(super) times_of_the_flask_example: Option<usize>,
    measured: Vec<Once>,
}

impl Row {
    pub(super) fn new(name: &str, aims: Aims) -> Self {
        let name = name.to_owned();
        let measured = Vec::new();
        Self { name, aims, far: false, times_of_the_flask_example: None, measured }
    }

    pub(super) fn far(name: &str) -> Self {
        let aims = Aims { seconds: None, requests: None };
        Self { far: true, ..Self::new(name, aims) }
    }

    pub(super) fn add(&mut self, once: Once) {
        self.measured.push(once);
    }

    fn seconds(&self) -> Spread {
        let seconds: Vec<f64> = self.measured.iter().map(|once| once.seconds).collect();
        Spread::of(&seconds)
    }

    /// The most of all rounds.
    fn most<T: Ord + Default>(&self, what: impl Fn(&Once) -> T) -> T {
        self.measured.iter().map(what).max().unwrap_or_default()
    }

    fn requests(&self) -> usize {
        self.most(|once| once.requests)
    }
}

/// Builds with registries on the loopback.
pub(super) fn near(rows: &[Row]) -> String {
    let mut table = "| | seconds | at most | requests | at most | blobs that were pulled (kB) \
                     | commands that ran | wheels that the index sent |\n\
                     |---|---|---|---|---|---|---|---|\n"
        .to_owned();
    let small = rows.iter().find(|row| row.aims.requests.is_some()).map_or(0, Row::requests);
    for row in rows.iter().filter(|row| !row.far) {
        let shown = |aim: Option<String>| aim.unwrap_or_else(|| "–".to_owned());
        let requests = row.times_of_the_flask_example.map(|times| times * small);
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | {} | {:.1} | {} | {} |",
            row.name,
            row.seconds(),
            shown(row.aims.seconds.map(|aim| aim.to_string())),
            row.requests(),
            shown(row.aims.requests.or(requests).map(|aim| aim.to_string())),
            row.most(|once| once.pulled) as f64 / 1000.0,
            row.most(|once| once.ran),
            row.most(|once| once.wheels),
        );
    }
    table
}

/// Builds with registries that are some way off.
pub(super) fn far(rows: &[Row]) -> String {
    let latency = super::LATENCY.as_millis();
    let mut table = format!(
        "| {latency} ms for each request | seconds | requests | one after another | connections |\n\
         |---|---|---|---|---|\n"
    );
    for row in rows.iter().filter(|row| row.far) {
        // What only happened to be answered before the next began makes a row longer, never shorter.
        let far = || row.measured.iter().filter_map(|once| once.far);
        let rounds = far().map(|(rounds, _)| rounds).min().unwrap_or_default();
        let connections = far().map(|(_, connections)| connections).max().unwrap_or_default();
        let _ = writeln!(
            table,
            "| {} | {} | {} | {rounds} | {connections} |",
            row.name,
            row.seconds(),
            row.requests()
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_in_its_table_with_its_aims() {
        let once = || Once { seconds: 0.25, requests: 9, pulled: 1234, ..Once::default() };
        let mut small = Row::new("small", Aims { seconds: Some(0.3), requests: Some(12) });
        let mut large = Row::new("large", Aims { seconds: None, requests: None });
        large.times_of_the_flask_example = Some(4);
        let mut away = Row::far("small");
        small.add(once());
        large.add(Once { requests: 10, seconds: 1.0, ran: 2, wheels: 3, ..once() });
        away.add(Once { far: Some((6, 4)), ..once() });
        away.add(Once { far: Some((7, 3)), ..once() });
        let rows = [small, large, away];
        let table = near(&rows);
        assert!(table.contains("| small | 0.25 (0.25–0.25) | 0.3 | 9 | 12 | 1.2 | 0 | 0 |\n"));
        assert!(table.contains("| large | 1.00 (1.00–1.00) | – | 10 | 36 | 1.2 | 2 | 3 |\n"));
        assert!(far(&rows).contains("| small | 0.25 (0.25–0.25) | 9 | 6 | 4 |\n"));
    }
}
