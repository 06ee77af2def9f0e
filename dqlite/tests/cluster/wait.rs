//! Waiting for what will be.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long a test waits for anything: far longer than it takes on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until the answer is yes, and returns what came with it.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        sleep(Duration::from_millis(5)).await;
    }
}
