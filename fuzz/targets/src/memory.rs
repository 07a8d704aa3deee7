//! How much memory something takes.
#![allow(unsafe_code)] // An allocator cannot be written without.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Bytes of memory per byte decoded: the dearest is an event of a job, which
/// takes three bytes on the wire and 160 in a vector that doubles as it grows.
const PER_BYTE: usize = 256;

/// What decoding may take besides: for each sequence within another, a
/// megabyte on the word of its length.
const BESIDES: usize = 4 << 20;

/// The system's allocator, which counts what this thread holds.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

fn take(bytes: usize) {
    // At a thread's very end nobody counts any more.
    let _ = HELD.try_with(|held| {
        held.set(held.get().wrapping_add(bytes));
        let _ = MOST.try_with(|most| most.set(most.get().max(held.get())));
    });
}

fn give(bytes: usize) {
    // What another thread took is given here now and then: below nothing is nothing.
    let _ = HELD.try_with(|held| held.set(held.get().saturating_sub(bytes)));
}

// SAFETY: the system's allocator does all of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: as promised to us.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        give(layout.size());
        // SAFETY: as promised to us.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Runs `decode` on so many bytes; asserts that it never holds more memory than that allows.
pub(crate) fn in_bounds<T>(bytes: usize, decode: impl FnOnce() -> T) -> T {
    let before = HELD.get();
    MOST.set(before);
    let value = decode();
    let most = MOST.get().saturating_sub(before);
    assert!(most <= BESIDES + bytes * PER_BYTE, "{most} bytes of memory for {bytes} bytes");
    value
}
