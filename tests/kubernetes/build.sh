#!/usr/bin/env bash
# Builds the Kubernetes commands (and the etcd that serves as the control) from the
# Go module proxy into <repository>/.cache/kubernetes/<version>/. Does nothing when
# what lies there was built from the same sources by the same compiler.
# `build.sh control` builds only the control etcd, which the storage tests need.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

export CGO_ENABLED=0
export GOFLAGS="-p=${GO_PARALLEL:-2} -trimpath"

version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
output="$(cd ../.. && pwd)/.cache/kubernetes/$version"
commands=(kube-apiserver kube-controller-manager kube-scheduler kubectl)
mkdir -p "$output"

sources_digest() { # package
    { go version; cat go.mod go.sum build.sh "cmd/$1"/*.go; } | sha256sum | cut -d' ' -f1
}

build() { # package, linker flags
    local stamp="$output/$1.sources" digest started=$SECONDS
    digest=$(sources_digest "$1")
    if [[ -x "$output/$1" && -f "$stamp" && $(<"$stamp") == "$digest" ]]; then
        echo "$1 $version: up to date"
        return
    fi
    echo "$1 $version: building (minutes, when nothing is cached)"
    rm -f "$stamp"
    go build -ldflags "-s -w $2" -o "$output/$1" "./cmd/$1"
    echo "$digest" >"$stamp"
    echo "$1 $version: built in $((SECONDS - started)) s, $(du -h "$output/$1" | cut -f1)"
}

build etcd ""
[[ "${1:-all}" == control ]] && exit

IFS=. read -r major minor _ <<<"${version#v}"
package=k8s.io/component-base/version
build kubernetes "-X $package.gitVersion=$version -X $package.gitMajor=$major -X $package.gitMinor=$minor"
for command in "${commands[@]}"; do
    ln -sf kubernetes "$output/$command"
done
