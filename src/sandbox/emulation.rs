//! Programs of another processor: who runs them, if anybody does.
//!
//! Source: docs.kernel.org/admin-guide/binfmt-misc.html; the ELF specification for the header.

use std::path::Path;

use super::enter::Unable;
use crate::image::Platform;
use crate::sys::personality;

/// Where the kernel lists the interpreters that are registered.
const BINFMT_MISC: &str = "/proc/sys/fs/binfmt_misc";

/// Why commands of this platform cannot be run; nothing if they can, or if it cannot be known.
pub fn refusal(platform: &Platform) -> Option<Unable> {
    refusal_with(platform, &Platform::host(), Path::new(BINFMT_MISC))
}

fn refusal_with(platform: &Platform, host: &Platform, listed: &Path) -> Option<Unable> {
    if platform.os != "linux" {
        return Some(Unable {
            reason: format!("it is a command for {platform}, and kiln runs commands of Linux"),
            advice: "build this stage on such a machine, or without RUN".to_owned(),
        });
    }
    if is_native(&host.architecture, &platform.architecture) {
        return None;
    }
    let header = header(&platform.architecture)?;
    // In containers the list is often not there to see; the kernel uses it all the same.
    let interpreters = read(listed)?;
    if interpreters.iter().any(|it| it.stays_open && it.takes(&header)) {
        return None;
    }
    let arch = &platform.architecture;
    let (reason, advice) = if interpreters.iter().any(|it| it.takes(&header)) {
        (
            format!(
                "it is a command for {platform}, and the emulator for that is registered without the \
                 flag F, so that it would be looked for in the image"
            ),
            format!(
                "register it again: docker run --privileged --rm tonistiigi/binfmt --install {arch}"
            ),
        )
    } else {
        (
            format!(
                "it is a command for {platform}, and this machine ({host}) has no emulator for that \
                 (binfmt_misc has no entry)"
            ),
            format!(
                "register one on the host: docker run --privileged --rm tonistiigi/binfmt --install \
                 {arch}; or let the stage run here and cross-compile: FROM --platform=$BUILDPLATFORM; \
                 or build each platform on its own machine and join the images"
            ),
        )
    };
    Some(Unable { reason, advice })
}

/// What a processor runs by itself, as containerd's platforms.Only has it.
fn is_native(host: &str, wanted: &str) -> bool {
    match (host, wanted) {
        ("amd64", "386") => true,
        ("arm64", "arm") => personality::has_32_bit(),
        _ => host == wanted,
    }
}

/// The bytes by which the kernel tells whose program a file is: the first 20 of an ELF file.
fn header(architecture: &str) -> Option<[u8; 20]> {
    const LITTLE: u8 = 1;
    const BIG: u8 = 2;
    let (bits, order, machine): (u8, u8, u16) = match architecture {
        "386" => (32, LITTLE, 3),
        "amd64" => (64, LITTLE, 62),
        "arm" => (32, LITTLE, 40),
        "arm64" => (64, LITTLE, 183),
        "loong64" => (64, LITTLE, 258),
        "mips64" => (64, BIG, 8),
        "mips64le" => (64, LITTLE, 8),
        "ppc64" => (64, BIG, 21),
        "ppc64le" => (64, LITTLE, 21),
        "riscv64" => (64, LITTLE, 243),
        "s390x" => (64, BIG, 22),
        _ => return None,
    };
    const EXECUTABLE: u16 = 2;
    let bytes = |number: u16| {
        if order == LITTLE { number.to_le_bytes() } else { number.to_be_bytes() }
    };
    let mut header = [0; 20];
    header[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', bits / 32, order, 1]);
    header[16..18].copy_from_slice(&bytes(EXECUTABLE));
    header[18..].copy_from_slice(&bytes(machine));
    Some(header)
}

/// An entry of the list.
struct Interpreter {
    /// Flag F: it was opened when it was registered, so that it works in every root.
    stays_open: bool,
    offset: usize,
    magic: Vec<u8>,
    /// Empty where every bit counts.
    mask: Vec<u8>,
}

impl Interpreter {
    /// Reads an entry; nothing for one that is disabled or that goes by a file's name.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != "enabled" {
            return None;
        }
        let field = |name: &str| {
            let all = text.lines().filter_map(|line| line.strip_prefix(name));
            all.map(str::trim).next()
        };
        Some(Self {
            stays_open: field("flags:")?.contains('F'),
            offset: field("offset ").and_then(|text| text.parse().ok()).unwrap_or(0),
            magic: bytes_of(field("magic ")?)?,
            mask: field("mask ").and_then(bytes_of).unwrap_or_default(),
        })
    }

    /// Whether the kernel would give it a program of this header.
    fn takes(&self, header: &[u8]) -> bool {
        let Some(header) = header.get(self.offset..) else { return false };
        // What is beyond the header (flags of a processor's variant) is not known here.
        self.magic.iter().zip(header).enumerate().all(|(at, (magic, byte))| {
            let mask = self.mask.get(at).copied().unwrap_or(0xff);
            magic & mask == byte & mask
        })
    }
}

