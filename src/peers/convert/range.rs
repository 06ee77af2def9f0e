//! Ranges of keys and the questions about them.

use bytes::Bytes;
use model::{KeyRange, RangeQuery, Revision, SortOrder, SortTarget};
use proto::peer as pb;

use super::{WireError, unknown_number, unknown_variant};

/// A range as its kind and its two keys.
pub(super) fn range_to_wire(range: KeyRange) -> (pb::RangeKind, Bytes, Bytes) {
    match range {
        KeyRange::Single(key) => (pb::RangeKind::Single, key, Bytes::new()),
        KeyRange::Between(key, end) => (pb::RangeKind::Between, key, end),
        KeyRange::From(key) => (pb::RangeKind::From, key, Bytes::new()),
    }
}

pub(super) fn range_from_wire(kind: i32, key: Bytes, range_end: Bytes) -> Result<KeyRange, WireError> {
    match pb::RangeKind::try_from(kind).map_err(unknown_number("a kind of range"))? {
        pb::RangeKind::Unspecified => Err(unknown_variant("a kind of range")),
        pb::RangeKind::Single => Ok(KeyRange::Single(key)),
        pb::RangeKind::Between => Ok(KeyRange::Between(key, range_end)),
        pb::RangeKind::From => Ok(KeyRange::From(key)),
    }
}

pub(super) fn query_to_wire(query: RangeQuery) -> pb::Range {
    let (kind, key, range_end) = range_to_wire(query.range);
    pb::Range {
        kind: kind.into(),
        key,
        range_end,
        revision: query.revision.0,
        limit: query.limit,
        sort_order: order_to_wire(query.sort_order).into(),
        sort_target: target_to_wire(query.sort_target).into(),
        keys_only: query.keys_only,
        count_only: query.count_only,
        min_mod_revision: query.min_mod_revision.0,
        max_mod_revision: query.max_mod_revision.0,
        min_create_revision: query.min_create_revision.0,
        max_create_revision: query.max_create_revision.0,
    }
}

pub(super) fn query_from_wire(wire: pb::Range) -> Result<RangeQuery, WireError> {
    Ok(RangeQuery {
        range: range_from_wire(wire.kind, wire.key, wire.range_end)?,
        revision: Revision(wire.revision),
        limit: wire.limit,
        sort_order: order_from_wire(wire.sort_order)?,
        sort_target: target_from_wire(wire.sort_target)?,
        keys_only: wire.keys_only,
        count_only: wire.count_only,
        min_mod_revision: Revision(wire.min_mod_revision),
        max_mod_revision: Revision(wire.max_mod_revision),
        min_create_revision: Revision(wire.min_create_revision),
        max_create_revision: Revision(wire.max_create_revision),
    })
}

fn order_to_wire(order: SortOrder) -> pb::SortOrder {
    match order {
        SortOrder::None => pb::SortOrder::None,
        SortOrder::Ascending => pb::SortOrder::Ascending,
        SortOrder::Descending => pb::SortOrder::Descending,
    }
}

fn order_from_wire(wire: i32) -> Result<SortOrder, WireError> {
    match pb::SortOrder::try_from(wire).map_err(unknown_number("a sort order"))? {
        pb::SortOrder::Unspecified => Err(unknown_variant("a sort order")),
        pb::SortOrder::None => Ok(SortOrder::None),
        pb::SortOrder::Ascending => Ok(SortOrder::Ascending),
        pb::SortOrder::Descending => Ok(SortOrder::Descending),
    }
}

fn target_to_wire(target: SortTarget) -> pb::SortTarget {
    match target {
        SortTarget::Key => pb::SortTarget::Key,
        SortTarget::Version => pb::SortTarget::Version,
        SortTarget::CreateRevision => pb::SortTarget::CreateRevision,
        SortTarget::ModRevision => pb::SortTarget::ModRevision,
        SortTarget::Value => pb::SortTarget::Value,
    }
}

fn target_from_wire(wire: i32) -> Result<SortTarget, WireError> {
    match pb::SortTarget::try_from(wire).map_err(unknown_number("a sort target"))? {
        pb::SortTarget::Unspecified => Err(unknown_variant("a sort target")),
        pb::SortTarget::Key => Ok(SortTarget::Key),
        pb::SortTarget::Version => Ok(SortTarget::Version),
        pb::SortTarget::CreateRevision => Ok(SortTarget::CreateRevision),
        pb::SortTarget::ModRevision => Ok(SortTarget::ModRevision),
        pb::SortTarget::Value => Ok(SortTarget::Value),
    }
}
