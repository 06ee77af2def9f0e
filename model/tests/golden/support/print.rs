//! Answers and effects as text.

use bytes::Bytes;
use model::{
    AlarmMember, DeleteRangeReply, Effect, KeyValue, OperationReply, RangeReply, Reply, TxnReply, Value,
};

pub fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "\\0")
}

pub fn pair(pair: &KeyValue) -> String {
    let value = match &pair.value {
        Value::Resident(value) => text(value),
        Value::Stored(position) => format!("<row {}>", position.0),
    };
    let version = &pair.version;
    let lease = if version.lease.0 == 0 {
        String::new()
    } else {
        format!(" lease {}", version.lease.0)
    };
    format!(
        "{} = {value:?} (create {} mod {} version {}{lease})",
        text(&pair.key),
        version.create_revision.0,
        version.mod_revision.0,
        version.version
    )
}

pub fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Key(event) if event.is_delete() => {
            format!(
                "stores delete {} @{}",
                text(&event.key),
                event.version.mod_revision.0
            )
        }
        Effect::Key(event) => format!(
            "stores put {} @{}",
            text(&event.key),
            event.version.mod_revision.0
        ),
        Effect::LeaseGranted(lease) => format!("stores lease {} until {} ms", lease.id.0, lease.deadline_ms),
        Effect::LeaseRenewed(lease) => format!(
            "stores lease {} renewed until {} ms",
            lease.id.0, lease.deadline_ms
        ),
        Effect::LeaseRevoked(id) => format!("stores lease {} revoked", id.0),
        Effect::Compacted(revision) => format!("stores compacted {}", revision.0),
        Effect::Scrubbed(positions) => format!("deletes {} rows", positions.len()),
        Effect::AlarmRaised(alarm) => format!("stores {} raised", alarm_of(*alarm)),
        Effect::AlarmCleared(alarm) => format!("stores {} cleared", alarm_of(*alarm)),
    }
}

fn alarm_of(raised: AlarmMember) -> String {
    format!("alarm {:?} of {}", raised.alarm, raised.member_id)
}

pub fn reply(reply: &Reply) -> Vec<String> {
    match reply {
        Reply::Put(put) => put
            .prev_kv
            .iter()
            .map(|before| format!("before: {}", pair(before)))
            .collect(),
        Reply::DeleteRange(delete) => deleted(delete),
        Reply::Txn(answer) => txn(answer, ""),
        Reply::LeaseGrant(grant) => vec![format!("lease {} for {} s", grant.id.0, grant.ttl)],
        Reply::Alarm(changed) => vec![format!("changed: {changed}")],
        Reply::Done => vec!["done".into()],
    }
}

fn deleted(delete: &DeleteRangeReply) -> Vec<String> {
    let mut lines = vec![format!("deleted {}", delete.deleted)];
    lines.extend(
        delete
            .prev_kvs
            .iter()
            .map(|before| format!("before: {}", pair(before))),
    );
    lines
}

pub fn range(range: &RangeReply) -> Vec<String> {
    let more = if range.more { ", more" } else { "" };
    let mut lines = vec![format!(
        "{} of {}{more} @{}",
        range.kvs.len(),
        range.count,
        range.revision.0
    )];
    lines.extend(range.kvs.iter().map(pair));
    lines
}

fn txn(answer: &TxnReply, indent: &str) -> Vec<String> {
    let mut lines = vec![format!(
        "{indent}{}",
        if answer.succeeded { "succeeded" } else { "failed" }
    )];
    for response in &answer.responses {
        let inner = match response {
            OperationReply::Range(answer) => prefixed("range ", range(answer)),
            OperationReply::Put(revision, put) => {
                let mut lines = vec![format!("put @{}", revision.0)];
                lines.extend(
                    put.prev_kv
                        .iter()
                        .map(|before| format!("before: {}", pair(before))),
                );
                lines
            }
            OperationReply::DeleteRange(revision, delete) => {
                prefixed(&format!("delete @{} ", revision.0), deleted(delete))
            }
            OperationReply::Txn(nested) => prefixed("txn ", txn(nested, "")),
        };
        lines.extend(inner.into_iter().map(|line| format!("{indent}  {line}")));
    }
    lines
}

fn prefixed(prefix: &str, mut lines: Vec<String>) -> Vec<String> {
    if let Some(first) = lines.first_mut() {
        first.insert_str(0, prefix);
    }
    lines
}
