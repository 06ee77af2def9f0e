//! Calls to one member, each with a deadline, and waiting for a condition.

use std::time::{Duration, Instant};

use etcd_client::{Client, ConnectOptions, Error, GetOptions, GetResponse};

/// Machines that run tests are busy; what takes longer than this does not happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How long one call may take: longer than the server's own deadline.
const CALL: Duration = Duration::from_secs(12);

/// A client of the member at one URL and of no other, connected when it is first used.
pub(crate) async fn client(url: &str) -> Client {
    client_with(url, ConnectOptions::new()).await
}

/// The same, with these options.
pub(crate) async fn client_with(url: &str, options: ConnectOptions) -> Client {
    let options = options
        .with_connect_timeout(Duration::from_secs(2))
        .with_keep_alive(Duration::from_secs(6), Duration::from_secs(3));
    let begun = Instant::now();
    loop {
        match Client::connect([url], Some(options.clone())).await {
            Ok(client) => return client,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{url}: {error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Why a call did not succeed, as a client's programmer reads it.
pub(crate) fn reason(error: &Error) -> String {
    match error {
        Error::GRpcStatus(status) => status.message().to_owned(),
        other => format!("{other:?}"),
    }
}

/// A call with a deadline.
pub(crate) async fn within<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, String> {
    match tokio::time::timeout(CALL, call).await {
        Ok(answer) => answer.map_err(|error| reason(&error)),
        Err(_) => Err(format!("no answer in {CALL:?}")),
    }
}

/// Writes, and returns the revision.
pub(crate) async fn put(client: &mut Client, key: &str, value: &str) -> Result<i64, String> {
    let answer = within(client.put(key, value, None)).await?;
    Ok(answer.header().expect("a header").revision())
}

/// What a read found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The revision of the store that was read.
    pub(crate) revision: i64,
    /// The value, and the revision at which it was written.
    pub(crate) value: Option<(String, i64)>,
}

/// Reads linearizably.
pub(crate) async fn get(client: &mut Client, key: &str) -> Result<Found, String> {
    read(client, key, None).await
}

/// Reads what the member has, up to date or not.
pub(crate) async fn get_serializable(client: &mut Client, key: &str) -> Result<Found, String> {
    read(client, key, Some(GetOptions::new().with_serializable())).await
}

async fn read(client: &mut Client, key: &str, options: Option<GetOptions>) -> Result<Found, String> {
    let answer = within(client.get(key, options)).await?;
    Ok(found(&answer))
}

/// What an answer says of its one key.
pub(crate) fn found(answer: &GetResponse) -> Found {
    let value = answer.kvs().first();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Found {
        revision: answer.header().expect("a header").revision(),
        value: value.map(|found| (text(found.value()), found.mod_revision())),
    }
}

/// Waits until something is so. `look` says what it waits for, or returns what came.
pub(crate) async fn eventually<T, F: Future<Output = Result<T, String>>>(mut look: impl FnMut() -> F) -> T {
    let begun = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(missing) => assert!(begun.elapsed() < PATIENCE, "not in {PATIENCE:?}: {missing}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
