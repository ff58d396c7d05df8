#!/bin/sh
# What a watchdog ends, and what it leaves alone.
# thaw-test: timeout=120
set -u
build=$(cd "${1:?usage: $0 BUILD_DIR}" && pwd)
root=$(cd "$(dirname "$0")/../.." && pwd)
program=$build/comm_tool_watchdog
[ -x "$program" ] || { echo "$program is not built"; exit 1; }
work=$(mktemp -d "${TMPDIR:-/tmp}/thaw-watchdog-XXXXXX")
trap 'rm -rf "$work"' EXIT
export OMPI_MCA_pml="${OMPI_MCA_pml:-ob1}" OMPI_MCA_btl="${OMPI_MCA_btl:-self,vader}"
failures=0

# run MODE RANKS EXPECTED-CODE
run() {
    "$root/tools/mpirun" 40 "$2" "$program" "$1" 1 >"$work/out" 2>"$work/err"
    code=$?
    [ $code = "$3" ] || {
        echo "FAIL: $1 on $2 ranks: exit code $code, expected $3"
        cat "$work/out" "$work/err"
        failures=$((failures + 1))
    }
}

# says COUNT PATTERN
says() {
    [ "$(grep -c "$2" "$work/err")" = "$1" ] || {
        echo "FAIL: not $1 times '$2' in:"
        cat "$work/err"
        failures=$((failures + 1))
    }
}

run deadlock 3 1
says 1 '^thaw: error: '
says 1 '^thaw: error: no rank on .* made progress for 1 s: all wait for each other'
says 3 '^  rank [0-2] (pid [0-9]* on .*): starting, waits in MPI_Barrier; beat'
for mode in work patience again; do
    run $mode 3 0
    says 0 thaw
    grep -q '^done$' "$work/out" || { echo "FAIL: $mode did not come to its end"; failures=$((failures + 1)); }
done
run again 1 0
[ "$failures" = 0 ] || exit 1
echo "all passed"
