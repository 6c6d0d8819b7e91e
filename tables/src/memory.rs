//! How much memory the program holds, counted by its allocator, so that a query ends before it takes more than it may.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

static HELD_BYTES: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counting what it handed out and did not get back. A program makes it its `#[global_allocator]`.
#[derive(Debug, Clone, Copy, Default)]
pub struct CountedMemory;

/// Bytes that the program holds now; 0 where [`CountedMemory`] is not its allocator.
pub(crate) fn held_bytes() -> usize {
    HELD_BYTES.load(Ordering::Relaxed)
}

fn took(block: *mut u8, size: usize) -> *mut u8 {
    if !block.is_null() {
        HELD_BYTES.fetch_add(size, Ordering::Relaxed);
    }
    block
}

// SAFETY: each call goes to the system's allocator as it came, and its answer back; the count touches no block.
unsafe impl GlobalAlloc for CountedMemory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: what the caller promises of the layout.
        took(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: what the caller promises of the layout.
        took(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block is of this allocator with this layout, as the caller promises.
        unsafe { System.dealloc(block, layout) };
        HELD_BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the block is of this allocator with this layout, as the caller promises.
        let moved = took(unsafe { System.realloc(block, layout, size) }, size);
        if !moved.is_null() {
            HELD_BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        }
        moved
    }
}
