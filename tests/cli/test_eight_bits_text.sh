#!/bin/sh
# The linear layers of a frozen BERT in 8 bits: near floats, the same bits on any number of ranks, kept or not; a deeper rung is refused.
# thaw-test: timeout=120 cores=1
set -u
. "$(dirname "$0")/lib.sh"
make_texts
must "import" alone data import --quiet --format csv --texts texts.csv --text body --label kind --vocab vocab.txt --tokens 16 \
    --splits train=40,val=10,gate=20,test=rest -o texts.h5
make_text_backbone ", pool: mean"
cat >run.yaml <<'YAML'
output: run
rung: frozen
data: {file: texts.h5}
model: {backbone: backbone.h5}
train: {epochs: 2, batch: 20, shards: 2, eval_batch: 20}
optimizer: {kind: adamw}
rates: {head: 0.01, backbone: 0.0005}
YAML
eight="--set train.frozen_precision=int8"

first_in_eight_bits "needs kernels with fast 8-bit" "arithmetic is missing: it needs a CPU with AVX2 or AVX-512 VNNI" $eight --set output=one
grep -q avx512_vnni /proc/cpuinfo || grep -q "saves memory, but no time" err || fail "not said that 8 bits are no faster here: $(cat err)"
same "precision" int8 "$(get one/summary.json frozen_precision)"
same "samples to calibrate on" 0 "$(get one/summary.json int8.calibration_samples)"
# Rounding to 8 bits and back was 0.001 of the features.
awk -v e="$(get one/summary.json int8.feature_error)" 'BEGIN { exit !(e > 0 && e < 0.01) }' || fail "error of the features: $(get one/summary.json int8.feature_error)"
must "train in 8 bits on 2 ranks" ranks 2 train run.yaml --quiet $eight --set output=two
same "state on 2 ranks" "$(get one/summary.json state_digest)" "$(get two/summary.json state_digest)"
same "error of features on 2 ranks" "$(get one/summary.json int8.feature_error)" "$(get two/summary.json int8.feature_error)"
must "features not kept" alone train run.yaml --quiet $eight --set output=off --set train.cache=off
same "state without kept features" "$(get one/summary.json state_digest)" "$(get off/summary.json state_digest)"
must "floats" alone train run.yaml --quiet --set output=floats
[ "$(get floats/summary.json state_digest)" != "$(get one/summary.json state_digest)" ] || fail "8 bits changed nothing"
echo "feature error $(get one/summary.json int8.feature_error), val loss $(get one/summary.json val.loss), in floats $(get floats/summary.json val.loss)"
must eval ranks 2 eval one --json
same "accuracy by eval" "$(get one/summary.json val.accuracy)" "$(get out accuracy)"
same "loss by eval" "$(get one/summary.json val.loss)" "$(get out loss)"
bad 2 'only rung frozen has a frozen part' alone train run.yaml $eight --set rung=partial:1 --set output=partial
bad 2 'needs kernels with fast 8-bit' alone train run.yaml $eight --set backend=ref --set output=ref
finish
