#!/bin/sh
# Large batches: memory that does not grow with them, the same answer on any ranks with lars and lamb, rates that scale.
# thaw-test: timeout=120
set -u
. "$(dirname "$0")/lib.sh"
must "files" "$tool" idx . 3 1400 8
must "import" alone data import --quiet --images images.idx --labels labels.idx --select 0=red,1=green,2=blue \
    --splits train=4150total,val=30total,gate=rest -o many.h5
cat >run.yaml <<'YAML'
output: run
rung: scratch
data: {file: many.h5, test: ""}
model: {arch: resnet20, width: 4}
train: {epochs: 1, batch: 4096, shards: 256, eval_batch: 32, log_every: 1}
optimizer: {kind: lars, weight_decay: 0.0001, trust_coefficient: 0.02}
rates: {head: 0.1, backbone: 0.2, scale_with_batch: linear, reference_batch: 512}
YAML

# plan BATCH SHARDS: what a rank plans with.
plan() {
    must "check of batch $1" alone check run.yaml --json --set train.batch="$1" --set train.shards="$2"
    grep -oE '"(arena|state)_bytes_per_rank": ?[0-9]+|"allreduce_bytes_per_step": ?[0-9]+' out
}
plan 64 4 >small.plan
plan 4096 256 >large.plan
same "planned figures" 3 "$(grep -c . small.plan)"
diff small.plan large.plan >difference || fail "a batch of 4096 plans otherwise than one of 64 with shards of the same size: $(cat difference)"
cat large.plan

# trained NAME RANKS ARGUMENT...
trained() {
    name=$1 count=$2
    shift 2
    ranks "$count" train run.yaml --set output="$name" "$@" || fail "$name: $(cat err)"
}
digest() { get "$1/summary.json" state_digest; }
for kind in lars lamb; do
    trained $kind-1 1 --set optimizer.kind=$kind
    grep -q 'rates times 8, linear scaling from a batch of 512 to 4096: head 0.8, backbone 1.6' err || fail "the log does not say how rates scale: $(cat err)"
    trained $kind-2 2 --set optimizer.kind=$kind
    same "$kind: digest on 2 ranks" "$(digest $kind-1)" "$(digest $kind-2)"
done
# One shard is not a step: samples that are read ahead are a window on it.
trained by-rows 2 --set data.memory_limit_gib=0
same "digest when data are read by rows" "$(digest lars-1)" "$(digest by-rows)"
same "digests of lars and lamb" 2 "$(for r in lars lamb; do digest $r-1; done | sort -u | grep -c .)"
same "rates in the summary" "0.8 1.6 8" "$(get lars-1/summary.json rates.head rates.backbone rates.batch_factor | tr '\n' ' ' | sed 's/ $//')"
trained small 1 --set train.batch=64 --set train.shards=4
same "planned bytes of a run" "$(get small/summary.json planned_bytes_per_rank)" "$(get lars-1/summary.json planned_bytes_per_rank)"
echo "peak of a rank: batch 64 $(get small/summary.json peak_rss_bytes_per_rank), batch 4096 $(get lars-1/summary.json peak_rss_bytes_per_rank)"

# The rates that scaling gives are those that can be written down.
trained written 1 --set rates.scale_with_batch=none --set rates.head=0.8 --set rates.backbone=1.6
same "digest with the scaled rates" "$(digest lars-1)" "$(digest written)"
same "factor without scaling" 1 "$(get written/summary.json rates.batch_factor)"
finish
