//! Nodes, alone and together, over TLS, in one process.

mod beginnings;
mod certificates;
mod peers;
mod proxy;
mod single;
mod tls;
mod together;
mod wait;
