//! Rows as they come, one message at a time in memory.

use super::connection::{Connection, Limits};
use super::{Client, Error};
use crate::wire::{Page, Response, Value};

/// The rows of a query.
///
/// The node sends on only as fast as these are taken, and holds the state of the database that they
/// show meanwhile: take them soon. Dropping them before the end closes the connection, which is the
/// only way to stop a query.
pub struct Rows<'a> {
    client: &'a mut Client,
    /// While more messages are to come.
    connection: Option<Connection>,
    columns: Vec<String>,
    page: std::vec::IntoIter<Vec<Value>>,
}

impl<'a> Rows<'a> {
    pub(super) fn begin(client: &'a mut Client, page: Page) -> Self {
        let connection = if page.more { client.connection.take() } else { None };
        Self {
            client,
            connection,
            columns: page.columns,
            page: page.rows.into_iter(),
        }
    }

    /// The names of the columns.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The next row.
    pub async fn next(&mut self) -> Result<Option<Vec<Value>>, Error> {
        loop {
            if let Some(row) = self.page.next() {
                return Ok(Some(row));
            }
            if !self.next_page().await? {
                return Ok(None);
            }
        }
    }

    /// All rows that are left, in memory.
    pub async fn collect(mut self) -> Result<Vec<Vec<Value>>, Error> {
        let mut all: Vec<_> = self.page.by_ref().collect();
        while self.next_page().await? {
            all.extend(self.page.by_ref());
        }
        Ok(all)
    }

    /// The first row, when there can be only one.
    pub async fn first(mut self) -> Result<Option<Vec<Value>>, Error> {
        let first = self.next().await?;
        while self.next_page().await? {}
        Ok(first)
    }

    /// Returns whether there was another message.
    async fn next_page(&mut self) -> Result<bool, Error> {
        let Some(mut connection) = self.connection.take() else {
            return Ok(false);
        };
        let limits = Limits {
            time: self.client.options.timeout,
            length: self.client.options.response_limit,
        };
        match connection.more(limits).await? {
            Response::Rows(page) if page.columns == self.columns => {
                let home = if page.more {
                    &mut self.connection
                } else {
                    &mut self.client.connection
                };
                *home = Some(connection);
                self.page = page.rows.into_iter();
                Ok(true)
            }
            Response::Failure { code, message } => {
                let risk = connection.risk();
                self.client.connection = Some(connection);
                Err(Error::from_failure(code, message, risk))
            }
            other => Err(connection.risk().unexpected(&other)),
        }
    }
}
