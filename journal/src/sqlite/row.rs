//! Effects as rows, and rows as effects.

use bytes::Bytes;
use model::{Alarm, AlarmMember, Event, Lease, LeaseId, Position, Revision, Version};
use rusqlite::Row;

/// Reads a row of `SELECT position, revision, create_revision, version, lease, key, value`.
pub(super) fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    let version = version(row)?;
    Ok(Event {
        key: blob(row, 5)?,
        value: blob(row, 6)?,
        version,
    })
}

/// Reads the numbers of such a row.
pub(super) fn version(row: &Row<'_>) -> rusqlite::Result<Version> {
    Ok(Version {
        position: Position(row.get(0)?),
        mod_revision: Revision(row.get(1)?),
        create_revision: Revision(row.get(2)?),
        version: row.get(3)?,
        lease: LeaseId(row.get(4)?),
    })
}

pub(super) fn blob(row: &Row<'_>, column: usize) -> rusqlite::Result<Bytes> {
    Ok(Bytes::copy_from_slice(row.get_ref(column)?.as_blob()?))
}

/// Reads a row of `SELECT id, ttl, deadline_ms`.
pub(super) fn lease(row: &Row<'_>) -> rusqlite::Result<Lease> {
    Ok(Lease {
        id: LeaseId(row.get(0)?),
        ttl: row.get(1)?,
        deadline_ms: row.get(2)?,
    })
}

/// The columns `kind, member_id` of an alarm; kinds have etcd's own numbers.
pub(crate) fn alarm_columns(raised: AlarmMember) -> [i64; 2] {
    let kind = match raised.alarm {
        Alarm::NoSpace => 1,
        Alarm::Corrupt => 2,
    };
    [kind, raised.member_id.cast_signed()]
}

/// Reads a row of `SELECT kind, member_id`.
pub(super) fn alarm(row: &Row<'_>) -> rusqlite::Result<AlarmMember> {
    let alarm = match row.get(0)? {
        1 => Alarm::NoSpace,
        2 => Alarm::Corrupt,
        other => return Err(rusqlite::Error::IntegralValueOutOfRange(0, other)),
    };
    Ok(AlarmMember {
        alarm,
        member_id: row.get::<_, i64>(1)?.cast_unsigned(),
    })
}
