//! What the ignore file hides.

use super::fixture::Fixture;

fn context() -> Fixture {
    let source = [
        "d 700 d",
        "d 710 d/keep",
        "f 644 d/keep/this = 1",
        "f 644 d/keep/that = 2",
        "d 755 d/other",
        "f 644 d/other/z = 3",
        "d 755 empty",
        "f 644 empty/x = 4",
        "f 644 a.o = 5",
        "d 755 q",
        "f 644 q/f = 6",
        "f 644 f = 7",
        "l link -> d/other",
        "l hidden -> f",
    ];
    Fixture::new(&source, &["d 2750 o", "d 2770 o/d"])
        .ignoring("d\n!d/keep/this\nempty/*\n**/*.o\nq\n!q/*.none\nhidden\n")
}

#[test]
fn a_hidden_directory_is_there_only_around_what_is_shown() {
    context().gives(
        "COPY . /x",
        &[
            "d 755 x",
            "d 700 x/d",
            "d 710 x/d/keep",
            "f 644 x/d/keep/this = 1",
            "d 755 x/empty",
            "f 644 x/f = 7",
            "l x/link -> d/other",
        ],
    );
    context().gives(
        "COPY . /o",
        &[
            "d 2750 o",
            "d 700 o/d",
            "d 710 o/d/keep",
            "f 644 o/d/keep/this = 1",
            "d 755 o/empty",
            "f 644 o/f = 7",
            "l o/link -> d/other",
        ],
    );
    context().gives("COPY d /x", &["d 755 x", "d 710 x/keep", "f 644 x/keep/this = 1"]);
    context().gives("COPY d/keep /x", &["d 755 x", "f 644 x/this = 1"]);
}

#[test]
fn hidden_files_are_not_found_and_the_line_is_named() {
    for (line, message) in [
        (
            "COPY a.o /",
            "\"/a.o\": not found: it is excluded by `**/*.o` in line 4 of .dockerignore",
        ),
        (
            "COPY d/other/z /",
            "\"/d/other/z\": not found: it is excluded by `d` in line 1 of .dockerignore",
        ),
        ("COPY q /", "\"/q\": not found: it is excluded by `q` in line 5 of .dockerignore"),
        ("COPY link /", "\"/link\": not found: it is excluded by `d` in line 1 of .dockerignore"),
        (
            "COPY hidden /",
            "\"/hidden\": not found: it is excluded by `hidden` in line 7 of .dockerignore",
        ),
        ("COPY hid /", "\"/hid\": not found"),
    ] {
        let error = context().fails(line, message);
        assert_eq!(error.help(), None, "a hidden name is no help: {line}");
    }
}

#[test]
fn patterns_do_not_see_hidden_files() {
    context().gives("COPY *.o /x/", &[]);
    context().gives("COPY d/*/t* /x/", &["d 755 x", "f 644 x/this = 1"]);
    context().gives("COPY [dq] /x/", &["d 755 x", "d 710 x/keep", "f 644 x/keep/this = 1"]);
}

#[test]
fn everything_but_is_a_common_idiom() {
    let source = ["f 644 src/main.rs = 1", "f 644 src/x.tmp = 2", "f 644 target/big = 3"];
    let fixture = Fixture::new(&source, &[]).ignoring("*\n!src/**\n**/*.tmp\n");
    fixture.gives("COPY src /", &["f 644 main.rs = 1"]);
    fixture.gives("COPY src/main.rs /", &["f 644 main.rs = 1"]);
    fixture.fails(
        "COPY target /",
        "\"/target\": not found: it is excluded by `*` in line 1 of .dockerignore",
    );
}
