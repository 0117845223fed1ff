//! Which paths are the broker's: those below /proc, /sys and /dev, however they are written.

/// The names of a path below one of the three, the first being `proc`, `sys` or `dev`.
pub(super) type Names = Vec<Vec<u8>>;

/// What a path as a program wrote it is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The broker's.
    Ours(Names),
    /// Of the image: the kernel's matter.
    Image,
    /// It depends on the caller's working directory.
    Relative,
}

/// Looks at a path. `..` is taken literally, as if no name were a link: an image has none of its
/// names in /proc, /sys or /dev, and a wrong guess costs no more than "no such file".
pub(super) fn look(path: &[u8]) -> Seen {
    match path.first() {
        None => return Seen::Image,
        Some(b'/') => {}
        // Most relative paths cannot lead there, whatever they are relative to.
        Some(_) if may_lead_there(path) => return Seen::Relative,
        Some(_) => return Seen::Image,
    }
    if !begins_like_one(path) && !has_dots(path) {
        return Seen::Image;
    }
    let names = normal(path);
    match names.first().map(Vec::as_slice) {
        Some(b"proc" | b"sys" | b"dev") => Seen::Ours(names),
        _ => Seen::Image,
    }
}

/// The names of an absolute path, without `.`, `..` and empty ones.
pub(super) fn normal(path: &[u8]) -> Names {
    let mut names: Names = Vec::new();
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => _ = names.pop(),
            name => names.push(name.to_owned()),
        }
    }
    names
}

/// A path's text from its names.
pub(super) fn join(names: &[Vec<u8>]) -> Vec<u8> {
    let mut text = Vec::new();
    for name in names {
        text.push(b'/');
        text.extend_from_slice(name);
    }
    if text.is_empty() { b"/".to_vec() } else { text }
}

fn begins_like_one(path: &[u8]) -> bool {
    let start = path.iter().position(|byte| *byte != b'/').unwrap_or(path.len());
    let rest = &path[start..];
    // `/./proc` too.
    rest.first() == Some(&b'.')
        || [&b"proc"[..], b"sys", b"dev"].iter().any(|name| rest.starts_with(name))
}

fn has_dots(path: &[u8]) -> bool {
    path.windows(3).any(|part| part == b"/..")
}

/// Whether a relative path leads to the broker from some working directory of the image's: from `/`, or
/// up to it. A name further down does not, such as that of /usr/include/sys. From a working directory
/// in /proc, anything does: the caller of this knows whether there is one.
fn may_lead_there(path: &[u8]) -> bool {
    let mut down: Vec<&[u8]> = Vec::new();
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => _ = down.pop(),
            name => down.push(name),
        }
    }
    matches!(down.first(), Some(&(b"proc" | b"sys" | b"dev")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_known_however_they_are_written() {
        let ours = [
            "/proc",
            "/proc/",
            "//proc//self",
            "/./dev/null",
            "/usr/../proc/1",
            "/dev/../sys/x",
            "/proc/self/../2",
        ];
        for path in ours {
            assert!(matches!(look(path.as_bytes()), Seen::Ours(_)), "{path}");
        }
        let image = [
            "/",
            "/usr/lib",
            "/process",
            "/proc/..",
            "/devel/x",
            "usr/lib",
            "",
            "x/..",
            "usr/include/sys/stat.h",
            "../x/dev/y",
            "dev/../x",
            "devel",
        ];
        for path in image {
            assert_eq!(look(path.as_bytes()), Seen::Image, "{path}");
        }
        for path in ["../proc/self", "dev/null", "./dev", "x/../../sys/y", "proc", "..//./dev/x/.."]
        {
            assert_eq!(look(path.as_bytes()), Seen::Relative, "{path}");
        }
        assert_eq!(join(&normal(b"/proc/./self/../1/")), b"/proc/1");
    }
}
