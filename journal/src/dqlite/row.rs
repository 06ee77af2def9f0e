//! Effects as values on the wire, and values as effects.

use bytes::Bytes;
use dqlite::wire::Value;
use model::{Alarm, AlarmMember, Event, Lease, LeaseId, Position, Revision, Version};

use super::fault::Fault;

/// The values of a row of the log, in the order of its columns.
pub(super) fn of_event(event: &Event) -> [Value; COLUMNS] {
    let version = &event.version;
    [
        Value::Integer(version.position.0),
        Value::Integer(version.mod_revision.0),
        Value::Integer(version.create_revision.0),
        Value::Integer(version.version),
        Value::Integer(version.lease.0),
        Value::Blob(event.key.clone()),
        Value::Blob(event.value.clone()),
    ]
}

/// Columns of the log.
pub(super) const COLUMNS: usize = 7;

/// Reads a row of `SELECT * FROM log`.
pub(super) fn event(row: Vec<Value>) -> Result<Event, Fault> {
    let [position, revision, create_revision, version, lease, key, value] = exactly(row)?;
    Ok(Event {
        key: blob(key)?,
        value: blob(value)?,
        version: Version {
            position: Position(integer(position)?),
            mod_revision: Revision(integer(revision)?),
            create_revision: Revision(integer(create_revision)?),
            version: integer(version)?,
            lease: LeaseId(integer(lease)?),
        },
    })
}

/// Reads a row of `SELECT id, ttl, deadline_ms`.
pub(super) fn lease(row: Vec<Value>) -> Result<Lease, Fault> {
    let [id, ttl, deadline_ms] = integers(row)?;
    let id = LeaseId(id);
    Ok(Lease { id, ttl, deadline_ms })
}

/// Reads a row of `SELECT kind, member_id`.
pub(super) fn alarm(row: Vec<Value>) -> Result<AlarmMember, Fault> {
    let [kind, member_id] = integers(row)?;
    let alarm = match kind {
        1 => Alarm::NoSpace,
        2 => Alarm::Corrupt,
        other => return Err(Fault::Corrupt(format!("an alarm of kind {other}"))),
    };
    Ok(AlarmMember {
        alarm,
        member_id: member_id.cast_unsigned(),
    })
}

/// Reads a row of so many integers.
pub(super) fn integers<const N: usize>(row: Vec<Value>) -> Result<[i64; N], Fault> {
    let mut numbers = [0; N];
    for (number, value) in numbers.iter_mut().zip(exactly::<N>(row)?) {
        *number = integer(value)?;
    }
    Ok(numbers)
}

pub(super) fn exactly<const N: usize>(row: Vec<Value>) -> Result<[Value; N], Fault> {
    row.try_into()
        .map_err(|row: Vec<Value>| Fault::Corrupt(format!("{} columns where there should be {N}", row.len())))
}

pub(super) fn integer(value: Value) -> Result<i64, Fault> {
    match value {
        Value::Integer(number) => Ok(number),
        other => Err(Fault::Corrupt(format!("{other:?} where an integer should be"))),
    }
}

/// Copies, so that a small value does not keep the whole message in memory that it came in.
pub(super) fn blob(value: Value) -> Result<Bytes, Fault> {
    match value {
        Value::Blob(bytes) => Ok(Bytes::copy_from_slice(&bytes)),
        other => Err(Fault::Corrupt(format!("{other:?} where a blob should be"))),
    }
}
