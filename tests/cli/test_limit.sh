#!/bin/sh
# How far the backbone may move: warned of, slowed down, taken back; the same on any ranks and after a kill.
# thaw-test: timeout=180 ranks=4
set -u
. "$(dirname "$0")/lib.sh"
make_all
sed 's/epochs: 2/epochs: 4/' run.yaml >limit.yaml # 20 steps, 5 an epoch

digest() { get "$1/summary.json" state_digest; }
of_limit() { get "$1/summary.json" "limit.$2"; }
# rows RUN KIND FIELD
rows() { grep "\"kind\":\"$2\"" "$1/metrics.jsonl" | grep -o "\"$3\":[^,}]*" | cut -d: -f2-; }
product() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.9g", a * b }'; }
full="--quiet --set rung=full"

must "run without a limit" ranks 1 train limit.yaml $full --set output=free
grep -q '"limit"' free/summary.json && fail "a limit that nobody asked for"

# A warning changes nothing, and says how far an epoch went.
must "run that is warned" ranks 2 train limit.yaml $full --set output=warned --set limit.epoch=1e-6
same "digest with a warning" "$(digest free)" "$(digest warned)"
same "warnings" 4 "$(grep -c 'of its weights from its start, limit.epoch is 1e-06' err)"
same "epochs over, undone, first" "4 0 1" "$(echo $(of_limit warned epochs_over) $(of_limit warned epochs_undone) $(of_limit warned first_epoch))"
same "rows of the limit" 4 "$(rows warned limit moved | grep -c .)"
same "factors" "1 1 1 1" "$(echo $(rows warned epoch backbone_factor))"
must "total" ranks 1 train limit.yaml $full --set output=total --set limit.total=1e-6
same "motion since the start" "$(rows total epoch motion | sed 's/.*{//' | head -1 | grep -c .)" 1
first=$(product 1e-6 "$(rows warned epoch moved_limits | head -1)")
same "the first epoch's motion, by either limit" "$(rows warned limit moved | head -1)" "$(rows total limit moved | head -1)"

# Cut: each epoch beyond it halves the rates of the backbone alone.
for count in 1 2 4; do
    ranks $count train limit.yaml $full --set output=cut-$count --set limit.epoch=1e-6 --set limit.action=cut || fail "cut on $count ranks: $(cat err)"
    same "digest on $count ranks" "$(digest cut-1)" "$(digest cut-$count)"
done
[ "$(digest cut-1)" != "$(digest free)" ] || fail "a cut changes nothing"
same "factors of cuts" "0.5 0.25 0.125 0.0625" "$(echo $(rows cut-4 epoch backbone_factor))"
same "the factor at the end" 0.0625 "$(of_limit cut-4 backbone_factor)"
same "the first epoch before its cut" "$(rows free epoch train.loss | head -1)" "$(rows cut-1 epoch train.loss | head -1)"

# Rollback with factor 0: the first epoch is taken back, and the backbone stays where it was; the head goes on.
for count in 1 2 4; do
    ranks $count train limit.yaml $full --set output=back-$count --set limit.epoch=1e-6 --set limit.action=rollback --set limit.factor=0 ||
        fail "rollback on $count ranks: $(cat err)"
    same "digest on $count ranks" "$(digest back-1)" "$(digest back-$count)"
done
same "epochs over, undone" "1 1" "$(echo $(of_limit back-2 epochs_over) $(of_limit back-2 epochs_undone))"
grep -q 'the epoch is taken back, and the backbone goes on at 0 of its rates' err || fail "nothing says that it went back: $(cat err)"
get back-1/summary.json drift.blocks.stem drift.blocks.layer1.0 | grep -v '^0$' && fail "the backbone moved"
same "losses of the epochs" 4 "$(rows back-1 epoch val.loss | sort -u | grep -c .)"

# What was taken back is not selected, though the head's rate makes every later epoch worse.
must "select" ranks 2 train limit.yaml $full --set output=selected --set limit.epoch=1e-6 --set limit.action=rollback --set limit.factor=0 \
    --set train.select=loss --set rates.head=3
