//! `type=bind`

use std::os::unix::fs::chown;

use super::{BOTH, built, fails, made, prints};

#[test]
fn the_context_is_there_as_copy_would_have_it() {
    let dockerfile = "FROM BASE/busybox\nWORKDIR /w\n\
         RUN --mount=target=ctx cd ctx && { \
             cat a/kept; ls -A; ls a; stat -c '%u:%g %a %n' . a a/kept run.sh; ./run.sh; \
         } > /out\n";
    for isolation in BOTH {
        let out = prints(isolation, dockerfile, |kiln| {
            let kiln = kiln
                .file(".dockerignore", "**/*.secret\nDockerfile\n.dockerignore\n")
                .file("a/kept", "kept\n")
                .file("a/x.secret", "not to be seen")
                .file("run.sh", "#!/bin/sh\necho ran\n");
            let dir = kiln.context();
            std::process::Command::new("chmod")
                .args(["755"])
                .arg(dir.join("run.sh"))
                .arg(dir.join("a"))
                .status()
                .unwrap();
            chown(dir.join("a/kept"), Some(1234), Some(1234)).unwrap();
            kiln
        });
        assert_eq!(
            out,
            "kept\na\nrun.sh\nkept\n0:0 755 .\n0:0 755 a\n0:0 644 a/kept\n0:0 755 run.sh\nran\n",
            "{isolation}"
        );
    }
}

#[test]
fn one_file_of_the_context_and_links_to_it() {
    let dockerfile = "FROM BASE/busybox\nARG NAME=real\n\
         RUN --mount=source=$NAME,target=/m/file cat /m/file > /out\n\
         RUN --mount=source=link,target=/m/file cat /m/file >> /out\n\
         RUN --mount=source=/../dir/../up,target=\"/m/with blank\" cat '/m/with blank/x' >> /out\n";
    for isolation in BOTH {
        let image = built(isolation, dockerfile, |kiln| {
            let kiln = kiln.file("real", "real\n").file("dir/x", "x\n").file("up/x", "up\n");
            std::os::unix::fs::symlink("/dir/../real", kiln.context().join("link")).unwrap();
            kiln
        });
        assert_eq!(image.text("out").unwrap(), "real\nreal\nup\n", "{isolation}");
        assert_eq!(made(&image).into_iter().collect::<Vec<_>>(), ["out"], "{isolation}");
    }
}

#[test]
fn what_is_written_vanishes() {
    let dockerfile = "FROM BASE/busybox\n\
         RUN --mount=target=/m,rw echo changed > /m/f && mkdir /m/new && cat /m/f > /out\n\
         RUN --mount=target=/m,rw cat /m/f >> /out && ls -d /m/new >> /out 2>&1 || true\n";
    for isolation in BOTH {
        let kept = tempfile::tempdir().unwrap();
        std::fs::write(kept.path().join("f"), "as it was\n").unwrap();
        let image = built(isolation, dockerfile, |kiln| {
            std::fs::copy(kiln.context().join("Dockerfile"), kept.path().join("Dockerfile"))
                .unwrap();
            kiln.context_dir(kept.path())
        });
        let out = image.text("out").unwrap();
        assert!(out.starts_with("changed\nas it was\n"), "{isolation}: {out}");
        assert!(out.contains("No such file"), "{isolation}: {out}");
        assert_eq!(std::fs::read_to_string(kept.path().join("f")).unwrap(), "as it was\n");
        assert!(!kept.path().join("new").exists());
    }
}

#[test]
fn nothing_is_written_into_what_is_read_only() {
    let dockerfile = "FROM BASE/busybox\n\
         RUN --mount=target=/m ! echo changed > /m/f && cat /m/f > /out\n";
    let out = prints(super::NAMESPACES, dockerfile, |kiln| kiln.file("f", "as it was\n"));
    assert_eq!(out, "as it was\n");
}

#[test]
fn stages_and_images_are_sources() {
    let dockerfile = "FROM BASE/busybox AS copied\nCOPY f /dir/f\n\
         FROM BASE/busybox AS run\nRUN mkdir /dir && echo run > /dir/f && ln -s /dir /link\n\
         FROM scratch AS bare\nCOPY f /deep/down/f\n\
         FROM BASE/busybox\nARG STAGE=run\n\
         RUN --mount=from=copied,source=/dir,target=/a cat /a/f > /out\n\
         RUN --mount=from=$STAGE,source=link,target=/a cat /a/f >> /out\n\
         RUN --mount=from=run,target=/a cat /a/link/f /a/dir/f >> /out 2>&1 || true\n\
         RUN --mount=from=bare,source=/deep/down/f,target=/a cat /a >> /out\n\
         RUN --mount=from=BASE/busybox,source=/bin/busybox,target=/x/busybox /x/busybox echo image >> /out\n\
         RUN --mount=from=scratch,target=/none,rw touch /none/x && stat -c '%a' /none >> /out\n";
    for isolation in BOTH {
        let image = built(isolation, dockerfile, |kiln| kiln.file("f", "copied\n"));
        let out = image.text("out").unwrap();
        let without_error: Vec<&str> = out.lines().filter(|l| !l.starts_with("cat:")).collect();
        assert_eq!(without_error, ["copied", "run", "run", "copied", "image", "755"], "{out}");
        assert_eq!(made(&image).into_iter().collect::<Vec<_>>(), ["out"], "{isolation}");
    }
}

#[test]
fn a_named_context_is_a_source() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("d")).unwrap();
    std::fs::write(dir.path().join("d/f"), "of another\n").unwrap();
    let dockerfile = "FROM BASE/busybox\n\
         RUN --mount=from=other,target=/m cat /m/d/f > /out\n\
         RUN --mount=from=other,source=d/f,target=/f cat /f >> /out\n";
    for isolation in BOTH {
        let out = prints(isolation, dockerfile, |kiln| {
            kiln.arg_pair("--build-context", format!("other={}", dir.path().display()))
        });
        assert_eq!(out, "of another\nof another\n", "{isolation}");
    }
}

#[test]
fn what_is_missing_is_named() {
    for isolation in BOTH {
        for (mount, file, expected) in [
            ("source=nope,target=/m", "f", "\"/nope\": not found"),
            ("source=hidden,target=/m", "hidden", "it is excluded by `hidden`"),
            ("from=other,source=/nope,target=/m", "f", "\"/nope\": not found"),
            ("from=none,source=/nope,target=/m", "f", "\"/nope\": not found"),
            ("target=/", "f", "invalid mount target \"/\""),
        ] {
            let text = format!(
                "FROM scratch AS none\nFROM BASE/busybox AS other\nRUN true\n\
                 FROM BASE/busybox\nRUN --mount={mount} true\n"
            );
            let outcome = fails(isolation, &text, |kiln| {
                kiln.file(file, "").file(".dockerignore", "hidden\n")
            });
            assert!(outcome.stderr.contains(expected), "{isolation} {mount}: {outcome}");
            assert!(outcome.stderr.contains("Dockerfile:5"), "{isolation} {mount}: {outcome}");
        }
    }
}
