#!/bin/sh
# Frozen convolutions in 8 bits: the same bits on any number of ranks and after a stop, evaluation agrees, what it changes is said.
# thaw-test: timeout=120
set -u
. "$(dirname "$0")/lib.sh"
make_all
sed -i 's/^model: .*/model: {backbone: wide.h5, width: 16}/' run.yaml
must "a backbone with channels enough" alone train pretrain.yaml --quiet --set model.width=16 --set output=wide \
    --set train.epochs=1 --set train.save_backbone=wide.h5
sed -i '/augment:/d' run.yaml # kept features are wanted
eight="--set rung=frozen --set train.frozen_precision=int8"

first_in_eight_bits "needs kernels with fast 8-bit|has no fast 8-bit convolutions" \
    "convolutions are missing: they need oneDNN and a CPU with AVX-512 VNNI" $eight --set output=one
for n in 2 3; do
    must "train in 8 bits on $n ranks" ranks $n train run.yaml --quiet $eight --set output=n$n
    same "state on $n ranks" "$(get one/summary.json state_digest)" "$(get n$n/summary.json state_digest)"
    same "error of features on $n ranks" "$(get one/summary.json int8.feature_error)" "$(get n$n/summary.json int8.feature_error)"
done
same "precision" int8 "$(get one/summary.json frozen_precision)"
awk -v e="$(get one/summary.json int8.feature_error)" 'BEGIN { exit !(e > 0 && e < 0.2) }' || fail "error of the features: $(get one/summary.json int8.feature_error)"
# Killed in the second epoch, after a checkpoint, and gone on with on another number of ranks.
THAW_FAULT=kill_step:1:8
export THAW_FAULT
ranks 2 train run.yaml --quiet $eight --set output=killed --set train.checkpoint_async=off && fail "survived $THAW_FAULT"
unset THAW_FAULT
gone "killed in 8 bits"
[ ! -f killed/summary.json ] || fail "killed has a summary"
must "resume in 8 bits" ranks 3 train run.yaml --resume $eight --set output=killed
grep -q 'resumed after step 5 ' err || fail "resume in 8 bits: $(cat err)"
same "state after a stop" "$(get one/summary.json state_digest)" "$(get killed/summary.json state_digest)"
same "error of features after a stop" "$(get one/summary.json int8.feature_error)" "$(get killed/summary.json int8.feature_error)"

must "features not kept" alone train run.yaml --quiet $eight --set output=off --set train.cache=off
same "state without kept features" "$(get one/summary.json state_digest)" "$(get off/summary.json state_digest)"
must "floats" alone train run.yaml --quiet --set rung=frozen --set output=floats
[ "$(get floats/summary.json state_digest)" != "$(get one/summary.json state_digest)" ] || fail "8 bits changed nothing"
same "precision of floats" f32 "$(get floats/summary.json frozen_precision)"
[ "$(get floats/summary.json cache.key)" != "$(get one/summary.json cache.key)" ] || fail "one key for both precisions"

must eval ranks 2 eval one --json
same "accuracy by eval" "$(get one/summary.json val.accuracy)" "$(get out accuracy)"
same "loss by eval" "$(get one/summary.json val.loss)" "$(get out loss)"
bad 2 'frozen_precision was int8 when' alone train run.yaml --resume --set rung=frozen --set output=one
bad 2 'needs kernels with fast 8-bit' alone train run.yaml $eight --set backend=ref --set output=ref

# A ladder says what it changed.
cat >>run.yaml <<'YAML'
ladder: {rungs: [scratch, frozen], seeds: 2, search_scratch: [0.1], search_head: [0.1], search_adapter: [0.1], search_backbone: [0.1],
  resamples: 500}
YAML
must "ladder in 8 bits" ranks 2 ladder run.yaml --quiet $eight --set output=ladder
same "compared with floats" "frozen, floats" "$(get ladder/summary.json precision.a)"
for file in note.md report.html; do
    grep -q 'computed in 8 bits' ladder/$file || fail "$file does not say that features were in 8 bits"
done
grep -q '^`scratch` ran in floats' ladder/note.md || fail "note.md does not say which rung ran in floats"
same "precision of the rungs" "f32 int8" "$(grep -o '"frozen_precision": *"[a-z0-9]*"' ladder/summary.json | sed 's/.*"\(.*\)"/\1/' | tr '\n' ' ' | sed 's/ $//')"
same "precision of a trial in floats" f32 "$(get ladder/trials/scratch-lr0.1-seed3/summary.json frozen_precision)"
must "check in 8 bits" alone check run.yaml $eight --json
same "precision by check" "f32 int8" "$(grep -o '"frozen_precision": *"[a-z0-9]*"' out | sed 's/.*"\(.*\)"/\1/' | tr '\n' ' ' | sed 's/ $//')"
same "trials" 6 "$(find ladder/trials -name summary.json | grep -c .)"
must "ladder in floats" ranks 2 ladder run.yaml --quiet --set output=plain
grep -q '8 bits' plain/note.md && fail "a note on floats speaks of 8 bits"
finish
