//! What a node answers.

use bytes::{Bytes, BytesMut};

use super::bytes::{Decoder, Encoder};
use super::header::{Header, message};
use super::member::{Member, Role, Server};
use super::rows::Page;
use super::{DecodeError, EncodeError};

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    /// The request failed.
    Failure {
        /// An extended result code of SQLite, or one of dqlite's own.
        code: u64,
        /// The reason in words.
        message: String,
    },
    /// A node: the leader that was asked for. Its address is empty if there is none.
    Server(Server),
    /// The client is registered.
    Welcome {
        /// What was meant to be the longest time between heartbeats, milliseconds; nodes ignore it.
        heartbeat_timeout_ms: u64,
    },
    /// Nodes of the cluster.
    Servers(ServerList),
    /// A database was opened.
    Database {
        /// Its number on this connection.
        id: u32,
    },
    /// A statement was prepared.
    Statement {
        /// The database's number.
        database: u32,
        /// Its own number on this connection.
        id: u32,
        /// How many parameters it takes.
        parameters: u64,
        /// Where in the text the next statement begins, if that was asked.
        tail: Option<u64>,
    },
    /// A statement was run.
    Result {
        /// The last row id that the connection inserted.
        last_insert_id: u64,
        /// How many rows the statement changed.
        rows_affected: u64,
    },
    /// Rows, the last or more of them to follow.
    Rows(Page),
    /// It is done, and there is nothing to tell.
    Empty,
    /// A copy of a database.
    Files(Vec<DatabaseFile>),
    /// What a node says about itself.
    Metadata {
        /// The failure domain that its owner gave it.
        failure_domain: u64,
        /// Its weight.
        weight: u64,
    },
}

/// A file of a copied database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseFile {
    /// The file's name.
    pub name: String,
    /// What it holds.
    pub content: Bytes,
}

/// Nodes of a cluster, with or without roles: only who asked knows which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerList(Bytes);

impl ServerList {
    /// The form with roles.
    pub fn of_members(members: &[Member]) -> Result<Self, EncodeError> {
        Self::build(members, |out, member| {
            out.u64(member.id);
            out.text(&member.address)?;
            out.u64(member.role.number());
            Ok(())
        })
    }

    /// The form without roles.
    pub fn of_servers(servers: &[Server]) -> Result<Self, EncodeError> {
        Self::build(servers, |out, server| {
            out.u64(server.id);
            out.text(&server.address)
        })
    }

    fn build<T>(
        all: &[T],
        write: impl Fn(&mut Encoder<'_>, &T) -> Result<(), EncodeError>,
    ) -> Result<Self, EncodeError> {
        let mut bytes = BytesMut::new();
        let mut out = Encoder::new(&mut bytes);
        out.u64(all.len() as u64);
        all.iter().try_for_each(|each| write(&mut out, each))?;
        Ok(Self(bytes.freeze()))
    }

    /// Reads the answer to a request that asked for roles.
    pub fn members(self) -> Result<Vec<Member>, DecodeError> {
        list(Decoder::new(self.0), |from| {
            Ok(Member {
                id: from.u64()?,
                address: from.text()?,
                role: from.u64().and_then(Role::from_number)?,
            })
        })
    }

    /// Reads the answer to a request that did not.
    pub fn servers(self) -> Result<Vec<Server>, DecodeError> {
        list(Decoder::new(self.0), server)
    }
}

const FAILURE: u8 = 0;
const SERVER: u8 = 1;
const WELCOME: u8 = 2;
const SERVERS: u8 = 3;
const DATABASE: u8 = 4;
const STATEMENT: u8 = 5;
const RESULT: u8 = 6;
const ROWS: u8 = 7;
const EMPTY: u8 = 8;
const FILES: u8 = 9;
const METADATA: u8 = 10;

impl Response {
    /// Appends the response to `out`, header and body. On an error nothing is appended.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        message(out, self.kind_and_schema(), |body| self.encode_body(body))
    }

