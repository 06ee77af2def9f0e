//! The client against real nodes.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dqlite::client::leader::{Finder, Patience};
use dqlite::client::{Client, Error, Options, PlainConnector};
use dqlite::wire::{Member, Role, Value};
use support::Single;

async fn connect(address: &str) -> Client {
    Client::connect(&PlainConnector, address, Options::default())
        .await
        .expect("the node can be reached")
}

/// A client of a node that leads, with an open database.
async fn opened(node: &Single) -> Client {
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut client = connect(node.address()).await;
    loop {
        match client.open("db").await {
            Ok(()) => return client,
            Err(Error::NotLeader(_)) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

async fn rows(client: &mut Client, sql: &str) -> Vec<Vec<Value>> {
    client.query_sql(sql, &[]).await.unwrap().collect().await.unwrap()
}

#[tokio::test]
async fn every_value_comes_back() {
    let node = Single::start();
    let mut client = opened(&node).await;
    client
        .execute_sql("CREATE TABLE t (a, b, c, d, e)", &[])
        .await
        .unwrap();
    let values = vec![
        Value::Integer(i64::MIN),
        Value::Float(-0.5),
        Value::from("größer, 12345678"),
        Value::Blob(Bytes::from_static(b"\0\xff\0 nine..")),
        Value::Null,
    ];
    let insert = client
        .prepare("INSERT INTO t VALUES (?, ?, ?, ?, ?)")
        .await
        .unwrap();
    assert_eq!(insert.parameters(), 5);
    let outcome = client.execute(&insert, &values).await.unwrap();
    assert_eq!((outcome.last_insert_id, outcome.rows_affected), (1, 1));
    assert_eq!(rows(&mut client, "SELECT * FROM t").await, [values]);
    client.finalize(insert).await.unwrap();
}

#[tokio::test]
async fn other_types_come_as_their_column_is_declared() {
    let node = Single::start();
    let mut client = opened(&node).await;
    let create =
        "CREATE TABLE t (a DATETIME, b DATETIME, c BOOLEAN); INSERT INTO t VALUES (7, '2026-01-02', 1)";
    client.execute_sql(create, &[]).await.unwrap();
    let expected = vec![
        Value::UnixTime(7),
        Value::Iso8601("2026-01-02".to_owned()),
        Value::Boolean(true),
    ];
    assert_eq!(rows(&mut client, "SELECT * FROM t").await, [expected]);
    let parameters = [Value::Iso8601("x".to_owned()), Value::Boolean(true)];
    let asked = client
        .query_sql("SELECT typeof(?), typeof(?)", &parameters)
        .await
        .unwrap();
    assert_eq!(asked.columns(), ["typeof(?)"; 2]);
    let row = asked.first().await.unwrap().unwrap();
    assert_eq!(row, [Value::from("text"), Value::from("integer")]);
}

#[tokio::test]
async fn many_rows_stream_and_many_parameters_go() {
    let node = Single::start();
    let mut client = opened(&node).await;
    client
        .execute_sql("CREATE TABLE t (n INTEGER PRIMARY KEY, v BLOB)", &[])
        .await
        .unwrap();
    let sql = format!("INSERT INTO t VALUES {}", ["(?, ?)"; 400].join(", "));
    let insert = client.prepare(&sql).await.unwrap();
    for first in (0..4000).step_by(400) {
        let row = |n| [Value::Integer(n), Value::Blob(Bytes::from(vec![n as u8; 1000]))];
        let values: Vec<_> = (first..first + 400).flat_map(row).collect();
        assert_eq!(client.execute(&insert, &values).await.unwrap().rows_affected, 400);
    }
    let mut rows = client
        .query_sql("SELECT n, v FROM t ORDER BY n", &[])
        .await
        .unwrap();
    for n in 0..4000 {
        let row = rows.next().await.unwrap().unwrap();
        assert_eq!(
            row,
            [Value::Integer(n), Value::Blob(Bytes::from(vec![n as u8; 1000]))]
        );
    }
    assert_eq!(rows.next().await.unwrap(), None);
    drop(rows);
    assert!(client.is_usable());
}

#[tokio::test]
async fn errors_say_what_to_do_next() {
    let node = Single::start();
    let mut client = opened(&node).await;
    client
        .execute_sql("CREATE TABLE t (n INTEGER PRIMARY KEY) STRICT", &[])
        .await
        .unwrap();
    let twice = client
        .execute_sql("INSERT INTO t VALUES (1), (1)", &[])
        .await
        .unwrap_err();
    assert!(matches!(twice, Error::Sqlite { code: 1555, .. }), "{twice}");
    let wrong = client
        .execute_sql("INSERT INTO nothing VALUES (1)", &[])
        .await
        .unwrap_err();
    assert!(matches!(wrong, Error::Sqlite { code: 1, .. }), "{wrong}");
    let unknown = client.dump("nothing", 1 << 20).await.unwrap_err();
    assert!(matches!(unknown, Error::Sqlite { code: 1002, .. }), "{unknown}");
    let mut other = opened(&node).await;
    other.execute_sql("BEGIN IMMEDIATE", &[]).await.unwrap();
    let busy = client
        .execute_sql("INSERT INTO t VALUES (1)", &[])
        .await
        .unwrap_err();
    assert!(matches!(busy, Error::Busy { .. }), "{busy}");
    drop(other);
}

#[tokio::test]
async fn a_failed_request_leaves_its_transaction_open() {
    let node = Single::start();
    let mut client = opened(&node).await;
    client
        .execute_sql("CREATE TABLE t (n INTEGER NOT NULL) STRICT", &[])
        .await
        .unwrap();
    let sql = "BEGIN IMMEDIATE; INSERT INTO t VALUES (?); INSERT INTO t VALUES (?); COMMIT";
    let failed = client
        .execute_sql(sql, &[Value::Integer(1), Value::Null])
        .await
        .unwrap_err();
    assert!(matches!(failed, Error::Sqlite { code: 1299, .. }), "{failed}");
    assert!(
        client.execute_sql("BEGIN", &[]).await.is_err(),
        "there is one already"
    );
    client.execute_sql("ROLLBACK", &[]).await.unwrap();
    client
        .execute_sql(sql, &[2, 3].map(Value::Integer))
        .await
        .unwrap();
    let expected = [vec![Value::Integer(2)], vec![Value::Integer(3)]];
    assert_eq!(rows(&mut client, "SELECT n FROM t ORDER BY n").await, expected);
}

#[tokio::test]
async fn a_dump_is_a_database() {
    let node = Single::start();
    let mut client = opened(&node).await;
    client
        .execute_sql("CREATE TABLE t (n); INSERT INTO t VALUES (1)", &[])
        .await
        .unwrap();
    let files = connect(node.address()).await.dump("db", 1 << 20).await.unwrap();
    let [main, log] = &files[..] else {
        panic!("{} files", files.len())
    };
    assert_eq!((&main.name[..], &log.name[..]), ("db", "db-wal"));
    assert!(main.content.starts_with(b"SQLite format 3\0") && log.content.is_empty());
    let short = connect(node.address()).await.dump("db", 4096).await.unwrap_err();
    assert!(matches!(short, Error::Protocol(_)), "{short}");
}

#[tokio::test]
async fn a_node_describes_itself() {
    let node = Single::start();
    let mut client = opened(&node).await;
    client.set_weight(17).await.unwrap();
    let metadata = client.describe().await.unwrap();
    assert_eq!((metadata.failure_domain, metadata.weight), (0, 17));
    client.register(9).await.unwrap();
    let leader = client.leader().await.unwrap().unwrap();
    assert_eq!((leader.id, &leader.address[..]), (1, node.address()));
}

/// Three nodes that vote, the first of which leads.
async fn cluster() -> ([Single; 3], Vec<Member>) {
    let nodes = [1, 2, 3].map(Single::start_as);
    let mut first = opened(&nodes[0]).await;
    first.execute_sql("CREATE TABLE t (n)", &[]).await.unwrap();
    for (id, node) in [(2, &nodes[1]), (3, &nodes[2])] {
        first.add(id, node.address()).await.unwrap();
        first.assign(id, Role::Voter).await.unwrap();
    }
    let members = first.cluster().await.unwrap();
    (nodes, members)
}

fn finder() -> Finder {
    Finder::new(Arc::new(PlainConnector), Options::default(), Patience::default())
}

#[tokio::test]
async fn members_come_change_and_go() {
    let (nodes, members) = cluster().await;
    let expected: Vec<_> = [1, 2, 3]
        .iter()
        .zip(&nodes)
        .map(|(id, node)| Member {
            id: *id,
            address: node.address().to_owned(),
            role: Role::Voter,
        })
        .collect();
    assert_eq!(members, expected);
    let mut first = connect(nodes[0].address()).await;
    first.assign(2, Role::Spare).await.unwrap();
    first.assign(3, Role::Standby).await.unwrap();
    let roles: Vec<_> = first
        .cluster()
        .await
        .unwrap()
        .iter()
        .map(|member| member.role)
        .collect();
    assert_eq!(roles, [Role::Voter, Role::Spare, Role::Standby]);
    first.remove(2).await.unwrap();
    assert_eq!(first.cluster().await.unwrap().len(), 2);
    let again = first.add(3, nodes[2].address()).await.unwrap_err();
    assert!(matches!(again, Error::Sqlite { code: 1, .. }), "{again}");
}

#[tokio::test]
async fn a_follower_refuses_and_names_the_leader() {
    let (nodes, _) = cluster().await;
    let mut second = connect(nodes[1].address()).await;
    let refused = second.open("db").await.unwrap_err();
    assert!(
        matches!(refused, Error::NotLeader(_)) && second.is_usable(),
        "{refused}"
    );
    assert_eq!(second.leader().await.unwrap().unwrap().id, 1);
    // What it has may be behind, but it is there and whole.
    let deadline = Instant::now() + Duration::from_secs(10);
    while let Err(error) = second.dump("db", 1 << 20).await {
        assert!(
            matches!(error, Error::Sqlite { code: 1002, .. }) && Instant::now() < deadline,
            "{error}"
        );
    }
}

#[tokio::test]
async fn the_leader_is_found_wherever_it_is() {
    let (nodes, members) = cluster().await;
    let mut finder = finder();
    let time = Duration::from_secs(20);
    let mut led = finder.find(&members, time).await.unwrap();
    assert_eq!(led.leader.id, 1);
    led.client.transfer(Some(2)).await.unwrap();
    let mut led = finder.find(&members, time).await.unwrap();
    assert_eq!(
        led.leader.id, 2,
        "the one that was last known does not lead any more"
    );
    led.client.open("db").await.unwrap();
    led.client
        .execute_sql("INSERT INTO t VALUES (1)", &[])
        .await
        .unwrap();
    drop(led);
    let [first, second, third] = nodes;
    drop(second);
    let led = finder.find(&members, time).await.unwrap();
    assert!([1, 3].contains(&led.leader.id));
    drop((first, third));
    let none = finder
        .find(&members, Duration::from_millis(300))
        .await
        .unwrap_err();
    assert_eq!(none.0.len(), 3, "{none}");
}

#[tokio::test]
async fn a_write_without_a_majority_is_an_unknown_outcome() {
    let (mut nodes, members) = cluster().await;
    let mut client = opened(&nodes[0]).await;
    let insert = client.prepare("INSERT INTO t VALUES (?)").await.unwrap();
    nodes[1].pause();
    nodes[2].pause();
    let outcome = client.execute(&insert, &[Value::Integer(41)]).await;
    assert!(matches!(outcome, Err(Error::Unknown(_))), "{outcome:?}");
    assert!(client.is_usable(), "the node said so itself");
    let refused = client.execute(&insert, &[Value::Integer(42)]).await;
    assert!(matches!(refused, Err(Error::NotLeader(_))), "{refused:?}");
    nodes[1].resume();
    let led = finder().find(&members, Duration::from_secs(20)).await.unwrap();
    let mut client = led.client;
    client.open("db").await.unwrap();
    assert!(rows(&mut client, "SELECT n FROM t WHERE n = 42").await.is_empty());
}

#[tokio::test]
async fn a_statement_of_an_earlier_term_is_refused() {
    let (nodes, members) = cluster().await;
    let mut client = opened(&nodes[0]).await;
    let insert = client.prepare("INSERT INTO t VALUES (?)").await.unwrap();
    connect(nodes[0].address()).await.transfer(Some(2)).await.unwrap();
    let mut finder = finder();
    let time = Duration::from_secs(20);
    let mut led = finder.find(&members, time).await.unwrap();
    led.client.transfer(Some(1)).await.unwrap();
    assert_eq!(finder.find(&members, time).await.unwrap().leader.id, 1);
    let refused = client.execute(&insert, &[Value::Integer(1)]).await;
    assert!(matches!(refused, Err(Error::NotLeader(_))), "{refused:?}");
}