same "epochs over, undone" "1 1" "$(echo $(of_limit selected epochs_over) $(of_limit selected epochs_undone))"
rows selected epoch val.loss | sort -g | head -1 | grep -qx "$(rows selected epoch val.loss | head -1)" || fail "the first epoch is not the best by its loss: $(rows selected epoch val.loss)"
same "an epoch after the one that was taken back" "$(rows selected epoch val.loss | sed 1d | sort -g | head -1)" \
    "$(rows selected epoch val.loss | sed -n "$(get selected/summary.json selected_epoch)p")"

# Taken back at a limit from the start of training, so that the copy is of a trained epoch; killed in the epoch that goes back.
limits="--set limit.action=rollback --set optimizer.kind=adamw --set rates.backbone=0.001 --set train.ema=0.5 --set train.checkpoint_every=1"
must "how far adamw goes" ranks 1 train limit.yaml $full $limits --set output=far --set limit.action=warn --set limit.total=1e-6
limit_total=$(product "$(rows far limit moved | head -1)" 1.01)
must "rollback later on" ranks 1 train limit.yaml $full $limits --set output=later --set limit.total="$limit_total"
[ "$(of_limit later first_epoch)" -gt 1 ] || fail "the first epoch is below the limit: $(of_limit later first_epoch)"
[ "$(of_limit later epochs_undone)" -ge 1 ] || fail "no epoch was taken back"
get later/summary.json drift.blocks | tr ',' '\n' | grep -o '[0-9.e-]*[}]*$' | awk -v most="$limit_total" '$1 + 0 > most { bad = 1 } END { exit bad }' ||
    fail "a block is beyond the limit: $(get later/summary.json drift.blocks)"
THAW_FAULT=kill_step:1:8
export THAW_FAULT
ranks 3 train limit.yaml $full $limits --set output=killed --set limit.total="$limit_total" --set train.checkpoint_async=off && fail "survived its kill"
unset THAW_FAULT
gone killed
ranks 2 train limit.yaml --resume --set rung=full $limits --set output=killed --set limit.total="$limit_total" || fail "resume: $(cat err)"
grep -q 'resumed after step 7 ' err || fail "killed: $(cat err)"
same "digest after a kill" "$(digest later)" "$(digest killed)"
same "the limit's record after a kill" "$(of_limit later epochs_undone) $(of_limit later worst.moved)" "$(of_limit killed epochs_undone) $(of_limit killed worst.moved)"
bad 2 'limit.total' ranks 1 train limit.yaml --resume $full $limits --set output=killed --set limit.total=1

# With phases: nothing is limited while nothing of the backbone trains, and each phase has its own start of an epoch.
sed 's/epochs: 4/epochs: 4, ema: 0.5/' limit.yaml >phases.yaml
echo "phases: [{rung: frozen, epochs: 1}, {rung: 'partial:1', epochs: 1}, {rung: full}]" >>phases.yaml
for count in 1 4; do
    ranks $count train phases.yaml --quiet --set output=phases-$count --set limit.epoch=1e-6 --set limit.action=rollback || fail "phases: $(cat err)"
done
same "digest with phases" "$(digest phases-1)" "$(digest phases-4)"
# What joins after an epoch was taken back counts its moments from the updates that were kept.
sed 's/^optimizer:.*/optimizer: {kind: adamw}/' phases.yaml >adamw.yaml
for count in 1 4; do
    ranks $count train adamw.yaml --quiet --set output=adamw-$count --set limit.epoch=1e-6 --set limit.action=rollback || fail "phases with adamw: $(cat err)"
done
same "digest with phases and adamw" "$(digest adamw-1)" "$(digest adamw-4)"
same "epochs over with phases, the first" "3 2" "$(echo $(of_limit phases-1 epochs_over) $(of_limit phases-1 first_epoch))"

# From scratch there is nothing to stay close to.
must "scratch" ranks 1 train limit.yaml --quiet --set rung=scratch --set output=scratch --set limit.epoch=1e-6
grep -q '"limit"' scratch/summary.json && fail "scratch has a limit"

bad 2 'limit.action.*limit.epoch or limit.total' ranks 1 train limit.yaml $full --set output=none --set limit.action=cut
bad 2 'limit.factor.*cut or rollback' ranks 1 train limit.yaml $full --set output=none --set limit.epoch=1 --set limit.factor=0.1
bad 2 'limit.action.*shard_optimizer' ranks 1 train limit.yaml $full --set output=none --set limit.epoch=1 --set limit.action=rollback --set train.shard_optimizer=true
finish
