//! `.git` of what was fetched, for those who want it: the pack with an index of its own, the refs, and
//! the list of what is checked out (gitrepository-layout(5), gitformat-pack(5), gitformat-index(5)).
//! Nothing in it tells of this machine or this hour.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::checkout::Made;
use super::id::{Id, Sha1};
use super::objects::Objects;
use super::wrong::{Wrong, unusable};
use crate::remote::RemoteError;

/// As git has the files of a pack.
const READ_ONLY: u32 = 0o444;
/// Offsets from here on are in a table of their own.
const LARGE: u64 = 1 << 31;

/// What goes into `.git`.
pub(super) struct GitDir<'a> {
    pub(super) url: &'a str,
    /// What is checked out.
    pub(super) commit: &'a str,
    /// Names and what they are.
    pub(super) refs: &'a [(String, String)],
    /// Commits whose past is left out.
    pub(super) shallow: &'a [Id],
    pub(super) made: &'a [Made],
    /// Names and addresses of submodules that were fetched.
    pub(super) modules: &'a [(String, String)],
}

impl GitDir<'_> {
    /// Makes it in a directory that has none.
    pub(super) fn write(
        &self,
        dir: &Path,
        objects: &Objects,
        pack: tempfile::NamedTempFile,
    ) -> Result<(), Wrong> {
        let packed = packed_refs(self.refs)?;
        let git = dir.join(".git");
        for name in ["objects/pack", "objects/info", "refs/heads", "refs/tags"] {
            let path = git.join(name);
            fs::create_dir_all(&path).map_err(RemoteError::io("make", path))?;
        }
        let text = |name: &str, text: &str| {
            let path = git.join(name);
            fs::write(&path, text).map_err(RemoteError::io("write", path))
        };
        text("HEAD", &format!("{}\n", self.commit))?;
        text("config", &self.config())?;
        if !self.shallow.is_empty() {
            let mut lines = self.shallow.to_vec();
            lines.sort_unstable();
            let lines: String = lines.iter().map(|id| format!("{id}\n")).collect();
            text("shallow", &lines)?;
        }
        text("packed-refs", &packed)?;
        let place = git.join("objects/pack").join(format!("pack-{}.pack", objects.checksum()));
        let index = place.with_extension("idx");
        pack.persist(&place)
            .map_err(|error| RemoteError::io("keep the pack at", &place)(error.error))?;
        file(&index, |out| pack_index(objects, out))?;
        for path in [&place, &index] {
            fs::set_permissions(path, Permissions::from_mode(READ_ONLY))
                .map_err(RemoteError::io("set the mode of", path))?;
        }
        file(&git.join("index"), |out| index_of(self.made, out))
    }

    fn config(&self) -> String {
        let mut text = format!(
            "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\
             \tlogallrefupdates = true\n[remote \"origin\"]\n\turl = {}\n\
             \tfetch = +refs/heads/*:refs/remotes/origin/*\n",
            quoted(self.url)
        );
        for (name, url) in self.modules {
            let (name, url) = (quoted(name), quoted(url));
            text += &format!("[submodule {name}]\n\tactive = true\n\turl = {url}\n");
        }
        text
    }
}

/// The file of all refs.
fn packed_refs(refs: &[(String, String)]) -> Result<String, Wrong> {
    let mut refs = refs.to_vec();
    refs.sort_unstable();
    let mut text = "# pack-refs with: sorted \n".to_owned();
    for (name, object) in &refs {
        match Id::parse(object) {
            Some(id) if is_ref(name) => text += &format!("{id} {name}\n"),
            _ => {
                let name = name.escape_debug();
                return unusable(format!(
                    "the server has a ref `{name}`, which git would not take"
                ));
            }
        }
    }
    Ok(text)
}

/// Whether a full name can be a ref's (git-check-ref-format(1)): a line of a file of refs, and a path
/// below `.git`.
fn is_ref(name: &str) -> bool {
    let is_odd = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    let is_part =
        |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    name.starts_with("refs/")
        && !name.contains(is_odd)
        && !name.contains("..")
        && !name.contains("@{")
        && !name.ends_with('.')
        && name.split('/').all(is_part)
}

