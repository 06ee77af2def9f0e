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

as_root() {
    if [[ $(id -u) == 0 ]]; then "$@"; else sudo "$@"; fi
}

# Debian's archive in apt's configuration: its URI without the last slash, and the file that names it.
archive_entry() {
    apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)|$(SOURCESENTRY)' 'Created-By: Packages' \
        | awk -F '|' '$1 == "Debian" && $2 == "Debian" && !found++ {
                          sub(/\/$/, "", $3); sub(/:[0-9]+$/, "", $4); print $3, $4 }'
}

# The keyring that the file $2 of apt's sources, of stanzas or of lines, names for the URI $1. None: apt has its own keys.
keyring_for() {
    local separator=$'\n'
    [[ $2 != *.sources ]] || separator=""
    awk -v RS="$separator" -v uri="$1" 'index($0, uri)' "$2" \
        | { grep -oiP '^[^#]*signed-by[:=]\s*\K/[^\s\],]+' || true; } | sed -n 1p
}

# Downloads the source package into the folder $1. apt checks the signature of the index that has its digest.
download() {
    local entry uri file keyring
    entry=$(archive_entry)
    # Whose archive an entry is, apt knows from its index.
    [[ -n $entry ]] || { as_root apt-get update -qq && entry=$(archive_entry); }
    [[ -n $entry ]] || complain "apt is set up without Debian's archive; set DQLITE_SOURCE to a source of dqlite"
    read -r uri file <<<"$entry"
    keyring=$(keyring_for "$uri" "$file")
    mkdir -p "$1/lists"
    echo "deb-src ${keyring:+[signed-by=$keyring]} $uri sid main" >"$1/sources.list"
    local apt=(apt-get -qq
        -o "Dir::Etc::sourcelist=$1/sources.list" -o Dir::Etc::sourceparts=/dev/null
        -o "Dir::State::Lists=$1/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
        -o APT::Sandbox::User=root -o APT::Get::AllowUnauthenticated=false -o Acquire::AllowInsecureRepositories=false)
    "${apt[@]}" update
    (cd "$1" && "${apt[@]}" source --download-only dqlite)
}

# Unpacks what was downloaded into $1 beside the other versions, and points to it.
install() {
    local version
    # The package's own signature is its maintainer's, whose key is not at hand; its digest was checked.
    dpkg-source -x "$1"/dqlite_*.dsc "$1/unpacked" >"$1/log" 2>&1 || { cat "$1/log" >&2; exit 1; }
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
scratch=$(mktemp -d -p "$PWD/$cache")
trap 'rm -rf "$scratch"' EXIT
download "$scratch"
install "$scratch"
