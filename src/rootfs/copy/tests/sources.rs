//! What the source arguments name.

use super::fixture::Fixture;

#[test]
fn links_are_followed_in_the_argument_and_kept_below_it() {
    let source = [
        "f 644 f = x",
        "f 644 d/inner = y",
        "l d/up -> ../f",
        "l lf -> f",
        "l ld -> d",
        "l abs -> /f",
        "l out -> ../../../f",
        "l deep -> ld/inner",
    ];
    let fixture = Fixture::new(&source, &[]);
    fixture.gives(
        "COPY lf ld abs out deep /o/",
        &[
            "d 755 o",
            "f 644 o/abs = x",
            "f 644 o/deep = y",
            "f 644 o/inner = y",
            "f 644 o/lf = x",
            "f 644 o/out = x",
            "l o/up -> ../f",
        ],
    );
    fixture.gives("COPY ld/up /o", &["f 644 o = x"]);
}

#[test]
fn nothing_outside_the_context_is_reached() {
    let source = ["f 644 f = x", "f 644 d/inner = y", "l host -> /etc", "l up -> .."];
    let fixture = Fixture::new(&source, &[]);
    fixture.gives(
        "COPY ../f ../../d/../d/inner /o/",
        &["d 755 o", "f 644 o/f = x", "f 644 o/inner = y"],
    );
    fixture.fails("COPY host/passwd /", "\"/host/passwd\": not found");
    fixture.fails(
        "COPY host /",
        "\"/host\": not found: it is a symbolic link to /etc, which is not there",
    );
    fixture.gives("COPY up/up/up/f /", &["f 644 f = x"]);
    fixture.fails(
        "COPY ../../etc/hostname /",
        "\"/etc/hostname\": not found: `../../etc/hostname` is taken from the root of the context, \
         not above it",
    );
}

#[test]
fn patterns_match_level_by_level() {
    let source = [
        "f 644 a.c = 1",
        "f 644 d/q.c = 2",
        "f 644 d/z.c = 3",
        "f 644 e/z.c = 4",
        "f 644 e/deep/z.c = 5",
        "l l -> d",
        "f 644 [x].c = 6",
    ];
    let fixture = Fixture::new(&source, &[]);
    for (line, expected) in [
        ("COPY *.c /o/", ["d 755 o", "f 644 o/[x].c = 6", "f 644 o/a.c = 1"].as_slice()),
        ("COPY l/*.c /o/", &["d 755 o", "f 644 o/q.c = 2", "f 644 o/z.c = 3"]),
        ("COPY */z.c /o/", &["d 755 o", "f 644 o/z.c = 4"]),
        ("COPY */*/z.c /o/", &["d 755 o", "f 644 o/z.c = 5"]),
        ("COPY [^e]/z.c /o", &["f 644 o = 3"]),
        (r"COPY \[x\].c /o", &["f 644 o = 6"]),
        ("COPY [[]x].c /o", &["f 644 o = 6"]),
        ("COPY ./d/../e/de?p/*.c /o", &["f 644 o = 5"]),
        ("COPY nothing* /o/", &[]),
        ("COPY a.c nothing* /o/", &["d 755 o", "f 644 o/a.c = 1"]),
    ] {
        fixture.gives(line, expected);
    }
    fixture.fails("COPY a.c/* /o/", "\"/a.c\": not found");
    fixture.fails("COPY a.c/x/* /o/", "\"/a.c/x\": not found");
    fixture.fails("COPY missing/*.c /o/", "\"/missing\": not found");
    fixture.fails("COPY a[ /o/", "source `a[`: syntax error in pattern");
}

#[test]
fn a_missing_path_is_named_with_what_may_have_been_meant() {
    let source = ["f 644 package.json", "f 644 sub/README.md", "l dangling -> gone"];
    let fixture = Fixture::new(&source, &[]).ignoring("secret*\n");
    for (line, message, help) in [
        ("COPY packge.json /", "\"/packge.json\": not found", Some("did you mean /package.json?")),
        (
            "COPY sub/readme.md /",
            "\"/sub/readme.md\": not found",
            Some("did you mean /sub/README.md?"),
        ),
        ("COPY sub//x/ /", "\"/sub/x\": not found", None),
        ("COPY package.json/x /", "\"/package.json/x\": not found", None),
        (
            "COPY dangling /",
            "\"/dangling\": not found: it is a symbolic link to gone, which is not there",
            None,
        ),
        (
            "COPY dang* /",
            "\"/dangling\": not found: it is a symbolic link to gone, which is not there",
            None,
        ),
    ] {
        let error = fixture.fails(line, message);
        assert_eq!(error.help(), help, "{line}");
    }
}

