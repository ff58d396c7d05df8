#!/bin/sh
# Averaged weights: the same on any ranks and after a kill, seen by evaluation and never by training.
# thaw-test: timeout=120
set -u
. "$(dirname "$0")/lib.sh"
make_all
sed 's/epochs: 2/epochs: 3, ema: 0.8/' run.yaml >ema.yaml # 15 steps, 5 an epoch

digest() { get "$1/summary.json" state_digest; }
steps_of() { grep '"kind":"step"' "$1/metrics.jsonl" | sed 's/,"seconds":[^,}]*//'; }

must "run with an average" ranks 1 train ema.yaml --quiet --set rung=full --set output=one
must "run without" ranks 1 train ema.yaml --quiet --set rung=full --set output=without --set train.ema=0
for count in 2 3; do
    ranks $count train ema.yaml --quiet --set rung=full --set output=on-$count || fail "on $count ranks: $(cat err)"
    same "digest on $count ranks" "$(digest one)" "$(digest on-$count)"
    same "validation loss on $count ranks" "$(get one/summary.json val.loss)" "$(get on-$count/summary.json val.loss)"
done

# Training does not see it, evaluation does.
steps_of one >one.steps
steps_of without | diff one.steps - >difference || fail "the average changed training: $(head -2 difference)"
same "digests with and without" 2 "$(for r in one without; do digest $r; done | sort -u | grep -c .)"
must "evaluation" alone eval one --split val --json
same "loss on val, evaluated again" "$(get one/summary.json val.loss)" "$(get out loss)"

# Killed in mid-epoch, it goes on with both.
THAW_FAULT=kill_step:1:9
export THAW_FAULT
ranks 3 train ema.yaml --quiet --set rung=full --set output=killed --set train.checkpoint_every=1 --set train.checkpoint_async=off && fail "survived its kill"
unset THAW_FAULT
gone killed
ranks 2 train ema.yaml --resume --set rung=full --set output=killed --set train.checkpoint_every=1 || fail "resume: $(cat err)"
grep -q 'resumed after step 8 ' err || fail "killed: $(cat err)"
same "digest after a kill" "$(digest one)" "$(digest killed)"
bad 2 'train.ema' ranks 1 train ema.yaml --resume --quiet --set rung=full --set output=one --set train.ema=0.9

# The last epoch's average is what the file holds as the model.
must "run that takes the last" ranks 2 train ema.yaml --quiet --set rung=peft --set output=last --set train.select=last
"$tool" names last/adaptation.h5 | grep -q '^ema/fc.weight' || fail "adaptation.h5 has no average"
"$tool" names without/adaptation.h5 | grep '^ema/' && fail "an average that nobody asked for"
must "evaluation of the last" alone eval last --split val --json
same "loss of the last on val" "$(get last/summary.json val.loss)" "$(get out loss)"
same "loss of the last epoch's row" "$(grep '"kind":"epoch"' last/metrics.jsonl | tail -1 | grep -o '"val.loss":[0-9.e-]*' | cut -d: -f2)" "$(get last/summary.json val.loss)"

# 0.8 after 15 steps has 4 % of the first step's weights, 0.9 has 23.
grep -q 'is slow' err && fail "0.8 is not slow: $(cat err)"
must "run with a slow average" ranks 2 train ema.yaml --quiet --set rung=frozen --set output=slow --set train.ema=0.9
grep -q 'train.ema 0.9 is slow for 15 steps: 23 %' err || fail "0.9 is slow: $(cat err)"
finish
