#!/bin/sh
# Phases under train.shard_optimizer: the optimizer's state moves from part to part by name, so that bits are those of a run without parts.
# thaw-test: timeout=240
set -u
. "$(dirname "$0")/lib.sh"
make_all

# Tensors join, freeze and join again, so that every cut lies elsewhere in each phase; moments, anchors and the selected epoch go along.
cat >sharded.yaml <<'YAML'
phases:
  - {rung: frozen, epochs: 1}
  - {rung: full, epochs: 1, rates: {layer_decay: 0.5}}
  - {rung: 'partial:layer3', epochs: 1}
  - {rung: full, rates: {head: 0.005}}
YAML
sed -e 's/epochs: 2,/epochs: 4,/' -e 's/^schedule: .*/schedule: {kind: slanted, cut: 0.2}/' run.yaml >>sharded.yaml # 5 steps an epoch, 20 in all

# train NAME RANKS ARGUMENT...
train() {
    name=$1 count=$2
    shift 2
    ranks "$count" train sharded.yaml --set "output=$name" --set optimizer.kind=adamw --set optimizer.nesterov=false \
        --set optimizer.l2sp=0.1 --set rates.head=0.01 --set rates.backbone=0.002 "$@"
}
digest_of() { get "$1/summary.json" state_digest; }

must "run with the whole optimizer on each rank" train whole 2
for count in 1 2 3 4 8; do
    train "parts-$count" "$count" --set train.shard_optimizer=true || fail "on $count ranks: $(cat err)"
    same "digest on $count ranks" "$(digest_of whole)" "$(digest_of "parts-$count")"
done
[ "$(get parts-4/summary.json gathered_bytes_per_step)" -gt 0 ] || fail "4 ranks gave each other nothing"

goes_on() { # NAME FAULT RANKS SETTING RANKS SETTING STEP
    THAW_FAULT=$2
    export THAW_FAULT
    train "$1" "$3" --set train.checkpoint_every=1 --set train.checkpoint_async=off --set "train.shard_optimizer=$4" && fail "$1: survived $2"
    unset THAW_FAULT
    gone "$1"
    train "$1" "$5" --resume --set "train.shard_optimizer=$6" || fail "$1: resume: $(cat err)"
    grep -q "resumed after step $7 " err || fail "$1: $(cat err)"
    same "$1: digest" "$(digest_of whole)" "$(digest_of "$1")"
}
goes_on before-boundary kill_step:1:10 3 true 2 true 9
goes_on at-boundary kill_step:0:11 2 true 4 true 10
goes_on after-boundary kill_step:1:12 4 true 3 true 11
goes_on parts-to-whole kill_step:0:16 3 true 2 false 15
goes_on whole-to-parts kill_step:0:17 2 false 8 true 16

finish
