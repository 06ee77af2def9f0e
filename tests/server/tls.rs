//! TLS with client certificates, and new files while the server runs.

use etcd_client::{Certificate, Client, ConnectOptions, Identity as ClientIdentity, TlsOptions};

use crate::support::certificates::{Authority, Files, Identity};
use crate::support::process::data_dir;
use crate::support::{Server, Start, http};

fn secure_server(directory: &tempfile::TempDir, files: &Files, flags: &[&str]) -> Server {
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    Start::new(&data_dir(directory))
        .listen("https://127.0.0.1:0")
        .flags(&[
            "--cert-file",
            &path(&files.certificate),
            "--key-file",
            &path(&files.key),
        ])
        .flags(&["--client-cert-auth", "--trusted-ca-file", &path(&files.authority)])
        .flags(flags)
        .run()
}

async fn connect(
    server: &Server,
    authority: &Authority,
    identity: Option<&Identity>,
) -> Result<Client, String> {
    let mut tls = TlsOptions::new()
        .ca_certificate(Certificate::from_pem(authority.certificate()))
        .domain_name("localhost");
    if let Some(identity) = identity {
        tls = tls.identity(ClientIdentity::from_pem(&identity.certificate, &identity.key));
    }
    let options = ConnectOptions::new().with_tls(tls);
    let url = format!("https://{}", server.address());
    let mut client = Client::connect([url], Some(options))
        .await
        .map_err(|error| format!("{error:?}"))?;
    client
        .get("k", None)
        .await
        .map_err(|error| format!("{error:?}"))?;
    Ok(client)
}

#[tokio::test]
async fn only_clients_with_a_good_certificate_come_in() {
    let directory = tempfile::tempdir().unwrap();
    let files = Files::in_directory(directory.path());
    let (good, bad) = (Authority::new("good"), Authority::new("bad"));
    files.write(&good, &good.issue(&["localhost"]));
    let server = secure_server(
        &directory,
        &files,
        &["--client-cert-allowed-hostname", "client.example"],
    );
    connect(&server, &good, Some(&good.issue(&["client.example"])))
        .await
        .expect("a good certificate");
    assert!(
        connect(&server, &good, None).await.is_err(),
        "came in without a certificate"
    );
    assert!(
        connect(&server, &good, Some(&bad.issue(&["client.example"])))
            .await
            .is_err(),
        "unknown authority"
    );
    assert!(
        connect(&server, &good, Some(&good.issue(&["other.example"])))
            .await
            .is_err(),
        "name not allowed"
    );
}

#[tokio::test]
async fn new_files_are_used_without_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let files = Files::in_directory(directory.path());
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    files.write(&old, &old.issue(&["localhost"]));
    let server = secure_server(&directory, &files, &[]);
    let (old_client, new_client) = (old.issue(&["client"]), new.issue(&["client"]));
    let mut connected = connect(&server, &old, Some(&old_client))
        .await
        .expect("the old files");

    files.write(&new, &new.issue(&["localhost"]));
    connect(&server, &new, Some(&new_client))
        .await
        .expect("the new files");
    assert!(
        connect(&server, &new, Some(&old_client)).await.is_err(),
        "the old authority is still trusted"
    );
    connected
        .put("k", "v", None)
        .await
        .expect("connections outlive their certificates");
}

#[tokio::test]
async fn files_that_do_not_fit_leave_the_old_ones_in_force() {
    let directory = tempfile::tempdir().unwrap();
    let files = Files::in_directory(directory.path());
    let authority = Authority::new("ca");
    files.write(&authority, &authority.issue(&["localhost"]));
    let mut server = secure_server(&directory, &files, &[]);
    let client = authority.issue(&["client"]);
    std::fs::write(&files.certificate, authority.issue(&["localhost"]).certificate).unwrap();
    connect(&server, &authority, Some(&client))
        .await
        .expect("the old files");
    assert!(server.log().contains("the old ones stay"), "{}", server.log());
}

#[tokio::test]
async fn metrics_are_served_to_who_has_no_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let files = Files::in_directory(directory.path());
    let authority = Authority::new("ca");
    files.write(&authority, &authority.issue(&["localhost"]));
    let server = secure_server(
        &directory,
        &files,
        &["--listen-metrics-urls", "http://127.0.0.1:0"],
    );
    let metrics = server.addresses()[1].parse().unwrap();
    assert_eq!(http::get(metrics, "/health").status, 200);
    assert!(
        http::get(metrics, "/metrics")
            .body
            .contains("etcd_server_has_leader 1")
    );
    assert_eq!(
        http::get(metrics, "/version").status,
        404,
        "nothing else is served there"
    );
}
