//! How often servers made data durable. `/proc` counts no fsyncs, and what could (tracing) needs rights and costs time;
//! so servers are asked for their own count, which etcd has and Taffrail after it.

use std::time::Duration;

use http::Uri;

use crate::client::Dialer;

/// One fsync of the log of writes, which is what a write waits for. etcd's database is synced besides, every 100 ms.
const COUNT: &str = "etcd_disk_wal_fsync_duration_seconds_count";

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The fsyncs of these servers' logs since they started, summed; `None` if one does not tell.
pub(crate) async fn fsyncs(dialer: &Dialer, endpoints: &[Uri]) -> Option<u64> {
    let mut total = 0;
    for endpoint in endpoints {
        let page = tokio::time::timeout(PATIENCE, dialer.page(endpoint, "/metrics"));
        total += counted(&page.await.ok()?.ok()?)?;
    }
    Some(total)
}

/// The count on a page of metrics.
fn counted(page: &str) -> Option<u64> {
    let rest = page.lines().find_map(|line| line.strip_prefix(COUNT))?;
    let number: f64 = rest.rsplit(' ').next()?.parse().ok()?;
    Some(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_among_other_metrics() {
        let page = "# TYPE etcd_disk_wal_fsync_duration_seconds histogram\n\
                    etcd_disk_wal_fsync_duration_seconds_bucket{le=\"+Inf\"} 7\n\
                    etcd_disk_wal_fsync_duration_seconds_sum 0.5\n\
                    etcd_disk_wal_fsync_duration_seconds_count 1.5e+03\n";
        assert_eq!(counted(page), Some(1500));
        assert_eq!(counted("up 1\n"), None);
    }
}
