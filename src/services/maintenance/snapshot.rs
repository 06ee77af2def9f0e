//! Sending a copy of the log.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use proto::etcdserverpb::SnapshotResponse;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tonic::Status;

use crate::services::streams::{Session, Shutdown, on_shutdown};
use crate::services::{Context, STORAGE_VERSION, status};

/// How much of the file one message carries: etcd's 32 KiB, which its clients expect as the most.
const BLOB_BYTES: usize = 32 * 1024;

/// How many messages are read ahead of the client: enough to keep the disk and the network busy together.
const READ_AHEAD: usize = 8;

/// The directories in the data directory that hold a copy on its way begin with this.
const DIRECTORY_PREFIX: &str = ".snapshot-";

/// The copy inside such a directory.
const FILE_NAME: &str = "db";

/// Removes what snapshots left behind that did not end with their process.
pub(in crate::services) fn clear_leftovers(data_dir: &Path) {
    let Ok(entries) = data_dir.read_dir() else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(DIRECTORY_PREFIX) {
            continue;
        }
        if let Err(error) = std::fs::remove_dir_all(entry.path()) {
            tracing::warn!(%error, path = %entry.path().display(), "cannot remove what a snapshot left behind");
        }
    }
}

/// Makes a copy of the log and begins to send it.
///
/// The copy is made by a task of its own, so that it comes to its end, and is removed, also when the client
/// goes away meanwhile.
pub(super) async fn take(context: &Context) -> Result<SnapshotSession, Status> {
    let directory = tempfile::Builder::new()
        .prefix(DIRECTORY_PREFIX)
        .tempdir_in(context.data_dir());
    let directory = directory.map_err(|error| failed(&error))?;
    let store = context.store().clone();
    let copied = tokio::spawn(async move {
        store
            .snapshot(directory.path().join(FILE_NAME))
            .await
            .map(|()| directory)
    });
    let directory = copied
        .await
        .map_err(|error| failed(&error))?
        .map_err(status::status)?;
    let (sender, blobs) = mpsc::channel(READ_AHEAD);
    tokio::task::spawn_blocking(move || read(directory, &sender));
    Ok(SnapshotSession {
        blobs,
        shutdown: on_shutdown(context.shutdown()),
    })
}

fn failed(error: &impl std::fmt::Display) -> Status {
    Status::unknown(format!("etcdserver: snapshot failed: {error}"))
}

type Blob = Result<SnapshotResponse, Status>;

/// Reads the copy into `blobs` until it ends or nobody wants it any more.
fn read(directory: TempDir, blobs: &mpsc::Sender<Blob>) {
    if let Err(error) = open(directory).and_then(|(file, size)| send(file, size, blobs)) {
        let _gone = blobs.blocking_send(Err(failed(&error)));
    }
}

/// Opens the copy and removes its name: the file is gone as soon as it is closed, whatever happens.
fn open(directory: TempDir) -> io::Result<(File, u64)> {
    let file = File::open(directory.path().join(FILE_NAME))?;
    directory.close()?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

fn send(mut source: impl Read, size: u64, blobs: &mpsc::Sender<Blob>) -> io::Result<()> {
    let (mut left, mut digest) = (size, Sha256::new());
    while left > 0 {
        let blob = read_blob(&mut source, left)?;
        digest.update(&blob);
        left -= blob.len() as u64;
        if blobs.blocking_send(Ok(response(left, blob))).is_err() {
            return Ok(());
        }
    }
    let digest = Bytes::copy_from_slice(&digest.finalize());
    // A client that left at the last moment misses nothing.
    let _gone = blobs.blocking_send(Ok(response(0, digest)));
    Ok(())
}

fn read_blob(source: &mut impl Read, left: u64) -> io::Result<Bytes> {
    let mut blob = vec![0; usize::try_from(left).unwrap_or(BLOB_BYTES).min(BLOB_BYTES)];
    source.read_exact(&mut blob)?;
    Ok(blob.into())
}

fn response(remaining_bytes: u64, blob: Bytes) -> SnapshotResponse {
    SnapshotResponse {
        header: None,
        remaining_bytes,
        blob,
        version: STORAGE_VERSION.into(),
    }
}

/// One copy on its way to its client.
pub(super) struct SnapshotSession {
    blobs: mpsc::Receiver<Blob>,
    shutdown: Shutdown,
}

impl Session for SnapshotSession {
    type Answer = SnapshotResponse;

    async fn next(&mut self) -> Option<Blob> {
        tokio::select! {
            biased;
            () = &mut self.shutdown => Some(Err(status::stopped())),
            blob = self.blobs.recv() => blob,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(content: &[u8]) -> Vec<SnapshotResponse> {
        let (sender, mut blobs) = mpsc::channel(100);
        send(content, content.len() as u64, &sender).expect("reads");
        drop(sender);
        std::iter::from_fn(|| blobs.blocking_recv())
            .map(|blob| blob.expect("no error"))
            .collect()
    }

    #[test]
    fn blobs_add_up_and_the_last_message_is_their_digest() {
        let content = vec![5; 2 * BLOB_BYTES + 10];
        let messages = sent(&content);
        let sizes: Vec<(usize, u64)> = messages
            .iter()
            .map(|m| (m.blob.len(), m.remaining_bytes))
            .collect();
        let first_left = (BLOB_BYTES + 10) as u64;
        assert_eq!(
            sizes,
            [(BLOB_BYTES, first_left), (BLOB_BYTES, 10), (10, 0), (32, 0)]
        );
        assert_eq!(messages[3].blob, Sha256::digest(&content).as_slice());
        assert!(messages.iter().all(|message| message.version == "3.7.0"));
    }

    #[test]
    fn a_file_shorter_than_promised_is_an_error() {
        let (sender, _blobs) = mpsc::channel(100);
        assert!(send(&b"abc"[..], 4, &sender).is_err());
    }

    #[test]
    fn the_copy_is_gone_once_it_is_open() {
        let parent = tempfile::tempdir().expect("a directory");
        let directory = tempfile::Builder::new()
            .prefix(DIRECTORY_PREFIX)
            .tempdir_in(parent.path())
            .expect("made");
        std::fs::write(directory.path().join(FILE_NAME), b"content").expect("written");
        let (mut file, size) = open(directory).expect("opens");
        assert_eq!(
            (size, parent.path().read_dir().map(Iterator::count).ok()),
            (7, Some(0))
        );
        let mut content = String::new();
        file.read_to_string(&mut content).expect("readable");
        assert_eq!(content, "content");
    }

    #[test]
    fn leftovers_are_cleared_and_nothing_else() {
        let parent = tempfile::tempdir().expect("a directory");
        let leftover = parent.path().join(format!("{DIRECTORY_PREFIX}abc"));
        std::fs::create_dir(&leftover).expect("made");
        std::fs::write(leftover.join(FILE_NAME), b"old").expect("written");
        std::fs::write(parent.path().join("taffrail.db"), b"kept").expect("written");
        clear_leftovers(parent.path());
        assert!(!leftover.exists() && parent.path().join("taffrail.db").exists());
    }
}
