//! The chart: for each case a panel with a bar for each who did it.

use std::collections::BTreeSet;

use super::names::{self, LIMIT};
use super::ratio::{spread, wall};
use super::results::{CaseResult, PeerResult, Results};
use super::svg::{Anchor, Element, Picture};

const WIDTH: f64 = 960.0;
const MARGIN: f64 = 24.0;
const COLUMNS: usize = 3;
const GAP: f64 = 26.0;
const PANEL: f64 = (WIDTH - 2.0 * MARGIN - 2.0 * GAP) / COLUMNS as f64;
/// Where a panel's bars begin, and how long the longest may be.
const LABEL: f64 = 118.0;
const VALUE: f64 = 50.0;
const BAR: f64 = PANEL - LABEL - VALUE;
/// Of a panel's title, and of each line below.
const TITLE: f64 = 24.0;
const LINE: f64 = 18.0;
const THICK: f64 = 11.0;
const HEADER: f64 = 84.0;
const BETWEEN: f64 = 22.0;
/// Sizes of letters.
const HEADLINE: f64 = 18.0;
const HEADING: f64 = 14.0;
const SMALL: f64 = 12.0;

/// The chart as an SVG.
pub(super) fn svg(results: &Results) -> String {
    picture(results).svg()
}

fn picture(results: &Results) -> Picture {
    let mut elements = header(results);
    let mut top = HEADER;
    for row in results.cases.chunks(COLUMNS) {
        for (column, case) in row.iter().enumerate() {
            panel(case, MARGIN + column as f64 * (PANEL + GAP), top, &mut elements);
        }
        let lines = row.iter().map(|case| case.peers.len()).max().unwrap_or_default();
        top += TITLE + lines as f64 * LINE + BETWEEN;
    }
    for note in notes(results) {
        elements.push(text(MARGIN, top + 4.0, SMALL, "muted", note));
        top += LINE;
    }
    let description = format!("Seconds that kiln and others need, {}", results.date);
    Picture { width: WIDTH, height: top + MARGIN - SMALL, description, elements }
}

fn header(results: &Results) -> Vec<Element> {
    let machine = &results.machine;
    let title = "Seconds from Dockerfile to an image in the registry; less is better".to_owned();
    let place = format!(
        "{}, kiln {}, {} × {}, {} GiB",
        results.date,
        results.commit,
        machine.processors,
        machine.processor,
        machine.memory.div_ceil(1 << 30)
    );
    let how = format!(
        "Medians of {} rounds; the thin line goes from the least to the most. Each case has a scale of its own.",
        rounds(results)
    );
    vec![
        text(MARGIN, 32.0, HEADLINE, "strong", title),
        text(MARGIN, 51.0, SMALL, "muted", place),
        text(MARGIN, 67.0, SMALL, "muted", how),
    ]
}

/// How often each was measured: `5`, or `3 to 5`.
fn rounds(results: &Results) -> String {
    let peers = results.cases.iter().flat_map(|case| &case.peers);
    let counts = peers.map(|peer| peer.samples.len()).filter(|count| *count > 0);
    let counts: BTreeSet<usize> = counts.collect();
    match (counts.first(), counts.last()) {
        (Some(least), Some(most)) if least < most => format!("{least} to {most}"),
        (least, _) => least.copied().unwrap_or_default().to_string(),
    }
}

fn notes(results: &Results) -> Vec<String> {
    let mut notes = vec![
        "kiln, chroot: in an unprivileged container, as kaniko and docker-in-docker are compared with it. \
         dind: docker-in-docker."
            .to_owned(),
    ];
    let missing: Vec<&str> =
        results.missing.iter().map(|missing| names::short(&missing.peer)).collect();
    if !missing.is_empty() {
        notes.push(format!("Not on this machine: {}.", missing.join(", ")));
    }
    notes
}

fn panel(case: &CaseResult, left: f64, top: f64, elements: &mut Vec<Element>) {
    let (name, about) = names::case(&case.id).unwrap_or((&case.title, ""));
    elements.push(Element::Heading {
        x: left,
        y: top + 14.0,
        size: HEADING,
        text: name.to_owned(),
        small: SMALL,
        about,
    });
    let longest = case.peers.iter().filter(|peer| !peer.samples.is_empty());
    let longest = longest.map(|peer| spread(peer, wall).most).fold(0.0, f64::max);
    for (index, peer) in case.peers.iter().enumerate() {
        line(peer, left, top + TITLE + index as f64 * LINE, longest, elements);
    }
}

fn line(peer: &PeerResult, left: f64, top: f64, longest: f64, elements: &mut Vec<Element>) {
    let (middle, zero) = (top + LINE / 2.0, left + LABEL);
    let base = middle + 4.0;
    let own = names::is_kiln(&peer.peer);
    let (name, class) = (names::short(&peer.peer), if own { "strong" } else { "muted" });
    elements.push(Element::Text {
        x: zero - 6.0,
        y: base,
        anchor: Anchor::End,
        size: SMALL,
        class,
        text: name.to_owned(),
    });
    if peer.samples.is_empty() {
        elements.push(text(zero + 4.0, base, SMALL, "muted", "failed".to_owned()));
        return;
    }
    let found = spread(peer, wall);
    let scale = |seconds: f64| if longest > 0.0 { seconds / longest * BAR } else { 0.0 };
    let class = match peer.peer.as_str() {
        LIMIT => "limit",
        _ if own => "own",
        _ => "other",
    };
    // What is too short to be seen is shown all the same.
    let width = scale(found.median).max(1.0);
    elements.push(Element::Bar { x: zero, y: middle - THICK / 2.0, width, height: THICK, class });
    let (least, most) = (zero + scale(found.least), zero + scale(found.most));
    if most - least >= 1.0 {
        elements.push(Element::Line { from: least, to: most, y: middle, class: "spread" });
    }
    let class = if own { "strong" } else { "plain" };
    let end = most.max(zero + width);
    elements.push(text(end + 5.0, base, SMALL, class, seconds(found.median)));
}

