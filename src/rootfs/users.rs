//! Users and groups of an image: `USER`, `--chown` and HOME.
//!
//! The rules are BuildKit's (executor/oci/user.go, solver/llbsolver/ops/user_linux.go) and, for the
//! look-up itself, those of github.com/moby/sys/user.

use std::path::Path;

use super::view::{View, ViewError, resolve};

/// A `USER` or `--chown` that means nobody.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UserError {
    /// A name that `etc/passwd` does not have.
    #[error("the image has no user `{0}` in /etc/passwd")]
    UnknownUser(String),
    /// A name that `etc/group` does not have.
    #[error("the image has no group `{0}` in /etc/group")]
    UnknownGroup(String),
    /// A number that is no id.
    #[error("`{0}` is no user or group id: ids are 0 to 4294967294")]
    OutOfRange(String),
    /// More than setgroups(2) takes.
    #[error("user `{0}` is a member of more than {MAX_GROUPS} groups")]
    TooManyGroups(String),
}

/// How a process runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary group ids.
    pub groups: Vec<u32>,
    /// The home directory; `/` if there is none.
    pub home: String,
    /// The user's name, if `etc/passwd` has the id.
    pub name: Option<String>,
}

/// What is read of each of the two files, in bytes; what is after it is not looked at.
const MAX_FILE: u64 = 1024 * 1024;

/// `NGROUPS_MAX`.
const MAX_GROUPS: usize = 65_536;

/// The users and groups of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Users {
    users: Vec<User>,
    groups: Vec<Group>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct User {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    name: String,
    gid: u32,
    members: Vec<String>,
}

impl Users {
    /// Reads `etc/passwd` and `etc/group`; without them there are none. Lines that are no entries are
    /// passed over.
    pub fn load(view: &dyn View) -> Result<Self, ViewError> {
        Ok(Self::parse(&read(view, Path::new("etc/passwd"))?, &read(view, Path::new("etc/group"))?))
    }

    fn parse(passwd: &str, group: &str) -> Self {
        Self {
            users: passwd.lines().filter_map(parse_user).collect(),
            groups: group.lines().filter_map(parse_group).collect(),
        }
    }

    /// What `USER` means for a command. The empty text is root, even in an image without users.
    ///
    /// `uid:gid`, both numbers, is taken as it is, without supplementary groups. Everything else is
    /// looked up, a number too: it gets its user's group and supplementary groups if there is one,
    /// else group 0. With a group given there are no supplementary groups.
    pub fn process(&self, spec: &str) -> Result<Process, UserError> {
        let (user, group) = match spec.split_once(':') {
            Some((user, group)) => (user, group),
            None => (spec, ""),
        };
        if let (Some(uid), Some(gid)) = (number(user)?, number(group)?) {
            return Ok(self.with_home(uid, gid, Vec::new()));
        }
        let (uid, found) = match number(if user.is_empty() { "0" } else { user })? {
            Some(uid) => (uid, self.users.iter().find(|known| known.uid == uid)),
            None => {
                let found = self.user(user)?;
                (found.uid, Some(found))
            }
        };
        let primary = found.map_or(0, |found| found.gid);
        let (gid, groups) = match (group, found) {
            ("", Some(found)) => (primary, self.groups_of(&found.name)?),
            ("", None) => (primary, Vec::new()),
            (group, _) => (self.group_id(group)?, Vec::new()),
        };
        Ok(self.with_home(uid, gid, groups))
    }

    /// What `--chown` means. A number without a group is the group's number too; a name without a
    /// group brings its user's group. Numbers are not looked up.
    pub fn chown(&self, spec: &str) -> Result<(u32, u32), UserError> {
        let (user, group) = match spec.split_once(':') {
            Some((user, group)) => (user, group),
            None => (spec, ""),
        };
        let (uid, primary) = match number(user)? {
            Some(uid) => (uid, uid),
            None if user.is_empty() => (0, 0),
            None => self.user(user).map(|user| (user.uid, user.gid))?,
        };
        let gid = if group.is_empty() { primary } else { self.group_id(group)? };
        Ok((uid, gid))
    }

