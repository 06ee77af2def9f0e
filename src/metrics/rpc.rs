//! Counts gRPC calls under the names that etcd's dashboards know: `grpc_server_*`, and the bytes to and from clients.

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use anyhow::Result;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use parking_lot::RwLock;
use prost_reflect::DescriptorPool;
use tonic::Status;
use tonic::body::Body;

use super::exposition::Exposition;
use super::messages::{CODES, MessageWalker, Method, UNARY};

/// How many client versions are told apart; a client must not be able to fill our memory with names.
const MOST_CLIENT_VERSIONS: usize = 64;
/// The number of `Canceled`: what becomes of a call that its client left.
const CANCELED: usize = 1;
/// The number of `Unknown`: what an answer without a readable status counts as.
const UNKNOWN: usize = 2;

/// The counters of all gRPC calls.
pub(crate) struct RpcMetrics {
    methods: HashMap<String, Arc<Method>>,
    /// Calls by the version of the client's library: unary ones and streams.
    clients: RwLock<BTreeMap<String, [AtomicU64; 2]>>,
    bytes_received: AtomicU64,
    bytes_sent: AtomicU64,
    extensive: bool,
}

impl RpcMetrics {
    /// Counters for every method of etcd's services. `extensive` shows
    /// a histogram of latencies for each.
    pub(crate) fn new(extensive: bool) -> Result<Self> {
        let pool = DescriptorPool::decode(proto::FILE_DESCRIPTOR_SET)?;
        let methods = pool
            .services()
            .flat_map(|service| service.methods().collect::<Vec<_>>());
        let methods = methods.map(|method| {
            let (service, name) = (
                method.parent_service().full_name().to_owned(),
                method.name().to_owned(),
            );
            let streams = (method.is_client_streaming(), method.is_server_streaming());
            (
                format!("/{service}/{name}"),
                Arc::new(Method::new(&service, &name, streams)),
            )
        });
        Ok(Self {
            methods: methods.collect(),
            clients: RwLock::default(),
            bytes_received: AtomicU64::new(0),
            bytes_sent: AtomicU64::new(0),
            extensive,
        })
    }

    /// Counts the beginning of a call.
    pub(crate) fn begin<B>(self: &Arc<Self>, request: &Request<B>) -> Call {
        let method = self.methods.get(request.uri().path()).cloned();
        if let Some(method) = &method {
            method.started.fetch_add(1, Relaxed);
            self.count_client(method.kind, request.headers());
        }
        Call {
            metrics: Arc::clone(self),
            method,
            begun: Instant::now(),
        }
    }

    fn count_client(&self, kind: &'static str, headers: &HeaderMap) {
        let kind = usize::from(kind != UNARY);
        let version = headers
            .get("client-api-version")
            .and_then(|version| version.to_str().ok());
        let version = version.unwrap_or("unknown");
        if let Some(counts) = self.clients.read().get(version) {
            counts[kind].fetch_add(1, Relaxed);
            return;
        }
        let mut clients = self.clients.write();
        let version = if clients.len() < MOST_CLIENT_VERSIONS {
            version
        } else {
            "other"
        };
        clients.entry(version.to_owned()).or_default()[kind].fetch_add(1, Relaxed);
    }

    /// The counters of a method of one of etcd's own services, such as `KV/Range`.
    pub(super) fn method(&self, name: &str) -> Option<&Method> {
        self.methods
            .get(&format!("/etcdserverpb.{name}"))
            .map(Arc::as_ref)
    }

    /// Writes the families of gRPC calls.
    pub(super) fn write(&self, page: &mut Exposition) {
        let mut methods: Vec<_> = self.methods.values().collect();
        methods.sort_by_key(|method| (&method.service, &method.name));
        type Counter = fn(&Method) -> &AtomicU64;
        let counters: [(&str, &str, Counter); 3] = [
            (
                "grpc_server_started_total",
                "Total number of RPCs started on the server.",
                |m| &m.started,
            ),
            (
                "grpc_server_msg_received_total",
                "Total number of RPC stream messages received on the server.",
                |m| &m.received,
            ),
            (
                "grpc_server_msg_sent_total",
                "Total number of gRPC stream messages sent by the server.",
                |m| &m.sent,
            ),
        ];
        for (name, help, counter) in counters {
            page.family(name, "counter", help);
            for method in &methods {
                page.sample(name, &labels(method), counter(method).load(Relaxed));
            }
        }
        write_handled(page, &methods);
        if self.extensive {
            write_handling(page, &methods);
        }
        self.write_traffic(page);
    }

