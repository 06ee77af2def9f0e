//! Generates the Rust code and the descriptor set from the .proto files, without an installed protoc.
//!
//! The peer protocol is generated apart: the descriptor set is of what clients see.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost::Message;

const CLIENT_FILES: [&str; 11] = [
    "authpb.proto",
    "etcdserverpb/auth.proto",
    "etcdserverpb/cluster.proto",
    "etcdserverpb/header.proto",
    "etcdserverpb/kv.proto",
    "etcdserverpb/lease.proto",
    "etcdserverpb/maintenance.proto",
    "etcdserverpb/watch.proto",
    "mvccpb.proto",
    "v3electionpb.proto",
    "v3lockpb.proto",
];

const PEER_FILES: [&str; 4] = [
    "taffrail/command.proto",
    "taffrail/effect.proto",
    "taffrail/peer.proto",
    "taffrail/reply.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    for file in CLIENT_FILES.iter().chain(&PEER_FILES) {
        println!("cargo:rerun-if-changed={file}");
    }
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let for_clients = protox::compile(CLIENT_FILES, [&root])?;
    embed(for_clients.clone(), &out.join("descriptors.bin"))?;
    generate(for_clients)?;
    let for_peers = protox::compile(PEER_FILES, [&root])?;
    embed(for_peers.clone(), &out.join("peer_descriptors.bin"))?;
    generate(for_peers)
}

/// Without the clients' `connect`, which would pull tonic's transport into a crate that has no other use
/// for it.
fn generate(descriptors: prost_types::FileDescriptorSet) -> Result<(), Box<dyn Error>> {
    tonic_prost_build::configure()
        .build_transport(false)
        .codec_path("crate::codec::SizedCodec")
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}

/// Writes a set that the library or its tests embed. Comments and source positions serve rustdoc only and stay
/// out.
fn embed(mut descriptors: prost_types::FileDescriptorSet, to: &Path) -> Result<(), Box<dyn Error>> {
    for file in &mut descriptors.file {
        file.source_code_info = None;
    }
    fs::write(to, descriptors.encode_to_vec())?;
    Ok(())
}
