//! What is asked of the real program, and what people read of it.

use std::sync::OnceLock;

use testkit::Registry;

use crate::common::{Kiln, bases};
use crate::world::World;

/// The digest of what the builds make, from a run without faults.
fn expected() -> &'static str {
    static DIGEST: OnceLock<String> = OnceLock::new();
    DIGEST.get_or_init(|| {
        let world = World::new(Registry::builder(), Registry::builder());
        kiln(&world, &["app:1"]).run().ok();
        world.target.digest("app", "1").expect("an image")
    })
}

fn kiln(world: &World, names: &[&str]) -> Kiln {
    let (source, target) = (world.source.host(), world.target.host());
    // Looks into the base, so that its layers are downloaded.
    let kiln = Kiln::build()
        .dockerfile(&format!("FROM {source}/base:1\nCOPY file /etc/file\n"))
        .file("file", bases::noise(100_000, 3))
        .docker_config(&world.logins())
        .args(["--source-date-epoch", "1700000000", "--progress", "plain"]);
    let names: Vec<_> = names.iter().map(|name| format!("{target}/{name}")).collect();
    kiln.args(names.iter().flat_map(|name| ["-t", name]))
}

/// Builds and pushes. The error is the one that the program printed, up to the line that it names.
pub fn build(world: &World, names: &[&str], args: &[&str]) -> Result<(), String> {
    let expected = expected();
    let (outcome, dir) = kiln(world, names).args(args).run_and_keep();
    if outcome.code == Some(0) {
        for name in names {
            let (repo, tag) = name.split_once(':').expect("a tag");
            if world.target.digest(repo, tag).as_deref() != Some(expected) {
                return Err(format!("{name} is not the image\n{outcome}"));
            }
        }
        return Ok(());
    }
    let errors: Vec<_> =
        outcome.stderr.lines().filter_map(|line| line.strip_prefix("error: ")).collect();
    match (outcome.code, &errors[..]) {
        (Some(1), [error]) => Err(error.replace(&*dir.path().to_string_lossy(), "HOME")),
        _ => Err(format!("{} errors\n{outcome}", errors.len())),
    }
}