    fn kind_and_schema(&self) -> (u8, u8) {
        match self {
            Self::Failure { .. } => (FAILURE, 0),
            Self::Server(_) => (SERVER, 0),
            Self::Welcome { .. } => (WELCOME, 0),
            Self::Servers(_) => (SERVERS, 0),
            Self::Database { .. } => (DATABASE, 0),
            Self::Statement { tail, .. } => (STATEMENT, u8::from(tail.is_some())),
            Self::Result { .. } => (RESULT, 0),
            Self::Rows(_) => (ROWS, 0),
            Self::Empty => (EMPTY, 0),
            Self::Files(_) => (FILES, 0),
            Self::Metadata { .. } => (METADATA, 0),
        }
    }

    fn encode_body(&self, out: &mut Encoder<'_>) -> Result<(), EncodeError> {
        match self {
            Self::Failure { code, message } => {
                out.u64(*code);
                out.text(message)?;
            }
            Self::Server(server) => {
                out.u64(server.id);
                out.text(&server.address)?;
            }
            Self::Welcome { heartbeat_timeout_ms } => out.u64(*heartbeat_timeout_ms),
            Self::Servers(ServerList(body)) => out.raw(body),
            Self::Database { id } => {
                out.u32(*id);
                out.u32(0);
            }
            Self::Statement {
                database,
                id,
                parameters,
                tail,
            } => {
                out.u32(*database);
                out.u32(*id);
                out.u64(*parameters);
                tail.iter().for_each(|tail| out.u64(*tail));
            }
            Self::Result {
                last_insert_id,
                rows_affected,
            } => {
                out.u64(*last_insert_id);
                out.u64(*rows_affected);
            }
            Self::Rows(page) => page.encode(out)?,
            Self::Empty => out.u64(0),
            Self::Files(files) => encode_files(files, out)?,
            Self::Metadata {
                failure_domain,
                weight,
            } => {
                out.u64(*failure_domain);
                out.u64(*weight);
            }
        }
        Ok(())
    }

    /// Reads a response of this header from its body. Blobs in it share the body's memory.
    pub fn decode(header: Header, body: Bytes) -> Result<Self, DecodeError> {
        let Header { kind, schema, .. } = header;
        if schema > u8::from(kind == STATEMENT) {
            return Err(DecodeError::UnknownSchema { kind, schema });
        }
        let mut from = Decoder::new(body);
        let response = Self::decode_body(header, &mut from)?;
        from.finish()?;
        Ok(response)
    }

    fn decode_body(header: Header, from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(match header.kind {
            FAILURE => Self::Failure {
                code: from.u64()?,
                message: from.text()?,
            },
            SERVER => Self::Server(server(from)?),
            WELCOME => Self::Welcome {
                heartbeat_timeout_ms: from.u64()?,
            },
            SERVERS => Self::Servers(ServerList(from.rest())),
            DATABASE => {
                let id = from.u32()?;
                from.u32()?;
                Self::Database { id }
            }
            STATEMENT => Self::Statement {
                database: from.u32()?,
                id: from.u32()?,
                parameters: from.u64()?,
                tail: (header.schema == 1).then(|| from.u64()).transpose()?,
            },
            RESULT => Self::Result {
                last_insert_id: from.u64()?,
                rows_affected: from.u64()?,
            },
            ROWS => Self::Rows(Page::decode(from)?),
            EMPTY => from.u64().map(|_| Self::Empty)?,
            FILES => Self::Files(list(Decoder::new(from.rest()), file)?),
            METADATA => Self::Metadata {
                failure_domain: from.u64()?,
                weight: from.u64()?,
            },
            other => return Err(DecodeError::UnknownMessage(other)),
        })
    }
}

fn server(from: &mut Decoder) -> Result<Server, DecodeError> {
    Ok(Server {
        id: from.u64()?,
        address: from.text()?,
    })
}

fn file(from: &mut Decoder) -> Result<DatabaseFile, DecodeError> {
    Ok(DatabaseFile {
        name: from.text()?,
        content: from.blob()?,
    })
}

fn encode_files(files: &[DatabaseFile], out: &mut Encoder<'_>) -> Result<(), EncodeError> {
    out.u64(files.len() as u64);
    for file in files {
        out.text(&file.name)?;
        out.blob(&file.content);
    }
    Ok(())
}

/// A number, and so many of something that takes a word at least.
fn list<T>(
    mut from: Decoder,
    read: impl Fn(&mut Decoder) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = from.u64()?;
    let all = (0..count).map(|_| read(&mut from)).collect::<Result<_, _>>()?;
    from.finish()?;
    Ok(all)
}
