#!/bin/sh
# thaw-test: timeout=120
# Each benchmark once, as briefly as it can: a row with a figure of each side that is there. The table itself on records whose
# ratios are known. What needs PyTorch is skipped with a word.
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:?build directory}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
failures=0
fail() {
    echo "$*"
    sed 's/^/    /' "$dir/out"
    failures=$((failures + 1))
}
expect() { grep -qE -- "$1" "${2:-$dir/out}" || fail "no '$1' in:"; }

# Table and JSON: medians, ratios turned so that more is better, bars of both generations of PyTorch.
cat >"$dir/bars" <<'R'
net/full/*  2 1.5
R
cat >"$dir/records" <<'R'
value net/full/np1 ours samples/s 300
value net/full/np1 torch-1.13 samples/s 100
value net/full/np1 torch-2.13 samples/s 250
value net/full/np1 ours samples/s 100
value net/full/np1 torch-1.13 samples/s 100
value net/full/np1 ours samples/s 200
value start ours s 0.5
value start torch-1.13 s 2
value start ours s failed
mark net/full/np1 the mark
detail net/full/np1 torch-1.13 said "so"
note a note
R
awk -v bench=made -v bars="$dir/bars" -v json="$dir/json" -f "$root/tools/bench/table.awk" "$dir/records" >"$dir/out" 2>&1 || fail "table.awk failed:"
expect '^net/full/np1 .* 200\.0 \[100\.0\.\.300\.0\] .* 2\.00 +2 met .* 0\.80 +1\.5 NOT  the mark'
expect '^start .* 0\.5 .* 4\.00 +-'
expect '^1 of 2 bars met'
expect '"median":200,"least":100,"most":300,"quartiles":\[150,250\]' "$dir/json"
expect '"peer":"torch-2.13","ratio":0.8000,"bar":1.5,"met":false' "$dir/json"
expect 'said \\"so\\"' "$dir/json"
if command -v python3 >/dev/null; then
    python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "$dir/json" >"$dir/out" 2>&1 || fail "not JSON:"
fi

peers=none
for python in python3 /usr/bin/python3; do
    "$python" -c 'import torch' 2>/dev/null && peers=$python && break
done
[ $peers != none ] || echo "skipped: the peers' side; python3 has no PyTorch"
bench() { # NAME ARGUMENT...
    name=$1
    shift
    THAW_PEER_PYTHON=$peers THAW_BENCH_VARIANTS=eager-cl,eager-nchw "$root/tools/bench/$name" --build "$build" --rounds 1 --seconds 0.05 "$@" \
        >"$dir/out" 2>&1 || fail "tools/bench/$name failed:"
    [ "$peers" = none ] || expect 'torch-[0-9.]+: PyTorch '
}

export THAW_BENCH_NETS=resnet20@8:4 THAW_BENCH_RANKS=1 THAW_BENCH_RUNGS="partial:1 infer"
bench step --clock cpu --json "$dir/step.json"
expect '^resnet20@8/partial:1/np1/first +samples/core-s +[0-9.]+ '
expect '^resnet20@8/partial:1/np1/later +samples/core-s +[0-9.]+ '
expect '^resnet20@8/infer/np1 +samples/core-s +[0-9.]+ '
grep -q 'not the same work' "$dir/out" && fail "other parameters train:"
expect '"row":"resnet20@8/infer/np1"' "$dir/step.json"
export THAW_BENCH_IMAGES=8 THAW_BENCH_SIDE=16 THAW_BENCH_LADDER_ROWS=frozen-224
bench ladder --json "$dir/ladder.json"
expect '^frozen-10-epochs/resnet18@16 +s +[0-9.]+ '
expect '^frozen-10-epochs/resnet18@16/core +core-s +[0-9.]+ '

export THAW_BENCH_TRACE=no
bench start
expect '^start/np1 +s +[0-9.]+ '
expect '^start/np1/memory +MiB +[0-9.]+ '

export THAW_BENCH_NETS=resnet20@8:2 THAW_BENCH_FUNCTIONS=norm/resnet50.layer1
bench kernels
expect '^resnet20@8/conv/layer1.0.conv1/weights +GFLOP/s .* of peak, residual [0-9.]+e-0[4-9] '
expect '^function/batch_norm/resnet50.layer1 +GB/s .* of triad, residual [0-9.]+e-0[4-9]'

peers=none # it measures our side alone
export THAW_BENCH_RUNGS=full
bench profile --clock cpu
expect 'conv2d/backward'
expect '^step .* unexplained [0-9.]+ %$'

export THAW_BENCH_NETS=resnet20@16 THAW_BENCH_RANKS=1 THAW_BENCH_IMAGES=64 THAW_BENCH_FACTORS=2
THAW_BENCH_IMAGES=32 THAW_BENCH_EVERY=1 bench checkpoint
expect '^checkpoint/resnet20@16/np1 +% +[0-9.]+ '
expect '^checkpoint/resnet20@16/np1/speed +samples/s +[0-9.]+ '
bench disk
expect '^disk/resnet20@16/np1/x2 +% +[0-9.]+ '
expect '^disk/resnet20@16/np1/x2/speed +samples/s +[0-9.]+ '

"$root/tools/bench/step" --wrong 1 >"$dir/out" 2>&1 && fail "a wrong option was taken:"

[ "$failures" = 0 ]
