//! A socket in the file system, beside a port.

use std::os::unix::net::UnixStream;

use hyper_util::rt::TokioIo;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::{PutRequest, RangeRequest};
use tonic::transport::Endpoint;
use tower::service_fn;

use crate::support::process::data_dir;
use crate::support::{Start, http, kv_client};

#[tokio::test]
async fn grpc_and_http_are_served_on_a_socket_with_a_colon_in_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("kine.sock:12379");
    let urls = format!("http://127.0.0.1:0,unix://{}", socket.display());
    let server = Start::new(&data_dir(&directory)).listen(&urls).run();
    assert_eq!(server.addresses()[1], socket.to_str().unwrap());

    let health = http::exchange(UnixStream::connect(&socket).unwrap(), "GET", "/health");
    assert_eq!(health.body, r#"{"health":"true","reason":""}"#);

    let path = socket.clone();
    let connect = service_fn(move |_| {
        let path = path.clone();
        async move { tokio::net::UnixStream::connect(path).await.map(TokioIo::new) }
    });
    let channel = Endpoint::from_static("http://localhost")
        .connect_with_connector(connect)
        .await
        .unwrap();
    let put = PutRequest {
        key: "k".into(),
        value: "v".into(),
        ..PutRequest::default()
    };
    KvClient::new(channel).put(put).await.unwrap();
    let range = RangeRequest {
        key: "k".into(),
        ..RangeRequest::default()
    };
    let got = kv_client(&server).await.range(range).await.unwrap().into_inner();
    assert_eq!(got.kvs[0].value, "v");

    server.terminate();
    let (status, log) = server.ended();
    assert!(status.success(), "{log}");
    assert!(!socket.exists(), "the socket stays behind");
}
