//! The hub's behaviour, by part of etcd's contract.

mod catching_up;
mod client;
mod creation;
mod delivery;
mod progress;
mod random;
mod stream_ends;
mod view;
