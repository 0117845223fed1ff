//! Files of credentials and tokens.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::CloudAnswer;

/// Larger than any such file.
const FILE_MAX: u64 = 1 << 20;

/// Reads a small file. The error names it.
pub(super) fn small_file(path: &Path) -> CloudAnswer<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_MAX + 1).read_to_end(&mut bytes));
    match read {
        Err(error) => Err(format!("{} cannot be read: {error}", shown(path))),
        Ok(_) if bytes.len() as u64 > FILE_MAX => {
            Err(format!("{} is larger than {FILE_MAX} bytes", shown(path)))
        }
        Ok(_) => Ok(bytes),
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
