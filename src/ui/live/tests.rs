use super::super::script::{Script, play, play_frames};
use super::*;

/// A terminal that knows the few sequences that the view uses, so that tests see what people see.
struct Screen {
    columns: usize,
    lines: Vec<String>,
    cursor: usize,
    cursor_hidden: bool,
}

impl Screen {
    fn new(columns: usize) -> Self {
        Self { columns, lines: vec![String::new()], cursor: 0, cursor_hidden: false }
    }

    /// Everything on the screen and what scrolled out of it.
    fn show(mut self, written: &str) -> String {
        let mut rest = written;
        while let Some(character) = rest.chars().next() {
            rest = match character {
                '\x1b' => self.sequence(&rest[1..]),
                '\n' => {
                    self.cursor += 1;
                    if self.cursor == self.lines.len() {
                        self.lines.push(String::new());
                    }
                    &rest[1..]
                }
                '\r' => &rest[1..],
                shown => {
                    self.lines[self.cursor].push(shown);
                    assert!(width(&self.lines[self.cursor]) <= self.columns, "a line wraps");
                    &rest[shown.len_utf8()..]
                }
            };
        }
        if self.cursor_hidden {
            self.lines.push("(no cursor)".to_owned());
        }
        self.lines.join("\n")
    }

    fn sequence<'a>(&mut self, rest: &'a str) -> &'a str {
        let end = rest.find(|c: char| c.is_ascii_alphabetic()).expect("an ended sequence");
        match (&rest[1..end], &rest[end..=end]) {
            (up, "A") => self.cursor -= up.parse::<usize>().expect("a number"),
            ("", "J") => {
                self.lines.truncate(self.cursor);
                self.lines.push(String::new());
            }
            ("?25", on) => self.cursor_hidden = on == "l",
            ("?2026", "h" | "l") | (_, "m") => {}
            other => panic!("unexpected sequence {other:?}"),
        }
        &rest[end + 1..]
    }
}

fn size(columns: usize, rows: usize) -> Size {
    Size { columns, rows }
}

/// What the screen shows at the end of the script.
fn screen(script: &Script, size: Size) -> String {
    let written = play_frames(&mut Live::new(true, false), script, size);
    Screen::new(size.columns).show(&written)
}

fn busy() -> Script {
    let mut script = Script::default();
    script.start(0, 1, "[base] resolve debian:12");
    script.start(100, 2, "pull debian:12");
    script.done(200, 1, None);
    script.start(
        300,
        3,
        "[build 2/5] RUN make -j8 all && make DESTDIR=/out install && rm -rf /tmp/*",
    );
    script.progress(400, 2, 12_000_000, Some(45_200_000));
    for line in 1..=7 {
        script.output(500 + line, 3, &format!("\x1b[32mcc\x1b[0m -c\tfile{line}.c\n"));
    }
    script.output(
        900,
        3,
        "linking, with a line that goes on and on until it is wider than the screen",
    );
    script.note(950, "nothing uses the build argument VERSION");
    script.progress(3400, 2, 30_000_000, Some(45_200_000));
    script
}

#[test]
fn running_tasks_stand_below_what_has_ended() {
    insta::assert_snapshot!(screen(&busy(), size(72, 24)));
}

#[test]
fn a_low_screen_shows_tasks_before_output() {
    insta::assert_snapshot!(screen(&busy(), size(72, 5)));
}

#[test]
fn too_many_tasks_are_counted() {
    let mut script = Script::default();
    for task in 1..=9 {
        script.start(0, task, &format!("push layer {task}"));
    }
    insta::assert_snapshot!(screen(&script, size(40, 6)));
}

#[test]
fn odd_sizes_do_no_harm() {
    for (columns, rows) in [(1, 1), (2, 2), (10, 3), (0, 0), (500, 500)] {
        let written = play_frames(&mut Live::new(false, false), &busy(), size(columns, rows));
        assert!(written.contains("resolve debian:12"));
    }
}

#[test]
fn the_failed_task_shows_its_output_and_the_cursor_comes_back() {
    let mut script = busy();
    script.failed(4000, 3);
    script.failed(4001, 2);
    let mut view = Live::new(true, false);
    let mut written = play_frames(&mut view, &script, size(100, 24));
    view.close(size(100, 24), &mut written);
    insta::assert_snapshot!(Screen::new(100).show(&written));
}

#[test]
fn verbose_scrolls_output_up() {
    let mut script = Script::default();
    script.start(0, 1, "[1/1] RUN make");
    script.output(10, 1, "one\ntwo\nthree");
    script.failed(20, 1);
    let mut view = Live::new(false, true);
    let mut written = play_frames(&mut view, &script, size(60, 24));
    view.close(size(60, 24), &mut written);
    assert_eq!(
        Screen::new(60).show(&written),
        "  #1 | one\n  #1 | two\n  #1 | three\n#1 [1/1] RUN make: failed after 0.0s\n"
    );
}

#[test]
fn a_frame_that_did_not_change_is_not_written() {
    let mut view = Live::new(false, false);
    let mut script = Script::default();
    script.start(0, 1, "pull");
    play(&mut view, &script);
    let mut log = String::new();
    view.redraw(Duration::from_millis(10), size(80, 24), &mut log);
    assert!(!log.is_empty());
    log.clear();
    view.redraw(Duration::from_millis(20), size(80, 24), &mut log);
    assert_eq!(log, "");
}

#[test]
fn a_narrowed_terminal_is_erased_whole() {
    let mut view = Live::new(true, false);
    play_frames(&mut view, &busy(), size(72, 24));
    let rows = view.drawn.iter().map(|line| width(&flat(line)).div_ceil(30)).sum::<usize>();
    assert!(rows > view.drawn.len());
    let mut log = String::new();
    view.redraw(Duration::from_secs(9), size(30, 24), &mut log);
    assert!(log.contains(&format!("\x1b[{rows}A\x1b[J")), "{log:?}");
}
