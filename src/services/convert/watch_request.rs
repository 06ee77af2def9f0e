//! What a client says on a watch stream.

use actors::{WatchCreate, WatchRequest};
use bytes::Bytes;
use model::{KeyRange, Revision};
use proto::etcdserverpb as pb;
use proto::etcdserverpb::watch_create_request::FilterType;
use proto::etcdserverpb::watch_request::RequestUnion;

/// The request, or nothing for one that says nothing: etcd ignores it.
pub(in crate::services) fn watch_request(request: pb::WatchRequest) -> Option<WatchRequest> {
    Some(match request.request_union? {
        RequestUnion::CreateRequest(create) => WatchRequest::Create(watch_create(create)),
        RequestUnion::CancelRequest(cancel) => WatchRequest::Cancel(cancel.watch_id),
        RequestUnion::ProgressRequest(_) => WatchRequest::Progress,
    })
}

fn watch_create(request: pb::WatchCreateRequest) -> WatchCreate {
    let filters = |kind: FilterType| request.filters.contains(&(kind as i32));
    WatchCreate {
        watch_id: request.watch_id,
        start_revision: Revision(request.start_revision),
        prev_kv: request.prev_kv,
        progress_notify: request.progress_notify,
        fragment: request.fragment,
        no_put: filters(FilterType::Noput),
        no_delete: filters(FilterType::Nodelete),
        range: KeyRange::new(first_key(request.key), request.range_end),
    }
}

/// No key means the smallest there is.
fn first_key(key: Bytes) -> Bytes {
    if key.is_empty() {
        Bytes::from_static(&[0])
    } else {
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(key: &'static [u8], range_end: &'static [u8], filters: Vec<i32>) -> WatchCreate {
        let (key, range_end) = (Bytes::from_static(key), Bytes::from_static(range_end));
        watch_create(pb::WatchCreateRequest {
            key,
            range_end,
            filters,
            ..Default::default()
        })
    }

    #[test]
    fn an_empty_key_is_the_smallest_key() {
        assert_eq!(
            create(b"", b"", vec![]).range,
            KeyRange::Single(Bytes::from_static(b"\0"))
        );
        assert_eq!(
            create(b"", b"\0", vec![]).range,
            KeyRange::From(Bytes::from_static(b"\0"))
        );
        assert_eq!(
            create(b"a", b"", vec![]).range,
            KeyRange::Single(Bytes::from_static(b"a"))
        );
    }

    #[test]
    fn filters_are_a_set_and_unknown_ones_filter_nothing() {
        let watch = create(b"a", b"", vec![1, 1, 5]);
        assert!(!watch.no_put && watch.no_delete);
        let watch = create(b"a", b"", vec![0, 1]);
        assert!(watch.no_put && watch.no_delete);
    }

    #[test]
    fn a_request_without_content_is_ignored() {
        assert_eq!(watch_request(pb::WatchRequest { request_union: None }), None);
    }

    #[test]
    fn cancel_and_progress_are_understood() {
        let cancel = RequestUnion::CancelRequest(pb::WatchCancelRequest { watch_id: -3 });
        let progress = RequestUnion::ProgressRequest(pb::WatchProgressRequest {});
        let request = |union| {
            watch_request(pb::WatchRequest {
                request_union: Some(union),
            })
        };
        assert_eq!(request(cancel), Some(WatchRequest::Cancel(-3)));
        assert_eq!(request(progress), Some(WatchRequest::Progress));
    }
}
