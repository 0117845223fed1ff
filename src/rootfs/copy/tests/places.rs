//! Where things go.

use super::fixture::Fixture;

#[test]
fn a_file_is_named_by_the_destination_unless_that_is_a_directory() {
    let fixture = Fixture::new(&["f 644 a = A"], &["d 750 dir", "f 600 file = old"]);
    for (line, expected) in [
        ("COPY a /new", ["f 644 new = A"].as_slice()),
        ("COPY a /file", &["f 644 file = A"]),
        ("COPY a /dir", &["d 750 dir", "f 644 dir/a = A"]),
        ("COPY a /dir/", &["d 750 dir", "f 644 dir/a = A"]),
        ("COPY a /x/y/", &["d 755 x", "d 755 x/y", "f 644 x/y/a = A"]),
        ("COPY a /x/y", &["d 755 x", "f 644 x/y = A"]),
        ("COPY a /", &["f 644 a = A"]),
        ("COPY a /p/x/../y", &["d 755 p", "f 644 p/y = A"]),
        ("COPY a /../../y", &["f 644 y = A"]),
        ("COPY a/ /p/", &["d 755 p", "f 644 p/a = A"]),
    ] {
        fixture.gives(line, expected);
    }
    fixture.fails("COPY a /file/", "cannot create /file: /file is not a directory");
    fixture.fails("COPY a /file/x", "cannot create /file: /file is not a directory");
    fixture.fails("COPY a /file/x/y", "cannot create /file/x: /file is not a directory");
}

#[test]
fn a_directory_gives_its_contents_and_not_its_mode() {
    let source = ["d 700 src", "d 711 src/sub", "f 644 src/sub/f = a", "f 4755 src/g = b"];
    let image = ["d 750 old", "d 2700 old/sub", "f 600 old/sub/keep = x"];
    let fixture = Fixture::new(&source, &image);
    let new = ["d 755 new", "f 4755 new/g = b", "d 711 new/sub", "f 644 new/sub/f = a"];
    fixture.gives("COPY src /new", &new);
    fixture.gives("COPY src /new/", &new);
    fixture.gives(
        "COPY src /old",
        &["d 750 old", "f 4755 old/g = b", "d 711 old/sub", "f 644 old/sub/f = a"],
    );
    fixture.gives("COPY src /", &["f 4755 g = b", "d 711 sub", "f 644 sub/f = a"]);
    fixture.gives("COPY src/sub /x/y", &["d 755 x", "d 755 x/y", "f 644 x/y/f = a"]);
    fixture.gives(
        "COPY . /",
        &["d 700 src", "f 4755 src/g = b", "d 711 src/sub", "f 644 src/sub/f = a"],
    );
}

#[test]
fn an_empty_directory_still_makes_the_destination() {
    let fixture = Fixture::new(&["d 700 empty"], &[]);
    fixture.gives("COPY empty /a/b", &["d 755 a", "d 755 a/b"]);
    fixture.gives("COPY empty /", &[]);
}

#[test]
fn links_in_the_destination_are_followed() {
    let image = [
        "d 755 usr/lib",
        "d 700 usr",
        "l lib -> usr/lib",
        "l file -> usr/lib/tgt",
        "f 600 usr/lib/tgt = old",
        "l nowhere -> not/there",
        "l out -> ../../../../usr",
        "l loop -> loop",
    ];
    let fixture = Fixture::new(&["f 644 f = x", "d 755 d", "f 644 d/in = y"], &image);
    for (line, expected) in [
        ("COPY f /lib/y", ["d 700 usr", "d 755 usr/lib", "f 644 usr/lib/y = x"].as_slice()),
        ("COPY f /lib", &["d 700 usr", "d 755 usr/lib", "f 644 usr/lib/f = x"]),
        ("COPY d /lib", &["d 700 usr", "d 755 usr/lib", "f 644 usr/lib/in = y"]),
        ("COPY f /file", &["d 700 usr", "d 755 usr/lib", "f 644 usr/lib/tgt = x"]),
        ("COPY f /nowhere", &["d 755 not", "f 644 not/there = x"]),
        ("COPY f /nowhere/", &["d 755 not", "d 755 not/there", "f 644 not/there/f = x"]),
        ("COPY f /out/", &["d 700 usr", "f 644 usr/f = x"]),
        ("COPY f /lib/../y", &["f 644 y = x"]),
    ] {
        fixture.gives(line, expected);
    }
    assert!(fixture.plan("COPY f /loop/x").is_err());
}

