//! Allocations of the thread that asks.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, counting.
#[derive(Debug)]
struct Counting;

thread_local! {
    // Initialised at compile time and without a destructor: using it allocates nothing.
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    // A thread that is about to end has no count any more, and nobody asks for it.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call goes to the system's allocator with what came in, and its answer goes back as it
// is. Counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(ptr, layout, new_size) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(ptr, layout) }
    }
}

/// How often this thread asks for memory, or for more of it, while it does this.
pub fn allocations<T>(work: impl FnOnce() -> T) -> u64 {
    let before = COUNT.get();
    let made = work();
    let after = COUNT.get();
    drop(made);
    after - before
}

#[test]
fn allocations_are_counted() {
    let boxed = |number: usize| std::hint::black_box(Box::new(number));
    assert_eq!(allocations(|| ()), 0);
    assert_eq!(allocations(|| boxed(7)), 1);
    assert_eq!(allocations(|| (0..10).map(boxed).collect::<Vec<_>>()), 11);
    let grown = |mut text: String| {
        text.reserve(1 << 20);
        text
    };
    assert_eq!(allocations(|| grown("grows".to_owned())), 2);
    assert_eq!(allocations(|| std::hint::black_box(vec![0_u8; 1 << 20])), 1);
}
