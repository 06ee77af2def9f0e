//! Locks and elections.

use proto::v3electionpb::*;
use proto::v3lockpb::*;

use crate::kv::{PAIR_BODY, pair};
use crate::{HEADER_BODY, HEADER_FIELD, header, pin, wire};

#[test]
fn lock() {
    pin(
        b"\x0a\x01n\x10\xb4\x24",
        LockRequest {
            name: "n".into(),
            lease: 4660,
        },
    );
    let bytes = wire![HEADER_FIELD, HEADER_BODY, b"\x12\x01k"];
    pin(
        &bytes,
        LockResponse {
            header: Some(header()),
            key: "k".into(),
        },
    );
}

#[test]
fn unlock() {
    pin(b"\x0a\x01k", UnlockRequest { key: "k".into() });
    pin(
        &wire![HEADER_FIELD, HEADER_BODY],
        UnlockResponse {
            header: Some(header()),
        },
    );
}

fn leadership() -> LeaderKey {
    LeaderKey {
        name: "n".into(),
        key: "k".into(),
        rev: 300,
        lease: 4660,
    }
}

const LEADERSHIP_BODY: &[u8; 12] = b"\x0a\x01n\x12\x01k\x18\xac\x02\x20\xb4\x24";

#[test]
fn campaign() {
    let request = CampaignRequest {
        name: "n".into(),
        lease: 4660,
        value: "v".into(),
    };
    pin(b"\x0a\x01n\x10\xb4\x24\x1a\x01v", request);
    let bytes = wire![HEADER_FIELD, HEADER_BODY, b"\x12\x0c", LEADERSHIP_BODY];
    pin(
        &bytes,
        CampaignResponse {
            header: Some(header()),
            leader: Some(leadership()),
        },
    );
}

#[test]
fn leader() {
    pin(b"\x0a\x01n", LeaderRequest { name: "n".into() });
    let bytes = wire![HEADER_FIELD, HEADER_BODY, b"\x12\x10", PAIR_BODY];
    pin(
        &bytes,
        LeaderResponse {
            header: Some(header()),
            kv: Some(pair()),
        },
    );
}

#[test]
fn proclaim_and_resign() {
    let bytes = wire![b"\x0a\x0c", LEADERSHIP_BODY, b"\x12\x01v"];
    pin(
        &bytes,
        ProclaimRequest {
            leader: Some(leadership()),
            value: "v".into(),
        },
    );
    pin(
        &wire![b"\x0a\x0c", LEADERSHIP_BODY],
        ResignRequest {
            leader: Some(leadership()),
        },
    );
    let bytes = wire![HEADER_FIELD, HEADER_BODY];
    pin(
        &bytes,
        ProclaimResponse {
            header: Some(header()),
        },
    );
    pin(
        &bytes,
        ResignResponse {
            header: Some(header()),
        },
    );
}