fn text(x: f64, y: f64, size: f64, class: &'static str, text: String) -> Element {
    Element::Text { x, y, anchor: Anchor::Start, size, class, text }
}

fn seconds(value: f64) -> String {
    if value < 0.0995 {
        return format!("{value:.3} s");
    }
    if value < 9.995 { format!("{value:.2} s") } else { format!("{value:.1} s") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::made_up::{case, failed, peer, results};
    use super::super::svg::width;
    use super::*;

    /// All that can be there, with the longest words that there are.
    fn full() -> Results {
        let mut results = results();
        results.machine.processor = "Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz".to_owned();
        let ids = ["flask-cold", "flask-changed", "large", "copy-only", "monorepo", "big-push"];
        results.cases = ids
            .map(|id| {
                let all =
                    [names::NAMESPACES, names::CHROOT, LIMIT].into_iter().chain(names::peers());
                let mut peers: Vec<PeerResult> =
                    all.map(|id| peer(id, &[100.5, 0.04, 99.0])).collect();
                peers.push(failed("another", "no"));
                case(id, peers)
            })
            .into();
        results
    }

    #[test]
    fn who_was_measured_is_there_with_what_it_took() {
        let results = results();
        let svg = svg(&results);
        for case in &results.cases {
            let name = names::case(&case.id).map(|(name, _)| name);
            assert!(svg.contains(&format!(">{}<", name.unwrap_or(&case.title))));
            for peer in &case.peers {
                assert!(svg.contains(&format!(">{}<", names::short(&peer.peer))), "{}", peer.peer);
                let took = if peer.samples.is_empty() {
                    "failed".to_owned()
                } else {
                    seconds(spread(peer, wall).median)
                };
                assert!(svg.contains(&format!(">{took}<")), "{}", peer.peer);
            }
        }
        assert!(svg.contains("Not on this machine: kaniko, BuildKit."));
        assert!(svg.contains("Medians of 3 rounds;"));
        assert!(svg.contains("2026-11-30") && svg.contains("2 × A &lt;Processor&gt;"));
    }

    #[test]
    fn no_word_and_no_bar_leaves_its_place() {
        let picture = picture(&full());
        let inside = |from: f64, to: f64, y: f64| {
            from >= MARGIN - 0.01
                && to <= WIDTH - MARGIN + 0.01
                && (0.0..picture.height - 4.0).contains(&y)
        };
        for element in &picture.elements {
            let (from, to, y) = extent(element);
            assert!(inside(from, to, y), "{element:?}");
            // A panel's words do not run into those of the next one.
            let column = ((from - MARGIN) / (PANEL + GAP)).floor();
            let end = MARGIN + column * (PANEL + GAP) + PANEL;
            let of_a_panel = y > HEADER && y < picture.height - 3.0 * LINE;
            assert!(!of_a_panel || to <= end + GAP / 2.0, "{element:?}");
        }
    }

    /// From where to where, and how far down.
    fn extent(element: &Element) -> (f64, f64, f64) {
        match element {
            Element::Bar { x, y, width, height, .. } => (*x, x + width, y + height),
            Element::Line { from, to, y, .. } => (*from, *to, *y),
            Element::Text { x, y, anchor: Anchor::Start, size, text, .. } => {
                (*x, x + width(text, *size), *y)
            }
            Element::Text { x, y, anchor: Anchor::End, size, text, .. } => {
                (x - width(text, *size), *x, *y)
            }
            Element::Heading { x, y, size, text, small, about } => {
                (*x, x + width(text, *size) + 8.0 + width(about, *small), *y)
            }
        }
    }

    #[test]
    fn it_is_well_formed_and_always_the_same() {
        let svg = svg(&full());
        assert_eq!(svg, super::svg(&full()));
        let mut open = Vec::new();
        let mut rest = svg.as_str();
        while let Some((before, after)) = rest.split_once('<') {
            assert!(!before.contains('>'), "{before}");
            let (tag, after) = after.split_once('>').unwrap();
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            let name = |tag: &str| tag.split([' ', '\n']).next().unwrap_or_default().to_owned();
            match tag.strip_prefix('/') {
                Some(closed) => assert_eq!(open.pop().as_deref(), Some(closed)),
                None if !tag.ends_with('/') => open.push(name(tag)),
                None => {}
            }
            rest = after;
        }
        assert!(open.is_empty(), "{open:?}");
        assert!(!svg.contains("<script") && !svg.contains("href") && !svg.contains("url("));
        // An & begins one of the known entities.
        for part in svg.split('&').skip(1) {
            let known = ["amp;", "lt;", "gt;", "quot;"];
            assert!(known.iter().any(|entity| part.starts_with(entity)), "{part}");
        }
    }
}
