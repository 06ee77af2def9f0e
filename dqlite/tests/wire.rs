//! The codec: what is written is read back, and damaged bytes are refused.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use dqlite::wire::{
    DatabaseFile, DecodeError, EncodeError, HEADER_LENGTH, Header, Member, Page, Request, Response, Role,
    Server, ServerList, Value,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[^\0]{0,20}", 1 => "[a-z]{0,300}"]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Integer),
        // Not a number is not equal to itself, so it would seem to have changed.
        any::<f64>()
            .prop_filter("a number", |number| !number.is_nan())
            .prop_map(Value::Float),
        text().prop_map(Value::Text),
        vec(any::<u8>(), 0..40).prop_map(|blob| Value::Blob(blob.into())),
        any::<i64>().prop_map(Value::UnixTime),
        text().prop_map(Value::Iso8601),
        any::<bool>().prop_map(Value::Boolean),
    ]
}

fn parameters() -> impl Strategy<Value = Cow<'static, [Value]>> {
    let many = (vec(value(), 1..4), 200..700_usize)
        .prop_map(|(few, count)| few.into_iter().cycle().take(count).collect());
    prop_oneof![8 => vec(value(), 0..30), 1 => many].prop_map(Cow::Owned)
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Voter), Just(Role::Standby), Just(Role::Spare)]
}

fn plain_request() -> impl Strategy<Value = Request<'static>> {
    let owned = || text().prop_map(Cow::Owned);
    prop_oneof![
        Just(Request::Leader),
        Just(Request::Describe),
        any::<u64>().prop_map(|id| Request::Client { id }),
        owned().prop_map(|name| Request::Open { name }),
        owned().prop_map(|name| Request::Dump { name }),
        any::<u32>().prop_map(|database| Request::Interrupt { database }),
        (any::<u64>(), owned()).prop_map(|(id, address)| Request::Connect { id, address }),
        (any::<u64>(), owned()).prop_map(|(id, address)| Request::Add { id, address }),
        (any::<u64>(), role()).prop_map(|(id, role)| Request::Assign { id, role }),
        any::<u64>().prop_map(|id| Request::Remove { id }),
        any::<u64>().prop_map(|id| Request::Transfer { id }),
        any::<u64>().prop_map(|weight| Request::Weight { weight }),
        any::<bool>().prop_map(|roles| Request::Cluster { roles }),
    ]
}

fn statement_request() -> impl Strategy<Value = Request<'static>> {
    let sql = || text().prop_map(Cow::Owned);
    let prepared = || (any::<u32>(), any::<u32>(), parameters());
    let plain = || (any::<u32>(), sql(), parameters());
    prop_oneof![
        (any::<u32>(), sql(), any::<bool>()).prop_map(|(database, sql, tail)| Request::Prepare {
            database,
            sql,
            tail
        }),
        (any::<u32>(), any::<u32>())
            .prop_map(|(database, statement)| Request::Finalize { database, statement }),
        prepared().prop_map(|(database, statement, parameters)| Request::Execute {
            database,
            statement,
            parameters
        }),
        prepared().prop_map(|(database, statement, parameters)| Request::Query {
            database,
            statement,
            parameters
        }),
        plain().prop_map(|(database, sql, parameters)| Request::ExecuteSql {
            database,
            sql,
            parameters
        }),
        plain().prop_map(|(database, sql, parameters)| Request::QuerySql {
            database,
            sql,
            parameters
        }),
    ]
}

fn request() -> impl Strategy<Value = Request<'static>> {
    prop_oneof![plain_request(), statement_request()]
}

fn page() -> impl Strategy<Value = Page> {
    (1..9_usize)
        .prop_flat_map(|width| (vec(text(), width), vec(vec(value(), width), 0..9), any::<bool>()))
        .prop_map(|(columns, rows, more)| Page { columns, rows, more })
}

fn server() -> impl Strategy<Value = Server> {
    (any::<u64>(), text()).prop_map(|(id, address)| Server { id, address })
}

fn member() -> impl Strategy<Value = Member> {
    (server(), role()).prop_map(|(Server { id, address }, role)| Member { id, address, role })
}

fn file() -> impl Strategy<Value = DatabaseFile> {
    (text(), vec(any::<u8>(), 0..99)).prop_map(|(name, content)| DatabaseFile {
        name,
        content: content.into(),
    })
}

