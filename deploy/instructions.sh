#!/usr/bin/env bash
# Counts the instructions of the hot parts of the rules, for a machine whose time is too noisy to be measured: the same
# program counts the same within a few in a thousand, whatever runs beside it. Needs valgrind. Usage: instructions.sh PROGRAM
set -euo pipefail

program=${1:?which program}
times=200

command -v valgrind > /dev/null || {
    echo "instructions are counted with valgrind (Debian's package of that name)" >&2
    exit 1
}

count() {
    valgrind --tool=cachegrind --cache-sim=no --cachegrind-out-file=/dev/null "$program" "$1" "$2" 2>&1 |
        awk '/I +refs:/ { gsub(",", "", $NF); print $NF; found = 1 } END { exit !found }'
}

for case in decide-put decide-update apply-put get range-of-500 count-of-10000; do
    ran=$(count "$case" run)
    prepared=$(count "$case" prepare)
    printf '%-16s %10d instructions\n' "$case" $(((ran - prepared) / times))
done
