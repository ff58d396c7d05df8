#!/bin/sh
# Several labels and numbers instead of one class: import, training, evaluation, prediction, and the same bits on any number of ranks.
# thaw-test: timeout=240
set -u
. "$(dirname "$0")/lib.sh"

must "sources" "$tool" tasks tasks.h5 300 8
for task in multi_label:marks:odd,high,edge regression:numbers:height,weight; do
    name=${task%%:*} rest=${task#*:}
    must "import of $name" alone data import --quiet --task "$name" --images tasks.h5:x --labels "tasks.h5:${rest%%:*}" \
        --clusters tasks.h5:site --names "${rest#*:}" --splits train=101,val=37,gate=60,test=rest -o "$name.h5"
    cat >"$name.yaml" <<YAML
output: $name
rung: full
data: {file: $name.h5}
model: {arch: resnet20, width: 4, backbone: backbone.h5}
train: {epochs: 6, batch: 24, shards: 24, eval_batch: 16, log_every: 1}
optimizer: {momentum: 0.9, clip_norm: 5}
rates: {head: 0.1, backbone: 0.05}
YAML
done
must "data info" alone data info multi_label.h5
grep -q 'multi_label of 3 labels' out || fail "data info of labels: $(head -1 out)"
must "data info" alone data info regression.h5
grep -q 'regression of 2 targets' out && grep -q 'std 0.00' out || fail "data info of targets: $(cat out)"

# A backbone that was trained on the labels serves both.
sed 's/rung: full/rung: scratch/; s/, backbone: backbone.h5//; s/eval_batch: 16/eval_batch: 16, save_backbone: backbone.h5/
     s/^output: .*/output: pretrain/; s/epochs: 6/epochs: 2/' multi_label.yaml >pretrain.yaml
must "training of the backbone" alone train pretrain.yaml --quiet

figures() {
    "$tool" flat "$1" | grep -E '^(steps|selected_epoch|train|val|slices|drift|state_digest)[.=]' | grep -v '^train_seconds'
}

for name in multi_label regression; do
    for count in 1 2 3; do
        ranks $count train $name.yaml --quiet --set output=$name-$count || fail "$name on $count ranks: $(cat err)"
        figures $name-$count/summary.json >$name-$count.figures
        cmp -s $name-1.figures $name-$count.figures ||
            fail "$name: 1 and $count ranks differ: $(diff $name-1.figures $name-$count.figures | head -4)"
        "$build/thaw" predict $name-$count --split test -o $name-$count.csv --quiet >/dev/null 2>err || fail "predict: $(cat err)"
        cmp -s $name-1.csv $name-$count.csv || fail "$name: predictions of 1 and $count ranks differ"
    done
    [ "$(grep -c . $name-1.figures)" -ge 15 ] || fail "$name: too few figures were compared"
done
echo "multi_label val: $(grep '^val' multi_label-1.figures | tr '\n' ' ')"
echo "regression val: $(grep '^val' regression-1.figures | tr '\n' ' ')"

# Resumed in mid-epoch it is the same run; moments of targets are kept with the weights.
alone train regression.yaml --quiet --set output=parts --set train.checkpoint_every=7 --set train.epochs=6 || fail "parts: $(cat err)"
same "digest with checkpoints" "$(get regression-1/summary.json state_digest)" "$(get parts/summary.json state_digest)"
rm parts/summary.json
alone train regression.yaml --quiet --resume --set output=parts --set train.checkpoint_every=7 || fail "resume: $(cat err)"
same "digest after a resume" "$(get regression-1/summary.json state_digest)" "$(get parts/summary.json state_digest)"

# What was learned: better than the best constant, in the user's units.
awk -F= '/^val.auroc=/ { exit !($2 > 0.7) }' multi_label-1.figures || fail "labels were not learned"
awk -F= '/^val.spearman=/ { exit !($2 > 0.5) }' regression-1.figures || fail "numbers were not learned"
same "the metric of labels" auroc "$(get multi_label-1/summary.json metric.name)"
same "the metric of numbers" true "$(get regression-1/summary.json metric.lower_is_better)"
head -1 regression-1.csv | grep -q '^row,true height,true weight,height,weight' || fail "predict: $(head -1 regression-1.csv)"
awk -F, 'NR > 1 { d = $4 - $2; e = $5 - $3; a += d * d; b += e * e; n++
                  if ($4 < 500 || $4 > 2000) exit 1 }
         END { printf "%.9g\n", (sqrt(a / n) + sqrt(b / n)) / 2; if (n != 102) exit 1 }' regression-1.csv >rmse ||
    fail "predicted heights are not in the data's units: $(sed -n 2p regression-1.csv)"
