#!/bin/sh
# thaw-test: timeout=120
# tools/scale-sim: what SimGrid makes of an all-reduce is what its formula says, on few ranks of a star; and a study goes in, a CSV comes out.
tool=$(cd "$(dirname "$0")/../.." && pwd)/tools/scale-sim
for needed in smpirun python3; do
    command -v $needed >/dev/null || { echo "SKIPPED: no $needed (tools/setup simgrid)"; exit 77; }
done
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
failures=0
fail() {
    echo "FAIL: $*"
    failures=$((failures + 1))
}

cat >scale.json <<'JSON'
{"shards": 24, "batch": 48, "ranks": [1, 2, 4, 8],
 "model": {"rungs": [{"rung": "frozen", "serial_seconds": 0.0001, "shard_seconds": 0.0001, "points_fitted": 7},
                     {"rung": "full", "serial_seconds": 0.01, "shard_seconds": 0.05, "points_fitted": 7}]},
 "points": [{"rung": "frozen", "shards": 24, "plan_calls": 1, "allreduce_bytes": 16512},
            {"rung": "full", "shards": 24, "plan_calls": 44, "allreduce_bytes": 44858784}]}
JSON
python3 "$tool" scale.json --check >out 2>&1 || fail "--check: $(cat out)"
[ "$(grep -c 'of the communication' out)" = 6 ] || fail "--check compared other than two rungs on three counts: $(cat out)"
python3 "$tool" scale.json --ranks 8 --networks fattree --out rows.csv >out 2>&1 || fail "fat tree: $(cat out)"
[ "$(grep -c . rows.csv)" = 3 ] || fail "rows.csv: $(cat rows.csv)"
python3 "$tool" scale.json --ranks 9 --networks dragonfly >out 2>&1 && fail "a dragonfly of 9 nodes was taken"
grep -q 'no dragonfly of 9' out || fail "which dragonflies there are: $(cat out)"
[ "$failures" = 0 ]
