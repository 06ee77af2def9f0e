#!/usr/bin/env bash
# A cluster of three members on loopback, with TLS towards clients and between members, in the foreground: Ctrl-C or
# SIGTERM stops it, one member after the other. Certificates, keys and data are in ./taffrail.cluster and are used
# again the next time. TAFFRAIL names a binary that was built with Dqlite; arguments are given to every member.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly binary=${TAFFRAIL:-target/release/taffrail}
readonly home=$PWD/taffrail.cluster
readonly names=(n1 n2 n3) client_ports=(2379 22379 32379) peer_ports=(2380 22380 32380)
# How long a certificate is good for, and how much of that must be left, in days.
readonly valid=825 least_left=7

as_root() {
    if [[ $(id -u) == 0 ]]; then "$@"; else sudo "$@"; fi
}

install_openssl() {
    command -v openssl >/dev/null && return
    echo "installing openssl"
    as_root apt-get update -qq
    DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq --no-install-recommends openssl
}

# Whether the certificate $1 is there, and good for some days more.
is_good() {
    [[ -s $home/$1.crt && -s $home/$1.key ]] &&
        openssl x509 -in "$home/$1.crt" -noout -checkend $((least_left * 86400)) >/dev/null
}

new_key() {
    openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$home/$1.key" 2>/dev/null ||
        openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$home/$1.key"
}

make_authority() {
    is_good ca && return
    new_key ca
    openssl req -x509 -new -key "$home/ca.key" -days $valid -subj "/CN=Taffrail cluster on loopback" \
        -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" \
        -out "$home/ca.crt"
    # What another authority signed is of no more use.
    rm -f "$home/member.crt" "$home/client.crt"
}

# Makes the certificate $1 for the subject $2 with the extensions $3.
issue() {
    is_good "$1" && return
    new_key "$1"
    openssl req -new -key "$home/$1.key" -subj "/CN=$2" |
        openssl x509 -req -CA "$home/ca.crt" -CAkey "$home/ca.key" -CAcreateserial -days $valid \
            -extfile <(printf '%s\n' "$3") -out "$home/$1.crt" 2>/dev/null
}

make_certificates() {
    umask 077
    mkdir -p "$home"
    make_authority
    issue member taffrail "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1
extendedKeyUsage=serverAuth,clientAuth"
    issue client client "extendedKeyUsage=clientAuth"
}

initial_cluster() {
    local index list=()
    for index in "${!names[@]}"; do
        list+=("${names[index]}=https://127.0.0.1:${peer_ports[index]}")
    done
    (IFS=,; echo "${list[*]}")
}

# The command line of the member with the index $1, in the array `command_line`.
compose() {
    local client=https://127.0.0.1:${client_ports[$1]} peer=https://127.0.0.1:${peer_ports[$1]}
    command_line=("$binary" --name "${names[$1]}" --data-dir "$home/${names[$1]}"
        --listen-client-urls "$client" --advertise-client-urls "$client"
        --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer"
        --initial-cluster "$(initial_cluster)"
        --cert-file "$home/member.crt" --key-file "$home/member.key"
        --client-cert-auth --trusted-ca-file "$home/ca.crt"
        --peer-cert-file "$home/member.crt" --peer-key-file "$home/member.key"
        --peer-trusted-ca-file "$home/ca.crt" --log-outputs "$home/${names[$1]}.log")
}

pids=()

# Members are in sessions of their own: the terminal's Ctrl-C is for this script, which stops them in turn.
start_members() {
    local index command_line
    for index in "${!names[@]}"; do
        compose "$index"
        setsid "${command_line[@]}" "$@" &
        pids[index]=$!
    done
}

stop_members() {
    trap '' INT TERM
    local index
    for index in "${!pids[@]}"; do
        kill -TERM "${pids[index]}" 2>/dev/null || continue
        echo "stopping ${names[index]}"
        wait "${pids[index]}" || true
    done
    exit
}

# Whether the member on this port says that it is ready.
is_ready() {
    printf 'GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n' |
        openssl s_client -quiet -connect "127.0.0.1:$1" -CAfile "$home/ca.crt" -verify_return_error \
            -cert "$home/client.crt" -key "$home/client.key" 2>/dev/null | grep -q '^HTTP/1.1 200'
}

all_are_ready() {
    local port
    for port in "${client_ports[@]}"; do
        is_ready "$port" || return 1
    done
}

wait_until_ready() {
    local deadline=$((SECONDS + 60))
    until all_are_ready; do
        ((SECONDS < deadline)) || { echo "not ready in time: see $home/*.log" >&2; stop_members; }
        sleep 0.2
    done
}

show_use() {
    cat <<END

A cluster of three is ready; Ctrl-C stops it. Logs: $home/n?.log

  export ETCDCTL_API=3
  export ETCDCTL_ENDPOINTS=https://127.0.0.1:2379,https://127.0.0.1:22379,https://127.0.0.1:32379
  export ETCDCTL_CACERT=$home/ca.crt ETCDCTL_CERT=$home/client.crt ETCDCTL_KEY=$home/client.key
  etcdctl endpoint status --cluster --write-out table
  etcdctl put greeting hello
  etcdctl member list --write-out table

END
}

# Says which member ended, until none is left.
watch_members() {
    local ended index status
    while ((${#pids[@]})); do
        ended=""
        status=0
        wait -n -p ended "${pids[@]}" || status=$?
        for index in "${!pids[@]}"; do
            [[ ${pids[index]} == "$ended" ]] || continue
            echo "${names[index]} ended with status $status; its log: $home/${names[index]}.log" >&2
            unset "pids[index]"
        done
    done
    return 1
}

install_openssl
[[ -x $binary ]] || { echo "$binary is missing: make cluster builds it" >&2; exit 1; }
make_certificates
trap stop_members INT TERM
start_members "$@"
wait_until_ready
show_use
watch_members
