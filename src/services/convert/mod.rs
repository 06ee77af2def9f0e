//! Between the wire's messages and the model's values. Bytes move, they are not copied.

mod from_wire;
#[cfg(test)]
mod hostile;
mod range_octets;
mod to_wire;
mod watch_request;
mod watch_response;

pub(super) use from_wire::{delete_range, put, range_query, txn};
pub(super) use range_octets::{RangeOctets, octets};
pub(super) use to_wire::{delete_range_response, key_value, put_response, range_response, txn_response};
pub(super) use watch_request::watch_request;
pub(super) use watch_response::{header_of_watch, watch_response};
