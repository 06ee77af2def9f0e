#!/usr/bin/env bash
# Installs what the build of dqlite and the tests need and Cargo cannot build: libuv and lz4 for dqlite, the tools that
# unpack its source package, and protoc, for the build of the etcd client that drives the integration tests; what
# cuts the members of a tested cluster off, and gives them wrong clocks. Does nothing when all is there.
set -euo pipefail

# A command or file, and the packages that bring it.
missing() {
    command -v protoc >/dev/null || echo protobuf-compiler
    [[ -e /usr/include/google/protobuf/descriptor.proto ]] || echo libprotobuf-dev
    command -v pkg-config >/dev/null || echo pkg-config
    command -v dpkg-source >/dev/null || echo dpkg-dev
    has_archive libuv uv_a || has_archive libuv uv || echo libuv1-dev
    has_archive liblz4 lz4 || echo liblz4-dev
    command -v nft >/dev/null || [[ -e /usr/sbin/nft ]] || echo nftables
    command -v ip >/dev/null || [[ -e /usr/sbin/ip ]] || echo iproute2
    compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null || echo libfaketime
}

# Whether pkg-config knows the library $1, and the static archive $2 is beside it.
has_archive() {
    local folder
    folder=$(pkg-config --variable=libdir "$1" 2>/dev/null) && [[ -e $folder/lib$2.a ]]
}

as_root() {
    if [[ $(id -u) == 0 ]]; then "$@"; else sudo "$@"; fi
}

mapfile -t packages < <(missing)
[[ ${#packages[@]} != 0 ]] || exit 0
echo "installing ${packages[*]}"
export DEBIAN_FRONTEND=noninteractive
as_root apt-get update -qq
as_root apt-get install -y -qq --no-install-recommends "${packages[@]}"
mapfile -t packages < <(missing)
[[ ${#packages[@]} == 0 ]] || { echo "still missing: ${packages[*]}" >&2; exit 1; }
