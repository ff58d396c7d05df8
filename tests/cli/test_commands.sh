#!/bin/sh
# Each command on real files: what it prints, what it writes, and that --json is JSON.
# thaw-test: timeout=120 cores=1
set -u
. "$(dirname "$0")/lib.sh"
make_all

says() { # WHAT PATTERN: of the last command's output
    grep -q -e "$2" out || fail "$1: no '$2' in: $(head -5 out)"
}
json() { # WHAT: the last command's output is one JSON value
    "$tool" flat out >flat 2>why || { fail "$1: $(cat why)"; return; }
    [ -s flat ] || fail "$1: JSON without values"
}

# Without a config.
must version alone --version
says --version '^thaw [0-9]'
for command in 'data import' 'data info' 'backbone import' 'backbone list' 'backbone info' advise check train ladder eval predict inspect compare export note scale info; do
    must help alone --help
    says --help "^  thaw $command "
    must "help of $command" alone $command --help
    says "$command --help" '^thaw '"$command"
done
alone
same "no arguments" 2 $?
bad 2 "did you mean 'ladder'" alone lader
bad 2 "did you mean 'data info'" alone data inof x
bad 2 'did you mean --resume' alone train run.yaml --resmue
bad 2 'takes no value' alone train run.yaml --overwrite=1
bad 2 'too few arguments' alone train
bad 2 'unexpected' alone train run.yaml other.yaml
bad 2 'needs' alone train run.yaml --set
bad 2 "did you mean 'ladder'" ranks 2 lader
bad 2 'unknown option' ranks 2 train run.yaml --bogus
ranks 2 --version
same "lines of --version on two ranks" 1 "$(grep -c '^thaw' out)"
must info alone info
says info '^backend'
says info 'resnet20'
must "info --json" alone info --json
json info
must "info on two ranks" ranks 2 info --json
json "info on two ranks"
same "ranks of info" 2 "$(get out ranks)"
must "backbone list" alone backbone list
says "backbone list" resnet50
must "backbone list --json" alone backbone list --json
json "backbone list"

# Ranks of one job run the same command: what differs is named.
bad 2 "rank 1: the command line on host .*seed=4', but rank 0 on host .*seed=3'" \
    "$root/tools/mpirun" $limit 1 sh -c 'exec "$@" >out 2>err' sh "$thaw" train run.yaml --set seed=3 \
    : -n 1 sh -c 'exec "$@" >>out 2>>err' sh "$thaw" train run.yaml --set seed=4

# Data and backbone.
must "data info" alone data info target.h5 --verify
says "data info" 'verified: content matches'
says "data info" 'soft'
must "data info --json" alone data info target.h5 --json
json "data info"
same "samples of train" 101 "$(get out splits.train.samples)"
same "class names" '["ash","birch","cedar"]' "$(get out classes)"
must "backbone info" alone backbone info backbone.h5
says "backbone info" resnet20
must "backbone info --json" alone backbone info backbone.h5 --json
json "backbone info"
same "source classes" '["red","green","blue"]' "$(get out source_classes)"

# Check.
must check alone check run.yaml
says check partial:1
must "check --json" alone check run.yaml --json
json check
grep -q 'warning: rung full trains batch norm on shards of 1 samples' err || fail "check does not warn of small shards: $(cat err)"
grep -q 'warning: rung frozen' err && fail "check warns of a rung that trains no batch norm"
alone check run.yaml --set train.shards=3
grep -q 'warning.*5 samples\|warning.*1 in the last batch' err || fail "check does not see the last batch: $(cat err)"
alone check run.yaml --set train.shards=1 --set train.batch=50 --set data.train=gate
grep -q 'warning' err && fail "check warns without reason: $(cat err)"
alone check run.yaml --json
frozen_bytes=$(get out 1.allreduce_bytes_per_step)

