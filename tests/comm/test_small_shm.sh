#!/bin/sh
# A node whose shared memory is too small, or missing: every rank keeps a copy, one line says so, and nothing hangs or is left behind.
# thaw-test: timeout=120
set -u
build=$(cd "${1:?usage: $0 BUILD_DIR}" && pwd)
root=$(cd "$(dirname "$0")/../.." && pwd)
program=$build/comm_mpi_comm
[ -x "$program" ] || { echo "$program is not built"; exit 1; }
work=$(mktemp -d "${TMPDIR:-/tmp}/thaw-shm-XXXXXX")
trap 'rm -rf "$work"' EXIT
# The MPI library's own segments are not what this is about: Open MPI's, and those of UCX, which MPICH uses.
export OMPI_MCA_btl_vader_backing_directory="$work" UCX_POSIX_DIR="$work"
failures=0

# run WHAT EXPECTED-LINES COMMAND...
run() {
    what=$1 expected=$2
    shift 2
    "$@" "$root/tools/mpirun" 40 3 "$program" >"$work/out" 2>"$work/err" || {
        echo "FAIL: $what: exit code $?"
        cat "$work/out" "$work/err"
        failures=$((failures + 1))
    }
    lines=$(grep -c 'no shared memory for' "$work/err")
    [ "$lines" = "$expected" ] || {
        echo "FAIL: $what: $lines lines about shared memory, expected $expected"
        cat "$work/err"
        failures=$((failures + 1))
    }
}

before=$(find /dev/shm -name 'thaw-*' 2>/dev/null | grep -c .)
run "as it is" 0 env
run "no room, by a fault" 1 env THAW_FAULT=shared:0:4
after=$(find /dev/shm -name 'thaw-*' 2>/dev/null | grep -c .)
[ "$before" = "$after" ] || { echo "FAIL: segments were left in /dev/shm"; failures=$((failures + 1)); }
if unshare -m mount -t tmpfs -o size=64k tmpfs /dev/shm 2>/dev/null; then
    # The first segments of the test fit, that of 1 MiB does not.
    cat >"$work/small" <<'SH'
mount -t tmpfs -o size=64k tmpfs /dev/shm && exec "$@"
SH
    run "64 KiB of shared memory" 1 unshare -m sh "$work/small"
else
    echo "not tried: a small /dev/shm (no right to mount)"
fi
[ "$failures" = 0 ] || exit 1
echo "all passed"
