//! `/version`: which etcd this is, for clients that choose features by it.

use axum::response::Response;
use http::{HeaderValue, Method};

use super::answers;
use crate::services::{CLUSTER_VERSION, ETCD_VERSION, STORAGE_VERSION};

/// The versions as etcd names them.
pub(super) async fn version(method: Method) -> Response {
    answers::refuse_unless_get(&method).unwrap_or_else(|| {
        let body = format!(
            r#"{{"etcdserver":"{ETCD_VERSION}","etcdcluster":"{CLUSTER_VERSION}","storage":"{STORAGE_VERSION}"}}"#
        );
        answers::ok(HeaderValue::from_static("application/json"), body)
    })
}