#[test]
fn links_below_the_destination_are_not() {
    let image = ["d 755 usr/lib", "l lib -> usr/lib", "l file -> usr"];
    let source = ["f 644 with/file = x", "f 644 rootfs/lib/y = y", "d 755 e/file"];
    let fixture = Fixture::new(&source, &image);
    fixture.gives("COPY with /", &["f 644 file = x"]);
    fixture.gives("COPY with/file /", &["f 644 file = x"]);
    fixture.fails(
        "COPY rootfs /",
        "cannot copy to non-directory: /lib: it is a symbolic link to usr/lib; copy to that \
         directory itself, or give the copied directory as a source of its own",
    );
}

#[test]
fn files_and_directories_do_not_replace_each_other() {
    let image = ["d 755 x", "f 644 file = old"];
    let source = ["f 644 sub/x = f", "d 755 tree/file", "f 644 x = f"];
    let fixture = Fixture::new(&source, &image);
    fixture.fails("COPY sub /", "cannot replace the directory /x with a file");
    fixture.fails("COPY x /", "cannot replace the directory /x with a file");
    fixture.fails("COPY tree /", "cannot copy to non-directory: /file");
    fixture.fails("COPY tree /file", "cannot copy to non-directory: /file");
}

#[test]
fn several_sources_need_a_directory() {
    let source = ["f 644 a.txt = A", "f 644 b.txt = B", "f 644 d1/a = 1", "f 644 d2/b = 2"];
    let fixture = Fixture::new(&source, &["d 700 dir"]);
    let message = "with more than one source file, the destination must be a directory and end \
                   with a /";
    fixture.fails("COPY a.txt b.txt /dir", &format!("When using COPY {message}"));
    fixture.fails("ADD a.txt b.txt /dir", &format!("When using ADD {message}"));
    fixture.fails("COPY a.txt <<EOF /x", &format!("When using COPY {message}"));
    fixture.fails("COPY *.txt /x", &format!("When using COPY {message}: `*.txt` matches 2 paths"));
    fixture.gives("COPY *.txt /dir", &["d 700 dir", "f 644 dir/a.txt = A", "f 644 dir/b.txt = B"]);
    fixture.gives("COPY *.txt /x/", &["d 755 x", "f 644 x/a.txt = A", "f 644 x/b.txt = B"]);
    fixture.gives("COPY a*.txt /x", &["f 644 x = A"]);
    fixture.gives("COPY --exclude=b* *.txt /x", &["f 644 x = A"]);
    // All their contents are there, so nothing is lost.
    fixture.gives("COPY d* /o", &["d 755 o", "f 644 o/a = 1", "f 644 o/b = 2"]);
}

#[test]
fn later_sources_win() {
    let source = ["f 644 one/f = 1", "f 600 two/f = 2", "l three/f -> nowhere", "d 755 four/f"];
    let fixture = Fixture::new(&source, &[]);
    fixture.gives("COPY one two /d/", &["d 755 d", "f 600 d/f = 2"]);
    fixture.gives("COPY two one/f /d/", &["d 755 d", "f 644 d/f = 1"]);
    fixture.gives("COPY one three /d/", &["d 755 d", "l d/f -> nowhere"]);
    fixture.gives("COPY three one /d/", &["d 755 d", "f 644 d/f = 1"]);
    fixture.fails("COPY one four /d/", "cannot copy to non-directory: /d/f");
    fixture.fails("COPY four one /d/", "cannot replace the directory /d/f with a file");
}

#[test]
fn heredocs_are_files_by_their_delimiters() {
    let fixture = Fixture::new(&["f 644 f = x"], &["d 700 dir"]);
    fixture.gives("COPY <<EOF /x", &["f 644 x = EOF"]);
    fixture.gives("COPY <<EOF /dir", &["d 700 dir", "f 644 dir/EOF = EOF"]);
    fixture.gives(
        "COPY --chmod=755 f <<a <<b /x/",
        &["d 755 x", "f 755 x/a = a", "f 755 x/b = b", "f 755 x/f = x"],
    );
}

#[test]
fn names_that_mean_deletion_are_refused() {
    let source = ["f 644 d/.wh.f", "f 644 d/ok", "f 644 f"];
    let fixture = Fixture::new(&source, &["f 644 f"]);
    let message = |path: &str| {
        format!(
            "/{path} cannot be stored in an image: in a layer, a name that starts with .wh. is the \
             order to delete a file; leave it out with .dockerignore or --exclude"
        )
    };
    fixture.fails("COPY d /", &message(".wh.f"));
    fixture.fails("COPY d /x", &message("x/.wh.f"));
    fixture.fails("COPY f /.wh.x", &message(".wh.x"));
    fixture.fails("COPY f /.wh.x/y", &message(".wh.x"));
    fixture.fails("COPY <<.wh..wh..opq /", &message(".wh..wh..opq"));
    fixture.gives("COPY --exclude=.wh.* d /", &["f 644 ok"]);
}
