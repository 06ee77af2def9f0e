#!/bin/sh
# Builds the etcd and etcdctl that the parity tests compare with, in the version
# that go.mod names, into <repository>/.cache/peers/etcd-<version>/. Does nothing
# when they are there already. Prints the directory.
set -eu
cd "$(dirname "$0")"

export GOFLAGS="${GOFLAGS:--p=2} -buildvcs=false"
export CGO_ENABLED=0

version=$(go list -m -f '{{.Version}}' go.etcd.io/etcd/server/v3)
peers="$(cd ../.. && pwd)/.cache/peers/etcd-${version#v}"

build() {
    name=$1
    package=$2
    [ -x "$peers/$name" ] && return 0
    echo "building $name $version" >&2
    go build -trimpath -ldflags '-s -w' -o "$peers/$name.new.$$" "$package"
    mv "$peers/$name.new.$$" "$peers/$name"
}

mkdir -p "$peers"
build etcd go.etcd.io/etcd/server/v3
build etcdctl go.etcd.io/etcd/etcdctl/v3
echo "$peers"
