//! A picture of bars, lines and words as an SVG that needs nothing else: no script, no font of its own.

use std::fmt::Write as _;

/// Where a word stands relative to its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    End,
}

/// What is drawn. Places are in pixels from the picture's upper left corner.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Element {
    Bar {
        x: f64,
        y: f64,
        width: f64,
        height: f64,
        class: &'static str,
    },
    Line {
        from: f64,
        to: f64,
        y: f64,
        class: &'static str,
    },
    Text {
        x: f64,
        y: f64,
        anchor: Anchor,
        size: f64,
        class: &'static str,
        text: String,
    },
    /// A title, and smaller words behind it.
    Heading {
        x: f64,
        y: f64,
        size: f64,
        text: String,
        small: f64,
        about: &'static str,
    },
}

/// The whole of it.
pub(super) struct Picture {
    pub(super) width: f64,
    pub(super) height: f64,
    /// For those who cannot see it.
    pub(super) description: String,
    pub(super) elements: Vec<Element>,
}

/// GitHub shows a picture on the reader's own background, so this one brings its own; it is dark
/// where the browser asks for that.
const STYLE: &str = "\
text,tspan{font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;fill:#1f2328}
.card{fill:#ffffff;stroke:#d1d9e0}
.muted{fill:#59636e}
.strong{font-weight:600}
.light{font-weight:400}
.own{fill:#1a7f5a}
.other{fill:#a9b4c0}
.limit{fill:#e3c27a}
.spread{stroke:#1f2328;stroke-width:1}
.axis{stroke:#d1d9e0;stroke-width:1}
@media (prefers-color-scheme:dark){
text,tspan{fill:#f0f6fc}
.card{fill:#0d1117;stroke:#3d444d}
.muted{fill:#9198a1}
.own{fill:#3fb78a}
.other{fill:#59636e}
.limit{fill:#8a6d2b}
.spread{stroke:#f0f6fc}
.axis{stroke:#3d444d}
}
";

impl Picture {
    pub(super) fn svg(&self) -> String {
        let (width, height) = (number(self.width), number(self.height));
        let description = escape(&self.description);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\">\n<title>{description}</title>\n\
             <style>\n{STYLE}</style>\n\
             <rect class=\"card\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"6\"/>\n",
            number(self.width - 1.0),
            number(self.height - 1.0)
        );
        for element in &self.elements {
            element.write(&mut svg);
        }
        svg + "</svg>\n"
    }
}

impl Element {
    fn write(&self, svg: &mut String) {
        let _ = match self {
            Self::Bar { x, y, width, height, class } => writeln!(
                svg,
                "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
                number(*x),
                number(*y),
                number(*width),
                number(*height)
            ),
            Self::Line { from, to, y, class } => writeln!(
                svg,
                "<path class=\"{class}\" d=\"M{} {y}H{}\"/>",
                number(*from),
                number(*to),
                y = number(*y)
            ),
            Self::Text { x, y, anchor, size, class, text } => writeln!(
                svg,
                "<text class=\"{class}\" x=\"{}\" y=\"{}\" font-size=\"{}\"{}>{}</text>",
                number(*x),
                number(*y),
                number(*size),
                if *anchor == Anchor::End { " text-anchor=\"end\"" } else { "" },
                escape(text)
            ),
            Self::Heading { x, y, size, text, small, about } => writeln!(
                svg,
                "<text class=\"strong\" x=\"{}\" y=\"{}\" font-size=\"{}\">{}\
                 <tspan class=\"muted light\" dx=\"8\" font-size=\"{}\">{}</tspan></text>",
                number(*x),
                number(*y),
                number(*size),
                escape(text),
                number(*small),
                escape(about)
            ),
        };
    }
}

/// How wide a word is at most, in any of the fonts.
#[cfg(test)]
pub(super) fn width(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * 0.58
}

/// At most one digit behind the point: the same bytes for the same results.
fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_a_word_has_cannot_end_it() {
        let text = "<b> & \"c\"".to_owned();
        let (x, y, anchor) = (1.0, 2.25, Anchor::End);
        let element = Element::Text { x, y, anchor, size: 12.0, class: "muted", text };
        let mut svg = String::new();
        element.write(&mut svg);
        let expected = "<text class=\"muted\" x=\"1\" y=\"2.2\" font-size=\"12\" text-anchor=\"end\">\
                        &lt;b&gt; &amp; &quot;c&quot;</text>\n";
        assert_eq!(svg, expected);
    }
}
