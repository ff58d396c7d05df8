#!/bin/sh
# Phases: gradual unfreezing gives the same bits on any number of ranks, and after a kill on both sides of a boundary.
# thaw-test: timeout=240
set -u
. "$(dirname "$0")/lib.sh"
make_all

# In the style of ULMFiT: the head, then the last stage, then all, with discriminative rates and one rise and fall over the whole run.
cat >>run.yaml <<'YAML'
phases:
  - {rung: frozen, epochs: 1}
  - {rung: 'partial:layer3', epochs: 1, rates: {head: 0.05}}
  - {rung: full, rates: {head: 0.02, backbone: 0.01, layer_decay: 0.385}}
YAML
sed -i 's/epochs: 2,/epochs: 4,/' run.yaml # 5 steps an epoch, 20 in all

digest_of() { get "$1/summary.json" state_digest; }
rows_of() { grep '"kind":"\(epoch\|phase\)"' "$1/metrics.jsonl"; }

must "undisturbed run" ranks 1 train run.yaml --set output=plain
digest=$(digest_of plain)
rows_of plain >plain.rows
same "rows" "phase epoch phase epoch phase epoch epoch" "$(sed 's/.*"kind":"\([a-z]*\)".*/\1/' plain.rows | tr '\n' ' ' | sed 's/ $//')"
same "lines that say a thaw" 3 "$(grep -c 'phase [1-3] of 3, rung' err)"
same "rungs of the phases" "frozen partial:layer3 full" "$(get plain/summary.json phases.0.rung phases.1.rung phases.2.rung | tr '\n' ' ' | sed 's/ $//')"
same "steps of the phases" "5 5 10" "$(get plain/summary.json phases.0.steps phases.1.steps phases.2.steps | tr '\n' ' ' | sed 's/ $//')"
same "rung of the run" full "$(get plain/summary.json rung)"
previous=0
for phase in 0 1 2; do
    bytes=$(get plain/summary.json phases.$phase.allreduce_bytes_per_step)
    [ "$bytes" -gt "$previous" ] || fail "phase $phase sends $bytes bytes a step, the one before $previous"
    previous=$bytes
done

for count in 2 3 4 8; do
    ranks $count train run.yaml --quiet --set output=on-$count || fail "$count ranks: $(cat err)"
    same "digest on $count ranks" "$digest" "$(digest_of on-$count)"
    rows_of on-$count | diff plain.rows - >difference || fail "$count ranks: rows differ: $(head -4 difference)"
done

# as_if_nothing NAME: the run in directory NAME ended like the undisturbed one.
as_if_nothing() {
    same "$1: digest" "$digest" "$(digest_of "$1")"
    rows_of "$1" | diff plain.rows - >difference || fail "$1: rows differ: $(head -4 difference)"
    same "$1: drift" "$(get plain/summary.json drift.cka)" "$(get "$1/summary.json" drift.cka)"
    same "$1: steps of phase 2" 5 "$(get "$1/summary.json" phases.1.steps)"
}

# broken NAME FAULT RANKS THEN STEP: killed by FAULT, resumed on THEN ranks after STEP.
broken() {
    THAW_FAULT=$2
    export THAW_FAULT
    ranks "$3" train run.yaml --quiet --set "output=$1" --set train.checkpoint_every=1 --set train.checkpoint_async=off && fail "$1: survived $2"
    unset THAW_FAULT
    ranks "$4" train run.yaml --resume --set "output=$1" || fail "$1: resume: $(cat err)"
    grep -q "resumed after step $5 " err || fail "$1: $(cat err)"
    as_if_nothing "$1"
}

broken before-boundary kill_step:0:5 2 3 4
broken at-boundary kill_step:0:6 2 1 5
broken after-boundary kill_step:0:7 2 4 6
broken at-second kill_step:1:11 2 3 10
broken in-last kill_step:0:18 3 2 17

# A rank that has no memory where a phase begins ends all of them, and the run goes on later.
for pass in 2400 3000; do
    THAW_FAULT=alloc:1:$pass
    export THAW_FAULT
    ranks 2 train run.yaml --quiet --set "output=memory-$pass"
    same "exit code without memory at pass $pass" 4 $?
    unset THAW_FAULT
    same "messages without memory at pass $pass" 1 "$(errors)"
    ranks 2 train run.yaml --quiet --resume --set "output=memory-$pass" || fail "memory-$pass: resume: $(cat err)"
    as_if_nothing memory-$pass
