//! Both ends of the protocol with a made-up member behind, in memory and over loopback.

mod asking;
mod breaking;
mod fake_member;
mod following;
mod ground;
mod other_release;
mod releases;
mod replicas;
mod stopping;
mod unary;

use std::time::Duration;

use super::*;
use fake_member::FakeMember;
use ground::{Ground, Grounds, Weather};

/// The longest that anything may take which happens without help.
const DEADLINE: Duration = Duration::from_secs(20);

/// What this future comes to, which it must without help.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future)
        .await
        .expect("nothing happened")
}

/// Waits until something is so.
async fn until(what: impl Fn() -> bool) {
    soon(async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}
