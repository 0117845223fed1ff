//! Whether an image is what was to be built: nobody is fast by doing nothing.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, ensure};
use testkit::digest::sha256_of;
use testkit::image::{Kind, Objects};

use super::Project;
use super::context::PICKED_FILES;
use super::dockerfile::{BIG, DEEP};

pub(super) fn check(project: Project, tree: &Objects, context: &Path) -> anyhow::Result<()> {
    let base = tree.contains_key("etc/debian_version");
    ensure!(base, "the image lacks /etc/debian_version, which is its base's");
    match project {
        Project::Flask => {
            same(tree, "app/app.py", &context.join("app.py"))?;
            let installed = tree.keys().any(|path| path.ends_with("-packages/flask/__init__.py"));
            ensure!(installed, "the image lacks flask");
            Ok(())
        }
        Project::Large => {
            has_files(tree, "data/", 20_000)?;
            let bytes: u64 = below(tree, "data/").map(|(_, size)| size).sum();
            ensure!(bytes == 500_000_000, "the files of the image have {bytes} bytes");
            has(tree, "done")
        }
        Project::Stages => ["made-a", "made-b", "made-c"].iter().try_for_each(|at| has(tree, at)),
        Project::CopyOnly => same(tree, "usr/local/bin/tool", &context.join("busybox")),
        Project::Deep => has_files(tree, "file-", DEEP),
        Project::Monorepo => has_files(tree, "srv/s", PICKED_FILES),
        Project::BigPush => {
            let size = tree.get("big").map(|object| object.size);
            ensure!(size == Some(BIG), "the image's /big has {size:?} bytes");
            Ok(())
        }
    }
}

/// Paths and sizes of regular files.
fn below<'a>(tree: &'a Objects, prefix: &'a str) -> impl Iterator<Item = (&'a str, u64)> {
    let files = tree.iter().filter(|(_, object)| object.kind == Kind::File);
    let below = files.filter(move |(path, _)| path.starts_with(prefix));
    below.map(|(path, object)| (path.as_str(), object.size))
}

fn has_files(tree: &Objects, prefix: &str, count: usize) -> anyhow::Result<()> {
    let found = below(tree, prefix).count();
    ensure!(found == count, "the image has {found} files /{prefix}*, not {count}");
    Ok(())
}

fn has(tree: &Objects, path: &str) -> anyhow::Result<()> {
    ensure!(tree.contains_key(path), "the image lacks /{path}");
    Ok(())
}

/// Whether a file of the image is that one.
fn same(tree: &Objects, path: &str, file: &Path) -> anyhow::Result<()> {
    let object = tree.get(path).with_context(|| format!("the image lacks /{path}"))?;
    let (digest, _) = sha256_of(File::open(file)?)?;
    ensure!(object.sha256 == digest, "/{path} of the image is another file");
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;
    use testkit::Registry;
    use testkit::image::Image;
    use testkit::tar::TarBytes;

    use super::*;

    fn tree(layer: TarBytes) -> Objects {
        let registry = Registry::start();
        registry.add_image("app", "1", vec![layer], json!({}));
        Image::from_registry(&registry, "app", "1").unwrap().tree().unwrap()
    }

    #[test]
    fn an_image_that_lacks_something_is_refused() {
        let context = tempfile::tempdir().unwrap();
        std::fs::write(context.path().join("busybox"), "program").unwrap();
        let says = |project, layer: TarBytes| {
            let said = check(project, &tree(layer), context.path());
            said.err().map(|error| error.to_string()).unwrap_or_default()
        };
        let base = || TarBytes::new().dir("etc").file("etc/debian_version", "12");
        let tool = |content: &str| base().file("usr/local/bin/tool", content);
        assert!(says(Project::CopyOnly, TarBytes::new().dir("etc")).contains("its base's"));
        assert!(says(Project::CopyOnly, base()).contains("lacks /usr/local/bin/tool"));
        assert!(says(Project::CopyOnly, tool("other")).contains("another file"));
        assert_eq!(says(Project::CopyOnly, tool("program")), "");
        let deep = (0..DEEP).fold(base(), |tar, step| tar.file(format!("file-{step}"), ""));
        assert_eq!(says(Project::Deep, deep), "");
        assert!(says(Project::Deep, base()).contains("0 files /file-*, not 40"));
        assert!(says(Project::Large, base()).contains("not 20000"));
        assert!(says(Project::Stages, base().file("made-a", "")).contains("lacks /made-b"));
        assert!(says(Project::BigPush, base().file("big", "x")).contains("Some(1) bytes"));
    }
}
