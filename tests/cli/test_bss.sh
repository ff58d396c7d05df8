#!/bin/sh
# Batch spectral shrinkage in training: on any ranks, with what keeps features, and refused where shards are too small.
# thaw-test: timeout=120 ranks=4
set -u
. "$(dirname "$0")/lib.sh"
make_all
sed 's/shards: 24/shards: 4/' run.yaml >bss.yaml # 6 samples a shard

digest() { get "$1/summary.json" state_digest; }

must "run without" ranks 1 train bss.yaml --quiet --set rung=full --set output=without
for count in 1 2 4; do
    ranks $count train bss.yaml --quiet --set rung=full --set output=on-$count --set train.bss=0.01 --set train.bss_values=2 || fail "on $count ranks: $(cat err)"
    same "digest on $count ranks" "$(digest on-1)" "$(digest on-$count)"
done
[ "$(digest without)" != "$(digest on-1)" ] || fail "the penalty changes nothing"
must "evaluation" alone eval on-1 --json
same "loss on val, evaluated again" "$(get on-1/summary.json val.loss)" "$(get out loss)"
must "export" alone export on-1 --format safetensors -o on.safetensors

# Features that do not train cannot shrink: the same bits (a head with dropout draws other numbers behind one more operator).
for cache in auto off; do
    must "frozen" ranks 2 train bss.yaml --quiet --set rung=frozen --set model.head_dropout=0 --set output=frozen-$cache --set train.cache=$cache
    must "frozen with the penalty" ranks 2 train bss.yaml --quiet --set rung=frozen --set model.head_dropout=0 --set output=held-$cache --set train.cache=$cache --set train.bss=0.01
    same "digest of frozen, cache $cache" "$(digest frozen-$cache)" "$(digest held-$cache)"
done

# The other half of L2-SP, over phases: its anchor stays 0 where the head was trained before.
echo "phases: [{rung: frozen, epochs: 1}, {rung: full}]" >>bss.yaml
for count in 1 4; do
    ranks $count train bss.yaml --quiet --set output=phases-$count --set optimizer.l2sp=0.1 --set optimizer.l2sp_head=0.1 || fail "phases: $(cat err)"
done
same "digest with phases" "$(digest phases-1)" "$(digest phases-4)"

bad 2 'train.bss.*6 samples' ranks 1 train bss.yaml --quiet --set output=none --set train.bss=0.01 --set train.bss_values=6
bad 2 'train.bss_values.*train.bss' ranks 1 train bss.yaml --quiet --set output=none --set train.bss_values=2
finish
