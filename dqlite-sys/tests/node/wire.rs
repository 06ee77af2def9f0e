//! A client that sends one request and blocks until it is answered: as much of dqlite's wire protocol as the tests need.

use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};

const OPEN: u8 = 3;
#[cfg(dqlite_static)]
const PREPARE: u8 = 4;
#[cfg(dqlite_static)]
const EXEC: u8 = 5;
const EXEC_SQL: u8 = 8;
const QUERY_SQL: u8 = 9;
#[cfg(dqlite_static)]
const CONNECT: u8 = 11;
const ADD: u8 = 12;
const ASSIGN: u8 = 13;
#[cfg(dqlite_static)]
const DUMP: u8 = 15;

const FAILURE: u8 = 0;
const DB: u8 = 4;
#[cfg(dqlite_static)]
const STATEMENT: u8 = 5;
const RESULT: u8 = 6;
const ROWS: u8 = 7;
const EMPTY: u8 = 8;
#[cfg(dqlite_static)]
const FILES: u8 = 9;

const MORE: u64 = 0xeeee_eeee_eeee_eeee;
const DONE: u64 = 0xffff_ffff_ffff_ffff;

/// A connection to a node.
pub struct Client<S> {
    stream: S,
}

/// A value in a row.
#[derive(Debug, PartialEq)]
pub enum Value {
    Integer(i64),
    Bytes(Vec<u8>),
    Null,
}

/// What a query found.
pub struct Rows {
    pub rows: Vec<Vec<Value>>,
    /// In how many messages it came.
    pub messages: usize,
}

/// Connects to an abstract socket, given as `@name`.
pub fn connect_abstract(address: &str) -> std::io::Result<UnixStream> {
    UnixStream::connect_addr(&SocketAddr::from_abstract_name(&address[1..])?)
}

impl<S: Read + Write> Client<S> {
    /// Speaks to a node at the other end.
    pub fn on(mut stream: S) -> Self {
        stream
            .write_all(&1_u64.to_le_bytes())
            .expect("the handshake is sent");
        Self { stream }
    }

    /// Opens a database, the only one of this connection.
    pub fn open(&mut self, name: &str) {
        let flags_and_vfs = [0; 16];
        self.send(OPEN, &[&padded(name), &flags_and_vfs]);
        self.answer(DB).expect("the database opens");
    }

    /// Executes statements, and returns how many rows the last one changed.
    pub fn execute(&mut self, sql: &str) -> Result<u64, String> {
        self.send(EXEC_SQL, &[&0_u64.to_le_bytes(), &padded(sql)]);
        let result = self.answer(RESULT)?;
        Ok(Cursor(&result[8..]).number())
    }

    /// Prepares a statement without parameters, and returns its number.
    #[cfg(dqlite_static)]
    pub fn prepare(&mut self, sql: &str) -> u32 {
        self.send(PREPARE, &[&0_u64.to_le_bytes(), &padded(sql)]);
        let statement = self.answer(STATEMENT).expect("it is prepared");
        u32::from_le_bytes(statement[4..8].try_into().expect("four bytes"))
    }

    /// Executes a statement that was prepared.
    #[cfg(dqlite_static)]
    pub fn execute_prepared(&mut self, statement: u32) -> Result<(), String> {
        let (database, no_parameters) = (0_u32.to_le_bytes(), 0_u64.to_le_bytes());
        self.send(EXEC, &[&database, &statement.to_le_bytes(), &no_parameters]);
        self.answer(RESULT).map(|_| ())
    }

    /// Asks for rows.
    pub fn query(&mut self, sql: &str) -> Result<Rows, String> {
        self.send(QUERY_SQL, &[&0_u64.to_le_bytes(), &padded(sql)]);
        let mut found = Rows {
            rows: Vec::new(),
            messages: 0,
        };
        loop {
            found.messages += 1;
            if Cursor(&self.answer(ROWS)?).rows(&mut found.rows) {
                return Ok(found);
            }
        }
    }

    /// Asks for rows and does not wait for them.
    #[cfg(dqlite_static)]
    pub fn begin_query(&mut self, sql: &str) {
        self.send(QUERY_SQL, &[&0_u64.to_le_bytes(), &padded(sql)]);
    }

    /// The one integer that a query finds.
    pub fn integer(&mut self, sql: &str) -> i64 {
        let found = self.query(sql).expect(sql);
        match found.rows[..] {
            [ref row] => match row[..] {
                [Value::Integer(integer)] => integer,
                _ => panic!("{sql}: {row:?}"),
            },
            _ => panic!("{sql}: {} rows", found.rows.len()),
        }
    }

