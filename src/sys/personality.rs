//! What kinds of programs the kernel runs beside its own.

/// Whether the processor runs 32-bit programs too. On arm64 not all do, and the kernel then refuses this
/// personality (arch/arm64/kernel/sys.c); elsewhere it says nothing of the processor.
pub fn has_32_bit() -> bool {
    const QUERY: libc::c_ulong = 0xffff_ffff;
    // linux/personality.h; libc has no word for it.
    const PER_LINUX32: libc::c_ulong = 8;
    // SAFETY: the call takes no pointer; it changes this thread's personality, which is set back.
    let before = unsafe { libc::personality(QUERY) };
    let Ok(before) = libc::c_ulong::try_from(before) else { return false };
    // SAFETY: as above.
    let taken = unsafe { libc::personality(PER_LINUX32) };
    // SAFETY: as above.
    unsafe { libc::personality(before) };
    taken >= 0
}
