//! A client of the wire protocol.