    /// How many bytes the main file of a database has, and how many the message with it.
    #[cfg(dqlite_static)]
    pub fn dump(&mut self, name: &str) -> (usize, usize) {
        self.send(DUMP, &[&padded(name)]);
        let files = self.answer(FILES).expect("the files");
        let mut cursor = Cursor(&files);
        assert_eq!((cursor.number(), cursor.text()), (2, name.to_owned()));
        let length = usize::try_from(cursor.number()).expect("a length");
        (length, files.len())
    }

    /// Adds a member that gets nothing.
    pub fn add(&mut self, id: u64, address: &str) -> Result<(), String> {
        self.send(ADD, &[&id.to_le_bytes(), &padded(address)]);
        self.answer(EMPTY).map(|_| ())
    }

    /// Gives a member a role, once it has caught up.
    pub fn assign(&mut self, id: u64, role: u64) -> Result<(), String> {
        self.send(ASSIGN, &[&id.to_le_bytes(), &role.to_le_bytes()]);
        self.answer(EMPTY).map(|_| ())
    }

    /// Makes this a connection of another node.
    #[cfg(dqlite_static)]
    pub fn become_peer(mut self, id: u64, address: &str) -> S {
        self.send(CONNECT, &[&id.to_le_bytes(), &padded(address)]);
        self.stream
    }

    fn send(&mut self, kind: u8, body: &[&[u8]]) {
        let body = body.concat();
        assert_eq!(body.len() % 8, 0);
        let words = u32::try_from(body.len() / 8).expect("a short request");
        let mut message = words.to_le_bytes().to_vec();
        message.extend([kind, 0, 0, 0]);
        message.extend(body);
        self.stream.write_all(&message).expect("the node reads");
    }

    fn answer(&mut self, kind: u8) -> Result<Vec<u8>, String> {
        let mut head = [0; 8];
        self.stream.read_exact(&mut head).expect("the node answers");
        let words = u32::from_le_bytes(head[..4].try_into().expect("four bytes"));
        let mut body = vec![0; words as usize * 8];
        self.stream.read_exact(&mut body).expect("the node answers");
        match head[4] {
            FAILURE => {
                let mut failure = Cursor(&body);
                Err(format!("{}: {}", failure.number(), failure.text()))
            }
            found => {
                assert_eq!(found, kind);
                Ok(body)
            }
        }
    }
}

/// Text as it is sent: ended by a NUL, and a multiple of eight bytes.
pub fn padded(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(bytes.len() / 8 * 8 + 8, 0);
    bytes
}

/// A message as it is read.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take(&mut self, bytes: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(bytes.next_multiple_of(8));
        self.0 = rest;
        taken[..bytes].to_vec()
    }

    fn number(&mut self) -> u64 {
        u64::from_le_bytes(self.take(8).try_into().expect("eight bytes"))
    }

    fn text(&mut self) -> String {
        let end = self.0.iter().position(|byte| *byte == 0).expect("a NUL");
        let mut text = self.take(end + 1);
        text.pop();
        String::from_utf8(text).expect("UTF-8")
    }

    /// Reads the rows of a message; whether they are the last.
    fn rows(mut self, rows: &mut Vec<Vec<Value>>) -> bool {
        let columns = usize::try_from(self.number()).expect("a few columns");
        for _ in 0..columns {
            self.text();
        }
        loop {
            let mark = u64::from_le_bytes(self.0[..8].try_into().expect("eight bytes"));
            if mark == DONE || mark == MORE {
                return mark == DONE;
            }
            let types = self.take(columns.div_ceil(2));
            let types = types.iter().flat_map(|pair| [pair & 15, pair >> 4]);
            rows.push(types.take(columns).map(|of| self.value(of)).collect());
        }
    }

    fn value(&mut self, of: u8) -> Value {
        match of {
            1 => Value::Integer(i64::from_le_bytes(self.take(8).try_into().expect("eight bytes"))),
            3 => Value::Bytes(self.text().into_bytes()),
            4 => {
                let bytes = usize::try_from(self.number()).expect("a length");
                Value::Bytes(self.take(bytes))
            }
            5 => {
                self.number();
                Value::Null
            }
            other => panic!("type {other} is not in these tests"),
        }
    }
}
