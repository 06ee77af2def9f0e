#!/usr/bin/env bash
# Obtains the source of dqlite, which Debian's stable releases have only in versions that are not safe to
# embed: the source package of Debian's unstable release, from the mirror and with the keys that apt is already
# set up with. Unpacked under .cache/dqlite/<version>; .cache/dqlite/source points to it. Does nothing when a new
# enough one is there. DQLITE_SOURCE names a folder to use instead.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly least=1.18.6
readonly cache=.cache/dqlite

complain() {
    echo "deploy/fetch-dqlite.sh: $*" >&2
    exit 1
}

# The version that a source folder says it is, or nothing.
version_of() {
    local header=$1/include/dqlite.h
    [[ -e $header ]] || return 0
    awk '$2 == "DQLITE_VERSION_MAJOR" { major = $3 }
         $2 == "DQLITE_VERSION_MINOR" { minor = $3 }
         $2 == "DQLITE_VERSION_RELEASE" { print major "." minor "." $3; exit }' "$header"
}

new_enough() {
    [[ -n $1 ]] && dpkg --compare-versions "$1" ge "$least"
}

# Debian's mirror, and the keyring that apt holds it to (or nothing: apt's own trusted keys), as apt is configured.
mirror_and_keyring() {
    local line entry
    line=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)|$(SOURCESENTRY)' 'Created-By: Packages' \
        | awk -F '|' '$1 == "Debian" && $2 == "Debian"' | head -n 1)
    [[ -n $line ]] || complain "apt knows no Debian mirror; run apt-get update, or set DQLITE_SOURCE"
    entry=${line##*|}
    echo "$(cut -d '|' -f 3 <<<"$line") $(keyring_in "${entry%:*}")"
}

# The keyring that a file of apt's sources names for Debian's archive, in either of the two formats.
keyring_in() {
    { grep -oiP '^\s*signed-by:\s*\K/\S+' "$1" || grep -oiP '\[[^\]]*signed-by=\K/[^\s\],]+' "$1" || true; } | head -n 1
}

# Downloads the source package into the folder $1; apt checks the signature of the index that has its digest.
download() {
    local mirror keyring option=""
    read -r mirror keyring <<<"$(mirror_and_keyring)"
    [[ -z $keyring ]] || option="[signed-by=$keyring]"
    mkdir -p "$1/lists"
    echo "deb-src $option $mirror sid main" >"$1/sources.list"
    local apt=(apt-get -qq
        -o "Dir::Etc::sourcelist=$1/sources.list" -o Dir::Etc::sourceparts=/dev/null
        -o "Dir::State::Lists=$1/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
        -o APT::Sandbox::User=root -o APT::Get::AllowUnauthenticated=false)
    "${apt[@]}" update
    (cd "$1" && "${apt[@]}" source --download-only dqlite)
}

# Unpacks what was downloaded into $1 beside the other versions, and points to it.
install() {
    local version
    dpkg-source -x "$1"/dqlite_*.dsc "$1/unpacked" >/dev/null
    version=$(version_of "$1/unpacked")
    new_enough "$version" || complain "Debian's unstable release has dqlite ${version:-of no version}, $least is needed"
    # Files come with the times of their release; a build must see that they are new here.
    find "$1/unpacked" -type f -exec touch {} +
    rm -rf "${cache:?}/$version"
    mv "$1/unpacked" "$cache/$version"
    ln -sfn "$version" "$cache/source"
    echo "dqlite $version is in $cache/$version"
}

new_enough "$(version_of "${DQLITE_SOURCE:-$cache/source}")" && exit
[[ -z ${DQLITE_SOURCE:-} ]] || complain "DQLITE_SOURCE=$DQLITE_SOURCE has no dqlite >= $least"
echo "fetching the source of dqlite"
mkdir -p "$cache"
scratch=$(mktemp -d "$PWD/$cache/fetch.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
download "$scratch"
install "$scratch"
