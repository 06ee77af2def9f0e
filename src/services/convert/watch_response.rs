//! What a watch stream tells its client.

use actors::{CancelReason, WatchEvent, WatchResponse};
use bytes::Bytes;
use model::{Event, Revision};
use proto::etcdserverpb as pb;
use proto::etcdserverpb::ResponseHeader;
use proto::mvccpb;
use proto::mvccpb::event::EventType;

use super::key_value;

/// The revision that the header of this response carries: none if compaction ended the watch.
pub(in crate::services) fn header_of_watch(response: &WatchResponse) -> Revision {
    match response {
        WatchResponse::Canceled {
            reason: CancelReason::Compacted(_),
            ..
        } => Revision(0),
        WatchResponse::Created { revision, .. }
        | WatchResponse::Canceled { revision, .. }
        | WatchResponse::Events { revision, .. }
        | WatchResponse::Progress { revision, .. } => *revision,
    }
}

/// The response as clients see it.
pub(in crate::services) fn watch_response(
    header: Option<ResponseHeader>,
    response: WatchResponse,
) -> pb::WatchResponse {
    let empty = pb::WatchResponse {
        header,
        ..Default::default()
    };
    match response {
        WatchResponse::Created { watch_id, .. } => pb::WatchResponse {
            watch_id,
            created: true,
            ..empty
        },
        WatchResponse::Progress { watch_id, .. } => pb::WatchResponse { watch_id, ..empty },
        WatchResponse::Events { watch_id, events, .. } => pb::WatchResponse {
            watch_id,
            events: events.iter().map(watch_event).collect(),
            ..empty
        },
        WatchResponse::Canceled { watch_id, reason, .. } => canceled(watch_id, reason, empty),
    }
}

fn canceled(watch_id: i64, reason: CancelReason, empty: pb::WatchResponse) -> pb::WatchResponse {
    let canceled = pb::WatchResponse {
        watch_id,
        canceled: true,
        ..empty
    };
    match reason {
        CancelReason::Requested => canceled,
        CancelReason::Compacted(revision) => pb::WatchResponse {
            compact_revision: revision.0,
            ..canceled
        },
        CancelReason::Refused(cancel_reason) => pb::WatchResponse {
            created: true,
            cancel_reason,
            ..canceled
        },
    }
}

fn watch_event(watched: &WatchEvent) -> mvccpb::Event {
    let event = &watched.event;
    let kind = if event.is_delete() {
        EventType::Delete
    } else {
        EventType::Put
    };
    mvccpb::Event {
        r#type: kind as i32,
        kv: Some(if event.is_delete() {
            tombstone(event)
        } else {
            pair(event)
        }),
        prev_kv: watched.prev_kv.clone().map(key_value),
    }
}

/// A delete tells the key and its revision, and nothing else.
fn tombstone(event: &Event) -> mvccpb::KeyValue {
    mvccpb::KeyValue {
        key: event.key.clone(),
        mod_revision: event.version.mod_revision.0,
        value: Bytes::new(),
        ..Default::default()
    }
}

fn pair(event: &Event) -> mvccpb::KeyValue {
    mvccpb::KeyValue {
        key: event.key.clone(),
        create_revision: event.version.create_revision.0,
        mod_revision: event.version.mod_revision.0,
        version: event.version.version,
        value: event.value.clone(),
        lease: event.version.lease.0,
    }
}

#[cfg(test)]
mod tests {
    use model::{LeaseId, Position, Version};

    use super::*;

    const REVISION: Revision = Revision(12);

    fn wire(response: WatchResponse) -> pb::WatchResponse {
        let header = ResponseHeader {
            revision: header_of_watch(&response).0,
            ..Default::default()
        };
        watch_response(Some(header), response)
    }

    fn canceled_for(reason: CancelReason, watch_id: i64) -> pb::WatchResponse {
        wire(WatchResponse::Canceled {
            watch_id,
            revision: REVISION,
            reason,
        })
    }

    fn header_revision(response: &pb::WatchResponse) -> Option<i64> {
        response.header.as_ref().map(|header| header.revision)
    }

    #[test]
    fn a_cancel_on_request_has_no_reason() {
        let response = canceled_for(CancelReason::Requested, 4);
        assert!(response.canceled && !response.created && response.cancel_reason.is_empty());
        assert_eq!((response.watch_id, header_revision(&response)), (4, Some(12)));
    }

    #[test]
    fn a_cancel_by_compaction_has_a_compact_revision_and_no_header_revision() {
        let response = canceled_for(CancelReason::Compacted(Revision(9)), 4);
        assert!(response.canceled && !response.created && response.cancel_reason.is_empty());
        assert_eq!(
            (response.compact_revision, header_revision(&response)),
            (9, Some(0))
        );
    }

    #[test]
    fn a_refused_watch_is_created_and_canceled_with_a_reason() {
        let response = canceled_for(CancelReason::Refused("mvcc: watcher range is empty".into()), -1);
        assert!(response.canceled && response.created);
        assert_eq!(response.cancel_reason, "mvcc: watcher range is empty");
    }

    #[test]
    fn progress_is_a_revision_and_nothing_else() {
        let response = wire(WatchResponse::Progress {
            watch_id: -1,
            revision: REVISION,
        });
        let header = Some(ResponseHeader {
            revision: 12,
            ..Default::default()
        });
        assert_eq!(
            response,
            pb::WatchResponse {
                header,
                watch_id: -1,
                ..Default::default()
            }
        );
    }

    #[test]
    fn a_delete_tells_key_and_revision_only() {
        let version = Version {
            position: Position(3),
            mod_revision: REVISION,
            ..Version::default()
        };
        let event = Event {
            key: Bytes::from_static(b"k"),
            value: Bytes::new(),
            version,
        };
        let events = [WatchEvent { event, prev_kv: None }].into();
        let response = wire(WatchResponse::Events {
            watch_id: 0,
            revision: REVISION,
            fragment: false,
            events,
        });
        let kv = mvccpb::KeyValue {
            key: Bytes::from_static(b"k"),
            mod_revision: 12,
            ..Default::default()
        };
        assert_eq!(
            response.events,
            [mvccpb::Event {
                r#type: 1,
                kv: Some(kv),
                prev_kv: None
            }]
        );
    }

    #[test]
    fn a_put_tells_everything() {
        let version = Version {
            position: Position(3),
            mod_revision: REVISION,
            create_revision: Revision(10),
            version: 2,
            lease: LeaseId(7),
        };
        let event = Event {
            key: Bytes::from_static(b"k"),
            value: Bytes::from_static(b"v"),
            version,
        };
        let kv = watch_event(&WatchEvent { event, prev_kv: None })
            .kv
            .expect("a pair");
        assert_eq!(
            (kv.create_revision, kv.version, kv.lease, kv.value.as_ref()),
            (10, 2, 7, b"v".as_slice())
        );
    }
}
