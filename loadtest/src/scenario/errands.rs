//! What is done to a server once, and not measured by the clients who do it.

use anyhow::{Context, Result};
use http::Uri;

use super::Ground;
use super::list::{List, Listing};
use super::watch;
use crate::cli::LoadArguments;
use crate::client::Dialer;
use crate::load::{Scenario, Worker};

/// Bytes that a watcher takes before it stops reading: HTTP/2's default.
const SMALL_WINDOW: u32 = 65_535;

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

/// Fills the prefix while so many watchers of it, each on a connection of its own, read nothing that happens.
pub(crate) fn write_unread(
    dialer: &Dialer,
    endpoint: &Uri,
    load: &LoadArguments,
    watchers: usize,
) -> Result<()> {
    block_on(async {
        let ground = Ground::new(load);
        let mut unread = Vec::with_capacity(watchers);
        for _ in 0..watchers {
            let connection = dialer.open_with_window(endpoint, SMALL_WINDOW).await?;
            unread.push(watch::open(&connection, &ground.range()).await?);
        }
        let connection = dialer.open(endpoint).await?;
        ground.prepare(&connection).await?;
        Ok(())
    })
}
