//! A client of the wire protocol: one connection to one node, and the way to whichever node leads.
//!
//! A [`Client`] has one request in flight, which is all that the protocol can do. Its calls may be given
//! up: a call whose future is dropped closes the connection, since an answer to it would be taken for
//! the answer to the next one. Every call has a time limit. Nothing is ever tried again by itself: see
//! [`Error`] for what a caller may do.
//!
//! ```no_run
//! # async fn example() -> Result<(), dqlite::client::Error> {
//! use dqlite::client::{Client, Options, PlainConnector};
//!
//! let mut client = Client::connect(&PlainConnector, "127.0.0.1:9001", Options::default()).await?;
//! client.open("ship").await?;
//! client.execute_sql("CREATE TABLE IF NOT EXISTS log (knots INTEGER) STRICT", &[]).await?;
//! let insert = client.prepare("INSERT INTO log VALUES (?)").await?;
//! client.execute(&insert, &[12.into()]).await?;
//! let mut rows = client.query_sql("SELECT knots FROM log", &[]).await?;
//! while let Some(row) = rows.next().await? {
//!     println!("{row:?}");
//! }
//! # Ok(())
//! # }
//! ```

mod administration;
mod connection;
mod connector;
mod error;
pub mod leader;
mod rows;
mod statement;

use std::time::Duration;

use tokio::time::timeout;

use crate::wire::{DatabaseFile, Request, Response};
use connection::{Connection, Limits, late};

pub use administration::Metadata;
pub use connector::{BoxedStream, Connecting, Connector, PlainConnector, Stream};
pub use error::Error;
pub use rows::Rows;
pub use statement::{Outcome, Statement};

/// How a client behaves.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long a call may take from the first byte sent to the last one read, and to connect; of rows,
    /// each message.
    pub timeout: Duration,
    /// How long a response may be, bytes; of rows, each message. A copy of a database has a limit of its own.
    pub response_limit: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            response_limit: 64 << 20,
        }
    }
}

/// A client with its connection.
pub struct Client {
    /// Taken out by a call, put back when the call was answered.
    connection: Option<Connection>,
    /// The number of the open database.
    database: Option<u32>,
    /// Tells the statements of this connection from those of others.
    number: u64,
    options: Options,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Client")
            .field("usable", &self.is_usable())
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Connects to the node at this address.
    pub async fn connect(connector: &dyn Connector, address: &str, options: Options) -> Result<Self, Error> {
        let connecting = async {
            let stream = connector.connect(address).await?;
            Connection::open(stream).await
        };
        let connection = timeout(options.timeout, connecting)
            .await
            .map_err(|_| late(options.timeout))??;
        Ok(Self::over(connection, options))
    }

    /// Speaks over a stream that is connected already.
    pub async fn start(stream: BoxedStream, options: Options) -> Result<Self, Error> {
        let opening = timeout(options.timeout, Connection::open(stream));
        let connection = opening.await.map_err(|_| late(options.timeout))??;
        Ok(Self::over(connection, options))
    }

    fn over(connection: Connection, options: Options) -> Self {
        Self {
            connection: Some(connection),
            database: None,
            number: statement::next_number(),
            options,
        }
    }

    /// Whether the connection is still there, as far as the calls so far can tell.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.connection.is_some()
    }

    /// Sets how long every call from now on may take.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.options.timeout = timeout;
    }

    /// Opens a database, which is made if there is none. A connection can open one, once.
    pub async fn open(&mut self, name: &str) -> Result<(), Error> {
        let request = Request::Open { name: name.into() };
        match self.ask(&request).await? {
            Response::Database { id } => {
                self.database = Some(id);
                Ok(())
            }
            other => Err(self.unexpected(&other)),
        }
    }

    /// Copies a database as this node has it, leader or not: the main file, and beside it a write-ahead
    /// log that is empty in the versions that this crate is for. `limit` is for the whole copy, bytes.
    ///
    /// The node copies it in one piece on the thread that keeps its cluster alive.
    pub async fn dump(&mut self, name: &str, limit: u64) -> Result<Vec<DatabaseFile>, Error> {
        let request = Request::Dump { name: name.into() };
        match self.ask_for(&request, limit).await? {
            Response::Files(files) => Ok(files),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Sends a request and takes the response, whatever it is but a failure.
    async fn ask(&mut self, request: &Request<'_>) -> Result<Response, Error> {
        self.ask_for(request, self.options.response_limit).await
    }

    async fn ask_for(&mut self, request: &Request<'_>, length: u64) -> Result<Response, Error> {
        self.connection
            .as_mut()
            .ok_or_else(Error::closed)?
            .load(request)?;
        // From here on this future owns the connection: whatever ends it early closes the connection.
        let mut connection = self.connection.take().ok_or_else(Error::closed)?;
        let time = self.options.timeout;
        let response = connection.exchange(Limits { time, length }).await?;
        let risk = connection.risk();
        self.connection = Some(connection);
        match response {
            Response::Failure { code, message } => Err(Error::from_failure(code, message, risk)),
            response => Ok(response),
        }
    }

    /// The node answered something else: nothing that it says can be relied on.
    fn unexpected(&mut self, response: &Response) -> Error {
        match self.connection.take() {
            Some(connection) => connection.risk().unexpected(response),
            None => Error::closed(),
        }
    }

    fn database(&self) -> Result<u32, Error> {
        let unopened = || Error::Misuse("no database is open on this connection".to_owned());
        self.database.ok_or_else(unopened)
    }
}
