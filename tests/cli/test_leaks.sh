#!/bin/sh
# Samples that are in two splits are named by `data info` and `check`, and nothing is said where there are none.
# thaw-test: timeout=60
set -u
. "$(dirname "$0")/lib.sh"

make_data
must "data info" alone data info target.h5
grep -q '^no sample is in two splits' out || fail "data info: $(cat out)"
must "data info --json" alone data info target.h5 --json
same "looked for" true "$(get out leaks.looked)"

# The tool's file has the same pictures in val and in test.
must "a leaky file" "$tool" dataset none leaky.h5
must "data info of a leak" alone data info leaky.h5
grep -q '^leak: 24 of 24 samples of val are 24 of test, too, value for value (row 0 of val is row 0 of test)' out ||
    fail "data info of a leak: $(cat out)"
cat >run.yaml <<'YAML'
output: run
rung: scratch
data: {file: leaky.h5, gate: ""}
model: {arch: resnet20, width: 4}
train: {epochs: 1, batch: 12, shards: 2}
rates: {head: 0.1, backbone: 0.1}
YAML
must "check" ranks 2 check run.yaml
same "warnings" 1 "$(grep -c 'leaky.h5: 24 of 24 samples of val are 24 of test, too.*may be too good' err)"
must "check of splits that share nothing" alone check run.yaml --set data.test=
grep -q 'too good' err && fail "check: $(cat err)"
must "check of what is too large" alone check run.yaml --set data.memory_limit_gib=0
grep -q 'not looked for in more than data.memory_limit_gib' err || fail "check of a large file: $(cat err)"
finish
