//! What it costs to let a cache of RUN travel: `cargo bench --bench cache_mounts -- DIR…`, where each DIR
//! is the cache of a project after one more change. Everything goes through an OCI layout in a temporary
//! directory, so that a network's speed is not in the times.
//!
//! Beside it stands what sending whole changed files would cost, compressed in the same way.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use kiln::cache::backend::Layout;
use kiln::cache::library::Place;
use kiln::cache::mounts::{Memory, MountKey, Travel, Workplace};
use kiln::cancel::Cancel;
use kiln::digest::Digest;
use kiln::dockerfile::Sharing;
use kiln::event::Reporter;
use kiln::plan::CacheMount;
use kiln::request::MountLimits;
use kiln::rootfs::Ownership;

fn main() -> Result<()> {
    let dirs: Vec<PathBuf> =
        std::env::args_os().skip(1).filter(|arg| arg != "--bench").map(PathBuf::from).collect();
    let bench = Bench::new()?;
    let mut before: BTreeSet<Digest> = BTreeSet::new();
    for (number, dir) in dirs.iter().enumerate() {
        let machine = bench.machine(number)?;
        let start = Instant::now();
        let memory = bench.bring(&machine);
        let restored = start.elapsed();
        // As a command would change it: what is as it was is not touched.
        let copied = Command::new("rsync")
            .args(["-a", "--delete"])
            .arg(format!("{}/", dir.display()))
            .arg(&machine)
            .status()?;
        ensure!(copied.success(), "rsync failed");
        let size_before = bench.size()?;
        let start = Instant::now();
        bench.save(&machine, memory.unwrap_or_default());
        let saved = start.elapsed();
        let (whole, files, bytes) = whole_files(dir, &mut before)?;
        println!(
            "{}: {files} files, {} MB; sent {} kB (whole files: {} kB); restored in {}, saved in {}",
            dir.display(),
            bytes / 1_000_000,
            (bench.size()? - size_before) / 1000,
            whole / 1000,
            seconds(restored),
            seconds(saved),
        );
    }
    Ok(())
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

struct Bench {
    dir: tempfile::TempDir,
    travel: Travel,
    key: MountKey,
}

impl Bench {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        std::fs::create_dir(dir.path().join("scratch"))?;
        let backend = Layout::new(dir.path().join("layout"), Cancel::default());
        let places = vec![Place { backend: Arc::new(backend), name: "bench".into() }];
        let limits = MountLimits { size: 1 << 40, age: Duration::from_secs(365 * 24 * 3600) };
        let travel =
            Travel::new(places.clone(), places, limits, Reporter::silent(), Cancel::default());
        let mount = CacheMount {
            target: "/c".into(),
            id: "//c".into(),
            sharing: Sharing::Shared,
            seed: None,
            source: "/".into(),
            read_only: false,
            mode: None,
            uid: None,
            gid: None,
        };
        Ok(Self { dir, travel, key: MountKey::new(&mount, "bench", "linux/amd64") })
    }

    fn machine(&self, number: usize) -> Result<PathBuf> {
        let path = self.dir.path().join(number.to_string());
        std::fs::create_dir(&path)?;
        Ok(path)
    }

    fn bring(&self, into: &Path) -> Option<Memory> {
        let scratch = &self.dir.path().join("scratch");
        let at = Workplace { scratch, ownership: Ownership::Keep };
        self.travel.bring(&self.key, into, at, &Cancel::default()).map(|brought| brought.memory)
    }

    fn save(&self, dir: &Path, memory: Memory) {
        let scratch = &self.dir.path().join("scratch");
        let at = Workplace { scratch, ownership: Ownership::Keep };
        self.travel.save(&self.key, dir, memory, at);
    }

    /// Bytes of all blobs that were ever kept.
    fn size(&self) -> Result<u64> {
        let blobs = self.dir.path().join("layout/blobs/sha256");
        let mut size = 0;
        for blob in std::fs::read_dir(blobs).into_iter().flatten() {
            size += blob?.metadata()?.len();
        }
        Ok(size)
    }
}

/// Compressed bytes of the files whose content was not there before, and how many files there are.
fn whole_files(dir: &Path, before: &mut BTreeSet<Digest>) -> Result<(u64, usize, u64)> {
    let mut out = zstd::Encoder::new(Vec::new(), 3)?;
    let mut pending = vec![dir.to_owned()];
    let (mut files, mut bytes) = (0, 0);
    while let Some(dir) = pending.pop() {
        for entry in std::fs::read_dir(&dir).with_context(|| dir.display().to_string())? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                pending.push(entry.path());
            } else if entry.file_type()?.is_file() {
                let content = std::fs::read(entry.path())?;
                files += 1;
                bytes += content.len() as u64;
                if before.insert(Digest::of(&content)) {
                    out.write_all(&content)?;
                }
            }
        }
    }
    Ok((out.finish()?.len() as u64, files, bytes))
}
