#!/bin/sh
# Killed at any moment, on any rank, a run continues to the same bits; also on another number of ranks.
# thaw-test: timeout=240
set -u
. "$(dirname "$0")/lib.sh"
make_all
# 15 steps, 5 an epoch. Which checkpoint a kill leaves is only known where steps wait for them; tests/tools/kill_loop has the others.
sed 's/epochs: 2/epochs: 3, checkpoint_async: off/' run.yaml >long.yaml

epochs_of() { grep '"kind":"epoch"' "$1/metrics.jsonl"; }

must "undisturbed run" ranks 2 train long.yaml --quiet --set rung=full --set output=plain
digest=$(get plain/summary.json state_digest)
epochs_of plain >plain.epochs
same "epoch rows of the undisturbed run" 3 "$(grep -c . plain.epochs)"

# as_if_nothing NAME: the run in directory NAME ended like the undisturbed one.
as_if_nothing() {
    same "$1: digest" "$digest" "$(get "$1/summary.json" state_digest)"
    epochs_of "$1" | diff plain.epochs - >difference || fail "$1: epoch rows differ: $(head -4 difference)"
    same "$1: validation loss" "$(get plain/summary.json val.loss)" "$(get "$1/summary.json" val.loss)"
    find "$1" -name '*.tmp*' | grep . && fail "$1: temporary files are left"
}

# killed NAME FAULT RANKS ARGUMENT...: the run must die, soon and completely.
killed() {
    name=$1 fault=$2 count=$3
    shift 3
    began=$(milliseconds)
    THAW_FAULT=$fault
    export THAW_FAULT
    ranks "$count" train long.yaml --quiet --set rung=full --set "output=$name" "$@" && fail "$name: survived $fault"
    unset THAW_FAULT
    took=$(($(milliseconds) - began))
    [ $took -lt $((9000 * ${THAW_TEST_SLOWER:-1})) ] || fail "$name: took $took ms to end after $fault"
    gone "$name"
    [ ! -f "$name/summary.json" ] || fail "$name: has a summary although it was killed"
}

resumed() { # NAME RANKS ARGUMENT...
    name=$1 count=$2
    shift 2
    ranks "$count" train long.yaml --resume --set rung=full --set "output=$name" "$@" || fail "$name: resume: $(cat err)"
    grep -o 'resumed after step [0-9]*' err | sed "s/^/$name: /"
}

# A rank dies: before the first checkpoint, after one, in mid-epoch; the others resume on another number of ranks.
killed early kill_step:1:2 2
resumed early 2
as_if_nothing early
grep -q 'resumed' err && fail "early: there was nothing to resume from"

killed later kill_step:0:8 2
resumed later 3
grep -q 'resumed after step 5 ' err || fail "later: $(cat err)"
as_if_nothing later

killed middle kill_step:1:9 3 --set train.checkpoint_every=1
resumed middle 1 --set train.checkpoint_every=4
grep -q 'resumed after step 8 ' err || fail "middle: $(cat err)"
as_if_nothing middle

killed twice kill_step:3:7 4 --set train.checkpoint_every=3
THAW_FAULT=kill_step:1:6
export THAW_FAULT
ranks 2 train long.yaml --resume --quiet --set rung=full --set output=twice && fail "twice: survived its second kill"
unset THAW_FAULT
resumed twice 4
as_if_nothing twice

# The writer dies in the middle of a checkpoint: the older one is whole, and is used.
killed first-checkpoint kill_ckpt:0:1 2
resumed first-checkpoint 2
as_if_nothing first-checkpoint

killed third-checkpoint kill_ckpt:0:3 2 --set train.checkpoint_every=2
resumed third-checkpoint 4
grep -q 'resumed after step 4 ' err || fail "third-checkpoint: $(cat err)"
as_if_nothing third-checkpoint

