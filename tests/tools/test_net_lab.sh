#!/bin/sh
# thaw-test: timeout=60
# tools/net-lab: hosts with names of their own on both kinds of links, MPI across them, counters that count, and nothing left at the end.
root=$(cd "$(dirname "$0")/../.." && pwd)
dir=$(mktemp -d) || exit 1
export THAW_NET_LAB="$dir/lab"
lab=$root/tools/net-lab
trap '"$lab" down; rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
failures=0
fail() {
    echo "$*"
    failures=$((failures + 1))
}
spaces() { ip netns list 2>/dev/null | grep -c "^thaw$(printf %s "$THAW_NET_LAB" | cksum | cut -d ' ' -f 1)-"; }

for words in "" "up" "up many" "up 1" "up 2 1000" "nothing"; do
    # shellcheck disable=SC2086
    "$lab" $words >"$dir/out" 2>&1
    code=$?
    [ $code = 2 ] || fail "net-lab $words: ended with $code, not 2"
done
"$lab" run true 2>"$dir/err" && fail "a command runs where there is no lab"
grep -q 'net-lab up 4' "$dir/err" || fail "without a lab it does not say how to make one"

for links in "" "1000 100"; do
    # shellcheck disable=SC2086
    "$lab" up 2 $links >"$dir/out" 2>&1
    code=$?
    [ $code != 77 ] || { echo "SKIPPED: $(cat "$dir/out")"; exit 77; }
    [ $code = 0 ] || { fail "up 2 $links ended with $code: $(cat "$dir/out")"; continue; }
    "$lab" up 2 >"$dir/out" 2>&1 && fail "a lab that is in use is made again"
    names=$("$lab" run timeout 30 "${MPIEXEC:-mpirun}" -n 2 hostname 2>"$dir/err" | sort | tr '\n' ' ')
    [ "$names" = "n1 n2 " ] || fail "links '$links': ranks ran on '$names', not n1 n2: $(cat "$dir/err")"
    "$lab" bytes | awk '$2 != "sent" || $3 == 0 || $4 != "received" || $5 == 0 || $6 != "resent" || $7 == "" { bad = 1 } END { exit bad || NR != 2 }' ||
        fail "links '$links': bytes says: $("$lab" bytes)"
    "$lab" run sh -c 'exit 9'
    code=$?
    [ $code = 9 ] || fail "run ended with $code, its command with 9"
    switch=$(cat "$dir/lab/switch.pid" 2>/dev/null)
    "$lab" down
    [ "$(spaces)" = 0 ] || fail "links '$links': namespaces are left"
    [ ! -e "$dir/lab" ] || fail "links '$links': its directory is left"
    [ -z "$switch" ] || ! kill -0 "$switch" 2>/dev/null || fail "the switch still runs"
done
[ "$failures" = 0 ] && echo "all passed"
[ "$failures" = 0 ]
