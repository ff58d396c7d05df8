#!/bin/sh
# A rank whose weights are not those of the others is caught within train.check_every steps, before a checkpoint is written, and named.
# thaw-test: timeout=120
set -u
. "$(dirname "$0")/lib.sh"
make_all # 5 steps an epoch

# caught NAME RANKS FAULT STEP PATTERN ARGUMENT...: the run ends after STEP with a message that has PATTERN.
caught() {
    name=$1 count=$2 fault=$3 step=$4 pattern=$5
    shift 5
    THAW_FAULT=$fault
    export THAW_FAULT
    ranks "$count" train run.yaml --quiet --set rung=full --set "output=$name" --set train.log_every=1 "$@"
    code=$?
    unset THAW_FAULT
    same "$name: exit code" 1 $code
    same "$name: messages" 1 "$(errors)"
    grep -q "what was trained, after step $step, differs between ranks: $pattern" err || fail "$name: $(grep thaw err)"
    same "$name: the last step" "$step" "$(grep '"kind":"step"' "$name/metrics.jsonl" | tail -1 | sed 's/.*"step":\([0-9]*\).*/\1/')"
    gone "$name"
}

host=$(uname -n)
caught middle 4 desync:2:6 8 "rank 2 on host $host is not what most have" --set train.check_every=4 --set train.epochs=4
caught same-step 3 desync:0:3 3 "rank 0 on host $host is not what most have" --set train.check_every=1
caught two 2 desync:1:2 4 "rank 1 on host $host and the others part" --set train.check_every=4
caught epoch 3 desync:1:2 5 "rank 1 on host $host" --set train.check_every=0
caught default 3 desync:1:7 10 "rank 1 on host $host"

# Not even a checkpoint that is due earlier is written, and what was saved before is good.
caught saved 3 desync:0:4 4 "rank 0 on host $host" --set train.checkpoint_every=2
ranks 2 train run.yaml --resume --set rung=full --set output=saved || fail "resume: $(cat err)"
grep -q 'resumed after step 2 ' err || fail "resume: $(cat err)"
ranks 3 train run.yaml --quiet --set rung=full --set output=plain --set train.check_every=1 || fail "plain: $(cat err)"
same "digest after resuming" "$(get plain/summary.json state_digest)" "$(get saved/summary.json state_digest)"

# In a run with phases what is frozen by now is compared, too.
caught phases 3 desync:2:5 5 "rank 2 on host $host" --set rung=frozen --set 'phases=[{rung: full, epochs: 1}, {rung: frozen}]'
finish
