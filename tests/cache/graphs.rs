//! Large graphs, isolations, and explanations.

use std::fmt::Write as _;

use crate::hits::{Project, uuid};

#[test]
fn thirty_stages_of_ten_steps_cost_no_more_requests_than_one() {
    let mut dockerfile = String::new();
    for stage in 0..30 {
        writeln!(dockerfile, "FROM BASE/base AS s{stage}").expect("written");
        for step in 0..9 {
            let from = if step == 4 && stage > 0 {
                format!("COPY --from=s{} /made{} /from\n", stage - 1, stage - 1)
            } else {
                format!("RUN echo {stage}{step} >> /made{stage}\n")
            };
            dockerfile += &from;
        }
        dockerfile += "COPY app.py /\n";
    }
    let project = Project::new(&dockerfile);
    let first = project.build();
    assert_eq!(first.cached(), 0, "{}", first.outcome);
    let image = project.bench.image();
    let second = project.build();
    assert_eq!(second.cached(), 10, "{}", second.outcome);
    assert!(second.requests.len() <= 12, "{}\n{}", second.requests.len(), second.lines());
    assert!(second.downloaded() < 4000, "{}", second.lines());
    assert_eq!(project.bench.image().digest, image.digest);
}

#[test]
fn all_isolations_share_one_cache() {
    let dockerfile =
        "FROM BASE/base\nWORKDIR /w\nCOPY . .\nRUN cat /proc/sys/kernel/random/uuid > u\n";
    let project = Project::new(dockerfile);
    let first = project.build_with(&["--isolation", "chroot"]);
    assert_eq!(first.cached(), 0, "{}", first.outcome);
    let made = uuid(&project, "w/u");
    for isolation in ["namespaces", "chroot", "none"] {
        let seen = project.build_with(&["--isolation", isolation]);
        assert_eq!(seen.cached(), 3, "{isolation}\n{}", seen.outcome);
        assert_eq!(uuid(&project, "w/u"), made, "{isolation}");
    }
}

#[test]
fn explanations_name_what_changed() {
    let mut project = Project::new(
        "FROM BASE/base\nARG VERSION=1\nCOPY app.py requirements.txt /\nRUN echo $VERSION\n\
         RUN true\n",
    );
    let said = project.build_with(&["--explain"]).outcome.stderr;
    assert!(said.contains("nothing like it was built before"), "{said}");
    let said = project.build_with(&["--explain"]).outcome.stderr;
    assert!(said.contains("COPY app.py requirements.txt /: hit, made 2"), "{said}");
    let said = project.build_with(&["--explain", "--build-arg", "VERSION=2"]).outcome.stderr;
    assert!(said.contains("COPY app.py requirements.txt /: hit"), "{said}");
    assert!(said.contains("RUN echo $VERSION: miss: the variable VERSION changed"), "{said}");
    assert!(said.contains("RUN true: miss: a command before it has to run"), "{said}");
    project.write("app.py", "print(2)\n");
    let said = project.build_with(&["--explain"]).outcome.stderr;
    let copied = "COPY app.py requirements.txt /: miss: /app.py changed (against";
    assert!(said.contains(copied), "{said}");
    // Of what is behind it the state is known, and the key is another.
    assert!(said.contains("RUN echo $VERSION: miss: a step before it changed"), "{said}");
    assert!(!said.contains("requirements.txt changed"), "{said}");
}
