//! The writing side of the shared log, under one claim.

use dqlite::client::Error;
use model::{Effect, Event, Position};

use super::fault::{append_error, fenced};
use super::insert::{Expected, insert, only_events};
use super::kept::Kept;
use super::script::Script;
use super::session::{Prepared, Rest, Session};
use super::{DqliteOptions, row};
use crate::{AppendError, Appending, Claim, Journal, SharedJournal};

/// Appends while its claim holds. Ends for good with the first append that finds it broken.
pub(super) struct DqliteJournal {
    session: Session,
    /// For who does not block; made when it is needed.
    shared: Option<Prepared>,
    expected: Expected,
    options: DqliteOptions,
    ended: Option<String>,
}

impl DqliteJournal {
    /// A writer that appends over this connection, to the node that leads.
    pub(super) fn begin(
        mut session: Session,
        claim: &Claim,
        options: &DqliteOptions,
    ) -> Result<Self, AppendError> {
        let newest = session.run(async |log| newest_under(log, claim.epoch).await)?;
        let expected = Expected {
            epoch: claim.epoch,
            newest,
        };
        Ok(Self {
            session,
            shared: None,
            expected,
            options: options.clone(),
            ended: None,
        })
    }

    /// An append that failed in a way that ends the writer is its last.
    fn refuse_if_ended(&self) -> Result<(), AppendError> {
        let ended = |reason| AppendError::NotLeader(format!("this writer has ended: {reason}"));
        self.ended.as_ref().map_or(Ok(()), |reason| Err(ended(reason)))
    }

    async fn append_over_shared(&mut self, effects: &[Effect]) -> Result<(), AppendError> {
        let mut log = match self.shared.take() {
            Some(log) => log,
            None => Prepared::open(&self.options.node, self.options.timeout)
                .await
                .map_err(append_error)?,
        };
        let stored = store(&mut log, effects, self.expected, &self.options).await;
        self.shared = Some(log);
        stored
    }

    /// Follows up on an append: what it stored is expected of the next one.
    fn conclude(&mut self, effects: &[Effect], stored: Result<(), AppendError>) -> Result<(), AppendError> {
        stored.map_err(|error| self.note(error))?;
        if let Some(newest) = effects.iter().filter_map(position).max() {
            self.expected.newest = newest.max(self.expected.newest);
            self.options.horizon.advance(newest);
        }
        Ok(())
    }

    /// Remembers an error after which nothing may be appended any more.
    fn note(&mut self, error: AppendError) -> AppendError {
        if let AppendError::NotLeader(_) | AppendError::Lost(_) = error {
            self.ended = Some(error.to_string());
        }
        error
    }
}

/// The last row of a log that is still under this epoch.
async fn newest_under(log: &mut Prepared, epoch: i64) -> Result<Position, AppendError> {
    let select = "SELECT epoch, coalesce((SELECT max(position) FROM log), 0) FROM fence";
    let row = log
        .query_row(Kept::Text(select), &[])
        .await
        .map_err(append_error)?;
    match row::integers(row) {
        Ok([found, newest]) if found == epoch => Ok(Position(newest)),
        Ok(_) => Err(fenced()),
        Err(fault) => Err(AppendError::Failed(fault.to_string())),
    }
}

impl Journal for DqliteJournal {
    fn append(&mut self, effects: &[Effect]) -> Result<(), AppendError> {
        self.refuse_if_ended()?;
        if effects.is_empty() {
            return Ok(());
        }
        let (expected, options) = (self.expected, &self.options);
        let stored = self
            .session
            .run(async |log| store(log, effects, expected, options).await);
        self.conclude(effects, stored)
    }

    /// There is nothing to do: pages that are free serve for rows to come, and the database is in memory.
    fn upkeep(&mut self) -> Result<bool, AppendError> {
        Ok(false)
    }
}

impl SharedJournal for DqliteJournal {
    fn append_shared<'a>(&'a mut self, effects: &'a [Effect]) -> Appending<'a> {
        Box::pin(async {
            self.refuse_if_ended()?;
            if effects.is_empty() {
                return Ok(());
            }
            let stored = self.append_over_shared(effects).await;
            self.conclude(effects, stored)
        })
    }
}

async fn store(
    log: &mut Prepared,
    effects: &[Effect],
    expected: Expected,
    options: &DqliteOptions,
) -> Result<(), AppendError> {
    match only_events(effects) {
        Some(events) => append_events(log, &events, expected).await,
        None => run(log, &Script::new(effects, expected, (options.clock)())).await,
    }
}

fn position(effect: &Effect) -> Option<Position> {
    match effect {
        Effect::Key(event) => Some(event.version.position),
        _ => None,
    }
}

async fn append_events(log: &mut Prepared, events: &[&Event], expected: Expected) -> Result<(), AppendError> {
    match insert(log, events, expected).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(fenced()),
        Err(error) => Err(append_error(error)),
    }
}

async fn run(log: &mut Prepared, script: &Script) -> Result<(), AppendError> {
    let mut rest = Rest::new();
    loop {
        let done = log.client.execute_sql(&script.sql, &script.parameters).await;
        let done = match done {
            Err(error) if error.leaves_connection() => roll_back(log, error).await,
            done => done.map(drop),
        };
        if let Some(done) = rest.after(done).await {
            return done.map_err(append_error);
        }
    }
}

/// Ends the transaction that a failed script may have left open. Returns why it failed, or why that cannot
/// be undone.
async fn roll_back(log: &mut Prepared, reason: Error) -> Result<(), Error> {
    match log.client.execute_sql("ROLLBACK", &[]).await {
        // An error that leaves the connection means that there was no transaction, or no leadership any more.
        Err(error) if !error.leaves_connection() => Err(Error::NotLeader(format!("{reason}; and {error}"))),
        _ => Err(reason),
    }
}
