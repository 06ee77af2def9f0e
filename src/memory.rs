//! Memory goes back to the system also when nobody asks for anything.
//!
//! mimalloc looks for free pages that were not used for a second when other pages become free, and at no other time: a
//! server at rest would keep what its largest answer took for as long as it rests.

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Duration;

/// How often it is made to look.
const EVERY: Duration = Duration::from_secs(1);
/// Larger than what shares pages with others: freeing it is what makes it look. It is never written to.
const ALONE_ON_ITS_PAGES: usize = 8 << 20;

/// Has memory given back, for as long as it is polled.
pub(crate) async fn give_back() -> Infallible {
    loop {
        tokio::time::sleep(EVERY).await;
        drop(black_box(Vec::<u8>::with_capacity(ALONE_ON_ITS_PAGES)));
    }
}