# Another checkpoint than the newest: those of later steps than the next one are none of this run's past.
killed back kill_step:0:9 2 --set train.checkpoint_every=1 --set train.checkpoint_keep=9
third=back/checkpoints/step-000000000003.h5
cp -r back back-2
cp -r back back-3
ranks 3 train long.yaml --resume $third --set rung=full --set output=back --set train.checkpoint_keep=9 || fail "back: $(cat err)"
grep -q 'resumed after step 3 ' err || fail "back: $(cat err)"
as_if_nothing back
same "back: checkpoints" "3 4 5 10" "$(find back/checkpoints -name '*.h5' | sed 's/.*step-0*\(.*\).h5/\1/' | sort -n | grep -v '^[12]$' | tr '\n' ' ' | sed 's/ $//')"
alone train --resume long.yaml --set rung=full --set output=back-2 || fail "back-2: $(cat err)"
grep -q 'resumed after step 8 ' err || fail "the newest, before the config: $(cat err)"
as_if_nothing back-2

# refused WHAT CODE PATTERN ARGUMENT...: nothing is changed.
refused() {
    what=$1 wanted=$2 pattern=$3
    shift 3
    (cd back-3 && find . -type f | sort | xargs ls -l --full-time) >before
    ranks 2 train long.yaml --quiet --set rung=full --set output=back-3 "$@"
    same "$what: exit code" "$wanted" $?
    same "$what: messages" 1 "$(errors)"
    grep -q "$pattern" err || fail "$what: $(cat err)"
    (cd back-3 && find . -type f | sort | xargs ls -l --full-time) | diff before - >difference || fail "$what: changed $(head -4 difference)"
}
ranks 2 train long.yaml --quiet --set rung=full --set output=other --set seed=4 || fail "another run: $(cat err)"
refused "another run's checkpoint" 3 'other/checkpoints/step-000000000010.h5: .*another run: .*seed was 4' --resume other/checkpoints/step-000000000010.h5
refused "adaptation.h5" 2 'other/adaptation.h5 is no checkpoint' --resume other/adaptation.h5
refused "no file" 3 'step-000000000099.h5 is not there; .* has 8, the oldest of step 1, the newest of step 8' --resume back-3/checkpoints/step-000000000099.h5
refused "a word too many" 2 "unexpected '3'" --resume 3
printf damaged | dd of=back-3/checkpoints/step-000000000004.h5 bs=1 seek=20000 conv=notrunc 2>/dev/null
refused "a damaged one" 3 'step-000000000004.h5 is damaged' --resume back-3/checkpoints/step-000000000004.h5
alone data import --quiet --images images.idx --labels labels.idx \
    --select 3=ash,4=birch,5=cedar --splits train=100total,val=13total,gate=25,test=rest --slices soft=birch+cedar -o other.h5 || fail "other data: $(cat err)"
refused "other data" 3 'step-000000000005.h5: the dataset (digest) differs' --resume back/checkpoints/step-000000000005.h5 --set data.file=other.h5

# A complete run is left as it is.
before=$(ls -l --full-time plain/summary.json)
resumed plain 1
same "a complete run is not touched" "$before" "$(ls -l --full-time plain/summary.json)"

# The checkpoint of the best epoch outlives newer ones. That of the last epoch is adaptation.h5.
ranks 2 train long.yaml --set rung=full --set output=best --set train.checkpoint_every=2 --set train.checkpoint_keep=1 || fail "best: $(cat err)"
epoch=$(sed -n 's|.*epoch \([12]\)/3 .*  \*$|\1|p' err | tail -1)
as_if_nothing best
same "best: its step" $((5 * epoch)) "$(sed -n 's/^step=\([0-9]*\) .* best=1$/\1/p' best/checkpoints/manifest.txt)"
same "best: files" "$(printf '%012d\n' $((5 * epoch)) 14)" "$(find best/checkpoints -name '*.h5' | sed 's/.*step-\(.*\).h5/\1/' | sort)"
alone info best
grep -q "^best on val  *that of step $((5 * epoch)): best/checkpoints/step-" out || fail "best: info says $(grep best out)"
finish
