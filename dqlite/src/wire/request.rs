//! What a client asks of a node.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

use super::bytes::{Decoder, Encoder};
use super::header::{Header, message};
use super::member::Role;
use super::value::Value;
use super::{DecodeError, EncodeError, tuple};

/// A request.
///
/// `database` and `statement` are the numbers that the node gave in its answers to [`Request::Open`]
/// and [`Request::Prepare`] on the same connection.
#[derive(Clone, Debug, PartialEq)]
pub enum Request<'a> {
    /// Who leads? Answered with a server, without an address if the node does not know.
    Leader,
    /// Registers the client. Answered with a welcome.
    Client {
        /// A number of the client's choice.
        id: u64,
    },
    /// Opens a database, which is made if there is none. Answered with a database.
    Open {
        /// The database's name.
        name: Cow<'a, str>,
    },
    /// Compiles a statement. Answered with a statement.
    Prepare {
        /// The database.
        database: u32,
        /// The text.
        sql: Cow<'a, str>,
        /// Whether more statements may follow the first; where they begin is told then (1.12 and newer).
        tail: bool,
    },
    /// Runs a prepared statement that gives no rows. Answered with a result.
    Execute {
        /// The database.
        database: u32,
        /// The statement.
        statement: u32,
        /// Its parameters. Missing ones are NULL.
        parameters: Cow<'a, [Value]>,
    },
    /// Runs a prepared statement that gives rows. Answered with rows.
    Query {
        /// The database.
        database: u32,
        /// The statement.
        statement: u32,
        /// Its parameters. Missing ones are NULL.
        parameters: Cow<'a, [Value]>,
    },
    /// Gives a prepared statement up. Answered with nothing.
    Finalize {
        /// The database.
        database: u32,
        /// The statement.
        statement: u32,
    },
    /// Runs statements that give no rows, one after another. Answered with the last one's result.
    ExecuteSql {
        /// The database.
        database: u32,
        /// The text.
        sql: Cow<'a, str>,
        /// Parameters, used up from left to right.
        parameters: Cow<'a, [Value]>,
    },
    /// Runs one statement that gives rows. Answered with rows.
    QuerySql {
        /// The database.
        database: u32,
        /// The text.
        sql: Cow<'a, str>,
        /// Its parameters.
        parameters: Cow<'a, [Value]>,
    },
    /// Ends a query's rows early. Nodes answer when the rows are over: it interrupts nothing.
    Interrupt {
        /// The database.
        database: u32,
    },
    /// Makes the connection a channel between two nodes. Not answered.
    Connect {
        /// The node that speaks.
        id: u64,
        /// Its address.
        address: Cow<'a, str>,
    },
    /// Adds a node to the cluster, as a spare.
    Add {
        /// The node.
        id: u64,
        /// Its address.
        address: Cow<'a, str>,
    },
    /// Gives a node a role. Answered when it has caught up.
    Assign {
        /// The node.
        id: u64,
        /// The role.
        role: Role,
    },
    /// Removes a node from the cluster.
    Remove {
        /// The node.
        id: u64,
    },
    /// Asks for a copy of a database as this node has it. Answered with files.
    Dump {
        /// The database's name.
        name: Cow<'a, str>,
    },
    /// Asks for the nodes of the cluster as this node knows them. Answered with servers.
    Cluster {
        /// Whether to tell roles.
        roles: bool,
    },
    /// Makes another node the leader.
    Transfer {
        /// The node; zero for any.
        id: u64,
    },
    /// Asks for the node's failure domain and weight. Answered with metadata.
    Describe,
    /// Sets the weight of the node asked, which forgets it when it ends.
    Weight {
        /// The weight.
        weight: u64,
    },
}

const LEADER: u8 = 0;
const CLIENT: u8 = 1;
const OPEN: u8 = 3;
const PREPARE: u8 = 4;
const EXECUTE: u8 = 5;
const QUERY: u8 = 6;
const FINALIZE: u8 = 7;
const EXECUTE_SQL: u8 = 8;
const QUERY_SQL: u8 = 9;
const INTERRUPT: u8 = 10;
const CONNECT: u8 = 11;
const ADD: u8 = 12;
const ASSIGN: u8 = 13;
const REMOVE: u8 = 14;
const DUMP: u8 = 15;
const CLUSTER: u8 = 16;
const TRANSFER: u8 = 17;
const DESCRIBE: u8 = 18;
const WEIGHT: u8 = 19;