fn response() -> impl Strategy<Value = Response> {
    let statement = (any::<u32>(), any::<u32>(), any::<u64>(), any::<Option<u64>>());
    prop_oneof![
        (any::<u64>(), text()).prop_map(|(code, message)| Response::Failure { code, message }),
        server().prop_map(Response::Server),
        any::<u64>().prop_map(|heartbeat_timeout_ms| Response::Welcome { heartbeat_timeout_ms }),
        vec(member(), 0..5).prop_map(|all| Response::Servers(ServerList::of_members(&all).unwrap())),
        any::<u32>().prop_map(|id| Response::Database { id }),
        statement.prop_map(|(database, id, parameters, tail)| Response::Statement {
            database,
            id,
            parameters,
            tail
        }),
        any::<[u64; 2]>().prop_map(|[last_insert_id, rows_affected]| Response::Result {
            last_insert_id,
            rows_affected
        }),
        page().prop_map(Response::Rows),
        Just(Response::Empty),
        vec(file(), 0..3).prop_map(Response::Files),
        any::<[u64; 2]>().prop_map(|[failure_domain, weight]| Response::Metadata {
            failure_domain,
            weight
        }),
    ]
}

fn encoded_request(request: &Request<'_>) -> (Header, Bytes) {
    let mut out = BytesMut::new();
    request.encode(&mut out).expect("it can be sent");
    split(out)
}

fn encoded_response(response: &Response) -> (Header, Bytes) {
    let mut out = BytesMut::new();
    response.encode(&mut out).expect("it can be sent");
    split(out)
}

fn split(message: BytesMut) -> (Header, Bytes) {
    let mut body = message.freeze();
    let header = body.split_to(HEADER_LENGTH);
    let header = Header::decode(header[..].try_into().unwrap());
    assert_eq!(
        header.body_length(),
        body.len() as u64,
        "the header tells the length"
    );
    (header, body)
}

/// A damage: a byte changed, an end cut off, or something added.
#[derive(Clone, Debug)]
enum Damage {
    Change(Index, u8),
    Cut(Index),
    Add(Vec<u8>),
    Kind(u8, u8),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, to)| Damage::Change(at, to)),
        1 => any::<Index>().prop_map(Damage::Cut),
        1 => vec(any::<u8>(), 1..20).prop_map(Damage::Add),
        1 => (0..24_u8, 0..3_u8).prop_map(|(kind, schema)| Damage::Kind(kind, schema)),
    ]
}

fn damaged((mut header, body): (Header, Bytes), damages: &[Damage]) -> (Header, Bytes) {
    let mut bytes = body.to_vec();
    for damage in damages {
        match damage {
            Damage::Change(at, to) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] = *to;
            }
            Damage::Cut(at) if !bytes.is_empty() => bytes.truncate(at.index(bytes.len())),
            Damage::Add(more) => bytes.extend_from_slice(more),
            Damage::Kind(kind, schema) => (header.kind, header.schema) = (*kind, *schema),
            _ => {}
        }
    }
    (header, bytes.into())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn requests_come_back(request in request()) {
        let (header, body) = encoded_request(&request);
        prop_assert!(!body.is_empty(), "a node never reads on after an empty body");
        prop_assert_eq!(Request::decode(header, body), Ok(request));
    }

    #[test]
    fn responses_come_back(response in response()) {
        let (header, body) = encoded_response(&response);
        prop_assert_eq!(Response::decode(header, body), Ok(response));
    }

    #[test]
    fn members_and_servers_come_back(members in vec(member(), 0..6), servers in vec(server(), 0..6)) {
        prop_assert_eq!(ServerList::of_members(&members).unwrap().members(), Ok(members));
        prop_assert_eq!(ServerList::of_servers(&servers).unwrap().servers(), Ok(servers));
    }

    #[test]
    fn damaged_messages_do_no_harm(
        request in request(),
        response in response(),
        damages in vec(damage(), 1..5),
    ) {
        let (header, body) = damaged(encoded_request(&request), &damages);
        let _either = Request::decode(header, body.clone());
        let _either = Response::decode(header, body);
        let (header, body) = damaged(encoded_response(&response), &damages);
        let _either = Request::decode(header, body.clone());
        if let Ok(Response::Servers(list)) = Response::decode(header, body) {
            let _either = list.clone().members();
            let _either = list.servers();
        }
    }

    #[test]
    fn any_bytes_do_no_harm(kind in any::<u8>(), schema in 0..3_u8, body in vec(any::<u8>(), 0..200)) {
        let header = Header { words: 0, kind, schema };
        let _either = Request::decode(header, body.clone().into());
        let _either = Response::decode(header, body.into());
    }

    #[test]
    fn a_message_that_is_cut_off_is_refused(response in response(), at in any::<Index>()) {
        let (header, body) = encoded_response(&response);
        let short = body.slice(..at.index(body.len()));
        let whole = Response::decode(header, short.clone());
        // The list of servers is read later; and the tail of a statement is told apart by the schema only.
        match (response, whole) {
            (Response::Servers(_), Ok(Response::Servers(list))) => {
                prop_assert_eq!(list.members(), Err(DecodeError::CutOff));
            }
            (_, whole) => prop_assert_eq!(whole, Err(DecodeError::CutOff)),
        }
    }
}

