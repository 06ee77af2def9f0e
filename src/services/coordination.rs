//! What the Lock and the Election service share: a queue of keys under one prefix.
//!
//! Who wants something puts the key `<name>/<lease in hex>`, attached to its lease, and waits until no key of
//! the prefix is older. The names are etcd's, whose client library plays the same game without these services.

use bytes::{BufMut, Bytes, BytesMut};
use model::{
    Command, Compare, CompareResult, CompareTarget, DeleteRange, KeyRange, KeyValue, LeaseId, Operation,
    OperationReply, Put, RangeQuery, RangeReply, Reply, Revision, SortOrder, SortTarget, Txn, TxnReply,
    Value,
};
use tokio::runtime::Handle;
use tonic::Status;

use actors::{CancelReason, Store, WatchCreate, WatchRequest, WatchResponse, WatchResponses};

use super::kv::mismatched;
use super::lease::grant_command;
use super::{Context, status};

/// The time to live of a lease that the server grants to who brings none, seconds: the client library's default.
const DEFAULT_TTL: i64 = 60;

/// All keys of a queue.
pub(super) fn queue(name: &[u8]) -> KeyRange {
    let with = |last: u8| {
        let mut key = BytesMut::with_capacity(name.len() + 1);
        key.put_slice(name);
        key.put_u8(last);
        key.freeze()
    };
    KeyRange::new(with(b'/'), with(b'/' + 1))
}

/// The key that a lease has in a queue.
fn key_of(queue: &KeyRange, lease: LeaseId) -> Bytes {
    let sign = if lease.0 < 0 { "-" } else { "" };
    let mut key = BytesMut::from(queue.start().as_ref());
    key.extend_from_slice(format!("{sign}{:x}", lease.0.unsigned_abs()).as_bytes());
    key.freeze()
}

/// The lease to wait with: a new one if none is named, else that one with its time begun anew.
pub(super) async fn session_lease(context: &Context, named: i64) -> Result<LeaseId, Status> {
    let lease = LeaseId(named);
    if lease != LeaseId::NONE {
        context
            .store()
            .lease_keep_alive(lease)
            .await
            .map_err(status::through_client)?;
        return Ok(lease);
    }
    let command = grant_command(context, LeaseId::NONE, DEFAULT_TTL);
    match context
        .store()
        .submit(command)
        .await
        .map_err(status::through_client)?
        .reply
    {
        Reply::LeaseGrant(granted) => Ok(granted.id),
        other => Err(mismatched(&other)),
    }
}

/// A place in a queue.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The key that holds it.
    pub(super) key: Bytes,
    /// When the key was created, which is its rank.
    pub(super) created: Revision,
    /// The revision at which it was made, or found.
    pub(super) revision: Revision,
    /// The value found, if the lease had the place already.
    pub(super) found: Option<Bytes>,
    /// Whether no key is older.
    pub(super) is_first: bool,
}

/// Takes the place of a lease in a queue, or finds it.
pub(super) async fn enter(
    store: &Store,
    queue: &KeyRange,
    lease: LeaseId,
    value: Bytes,
) -> Result<Place, Status> {
    let key = key_of(queue, lease);
    let put = Operation::Put(Put {
        key: key.clone(),
        value,
        lease,
        ..Put::default()
    });
    let get = Operation::Range(RangeQuery::new(KeyRange::Single(key.clone())));
    let oldest = Operation::Range(oldest(queue));
    let txn = Txn {
        compare: vec![created_at(&key, Revision(0))],
        success: vec![put, oldest.clone()],
        failure: vec![get, oldest],
    };
    let (revision, reply) = submit(store, txn).await?;
    place(key, revision, reply)
}

fn place(key: Bytes, revision: Revision, reply: TxnReply) -> Result<Place, Status> {
    let mut replies = reply.responses.into_iter();
    let found = first_pair(replies.next());
    let created = found
        .as_ref()
        .map_or(revision, |pair| pair.version.create_revision);
    let is_first = first_pair(replies.next()).is_none_or(|oldest| oldest.key == key);
    Ok(Place {
        key,
        created,
        revision,
        found: found.map(value_of),
        is_first,
    })
}