# Advice: probes at every depth, the same on any number of ranks.
must advise alone advise run.yaml
says advise '^  because [0-9.]* labels a class are few: fewer than 50 are few, 1000 and more many'
says advise '^right rung: '
says advise '^first move: '
says advise '^near duplicates (cosine 0.99 or more over all blocks): [0-9]* of 13 val samples'
says advise '^layer3.2 .* [0-9.]*% \['
must "advise --json" alone advise run.yaml --samples 40 --json
json advise
grep -q '"known": *\(true\|false\)' out || fail "advice does not say whether it knows"
same "depths of resnet20" 10 "$(grep -o '"block"' out | grep -c .)"
grep -v seconds out >one
must "advise on three ranks" ranks 3 advise run.yaml --samples 40 --json
grep -v seconds out | cmp -s - one || fail "advice differs on three ranks: $(cat out)"
bad 2 'samples 3: a number from 20' alone advise run.yaml --samples 3
bad 2 'model.backbone is empty' alone advise run.yaml --set model.backbone=

# Train, eval, predict: one truth.
must train ranks 2 train run.yaml --json
json train
same "complete" true "$(get out complete)"
same "check and train count the same bytes" "$frozen_bytes" "$(get out allreduce_bytes_per_step)"
for key in rung ranks seed shards parameters.total parameters.trainable allreduce_bytes_per_step steps seconds samples_per_second \
    train.loss val.loss val.accuracy slices.soft.val.accuracy peak_rss_bytes_per_rank backbone_digest state_digest; do
    [ "$(get run/summary.json $key)" != absent ] || fail "summary.json has no $key"
done
for file in config.yaml metrics.jsonl summary.json adaptation.h5 checkpoints tb; do
    [ -e run/$file ] || fail "the run directory has no $file"
done

