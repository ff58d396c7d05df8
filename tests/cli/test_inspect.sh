#!/bin/sh
# `thaw inspect`: each figure against one that was computed another way, the same on any number of ranks; what it refuses.
# thaw-test: timeout=240 cores=1
set -u
. "$(dirname "$0")/lib.sh"
make_all
must "a target with a larger gate" alone data import --quiet --images images.idx --labels labels.idx \
    --select 3=ash,4=birch,5=cedar --splits train=61total,val=60total,gate=70,test=rest --slices soft=birch+cedar -o target.h5
cat >>run.yaml <<'YAML'
ladder:
  rungs: [scratch, frozen, full]
  mode: exhaustive
  seeds: 2
  search_scratch: [0.03]
  search_head: [0.1]
  search_adapter: [0.1]
  search_backbone: [0.003]
  resamples: 500
YAML
must "the ladder" alone ladder run.yaml --quiet --set output=ladder
must "a run that moves the backbone" alone train run.yaml --quiet --set rung=full --set output=full

says() { # WHAT PATTERN
    grep -q -e "$2" out || fail "$1: no '$2' in: $(cat out)"
}
near() { # WHAT WANTED GOT: to 6 digits
    awk -v a="$2" -v b="$3" 'BEGIN { d = a - b; exit !(d < 1e-6 && d > -1e-6) }' || fail "$1: expected $2, got $3"
}

# ---- A ladder ----
must "inspect, by the files" alone inspect ladder --samples 0 --json
cp out ladder.json
same "kind" ladder "$(get ladder.json kind)"
same "rung" frozen "$(get ladder.json rung)"
same "split" gate "$(get ladder.json split)"
same "samples" 210 "$(get ladder.json samples)"
same "frozen's accuracy" "$(get ladder/summary.json rungs.1.gate.accuracy)" "$(get ladder.json baseline.run.value)"
same "scratch's accuracy" "$(get ladder/summary.json rungs.0.gate.accuracy)" "$(get ladder.json baseline.scratch.value)"
for key in delta low high p; do
    same "against scratch, $key" "$(get ladder/summary.json transfer_comparisons.0.$key)" "$(get ladder.json baseline.against_scratch.$key)"
done
same "calibration" "$(get ladder/summary.json rungs.1.calibration.ece)" "$(get ladder.json calibration.ece)"
same "motion" "$(get ladder/summary.json rungs.2.drift.blocks.stem)" "$(get ladder.json motion.0.blocks.stem)"

# Slices: predictions of both seeds as CSV, then Welch's formula on each sample's mean score.
for seed in 3 4; do
    must "predictions of seed $seed" alone predict "ladder/trials/frozen-lr0.1-seed$seed" --split gate -o seed$seed.csv --quiet
done
head -1 seed3.csv >header
column() { tr ',' '\n' <header | grep -n "^$1\$" | cut -d: -f1; }
label=$(column label) predicted=$(column predicted)
[ -n "$label" ] && [ -n "$predicted" ] || fail "predictions have the columns $(cat header)"
paste -d, seed3.csv seed4.csv | awk -F, -v l="$label" -v p="$predicted" 'NR > 1 {
    half = NF / 2
    print $l, (($l == $p) + ($(half + l) == $(half + p))) / 2
}' >scores
slice=0
while [ "$(get ladder.json slices.$slice.name)" != absent ]; do
    name=$(get ladder.json slices.$slice.name)
    awk -v name="$name" '{
        inside = name == "soft" ? $1 != "ash" : name == "class:" $1
        n[inside]++; sum[inside] += $2; squares[inside] += $2 * $2
    } END {
        for (i = 0; i < 2; i++) { mean[i] = sum[i] / n[i]; v += (squares[i] / n[i] - mean[i] ^ 2) / (n[i] - 1) }
        printf "%.9f %.9f %.9f\n", mean[1], mean[1] - mean[0], sqrt(v)
    }' scores >wanted
    read -r value delta se <wanted
    near "slice $name" "$value" "$(get ladder.json slices.$slice.value)"
    near "slice $name, minus the rest" "$delta" "$(get ladder.json slices.$slice.delta)"
    # 97.5% of Student's t with 69 degrees of freedom, of the smaller side: 70 samples.
    reach=$(awk -v se="$se" 'BEGIN { printf "%.9f", 1.994945415 * se }')
    near "slice $name, upper end" "$(awk -v d="$delta" -v r="$reach" 'BEGIN { print d + r }')" "$(get ladder.json slices.$slice.high)"
    slice=$((slice + 1))
