//! What a member says of itself.

use actors::MemberDescription;
use journal::{Identity, Schemas, Size};
use proto::peer as pb;

use super::{WireError, progress_from_wire, progress_to_wire};

pub(in crate::peers) fn description_to_wire(member: MemberDescription) -> pb::DescribeResponse {
    pb::DescribeResponse {
        cluster_id: member.identity.cluster_id,
        member_id: member.identity.member_id,
        name: member.name,
        client_urls: member.client_urls,
        server_version: member.server_version,
        protocol: member.protocol,
        progress: Some(progress_to_wire(member.progress)),
        size_allocated: member.size.allocated,
        size_in_use: member.size.in_use,
        leader_member_id: member.leader,
        schema_known: member.schemas.known,
        schema_in_use: member.schemas.in_use,
    }
}

pub(in crate::peers) fn description_from_wire(
    wire: pb::DescribeResponse,
) -> Result<MemberDescription, WireError> {
    Ok(MemberDescription {
        identity: Identity {
            cluster_id: wire.cluster_id,
            member_id: wire.member_id,
        },
        name: wire.name,
        client_urls: wire.client_urls,
        server_version: wire.server_version,
        protocol: wire.protocol,
        progress: progress_from_wire(wire.progress)?,
        size: Size {
            allocated: wire.size_allocated,
            in_use: wire.size_in_use,
        },
        leader: wire.leader_member_id,
        schemas: Schemas {
            known: wire.schema_known,
            in_use: wire.schema_in_use,
        },
    })
}
