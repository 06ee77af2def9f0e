//! The pages beside gRPC, byte for byte where programs read them.

use serde_json::Value;

use crate::support::clients::etcd_client;
use crate::support::{Server, http};

#[test]
fn health_and_version_answer_as_etcd_does() {
    let (server, _directory) = Server::fresh(&[]);
    let expected = [
        ("/health", 200, r#"{"health":"true","reason":""}"#),
        (
            "/health?serializable=true&exclude=NOSPACE",
            200,
            r#"{"health":"true","reason":""}"#,
        ),
        ("/livez", 200, "ok\n"),
        ("/livez?verbose", 200, "[+]serializable_read ok\nok\n"),
        ("/livez?verbose&exclude=serializable_read", 200, "ok\n"),
        ("/readyz", 200, "ok\n"),
        (
            "/readyz/linearizable_read?verbose",
            200,
            "[+]linearizable_read ok\nok\n",
        ),
        ("/readyz/nonsense", 404, "404 page not found\n"),
        ("/nonsense", 404, "404 page not found\n"),
    ];
    for (path, status, body) in expected {
        let answer = http::get(server.address(), path);
        assert_eq!((answer.status, answer.body.as_str()), (status, body), "{path}");
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; charset=utf-8"),
            "{path}"
        );
    }
    let version: Value = serde_json::from_str(&http::get(server.address(), "/version").body).unwrap();
    assert!(
        version["etcdserver"].as_str().unwrap().starts_with("3.7."),
        "{version}"
    );
    assert_eq!(
        (&version["etcdcluster"], &version["storage"]),
        (&"3.7.0".into(), &"3.7.0".into())
    );
}

#[test]
fn other_methods_are_refused() {
    let (server, _directory) = Server::fresh(&[]);
    for path in ["/health", "/livez", "/readyz", "/version", "/metrics", "/actors"] {
        let answer = http::request(server.address(), "POST", path);
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (405, "Method Not Allowed\n"),
            "{path}"
        );
        assert_eq!(answer.header("allow"), Some("GET"), "{path}");
    }
}

#[tokio::test]
async fn a_raised_alarm_makes_the_server_unhealthy_unless_excluded() {
    let (server, _directory) = Server::fresh(&[]);
    let mut client = etcd_client(&server).await;
    use etcd_client::{AlarmAction, AlarmType};
    client
        .alarm(AlarmAction::Activate, AlarmType::Corrupt, None)
        .await
        .unwrap();
    let answer = http::get(server.address(), "/health");
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (503, "{\"health\":\"false\",\"reason\":\"ALARM CORRUPT\"}\n")
    );
    let ready = http::get(server.address(), "/readyz");
    assert_eq!(ready.status, 503);
    assert!(
        ready.body.contains("[-]data_corruption failed: "),
        "{}",
        ready.body
    );
    assert_eq!(http::get(server.address(), "/health?exclude=CORRUPT").status, 200);
    assert_eq!(
        http::get(server.address(), "/livez").status,
        200,
        "it must not be restarted for that"
    );
    let report: Value = serde_json::from_str(&http::get(server.address(), "/actors.json").body).unwrap();
    assert_eq!(report["alarms"], serde_json::json!(["Corrupt for member 0"]));
}

#[tokio::test]
async fn metrics_carry_etcds_names_and_follow_what_happens() {
    let (server, _directory) = Server::fresh(&["--metrics", "extensive"]);
    let mut client = etcd_client(&server).await;
    client.put("k", "v", None).await.unwrap();
    client.get("k", None).await.unwrap();
    let answer = http::get(server.address(), "/metrics");
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let page = answer.body;
    for sample in [
        "etcd_server_has_leader 1\n",
        "etcd_server_is_leader 1\n",
        "etcd_server_leader_changes_seen_total 1\n",
        "etcd_server_proposals_committed_total 1\n",
        "etcd_server_quota_backend_bytes 2147483648\n",
        "etcd_disk_wal_fsync_duration_seconds_count 1\n",
        "etcd_disk_backend_commit_duration_seconds_bucket{le=\"+Inf\"} 1\n",
        "etcd_mvcc_put_total 1\n",
        "etcd_mvcc_range_total 1\n",
        "etcd_server_request_duration_seconds_count{success=\"true\",type=\"Put\"} 1\n",
        "etcd_server_range_duration_seconds_count{success=\"true\"} 1\n",
        "etcd_debugging_mvcc_keys_total 1\n",
        "etcd_debugging_mvcc_current_revision 2\n",
        "etcd_server_health_success 0\n",
        "grpc_server_started_total{grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} 1\n",
        "grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"Range\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} 1\n",
        "grpc_server_msg_sent_total{grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} 1\n",
        "grpc_server_handling_seconds_count{grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} 1\n",
        "taffrail_actor_handled_total{actor=\"router\"} 1\n",
        "taffrail_batch_effects_bucket{le=\"1\"} 1\n",
    ] {
        assert!(page.contains(sample), "{sample} is missing in\n{page}");
    }
    for name in [
        "etcd_mvcc_db_total_size_in_bytes ",
        "process_resident_memory_bytes ",
        "etcd_server_version{",
    ] {
        assert!(page.contains(name), "{name} is missing");
    }
    assert_well_formed(&page);
}

/// Every sample must belong to the family announced before it, and no family may come twice.
fn assert_well_formed(page: &str) {
    let (mut families, mut family) = (std::collections::HashSet::new(), "");
    for line in page.lines() {
        if let Some(announced) = line.strip_prefix("# TYPE ") {
            family = announced.split(' ').next().unwrap();
            assert!(families.insert(family), "{family} comes twice");
        } else if !line.starts_with('#') {
            assert!(line.starts_with(family), "{line} does not belong to {family}");
            let value = line.rsplit(' ').next().unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
}

#[test]
fn the_page_of_actors_shows_every_actor() {
    let (server, _directory) = Server::fresh(&[]);
    let page = http::get(server.address(), "/actors");
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, Some("text/html; charset=utf-8"))
    );
    assert!(
        !page.body.contains("://"),
        "the page must not need anything from elsewhere"
    );
    let report: Value = serde_json::from_str(&http::get(server.address(), "/actors.json").body).unwrap();
    let actors: Vec<&str> = report["pipeline"]["mailboxes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["actor"].as_str().unwrap())
        .collect();
    assert_eq!(
        actors,
        [
            "router",
            "revision_allocator",
            "write_batcher",
            "keyspace",
            "watch_hub",
            "lease_actor",
            "compactor"
        ]
    );
    assert!(
        actors.iter().all(|actor| page.body.contains(actor)),
        "the page does not know some of {actors:?}"
    );
}