done
same "slices" 4 $slice
# Holm: the least of four p times four.
least=$(for s in 0 1 2 3; do get ladder.json slices.$s.p slices.$s.p_adjusted | tr '\n' ' '; echo; done | sort -g | head -1)
awk -v p="${least% * }" -v line="$least" 'BEGIN { split(line, v, " "); w = 4 * v[1] < 1 ? 4 * v[1] : 1; d = w - v[2]; exit !(d * d < 1e-12) }' ||
    fail "Holm: $least"

# ---- A run ----
must "inspect of a run" alone inspect full --json --samples 40
cp out full.json
same "kind of a run" run "$(get full.json kind)"
same "split of a run" val "$(get full.json split)"
same "accuracy of a run" "$(get full/summary.json val.accuracy)" "$(get full.json baseline.run.value)"
same "CKA" "$(get full/summary.json drift.cka)" "$(get full.json motion.0.cka)"
must "eval" alone eval full --json
same "interval of a run" "$(get out intervals.accuracy)" "$(get full.json baseline.run.low baseline.run.high | tr '\n' ' ' | sed 's/\(.*\) \(.*\) $/[\1,\2]/')"
same "ECE of a run" "$(get out calibration.ece)" "$(get full.json calibration.ece)"
train=$(get full/summary.json train.accuracy) val=$(get full/summary.json val.accuracy)
near "gap" "$(awk -v t="$train" -v v="$val" 'BEGIN { printf "%.9f", t - v }')" "$(get full.json train_val_gap.gap)"
must "advise" alone advise full/config.yaml --json --samples 40
same "probes are advise's" "$(get out probes.9.right)" "$(get full.json depths.probes.9.right)"
near "the gap is advise's" "$(get out gap)" "$(get full.json domain_gap.frechet)"
near "the curve ends at the probe of the last depth" "$(get out probes.9.accuracy | awk '{ print 1 - $1 }')" "$(get full.json label_curve.points.2.error)"
same "subsets of the curve" "10 20 40" "$(get full.json label_curve.points.0.labels label_curve.points.1.labels label_curve.points.2.labels | tr '\n' ' ' | sed 's/ $//')"
same "labels made wrong" 8 "$(get full.json memorised.wrong)"
grep -q 'no deeper rung was compared with this one' full.json || fail "a run does not say where depth would be compared"
grep -v seconds full.json >one
must "inspect on three ranks" ranks 3 inspect full --json --samples 40
grep -v seconds out | diff one - >difference || fail "inspect differs on three ranks: $(head -5 difference)"

must "text" alone inspect full --samples 40
says text '^accuracy on val: full [0-9.]*% \[[0-9.]*, [0-9.]*\]'
says text '^full, rung full, 60 samples of val, which chose the epoch'
says text '^full moved the backbone'
says text '^soft  *40 '
says text 'ladder.rungs=\[scratch,frozen\]'
must "text of a ladder" alone inspect ladder
says "text of a ladder" '^Against scratch: '
says "text of a ladder" '^Twice the labels (122): .* More depth: full, '
says "text of a ladder" '^Of 12 training labels made wrong'
says "text of a ladder" '^layer3.2 .* [0-9.]*% \['

# ---- The source's samples, and features by block ----
must "inspect with the source" alone inspect full --json --samples 60 --source source.h5
cp out source.json
same "samples of the source" 60 "$(get source.json source_gap.source_samples)"
same "rows that were told apart" 120 "$(get source.json source_gap.proxy_a.tested)"
awk -v e="$(get source.json source_gap.proxy_a.error)" -v d="$(get source.json source_gap.proxy_a.distance)" \
    'BEGIN { w = 2 * (1 - 2 * e); if (w < 0) w = 0; w -= d; exit !(w * w < 1e-12) }' || fail "A-distance: $(grep -A6 proxy_a source.json)"
same "permutations" 500 "$(get source.json source_gap.mmd.permutations)"
awk -v p="$(get source.json source_gap.mmd.p)" 'BEGIN { exit !(p > 0 && p <= 1) }' || fail "MMD: $(grep -A6 mmd source.json)"
# The last block's features averaged are what the head sees, of which the run recorded CKA.
last=9
awk -v a="$(get full/summary.json drift.cka)" -v b="$(get source.json "block_cka.0.blocks.$last.cka")" \
    'BEGIN { d = a - b; exit !(a != "" && d < 1e-3 && d > -1e-3) }' ||
    fail "CKA of the last block: $(get source.json "block_cka.0.blocks.$last.cka"), recorded $(get full/summary.json drift.cka)"
