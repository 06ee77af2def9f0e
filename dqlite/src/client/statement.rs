//! Statements: prepared ones and plain text, run for their effect or for their rows.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};

use super::rows::Rows;
use super::{Client, Error};
use crate::wire::{Request, Response, Value};

/// What a statement did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The row id that the connection inserted last.
    pub last_insert_id: i64,
    /// How many rows the last statement that changes any has changed.
    pub rows_affected: u64,
}

/// A prepared statement, good on the connection that prepared it and as long as its node leads.
#[derive(Debug, PartialEq, Eq)]
pub struct Statement {
    id: u32,
    parameters: u64,
    client: u64,
}

impl Statement {
    /// How many parameters the statement takes.
    #[must_use]
    pub fn parameters(&self) -> u64 {
        self.parameters
    }
}

/// A number that no other client has.
pub(super) fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Client {
    /// Compiles one statement.
    pub async fn prepare(&mut self, sql: &str) -> Result<Statement, Error> {
        let request = Request::Prepare {
            database: self.database()?,
            sql: Cow::Borrowed(sql),
            tail: false,
        };
        match self.ask(&request).await? {
            Response::Statement { id, parameters, .. } => Ok(Statement {
                id,
                parameters,
                client: self.number,
            }),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Runs a prepared statement that gives no rows.
    pub async fn execute(&mut self, statement: &Statement, parameters: &[Value]) -> Result<Outcome, Error> {
        self.check(statement, parameters)?;
        let request = Request::Execute {
            database: self.database()?,
            statement: statement.id,
            parameters: Cow::Borrowed(parameters),
        };
        self.run(&request).await
    }

    /// Runs a prepared statement that gives rows.
    pub async fn query(&mut self, statement: &Statement, parameters: &[Value]) -> Result<Rows<'_>, Error> {
        self.check(statement, parameters)?;
        let request = Request::Query {
            database: self.database()?,
            statement: statement.id,
            parameters: Cow::Borrowed(parameters),
        };
        self.rows(&request).await
    }

    /// Gives a prepared statement up.
    pub async fn finalize(&mut self, statement: Statement) -> Result<(), Error> {
        self.check_owner(&statement)?;
        let request = Request::Finalize {
            database: self.database()?,
            statement: statement.id,
        };
        self.ask_for_nothing(&request).await
    }

    /// Runs statements that give no rows, one after another; the parameters are used up from left to
    /// right. Each commits by itself, except between BEGIN and COMMIT.
    ///
    /// When one fails, those after it are not run and a transaction that was begun stays open: roll it
    /// back, or give the connection up.
    pub async fn execute_sql(&mut self, sql: &str, parameters: &[Value]) -> Result<Outcome, Error> {
        let request = Request::ExecuteSql {
            database: self.database()?,
            sql: Cow::Borrowed(sql),
            parameters: Cow::Borrowed(parameters),
        };
        self.run(&request).await
    }

    /// Runs one statement that gives rows. Parameters that are missing are NULL.
    pub async fn query_sql(&mut self, sql: &str, parameters: &[Value]) -> Result<Rows<'_>, Error> {
        let request = Request::QuerySql {
            database: self.database()?,
            sql: Cow::Borrowed(sql),
            parameters: Cow::Borrowed(parameters),
        };
        self.rows(&request).await
    }

    async fn run(&mut self, request: &Request<'_>) -> Result<Outcome, Error> {
        match self.ask(request).await? {
            Response::Result {
                last_insert_id,
                rows_affected,
            } => Ok(Outcome {
                last_insert_id: last_insert_id.cast_signed(),
                rows_affected,
            }),
            other => Err(self.unexpected(&other)),
        }
    }

    async fn rows(&mut self, request: &Request<'_>) -> Result<Rows<'_>, Error> {
        match self.ask(request).await? {
            Response::Rows(page) => Ok(Rows::begin(self, page)),
            other => Err(self.unexpected(&other)),
        }
    }

    pub(super) async fn ask_for_nothing(&mut self, request: &Request<'_>) -> Result<(), Error> {
        match self.ask(request).await? {
            Response::Empty => Ok(()),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Nodes take missing parameters for NULL and drop those that are too many.
    fn check(&self, statement: &Statement, parameters: &[Value]) -> Result<(), Error> {
        self.check_owner(statement)?;
        let (wanted, given) = (statement.parameters, parameters.len());
        if wanted == given as u64 {
            Ok(())
        } else {
            Err(Error::Misuse(format!(
                "{given} parameters for a statement that takes {wanted}"
            )))
        }
    }

    /// The same number is another statement on another connection.
    fn check_owner(&self, statement: &Statement) -> Result<(), Error> {
        if statement.client == self.number {
            Ok(())
        } else {
            Err(Error::Misuse("a statement of another connection".to_owned()))
        }
    }
}
