//! `.gitmodules`: git's form of settings (git-config(1), gitmodules(5)), and addresses that are
//! relative to the repository's own.

use super::wrong::{Wrong, unusable};

/// As many bytes as a file may have.
pub(super) const BYTES_MAX: u64 = 1 << 20;

/// What the file says of one submodule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Module {
    pub(super) name: String,
    pub(super) path: Option<String>,
    pub(super) url: Option<String>,
    /// Whether it says `update = none`.
    pub(super) is_off: bool,
}

/// Reads the file. Of a key that is there twice, the last counts.
pub(super) fn parse(text: &str) -> Result<Vec<Module>, Wrong> {
    let mut modules: Vec<Module> = Vec::new();
    let mut current = None;
    let mut chars = Chars { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1 };
    while let Some(c) = chars.next() {
        match c {
            '\n' | ' ' | '\t' | '\r' => {}
            '#' | ';' => chars.skip_line(),
            '[' => {
                let name = chars.section()?;
                current = name.map(|name| match modules.iter().position(|one| one.name == name) {
                    Some(known) => known,
                    None => {
                        modules.push(Module { name, ..Module::default() });
                        modules.len() - 1
                    }
                });
            }
            c if c.is_ascii_alphabetic() => {
                let key = chars.key(c);
                let value = chars.value()?;
                if let Some(module) = current.and_then(|at: usize| modules.get_mut(at)) {
                    match key.as_str() {
                        "path" => module.path = value,
                        "url" => module.url = value,
                        "update" => module.is_off = value.as_deref() == Some("none"),
                        _ => {}
                    }
                }
            }
            _ => return chars.wrong(),
        }
    }
    Ok(modules)
}

struct Chars<'a> {
    rest: &'a str,
    line: usize,
}

impl Chars<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        // As git reads them: the end of a line may be two characters.
        if c == '\r' && self.rest.starts_with('\n') {
            return self.next();
        }
        self.line += usize::from(c == '\n');
        Some(c)
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn wrong<T>(&self) -> Result<T, Wrong> {
        unusable(format!(".gitmodules cannot be read: line {} has another form", self.line))
    }

    fn skip_line(&mut self) {
        while self.next().is_some_and(|c| c != '\n') {}
    }

    /// `submodule "name"]`; none of another section.
    fn section(&mut self) -> Result<Option<String>, Wrong> {
        let mut word = String::new();
        loop {
            match self.next() {
                Some(']') => return Ok(None),
                Some(c @ (' ' | '\t')) if !word.is_empty() => {
                    debug_assert!(c.is_whitespace());
                    break;
                }
                Some(c) if c.is_ascii_alphanumeric() || c == '-' || c == '.' => word.push(c),
                _ => return self.wrong(),
            }
        }
        while matches!(self.peek(), Some(' ' | '\t')) {
            self.next();
        }
        if self.next() != Some('"') {
            return self.wrong();
        }
        let mut name = String::new();
        loop {
            match self.next() {
                Some('"') => break,
                Some('\\') => match self.next() {
                    Some(c) if c != '\n' => name.push(c),
                    _ => return self.wrong(),
                },
                Some(c) if c != '\n' => name.push(c),
                _ => return self.wrong(),
            }
        }
        if self.next() != Some(']') {
            return self.wrong();
        }
        Ok(word.eq_ignore_ascii_case("submodule").then_some(name))
    }

    fn key(&mut self, first: char) -> String {
        let mut key = String::from(first);
        while let Some(c) = self.peek().filter(|c| c.is_ascii_alphanumeric() || *c == '-') {
            key.push(c);
            self.next();
        }
        key.to_ascii_lowercase()
    }

    /// What stands behind `=`; none without one.
    fn value(&mut self) -> Result<Option<String>, Wrong> {
        while matches!(self.peek(), Some(' ' | '\t')) {
            self.next();
        }
        match self.next() {
            None | Some('\n') => return Ok(None),
            Some('=') => {}
            Some('#' | ';') => {
                self.skip_line();
                return Ok(None);
            }
            Some(_) => return self.wrong(),
        }
        let (mut value, mut quoted, mut solid) = (String::new(), false, 0);
        loop {
            let c = self.next();
            match c {
                None | Some('\n') if !quoted => break,
                None | Some('\n') => return self.wrong(),
                Some('"') => quoted = !quoted,
                Some('#' | ';') if !quoted => {
                    self.skip_line();
                    break;
                }
                Some('\\') => match self.next() {
                    Some('\n') => continue,
                    Some('n') => value.push('\n'),
                    Some('t') => value.push('\t'),
                    Some('b') => value.push('\u{8}'),
                    Some(c @ ('"' | '\\')) => value.push(c),
                    _ => return self.wrong(),
                },
                Some(' ' | '\t') if !quoted && value.is_empty() => continue,
                Some(c @ (' ' | '\t')) if !quoted => {
                    value.push(c);
                    continue;
                }
                Some(c) => value.push(c),
            }
            // Blanks at the end count only between quotes.
            solid = value.len();
        }
        value.truncate(solid);
        Ok(Some(value))
    }
}

