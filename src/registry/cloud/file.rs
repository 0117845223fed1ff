//! Files of credentials and tokens.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::CloudAnswer;

/// Larger than any such file.
const FILE_MAX: u64 = 1 << 20;

/// Reads a small file. The error names it.
pub(super) fn small_file(path: &Path) -> CloudAnswer<Vec<u8>> {
    read(path).map_err(|error| format!("{} cannot be read: {error}", shown(path)))
}

/// The same with an error that does not name it.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_MAX {
        let why = format!("it is larger than {FILE_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(bytes)
}

/// The text of a small file, without the spaces around it; there must be some.
pub(super) fn small_text(path: &Path) -> CloudAnswer<String> {
    let text = String::from_utf8(small_file(path)?);
    let text = text.map_err(|_| format!("{} is no text", shown(path)))?;
    match text.trim() {
        "" => Err(format!("{} is empty", shown(path))),
        text => Ok(text.to_owned()),
    }
}

/// A path, unless it seems to be the file's content: where a CI system keeps variables of both kinds
/// (GitLab does), it is easily taken for the other.
pub(super) fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    let content = text.contains(['{', '"', '\n']) || text.split('/').any(|part| part.len() > 200);
    if content {
        "what should be a file's path, and seems to be its content,".into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_limits() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("token");
        for (content, expected) in [
            (&b" \n token\n"[..], Ok("token")),
            (b" \n", Err("is empty")),
            (b"\xff", Err("is no text")),
            (
                &[b'x'; FILE_MAX as usize + 1],
                Err("cannot be read: it is larger than 1048576 bytes"),
            ),
        ] {
            std::fs::write(&path, content).expect("written");
            match (small_text(&path), expected) {
                (Ok(text), Ok(expected)) => assert_eq!(text, expected),
                (Err(why), Err(end)) => assert_eq!(why, format!("{} {end}", path.display())),
                (found, expected) => panic!("{found:?} {expected:?}"),
            }
        }
        assert!(small_text("/dev/zero".as_ref()).is_err());
    }

    #[test]
    fn content_in_a_path_s_place_is_not_shown() {
        let error = |path: &str| small_file(path.as_ref()).expect_err("no file");
        assert!(error("/no/such.json").starts_with("/no/such.json cannot be read: "));
        for content in
            ["/builds/{\"private_key\": \"geheim\"}", &"/geheim".repeat(40)[1..], "a\ngeheim"]
        {
            let long = content.replace('/', "");
            for text in [content, &long] {
                let error = error(text);
                let short = !text.contains(['{', '\n']) && text.contains('/');
                assert!(short || error.contains("seems to be its content"), "{error}");
                assert!(short || !error.contains("geheim"), "{error}");
            }
        }
    }
}
