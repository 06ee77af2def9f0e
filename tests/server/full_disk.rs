//! A full disk: writes are refused, reads go on, and it ends when there is space again.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::{PutRequest, RangeRequest};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::support::{Server, Start, http, kv_client};

/// Mounts a small file system that only the server's own mount namespace sees, puts a ballast on it, and
/// becomes the server. Both are gone with the process.
const SMALL_DISK: &str =
    r#"mount -t tmpfs -o size=24m taffrail-test "$0" && head -c 8M /dev/zero > "$0/ballast" && exec "$@""#;

fn server_on_small_disk(directory: &Path) -> Server {
    let namespace: &[&str] = if rustix::process::getuid().is_root() {
        &["unshare", "--mount"]
    } else {
        &["unshare", "--user", "--map-root-user", "--mount"]
    };
    let mut prefix = namespace.to_vec();
    let disk = directory.to_str().unwrap();
    prefix.extend(["sh", "-c", SMALL_DISK, disk]);
    Start::through(&prefix, &directory.join("data"))
        .flags(&["--quota-backend-bytes", "-1"])
        .run()
}

/// The disk as the server sees it.
fn seen_by(server: &Server, directory: &Path) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root{}", server.pid(), directory.display()))
}

async fn put(client: &mut KvClient<Channel>, key: String) -> Result<(), Status> {
    let value = vec![b'x'; 100_000];
    client
        .put(PutRequest {
            key: key.into(),
            value: value.into(),
            ..Default::default()
        })
        .await
        .map(|_| ())
}

async fn count(client: &mut KvClient<Channel>) -> i64 {
    let all = RangeRequest {
        key: "k/".into(),
        range_end: "k0".into(),
        ..Default::default()
    };
    client.range(all).await.expect("reads go on").into_inner().count
}

#[tokio::test]
async fn writes_are_refused_reads_go_on_and_space_ends_it() {
    let directory = tempfile::tempdir().unwrap();
    let server = server_on_small_disk(directory.path());
    let mut client = kv_client(&server).await;
    let mut acknowledged = 0;
    let refused = loop {
        match put(&mut client, format!("k/{acknowledged:04}")).await {
            Ok(()) => acknowledged += 1,
            Err(refused) => break refused,
        }
        assert!(acknowledged < 1000, "the disk does not fill");
    };
    println!("after {acknowledged} writes: {refused}");
    let expected = (
        Code::ResourceExhausted,
        "etcdserver: mvcc: database space exceeded",
    );
    assert_eq!((refused.code(), refused.message()), expected);
    assert_eq!(
        count(&mut client).await,
        acknowledged,
        "what was refused is not there, the rest is"
    );
    assert_eq!(
        http::get(server.address(), "/livez").status,
        200,
        "a full disk is no reason for a restart"
    );

    fs::remove_file(seen_by(&server, directory.path()).join("ballast")).unwrap();
    let freed = Instant::now();
    while let Err(refused) = put(&mut client, format!("k/{acknowledged:04}")).await {
        assert!(freed.elapsed() < Duration::from_secs(60), "still {refused}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!(
        "writes are taken again {:?} after space returned",
        freed.elapsed()
    );
    assert_eq!(count(&mut client).await, acknowledged + 1);
    assert_eq!(
        http::get(server.address(), "/health").body,
        r#"{"health":"true","reason":""}"#
    );
}
