//! What watchers cost that stop reading: the same writes with and without them, on two servers.

use anyhow::{Context, Result};

use super::sample::{Metric, Sample, mebibytes};
use super::server::Server;
use super::store::Site;
use crate::cli::LoadArguments;
use crate::client::Dialer;
use crate::measure::process;
use crate::scenario;

/// Watchers that stop reading, each on a connection of its own.
const WATCHERS: usize = 20;

/// Keys that are written, over and over.
const KEYS: usize = 2000;

/// How often: 100 MB of events for each watcher.
const ROUNDS: usize = 50;

/// The most that the server grows for each watcher.
pub(super) fn measure(site: &Site<'_>) -> Result<Sample> {
    let without = peak(site, 0)?;
    let with = peak(site, WATCHERS)?;
    let each = (mebibytes(with) - mebibytes(without)) / WATCHERS as f64;
    Ok(Sample::default().with(Metric::PeakGrowth, each))
}

/// The most that a server ever holds while so many watchers do not read what is written. They must all be there still when
/// they read again.
fn peak(site: &Site<'_>, watchers: usize) -> Result<u64> {
    let server = Server::start(site.contender, &[], site.parent, site.leash)?;
    let load = LoadArguments {
        keys: KEYS,
        revisions: ROUNDS,
        clients: 1,
        ..LoadArguments::default()
    };
    let reading = || Ok(process(server.pid())?.memory.peak);
    let unread = (&load, watchers);
    let peak = scenario::write_unread(&Dialer::default(), server.endpoint(), unread, reading)
        .context("watchers that do not read are in the way of writers, or are lost")?;
    server.stop()?;
    Ok(peak)
}