grep -v seconds source.json >one
must "the same on three ranks" ranks 3 inspect full --json --samples 60 --source source.h5
grep -v seconds out | diff one - >difference || fail "a source on three ranks: $(head -5 difference)"
must "text with a source" alone inspect full --samples 60 --source source.h5
says "text with a source" '^Against 60 samples of source.h5: .* proxy A-distance [0-9.]* \['
says "text with a source" '^squared MMD .* p of no gap'
says "text with a source" '^How alike features after each block stayed .* 60 samples of val'
must "CKA of a ladder" alone inspect ladder --samples 20 --json
same "rungs that moved features" full "$(get out block_cka.0.rung)"
same "no other" absent "$(get out block_cka.1.rung)"
gone=ladder/$(get ladder/summary.json rungs.2.seeds.0.directory | sed 's|.*\(trials/\)|\1|')
mv "$gone" gone || fail "no first run of the deeper rung in $gone"
must "a ladder whose deeper run was deleted" ranks 2 inspect ladder --samples 20 --json
grep -q 'CKA by block of full: its run .* is gone' out || fail "what was deleted: $(cat out)"
mv gone "$gone"
must "a source of three samples" alone data import --quiet --images images.idx --labels labels.idx --select 0=red,1=green,2=blue \
    --splits train=1,val=10 -o three.h5
must "inspect beside three samples" ranks 2 inspect full --json --samples 40 --source three.h5
grep -q 'they need 4 samples a side; three.h5 has 3, train 40' out || fail "three samples of a source: $(grep -A9 unknown out)"
same "a gap that is not known" absent "$(get out source_gap.source)"
[ "$(get out block_cka.0.rung)" = full ] || fail "three samples of a source stop the rest"
bad 3 'target.h5 is the data set of the run' alone inspect full --source target.h5
bad 2 'samples 0 lets none' alone inspect full --samples 0 --source source.h5
bad 3 'nowhere.h5' ranks 2 inspect full --source nowhere.h5
mkdir small
must "small pictures" "$tool" idx small 6 120 7
must "import of small pictures" alone data import --quiet --images small/images.idx --labels small/labels.idx --splits train=30,val=10 -o small.h5
bad 3 'small.h5 has samples of another shape' alone inspect full --source small.h5

# ---- Gradients by block ----
# One step of the same batch with a rate of 1 moves a block by its ratio; batch norms stay frozen, as they are for the ratios.
must "a frozen run" alone train run.yaml --quiet --set output=frozen --set train.batch=61 --set train.shards=1 --set train.epochs=1
must "inspect of a frozen run" alone inspect frozen --samples 40 --json
cp out frozen.json
same "batches" 1 "$(get frozen.json gradients.batches)"
same "suggested of one batch" null "$(get frozen.json gradients.suggested)"
must "one step" alone train run.yaml --quiet --set output=step --set train.batch=61 --set train.shards=1 --set train.epochs=1 \
    --set 'rung=partial:*conv*' --set train.head_from=frozen/adaptation.h5 --set 'optimizer={momentum: 0}' --set 'schedule={kind: constant}' \
    --set rates.backbone=1
block=0
while [ "$(get frozen.json gradients.blocks.$block.block)" != absent ]; do
    name=$(get frozen.json gradients.blocks.$block.block)
    awk -v a="$(get step/summary.json "drift.blocks.$name")" -v b="$(get frozen.json gradients.blocks.$block.ratio)" \
        'BEGIN { exit !(a > 0 && a / b < 1.0001 && a / b > 0.9999) }' ||
        fail "gradient of $name: moved by $(get step/summary.json "drift.blocks.$name"), ratio $(get frozen.json gradients.blocks.$block.ratio)"
    block=$((block + 1))
done
same "blocks with gradients" 10 $block
must "gradients of a ladder" alone inspect ladder --samples 61 --json
cp out pulls.json
near "the last third" "$(get pulls.json gradients.blocks.6.ratio gradients.blocks.7.ratio gradients.blocks.8.ratio gradients.blocks.9.ratio |
    awk '{ s += $1 } END { print s / 4 }')" "$(get pulls.json gradients.thirds.2.ratio)"
same "batches of a ladder" 3 "$(get pulls.json gradients.batches)"
grep -v seconds pulls.json >one
must "gradients on two ranks" ranks 2 inspect ladder --samples 61 --json
grep -v seconds out | diff one - >difference || fail "gradients differ on two ranks: $(head -5 difference)"
grep -q 'How hard the loss pulls.*rung full; inspect one of rung frozen' full.json || fail "a run that moved has no reason for having no gradients"

