//! What the disk itself costs: the floor under every durable write.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Number of writes.
const WRITES: usize = 200;

/// Bytes of each.
const BLOCK: [u8; 4096] = [0x5a; 4096];

/// The median time of appending a block to a file in this folder and waiting until it is durable.
pub(super) fn median_sync(folder: &Path) -> Result<Duration> {
    let path = folder.join(format!("sync-probe-{}", std::process::id()));
    let times = File::create(&path).and_then(sync_times);
    fs::remove_file(&path).ok();
    let mut times = times.with_context(|| format!("cannot write in {}", folder.display()))?;
    times.sort();
    Ok(times[times.len() / 2])
}

fn sync_times(mut file: File) -> std::io::Result<Vec<Duration>> {
    let mut once = || {
        let begun = Instant::now();
        file.write_all(&BLOCK)?;
        file.sync_data()?;
        Ok(begun.elapsed())
    };
    (0..WRITES).map(|_| once()).collect()
}