fn first_pair(reply: Option<OperationReply>) -> Option<KeyValue> {
    match reply {
        Some(OperationReply::Range(range)) => range.kvs.into_iter().next(),
        _ => None,
    }
}

fn value_of(pair: KeyValue) -> Bytes {
    match pair.value {
        Value::Resident(value) => value,
        Value::Stored(_) => Bytes::new(),
    }
}

/// Reads the oldest pair of a queue.
pub(super) fn oldest(queue: &KeyRange) -> RangeQuery {
    RangeQuery {
        limit: 1,
        sort_order: SortOrder::Ascending,
        sort_target: SortTarget::CreateRevision,
        ..RangeQuery::new(queue.clone())
    }
}

/// Reads the youngest key of a queue that is older than a place.
fn predecessor(queue: &KeyRange, created: Revision) -> RangeQuery {
    RangeQuery {
        sort_order: SortOrder::Descending,
        keys_only: true,
        max_create_revision: Revision(created.0 - 1),
        ..oldest(queue)
    }
}

/// The condition that a key exists since this revision; zero for that it does not.
pub(super) fn created_at(key: &Bytes, created: Revision) -> Compare {
    Compare {
        range: KeyRange::Single(key.clone()),
        target: CompareTarget::CreateRevision(created.0),
        result: CompareResult::Equal,
    }
}

/// Deletes a key if it is still the one that was created then.
pub(super) fn leave(key: &Bytes, created: Revision) -> Txn {
    let range = KeyRange::Single(key.clone());
    let delete = Operation::DeleteRange(DeleteRange {
        range,
        prev_kv: false,
    });
    Txn {
        compare: vec![created_at(key, created)],
        success: vec![delete],
        failure: Vec::new(),
    }
}

/// Reads with everything that was acknowledged before, as etcd's client does: a follower that lags would not see who is
/// ahead.
pub(super) async fn read(store: &Store, query: RangeQuery) -> Result<RangeReply, Status> {
    store.linearize().await.map_err(status::through_client)?;
    store.range(query).await.map_err(status::through_client)
}

/// Carries a transaction out.
pub(super) async fn submit(store: &Store, txn: Txn) -> Result<(Revision, TxnReply), Status> {
    let committed = store
        .submit(Command::Txn(txn))
        .await
        .map_err(status::through_client)?;
    match committed.reply {
        Reply::Txn(reply) => Ok((committed.revision, reply)),
        other => Err(mismatched(&other)),
    }
}

/// Waits until no key of the queue is older than one created then.
pub(super) async fn wait_turn(context: &Context, queue: &KeyRange, created: Revision) -> Result<(), Status> {
    loop {
        let query = predecessor(queue, created);
        let reply = read(context.store(), query).await?;
        let Some(ahead) = reply.kvs.into_iter().next() else {
            return Ok(());
        };
        tokio::select! {
            () = context.shutdown().cancelled() => return Err(status::stopped()),
            gone = deleted(context.store(), ahead.key, reply.revision) => gone?,
        }
    }
}

/// Waits until a key is deleted, or history went on without us so that it must be looked up again.
async fn deleted(store: &Store, key: Bytes, since: Revision) -> Result<(), Status> {
    let create = WatchCreate {
        no_put: true,
        ..watch_of(KeyRange::Single(key), since)
    };
    let mut responses = watch(store, create);
    loop {
        match responses.next().await {
            Some(WatchResponse::Created { .. } | WatchResponse::Progress { .. }) => {}
            Some(WatchResponse::Canceled {
                reason: CancelReason::Refused(reason),
                ..
            }) => {
                return Err(Status::unknown(reason));
            }
            Some(WatchResponse::Events { .. } | WatchResponse::Canceled { .. }) => return Ok(()),
            None => return Err(status::stopped()),
        }
    }
}

