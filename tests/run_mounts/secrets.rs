//! `type=secret`: a command gets it, and nobody and nothing else.

use super::{BOTH, Bench, built, fails, kiln, made, prints};
use crate::common::Kiln;

/// A value that nobody would find by chance.
fn value() -> String {
    format!("hidden-{:016x}", fastrand::u64(..))
}

#[test]
fn files_and_variables_as_docker_has_them() {
    let dockerfile = "FROM BASE/busybox\n\
         RUN --mount=type=secret,id=a --mount=type=secret,id=dir/b --mount=type=secret,target=/at/c \
             --mount=type=secret,source=a,dst=rel,mode=0444,uid=3,gid=4 \
             --mount=type=secret,id=a,env=A --mount=type=secret,id=none,env=NONE \
             --mount=type=secret,id=a,env=BOTH,target=/both \
             { stat -c '%u:%g %a %n' /run/secrets/* /at/* /rel /both; \
               cat /run/secrets/a /run/secrets/b /at/c /rel /both; \
               echo $A ${NONE-unset} $BOTH; ls /run/secrets; } > /out\n";
    let dockerfile = dockerfile.replace("{ stat", "sh -c '{ stat").replace("} > /out", "}' > /out");
    let dockerfile = dockerfile.replace("-c '%u:%g %a %n'", "-c %u:%g_%a_%n");
    for isolation in BOTH {
        let out = prints(isolation, &dockerfile, |kiln| {
            kiln.file("../b", "of b\n")
                .env("A_VARIABLE", "of a\n")
                .env("c", "of c\n")
                .args(["--secret", "id=a,env=A_VARIABLE", "--secret", "id=dir/b,src=b"])
                .args(["--secret", "id=c"])
        });
        assert_eq!(
            out,
            "0:0_400_/run/secrets/a\n0:0_400_/run/secrets/b\n0:0_400_/at/c\n3:4_444_/rel\n\
             0:0_400_/both\nof a\nof b\nof c\nof a\nof a\nof a unset of a\na\nb\n",
            "{isolation}"
        );
    }
}

#[test]
fn a_secret_is_nowhere_in_the_image_or_the_log() {
    let (secret, other) = (value(), value());
    let dockerfile = "FROM BASE/busybox\n\
         RUN --mount=type=secret,id=s --mount=type=secret,id=o,env=OTHER \
             wc -c < /run/secrets/s > /out && echo $OTHER | wc -c >> /out\n\
         RUN ls /run/secrets >> /out 2>&1; echo ${OTHER-unset} >> /out\n";
    for isolation in BOTH {
        let bench = Bench::new();
        let outcome = kiln(&bench, isolation, dockerfile)
            .file("../secret", &secret)
            .env("O_VALUE", &other)
            .args(["--secret", "id=s,src=secret", "--secret", "id=o,env=O_VALUE", "--verbose"])
            .run();
        for text in [&outcome.stdout, &outcome.stderr] {
            assert!(!text.contains(&secret) && !text.contains(&other), "{text}");
        }
        outcome.ok();
        let image = bench.image();
        let config = image.config.to_string();
        assert!(!config.contains(&secret) && !config.contains(&other), "{config}");
        assert_eq!(made(&image).into_iter().collect::<Vec<_>>(), ["out"]);
        let out = image.text("out").unwrap();
        assert!(out.starts_with(&format!("{}\n{}\n", secret.len(), other.len() + 1)), "{out}");
        assert!(!out.contains(&secret) && out.ends_with("unset\n"), "{out}");
        assert!(out.contains("No such file"), "{out}");
    }
}

#[test]
fn the_variable_that_kiln_has_it_from_is_not_the_command_s() {
    let secret = value();
    let dockerfile = "FROM BASE/busybox\n\
         RUN --mount=type=secret,id=s \
             env > /env; cat /proc/*/environ /proc/*/cmdline > /environs 2> /dev/null; \
             cat /proc/mounts /proc/self/mountinfo > /mounts; true\n";
    for isolation in BOTH {
        let image = built(isolation, dockerfile, |kiln| {
            kiln.env("ITS_NAME", &secret).args(["--secret", "id=s,env=ITS_NAME"])
        });
        for file in ["env", "environs", "mounts"] {
            let bytes = image.text(file).unwrap_or_default();
            assert!(!bytes.contains(&secret) && !bytes.contains("ITS_NAME"), "{isolation} {file}");
        }
    }
}

#[test]
fn a_failed_run_tells_no_secret() {
    let secret = value();
    let dockerfile =
        "FROM BASE/busybox\nRUN --mount=type=secret,id=s,env=S --mount=type=secret,id=s exit 3\n";
    for isolation in BOTH {
        let outcome = fails(isolation, dockerfile, |kiln| {
            kiln.env("S_VALUE", &secret).args(["--secret", "id=s,env=S_VALUE", "--verbose"])
        });
        assert_eq!(outcome.code, Some(3), "{outcome}");
        assert!(!outcome.stderr.contains(&secret), "{outcome}");
    }
}

#[test]
fn what_is_required_and_missing() {
    let with = |mount: &str, change: fn(Kiln) -> Kiln| {
        let text = format!("FROM BASE/busybox\nRUN --mount=type=secret,{mount} true\n");
        let outcome = fails(super::NAMESPACES, &text, change);
        assert!(outcome.stderr.contains("Dockerfile:2"), "{outcome}");
        outcome.stderr
    };
    let error = with("id=s,required", |kiln| kiln);
    assert!(error.contains("secret s: not found"), "{error}");
    let error = with("id=s,env=S,required=true", |kiln| kiln.args(["--secret", "id=t,env=PATH"]));
    assert!(error.contains("secret s: not found"), "{error}");
    let error =
        with("id=s,env=S", |kiln| kiln.file("../s", b"\xff\0").args(["--secret", "id=s,src=s"]));
    assert!(error.contains("the secret s is no text"), "{error}");
    let out = prints(
        super::NAMESPACES,
        "FROM BASE/busybox\nRUN --mount=type=secret,id=s ls /run/secrets 2> /dev/null | wc -l > /out\n",
        |kiln| kiln,
    );
    assert_eq!(out, "0\n");
}

#[test]
fn a_variable_that_is_not_set_is_an_empty_secret_and_said() {
    let bench = Bench::new();
    let text =
        "FROM BASE/busybox\nRUN --mount=type=secret,id=s,required wc -c < /run/secrets/s > /out\n";
    let outcome = kiln(&bench, super::NAMESPACES, text).args(["--secret", "id=s,env=UNSET"]).run();
    assert!(outcome.stderr.contains("the secret s is empty"), "{outcome}");
    outcome.ok();
    assert_eq!(bench.image().text("out").unwrap(), "0\n");
}
