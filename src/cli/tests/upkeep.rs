//! `kiln cache`.

use super::Project;
use crate::cli::{Caretaking, Invocation};

#[test]
fn caches_are_looked_after() {
    let project = Project::new();
    let run = |line: &str| match project.run(line, &[]) {
        Ok(Invocation::Upkeep(Caretaking { request, json, .. })) => (request.prune, json),
        other => panic!("{line}: {other:?}"),
    };
    assert_eq!(run("cache du r.io/a r.io/b:1"), (None, false));
    assert_eq!(run("cache du --json r.io/a"), (None, true));
    assert_eq!(run("cache prune r.io/a"), (Some(Default::default()), false));
    let prune = crate::request::Prune {
        older_than: Some(std::time::Duration::from_secs(72 * 3600)),
        keep: Some(5 << 30),
        dry_run: true,
    };
    let line = "cache prune --older-than 72h --keep 5GB --dry-run r.io/a";
    assert_eq!(run(line), (Some(prune), false));
    for (line, part) in [
        ("cache", "Usage"),
        ("cache du ./nowhere", "there is no directory $PROJECT/nowhere"),
        ("cache du app", "$PROJECT/app has no cache of kiln's in it"),
        ("cache prune --keep 0 r.io/a", "--keep"),
        ("cache prune --older-than 3 r.io/a", "--older-than"),
        ("cache shrink", "shrink"),
    ] {
        let said = match project.run(line, &[]) {
            Ok(Invocation::Help(text)) => text,
            _ => project.error(line, &[]),
        };
        assert!(said.contains(part), "{line}: {said}");
    }
}
