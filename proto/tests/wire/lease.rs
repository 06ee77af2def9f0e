//! Leases.

use proto::etcdserverpb::*;

use crate::{HEADER_BODY, HEADER_FIELD, header, pin, wire};

#[test]
fn grant() {
    pin(b"\x08\x3c\x10\xb4\x24", LeaseGrantRequest { ttl: 60, id: 4660 });
    let bytes = wire![
        HEADER_FIELD,
        HEADER_BODY,
        b"\x10\xb4\x24",
        b"\x18\x3c",
        b"\x22\x03why"
    ];
    let response = LeaseGrantResponse {
        header: Some(header()),
        id: 4660,
        ttl: 60,
        error: "why".into(),
    };
    pin(&bytes, response);
}

#[test]
fn revoke() {
    pin(b"\x08\xb4\x24", LeaseRevokeRequest { id: 4660 });
    pin(
        &wire![HEADER_FIELD, HEADER_BODY],
        LeaseRevokeResponse {
            header: Some(header()),
        },
    );
}

#[test]
fn keep_alive() {
    pin(b"\x08\xb4\x24", LeaseKeepAliveRequest { id: 4660 });
    let bytes = wire![HEADER_FIELD, HEADER_BODY, b"\x10\xb4\x24", b"\x18\x3c"];
    pin(
        &bytes,
        LeaseKeepAliveResponse {
            header: Some(header()),
            id: 4660,
            ttl: 60,
        },
    );
}

#[test]
fn time_to_live() {
    pin(
        b"\x08\xb4\x24\x10\x01",
        LeaseTimeToLiveRequest { id: 4660, keys: true },
    );
    let bytes = wire![
        HEADER_FIELD,
        HEADER_BODY,
        b"\x10\xb4\x24",
        b"\x18\x3b",
        b"\x20\x3c",
        b"\x2a\x01a",
        b"\x2a\x02\xff\x00",
    ];
    let response = LeaseTimeToLiveResponse {
        header: Some(header()),
        id: 4660,
        ttl: 59,
        granted_ttl: 60,
        keys: vec!["a".into(), vec![0xff, 0x00].into()],
    };
    pin(&bytes, response);
}

#[test]
fn leases() {
    pin(b"", LeaseLeasesRequest {});
    let bytes = wire![
        HEADER_FIELD,
        HEADER_BODY,
        b"\x12\x03\x08\xb4\x24",
        b"\x12\x02\x08\x01"
    ];
    let leases = vec![LeaseStatus { id: 4660 }, LeaseStatus { id: 1 }];
    pin(
        &bytes,
        LeaseLeasesResponse {
            header: Some(header()),
            leases,
        },
    );
}
