//! The KV service.

use std::sync::Arc;

use actors::{Committed, RangeChunk, RangeChunks, RangePart, Store};
use futures_util::stream;
use model::{Command, KeyRange, RangeQuery, RangeReply, Refusal, Reply, Revision, SortOrder, SortTarget};
use proto::etcdserverpb as pb;
use proto::etcdserverpb::kv_server::Kv;
use tonic::{Request, Response, Status};

use super::convert::RangeOctets;
use super::interceptor::gets_compressed;
use super::prepared::{Pieces, Prepared};
use super::streams::{Answers, Session, Shutdown, on_shutdown};
use super::{Context, convert, request_size, status};
use crate::listeners::step_aside;

/// Reads and writes of keys.
pub(super) struct KvService {
    context: Arc<Context>,
}

impl KvService {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }

    async fn submit(&self, command: Command) -> Result<Committed, Status> {
        self.context.store().submit(command).await.map_err(status::status)
    }

    /// A serializable read is answered from what this member has, also when there is no leader.
    async fn linearize_unless(&self, serializable: bool) -> Result<(), Status> {
        if serializable {
            return Ok(());
        }
        self.context.store().linearize().await.map_err(status::status)
    }

    /// The answer to a range that needs nothing but memory, written while that is read.
    async fn prepare(&self, query: &RangeQuery) -> Option<Response<pb::RangeResponse>> {
        let store = self.context.store();
        let limit = usize::try_from(query.limit).ok();
        let (octets, rest) = store.range_into(query, RangeOctets::of(limit)).await?;
        let octets = octets.end(self.context.header(rest.revision), &rest)?;
        Some(Prepared::whole(octets).instead_of(pb::RangeResponse::default()))
    }

    /// Refuses a write above `--max-request-bytes`; reads are bounded by the message limit alone.
    fn check_size(&self, request: &impl prost::Message) -> Result<(), Status> {
        request_size::check(request, self.context.limits().max_request_bytes).map_err(status::refused)
    }

    /// The size of a part of a streamed range.
    fn part_bytes(&self) -> usize {
        self.context.limits().max_request_bytes.min(PART_BYTES)
    }

    fn txn_command(&self, request: pb::TxnRequest) -> Result<Command, Status> {
        let size = request_size::internal_size(&request);
        let txn = convert::txn(request).map_err(status::refused)?;
        if size > self.context.limits().max_request_bytes && !txn.is_read_only() {
            return Err(status::refused(Refusal::RequestTooLarge));
        }
        Ok(Command::Txn(txn))
    }
}

/// The size of a part of a streamed range at most. It is in memory three times on its way out: as pairs, as octets, and
/// in the connection's buffers.
const PART_BYTES: usize = 512 << 10;
/// Pairs of an answer that are read and written out where the call came in; more would keep other calls of the same
/// thread waiting. A page of kube-apiserver's has 500.
const SHORT: i64 = 512;
/// The same while writes are under way, which pass the thread more than once.
const SHORT_BESIDE_WRITES: i64 = 64;

fn may_be_long(query: &RangeQuery, store: &Store) -> bool {
    let short = match store.has_writes_under_way() {
        true => SHORT_BESIDE_WRITES,
        false => SHORT,
    };
    let limited = (1..=short).contains(&query.limit) && query.sort_order == SortOrder::None;
    !(limited || query.count_only || matches!(query.range, KeyRange::Single(_)))
}

/// The store answered a command with the reply to another one.
pub(super) fn mismatched(reply: &Reply) -> Status {
    Status::internal(format!("the store answered with {reply:?}"))
}

#[tonic::async_trait]
impl Kv for KvService {
    async fn range(&self, request: Request<pb::RangeRequest>) -> Result<Response<pb::RangeResponse>, Status> {
        let is_compressed = gets_compressed(&request);
        let request = request.into_inner();
        let serializable = request.serializable;
        let query = convert::range_query(request).map_err(status::refused)?;
        if may_be_long(&query, self.context.store()) {
            step_aside().await;
        }
        self.linearize_unless(serializable).await?;
        if !is_compressed && let Some(answer) = self.prepare(&query).await {
            return Ok(answer);
        }
        let reply = self.context.store().range(query).await.map_err(status::status)?;
        Ok(Response::new(convert::range_response(
            self.context.header(reply.revision),
            reply,
        )))
    }

    type RangeStreamStream = Answers<pb::RangeStreamResponse>;

