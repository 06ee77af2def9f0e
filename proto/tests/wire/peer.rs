//! The peer protocol, pinned line by line: members of two releases must agree on every number and type in it.

use std::collections::BTreeSet;

use prost_reflect::{DescriptorPool, EnumDescriptor, FieldDescriptor, MessageDescriptor, MethodDescriptor};

const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/peer_descriptors.bin"));
/// What has been said so far. Lines are added with what is new; none is changed or taken away.
const SAID: &str = include_str!("peer_protocol.txt");

fn method(method: &MethodDescriptor) -> String {
    let stream = |streams: bool| if streams { "stream " } else { "" };
    format!(
        "{} {}{} -> {}{}",
        method.full_name(),
        stream(method.is_client_streaming()),
        method.input().name(),
        stream(method.is_server_streaming()),
        method.output().name(),
    )
}

fn field(field: &FieldDescriptor) -> String {
    let list = if field.is_list() { "repeated " } else { "" };
    let choice = field.containing_oneof();
    let choice = choice.map_or_else(String::new, |choice| format!(" of {}", choice.name()));
    format!(
        "{} = {} {list}{:?}{choice}",
        field.full_name(),
        field.number(),
        field.kind()
    )
}

fn fields(message: &MessageDescriptor) -> Vec<String> {
    message.fields().map(|each| field(&each)).collect()
}

fn values(each: &EnumDescriptor) -> Vec<String> {
    let name = each.full_name();
    let values = each.values();
    values
        .map(|value| format!("{name}.{} = {}", value.name(), value.number()))
        .collect()
}

#[test]
fn what_has_been_said_is_said_for_good() {
    let pool = DescriptorPool::decode(DESCRIPTORS).expect("the descriptors load");
    let methods = pool
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>());
    let mut now: BTreeSet<String> = methods.map(|each| method(&each)).collect();
    now.extend(pool.all_messages().flat_map(|message| fields(&message)));
    now.extend(pool.all_enums().flat_map(|each| values(&each)));
    let said: BTreeSet<String> = SAID.lines().map(str::to_owned).collect();
    assert!(said.len() > 200, "only {} lines", said.len());
    let gone: Vec<_> = said.difference(&now).collect();
    assert!(gone.is_empty(), "changed or gone:\n{gone:#?}");
    let new: Vec<_> = now.difference(&said).cloned().collect();
    assert!(
        new.is_empty(),
        "to be added to peer_protocol.txt:\n{}",
        new.join("\n")
    );
}
