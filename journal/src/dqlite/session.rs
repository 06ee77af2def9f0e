//! A connection to a node for threads that may block, with the statements it has prepared.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use dqlite::client::{Client, Connector, Error, Options, Outcome, PlainConnector, Statement};
use dqlite::wire::Value;
use tokio::runtime::{Builder, Runtime};
use tokio::time::sleep;

use super::kept::Kept;

/// The name of the database that holds the log.
pub(super) const DATABASE: &str = "taffrail";

/// How often a statement is tried that something is in the way of.
const ATTEMPTS: u32 = 12;

/// The rest before it is tried again; twice as long each time. All together about four seconds.
const FIRST_REST: Duration = Duration::from_millis(1);

/// A connection whose calls block. Not to be used on a thread that drives asynchronous work.
pub(super) struct Session {
    // Dropped before the runtime that its stream belongs to.
    prepared: Prepared,
    runtime: OwnRuntime,
}

impl Session {
    /// Connects to a node that leads, and opens the log.
    pub(super) fn open(connector: &dyn Connector, address: &str, timeout: Duration) -> Result<Self, Error> {
        let mut session = Self::connect(connector, address, timeout)?;
        session.run(async |log| log.client.open(DATABASE).await)?;
        Ok(session)
    }

    /// Connects to a node, whether it leads or not.
    pub(super) fn connect(
        connector: &dyn Connector,
        address: &str,
        timeout: Duration,
    ) -> Result<Self, Error> {
        let runtime = OwnRuntime::start()?;
        // The node in this process is on an abstract socket, which no other connector needs to know.
        let connector = if address.starts_with('@') {
            &PlainConnector
        } else {
            connector
        };
        let prepared = runtime.block_on(Prepared::connect(connector, address, timeout))?;
        Ok(Self { prepared, runtime })
    }

    /// Does something with the connection, and waits for it.
    pub(super) fn run<T>(&mut self, call: impl AsyncFnOnce(&mut Prepared) -> T) -> T {
        self.runtime.block_on(call(&mut self.prepared))
    }
}

/// A client, and the statements that it will use again.
pub(super) struct Prepared {
    pub(super) client: Client,
    statements: HashMap<Kept, Statement>,
}

impl Prepared {
    async fn connect(connector: &dyn Connector, address: &str, timeout: Duration) -> Result<Self, Error> {
        let options = Options {
            timeout,
            ..Options::default()
        };
        Ok(Self {
            client: Client::connect(connector, address, options).await?,
            statements: HashMap::new(),
        })
    }

    /// Connects to the node in this process, which must lead, and opens the log.
    pub(super) async fn open(address: &str, timeout: Duration) -> Result<Self, Error> {
        let mut log = Self::connect(&PlainConnector, address, timeout).await?;
        log.client.open(DATABASE).await?;
        Ok(log)
    }

    /// Runs a statement that gives no rows and is kept prepared.
    pub(super) async fn execute(&mut self, statement: Kept, parameters: &[Value]) -> Result<Outcome, Error> {
        self.prepare(statement).await?;
        let mut rest = Rest::new();
        loop {
            let done = self
                .client
                .execute(&self.statements[&statement], parameters)
                .await;
            match rest.after(done).await {
                Some(done) => return done,
                None => continue,
            }
        }
    }

    /// All rows that a statement gives, which is kept prepared.
    pub(super) async fn query(
        &mut self,
        statement: Kept,
        parameters: &[Value],
    ) -> Result<Vec<Vec<Value>>, Error> {
        self.prepare(statement).await?;
        let mut rest = Rest::new();
        loop {
            let asked = self.client.query(&self.statements[&statement], parameters).await;
            let rows = match asked {
                Ok(rows) => rows.collect().await,
                Err(error) => Err(error),
            };
            match rest.after(rows).await {
                Some(rows) => return rows,
                None => continue,
            }
        }
    }

    /// The one row that a statement gives.
    pub(super) async fn query_row(
        &mut self,
        statement: Kept,
        parameters: &[Value],
    ) -> Result<Vec<Value>, Error> {
        let first = self.query(statement, parameters).await?.into_iter().next();
        first.ok_or_else(|| Error::Protocol(format!("no row from {}", statement.text())))
    }

    async fn prepare(&mut self, statement: Kept) -> Result<(), Error> {
        let mut rest = Rest::new();
        while !self.statements.contains_key(&statement) {
            let prepared = self.client.prepare(&statement.text()).await;
            if let Some(prepared) = rest.after(prepared).await {
                self.statements.insert(statement, prepared?);
            }
        }
        Ok(())
    }
}

/// The rests between attempts of a statement that is in somebody's way.
pub(super) struct Rest {
    next: Duration,
    left: u32,
}

impl Rest {
    pub(super) fn new() -> Self {
        Self {
            next: FIRST_REST,
            left: ATTEMPTS - 1,
        }
    }

    /// Gives an outcome back, or rests if there is to be another attempt.
    pub(super) async fn after<T>(&mut self, outcome: Result<T, Error>) -> Option<Result<T, Error>> {
        match outcome {
            Err(Error::Busy { .. }) if self.left > 0 => {
                sleep(self.next).await;
                self.next *= 2;
                self.left -= 1;
                None
            }
            outcome => Some(outcome),
        }
    }
}

/// A runtime that may be dropped anywhere: dropping one waits for its threads, which asynchronous code must not.
struct OwnRuntime(Option<Runtime>);

impl OwnRuntime {
    fn start() -> Result<Self, Error> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self(Some(runtime)))
    }
}

impl Deref for OwnRuntime {
    type Target = Runtime;

    fn deref(&self) -> &Runtime {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl DerefMut for OwnRuntime {
    fn deref_mut(&mut self) -> &mut Runtime {
        self.0.as_mut().expect("it is there until it is dropped")
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
