//! Dqlite from Rust: SQLite, replicated by Raft among the nodes of a cluster, with a node inside this process.
//!
//! | module | what it is |
//! |---|---|
//! | [`membership`] | a node in its cluster: begins one or joins, knows the leader and the members, gives out roles |
//! | [`node`] | the node itself, as the C library has it, safe to hold: started, stopped, recovered |
//! | [`proxy`] | between the network and the node, which only its own process can reach |
//! | [`dial`], [`tls`] | how other nodes are reached, and who is let in |
//! | [`store`] | the files beside the log, those of go-dqlite |
//! | [`client`] | the wire protocol spoken: to one node, and to whichever node leads |
//! | [`wire`] | the wire protocol as values, without input or output |
//!
//! A service needs `membership` and, to share its port or not, `proxy`:
//!
//! ```no_run
//! use dqlite::dial::Dialer;
//! use dqlite::membership::{Membership, Origin, Settings};
//! use dqlite::store::DataDirectory;
//! use dqlite::tls::{Tls, TlsSettings};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let tls = Tls::load(TlsSettings::new("node.crt", "node.key", "ca.crt"))?;
//! let origin = Origin::Join { members: vec!["db-1.example:9000".to_owned()] };
//! let settings = Settings::new("db-2.example:9000", origin, Dialer::tls(tls.clone()));
//! let membership = Membership::start(DataDirectory::open("data")?, settings).await?;
//!
//! let listener = tokio::net::TcpListener::bind("[::]:9000").await?;
//! tokio::spawn(dqlite::proxy::serve(listener, Some(tls), membership.socket().clone()));
//!
//! let mut leader = membership.leader();
//! while leader.changed().await.is_ok() {
//!     println!("{:?} leads", leader.borrow_and_update());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The C library does not authenticate anybody: without TLS whoever reaches the port may read, write and
//! remove nodes.

pub mod client;
pub mod dial;
pub mod membership;
pub mod node;
pub mod proxy;
pub mod store;
pub mod tls;
pub mod wire;
