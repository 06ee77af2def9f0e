//! What the disk itself costs: the floor under every durable write.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::sample::{Metric, Sample};

/// Writes that are timed.
const WRITES: u64 = 200;

/// Of large ones fewer: together no more than these bytes.
const TOGETHER: u64 = 64 << 20;

/// But so many at least.
const FEWEST: u64 = 20;

/// Sets beside a run of writes what the disk takes for as many bytes as the server wrote for each of its fsyncs. Where
/// bytes or fsyncs are not known, the sample stays as it is.
pub(super) fn beside(sample: Sample, folder: &Path) -> Result<Sample> {
    let usage = sample.report.as_ref().map(|report| &report.usage);
    let written = usage.and_then(|usage| usage.server.as_ref()?.write_bytes);
    let fsyncs = usage.and_then(|usage| usage.fsyncs);
    let Some(bytes) = bytes_of_a_sync(written, fsyncs) else {
        return Ok(sample);
    };
    let bare = median_sync(folder, bytes)?.as_secs_f64() * 1e6;
    let p50 = sample.figures.get(&Metric::P50).copied();
    let sample = sample
        .with(Metric::SyncBytes, bytes as f64)
        .with(Metric::BareWrite, bare);
    Ok(match p50 {
        Some(p50) => sample.with(Metric::OverBareWrite, p50 / bare),
        None => sample,
    })
}

fn bytes_of_a_sync(written: Option<u64>, fsyncs: Option<u64>) -> Option<u64> {
    written?.checked_div(fsyncs?).filter(|bytes| *bytes > 0)
}

/// The median time of writing so many bytes to a file in this folder and waiting until they are durable. The file has
/// all its blocks before: nothing but the bytes is to be written, and no server can do with less.
fn median_sync(folder: &Path, bytes: u64) -> Result<Duration> {
    let path = folder.join(format!("sync-probe-{}", std::process::id()));
    let times = File::create(&path).and_then(|file| sync_times(&file, bytes));
    fs::remove_file(&path).ok();
    let mut times = times.with_context(|| format!("cannot write in {}", folder.display()))?;
    times.sort();
    Ok(times[times.len() / 2])
}

fn sync_times(file: &File, bytes: u64) -> io::Result<Vec<Duration>> {
    let writes = (TOGETHER / bytes).clamp(FEWEST, WRITES);
    let block = |filler| vec![filler; usize::try_from(bytes).unwrap_or(usize::MAX)];
    let (before, after) = (block(0x5a), block(0xa5));
    for number in 0..writes {
        file.write_all_at(&before, number * bytes)?;
    }
    file.sync_all()?;
    let once = |number| {
        let begun = Instant::now();
        file.write_all_at(&after, number * bytes)?;
        file.sync_data()?;
        Ok(begun.elapsed())
    };
    (0..writes).map(once).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_writes_its_share_of_the_bytes() {
        assert_eq!(bytes_of_a_sync(Some(10_000), Some(4)), Some(2500));
        // A file system in memory writes nothing, and a server may not tell of its fsyncs.
        assert_eq!(bytes_of_a_sync(Some(0), Some(4)), None);
        assert_eq!(bytes_of_a_sync(Some(10_000), Some(0)), None);
        assert_eq!(bytes_of_a_sync(None, Some(4)), None);
        assert_eq!(bytes_of_a_sync(Some(10_000), None), None);
    }

    #[test]
    fn a_few_writes_are_timed_and_nothing_is_left() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let times = sync_times(&File::create(&path).expect("a file"), 1000).expect("times");
        assert_eq!(times.len() as u64, WRITES);
        assert_eq!(fs::read(&path).expect("the file"), vec![0xa5; 200_000]);
        fs::remove_file(&path).expect("removed");
        assert!(median_sync(folder.path(), 5000).expect("a time") > Duration::ZERO);
        assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 0);
    }
}