#[test]
fn what_cannot_be_in_an_image_is_left_out() {
    let fixture = Fixture::new(&["f 644 d/f = x"], &[]);
    let _socket = std::os::unix::net::UnixListener::bind(fixture.source("d/socket"));
    rustix::fs::mknodat(
        rustix::fs::CWD,
        fixture.source("d/pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .expect("a pipe");
    fixture.gives("COPY d /", &["f 644 f = x", "p 400 pipe"]);
    fixture.gives("COPY d/pipe /", &["p 400 pipe"]);
}

#[test]
fn a_tree_too_deep_for_a_layer_is_an_error() {
    let fixture = Fixture::new(&["d 755 deep"], &[]);
    let mut dir = std::fs::File::open(fixture.source("deep")).expect("opens");
    for _ in 0..2100 {
        rustix::fs::mkdirat(&dir, "d", rustix::fs::Mode::RWXU).expect("made");
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY;
        let below = rustix::fs::openat(&dir, "d", flags, rustix::fs::Mode::empty());
        dir = std::fs::File::from(below.expect("opens"));
    }
    let error = fixture.plan("COPY deep /o").expect_err("too deep").to_string();
    // Which of the two depends on the limits that the test runs with.
    let known = ["File name too long", "Too many open files"];
    assert!(known.iter().any(|known| error.contains(known)), "{error}");
}

#[test]
fn excluded_files_stay_behind() {
    let source = [
        "f 644 d/a.txt = 1",
        "f 644 d/b.md = 2",
        "f 644 d/sub/a.txt = 3",
        "f 644 d/sub/keep.txt = 4",
        "f 644 home.txt = 5",
        "f 644 home.md = 6",
    ];
    let fixture = Fixture::new(&source, &[]);
    for (line, expected) in [
        (
            "COPY --exclude=*.txt d /",
            ["f 644 b.md = 2", "d 755 sub", "f 644 sub/a.txt = 3", "f 644 sub/keep.txt = 4"]
                .as_slice(),
        ),
        ("COPY --exclude=**/*.txt d /", &["f 644 b.md = 2", "d 755 sub"]),
        ("COPY --exclude=sub d /", &["f 644 a.txt = 1", "f 644 b.md = 2"]),
        ("COPY --exclude=** --exclude=!sub/keep.txt d /", &["d 755 sub", "f 644 sub/keep.txt = 4"]),
        ("COPY --exclude=*.txt home* /x/", &["d 755 x", "f 644 x/home.md = 6"]),
    ] {
        fixture.gives(line, expected);
    }
}

#[test]
fn parents_are_kept_with_their_modes() {
    let source = [
        "d 711 x",
        "d 750 x/y",
        "f 644 x/y/a.txt = 1",
        "f 644 x/y/b.md = 2",
        "f 644 x/c.txt = 3",
        "f 644 z/a.txt = 4",
        "d 755 x/void",
    ];
    let fixture = Fixture::new(&source, &["d 700 x"]);
    for (line, expected) in [
        (
            "COPY --parents x/y/a.txt z/a.txt /p/",
            [
                "d 755 p",
                "d 711 p/x",
                "d 750 p/x/y",
                "f 644 p/x/y/a.txt = 1",
                "d 755 p/z",
                "f 644 p/z/a.txt = 4",
            ]
            .as_slice(),
        ),
        ("COPY --parents x/./y/a.txt /p/", &["d 755 p", "d 750 p/y", "f 644 p/y/a.txt = 1"]),
        (
            "COPY --parents **/a.txt /p/",
            &[
                "d 755 p",
                "d 711 p/x",
                "d 750 p/x/y",
                "f 644 p/x/y/a.txt = 1",
                "d 755 p/z",
                "f 644 p/z/a.txt = 4",
            ],
        ),
        (
            "COPY --parents --exclude=**/*.md x/y /p/",
            &["d 755 p", "d 711 p/x", "d 750 p/x/y", "f 644 p/x/y/a.txt = 1"],
        ),
        ("COPY --parents /x/c.txt /", &["d 711 x", "f 644 x/c.txt = 3"]),
        (
            "COPY --parents x/./. /p/",
            &[
                "d 755 p",
                "f 644 p/c.txt = 3",
                "d 755 p/void",
                "d 750 p/y",
                "f 644 p/y/a.txt = 1",
                "f 644 p/y/b.md = 2",
            ],
        ),
    ] {
        fixture.gives(line, expected);
    }
    fixture.fails("COPY --parents x/nope /p/", "\"/x/nope\": not found");
}
