//! Calls that are counted on their way to the C library.

use std::ffi::{CStr, c_char, c_int, c_long, c_uint, c_void};
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// The numbers of the kernel's calls.
#[cfg(target_arch = "x86_64")]
const GETTID: c_long = 186;
#[cfg(target_arch = "x86_64")]
const IO_SUBMIT: c_long = 209;
#[cfg(target_arch = "x86_64")]
const IO_DESTROY: c_long = 207;
#[cfg(target_arch = "aarch64")]
const GETTID: c_long = 178;
#[cfg(target_arch = "aarch64")]
const IO_SUBMIT: c_long = 2;
#[cfg(target_arch = "aarch64")]
const IO_DESTROY: c_long = 1;

static THREADS: AtomicU64 = AtomicU64::new(0);
static WRITES: AtomicU64 = AtomicU64::new(0);
static MOVES: AtomicU64 = AtomicU64::new(0);
static CONTEXTS: AtomicU64 = AtomicU64::new(0);
static CONTEXTS_THERE: AtomicU64 = AtomicU64::new(0);
static PRIORITIES: AtomicU64 = AtomicU64::new(0);
/// The thread that submitted a write last.
static WRITER: AtomicUsize = AtomicUsize::new(0);

/// How often this process has called so far.
#[derive(Clone, Copy)]
pub struct Counts {
    /// For the number of a thread.
    pub threads: u64,
    /// To submit a write.
    pub writes: u64,
    /// To move a mapping of memory.
    pub moves: u64,
    /// To give back a context of asynchronous writes.
    pub contexts: u64,
    /// Of these, by the thread that had submitted the last write.
    pub contexts_there: u64,
    /// To change the priority of a thread.
    pub priorities: u64,
}

impl Counts {
    pub fn now() -> Self {
        Self {
            threads: THREADS.load(Relaxed),
            writes: WRITES.load(Relaxed),
            moves: MOVES.load(Relaxed),
            contexts: CONTEXTS.load(Relaxed),
            contexts_there: CONTEXTS_THERE.load(Relaxed),
            priorities: PRIORITIES.load(Relaxed),
        }
    }

    pub fn since(self, before: Self) -> Self {
        Self {
            threads: self.threads - before.threads,
            writes: self.writes - before.writes,
            moves: self.moves - before.moves,
            contexts: self.contexts - before.contexts,
            contexts_there: self.contexts_there - before.contexts_there,
            priorities: self.priorities - before.priorities,
        }
    }
}

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// The function of this name that would have been called. Takes no lock: locks call the kernel.
fn next(name: &CStr, found: &AtomicUsize) -> usize {
    /// "The next one after this program's."
    const RTLD_NEXT: *mut c_void = ptr::without_provenance_mut(usize::MAX);
    match found.load(Relaxed) {
        0 => {
            // SAFETY: the name is a text, and looking a function up changes nothing.
            let function = unsafe { dlsym(RTLD_NEXT, name.as_ptr()) };
            assert!(!function.is_null());
            found.store(function.expose_provenance(), Relaxed);
            function.addr()
        }
        function => function,
    }
}

type Syscall = unsafe extern "C" fn(c_long, usize, usize, usize, usize, usize, usize) -> c_long;
type Setpriority = unsafe extern "C" fn(c_int, c_uint, c_int) -> c_int;
type Mremap = unsafe extern "C" fn(*mut c_void, usize, usize, c_int, *mut c_void) -> *mut c_void;

/// A number that no other thread has at the same time.
fn this_thread() -> usize {
    thread_local! {
        static HERE: u8 = const { 0 };
    }
    HERE.with(|here| ptr::from_ref(here).addr())
}

/// Counts, and calls the kernel as the C library does.
///
/// # Safety
///
/// As for the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn syscall(
    number: c_long,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> c_long {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    match number {
        GETTID => _ = THREADS.fetch_add(1, Relaxed),
        IO_SUBMIT => {
            WRITES.fetch_add(1, Relaxed);
            WRITER.store(this_thread(), Relaxed);
        }
        IO_DESTROY => {
            CONTEXTS.fetch_add(1, Relaxed);
            let there = WRITER.load(Relaxed) == this_thread();
            CONTEXTS_THERE.fetch_add(u64::from(there), Relaxed);
        }
        _ => {}
    }
    let function = ptr::with_exposed_provenance::<c_void>(next(c"syscall", &NEXT));
    // SAFETY: the C library's `syscall` is such a function: it passes six words on, whatever they are.
    let call = unsafe { mem::transmute::<*const c_void, Syscall>(function) };
    // SAFETY: what the caller promises.
    unsafe { call(number, a, b, c, d, e, f) }
}

/// Counts, and moves a mapping.
///
/// # Safety
///
/// As for the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn mremap(
    old: *mut c_void,
    length: usize,
    new_length: usize,
    flags: c_int,
    new: *mut c_void,
) -> *mut c_void {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    MOVES.fetch_add(1, Relaxed);
    let function = ptr::with_exposed_provenance::<c_void>(next(c"mremap", &NEXT));
    // SAFETY: the C library's `mremap` is such a function; the last word counts only if the flags say so.
    let call = unsafe { mem::transmute::<*const c_void, Mremap>(function) };
    // SAFETY: what the caller promises.
    unsafe { call(old, length, new_length, flags, new) }
}

/// Counts, and changes a priority.
///
/// # Safety
///
/// As for the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn setpriority(which: c_int, who: c_uint, priority: c_int) -> c_int {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    PRIORITIES.fetch_add(1, Relaxed);
    let function = ptr::with_exposed_provenance::<c_void>(next(c"setpriority", &NEXT));
    // SAFETY: the C library's `setpriority` is such a function.
    let call = unsafe { mem::transmute::<*const c_void, Setpriority>(function) };
    // SAFETY: what the caller promises.
    unsafe { call(which, who, priority) }
}