# ---- Numbers, in clusters ----
must "sources of numbers" "$tool" tasks tasks.h5 150 8
must "numbers" alone data import --quiet --task regression --images tasks.h5:x --labels tasks.h5:numbers \
    --clusters tasks.h5:site --names height,weight --splits train=60,val=30,gate=30,test=rest -o numbers.h5
cat >numbers.yaml <<'YAML'
output: numbers
rung: scratch
data: {file: numbers.h5}
model: {arch: resnet20, width: 4}
train: {epochs: 1, batch: 30, shards: 3, eval_batch: 30}
YAML
must "numbers from scratch" alone train numbers.yaml --quiet
must "inspect of numbers" alone inspect numbers --json
same "RMSE" "$(get numbers/summary.json val.rmse)" "$(get out baseline.run.value)"
same "interval of a difference in clusters" absent "$(get out train_val_gap.low)"
same "motion from scratch" 0 "$(grep -c '"cka"' out)"
must "text of numbers" alone inspect numbers
says "text of numbers" '^RMSE on val: scratch [0-9.]* \['
says "text of numbers" '^- Calibration: it is known of one class a sample only'
says "text of numbers" '^- Whether a backbone would help'
says "text of numbers" '^- Probes by depth and the domain gap: the run has no backbone'

# Domain gaps of data in clusters count clusters, and of a single one they are not known.
must "a source of numbers" "$tool" tasks other.h5 150 8
must "import of the source" alone data import --quiet --task regression --images other.h5:x --labels other.h5:numbers \
    --clusters other.h5:site --names height,weight --seed 2 --splits train=50,val=30 -o others.h5
must "a backbone of numbers" alone train numbers.yaml --quiet --set output=before --set data.file=others.h5 --set data.gate= --set data.test= \
    --set train.save_backbone=numbers-backbone.h5
must "numbers from a backbone" alone train numbers.yaml --quiet --set output=reused --set rung=frozen --set model.backbone=numbers-backbone.h5 \
    --set model.arch= --set model.width=0
must "inspect of clusters" alone inspect reused --json --samples 40 --source others.h5
cp out clusters.json
[ "$(get clusters.json source_gap.mmd.clusters)" -lt 40 ] && [ "$(get clusters.json domain_gap.clusters)" = "$(get clusters.json source_gap.mmd.clusters)" ] ||
    fail "clusters of the drawn samples: $(grep clusters clusters.json)"
must "inspect of clusters on three ranks" ranks 3 inspect reused --json --samples 40 --source others.h5
grep -v seconds clusters.json >one
grep -v seconds out | diff one - >difference || fail "gaps of clusters differ on three ranks: $(head -5 difference)"

# A ladder that was moved, and one seed that says the same of every sample.
mv ladder moved
must "a ladder that was moved" alone inspect moved --samples 0 --json
same "slices of a ladder that was moved" "$(get ladder.json slices.0.delta)" "$(get out slices.0.delta)"
must "a head that learns nothing" alone train run.yaml --quiet --set output=nothing --set rates.head=1e-30 --set model.head_dropout=0 --set train.epochs=1
alone inspect nothing --samples 0 --json
constant=$(get out constant_predictions)
must "predictions" alone predict nothing --split val -o nothing.csv --quiet
same "constant predictions" "$(awk -F, -v p="$predicted" 'NR > 1 && !seen[$p]++ { n++ } END { print n == 1 ? "true" : "false" }' nothing.csv)" "$constant"

# ---- What it refuses ----
bad 2 'samples 3: 0, or a number from 20' alone inspect full --samples 3
bad 3 'nowhere/summary.json is not there' alone inspect nowhere
bad 3 'predictions-val.h5' sh -c "rm full/predictions-val.h5; timeout 40 '$thaw' inspect full >out 2>err"
bad 3 'predictions-gate.h5 is gone' sh -c "rm moved/trials/frozen-lr0.1-seed3/predictions-gate.h5; timeout 40 '$thaw' inspect moved >out 2>err"
must "other data" alone data import --quiet --images images.idx --labels labels.idx \
    --select 3=ash,4=birch,5=cedar --splits train=60total,val=60total,gate=70,test=rest -o target.h5
bad 3 'target.h5 has digest [0-9a-f]* now, but nothing was trained on' alone inspect nothing
bad 3 'target.h5 has digest [0-9a-f]* now' ranks 2 inspect nothing
finish
