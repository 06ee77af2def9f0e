//! Three members in one process: what each of them shows while leaders change and links break.

mod client;
mod cluster;
mod log;
mod members;
mod network;
mod picture;
mod watcher;
mod writes;