#[test]
fn bytes_are_those_of_the_protocol() {
    let request = Request::ExecuteSql {
        database: 0,
        sql: Cow::Borrowed("SELECT"),
        parameters: Cow::Owned(vec![
            Value::Integer(-1),
            Value::from("abcdefgh"),
            Value::Blob(Bytes::from_static(b"x")),
        ]),
    };
    let mut out = BytesMut::new();
    request.encode(&mut out).unwrap();
    let words: [&[u8]; 9] = [
        b"\x08\0\0\0\x08\0\0\0",
        b"\0\0\0\0\0\0\0\0",
        b"SELECT\0\0",
        b"\x03\x01\x03\x04\0\0\0\0",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        b"abcdefgh",
        b"\0\0\0\0\0\0\0\0",
        b"\x01\0\0\0\0\0\0\0",
        b"x\0\0\0\0\0\0\0",
    ];
    assert_eq!(out, words.concat());
}

#[test]
fn more_than_255_parameters_take_the_new_form() {
    for (count, schema) in [(0, 0), (255, 0), (256, 1), (32_766, 1)] {
        let request = Request::Execute {
            database: 0,
            statement: 1,
            parameters: Cow::Owned(vec![Value::Null; count]),
        };
        let (header, body) = encoded_request(&request);
        assert_eq!(header.schema, schema, "{count}");
        assert_eq!(Request::decode(header, body), Ok(request));
    }
}

#[test]
fn an_assignment_without_a_role_makes_a_voter() {
    let header = Header {
        words: 1,
        kind: 13,
        schema: 0,
    };
    let request = Request::decode(header, Bytes::from_static(&[5, 0, 0, 0, 0, 0, 0, 0]));
    assert_eq!(
        request,
        Ok(Request::Assign {
            id: 5,
            role: Role::Voter
        })
    );
}

#[test]
fn what_has_no_form_is_not_sent() {
    let mut out = BytesMut::from(&b"before"[..]);
    let nul = Request::Open {
        name: Cow::Borrowed("a\0b"),
    };
    assert_eq!(nul.encode(&mut out), Err(EncodeError::NulInText));
    let ragged = Page {
        columns: vec!["a".into()],
        rows: vec![vec![]],
        more: false,
    };
    let error = EncodeError::Ragged {
        expected: 1,
        found: 0,
    };
    assert_eq!(Response::Rows(ragged).encode(&mut out), Err(error));
    assert_eq!(out, b"before"[..]);
}

#[test]
fn rows_without_columns_do_not_go_on_for_ever() {
    let mut body = vec![0; 8];
    body.extend_from_slice(&[1; 8]);
    let header = Header {
        words: 2,
        kind: 7,
        schema: 0,
    };
    assert_eq!(
        Response::decode(header, body.into()),
        Err(DecodeError::OutOfRange(0))
    );
}

#[test]
fn a_count_takes_no_memory_by_itself() {
    for kind in [3, 7, 9] {
        let header = Header {
            words: 1,
            kind,
            schema: 0,
        };
        let response = Response::decode(header, Bytes::from_static(&[0xff; 8]));
        let refused = match response {
            Ok(Response::Servers(list)) => list.members().map(drop),
            other => other.map(drop),
        };
        assert_eq!(refused, Err(DecodeError::CutOff), "{kind}");
    }
}
