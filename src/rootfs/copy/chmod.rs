//! The value of `--chmod`: a number, or changes as chmod(1) takes them.

use std::str::FromStr;

/// What `--chmod` makes of a mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chmod {
    /// All permission bits at once.
    Octal(u32),
    /// Changes, one after another.
    Symbolic(Vec<Change>),
}

/// One change of a symbolic mode, such as `go=rX`: each action in turn, for the same classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    classes: Classes,
    operator: Operator,
    permissions: Permissions,
}

/// A value that is neither.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error(
    "invalid chmod parameter: `{0}` is neither an octal number between 0 and 07777 nor a list of \
     changes such as u=rwX,go=rX"
)]
pub struct BadChmod(String);

impl Chmod {
    /// The permission bits that replace `mode`.
    pub fn apply(&self, mode: u32, is_dir: bool) -> u32 {
        match self {
            Self::Octal(bits) => *bits,
            Self::Symbolic(changes) => {
                changes.iter().fold(mode & 0o7777, |mode, change| change.apply(mode, is_dir))
            }
        }
    }
}

impl FromStr for Chmod {
    type Err = BadChmod;

    fn from_str(text: &str) -> Result<Self, BadChmod> {
        let bad = || BadChmod(text.to_owned());
        if text.starts_with(|first: char| first.is_ascii_digit()) {
            let bits = u32::from_str_radix(text, 8).map_err(|_| bad())?;
            return if bits <= 0o7777 { Ok(Self::Octal(bits)) } else { Err(bad()) };
        }
        let mut changes = Vec::new();
        for clause in text.split(',') {
            parse_clause(clause, &mut changes).ok_or_else(bad)?;
        }
        Ok(Self::Symbolic(changes))
    }
}

/// Which of owner, group and others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Classes {
    user: bool,
    group: bool,
    other: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Add,
    Remove,
    Set,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Permissions {
    /// `rwx` as three bits.
    bits: u32,
    /// `X`: execution, where it is a directory or somebody may execute already.
    conditional: bool,
    /// `s`
    set_id: bool,
    /// `t`
    sticky: bool,
    /// `u`, `g` or `o`: what that class has; the shift of its bits.
    copied: Option<u32>,
}

const USER: u32 = 6;
const GROUP: u32 = 3;
const OTHER: u32 = 0;

impl Change {
    fn apply(self, mode: u32, is_dir: bool) -> u32 {
        let Self { classes, operator, permissions } = self;
        let mut bits = permissions.bits;
        if permissions.conditional && (is_dir || mode & 0o111 != 0) {
            bits |= 0o1;
        }
        if let Some(shift) = permissions.copied {
            bits |= mode >> shift & 0o7;
        }
        let spread = |bits: u32, set_user: u32, set_group: u32, sticky: u32| {
            let class = |chosen: bool, value: u32| if chosen { value } else { 0 };
            class(classes.user, bits << USER | set_user)
                | class(classes.group, bits << GROUP | set_group)
                | class(classes.other, bits << OTHER | sticky)
        };
        let set_id = |bit: u32| if permissions.set_id { bit } else { 0 };
        let sticky = if permissions.sticky { 0o1000 } else { 0 };
        let wanted = spread(bits, set_id(0o4000), set_id(0o2000), sticky);
        match operator {
            Operator::Add => mode | wanted,
            Operator::Remove => mode & !wanted,
            Operator::Set => mode & !spread(0o7, 0o4000, 0o2000, 0o1000) | wanted,
        }
    }
}

/// `[ugoa]*([-+=]([rwxXst]*|[ugo]))+`
fn parse_clause(clause: &str, changes: &mut Vec<Change>) -> Option<()> {
    let actions = clause.trim_start_matches(['u', 'g', 'o', 'a']);
    let named = &clause[..clause.len() - actions.len()];
    let has = |class: char| named.is_empty() || named.contains('a') || named.contains(class);
    let classes = Classes { user: has('u'), group: has('g'), other: has('o') };
    let mut rest = actions.chars().peekable();
    loop {
        let operator = match rest.next()? {
            '+' => Operator::Add,
            '-' => Operator::Remove,
            '=' => Operator::Set,
            _ => return None,
        };
        let mut permissions = Permissions::default();
        let copied = |class| match class {
            'u' => Some(USER),
            'g' => Some(GROUP),
            'o' => Some(OTHER),
            _ => None,
        };
        permissions.copied = rest.peek().copied().and_then(copied);
        if permissions.copied.is_some() {
            rest.next();
        } else {
            while let Some(letter) = rest.next_if(|letter| !"+-=".contains(*letter)) {
                permissions.add(letter)?;
            }
        }
        changes.push(Change { classes, operator, permissions });
        if rest.peek().is_none() {
            return Some(());
        }
    }
}

impl Permissions {
    fn add(&mut self, letter: char) -> Option<()> {
        match letter {
            'r' => self.bits |= 0o4,
            'w' => self.bits |= 0o2,
            'x' => self.bits |= 0o1,
            'X' => self.conditional = true,
            's' => self.set_id = true,
            't' => self.sticky = true,
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_replace_and_changes_change() {
        for (text, before, is_dir, after) in [
            ("755", 0o4600, false, 0o755),
            ("0", 0o644, false, 0),
            ("07777", 0, true, 0o7777),
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("u=rwX,go=rX", 0o700, false, 0o755),
            ("u=rwX,go=rX", 0o600, true, 0o755),
            ("+x", 0o644, false, 0o755),
            ("a-w", 0o666, false, 0o444),
            ("go=", 0o755, false, 0o700),
            ("u+s,g-s,+t", 0o2755, false, 0o5755),
            ("g=u", 0o640, false, 0o660),
            ("o=g-w", 0o664, false, 0o664),
            ("ug+rw-x", 0o711, false, 0o661),
            ("u=", 0o4755, false, 0o055),
        ] {
            let chmod: Chmod = text.parse().expect(text);
            assert_eq!(chmod.apply(before, is_dir), after, "{text} on {before:o}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "8", "10000", "75x", "0o755", "u", "rwx", "u=rw,", "u=q", "u=gr", "+ä"] {
            let error = text.parse::<Chmod>().expect_err(text);
            assert!(error.to_string().starts_with("invalid chmod parameter"), "{error}");
        }
    }
}