/// A plain watch of a range.
pub(super) fn watch_of(range: KeyRange, start_revision: Revision) -> WatchCreate {
    WatchCreate {
        watch_id: 0,
        range,
        start_revision,
        prev_kv: false,
        progress_notify: false,
        fragment: false,
        no_put: false,
        no_delete: false,
    }
}

/// Opens a stream with one watch on it; it is closed when its responses are dropped.
pub(super) fn watch(store: &Store, create: WatchCreate) -> WatchResponses {
    let (requests, responses) = store.open_watch_stream();
    requests.send(WatchRequest::Create(create));
    responses
}

/// Gives a place up unless told otherwise: whoever waits may go away at any moment, and must not stay in line.
pub(super) struct Leaving {
    store: Store,
    place: Option<(Bytes, Revision)>,
}

impl Leaving {
    /// Watches over a place.
    pub(super) fn unless_kept(store: &Store, place: &Place) -> Self {
        Self {
            store: store.clone(),
            place: Some((place.key.clone(), place.created)),
        }
    }

    /// The place is kept.
    pub(super) fn keep(mut self) {
        self.place = None;
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        let (Some((key, created)), Ok(runtime)) = (self.place.take(), Handle::try_current()) else {
            return;
        };
        let store = self.store.clone();
        runtime.spawn(async move {
            if let Err(error) = submit(&store, leave(&key, created)).await {
                tracing::debug!(%error, "a place in a queue is left to its lease");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use model::{RangeReply, Version};

    use super::*;

    fn pair(key: &'static str, created: i64) -> KeyValue {
        let version = Version {
            create_revision: Revision(created),
            ..Version::default()
        };
        let value = Value::Resident(Bytes::from_static(b"v"));
        KeyValue {
            key: Bytes::from_static(key.as_bytes()),
            value,
            version,
        }
    }

    fn range(pairs: Vec<KeyValue>) -> OperationReply {
        OperationReply::Range(RangeReply {
            kvs: pairs,
            ..RangeReply::default()
        })
    }

    #[test]
    fn a_queue_is_what_begins_with_its_name_and_a_slash() {
        let queue = queue(b"q");
        assert!(queue.contains(b"q/1") && queue.contains(b"q/") && queue.contains(b"q/\xff"));
        assert!(!queue.contains(b"q") && !queue.contains(b"q0") && !queue.contains(b"qq/1"));
    }

    #[test]
    fn keys_end_with_the_lease_in_hex() {
        assert_eq!(key_of(&queue(b"q"), LeaseId(0x694d_a202)), "q/694da202");
        assert_eq!(key_of(&queue(b""), LeaseId(-31)), "/-1f");
    }

    #[test]
    fn a_new_place_ranks_by_its_revision() {
        let reply = TxnReply {
            succeeded: true,
            responses: vec![
                OperationReply::Put(Revision(9), model::PutReply::default()),
                range(vec![pair("q/1", 4)]),
            ],
        };
        let place = place(Bytes::from_static(b"q/2"), Revision(9), reply).expect("a place");
        assert_eq!(
            (place.created, place.found, place.is_first),
            (Revision(9), None, false)
        );
    }

    #[test]
    fn a_place_that_was_found_keeps_its_rank() {
        let reply = TxnReply {
            succeeded: false,
            responses: vec![range(vec![pair("q/1", 4)]); 2],
        };
        let place = place(Bytes::from_static(b"q/1"), Revision(9), reply).expect("a place");
        assert_eq!((place.created, place.is_first), (Revision(4), true));
        assert_eq!(place.found, Some(Bytes::from_static(b"v")));
    }

    #[test]
    fn the_predecessor_is_the_youngest_of_the_older() {
        let query = predecessor(&queue(b"q"), Revision(9));
        assert_eq!(
            (query.max_create_revision, query.sort_order, query.limit),
            (Revision(8), SortOrder::Descending, 1)
        );
    }
}