done

# What a run leaves can be used without it: the same figures, and a file with all that any phase trained.
ranks 2 eval plain --split val --json || fail "eval: $(cat err)"
same "loss of eval" "$(get plain/summary.json val.loss)" "$(get out loss)"

# Freezing again keeps what was trained; the selected epoch may be of a phase that trained what is frozen at the end.
for count in 1 3; do
    ranks $count train run.yaml --quiet --set output=refrozen-$count \
        --set 'phases=[{rung: full, epochs: 2}, {rung: "partial:layer2", epochs: 1}, {rung: frozen}]' || fail "refrozen: $(cat err)"
done
same "digest when frozen again" "$(digest_of refrozen-1)" "$(digest_of refrozen-3)"
ranks 1 eval refrozen-1 --split val --json || fail "eval of refrozen: $(cat err)"
same "loss of eval when frozen again" "$(get refrozen-1/summary.json val.loss)" "$(get out loss)"

# Moments of what joins are young, and L2-SP pulls to the backbone's start, also what was frozen in between; resumed in the last phase.
cat >thrice.yaml <<'YAML'
phases: [{rung: full, epochs: 1}, {rung: 'partial:1', epochs: 1, rates: {backbone: 0.001}}, {rung: full, rates: {head: 0.005}}]
YAML
sed '/^phases/,$d' run.yaml >>thrice.yaml
thrice() { # NAME RANKS ARGUMENT...
    thrice_name=$1 thrice_on=$2
    shift 2
    ranks "$thrice_on" train thrice.yaml --quiet --set "output=$thrice_name" --set optimizer.kind=adamw --set optimizer.nesterov=false \
        --set optimizer.l2sp=0.1 --set rates.head=0.01 --set rates.backbone=0.002 "$@"
}
must "thawed again" thrice thrice 1
THAW_FAULT=kill_step:0:18
export THAW_FAULT
thrice thrice-killed 3 --set train.checkpoint_every=4 && fail "thawed again: survived"
unset THAW_FAULT
thrice thrice-killed 2 --resume || fail "thawed again: resume: $(cat err)"
same "digest when thawed again" "$(digest_of thrice)" "$(digest_of thrice-killed)"

# With a rate of zero val does not get better, so patience ends a phase; the next one has the rest, the one after that its epoch at least.
ranks 2 train run.yaml --quiet --set output=patient --set train.epochs=6 --set train.select=last \
    --set 'phases=[{rung: frozen, patience: 1, rates: {head: 0}}, {rung: "partial:1", patience: 100}, {rung: full}]' || fail "patience: $(cat err)"
same "epochs by patience" "2 3 1" "$(get patient/summary.json phases.0.epochs phases.1.epochs phases.2.epochs | tr '\n' ' ' | sed 's/ $//')"

# Features are kept while the boundary stays where it is, and computed again behind it.
ranks 2 train run.yaml --set output=kept --set 'data.augment={}' \
    --set 'phases=[{rung: frozen, epochs: 1}, {rung: frozen, epochs: 1, rates: {head: 0.2}}, {rung: "partial:1"}]' || fail "kept: $(cat err)"
same "cache of the last phase" memory "$(get kept/summary.json cache.place)"
ranks 1 train run.yaml --quiet --set output=not-kept --set 'data.augment={}' --set train.cache=off \
    --set 'phases=[{rung: frozen, epochs: 1}, {rung: frozen, epochs: 1, rates: {head: 0.2}}, {rung: "partial:1"}]' || fail "not kept: $(cat err)"
same "digest with and without kept features" "$(digest_of kept)" "$(digest_of not-kept)"

# What a config with phases would cost, and what is refused.
alone check run.yaml --json || fail "check: $(cat err)"
same "check: rungs" "frozen partial:layer3 full" "$(get out 0.rung 1.rung 2.rung | tr '\n' ' ' | sed 's/ $//')"
bad 2 'phases are for `thaw train`' alone ladder run.yaml --set output=ladder
bad 2 'phases was - rung: frozen .* when this run began' alone train run.yaml --resume --set output=in-last \
    --set 'phases=[{rung: frozen, epochs: 2}, {rung: full}]'

finish