# A checkpoint, by its file or by the run; what was trained has the same layout.
must "info of a run" alone info run
says "info of a run" '^run/checkpoints/step-0*5.h5: step 5, 1 epochs and 0 steps, whole'
says "info of a run" '^rung  *frozen'
says "info of a run" '^best on val  *that of step 5: this one'
says "info of a run" '^model/fc.weight  *float32  *(3, [0-9]*)  *[0-9a-f]\{32\}'
newest=$(find run/checkpoints -name 'step-*.h5' | sort | tail -1)
must "info of a checkpoint" ranks 2 info "$newest" --json
json "info of a checkpoint"
same "checkpoint: whole" true "$(get out whole)"
same "checkpoint: run" run "$(get out run)"
same "checkpoint: step" 5 "$(get out step)"
same "checkpoint: digests" "$(grep -o '"dtype"' out | grep -c .)" "$(grep -o '"digest": *"[0-9a-f]\{32\}"' out | sed 1d | grep -c .)"
must "info of what was trained" alone info run/adaptation.h5
says "info of what was trained" whole
cp "$newest" broken.h5
"$tool" flip broken.h5 "$(grep -abo birch broken.h5 | tail -1 | cut -d: -f1)" # a value of the tensor "classes"
alone info broken.h5
same "exit code of info on a damaged checkpoint" 3 $?
says "info of a damaged checkpoint" '^classes .*DAMAGED'
same "tensors that are damaged" 1 "$(grep -c '  DAMAGED' out)"
same "messages of info on a damaged checkpoint" 1 "$(errors)"
bad 3 'is no checkpoint' alone info backbone.h5
bad 3 'is no checkpoint.*thaw data info' alone info target.h5
bad 3 'holds no whole checkpoint' alone info .
bad 3 'nowhere' alone info nowhere
accuracy=$(get run/summary.json val.accuracy)
must "eval --json" ranks 3 eval run --json
json eval
same "eval and train agree on val" "$accuracy" "$(get out accuracy)"
same "eval and train agree on val's loss" "$(get run/summary.json val.loss)" "$(get out loss)"
must eval alone eval run --split test
says eval '^split test of target.h5, [0-9]* samples$'
says eval class:ash
says eval soft
says eval '^ECE with temperature'
says eval '^Brier score '
must "eval of val" alone eval run
says "eval of val" 'temperature that fits val: .*so it is not judged here'
cp target.h5 copy.h5
must "eval of val in a copy" alone eval run --data copy.h5
says "eval of val in a copy" 'so it is not judged here'
export OPENBLAS_CORETYPE=Nehalem
must "eval of val on other kernels" alone eval run
unset OPENBLAS_CORETYPE
says "eval of val on other kernels" 'so it is not judged here'
must "other data" alone data import --quiet --images images.idx --labels labels.idx --select 3=ash,4=birch,5=cedar --splits train=20,val=40,gate=10,test=rest -o elsewhere.h5
must "eval of other data's val" alone eval run --data elsewhere.h5
says "eval of other data's val" '^ECE with temperature'
must "calibration" ranks 2 eval run --split test --json
json "calibration"
cp out calibrated.json
# The Brier score and the temperature from the probabilities that predict writes.
must "predict" alone predict run --split test -o brier.csv
brier=$(awk -F, 'NR == 1 { for (k = 5; k <= NF; k++) name[k] = $k; next }
    { for (k = 5; k <= NF; k++) { d = $k - (name[k] == $2); s += d * d } n++ } END { printf "%.7g", s / n }' brier.csv)
awk -v a="$brier" -v b="$(get calibrated.json calibration.brier)" 'BEGIN { exit !(a > 0 && a - b < 1e-5 && b - a < 1e-5) }' ||
    fail "Brier score: $brier from the predictions, $(get calibrated.json calibration.brier) from eval"
awk -v t="$(get calibrated.json calibration.temperature)" 'BEGIN { exit !(t >= 0.01 && t <= 100) }' || fail "temperature: $(get calibrated.json calibration.temperature)"
# Calibrated: the same classes, and the likelihood that eval says of the temperature.
must "predict --calibrated" alone predict run --split test -o tempered.csv --calibrated --json
same "temperature of predict" "$(get calibrated.json calibration.temperature)" "$(get out temperature)"
same "predicted classes" "$(cut -d, -f1-3 brier.csv | cksum)" "$(cut -d, -f1-3 tempered.csv | cksum)"
for f in brier: tempered:tempered.; do
    nll=$(awk -F, 'NR == 1 { for (k = 5; k <= NF; k++) name[k] = $k; next }
        { for (k = 5; k <= NF; k++) if (name[k] == $2) s -= log($k); n++ } END { printf "%.7g", s / n }' "${f%%:*}.csv")
    awk -v a="$nll" -v b="$(get calibrated.json "calibration.${f#*:}nll")" 'BEGIN { exit !(a > 0 && a - b < 1e-4 && b - a < 1e-4) }' ||
        fail "NLL of ${f%%:*}: $nll from the predictions, $(get calibrated.json "calibration.${f#*:}nll") from eval"
done
cp -r run valless && rm valless/predictions-val.h5
bad 3 'predictions-val.h5' alone predict valless --split test -o x.csv --calibrated
must "eval of another file" alone eval run --split gate --data target.h5 --json
json "eval of another file"
bad 2 'target.h5: no split .nowhere.' alone eval run --split nowhere
bad 2 'no split .nowhere.' alone predict run --split nowhere -o x.csv

must predict ranks 2 predict run --split val -o val.csv
same "lines of predictions" 14 "$(grep -c . val.csv)"
same "header" 'row,label,predicted,probability,ash,birch,cedar' "$(head -1 val.csv | tr -d '\r')"
tr -d '\r' <val.csv | awk -F, -v accuracy="$accuracy" '
    NR > 1 { n++; right += $2 == $3; sum = $5 + $6 + $7; top = $5; if ($6 > top) top = $6; if ($7 > top) top = $7
             if (sum < 0.9999 || sum > 1.0001 || top != $4 || $1 != NR - 2) bad++ }
    END { if (bad || right / n - accuracy > 1e-6 || accuracy - right / n > 1e-6) { print bad + 0, right, n, accuracy; exit 1 } }' >difference ||
    fail "predictions do not fit the summary: $(cat difference)"
must "predict --json" alone predict run --split val -o val.csv --json
json "predict --json"
same "samples predicted" "13 val" "$(get out samples) $(get out split)"
must "export --json" alone export run --format hdf5 -o run.h5 --json
json "export --json"
same "what was exported" "hdf5 run.h5 false" "$(get out format) $(get out path) $(get out merged)"
must "predict test" alone predict run -o test.csv
bad 2 'o FILE is needed' alone predict run
bad 4 'nowhere' alone predict run -o nowhere/x.csv

# New data without train and val, and a run that was moved.
must "new data" alone data import --quiet --images images.idx --labels labels.idx --select 3=ash,4=birch,5=cedar \
    --splits new=40 -o new.h5 --json
json "data import --json"
same "what was imported" "new.h5 120" "$(get out file) $(get out splits.new)"
must "predict new data" alone predict run --data new.h5 --split new -o new.csv
same "lines of new predictions" 121 "$(grep -c . new.csv)"
must "data without train" alone data import --quiet --images images.idx --labels labels.idx --select 4=birch,3=ash,5=cedar \
    --splits new=40 -o swapped.h5
bad 3 "class 0 is 'birch', but run/adaptation.h5 was trained with 'ash'" alone eval run --data swapped.h5 --split new
must "eval new data" alone eval run --data new.h5 --split new --json
json "eval new data"
must "other classes" alone data import --quiet --images images.idx --labels labels.idx --select 1=a,2=b --splits new=40 -o two.h5
bad 3 "two.h5: class 0 is 'a', but run/adaptation.h5 was trained with 'ash'" alone predict run --data two.h5 --split new -o two.csv
mv run moved
must "eval of a moved run" alone eval moved --json
mv moved run

# With rates of 0 no epoch is better than the first; the last one is taken when that is asked for.
must "train nothing" alone train run.yaml --quiet --set output=still --set rates.head=0
same "selected epoch" 1 "$(get still/summary.json selected_epoch)"
must "train nothing, last" alone train run.yaml --quiet --set output=still --overwrite --set rates.head=0 --set train.select=last
same "selected epoch with select: last" 2 "$(get still/summary.json selected_epoch)"

# Two runs.
must "train full" ranks 2 train run.yaml --quiet --set rung=full --set output=full
must compare alone compare run full
says compare '^B - A on val'
must "compare --json" ranks 2 compare run full --json
json compare
same "compared on" val "$(get out split)"
same "what differs" rung "$(get out differences.0.setting)"
same "paired by" id "$(get out paired_by)"
must "compare --many" alone compare --many run full --baseline full
says compare '^baseline: full, accuracy on val (13 samples)'
must "compare --csv" alone compare --many run full --csv
same "lines of CSV" 2 "$(grep -c . out)"
grep -q '^run,full,val,' out || fail "CSV of compare: $(cat out)"
bad 2 '--many makes a table of more' alone compare run full run
bad 2 '--baseline goes with --many' alone compare run full --baseline run
bad 2 'run is there twice' alone compare --many run run
bad 2 'needs a run besides the baseline' alone compare --many run --baseline run
bad 2 'ask for one' alone compare run full --csv --json
bad 3 'gate' alone compare run full --split gate
bad 3 'nothing' alone compare run nothing

# Overwriting.
bad 2 'already holds a run' alone train run.yaml
must overwrite alone train run.yaml --overwrite --quiet
must "text summary" alone train run.yaml --resume
says train '^frozen: val accuracy'

# Note: of a ladder only.
bad 3 'run' alone note run

finish
