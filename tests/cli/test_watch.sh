#!/bin/sh
# Val beside that of training from scratch: compared epoch by epoch, warned of, stopped; the same on any ranks and after a kill.
# thaw-test: timeout=180 ranks=4
set -u
. "$(dirname "$0")/lib.sh"
make_all
# A source of colours and a target of the same: with a backbone rate that destroys what was learned, the head's val stays below scratch's.
must "a target with enough val" alone data import --quiet --images images.idx --labels labels.idx \
    --select 3=ash,4=birch,5=cedar --splits train=101total,val=60total,gate=15,test=rest --slices soft=birch+cedar -o target.h5
sed 's/epochs: 2/epochs: 6, select: last/; s/  augment:.*//' run.yaml >watch.yaml

digest() { get "$1/summary.json" state_digest; }
of_watch() { get "$1/summary.json" "watch.$2"; }
rows() { grep '"kind":"epoch"' "$1/metrics.jsonl" | grep -o "\"$2\":[^,}]*" | cut -d: -f2-; }
quiet="--quiet --set watch.evaluations=2"

# Both learn nothing at a rate of 0 but for the heads they start with; scratch learns.
for count in 1 4; do
    ranks $count train watch.yaml $quiet --set rung=scratch --set output=scratch-$count --set watch.action=warn || fail "scratch: $(cat err)"
done
[ -f scratch-1/curve-val.h5 ] || fail "scratch left no curve"
cmp -s scratch-1/curve-val.h5 scratch-4/curve-val.h5 || same "curves" "$("$tool" names scratch-1/curve-val.h5)" "$("$tool" names scratch-4/curve-val.h5)"
grep -q '"watch"' scratch-1/summary.json && fail "scratch is watched"

still="--set rung=frozen --set rates.head=0 --set watch.scratch=scratch-1"
for count in 1 2 4; do
    ranks $count train watch.yaml $quiet $still --set output=warned-$count --set watch.action=warn || fail "warn: $(cat err)"
    same "digest on $count ranks" "$(digest warned-1)" "$(digest warned-$count)"
    same "record on $count ranks" "$(of_watch warned-1 delta) $(of_watch warned-1 high)" "$(of_watch warned-$count delta) $(of_watch warned-$count high)"
done
grep -q 'negative transfer, as far as val of one seed can tell: accuracy is surely below that of scratch-1 at the same epoch, 2 evaluations running' err ||
    fail "no warning: $(cat err)"
same "warnings" 1 "$(grep -c 'negative transfer' err)"
same "epochs of a run that is warned" 6 "$(get warned-1/summary.json epochs)"
first=$(of_watch warned-1 epoch)
[ "$first" -ge 2 ] || fail "first epoch: $first"
# The difference is that of the two runs' val.
awk -v d="$(rows warned-1 scratch_delta | sed -n 6p)" -v a="$(rows warned-1 val.accuracy | sed -n 6p)" -v b="$(rows scratch-1 val.accuracy | sed -n 6p)" \
    'BEGIN { exit !(d < 0 && d - (a - b) < 1e-6 && (a - b) - d < 1e-6) }' || fail "difference: $(rows warned-1 scratch_delta) of $(rows warned-1 val.accuracy) and $(rows scratch-1 val.accuracy)"
same "a count that starts over or goes on" "$(rows warned-1 scratch_below | tail -1)" "$(rows warned-1 scratch_below | sort -n | tail -1)"

must "run that is stopped" ranks 2 train watch.yaml $quiet $still --set output=stopped --set watch.action=stop
same "epochs of a run that is stopped" "$first" "$(get stopped/summary.json epochs)"
same "it says so" "true $first" "$(of_watch stopped stopped) $(of_watch stopped epoch)"
grep -q '; the run stops' err || fail "nothing says that it stops: $(cat err)"

# One that learns is not below itself: a run beside one with the same curve.
must "frozen that learns" ranks 1 train watch.yaml $quiet --set rung=full --set output=learns --set watch.action=stop --set watch.scratch=scratch-1
[ "$(get learns/summary.json epochs)" = 6 ] || [ "$(of_watch learns high)" != 0 ] || fail "stopped without a reason"

