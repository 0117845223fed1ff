//! Whose files a thread may open.

use std::marker::PhantomData;

/// The ids by which the kernel judges file accesses of the calling thread alone (setfsuid(2)), until
/// this value is dropped. The C library's functions would do the same, but check nothing either.
#[derive(Debug)]
pub struct FileIds {
    before: (u32, u32),
    /// It is a matter of one thread.
    not_send: PhantomData<*const ()>,
}

impl FileIds {
    /// Takes on a user and a group. The kernel says nothing where that is not allowed: an access then
    /// is judged as before. Capabilities over files are put aside with user 0 (capabilities(7)).
    pub fn take(uid: u32, gid: u32) -> Self {
        let gid = set(libc::SYS_setfsgid, gid);
        Self { before: (set(libc::SYS_setfsuid, uid), gid), not_send: PhantomData }
    }

    /// Takes on a group and stays the user.
    pub fn take_group(gid: u32) -> Self {
        // An id that does not exist changes nothing and tells the present one (setfsuid(2), notes).
        let uid = set(libc::SYS_setfsuid, u32::MAX);
        Self { before: (uid, set(libc::SYS_setfsgid, gid)), not_send: PhantomData }
    }
}

impl Drop for FileIds {
    fn drop(&mut self) {
        set(libc::SYS_setfsuid, self.before.0);
        set(libc::SYS_setfsgid, self.before.1);
    }
}

/// Returns the id from before.
fn set(call: libc::c_long, id: u32) -> u32 {
    // SAFETY: setfsuid(2) and setfsgid(2) take a number and touch no memory.
    let before = unsafe { libc::syscall(call, id) };
    before as u32
}
