//! What is done to a server once, and not measured by the clients who do it.

use std::time::Duration;

use anyhow::{Context, Result};
use http::Uri;

use super::Ground;
use super::list::{List, Listing};
use super::watch;
use crate::cli::LoadArguments;
use crate::client::{CallError, Dialer, Stream};
use crate::load::{Scenario, Worker};

/// Bytes that a watcher takes before it stops reading: HTTP/2's default.
const SMALL_WINDOW: u32 = 65_535;

/// Events that a watcher reads in the end, if there are so many: of 1 KiB each, more than a server holds ready for it.
const READ_ON: usize = 5_000;

/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn block_on<T>(errand: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime")?;
    runtime.block_on(errand)
}

/// Fills the prefix and lists it once, in one answer.
pub(crate) fn fill_and_list(dialer: &Dialer, endpoint: &Uri, load: &LoadArguments) -> Result<()> {
    block_on(async {
        let connection = dialer.open(endpoint).await?;
        let mut list = List::new(Ground::new(load), Listing::Newest);
        list.prepare(&connection).await?;
        list.worker(0, &[connection]).await?.step().await?;
        Ok(())
    })
}

/// Fills the prefix while so many watchers of it, each on a connection of its own, read nothing that happens; takes a
/// reading then; and sees that all of them are still served: a server that has ended them holds nothing for them.
pub(crate) fn write_unread<T>(
    dialer: &Dialer,
    endpoint: &Uri,
    (load, watchers): (&LoadArguments, usize),
    reading: impl FnOnce() -> Result<T>,
) -> Result<T> {
    block_on(async {
        let ground = Ground::new(load);
        let mut unread = Vec::with_capacity(watchers);
        for _ in 0..watchers {
            let connection = dialer.open_with_window(endpoint, SMALL_WINDOW).await?;
            unread.push(watch::open(&connection, &ground.range()).await?);
        }
        let connection = dialer.open(endpoint).await?;
        ground.prepare(&connection).await?;
        let taken = reading()?;
        let written = load.keys * load.revisions;
        for stream in &mut unread {
            let reading = read_on(stream, written.min(READ_ON));
            tokio::time::timeout(PATIENCE, reading)
                .await
                .context("a watcher that reads again gets no more events")??;
        }
        Ok(taken)
    })
}

/// Reads until so many events have come.
async fn read_on(stream: &mut Stream, events: usize) -> Result<(), CallError> {
    let mut seen = 0;
    while seen < events {
        seen += watch::next(stream).await?.events;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::watch::tests::{canceled, connection, created, events, everything};
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn who_reads_again_must_be_served_still() {
        let connection = connection(vec![created(), events(&[5, 6]), events(&[7]), canceled()]).await;
        let mut stream = watch::open(&connection, &everything()).await.expect("it begins");
        assert!(read_on(&mut stream, 3).await.is_ok());
        assert!(read_on(&mut stream, 1).await.is_err());
    }
}
