//! Heredocs of RUN: what is run, and what history says.

use serde_json::Value;

use super::{BOTH, built, made};

/// `created_by` of the last entry.
fn last_entry(config: &Value) -> String {
    let history = config["history"].as_array().unwrap();
    history.last().unwrap()["created_by"].as_str().unwrap().to_owned()
}

#[test]
fn all_forms() {
    // What follows FROM, what the command leaves in /out, and how history has it: as BuildKit.
    let rows = [
        (
            "RUN <<EOF\necho \"$((1 + 1))\" > /out\necho $0 >> /out\nEOF\n",
            "2\n/bin/sh\n",
            "RUN /bin/sh -c echo \"$((1 + 1))\" > /out\necho $0 >> /out\n # buildkit",
        ),
        (
            "ARG A=1\nRUN <<-\"EOF\"\n\t\techo $A > /out\n\tEOF\n",
            "1\n",
            "RUN |1 A=1 /bin/sh -c echo $A > /out\n # buildkit",
        ),
        (
            "RUN <<EOF\n#!/bin/awk -f\nBEGIN { print \"from awk\" > \"/out\" }\nEOF\n",
            "from awk\n",
            "RUN /bin/sh -c /dev/pipes/EOF # buildkit",
        ),
        (
            "RUN cat <<A > /out && cat <<'B' >> /out\nof $0\nA\nof $0\nB\n",
            "of /bin/sh\nof $0\n",
            "RUN /bin/sh -c cat <<A > /out && cat <<'B' >> /out\nof $0\nA\nof $0\nB # buildkit",
        ),
        (
            "RUN cat <<-A > /out\n\tindented\n\tA\n",
            "indented\n",
            "RUN /bin/sh -c cat <<-A > /out\n\tindented\nA # buildkit",
        ),
        (
            "SHELL [\"/bin/busybox\", \"awk\"]\nRUN <<X\nBEGIN { print \"a shell\" > \"/out\" }\nX\n",
            "a shell\n",
            "RUN /bin/busybox awk BEGIN { print \"a shell\" > \"/out\" }\n # buildkit",
        ),
        (
            "RUN 3<<IN cat <&3 > /out\nthree\nIN\n",
            "three\n",
            "RUN /bin/sh -c 3<<IN cat <&3 > /out\nthree\nIN # buildkit",
        ),
    ];
    for isolation in BOTH {
        for (lines, out, history) in rows {
            let image = built(isolation, &format!("FROM BASE/busybox\n{lines}"), |kiln| kiln);
            assert_eq!(image.text("out").unwrap(), out, "{isolation}: {lines}");
            assert_eq!(last_entry(&image.config), history, "{isolation}: {lines}");
            assert_eq!(made(&image).into_iter().collect::<Vec<_>>(), ["out"], "{lines}");
        }
    }
}

#[test]
fn a_script_is_read_only_and_stands_beside_mounts() {
    let dockerfile = "FROM BASE/busybox\n\
         RUN --mount=type=tmpfs,target=/t <<EOF\n#!/bin/sh -e\n\
         stat -c '%a %u:%g' $0 > /out\ntouch /t/x\n! echo '#' 2> /dev/null >> $0\nls /t >> /out\nEOF\n";
    for isolation in BOTH {
        // Where nothing can be mounted, a write is not refused; it vanishes.
        let dockerfile = match isolation {
            super::CHROOT => dockerfile.replace("! echo", "echo"),
            _ => dockerfile.to_owned(),
        };
        let image = built(isolation, &dockerfile, |kiln| kiln);
        assert_eq!(image.text("out").unwrap(), "755 0:0\nx\n", "{isolation}");
        assert_eq!(made(&image).into_iter().collect::<Vec<_>>(), ["out"], "{isolation}");
    }
}
