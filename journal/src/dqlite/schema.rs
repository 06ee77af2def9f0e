//! The tables of the shared log: those of a log on one machine, and the fence.

use dqlite::client::{Client, Error};
use dqlite::wire::Value;

use super::fault::{Fault, append_error};
use super::row;
use crate::AppendError;
use crate::sqlite::schema::{APPLICATION_ID, MIGRATIONS};

/// What the shared log has beside the tables of a log on one machine. Entry n belongs to migration n.
///
/// `epoch` is the leadership that may append: whoever claims the log raises it, and every append is
/// conditional on it. `lease_clock_ms` is what the lease clock showed when leases were last stored.
const ADDITIONS: [&str; MIGRATIONS.len()] = [
    // 1: the first.
    "CREATE TABLE fence (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        epoch INTEGER NOT NULL,
        lease_clock_ms INTEGER NOT NULL
     ) STRICT;
     INSERT INTO fence VALUES (1, 0, 0);",
];

/// Makes the tables, or brings them to the newest version, in the transaction that is open.
///
/// Members have their identity from their nodes; the log only has the cluster's.
pub(super) async fn migrate(client: &mut Client, cluster_id: u64) -> Result<(), AppendError> {
    let version = user_version(client).await?;
    let known = MIGRATIONS.len();
    if version > known {
        return Err(AppendError::Failed(format!(
            "the log has schema version {version}, this program knows versions up to {known}"
        )));
    }
    if version == 0 {
        refuse_foreign(client).await?;
    }
    if version < known {
        let steps = MIGRATIONS.iter().zip(ADDITIONS).skip(version);
        let mut script: String = steps
            .flat_map(|(migration, addition)| [*migration, addition])
            .collect();
        script += &format!("PRAGMA user_version = {known}; PRAGMA application_id = {APPLICATION_ID};");
        if version == 0 {
            script += &set_cluster(cluster_id);
        }
        client.execute_sql(&script, &[]).await.map_err(append_error)?;
    }
    Ok(())
}

fn set_cluster(cluster_id: u64) -> String {
    match cluster_id {
        // Zero means "no identity"; the lowest bit forces it away.
        0 => "UPDATE meta SET cluster_id = random() | 1;".to_owned(),
        known => format!("UPDATE meta SET cluster_id = {};", known.cast_signed()),
    }
}

async fn user_version(client: &mut Client) -> Result<usize, AppendError> {
    let [version] = numbers(client, "PRAGMA user_version").await?;
    usize::try_from(version).map_err(|_| AppendError::Failed(format!("the log has schema version {version}")))
}

/// Refuses a database that another program made.
async fn refuse_foreign(client: &mut Client) -> Result<(), AppendError> {
    match numbers(client, "SELECT count(*) FROM sqlite_schema").await? {
        [0] => Ok(()),
        [tables] => Err(AppendError::Failed(format!(
            "the database has {tables} tables that do not belong to Taffrail"
        ))),
    }
}

/// The one row of integers that a query gives.
pub(super) async fn numbers<const N: usize>(client: &mut Client, sql: &str) -> Result<[i64; N], AppendError> {
    let first = async { client.query_sql(sql, &[]).await?.first().await };
    let first = first.await.map_err(append_error)?.unwrap_or_default();
    row::integers(first).map_err(|fault| AppendError::Failed(fault.to_string()))
}

/// All rows that a query gives, each read by `read`.
pub(super) async fn all<T>(
    client: &mut Client,
    sql: &str,
    read: impl Fn(Vec<Value>) -> Result<T, Fault>,
) -> Result<Vec<T>, AppendError> {
    let rows = async { client.query_sql(sql, &[]).await?.collect().await };
    let rows: Result<_, Error> = rows.await;
    let read: Result<Vec<_>, Fault> = rows.map_err(append_error)?.into_iter().map(read).collect();
    read.map_err(|fault| AppendError::Failed(fault.to_string()))
}