    fn user(&self, name: &str) -> Result<&User, UserError> {
        // The first one wins, as in libc.
        let found = self.users.iter().find(|user| user.name == name);
        found.ok_or_else(|| UserError::UnknownUser(name.to_owned()))
    }

    fn group_id(&self, group: &str) -> Result<u32, UserError> {
        if let Some(gid) = number(group)? {
            return Ok(gid);
        }
        let found = self.groups.iter().find(|known| known.name == group);
        found.map(|found| found.gid).ok_or_else(|| UserError::UnknownGroup(group.to_owned()))
    }

    fn groups_of(&self, user: &str) -> Result<Vec<u32>, UserError> {
        let is_member = |group: &&Group| group.members.iter().any(|member| member == user);
        let mut groups: Vec<u32> = self.groups.iter().filter(is_member).map(|g| g.gid).collect();
        let mut seen = std::collections::HashSet::new();
        groups.retain(|gid| seen.insert(*gid));
        if groups.len() > MAX_GROUPS {
            return Err(UserError::TooManyGroups(user.to_owned()));
        }
        Ok(groups)
    }

    /// runc takes HOME from the first user with this id, however the id was given.
    fn with_home(&self, uid: u32, gid: u32, groups: Vec<u32>) -> Process {
        let found = self.users.iter().find(|user| user.uid == uid);
        let home = match found {
            Some(user) if !user.home.is_empty() => user.home.clone(),
            _ => "/".to_owned(),
        };
        Process { uid, gid, groups, home, name: found.map(|user| user.name.clone()) }
    }
}

fn read(view: &dyn View, path: &Path) -> Result<String, ViewError> {
    let found = match resolve(view, path, true) {
        Ok(found) => found,
        // `etc` is something else: then there are no users, which is an error only for who is one.
        Err(ViewError::NotADirectory(_) | ViewError::Loop(_)) => return Ok(String::new()),
        Err(error) => return Err(error),
    };
    let content = view.read(&found.path, MAX_FILE)?.unwrap_or_default();
    let mut text = String::from_utf8_lossy(&content).into_owned();
    if content.len() as u64 == MAX_FILE {
        // The last line may have been cut in two.
        text.truncate(text.rfind('\n').unwrap_or(0));
    }
    Ok(text)
}

/// `name:password:uid:gid:gecos:home:shell` (passwd(5)); what is missing at the end is empty.
fn parse_user(line: &str) -> Option<User> {
    let mut fields = line.trim().split(':');
    let name = fields.next().filter(|name| !name.is_empty())?.to_owned();
    let uid = id(fields.nth(1)?)?;
    let gid = id(fields.next()?)?;
    let home = fields.nth(1).unwrap_or_default().to_owned();
    Some(User { name, uid, gid, home })
}

/// `name:password:gid:member,member` (group(5)).
fn parse_group(line: &str) -> Option<Group> {
    let mut fields = line.trim().split(':');
    let name = fields.next().filter(|name| !name.is_empty())?.to_owned();
    let gid = id(fields.nth(1)?)?;
    let members = fields.next().unwrap_or_default().split(',');
    let members = members.filter(|member| !member.is_empty()).map(str::to_owned).collect();
    Some(Group { name, gid, members })
}

fn id(text: &str) -> Option<u32> {
    number(text).ok().flatten()
}

/// A number, or nothing if it is a name. The largest `u32` is -1 to the kernel, which would leave a
/// process with the id that it has: root's.
fn number(text: &str) -> Result<Option<u32>, UserError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse() {
        Ok(id) if id != u32::MAX => Ok(Some(id)),
        _ => Err(UserError::OutOfRange(text.to_owned())),
    }
}

#[cfg(test)]
mod tests;
