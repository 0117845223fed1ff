use super::super::script::{Script, play};
use super::*;

const SIZE: Size = Size { columns: 80, rows: 24 };

/// What the view wrote, with the bytes of the marks made visible.
fn shown(script: &Script) -> String {
    let mut view = Sections::new(false, 1_700_000_000);
    let mut log = play(&mut view, script);
    view.close(SIZE, &mut log);
    log.replace('\x1b', "^[").replace('\r', "^M")
}

#[test]
fn a_step_is_a_section() {
    let mut script = Script::default();
    script.note(0, "GitLab: context /builds/a/b from CI_PROJECT_DIR");
    script.start(0, 1, "resolve debian:12");
    script.done(300, 1, Some("sha256:1"));
    script.start(1000, 2, "[1/2] COPY . .");
    script.done(1100, 2, None);
    script.start(1200, 3, "[2/2] RUN make");
    script.output(1300, 3, "cc\n{\"command_exit_code\":0}\n\x1b[0Ksection_end:1:kiln\r\x1b[0K");
    script.done(4500, 3, Some("45.2 MB"));
    insta::assert_snapshot!(shown(&script), @r#"
    note: GitLab: context /builds/a/b from CI_PROJECT_DIR
    resolve debian:12: done 0.3s, sha256:1
    ^[[0Ksection_start:1700000001:kiln_1700000000_2[collapsed=true]^M^[[0K[1/2] COPY . .
    done 0.1s
    ^[[0Ksection_end:1700000001:kiln_1700000000_2^M^[[0K
    ^[[0Ksection_start:1700000001:kiln_1700000000_3[collapsed=true]^M^[[0K[2/2] RUN make
    cc
    | {"command_exit_code":0}
    section_end:1:kiln
    done 3.3s, 45.2 MB
    ^[[0Ksection_end:1700000004:kiln_1700000000_3^M^[[0K
    "#);
}

#[test]
fn sections_of_parallel_stages_do_not_mix() {
    let mut script = Script::default();
    script.start(0, 1, "[a 1/1] RUN first");
    script.start(1000, 2, "[b 1/1] RUN second");
    script.start(1000, 3, "[c 1/1] RUN third");
    script.output(1100, 2, "second\n");
    script.output(1200, 1, "first\n");
    script.warning(1300, "seen only outside of a folded section");
    script.output(1400, 3, "third\n");
    script.done(2000, 3, None);
    script.done(3000, 1, None);
    script.output(3100, 2, "second, now at once\n");
    script.done(4000, 2, None);
    insta::assert_snapshot!(shown(&script), @r"
    ^[[0Ksection_start:1700000000:kiln_1700000000_1[collapsed=true]^M^[[0K[a 1/1] RUN first
    first
    done 3.0s
    ^[[0Ksection_end:1700000003:kiln_1700000000_1^M^[[0K
    warning: seen only outside of a folded section
    ^[[0Ksection_start:1700000001:kiln_1700000000_3[collapsed=true]^M^[[0K[c 1/1] RUN third
    third
    done 1.0s
    ^[[0Ksection_end:1700000002:kiln_1700000000_3^M^[[0K
    ^[[0Ksection_start:1700000001:kiln_1700000000_2[collapsed=true]^M^[[0K[b 1/1] RUN second
    second
    second, now at once
    done 3.0s
    ^[[0Ksection_end:1700000004:kiln_1700000000_2^M^[[0K
    ");
}

#[test]
fn the_end_of_a_failure_is_repeated_below_all_sections() {
    let mut script = Script::default();
    script.start(0, 1, "[a 1/1] RUN sleep 60");
    script.start(0, 2, "[b 1/1] RUN make");
    script.output(100, 1, "waiting\n");
    for line in 0..100 {
        script.output(200, 2, &format!("line {line}\n"));
    }
    script.error(300, 2, "no rule");
    script.failed(400, 2);
    script.failed(500, 1);
    let shown = shown(&script);
    let (sections, repeated) = shown.rsplit_once("^M^[[0K\n").expect("a section");
    let lines: Vec<&str> = repeated.lines().collect();
    assert_eq!(lines[..2], ["[b 1/1] RUN make: failed after 0.4s", "line 71"]);
    assert_eq!(lines[lines.len() - 2..], ["line 99", "no rule"]);
    assert_eq!(lines.len(), REPEATED + 1);
    assert!(sections.contains("stopped after 0.5s") && sections.contains("line 0\n"));
}

#[test]
fn what_waits_is_bounded_and_what_is_open_is_closed() {
    let mut script = Script::default();
    script.start(0, 1, "[a 1/1] RUN sleep 60");
    script.start(0, 2, "[b 1/1] RUN yes");
    let page = format!("{}\n", "y".repeat(999)).repeat(1000);
    (0..6).for_each(|_| script.output(100, 2, &page));
    let shown = shown(&script);
    assert!(shown.len() < HELD + 10_000, "{}", shown.len());
    assert!(shown.contains("lines before\n"));
    for mark in ["section_start", "section_end"] {
        assert_eq!(shown.matches(mark).count(), 2, "{mark}");
    }
}
