//! What many keys cost: memory after all of them were listed, disk, and the time until a server that starts on them
//! answers its first read.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::contender::Contender;
use super::rows::Extent;
use super::sample::{Metric, Sample, mebibytes};
use super::server::{Leash, Server};
use crate::cli::LoadArguments;
use crate::client::Dialer;
use crate::measure::{Memory, process};
use crate::scenario;

/// How long a server has to put its memory and its files in order before they are measured.
const SETTLING: Duration = Duration::from_secs(5);

/// What every store is measured with.
pub(super) struct Site<'a> {
    /// The server.
    pub(super) contender: &'a Contender,
    /// Where its data directory is made.
    pub(super) parent: &'a Path,
    /// What it is held by.
    pub(super) leash: &'a std::sync::Arc<Leash>,
    /// How much of everything.
    pub(super) extent: Extent,
}

/// Memory and disk with so many keys of 1 KiB, and the start on them.
pub(super) fn measure(site: &Site<'_>, keys: usize) -> Result<Sample> {
    let (mut server, memory) = filled(site, &[], keys)?;
    let disk = disk_usage(&server.data()).context("cannot read the data directory")?;
    let (time, cpu) = start(&mut server)?;
    server.stop()?;
    let small = match site.contender.small_budget {
        None => memory,
        Some(flag) => {
            let (server, memory) = filled(site, &[flag], keys)?;
            server.stop()?;
            memory
        }
    };
    Ok(Sample::default()
        .with(Metric::Memory, mebibytes(memory.rss))
        .with(Metric::Anonymous, mebibytes(memory.anonymous))
        .with(Metric::AnonymousSmall, mebibytes(small.anonymous))
        .with(Metric::Disk, mebibytes(disk))
        .with(Metric::Start, time)
        .with(Metric::StartCpu, cpu))
}

/// The start on so many keys of 1 KiB.
pub(super) fn measure_start(site: &Site<'_>, keys: usize) -> Result<Sample> {
    let (mut server, _) = filled(site, &[], keys)?;
    let (time, cpu) = start(&mut server)?;
    server.stop()?;
    Ok(Sample::default()
        .with(Metric::Start, time)
        .with(Metric::StartCpu, cpu))
}

/// A server that so many keys were written to and listed from, and what it holds then.
fn filled(site: &Site<'_>, flags: &[&str], keys: usize) -> Result<(Server, Memory)> {
    let server = Server::start(site.contender, flags, site.parent, site.leash)?;
    let load = LoadArguments {
        keys,
        clients: 1,
        ..LoadArguments::default()
    };
    scenario::fill_and_list(&Dialer::default(), server.endpoint(), &load)?;
    thread::sleep(SETTLING);
    let memory = process(server.pid())?.memory;
    Ok((server, memory))
}

/// Milliseconds until the first read is answered after a restart, and of CPU until then.
fn start(server: &mut Server) -> Result<(f64, f64)> {
    let time = server.restart(&[])?;
    let cpu = process(server.pid())?.cpu;
    Ok((time.as_secs_f64() * 1000.0, cpu.as_secs_f64() * 1000.0))
}

/// Bytes that the files below a folder occupy.
fn disk_usage(folder: &Path) -> io::Result<u64> {
    let mut total = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        total += match entry.file_type()?.is_dir() {
            true => disk_usage(&entry.path())?,
            // In units of 512 bytes, whatever the file system's own blocks are.
            false => entry.metadata()?.blocks() * 512,
        };
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disk_usage_counts_what_files_occupy() {
        let folder = tempfile::tempdir().expect("a folder");
        let deeper = folder.path().join("deeper");
        fs::create_dir(&deeper).expect("a folder");
        fs::write(deeper.join("file"), vec![7; 100_000]).expect("a file");
        fs::File::create(folder.path().join("sparse"))
            .and_then(|file| file.set_len(1 << 30))
            .expect("a sparse file");
        let used = disk_usage(folder.path()).expect("the folder can be read");
        assert!((100_000..1 << 20).contains(&used), "{used}");
    }
}
