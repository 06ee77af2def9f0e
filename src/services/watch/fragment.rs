//! Splitting a large watch response, for clients that asked for it.

use std::collections::VecDeque;

use prost::Message;
use prost::encoding::encoded_len_varint;
use proto::etcdserverpb::WatchResponse;
use proto::mvccpb::Event;

/// The tag of an event in a response.
const EVENT_TAG_BYTES: usize = 1;

/// The response in parts that encode to less than `limit` bytes, all but the last marked as fragments.
///
/// A part has at least one event, however large. A response below the limit, or with one event, stays whole.
pub(super) fn fragments(
    mut response: WatchResponse,
    limit: usize,
) -> (WatchResponse, VecDeque<WatchResponse>) {
    if response.events.len() < 2 || response.encoded_len() < limit {
        return (response, VecDeque::new());
    }
    let events = std::mem::take(&mut response.events);
    let empty = WatchResponse {
        fragment: true,
        ..response
    };
    let mut parts: VecDeque<WatchResponse> = split(events, empty.encoded_len(), limit)
        .into_iter()
        .map(|events| WatchResponse {
            events,
            ..empty.clone()
        })
        .collect();
    if let Some(last) = parts.back_mut() {
        last.fragment = false;
    }
    (parts.pop_front().unwrap_or(empty), parts)
}

/// The events in groups that, with `overhead`, stay below `limit`.
fn split(events: Vec<Event>, overhead: usize, limit: usize) -> Vec<Vec<Event>> {
    let mut groups: Vec<Vec<Event>> = Vec::new();
    let mut size = limit;
    for event in events {
        let event_size = encoded_size(&event);
        match groups.last_mut() {
            Some(group) if size + event_size < limit => {
                size += event_size;
                group.push(event);
            }
            _ => {
                size = overhead + event_size;
                groups.push(vec![event]);
            }
        }
    }
    groups
}

fn encoded_size(event: &Event) -> usize {
    let len = event.encoded_len();
    EVENT_TAG_BYTES + encoded_len_varint(len as u64) + len
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proto::etcdserverpb::ResponseHeader;
    use proto::mvccpb::KeyValue;

    use super::*;

    fn event(revision: i64, value_bytes: usize) -> Event {
        let value = Bytes::from(vec![1; value_bytes]);
        let kv = KeyValue {
            key: Bytes::from_static(b"k"),
            mod_revision: revision,
            value,
            ..Default::default()
        };
        Event {
            r#type: 0,
            kv: Some(kv),
            prev_kv: None,
        }
    }

    fn response(sizes: &[usize]) -> WatchResponse {
        let events = (1..)
            .zip(sizes)
            .map(|(revision, size)| event(revision, *size))
            .collect();
        let header = Some(ResponseHeader {
            cluster_id: 1,
            member_id: 2,
            revision: 9,
            raft_term: 1,
        });
        WatchResponse {
            header,
            watch_id: 3,
            events,
            ..Default::default()
        }
    }

    fn parts(sizes: &[usize], limit: usize) -> Vec<WatchResponse> {
        let (first, rest) = fragments(response(sizes), limit);
        std::iter::once(first).chain(rest).collect()
    }

    #[test]
    fn what_fits_stays_whole() {
        let whole = response(&[100, 100]);
        let limit = whole.encoded_len() + 1;
        assert_eq!(parts(&[100, 100], limit), std::slice::from_ref(&whole));
        assert_eq!(
            parts(&[100, 100], limit - 1).len(),
            2,
            "the limit itself is too large"
        );
    }

    #[test]
    fn one_event_is_never_split() {
        assert_eq!(parts(&[5000], 100), [response(&[5000])]);
    }

    #[test]
    fn all_but_the_last_part_are_fragments() {
        let parts = parts(&[100, 100, 100, 100, 100], 300);
        let marks: Vec<bool> = parts.iter().map(|part| part.fragment).collect();
        assert_eq!(marks, [true, true, false]);
        assert!(
            parts
                .iter()
                .all(|part| part.watch_id == 3 && part.header == response(&[]).header)
        );
        assert!(parts.iter().all(|part| part.encoded_len() < 300));
    }

    #[test]
    fn a_large_event_stands_alone_and_order_stays() {
        let parts = parts(&[10, 900, 10, 10], 300);
        let revisions: Vec<Vec<i64>> = parts
            .iter()
            .map(|part| {
                part.events
                    .iter()
                    .filter_map(|event| Some(event.kv.as_ref()?.mod_revision))
                    .collect()
            })
            .collect();
        assert_eq!(revisions, [vec![1], vec![2], vec![3, 4]]);
    }
}