# Killed between two evaluations, it stops where it would have; scratch leaves the same curve.
step=$((first * 5 - 3))
THAW_FAULT=kill_step:0:$((step + 1))
export THAW_FAULT
ranks 1 train watch.yaml $quiet $still --set output=killed --set watch.action=stop --set train.checkpoint_every=1 --set train.checkpoint_async=off && fail "survived its kill"
ranks 1 train watch.yaml $quiet --set rung=scratch --set output=again --set watch.action=warn --set train.checkpoint_every=1 --set train.checkpoint_async=off && fail "scratch survived its kill"
unset THAW_FAULT
gone killed
# Beside another run from scratch it does not go on as if nothing were different.
mv scratch-1/curve-val.h5 curve-val.h5
must "scratch of another seed" ranks 1 train watch.yaml $quiet --set rung=scratch --set output=other --set watch.action=warn --set seed=9
cp other/curve-val.h5 scratch-1/curve-val.h5
bad 3 'scratch-1/curve-val.h5 is another curve than this run was compared with' ranks 2 train watch.yaml --resume --set watch.evaluations=2 $still \
    --set output=killed --set watch.action=stop --set train.checkpoint_every=1
mv curve-val.h5 scratch-1/curve-val.h5
ranks 2 train watch.yaml --resume --set watch.evaluations=2 $still --set output=killed --set watch.action=stop --set train.checkpoint_every=1 || fail "resume: $(cat err)"
grep -q "resumed after step $step " err || fail "killed: $(cat err)"
same "digest after a kill" "$(digest stopped)" "$(digest killed)"
same "epoch and difference after a kill" "$(of_watch stopped epoch) $(of_watch stopped delta)" "$(of_watch killed epoch) $(of_watch killed delta)"
ranks 2 train watch.yaml --resume $quiet --set rung=scratch --set output=again --set watch.action=warn --set train.checkpoint_every=1 || fail "resume of scratch: $(cat err)"
must "beside the resumed one" ranks 1 train watch.yaml $quiet $still --set output=beside --set watch.action=stop --set watch.scratch=again
same "difference beside the resumed one" "$(of_watch stopped delta) $(of_watch stopped high)" "$(of_watch beside delta) $(of_watch beside high)"

bad 2 'watch.scratch is empty' ranks 2 train watch.yaml $quiet --set rung=frozen --set output=none --set watch.action=stop
bad 2 'watch.scratch.*watch.action' ranks 1 train watch.yaml --quiet --set rung=frozen --set output=none --set watch.scratch=scratch-1
bad 3 'watch.scratch names a finished run' ranks 2 train watch.yaml $quiet --set rung=frozen --set output=none --set watch.action=stop --set watch.scratch=pretrain
bad 3 'its split is val, here it is gate' ranks 2 train watch.yaml $quiet --set rung=frozen --set output=none --set watch.action=stop --set watch.scratch=scratch-1 \
    --set data.val=gate --set data.gate=val

# A ladder takes its own.
cat watch.yaml >ladder.yaml
cat >>ladder.yaml <<'YAML'
ladder: {rungs: [scratch, frozen, full], seeds: 2, mode: exhaustive, search_scratch: [0.1], search_head: [1.0e-12], search_adapter: [1.0e-12], search_backbone: [1.0e-12], resamples: 100, head_from_frozen: false}
YAML
must "ladder" ranks 2 ladder ladder.yaml $quiet --set output=ladder --set watch.action=stop
same "seeds below" 2 "$(get ladder/summary.json rungs.1.watch.seeds_below)"
same "scratch of the same seed" ladder/trials/scratch-lr0.1-seed4 "$(get ladder/trials/frozen-lr1e-12-seed4/summary.json watch.scratch)"
grep -q 'While `frozen` trained, val was surely below that of training from scratch at the same epoch, 2 evaluations running, in 2 of 2 seeds: .* points at epoch . of one of them; it was stopped there' ladder/note.md ||
    fail "the note: $(grep -n While ladder/note.md)"
finish
