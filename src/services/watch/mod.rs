//! The Watch service.

mod fragment;
mod session;

use std::sync::Arc;

use proto::etcdserverpb as pb;
use proto::etcdserverpb::watch_server::Watch;
use tonic::{Request, Response, Status, Streaming};

use self::session::WatchSession;
use super::Context;
use super::streams::{Answers, Session};

/// Changes of keys, as they happen or from history.
pub(super) struct WatchService {
    context: Arc<Context>,
}

impl WatchService {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }
}

#[tonic::async_trait]
impl Watch for WatchService {
    type WatchStream = Answers<pb::WatchResponse>;

    async fn watch(
        &self,
        request: Request<Streaming<pb::WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let session = WatchSession::new(Arc::clone(&self.context), request);
        Ok(Response::new(session.answers()))
    }
}