/// A value that says what it says, whatever it is.
fn quoted(value: &str) -> String {
    let plain: String = value.chars().filter(|c| !c.is_control()).collect();
    format!("\"{}\"", plain.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A file whose end is the SHA-1 of what is before.
fn file(path: &Path, write: impl FnOnce(&mut Summed) -> io::Result<()>) -> Result<(), Wrong> {
    let fail = |error| Wrong::Ours(RemoteError::io("write", path)(error));
    let out = fs::File::create(path).map_err(fail)?;
    let mut out = Summed { out: io::BufWriter::new(out), hash: Sha1::new() };
    let finish = |out: &mut Summed| {
        write(out)?;
        let sum = out.hash.clone().finish();
        out.out.write_all(sum.as_bytes())?;
        out.out.flush()
    };
    finish(&mut out).map_err(fail)
}

struct Summed {
    out: io::BufWriter<fs::File>,
    hash: Sha1,
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hash.update(bytes);
        self.out.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The index of a pack, in version 2.
pub(super) fn pack_index(objects: &Objects, out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"\xfftOc\0\0\0\x02")?;
    let mut listed = objects.listed().map(|(id, ..)| id.as_bytes()[0]).peekable();
    let mut count = 0_u32;
    for first in 0..=u8::MAX {
        while listed.next_if(|byte| *byte == first).is_some() {
            count += 1;
        }
        out.write_all(&count.to_be_bytes())?;
    }
    objects.listed().try_for_each(|(id, ..)| out.write_all(id.as_bytes()))?;
    objects.listed().try_for_each(|(_, crc, _)| out.write_all(&crc.to_be_bytes()))?;
    let mut large = Vec::new();
    for (_, _, offset) in objects.listed() {
        let number = match u32::try_from(offset) {
            Ok(number) if offset < LARGE => number,
            _ => {
                large.push(offset);
                0x8000_0000 | (large.len() as u32 - 1)
            }
        };
        out.write_all(&number.to_be_bytes())?;
    }
    large.iter().try_for_each(|offset| out.write_all(&offset.to_be_bytes()))?;
    out.write_all(objects.checksum().as_bytes())
}

/// The list of what is checked out, in version 2. It has no times, sizes and inodes of files: git then
/// compares their content once.
fn index_of(made: &[Made], out: &mut impl Write) -> io::Result<()> {
    let mut made: Vec<&Made> = made.iter().collect();
    made.sort_unstable_by(|one, other| {
        one.path.as_os_str().as_bytes().cmp(other.path.as_os_str().as_bytes())
    });
    out.write_all(b"DIRC\0\0\0\x02")?;
    out.write_all(&(made.len() as u32).to_be_bytes())?;
    for Made { path, mode, id } in made {
        let path = path.as_os_str().as_bytes();
        let mut entry = vec![0; 24];
        entry.extend_from_slice(&mode.bits().to_be_bytes());
        entry.resize(40, 0);
        entry.extend_from_slice(id.as_bytes());
        entry.extend_from_slice(&(path.len().min(0xfff) as u16).to_be_bytes());
        entry.extend_from_slice(path);
        // At least one zero, and up to a multiple of eight bytes.
        entry.resize(entry.len() / 8 * 8 + 8, 0);
        out.write_all(&entry)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_git_takes_gets_into_its_files() {
        let id = "1".repeat(40);
        let refs = |name: &str, id: &str| packed_refs(&[(name.to_owned(), id.to_owned())]);
        for name in
            ["refs/heads/main", "refs/remotes/origin/a.b/c-d", "refs/tags/v1@2", "refs/tags/é"]
        {
            let text = refs(name, &id).expect(name);
            assert_eq!(text, format!("# pack-refs with: sorted \n{id} {name}\n"));
        }
        for name in [
            "",
            "HEAD",
            "-x",
            "/refs/x",
            "refs/",
            "refs/x/",
            "refs//x",
            "refs/../config",
            "refs/a..b",
            "refs/.a",
            "refs/a.",
            "refs/a.lock",
            "refs/a.lock/b",
            "refs/a b",
            "refs/a\nrefs/b",
            "refs/a\tb",
            "refs/a\0",
            "refs/a~1",
            "refs/a^",
            "refs/a:b",
            "refs/a?",
            "refs/a*",
            "refs/a[b",
            "refs/a\\b",
            "refs/a@{1}",
        ] {
            let wrong = refs(name, &id).expect_err(name).to_string();
            assert!(wrong.contains("which git would not take"), "{wrong}");
            assert!(!wrong.contains('\n'), "{wrong}");
        }
        for id in ["", "1", &"2".repeat(64), &format!("{}\n", "1".repeat(39))] {
            assert!(refs("refs/heads/main", id).is_err(), "{id}");
        }
    }
}
