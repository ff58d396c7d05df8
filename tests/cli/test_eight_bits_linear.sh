#!/bin/sh
# Frozen linear layers in 8 bits: no samples to calibrate on, the same bits on any number of ranks, kept or not, and after a stop.
# thaw-test: timeout=120
set -u
. "$(dirname "$0")/lib.sh"
make_all
sed -i 's/^model: .*/model: {backbone: dense.h5}/; /augment:/d; /^peft:/d' run.yaml
must "a backbone of linear layers" alone train pretrain.yaml --quiet --set model.arch=mlp --set model.width=0 --set model.hidden=[40,24] \
    --set output=dense --set train.epochs=1 --set train.save_backbone=dense.h5
eight="--set rung=partial:1 --set train.frozen_precision=int8"

first_in_eight_bits "needs kernels with fast 8-bit" "arithmetic is missing: it needs a CPU with AVX2 or AVX-512 VNNI" $eight --set output=one
same "precision" int8 "$(get one/summary.json frozen_precision)"
same "samples to calibrate on" 0 "$(get one/summary.json int8.calibration_samples)"
awk -v e="$(get one/summary.json int8.feature_error)" 'BEGIN { exit !(e > 0 && e < 0.1) }' || fail "error of the features: $(get one/summary.json int8.feature_error)"
for n in 2 3; do
    must "train in 8 bits on $n ranks" ranks $n train run.yaml --quiet $eight --set output=n$n
    same "state on $n ranks" "$(get one/summary.json state_digest)" "$(get n$n/summary.json state_digest)"
    same "error of features on $n ranks" "$(get one/summary.json int8.feature_error)" "$(get n$n/summary.json int8.feature_error)"
done
must "features not kept" alone train run.yaml --quiet $eight --set output=off --set train.cache=off
same "state without kept features" "$(get one/summary.json state_digest)" "$(get off/summary.json state_digest)"
must "other kernels" alone train run.yaml --quiet $eight --set output=native --set backend=native
same "precision on native kernels" int8 "$(get native/summary.json frozen_precision)"
must "floats" alone train run.yaml --quiet --set rung=partial:1 --set output=floats
[ "$(get floats/summary.json state_digest)" != "$(get one/summary.json state_digest)" ] || fail "8 bits changed nothing"

THAW_FAULT=kill_step:1:8
export THAW_FAULT
ranks 2 train run.yaml --quiet $eight --set output=killed && fail "survived $THAW_FAULT"
unset THAW_FAULT
gone "killed in 8 bits"
must "resume in 8 bits" ranks 3 train run.yaml --resume $eight --set output=killed
same "state after a stop" "$(get one/summary.json state_digest)" "$(get killed/summary.json state_digest)"

must eval ranks 2 eval one --json
same "accuracy by eval" "$(get one/summary.json val.accuracy)" "$(get out accuracy)"
bad 2 'needs kernels with fast 8-bit' alone train run.yaml $eight --set backend=ref --set output=ref
must "check in 8 bits" alone check run.yaml $eight --json
same "precision by check" "f32 int8 f32 int8 f32" "$(grep -o '"frozen_precision": *"[a-z0-9]*"' out | sed 's/.*"\(.*\)"/\1/' | tr '\n' ' ' | sed 's/ $//')"
finish
