//! The program's other uses: version, help, verify, restore, and settings that cannot be used.

use std::path::Path;
use std::process::{Command, Output};

use etcd_client::GetOptions;
use sha2::{Digest, Sha256};

use crate::support::clients::etcd_client;
use crate::support::process::{BINARY, data_dir};
use crate::support::{Server, Start};

fn taffrail(arguments: &[&str]) -> (Output, String, String) {
    let output = Command::new(BINARY).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    (output, stdout, stderr)
}

#[test]
fn the_version_is_read_by_programs_that_know_etcd() {
    let (output, stdout, _) = taffrail(&["--version"]);
    assert!(output.status.success());
    assert!(stdout.starts_with("etcd Version: 3.7."), "{stdout}");
    assert!(
        stdout.contains("\nGo OS/Arch: linux/") && stdout.contains("\nTaffrail Version: "),
        "{stdout}"
    );
}

#[test]
fn bad_settings_end_in_one_line_and_the_usual_code() {
    for (arguments, names) in [
        (&["--dat-dir", "x"][..], "'--data-dir'"),
        (&["--listen-client-urls", "tcp://127.0.0.1:1"], "tcp://"),
        (&["--config-file", "nowhere.yaml"], "nowhere.yaml"),
    ] {
        let (output, _, stderr) = taffrail(arguments);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(
            stderr.contains(names) && stderr.trim_end().lines().count() == 1,
            "{stderr}"
        );
    }
}

/// Saves a snapshot as etcdctl does: the file, and behind it the digest that the server sends.
async fn save_snapshot(server: &Server, to: &Path) {
    let mut stream = etcd_client(server).await.snapshot().await.unwrap();
    let mut bytes = Vec::new();
    while let Some(part) = stream.message().await.unwrap() {
        bytes.extend_from_slice(part.blob());
    }
    let (file, digest) = bytes.split_at(bytes.len() - 32);
    assert_eq!(
        Sha256::digest(file).as_slice(),
        digest,
        "the snapshot's digest is wrong"
    );
    std::fs::write(to, bytes).unwrap();
}

#[tokio::test]
async fn a_snapshot_is_verified_and_restored() {
    let (server, directory) = Server::fresh(&[]);
    let mut client = etcd_client(&server).await;
    for value in ["one", "two", "three"] {
        client.put("k", value, None).await.unwrap();
    }
    let snapshot = directory.path().join("snapshot.db");
    save_snapshot(&server, &snapshot).await;
    client.put("k", "after the snapshot", None).await.unwrap();
    let (output, stdout, stderr) = taffrail(&["verify", snapshot.to_str().unwrap()]);
    assert!(
        output.status.success() && stdout.contains("newest revision: 4"),
        "{stdout}{stderr}"
    );
    let (output, stdout, stderr) = taffrail(&["verify", data_dir(&directory).to_str().unwrap()]);
    assert!(
        output.status.success(),
        "a running log is verified: {stdout}{stderr}"
    );
    assert!(stdout.contains("newest revision: 5"), "{stdout}");

    let restored = directory.path().join("restored");
    let (from, to) = (snapshot.to_str().unwrap(), restored.to_str().unwrap());
    let bump = [
        "restore",
        from,
        "--data-dir",
        to,
        "--bump-revision",
        "1000",
        "--mark-compacted",
    ];
    let (output, stdout, stderr) = taffrail(&bump);
    assert!(output.status.success(), "{stdout}{stderr}");
    let again = taffrail(&bump);
    assert_eq!(
        again.0.status.code(),
        Some(1),
        "a directory that holds a log was taken: {}",
        again.1
    );

    let server = Start::new(&restored).run();
    let mut client = etcd_client(&server).await;
    let got = client.get("k", None).await.unwrap();
    assert_eq!(
        (got.kvs()[0].value(), got.header().unwrap().revision()),
        (&b"three"[..], 1004)
    );
    let old = client
        .get("k", Some(GetOptions::new().with_revision(3)))
        .await
        .unwrap_err();
    assert!(old.to_string().contains("compacted"), "{old}");
}

#[tokio::test]
async fn a_log_is_restored_to_any_retained_revision() {
    let (server, directory) = Server::fresh(&[]);
    let mut client = etcd_client(&server).await;
    for value in ["two", "three", "four"] {
        client.put("k", value, None).await.unwrap();
    }
    let snapshot = directory.path().join("snapshot.db");
    save_snapshot(&server, &snapshot).await;
    let restored = directory.path().join("restored");
    let arguments = [
        "restore",
        snapshot.to_str().unwrap(),
        "--data-dir",
        restored.to_str().unwrap(),
        "--revision",
        "3",
    ];
    let (output, stdout, stderr) = taffrail(&arguments);
    assert!(output.status.success(), "{stdout}{stderr}");
    let server = Start::new(&restored).run();
    let got = etcd_client(&server).await.get("k", None).await.unwrap();
    assert_eq!(
        (got.kvs()[0].value(), got.header().unwrap().revision()),
        (&b"three"[..], 3)
    );
}
