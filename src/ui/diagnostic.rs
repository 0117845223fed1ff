//! Errors as people read them: one sentence, the place in the Dockerfile, what to do.
//!
//! ```text
//! error: stage `biuld` does not exist
//!  --> Dockerfile:7:13
//!   |
//! 7 | COPY --from=biuld /app /app
//!   |             ^^^^^
//!   |
//! help: the stages are: build, test
//! ```

use std::error::Error;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet, Title};

use super::clean;
use super::paint::Paint;
use super::task::push_line;
use crate::dockerfile::{Located, line_of};

/// Lines of a long instruction that are shown.
const LINES: usize = 4;
/// Bytes of a line that are shown from the marked part on; the renderer trims to its width, but
/// should not have to work through a line without end.
const LINE_LIMIT: usize = 1000;
/// Columns of a line of the Dockerfile.
const COLUMNS: usize = 120;

/// Renders an error whose place is known, with the final line break.
pub fn render(located: &Located, colour: bool) -> String {
    render_error(located, colour)
}

/// Renders any error: all its causes in one sentence, and the place if one of them knows it.
pub fn render_error(error: &(dyn Error + 'static), colour: bool) -> String {
    let message = sentence(error);
    match chain(error).find_map(|cause| cause.downcast_ref::<Located>()) {
        Some(located) => render_place(located, &message, colour),
        None => render_message(&message, None, colour),
    }
}

/// Renders a sentence and what to do, for an error that is not in a Dockerfile.
pub fn render_message(message: &str, help: Option<&str>, colour: bool) -> String {
    let paint = Paint(colour);
    let mut text = String::new();
    push_line(&mut text, &format!("{} {}", paint.red("error:"), clean::line(message)));
    push_help(&mut text, help, paint);
    text
}

fn push_help(text: &mut String, help: Option<&str>, paint: Paint) {
    if let Some(help) = help {
        push_line(text, &format!("{} {}", paint.cyan("help:"), clean::line(help)));
    }
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The error and its causes, joined by colons. A cause whose text the one before it already
/// contains is not said twice; a place is shown below, not in the sentence.
pub(super) fn sentence(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in chain(error) {
        let text = match cause.downcast_ref::<Located>() {
            Some(located) => clean::line(&located.message),
            None => clean::line(&cause.to_string()),
        };
        if !parts.last().is_some_and(|before| before.contains(&text)) {
            parts.push(text);
        }
    }
    without_numbers(&parts.join(": "))
}

/// Without the numbers that Rust puts behind the operating system's words.
pub(super) fn without_numbers(text: &str) -> String {
    const MARK: &str = " (os error ";
    let mut plain = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(MARK) {
        let number = &rest[start + MARK.len()..];
        let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
        let (kept, after) = match number[end..].strip_prefix(')') {
            Some(after) if end > 0 => (&rest[..start], after),
            _ => rest.split_at(start + MARK.len()),
        };
        plain.push_str(kept);
        rest = after;
    }
    plain + rest
}

fn render_place(located: &Located, message: &str, colour: bool) -> String {
    let title = Level::ERROR.primary_title(message);
    let mut text = frame(title, &located.path, (&located.text, &located.span), None, colour);
    push_help(&mut text, located.help.as_deref(), Paint(colour));
    text
}

/// Renders something doubtful in a Dockerfile, with the final line break: `name` is the rule's, `page`
/// explains it.
pub(super) fn render_warning(
    (name, page): (&str, Option<&str>),
    message: &str,
    path: &str,
    place: (&str, &Range<usize>),
    colour: bool,
) -> String {
    let title = Level::WARNING.primary_title(clean::line(message)).id(name);
    frame(title, path, place, page, colour)
}

/// A title, the place below it, and a line to read on.
fn frame(
    title: Title<'_>,
    path: &str,
    (text, span): (&str, &Range<usize>),
    page: Option<&str>,
    colour: bool,
) -> String {
    let excerpt = Excerpt::of(text, span);
    let path = clean::line(path);
    let snippet = Snippet::source(excerpt.text.as_str())
        .path(path.as_str())
        .line_start(line_of(text, span.start))
        .fold(false)
        .annotation(AnnotationKind::Primary.span(excerpt.mark));
    let mut group = Group::with_title(title).element(snippet);
    if excerpt.more > 0 {
        let lines = if excerpt.more == 1 { "line" } else { "lines" };
        let more = format!("… and {} more {lines}", excerpt.more);
        group = group.element(Level::NOTE.no_name().message(more));
    }
    if let Some(page) = page {
        group = group.element(Level::NOTE.no_name().message(format!("see {page}")));
    }
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut text = renderer.term_width(COLUMNS).render(&[group]);
    text.push('\n');
    text
}

/// The lines of a Dockerfile that are shown.
struct Excerpt {
    text: String,
    /// What to underline: of a span of many lines the first one, which names the instruction.
    mark: Range<usize>,
    /// Lines of the span that are not shown.
    more: usize,
}

impl Excerpt {
    fn of(text: &str, span: &Range<usize>) -> Self {
        let start = boundary(text, span.start);
        let end = boundary(text, span.end.max(start));
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let marked = text[start..end.min(line_end)].trim_end();
        // The span's last line break does not make another line.
        let rest = text[line_end..end.max(line_end)].trim_end().lines().skip(1);

        let mut excerpt = clean_part(&text[line_start..start]);
        let mark_start = excerpt.len();
        excerpt.push_str(&clean_part(cut(marked)));
        let mark = mark_start..excerpt.len();
        excerpt.push_str(clean_part(cut(&text[start + marked.len()..line_end])).trim_end());
        for line in rest.clone().take(LINES - 1) {
            excerpt.push('\n');
            excerpt.push_str(clean_part(cut(line)).trim_end());
        }
        Self { text: excerpt, mark, more: rest.count().saturating_sub(LINES - 1) }
    }
}

/// Part of a line without what acts on a terminal; tabs stay, the renderer knows them.
fn clean_part(part: &str) -> String {
    part.chars().filter(|character| *character == '\t' || !clean::is_control(*character)).collect()
}

fn cut(part: &str) -> &str {
    &part[..boundary(part, LINE_LIMIT)]
}

/// The last character boundary at or before an offset.
fn boundary(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    const DOCKERFILE: &str = "FROM debian:12 AS build\n\
        RUN apt-get update \\\n\
        \t&& apt-get install -y gcc \\\n\
        \x20   # a comment\n\
        \x20   && make \\\n\
        \x20   && make install \\\n\
        \x20   && true\n\
        FROM scratch\n\
        COPY --from=biuld /größe /\x1b[2J\r\n";

    fn located(text: &str, span: Range<usize>) -> Located {
        Located {
            path: "docker/Dockerfile".into(),
            text: text.into(),
            span,
            message: "stage `biuld` does not exist".into(),
            help: None,
            cause: None,
        }
    }

    /// The place of a word in the Dockerfile above.
    fn place(word: &str) -> Range<usize> {
        let start = DOCKERFILE.find(word).expect("the word is there");
        start..start + word.len()
    }

    #[test]
    fn the_place_is_underlined() {
        let error = Located {
            help: Some("the stages are: build".into()),
            ..located(DOCKERFILE, place("biuld"))
        };
        insta::assert_snapshot!(render(&error, false), @r"
        error: stage `biuld` does not exist
         --> docker/Dockerfile:9:13
          |
        9 | COPY --from=biuld /größe /[2J
          |             ^^^^^
        help: the stages are: build
        ");
    }

    #[test]
    fn of_a_long_instruction_the_first_lines_are_shown() {
        let span = place("RUN").start..place("FROM scratch").start;
        let error = Located {
            message: "the command failed".into(),
            cause: Some(io::Error::other("exit code 100\u{7}").into()),
            help: Some("read the output above".into()),
            ..located(DOCKERFILE, span)
        };
        insta::assert_snapshot!(render(&error, false), @r"
        error: the command failed: exit code 100
         --> docker/Dockerfile:2:1
          |
        2 | RUN apt-get update \
          | ^^^^^^^^^^^^^^^^^^^^
        3 |     && apt-get install -y gcc \
        4 |     # a comment
        5 |     && make \
          |
          = … and 2 more lines
        help: read the output above
        ");
        insta::assert_snapshot!("in_colour", render(&error, true));
    }

    #[test]
    fn a_long_line_is_trimmed_around_the_place() {
        let text = format!("RUN {}biuld {}", "true; ".repeat(300), "true; ".repeat(300_000));
        let start = text.find("biuld").expect("the word is there");
        insta::assert_snapshot!(render(&located(&text, start..start + 5), false), @r"
        error: stage `biuld` does not exist
         --> docker/Dockerfile:1:1805
          |
        1 | ...ue; true; true; true; true; true; true; true; true; biuld true; true; true; true; true; true; true; true; true...
          |                                                        ^^^^^
        ");
    }

    #[test]
    fn causes_make_one_sentence_and_nothing_is_said_twice() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read /x: {0}")]
        struct Read(#[source] io::Error);
        let cause = Read(io::Error::other("no such file"));
        let error = anyhow::Error::new(cause).context("cannot build the image\n\x1b[2J");
        assert_eq!(
            render_error(error.as_ref(), false),
            "error: cannot build the image [2J: cannot read /x: no such file\n"
        );
    }

    #[test]
    fn the_words_of_the_operating_system_stand_without_its_numbers() {
        for (text, plain) in [
            ("no such file (os error 2)", "no such file"),
            ("a (os error 2): b (os error 13), c", "a: b, c"),
            ("a (os error x) (os error ", "a (os error x) (os error "),
            ("(os error 2)", "(os error 2)"),
        ] {
            assert_eq!(without_numbers(text), plain);
        }
    }

    #[test]
    fn a_place_is_found_below_other_errors() {
        let error = anyhow::Error::new(located(DOCKERFILE, place("biuld"))).context("cannot plan");
        let rendered = render_error(error.as_ref(), false);
        assert!(rendered.starts_with("error: cannot plan: stage `biuld` does not exist\n"));
        assert!(rendered.contains("docker/Dockerfile:9:13"), "{rendered}");
    }

    #[test]
    fn odd_spans_do_no_harm() {
        for text in ["", "\n", "FROM größe", DOCKERFILE] {
            for start in 0..text.len() + 3 {
                for end in 0..text.len() + 3 {
                    let rendered = render(&located(text, start..end), false);
                    assert!(rendered.contains("docker/Dockerfile:"), "{rendered}");
                }
            }
        }
    }

    #[test]
    fn a_sentence_with_help() {
        assert_eq!(
            render_message("no\nname", Some("add -t"), true),
            "\x1b[1;31merror:\x1b[0m no name\n\x1b[36mhelp:\x1b[0m add -t\n"
        );
    }
}