    fn write_traffic(&self, page: &mut Exposition) {
        let name = "etcd_server_client_requests_total";
        page.family(
            name,
            "counter",
            "The total number of client requests per client version.",
        );
        for (version, counts) in self.clients.read().iter() {
            for (kind, count) in [UNARY, "stream"].iter().zip(counts) {
                page.sample(
                    name,
                    &[("client_api_version", version), ("type", kind)],
                    count.load(Relaxed),
                );
            }
        }
        page.counter(
            "etcd_network_client_grpc_received_bytes_total",
            "The total number of bytes received from grpc clients.",
            self.bytes_received.load(Relaxed),
        );
        page.counter(
            "etcd_network_client_grpc_sent_bytes_total",
            "The total number of bytes sent to grpc clients.",
            self.bytes_sent.load(Relaxed),
        );
    }
}

fn labels(method: &Method) -> [(&str, &str); 3] {
    [
        ("grpc_method", &method.name),
        ("grpc_service", &method.service),
        ("grpc_type", method.kind),
    ]
}

fn write_handled(page: &mut Exposition, methods: &[&Arc<Method>]) {
    let name = "grpc_server_handled_total";
    page.family(
        name,
        "counter",
        "Total number of RPCs completed on the server, regardless of success or failure.",
    );
    for method in methods {
        for (code, count) in CODES.iter().zip(&method.handled) {
            let count = count.load(Relaxed);
            if count > 0 || *code == "OK" {
                let [method, service, kind] = labels(method);
                page.sample(name, &[("grpc_code", code), method, service, kind], count);
            }
        }
    }
}

fn write_handling(page: &mut Exposition, methods: &[&Arc<Method>]) {
    let name = "grpc_server_handling_seconds";
    let help = "Histogram of response latency (seconds) of gRPC that had been application-level handled by the server.";
    page.family(name, "histogram", help);
    for method in methods {
        let handling = method.all_handling();
        if handling.count > 0 {
            page.durations(name, &labels(method), &handling);
        }
    }
}

/// A call under way.
#[derive(Clone)]
pub(crate) struct Call {
    metrics: Arc<RpcMetrics>,
    method: Option<Arc<Method>>,
    begun: Instant,
}

impl Call {
    /// Takes the answer's headers; the rest is counted as it is sent.
    pub(crate) fn answered(self, response: Response<Body>) -> Response<AnsweredBody> {
        if let Some(code) = code_of(response.headers()) {
            self.end(code);
            return response.map(AnsweredBody::uncounted);
        }
        response.map(|body| AnsweredBody {
            body,
            call: Some((self, MessageWalker::default())),
        })
    }

    fn end(&self, code: usize) {
        if let Some(method) = &self.method {
            method.end(code, self.begun.elapsed());
        }
    }

    fn received(&self, bytes: usize, messages: u64) {
        self.metrics.bytes_received.fetch_add(bytes as u64, Relaxed);
        if let Some(method) = &self.method {
            method.received.fetch_add(messages, Relaxed);
        }
    }

    fn sent(&self, bytes: usize, messages: u64) {
        self.metrics.bytes_sent.fetch_add(bytes as u64, Relaxed);
        if let Some(method) = &self.method {
            method.sent.fetch_add(messages, Relaxed);
        }
    }
}

/// The status of a call, if these are the headers or trailers that carry it.
fn code_of(headers: &HeaderMap) -> Option<usize> {
    let status = headers.get("grpc-status")?;
    Some(
        status
            .to_str()
            .ok()
            .and_then(|status| status.parse().ok())
            .unwrap_or(UNKNOWN),
    )
}

/// What a client sends in a call, counted.
pub(crate) struct AskedBody {
    body: Incoming,
    call: Call,
    walker: MessageWalker,
}

impl AskedBody {
    /// The body of this call.
    pub(crate) fn new(body: Incoming, call: Call) -> Self {
        Self {
            body,
            call,
            walker: MessageWalker::default(),
        }
    }
}

impl HttpBody for AskedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        if let Some(Some(data)) = frame
            .as_ref()
            .and_then(|frame| frame.as_ref().ok())
            .map(Frame::data_ref)
        {
            this.call.received(data.len(), this.walker.feed(data));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What a client is answered, counted if it is a call.
pub(crate) struct AnsweredBody {
    body: Body,
    call: Option<(Call, MessageWalker)>,
}

impl AnsweredBody {
    /// A body that is no call's.
    pub(crate) fn uncounted(body: Body) -> Self {
        Self { body, call: None }
    }

    fn end(&mut self, code: usize) {
        if let Some((call, _)) = self.call.take() {
            call.end(code);
        }
    }
}

impl HttpBody for AnsweredBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(data), Some((call, walker))) = (frame.data_ref(), &mut this.call) {
                    call.sent(data.len(), walker.feed(data));
                }
                if let Some(trailers) = frame.trailers_ref() {
                    this.end(code_of(trailers).unwrap_or(UNKNOWN));
                }
            }
            Some(Err(_)) | None => this.end(UNKNOWN),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for AnsweredBody {
    /// An answer that was not sent to its end was not wanted any more.
    fn drop(&mut self) {
        self.end(CANCELED);
    }
}
