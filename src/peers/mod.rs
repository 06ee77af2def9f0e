//! How members of a cluster reach each other: the peer protocol over gRPC.

mod convert;
