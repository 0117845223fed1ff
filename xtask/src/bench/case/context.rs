//! The contexts, made once and copied to each run's disk.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Project;
use crate::bench::{flask, wheels};

/// Directories of the monorepo, and files in each: 60,000 files of 200 MB.
const SERVICES: usize = 200;
const FILES: usize = 300;
const SIZES: [usize; 3] = [500, 2_500, 7_000];
/// Those directories that the Dockerfile copies: two of a hundred.
pub(super) const PICKED: [usize; 4] = [3, 50, 117, 180];
/// How many files a service that is copied has.
pub(super) const PICKED_FILES: usize = PICKED.len() * FILES;

/// What a RUN writes 500 MB with. The content is the same each time.
const WRITE: &str = include_str!("write.py");

pub(super) fn prepare(project: Project, dir: &Path) -> anyhow::Result<PathBuf> {
    let context = dir.join(format!("{project:?}").to_lowercase());
    if context.exists() {
        return Ok(context);
    }
    // Under its own name it is complete.
    let partial = dir.join("partial");
    let _ = fs::remove_dir_all(&partial);
    fs::create_dir_all(&partial)?;
    fill(project, &partial)?;
    fs::rename(&partial, &context)?;
    Ok(context)
}

fn fill(project: Project, dir: &Path) -> anyhow::Result<()> {
    match project {
        Project::Flask => {
            flask(dir, "")?;
            wheels(&dir.join("wheels"), &[])
        }
        Project::Large => Ok(fs::write(dir.join("write.py"), WRITE)?),
        Project::CopyOnly => {
            let hint = "/bin/busybox is needed; install it with: apt-get install busybox-static";
            fs::copy("/bin/busybox", dir.join("busybox")).map(drop).context(hint)
        }
        Project::Monorepo => monorepo(dir),
        Project::Stages | Project::Deep | Project::BigPush => Ok(()),
    }
}

fn monorepo(dir: &Path) -> anyhow::Result<()> {
    let mut state = 1_u64;
    for service in 0..SERVICES {
        for file in 0..FILES {
            let module = dir.join(format!("services/s{service:03}/m{:02}", file / 50));
            fs::create_dir_all(&module)?;
            let size = SIZES[file % SIZES.len()];
            fs::write(module.join(format!("f{file:03}.js")), text(&mut state, size))?;
        }
    }
    Ok(())
}

/// Lines of words, no two files the same.
fn text(state: &mut u64, size: usize) -> String {
    let mut text = String::with_capacity(size + 32);
    while text.len() < size {
        // A linear congruential generator with Knuth's constants.
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let word = *state >> 33;
        text += &format!("const v{} = f{}(x);\n", word % 997, word % 89);
    }
    text.truncate(size);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_made_once() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let context = prepare(Project::Large, dir.path())?;
        assert_eq!(fs::read_to_string(context.join("write.py"))?, WRITE);
        fs::write(context.join("mark"), "")?;
        assert!(prepare(Project::Large, dir.path())?.join("mark").exists());
        Ok(())
    }

    #[test]
    fn the_monorepo_has_200_mb_of_which_two_percent_are_copied() {
        let average = SIZES.iter().sum::<usize>() / SIZES.len();
        let all = SERVICES * FILES;
        assert_eq!((all, PICKED_FILES * 100 / all), (60_000, 2));
        assert_eq!(all * average / 1_000_000, 199);
        let mut state = 1;
        let (one, other) = (text(&mut state, 500), text(&mut state, 500));
        assert!(one.len() == 500 && one != other);
    }
}
