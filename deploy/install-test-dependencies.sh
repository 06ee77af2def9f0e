#!/usr/bin/env bash
# Installs what the tests need and Cargo cannot build: protoc, for the build of the etcd client that
# drives the integration tests. Does nothing when it is there.
set -euo pipefail

has_protoc() {
    command -v protoc >/dev/null && [[ -e /usr/include/google/protobuf/descriptor.proto ]]
}

as_root() {
    if [[ $(id -u) == 0 ]]; then "$@"; else sudo "$@"; fi
}

has_protoc && exit
echo "installing protobuf-compiler and libprotobuf-dev"
export DEBIAN_FRONTEND=noninteractive
as_root apt-get update -qq
as_root apt-get install -y -qq --no-install-recommends protobuf-compiler libprotobuf-dev
has_protoc || { echo "protoc is still missing" >&2; exit 1; }