must "eval" alone eval regression-1 --split test --json
cp out eval.json
awk -v a="$(cat rmse)" -v b="$(get eval.json rmse)" 'BEGIN { exit !(a - b < 1e-4 * b && b - a < 1e-4 * b) }' ||
    fail "RMSE: $(cat rmse) from the predictions, $(get eval.json rmse) from eval"
must "eval" alone eval regression-1 --split test
grep -q '^RMSE .*\[.*lower' out || fail "eval of numbers: $(cat out)"
must "eval" alone eval multi_label-1 --split test
grep -q '^AUROC .*%.*\[.*higher' out && grep -q '^label:odd' out || fail "eval of labels: $(cat out)"

# The ladder, its note and report, by each task's own score; `compare` the same.
for name in multi_label regression; do
    for count in 1 2; do
        must "ladder of $name" ranks $count ladder $name.yaml --quiet --set output=climb-$name-$count --set 'ladder.rungs=[frozen, full]' \
            --set ladder.seeds=2 --set train.epochs=2 --set ladder.search_scratch=[0.1] --set ladder.search_head=[0.1] \
            --set ladder.search_adapter=[0.1] --set ladder.search_backbone=[0.05] --set ladder.resamples=500 --set ladder.mode=exhaustive
    done
    "$tool" flat climb-$name-1/summary.json | grep -E '^(comparisons|transfer|rungs\[[0-9]*\]\.(gate|val|slices)|test|chosen)' | grep -v directory >one
    "$tool" flat climb-$name-2/summary.json | grep -E '^(comparisons|transfer|rungs\[[0-9]*\]\.(gate|val|slices)|test|chosen)' | grep -v directory >two
    cmp -s one two || fail "the ladder of $name differs between 1 and 2 ranks: $(diff one two | head -4)"
    [ "$(grep -c . one)" -ge 30 ] || fail "the ladder of $name says too little: $(cat one)"
    must "note" alone note climb-$name-1
    grep -q 'accuracy' climb-$name-1/note.md && fail "the note of $name speaks of accuracy: $(grep accuracy climb-$name-1/note.md | head -2)"
done
grep -q 'Its explained variance is .*%' climb-regression-1/note.md || fail "note of numbers: $(head -5 climb-regression-1/note.md)"
grep -q 'Its AUROC is .*%' climb-multi_label-1/note.md || fail "note of labels: $(head -5 climb-multi_label-1/note.md)"
grep -q 'RMSE on val while training (lower is better)' climb-regression-1/report.html || fail "the report of numbers does not name RMSE"
for words in 'Explained variance on gate by rung' 'explained variance <strong>[^<]*</strong> on <a [^>]*>gate</a>' 'RMSE of every run' \
    'How much better RMSE is on train than on val' 'rate: RMSE on val' 'adapted to [^ ]*: 2 targets'; do
    grep -q "$words" climb-regression-1/report.html || fail "the report of numbers lacks: $words"
done
for words in 'AUROC on gate by rung' 'AUROC <strong>[^<]*</strong> on <a [^>]*>gate</a>' 'AUROC of every run' 'F1 of a sample.*s labels on gate' \
    'adapted to [^ ]*: 3 labels'; do
    grep -q "$words" climb-multi_label-1/report.html || fail "the report of labels lacks: $words"
done
for name in multi_label regression; do
    grep -q 'right on' climb-$name-1/report.html && fail "the report of $name says what is right"
done
grep -q '| RMSE on val | explained variance on gate' climb-regression-1/note.md || fail "the note of numbers: $(grep '^| rung' climb-regression-1/note.md)"
grep -q ', 2 targets; ' climb-regression-1/note.md || fail "the note of numbers does not count targets"
grep -q ', 3 labels; ' climb-multi_label-1/note.md || fail "the note of labels does not count labels"
same "what slices of labels show" sample_f1 "$(get climb-multi_label-1/summary.json slice_score.name)"
same "what slices of numbers show" "explained variance" "$(get climb-regression-1/summary.json slice_score.title)"
must "compare" alone compare regression-1 regression-2 --split val
grep -q '^B - A on val, explained variance: +0.0 points' out || fail "compare of equal runs: $(cat out)"
grep -q 'rung\|slice' out && fail "compare of two runs without slices: $(cat out)"
must "compare" alone compare multi_label-1 multi_label-2 --split val
grep -q "^slice .*F1 of a sample's labels, B - A" out || fail "compare does not say what slices show: $(cat out)"
alone train multi_label.yaml --quiet --set output=other --set train.epochs=1 --set train.metric=macro_f1 || fail "another metric: $(cat err)"
bad 3 'multi_label-1 is judged by auroc and other by macro_f1' alone compare multi_label-1 other --split val
bad 3 'is of a task of multi_label and .* of regression' alone compare multi_label-1 regression-1 --split val

