//! Nodes, alone and together, over TLS, in one process.

mod certificates;
mod single;
mod tls;
mod wait;