/// Bytes that are written as pairs of hexadecimal digits.
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let pair = |at| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    (0..text.len()).step_by(2).map(pair).collect()
}

/// The entries that are in force; nothing where the list cannot be seen.
fn read(dir: &Path) -> Option<Vec<Interpreter>> {
    let status = std::fs::read_to_string(dir.join("status")).ok()?;
    if status.trim() != "enabled" {
        return Some(Vec::new());
    }
    let entries = std::fs::read_dir(dir).ok()?.flatten();
    let texts = entries.filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
    Some(texts.filter_map(|text| Interpreter::parse(&text)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARM64: &str = "enabled\ninterpreter /usr/bin/qemu-aarch64\nflags: POCF\noffset 0\n\
        magic 7f454c460201010000000000000000000200b700\n\
        mask ffffffffffffff00fffffffffffffffffeffffff\n";

    /// The platform, the files of the list, and what is said.
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], Option<&'a str>);

    fn platform(text: &str) -> Platform {
        text.parse().expect("a platform")
    }

    fn ask(wanted: &str, entries: &[(&str, &str)]) -> Option<String> {
        let dir = tempfile::tempdir().expect("a directory");
        for (name, text) in entries {
            std::fs::write(dir.path().join(name), text).expect("written");
        }
        let refused = refusal_with(&platform(wanted), &platform("linux/amd64"), dir.path());
        refused.map(|unable| unable.to_string())
    }

    #[test]
    fn what_is_not_native_needs_an_emulator_that_works_in_every_root() {
        let on = ("status", "enabled\n");
        let lent = ARM64.replace("POCF", "");
        let disabled = ARM64.replace("enabled", "disabled");
        let by_name = "enabled\ninterpreter /bin/x\nflags: F\nextension .exe\n";
        let rows: [Row<'_>; 9] = [
            ("linux/amd64/v2", &[on], None),
            ("linux/386", &[on], None),
            ("linux/arm64", &[on, ("qemu-aarch64", ARM64)], None),
            ("linux/arm64", &[on], Some("binfmt --install arm64")),
            ("linux/arm64", &[on, ("qemu-aarch64", &lent)], Some("without the flag F")),
            ("linux/arm64", &[on, ("a", &disabled), ("b", by_name)], Some("no emulator")),
            ("linux/s390x", &[on, ("qemu-aarch64", ARM64)], Some("--platform=$BUILDPLATFORM")),
            ("linux/arm64", &[("status", "disabled"), ("a", ARM64)], Some("no emulator")),
            ("windows/amd64", &[on], Some("windows/amd64")),
        ];
        for (wanted, entries, expected) in rows {
            match (ask(wanted, entries), expected) {
                (None, None) => {}
                (Some(said), Some(expected)) => assert!(said.contains(expected), "{said}"),
                (said, _) => panic!("{wanted}: {said:?}"),
            }
        }
    }

    #[test]
    fn what_cannot_be_seen_is_not_refused() {
        assert_eq!(ask("linux/arm64", &[]), None);
        assert_eq!(ask("linux/unheard-of", &[("status", "enabled")]), None);
    }
}