/// The address of a submodule, seen from that of the repository that names it.
pub(super) fn address(url: &str, of: &str) -> Result<String, Wrong> {
    if !url.starts_with("./") && !url.starts_with("../") {
        return Ok(url.to_owned());
    }
    let host = of.find("://").map_or(0, |at| at + 3);
    let root = of[host..].find('/').map_or(of.len(), |at| host + at);
    let (mut base, mut rest) = (of.trim_end_matches('/'), url);
    loop {
        if let Some(behind) = rest.strip_prefix("./") {
            rest = behind;
        } else if let Some(behind) = rest.strip_prefix("../") {
            rest = behind;
            match base.rfind('/') {
                Some(slash) if slash >= root => base = &base[..slash],
                _ => {
                    return unusable(format!(
                        "the submodule's address `{url}` leads out of its host"
                    ));
                }
            }
        } else {
            return Ok(format!("{base}/{}", rest.trim_end_matches('/')));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_git_reads_them() {
        let text = "# c\n[core]\n\turl = no\n[submodule \"a \\\"b\\\\\"]\n\tpath = a b ; c\r\n\tURL = \
                    \"x # y\"  z # c\n\tbranch\n[Submodule \"two\"] path=\"p\\tq \" \n url = one\\\n\
                    more\n update = none\n[submodule \"a \\\"b\\\\\"]\nurl=last\n[submodule.old]\nurl=x";
        let modules = parse(text).expect("read");
        let names: Vec<_> = modules.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["a \"b\\", "two"]);
        assert_eq!(modules[0].path.as_deref(), Some("a b"));
        assert_eq!(modules[0].url.as_deref(), Some("last"));
        assert_eq!(modules[1].path.as_deref(), Some("p\tq "));
        assert_eq!(modules[1].url.as_deref(), Some("onemore"));
        assert!(!modules[0].is_off && modules[1].is_off);
        let quoted = parse("[submodule \"a\"]\nurl = \"x # y\"  z # c").expect("read");
        assert_eq!(quoted[0].url.as_deref(), Some("x # y  z"));
        for bad in
            ["[submodule \"a\n\"]", "[submodule a]", "[sub", "= x", "[a]\nb ! c", "[a]\nb=\"x\n"]
        {
            let wrong = parse(bad).expect_err(bad).to_string();
            assert!(wrong.contains(".gitmodules cannot be read: line"), "{wrong}");
        }
    }

    #[test]
    fn relative_addresses_stay_with_their_host() {
        for (url, of, expected) in [
            ("../b.git", "https://h/x/a.git", Some("https://h/x/b.git")),
            ("../../y/b", "https://h/x/a.git/", Some("https://h/y/b")),
            ("./b", "https://h/x/a.git", Some("https://h/x/a.git/b")),
            ("../../../b", "https://h/x/a.git", None),
            ("https://o/b", "https://h/x/a", Some("https://o/b")),
            ("/srv/b", "https://h/x/a", Some("/srv/b")),
        ] {
            assert_eq!(address(url, of).ok().as_deref(), expected, "{url} of {of}");
        }
    }
}
