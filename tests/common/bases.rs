//! Base images and the names under which kiln finds them.

use serde_json::{Value, json};
use testkit::Registry;
use testkit::tar::TarBytes;

/// Files whose layers do not compress away, so that bytes in a log can be told apart.
pub const BIG: usize = 300_000;

/// An image of two layers without any program: `etc/base` and `data/big` below, `etc/upper` above.
/// Returns its manifest's digest.
pub fn plain(registry: &Registry, repo: &str, tag: &str) -> String {
    let lower = TarBytes::new().dir("etc").file("etc/base", "base\n").dir("data");
    let lower = lower.file("data/big", noise(BIG, 1));
    let upper = TarBytes::new().dir("etc").file("etc/upper", "upper\n");
    registry.add_image(repo, tag, vec![lower, upper], json!({ "config": { "Env": ["A=1"] } }))
}

/// busybox with a second layer above it, for a RUN. Returns its manifest's digest.
pub fn busybox(registry: &Registry, repo: &str, tag: &str) -> String {
    let programs = testkit::base::busybox().expect("busybox");
    let upper = TarBytes::new().dir("etc").file("etc/upper", noise(BIG, 2));
    registry.add_image(repo, tag, vec![programs, upper], busybox_config())
}

/// What a busybox image has in its config.
pub fn busybox_config() -> Value {
    json!({ "config": { "Env": ["PATH=/bin:/usr/bin"], "Cmd": ["sh"] } })
}

/// The same bytes for the same seed; they do not compress.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    // Knuth's multiplier (MMIX); the upper bits are the random ones.
    let mut state = seed;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}
