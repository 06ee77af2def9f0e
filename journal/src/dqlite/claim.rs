//! Taking the log over: one transaction that raises the epoch and tells what the log holds.

use dqlite::client::{Client, Error};
use model::{Position, Revision};

use super::fault::append_error;
use super::session::{Rest, Session};
use super::{SchemaRule, row, schema};
use crate::{AppendError, Claim};

/// A claim, and what else the transaction saw.
pub(super) struct Claimed {
    pub(super) claim: Claim,
    pub(super) cluster_id: u64,
    /// The last row of the log.
    pub(super) newest: Position,
}

/// Claims the log. When this ends with an error the connection must be given up, with what it left undone.
pub(super) fn claim(
    session: &mut Session,
    cluster_id: u64,
    rule: &SchemaRule,
) -> Result<Claimed, AppendError> {
    session.run(async |log| {
        begin(&mut log.client).await.map_err(append_error)?;
        let version = schema::migrate(&mut log.client, cluster_id, rule).await?;
        let claimed = fill(&mut log.client, cluster_id).await?;
        log.client
            .execute_sql("COMMIT", &[])
            .await
            .map_err(append_error)?;
        rule.see(version).map_err(AppendError::Failed)?;
        Ok(claimed)
    })
}

async fn begin(client: &mut Client) -> Result<(), Error> {
    let mut rest = Rest::new();
    loop {
        let begun = client.execute_sql("BEGIN IMMEDIATE", &[]).await;
        if let Some(begun) = rest.after(begun).await {
            return begun.map(drop);
        }
    }
}

async fn fill(client: &mut Client, wanted: u64) -> Result<Claimed, AppendError> {
    let raise = "UPDATE fence SET epoch = epoch + 1";
    client.execute_sql(raise, &[]).await.map_err(append_error)?;
    let [epoch, lease_clock_ms, compact_revision, cluster_id, newest] = schema::numbers(
        client,
        "SELECT epoch, lease_clock_ms, compact_revision, cluster_id,
            coalesce((SELECT max(position) FROM log), 0) FROM fence, meta",
    )
    .await?;
    let cluster_id = cluster_id.cast_unsigned();
    if wanted != 0 && cluster_id != wanted {
        return Err(AppendError::Failed(format!(
            "the log belongs to cluster {cluster_id:x}, this member to cluster {wanted:x}"
        )));
    }
    let claim = Claim {
        epoch,
        lease_clock_ms,
        compact_revision: Revision(compact_revision),
        leases: schema::all(client, "SELECT id, ttl, deadline_ms FROM lease", row::lease).await?,
        alarms: schema::all(client, "SELECT kind, member_id FROM alarm", row::alarm).await?,
    };
    Ok(Claimed {
        claim,
        cluster_id,
        newest: Position(newest),
    })
}