# A metric that the samples do not define is null, with its reason; epochs then go by loss, and that is said.
must "a slice of one class" alone data import --quiet --task multi_label --images tasks.h5:x --labels tasks.h5:marks \
    --names odd,high,edge --splits train=200,val=1 -o one.h5
must "train" alone train multi_label.yaml --set data.file=one.h5 --set output=one-run --set train.epochs=1 --set data.gate= --set data.test=
grep -q 'AUROC on val is undefined (each of the 3 columns has samples on one side only)' err out ||
    fail "one sample of val: $(cat err)"
same "AUROC of one sample" "each of the 3 columns has samples on one side only" "$(get one-run/summary.json val.undefined.auroc)"
grep -q '"auroc": *null' one-run/summary.json || fail "AUROC of one sample is not null: $(grep auroc one-run/summary.json)"

# A ladder finds that before it trains: no trial is begun.
must "a gate of one sample" alone data import --quiet --task multi_label --images tasks.h5:x --labels tasks.h5:marks \
    --names odd,high,edge --splits train=101,val=37,gate=1,test=60 -o lone.h5
bad 3 "lone.h5: AUROC is undefined on split 'gate' whatever is predicted: each of the 3 columns has samples on one side only" \
    ranks 2 ladder multi_label.yaml --quiet --set data.file=lone.h5 --set output=lone
[ ! -d lone/trials ] || [ -z "$(ls lone/trials)" ] || fail "trials of a ladder that cannot be judged: $(ls lone/trials)"
must "a gate that is as small but defined" alone ladder multi_label.yaml --quiet --set data.file=lone.h5 --set output=small --set train.metric=sample_f1 \
    --set 'ladder.rungs=[frozen, full]' --set ladder.seeds=1 --set train.epochs=1 --set ladder.resamples=200 --set ladder.search_scratch=[0.1] --set ladder.search_adapter=[0.1] \
    --set ladder.search_head=[0.1] --set ladder.search_backbone=[0.05]
grep -q "gate' has 1 samples; fewer than 30 support no claim" err || fail "a gate of one sample: $(cat err)"
same "its verdict" inconclusive "$(get small/summary.json comparisons.0.verdict)"
grep -q 'on 1 gate samples (one seed, ' small/note.md || fail "one seed: $(grep gate small/note.md | head -2)"
must "inspect of it" alone inspect small --samples 0
grep -q 'nan' out && fail "inspect of one sample: $(grep nan out)"

# Different gates are refused by name.
must "another gate" alone data import --quiet --task multi_label --images tasks.h5:x --labels tasks.h5:marks \
    --names odd,high,edge --splits train=101,val=37,gate=60,test=60 --seed 2 -o gate.h5
must "a run on it" alone train multi_label.yaml --quiet --set data.file=gate.h5 --set output=gated --set train.epochs=1
bad 3 "'val' of multi_label-1 .* and of gated .* are different splits" alone compare multi_label-1 gated --split val
bad 3 "'val' of multi_label-1 .* and of gated .* are different splits" alone compare --many multi_label-1 multi_label-2 gated --split val

# Settings and data that do not fit each other.
bad 2 'train.loss: mse is for a task of regression' alone train multi_label.yaml --set output=x --set train.loss=mse
bad 2 "unknown loss 'hinge'" alone train multi_label.yaml --set output=x --set train.loss=hinge
bad 2 'train.metric: accuracy is not defined for .*; use macro_f1, auroc, sample_f1' alone train multi_label.yaml --set output=x --set train.metric=accuracy
bad 2 "unknown metric 'f2'" alone train multi_label.yaml --set output=x --set train.metric=f2
bad 2 'train.label_smoothing: 0.1, but' alone train regression.yaml --set output=x --set train.label_smoothing=0.1
bad 2 'train.class_weights: balanced, but' alone train multi_label.yaml --set output=x --set train.class_weights=balanced
bad 3 'regression.h5: a task of regression, but .* was trained on one of multi_label' alone eval multi_label-1 --data regression.h5
[ ! -e x ] || fail "a run that was refused has left a directory"
finish
