#!/bin/sh
# What an earlier start of a ladder left is used only for the same question, data and backbone; and the test split is opened once.
# thaw-test: timeout=120
set -u
. "$(dirname "$0")/lib.sh"
make_all
cat >>run.yaml <<'YAML'
ladder:
  rungs: [scratch, frozen, peft]
  seeds: 1
  search_scratch: [0.1]
  search_head: [0.1]
  search_adapter: [0.1]
  search_backbone: [0.01]
  resamples: 200
YAML
sed -i -e 's/epochs: 2/epochs: 1/' -e 's/^model: .*/model: {backbone: backbone.h5, arch: resnet20, width: 4}/' run.yaml

# What the climb would need at its end is looked for at its start.
bad 2 'no split "exam"' alone ladder run.yaml --quiet --set output=early --set data.test=exam
[ ! -d early/trials ] || fail "early: trials were run although the test split is missing"

# A complete ladder is left as it is, and its words are written again when they are missing.
must "ladder" alone ladder run.yaml --quiet --set output=plain
before=$(ls -l --full-time plain/summary.json plain/trials/*/*.h5)
rm plain/note.md
must "resume" alone ladder run.yaml --resume --quiet --set output=plain --set name=other --set ladder.ranks_per_trial=1
same "a complete ladder is not touched" "$before" "$(ls -l --full-time plain/summary.json plain/trials/*/*.h5)"
[ -s plain/note.md ] || fail "the note was not written again"

# Another question: not on the same test samples; without them the trials are kept and judged again.
bad 3 'test split was opened' alone ladder run.yaml --resume --quiet --set output=plain --set ladder.min_effect=0.2
bad 2 'data.gate was "*gate"* .* is "*test' alone ladder run.yaml --resume --quiet --set output=plain --set data.gate=test --set data.test=gate
same "a refused ladder is not touched" "$before" "$(ls -l --full-time plain/summary.json plain/trials/*/*.h5)"
trained=$(ls -l --full-time plain/trials/*/adaptation.h5)
must "judge again" ranks 2 ladder run.yaml --resume --quiet --set output=plain --set ladder.min_effect=0.2 --set "data.test="
same "trials are kept" "$trained" "$(ls -l --full-time plain/trials/*/adaptation.h5)"
same "the new question" 0.2 "$(get plain/summary.json design.min_effect)"

# Files that were replaced under the same name, after some trials and after all.
cp -r plain half
rm -r half/summary.json half/trials/peft*
must "another backbone" alone train pretrain.yaml --quiet --set seed=99 --set output=pretrain2 --set train.save_backbone=other.h5
mv backbone.h5 kept.h5
mv other.h5 backbone.h5
bad 3 'started from the backbone' alone ladder run.yaml --resume --quiet --set output=half --set ladder.min_effect=0.2 --set "data.test="
mv kept.h5 backbone.h5
must "other data" alone data import --quiet --images images.idx --labels labels.idx --select 3=ash,4=birch,5=cedar \
    --splits train=100total,val=13total,gate=25,test=rest --slices soft=birch+cedar -o target.h5
bad 3 'was trained on the dataset' alone ladder run.yaml --resume --quiet --set output=half --set ladder.min_effect=0.2 --set "data.test="

# A run's core time has its set-up and all its starts; the epoch that is kept is named.
must "last epoch" ranks 2 train run.yaml --quiet --set output=last --set train.select=last --set train.epochs=3
same "the last epoch is selected" 3 "$(get last/summary.json selected_epoch)"
seconds=$(get last/summary.json core_seconds startup_seconds seconds | tr '\n' ' ')
echo "$seconds" | awk '{ exit !($1 >= 2 * ($2 + $3) * 0.999) }' || fail "core, set-up and loop seconds on 2 ranks: $seconds"

# Adapters have no place in a backbone file.
bad 2 'save_backbone' alone train run.yaml --quiet --set output=lora --set rung=peft --set train.save_backbone=lora.h5
finish