impl Request<'_> {
    /// Appends the request to `out`, header and body. On an error nothing is appended.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        message(out, self.kind_and_schema(), |body| self.encode_body(body))
    }

    fn kind_and_schema(&self) -> (u8, u8) {
        match self {
            Self::Leader => (LEADER, 0),
            Self::Client { .. } => (CLIENT, 0),
            Self::Open { .. } => (OPEN, 0),
            Self::Prepare { tail, .. } => (PREPARE, u8::from(*tail)),
            Self::Execute { parameters, .. } => (EXECUTE, tuple::schema_for(parameters)),
            Self::Query { parameters, .. } => (QUERY, tuple::schema_for(parameters)),
            Self::Finalize { .. } => (FINALIZE, 0),
            Self::ExecuteSql { parameters, .. } => (EXECUTE_SQL, tuple::schema_for(parameters)),
            Self::QuerySql { parameters, .. } => (QUERY_SQL, tuple::schema_for(parameters)),
            Self::Interrupt { .. } => (INTERRUPT, 0),
            Self::Connect { .. } => (CONNECT, 0),
            Self::Add { .. } => (ADD, 0),
            Self::Assign { .. } => (ASSIGN, 0),
            Self::Remove { .. } => (REMOVE, 0),
            Self::Dump { .. } => (DUMP, 0),
            Self::Cluster { .. } => (CLUSTER, 0),
            Self::Transfer { .. } => (TRANSFER, 0),
            Self::Describe => (DESCRIBE, 0),
            Self::Weight { .. } => (WEIGHT, 0),
        }
    }

    /// Every body has a word at least: a node never reads on after an empty one.
    fn encode_body(&self, out: &mut Encoder<'_>) -> Result<(), EncodeError> {
        match self {
            Self::Leader | Self::Describe => out.u64(0),
            Self::Client { id } | Self::Remove { id } | Self::Transfer { id } => out.u64(*id),
            Self::Weight { weight } => out.u64(*weight),
            Self::Cluster { roles } => out.u64(u64::from(*roles)),
            Self::Interrupt { database } => out.u64(u64::from(*database)),
            Self::Dump { name } => out.text(name)?,
            Self::Open { name } => {
                out.text(name)?;
                // Flags, and the name of a file system: nodes read and ignore both.
                out.u64(0);
                out.text("")?;
            }
            Self::Connect { id, address } | Self::Add { id, address } => {
                out.u64(*id);
                out.text(address)?;
            }
            Self::Assign { id, role } => {
                out.u64(*id);
                out.u64(role.number());
            }
            _ => self.encode_statement(out)?,
        }
        Ok(())
    }

    fn encode_statement(&self, out: &mut Encoder<'_>) -> Result<(), EncodeError> {
        match self {
            Self::Prepare { database, sql, .. } => {
                out.u64(u64::from(*database));
                out.text(sql)
            }
            Self::Execute {
                database,
                statement,
                parameters,
            }
            | Self::Query {
                database,
                statement,
                parameters,
            } => {
                out.u32(*database);
                out.u32(*statement);
                tuple::encode(parameters, out)
            }
            Self::ExecuteSql {
                database,
                sql,
                parameters,
            }
            | Self::QuerySql {
                database,
                sql,
                parameters,
            } => {
                out.u64(u64::from(*database));
                out.text(sql)?;
                tuple::encode(parameters, out)
            }
            Self::Finalize { database, statement } => {
                out.u32(*database);
                out.u32(*statement);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Request<'static> {
    /// Reads a request of this header from its body.
    pub fn decode(header: Header, body: Bytes) -> Result<Self, DecodeError> {
        let newest = match header.kind {
            PREPARE | EXECUTE | QUERY | EXECUTE_SQL | QUERY_SQL => 1,
            _ => 0,
        };
        if header.schema > newest {
            let Header { kind, schema, .. } = header;
            return Err(DecodeError::UnknownSchema { kind, schema });
        }
        let mut from = Decoder::new(body);
        let request = Self::decode_body(header, &mut from)?;
        from.finish()?;
        Ok(request)
    }

    fn decode_body(header: Header, from: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(match header.kind {
            LEADER => from.u64().map(|_| Self::Leader)?,
            CLIENT => Self::Client { id: from.u64()? },
            OPEN => {
                let name = text(from)?;
                from.u64()?;
                from.text()?;
                Self::Open { name }
            }
            INTERRUPT => Self::Interrupt {
                database: small(from)?,
            },
            CONNECT => Self::Connect {
                id: from.u64()?,
                address: text(from)?,
            },
            ADD => Self::Add {
                id: from.u64()?,
                address: text(from)?,
            },
            ASSIGN => Self::Assign {
                id: from.u64()?,
                role: role(from)?,
            },
            REMOVE => Self::Remove { id: from.u64()? },
            DUMP => Self::Dump { name: text(from)? },
            CLUSTER => Self::Cluster {
                roles: from.u64()? != 0,
            },
            TRANSFER => Self::Transfer { id: from.u64()? },
            DESCRIBE => from.u64().map(|_| Self::Describe)?,
            WEIGHT => Self::Weight { weight: from.u64()? },
            _ => Self::decode_statement(header, from)?,
        })
    }

    fn decode_statement(
        Header { kind, schema, .. }: Header,
        from: &mut Decoder,
    ) -> Result<Self, DecodeError> {
        Ok(match kind {
            PREPARE => Self::Prepare {
                database: small(from)?,
                sql: text(from)?,
                tail: schema == 1,
            },
            EXECUTE => Self::Execute {
                database: from.u32()?,
                statement: from.u32()?,
                parameters: Cow::Owned(tuple::decode(schema, from)?),
            },
            QUERY => Self::Query {
                database: from.u32()?,
                statement: from.u32()?,
                parameters: Cow::Owned(tuple::decode(schema, from)?),
            },
            FINALIZE => Self::Finalize {
                database: from.u32()?,
                statement: from.u32()?,
            },
            EXECUTE_SQL => Self::ExecuteSql {
                database: small(from)?,
                sql: text(from)?,
                parameters: Cow::Owned(tuple::decode(schema, from)?),
            },
            QUERY_SQL => Self::QuerySql {
                database: small(from)?,
                sql: text(from)?,
                parameters: Cow::Owned(tuple::decode(schema, from)?),
            },
            other => return Err(DecodeError::UnknownMessage(other)),
        })
    }
}

fn text(from: &mut Decoder) -> Result<Cow<'static, str>, DecodeError> {
    from.text().map(Cow::Owned)
}

/// A number that is sent in eight bytes though four hold it.
fn small(from: &mut Decoder) -> Result<u32, DecodeError> {
    let number = from.u64()?;
    u32::try_from(number).map_err(|_| DecodeError::OutOfRange(number))
}

/// Without a role a node is to become a voter: what the request meant before there were others.
fn role(from: &mut Decoder) -> Result<Role, DecodeError> {
    if from.is_empty() {
        return Ok(Role::Voter);
    }
    from.u64().and_then(Role::from_number)
}
