//! The size of libuv's pool of threads, which can be told only through the environment, before its first use.
#![allow(unsafe_code)]

/// How many threads the pool should have at least: five slow queries in four threads stopped every write for
/// seconds, in sixteen for 58 ms.
pub const LEAST_POOL_THREADS: usize = 16;

const VARIABLE: &str = "UV_THREADPOOL_SIZE";
/// What libuv makes of a variable that is not set.
const LIBUV_DEFAULT: usize = 4;

/// How many threads the pool has, or will have.
#[must_use]
pub fn pool_threads() -> usize {
    let set = std::env::var(VARIABLE).ok();
    set.and_then(|size| size.parse().ok()).unwrap_or(LIBUV_DEFAULT)
}

pub(super) fn complain_if_small() {
    let threads = pool_threads();
    if threads < LEAST_POOL_THREADS {
        tracing::warn!(
            threads,
            least = LEAST_POOL_THREADS,
            "{VARIABLE} is small: slow queries will hold up writes"
        );
    }
}

/// Runs before `main`: the environment must not be changed when there are threads that may read it.
extern "C" fn size_pool() {
    if std::env::var_os(VARIABLE).is_none() {
        // SAFETY: the dynamic loader calls this before `main`, while the process has a single thread.
        unsafe { std::env::set_var(VARIABLE, LEAST_POOL_THREADS.to_string()) };
    }
}

// SAFETY: the section is an array of pointers to functions, and this is one. The loader passes arguments
// that the function does not take, which the C calling convention allows.
#[used]
#[unsafe(link_section = ".init_array")]
static SIZE_POOL: extern "C" fn() = size_pool;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_is_sized_before_anything_runs() {
        assert_eq!(pool_threads(), LEAST_POOL_THREADS);
    }
}
