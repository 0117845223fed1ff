//! Results, shown: on the terminal, in docs/benchmarks.md, in README and as a chart.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

use super::aims::Of;
use super::results::Results;
use super::{aims, chart, curve, limit, table};
use crate::step::workspace;

/// Between these, a page has what was written for it.
const BEGIN: &str = "<!-- Written by `cargo xtask bench";
const END: &str = "<!-- Until here. -->";

/// Prints the tables, and with `docs` writes them into README and docs/, with the chart.
///
/// # Errors
/// If a page has no place for them, or the disk refuses.
pub(crate) fn write(results: &Results, docs: bool) -> anyhow::Result<()> {
    let text = Text::of(results, if docs { Of::All } else { Of::Measured });
    println!("\n{}\n{}\n{}\n{}", text.machine, text.aims, text.cases, text.missing);
    if docs {
        text.keep(&workspace(), &chart::svg(results))?;
    }
    Ok(())
}

/// The same with the results that are kept in the repository: nothing is measured again.
///
/// # Errors
/// If there are none, or as [`write`].
pub(crate) fn again() -> anyhow::Result<()> {
    curve::again()?;
    limit::again()?;
    let path = workspace().join("docs/benchmarks/results.json");
    let none = || format!("read {}, which `cargo xtask bench` writes", path.display());
    let results = fs::read(&path).with_context(none)?;
    let results = serde_json::from_slice(&results);
    write(&results.with_context(|| format!("understand {}", path.display()))?, true)
}

/// What is made of results.
struct Text {
    machine: String,
    aims: String,
    cases: String,
    missing: String,
    shares: String,
}

impl Text {
    fn of(results: &Results, of: Of) -> Self {
        Self {
            machine: table::machine(&results.machine, &results.date, &results.commit)
                .trim_end()
                .to_owned()
                + &format!(" Of each case and builder: {}.", results.rounds())
                + &table::doubts(&results.machine)
                + "\n",
            aims: aims::table(results, of),
            cases: table::cases(results),
            missing: table::missing(results),
            shares: table::shares(results),
        }
    }

    fn keep(&self, repository: &Path, chart: &str) -> anyhow::Result<()> {
        let Self { machine, aims, cases, missing, shares } = self;
        let docs = repository.join("docs");
        fs::write(docs.join("benchmarks/chart.svg"), chart)?;
        place(&docs.join("benchmarks.md"), "", &format!("{machine}\n{aims}\n{missing}"))?;
        place(&docs.join("benchmarks/results.md"), "", &format!("{machine}\n{cases}"))?;
        place(&repository.join("README.md"), "", &format!("{shares}\n{machine}"))
    }
}

/// Puts a text between the marks that a page has for what a benchmark writes: `bench`, or `bench NAME`.
///
/// # Errors
/// If it has none, or the disk refuses.
pub(super) fn place(page: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let old = fs::read_to_string(page).with_context(|| format!("read {}", page.display()))?;
    let new = between(&old, name, text);
    let new = new.with_context(|| format!("{} has no marks for `bench{name}`", page.display()))?;
    Ok(fs::write(page, new)?)
}

fn between(page: &str, name: &str, text: &str) -> Option<String> {
    let begin = format!("{BEGIN}{name}`. -->\n");
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{begin}\n{}\n\n{END}{after}", text.trim()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::made_up;
    use super::*;

    #[test]
    fn what_was_there_before_is_replaced_and_nothing_else() {
        let page =
            "a\n<!-- Written by `cargo xtask bench curves`. -->\nold\n<!-- Until here. -->\nb\n";
        let new = between(page, " curves", "new\n").unwrap();
        let expected = page.replace("old\n", "\nnew\n\n");
        assert_eq!(new, expected);
        assert_eq!(between(&new, " curves", "new\n"), Some(new.clone()));
        assert_eq!(between(page, "", "new"), None);
    }

    #[test]
    fn pages_of_the_repository_have_their_marks() {
        let repository = workspace();
        for (page, name) in [
            ("README.md", ""),
            ("docs/benchmarks.md", ""),
            ("docs/benchmarks/results.md", ""),
            ("docs/benchmarks/curves.md", " curves"),
            ("docs/benchmarks/limits.md", " limits"),
        ] {
            let text = fs::read_to_string(repository.join(page)).unwrap();
            assert!(between(&text, name, "").is_some(), "{page}");
        }
    }

    #[test]
    fn all_is_kept_where_readers_look() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("docs/benchmarks")).unwrap();
        let marks = format!("{BEGIN}`. -->\n{END}\n");
        for page in ["README.md", "docs/benchmarks.md", "docs/benchmarks/results.md"] {
            fs::write(dir.path().join(page), &marks).unwrap();
        }
        let results = made_up::results();
        Text::of(&results, Of::All).keep(dir.path(), &chart::svg(&results)).unwrap();
        let read = |page: &str| fs::read_to_string(dir.path().join(page)).unwrap();
        assert!(read("README.md").contains("| flask, cold | 1.20 |"));
        assert!(read("README.md").contains(&format!("builder: {}.", results.rounds())));
        assert!(read("docs/benchmarks.md").contains("| 0.24 (0.23–0.25) | reached |"));
        assert!(read("docs/benchmarks/results.md").contains("## big, push\n"));
        assert!(read("docs/benchmarks/chart.svg").ends_with("</svg>\n"));
    }
}
