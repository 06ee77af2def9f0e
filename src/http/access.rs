//! What a browser may do: cross-origin rules, and names by which the server may be called without TLS.

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, HOST,
    HeaderValue, ORIGIN,
};
use http::{Method, StatusCode};

use super::answers;
use crate::settings::Access;

const METHODS: HeaderValue = HeaderValue::from_static("POST, GET, OPTIONS, PUT, DELETE");
const HEADERS: HeaderValue = HeaderValue::from_static("accept, content-type, authorization");
const ANY: &str = "*";

#[derive(Clone)]
struct Rules {
    access: Access,
    secure: bool,
}

/// Puts the rules in front of a router. Host names matter only where TLS does not vouch for them.
pub(crate) fn guard(router: Router, access: &Access, secure: bool) -> Router {
    router.layer(from_fn_with_state(
        Rules {
            access: access.clone(),
            secure,
        },
        check,
    ))
}

async fn check(State(rules): State<Rules>, request: Request, next: Next) -> Response {
    if !rules.secure && !listed(&rules.access.hosts, &host(&request)) {
        let text = "the Host header is not among the names of --host-whitelist";
        return answers::error(StatusCode::MISDIRECTED_REQUEST, text);
    }
    let origin = allowed_origin(&rules.access.origins, &request);
    let mut response = match *request.method() {
        Method::OPTIONS => StatusCode::OK.into_response(),
        _ => next.run(request).await,
    };
    if let Some(origin) = origin {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
    }
    response
}

/// Whether a name is allowed; an empty list allows every name, as `*` does.
fn listed(names: &[String], name: &str) -> bool {
    names.is_empty() || names.iter().any(|allowed| allowed == ANY || allowed == name)
}

fn allowed_origin(origins: &[String], request: &Request) -> Option<HeaderValue> {
    if listed(origins, ANY) {
        return Some(HeaderValue::from_static(ANY));
    }
    let origin = request.headers().get(ORIGIN)?;
    origin
        .to_str()
        .is_ok_and(|name| listed(origins, name))
        .then(|| origin.clone())
}

/// The name by which the server was called, without the port.
fn host(request: &Request) -> String {
    let header = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let named = header
        .or_else(|| request.uri().authority().map(http::uri::Authority::as_str))
        .unwrap_or_default();
    let without_port = match named.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => named,
    };
    without_port
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    async fn ask(access: Access, secure: bool, headers: &[(&'static str, &'static str)]) -> Response {
        let router = guard(
            Router::new().route("/", get(|| async { "page" })),
            &access,
            secure,
        );
        let mut request = Request::get("/").body(Body::empty()).unwrap();
        for (name, value) in headers {
            request
                .headers_mut()
                .insert(*name, HeaderValue::from_static(value));
        }
        router.oneshot(request).await.unwrap()
    }

    fn access(origins: &[&str], hosts: &[&str]) -> Access {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Access {
            origins: owned(origins),
            hosts: owned(hosts),
        }
    }

    #[tokio::test]
    async fn names_are_checked_without_tls_only() {
        let rules = access(&["*"], &["good.example", "::1"]);
        for (secure, host, status) in [
            (false, "good.example:2379", 200),
            (false, "[::1]:2379", 200),
            (false, "evil.example", 421),
            (true, "evil.example", 200),
        ] {
            assert_eq!(
                ask(rules.clone(), secure, &[("host", host)]).await.status(),
                status,
                "{host}"
            );
        }
    }

    #[tokio::test]
    async fn origins_are_told_whether_they_may() {
        let allowed = |response: &Response| response.headers().get(ACCESS_CONTROL_ALLOW_ORIGIN).cloned();
        let any = ask(access(&["*"], &[]), true, &[]).await;
        assert_eq!(allowed(&any).unwrap(), "*");
        let rules = access(&["http://a"], &[]);
        assert_eq!(
            allowed(&ask(rules.clone(), true, &[("origin", "http://a")]).await).unwrap(),
            "http://a"
        );
        assert_eq!(allowed(&ask(rules, true, &[("origin", "http://b")]).await), None);
    }
}