    async fn range_stream(
        &self,
        request: Request<pb::RangeRequest>,
    ) -> Result<Response<Self::RangeStreamStream>, Status> {
        let is_compressed = gets_compressed(&request);
        let request = request.into_inner();
        let serializable = request.serializable;
        let mut query = convert::range_query(request).map_err(status::refused)?;
        if query.sort_order != SortOrder::None && query.has_sort() {
            return Err(Status::unimplemented(
                "RangeStream does not support custom sort orders",
            ));
        }
        if query.has_revision_filter() {
            return Err(Status::unimplemented(
                "RangeStream does not support revision filters",
            ));
        }
        // A target without an order lets etcd sort each chunk for itself; key order is what can be resumed.
        (query.sort_order, query.sort_target) = (SortOrder::None, SortTarget::Key);
        self.linearize_unless(serializable).await?;
        step_aside().await;
        let chunks = self.context.store().range_stream(query, self.part_bytes());
        let session = RangeSession::new(Arc::clone(&self.context), chunks);
        if is_compressed {
            return Ok(Response::new(session.answers()));
        }
        let octets = Prepared::stream(OctetsSession(session).answers());
        Ok(octets.instead_of(Box::pin(stream::empty())))
    }

    async fn put(&self, request: Request<pb::PutRequest>) -> Result<Response<pb::PutResponse>, Status> {
        let request = request.into_inner();
        self.check_size(&request)?;
        let committed = self.submit(Command::Put(convert::put(request))).await?;
        match committed.reply {
            Reply::Put(reply) => Ok(Response::new(convert::put_response(
                self.context.header(committed.revision),
                reply,
            ))),
            other => Err(mismatched(&other)),
        }
    }

    async fn delete_range(
        &self,
        request: Request<pb::DeleteRangeRequest>,
    ) -> Result<Response<pb::DeleteRangeResponse>, Status> {
        let request = request.into_inner();
        self.check_size(&request)?;
        let committed = self
            .submit(Command::DeleteRange(convert::delete_range(request)))
            .await?;
        let header = self.context.header(committed.revision);
        match committed.reply {
            Reply::DeleteRange(reply) => Ok(Response::new(convert::delete_range_response(header, reply))),
            other => Err(mismatched(&other)),
        }
    }

    async fn txn(&self, request: Request<pb::TxnRequest>) -> Result<Response<pb::TxnResponse>, Status> {
        let committed = self.submit(self.txn_command(request.into_inner())?).await?;
        match committed.reply {
            Reply::Txn(reply) => Ok(Response::new(convert::txn_response(
                self.context.header(committed.revision),
                reply,
            ))),
            other => Err(mismatched(&other)),
        }
    }

    async fn compact(
        &self,
        request: Request<pb::CompactionRequest>,
    ) -> Result<Response<pb::CompactionResponse>, Status> {
        let request = request.into_inner();
        let committed = self.submit(Command::Compact(Revision(request.revision))).await?;
        if request.physical {
            self.context
                .store()
                .compact_physically()
                .await
                .map_err(status::status)?;
        }
        Ok(Response::new(pb::CompactionResponse {
            header: self.context.header(committed.revision),
        }))
    }
}

/// One streamed range.
struct RangeSession {
    context: Arc<Context>,
    chunks: RangeChunks,
    shutdown: Shutdown,
}

impl RangeSession {
    fn new(context: Arc<Context>, chunks: RangeChunks) -> Self {
        let shutdown = on_shutdown(context.shutdown());
        Self {
            context,
            chunks,
            shutdown,
        }
    }

    /// Only the last message has a header, and it has the last pairs too: kube-apiserver stops reading when
    /// its limit is full, and takes the revision from what it has read.
    fn header(&self, last: Option<RangeReply>) -> (Option<pb::ResponseHeader>, RangeReply) {
        match last {
            Some(last) => (self.context.header(last.revision), last),
            None => (None, RangeReply::default()),
        }
    }

    fn response(&self, chunk: RangeChunk) -> pb::RangeStreamResponse {
        let (header, rest) = self.header(chunk.last);
        let range = convert::range_response(
            header,
            RangeReply {
                kvs: chunk.kvs,
                ..rest
            },
        );
        pb::RangeStreamResponse {
            range_response: Some(range),
        }
    }

    fn octets(&self, part: RangePart<RangeOctets>) -> Result<Pieces, Status> {
        let octets = match part {
            RangePart::Found(octets, last) => {
                let (header, rest) = self.header(last);
                octets.end_part(header, &rest)
            }
            RangePart::Pairs(chunk) => convert::octets(&self.response(chunk)),
        };
        octets.ok_or_else(status::too_long)
    }
}

impl Session for RangeSession {
    type Answer = pb::RangeStreamResponse;

    async fn next(&mut self) -> Option<Result<Self::Answer, Status>> {
        let chunk = tokio::select! {
            biased;
            () = &mut self.shutdown => return Some(Err(status::stopped())),
            chunk = self.chunks.next() => chunk?,
        };
        Some(chunk.map(|chunk| self.response(chunk)).map_err(status::status))
    }
}

/// The same, written while it is read.
struct OctetsSession(RangeSession);

impl Session for OctetsSession {
    type Answer = Pieces;

    async fn next(&mut self) -> Option<Result<Pieces, Status>> {
        let session = &mut self.0;
        let part = tokio::select! {
            biased;
            () = &mut session.shutdown => return Some(Err(status::stopped())),
            part = session.chunks.next_into(RangeOctets::default()) => part?,
        };
        Some(part.map_err(status::status).and_then(|part| session.octets(part)))
    }
}
