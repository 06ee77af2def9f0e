//! Three members in one process: what each of them shows while leaders change and links break.

mod client;
mod cluster;
mod compaction;
mod counts;
mod dice;
mod followers;
mod leader_changes;
mod leases;
mod log;
mod members;
mod network;
mod picture;
mod random;
mod reads;
mod stale_leader;
mod trouble;
mod watcher;
mod workload;
mod writes;
