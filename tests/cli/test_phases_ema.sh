#!/bin/sh
# Phases under train.ema: one average of all that has trained so far; what freezes becomes its average; the same bits on any ranks and after a kill.
# thaw-test: timeout=240
set -u
. "$(dirname "$0")/lib.sh"
make_all

# The last stage freezes, rests, and joins again while the stem trains for the first time.
cat >averaged.yaml <<'YAML'
phases:
  - {rung: 'partial:layer3', epochs: 2}
  - {rung: frozen, epochs: 1}
  - {rung: full, rates: {layer_decay: 0.5}}
YAML
sed 's/epochs: 2,/epochs: 4, ema: 0.8,/' run.yaml >>averaged.yaml # 5 steps an epoch, 20 in all

digest_of() { get "$1/summary.json" state_digest; }
rows_of() { grep '"kind":"epoch"' "$1/metrics.jsonl"; }
must "undisturbed run" ranks 1 train averaged.yaml --set output=plain
digest=$(digest_of plain)
rows_of plain >plain.rows
for count in 2 3 4 8; do
    ranks $count train averaged.yaml --quiet --set output=on-$count || fail "$count ranks: $(cat err)"
    same "digest on $count ranks" "$digest" "$(digest_of on-$count)"
    rows_of on-$count | diff plain.rows - >difference || fail "$count ranks: rows differ: $(head -4 difference)"
done
ranks 4 train averaged.yaml --quiet --set output=in-parts --set train.shard_optimizer=true || fail "in parts: $(cat err)"
same "digest with the optimizer in parts" "$digest" "$(digest_of in-parts)"

broken() { # NAME FAULT RANKS THEN STEP
    THAW_FAULT=$2
    export THAW_FAULT
    ranks "$3" train averaged.yaml --quiet --set "output=$1" --set train.checkpoint_every=1 --set train.checkpoint_async=off && fail "$1: survived $2"
    unset THAW_FAULT
    gone "$1"
    ranks "$4" train averaged.yaml --resume --set "output=$1" || fail "$1: resume: $(cat err)"
    grep -q "resumed after step $5 " err || fail "$1: $(cat err)"
    same "$1: digest" "$digest" "$(digest_of "$1")"
    rows_of "$1" | diff plain.rows - >difference || fail "$1: rows differ: $(head -4 difference)"
}
broken at-freeze kill_step:0:11 2 3 10
broken while-frozen kill_step:1:13 3 2 12
broken at-thaw kill_step:0:16 4 1 15
broken after-thaw kill_step:1:17 2 4 16

# While frozen, a weight is its average; what trains is apart from its own.
ranks 2 train averaged.yaml --quiet --set output=frozen --set train.select=last --set train.checkpoint_every=1 \
    --set 'phases=[{rung: "partial:layer3", epochs: 3}, {rung: frozen}]' || fail "frozen at the end: $(cat err)"
newest=$(ls frozen/checkpoints/step-*.h5 | tail -1)
values() { "$tool" values "$newest" "$1" || fail "$1 in $newest"; }
same "a frozen weight and its average" "$(values model/layer3.0.conv1.weight)" "$(values ema/layer3.0.conv1.weight)"
[ "$(values model/fc.weight)" != "$(values ema/fc.weight)" ] || fail "the head is its average while it trains"
ranks 1 eval frozen --split val --json || fail "eval: $(cat err)"
same "loss of eval" "$(get frozen/summary.json val.loss)" "$(get out loss)"
ranks 1 eval plain --split val --json || fail "eval: $(cat err)"
same "loss of eval of the selected" "$(get plain/summary.json val.loss)" "$(get out loss)"

finish
