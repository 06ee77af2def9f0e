#!/usr/bin/env bash
# Builds what is not built yet and runs all tests, with the same compiler flags so that
# nothing is compiled twice. Arguments go to `go test`, -backend=etcd for instance.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

./build.sh
export CGO_ENABLED=0
export GOFLAGS="-p=${GO_PARALLEL:-2} -trimpath"
go vet ./...
exec go test -count=1 -timeout=15m ./... "$@"
