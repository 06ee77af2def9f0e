//! The tables of the shared log: those of a log on one machine, and the fence.

use dqlite::client::{Client, Error};
use dqlite::wire::Value;

use super::fault::{Fault, append_error};
use super::{SchemaRule, row};
use crate::AppendError;
use crate::sqlite::schema::{APPLICATION_ID, MIGRATIONS, REHEARSAL};

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

/// Makes the tables, or brings them as far as the rule allows, in the transaction that is open. Returns the version that
/// they have then.
///
/// Members have their identity from their nodes; the log only has the cluster's.
pub(super) async fn migrate(
    client: &mut Client,
    cluster_id: u64,
    rule: &SchemaRule,
) -> Result<u32, AppendError> {
    let found = user_version(client).await?;
    if found == 0 {
        refuse_foreign(client).await?;
    } else {
        rule.see(found).map_err(AppendError::Failed)?;
    }
    let target = rule.target(found);
    if found < target {
        let mut script: String = (found..target).map(step).collect();
        script += &format!("PRAGMA user_version = {target}; PRAGMA application_id = {APPLICATION_ID};");
        if found == 0 {
            script += &set_cluster(cluster_id);
        }
        client.execute_sql(&script, &[]).await.map_err(append_error)?;
        tracing::info!(found, target, "the log gets another schema version");
    }
    Ok(target)
}

/// What takes the log from this version to the next.
fn step(from: u32) -> String {
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    match (MIGRATIONS.get(from), ADDITIONS.get(from)) {
        (Some(migration), Some(addition)) => [*migration, *addition].concat(),
        _ => REHEARSAL.to_owned(),
    }
}

fn set_cluster(cluster_id: u64) -> String {
    match cluster_id {
        // Zero means "no identity"; the lowest bit forces it away.
        0 => "UPDATE meta SET cluster_id = random() | 1;".to_owned(),
        known => format!("UPDATE meta SET cluster_id = {};", known.cast_signed()),
    }
}

async fn user_version(client: &mut Client) -> Result<u32, AppendError> {
    let [version] = numbers(client, "PRAGMA user_version").await?;
    u32::try_from(version).map_err(|_| AppendError::Failed(format!("the log has schema version {version}")))
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
