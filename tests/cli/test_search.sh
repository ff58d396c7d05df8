#!/bin/sh
# thaw search: the budget is kept, an absurd rate loses, any number of ranks finds the same, a stopped search goes on, gate and test are left alone.
# thaw-test: timeout=240
set -u
. "$(dirname "$0")/lib.sh"
make_all
cat >>run.yaml <<'YAML'
ladder:
  rungs: [scratch, frozen, 'partial:1']
  search_scratch: [0.03, 0.1]
  search_head: [0.03, 0.1]
  search_adapter: [0.03, 0.1]
  search_backbone: [0.01, 1000]
  resamples: 200
YAML
# Decay at a rate of 1000 makes weights grow by a thousand in each step.
sed -i -e 's/weight_decay: 0.001/weight_decay: 1/' -e 's/epochs: 2/epochs: 8/' run.yaml
same_search() { # WHAT DIRECTORY
    sed "s/$2/one/g" "$2/search.csv" >"$2.csv"
    cmp -s one/search.csv "$2.csv" || fail "$1: $(diff one/search.csv "$2.csv" | head -4)"
    same "$1: reason" "$(get one/search.json reason)" "$(get "$2/search.json" reason)"
}

must "search" ranks 1 search run.yaml --budget 40 --quiet --set output=one
grep -q 'leads: successive halving over 6 candidates' out || fail "said: $(head -3 out)"
# 6 candidates, 3 rounds: 2 epochs for 6, 4 for 3 and 6 for 2.
same "budget" "6 40 36" "$(get one/search.json candidates budget_epochs spent_epochs | tr '\n' ' ' | sed 's/ $//')"
same "rounds" "6 3 2" "$(get one/search.json rounds.0.candidates rounds.1.candidates rounds.2.candidates | tr '\n' ' ' | sed 's/ $//')"
same "epochs" "2 4 6" "$(get one/search.json rounds.0.epochs rounds.1.epochs rounds.2.epochs | tr '\n' ' ' | sed 's/ $//')"
same "epochs of runs" 36 "$(cat one/trials/*/config.yaml | sed -n 's/^  epochs: //p' | awk '{ n += $1 } END { print n }')"
same "runs" 11 "$(ls one/trials | grep -c .)"
same "absurd rates in the first round" 2 "$(grep -c '^1,partial:1,.*,,1000,' one/search.csv)"
same "absurd rates that went on" 0 "$(grep -c ',1000,.*,yes,' one/search.csv)"
same "scratch" 0 "$(grep -c scratch one/search.csv)"
same "what goes on is the best on val" "$(get one/search.json rounds.2.trials.0.val)" "$(get one/search.json winner.val)"
same "gate and test" "" "$(find one -name 'predictions-*' ! -name predictions-val.h5)"
same "splits of a run" 2 "$(grep -cE '^  (gate|test): ""' one/trials/round1-frozen-head0.1/config.yaml)"

# The lines that it prints are those of a config.
grep -vE '^(rung|rates):' run.yaml | sed 's/^output: .*/output: next/' >next.yaml
sed -n '/^```yaml$/,/^```$/p' one/search.md | grep -v '^```' >>next.yaml
must "the config of the winner" alone train next.yaml --quiet
same "its reason" "$(get one/search.json reason)" "$(get next/summary.json rates.reason)"
same "its rate" "$(get one/search.json winner.head)" "$(get next/summary.json rates.head)"

for count in 2 3; do
    must "on $count ranks" ranks $count search run.yaml --budget 40 --quiet --set output=on$count
    same_search "$count ranks" on$count
done

# A round with train.epochs is the last: another would repeat it.
must "few epochs" alone search run.yaml --budget 1000 --quiet --set output=few --set train.epochs=1 --set 'ladder.rungs=[frozen]'
same "few epochs" "2 1" "$(get few/search.json spent_epochs rounds.0.epochs | tr '\n' ' ' | sed 's/ $//')"

# Killed in the middle; what was complete is kept.
THAW_FAULT=kill_step:0:60
export THAW_FAULT
ranks 2 search run.yaml --budget 40 --quiet --set output=killed && fail "kill: exit code 0"
unset THAW_FAULT
[ -e killed/trials/round1-frozen-head0.03/summary.json ] && [ ! -e killed/search.json ] || fail "kill: not in the middle: $(ls killed killed/trials)"
touch -d 2001-01-01 killed/trials/round1-frozen-head0.03/summary.json
must "resume" ranks 1 search run.yaml --budget 40 --quiet --resume --set output=killed
same_search "resumed" killed
same "kept" 2001 "$(date -r killed/trials/round1-frozen-head0.03/summary.json +%Y)"

# Range tests: one row a step, the suggested rate by the rule, the same on any number of ranks.
# Of losses this noisy nothing is said; with whole batches and neither augmentation nor dropout they are smooth.
must "even data" alone data import --quiet --images images.idx --labels labels.idx --select 3=ash,4=birch,5=cedar \
    --splits train=96total,val=13total,gate=25,test=rest -o even.h5
sed -e '/augment:/d' -e 's/head_dropout: 0.2/head_dropout: 0/' -e 's/batch: 24/batch: 96/' -e 's/target.h5/even.h5/' run.yaml >still.yaml
must "range of noise" ranks 1 search run.yaml --range --steps 20 --quiet --set output=noise --set 'ladder.rungs=[frozen]'
same "a rate by noise" "null" "$(get noise/range/range.json groups.0.suggested)"
grep -q 'no rate of the head is suggested' noise/range/range.md || fail "noise: $(head -5 noise/range/range.md)"
must "range" ranks 1 search still.yaml --range --steps 60 --high 1000 --quiet --set output=one
grep -q 'Rung `frozen`:' out || fail "range said: $(head -5 out)"
same "groups" "head backbone" "$(get one/range/range.json groups.0.group groups.1.group | tr '\n' ' ' | sed 's/ $//')"
same "its rung" "partial:1" "$(get one/range/range.json groups.1.rung)"
same "rows" "$(($(get one/range/range.json groups.0.taken) + $(get one/range/range.json groups.1.taken) + 1))" "$(grep -c . one/range/range.csv)"
suggested=$(get one/range/range.json groups.0.suggested)
awk -v s="$suggested" -v l="$(get one/range/range.json groups.0.least)" 'BEGIN { exit !(s > 1e-5 && s < 10 && s / l > 0.0999 && s / l < 0.1001) }' ||
    fail "rate of the head: $suggested, $(get one/range/range.json groups.0.text)"
same "the head's rate meanwhile" "$suggested" "$(get one/range/range.json groups.1.head_meanwhile)"
grep -q '<svg' one/range/range.svg || fail "no chart"
must "range on 3" ranks 3 search still.yaml --range --steps 60 --high 1000 --quiet --set output=range3
cmp -s one/range/range.csv range3/range/range.csv || fail "range on 3 ranks: $(diff one/range/range.csv range3/range/range.csv | head -4)"

# thaw check: one rate for head and backbone wants a reason.
equal() { # WHAT COUNT ARGUMENT...
    what=$1 wanted=$2
    shift 2
    must "$what" alone check run.yaml --quiet "$@"
    same "$what: warnings" "$wanted" "$(grep -c 'trains head and backbone at one rate, 0.02, and rates.reason does not say why' err)"
}
equal "one rate without a reason" 1 --set rung=full --set rates.head=0.02 --set rates.reason=
equal "one rate with a reason" 0 --set rung=full --set rates.head=0.02
equal "two rates" 0 --set rung=full --set rates.reason=
equal "one rate of a frozen backbone" 0 --set rung=frozen --set rates.head=0.02 --set rates.reason=
equal "a ladder without a choice" 1 --set rates.reason= --set 'ladder.search_scratch=[0.02]' --set 'ladder.search_head=[0.02]' \
    --set 'ladder.search_adapter=[0.02]' --set 'ladder.search_backbone=[0.02]'
equal "phases" 1 --set 'phases=[{rung: frozen, epochs: 1}, {rung: full, rates: {head: 0.02}}]' --set rates.reason=

refused() { # WHAT CODE PATTERN ARGUMENT...
    what=$1 wanted=$2 pattern=$3
    shift 3
    alone search run.yaml --quiet "$@"
    same "$what" "$wanted" $?
    grep -qE -- "$pattern" err || fail "$what: $(cat err)"
}
refused "no budget" 2 '--budget EPOCHS' --set output=bad
refused "a budget that is no number" 2 '--budget some: a whole number' --budget some --set output=bad
refused "too small a budget" 2 'budget of 17 epochs has none for each of 6 candidates in the first of 3 rounds; give 18 or more' --budget 17 --set output=bad
refused "keep" 2 '--keep 1: a whole number from 2 to 100' --budget 40 --keep 1 --set output=bad
refused "one candidate" 2 'make 0 candidates' --budget 40 --set output=bad --set 'ladder.rungs=[scratch]'
refused "no backbone" 2 'model.backbone is empty' --budget 40 --set output=bad --set model.backbone= --set model.arch=resnet20
[ -e bad ] && fail "what was refused left a directory"
refused "a directory that is taken" 2 'already holds a run' --budget 40 --set output=one
refused "another setting" 2 'train.batch' --budget 40 --resume --set output=one --set train.batch=48
refused "another budget" 2 'train.epochs' --budget 80 --resume --set output=one
[ -f one/search.json ] || fail "a search that was refused has lost what it had found"
sed 's/^peft:.*/peft: {method: bitfit}/' run.yaml >bitfit.yaml
alone search bitfit.yaml --quiet --budget 40 --set output=bad --set 'ladder.rungs=[frozen, peft]'
same "a method that trains the backbone" 2 $?
grep -q 'peft.method bitfit adds nothing' err || fail "bitfit: $(cat err)"
must "a search with a watch" alone search run.yaml --quiet --budget 18 --set output=watched --set watch.action=stop
refused "all diverge" 5 'diverged with every candidate' --budget 40 --set output=all --set 'ladder.rungs=[partial:1]' --set 'ladder.search_backbone=[900, 1000]'
refused "a range test that is there" 2 'already holds a range test' --range --set output=one
refused "low and high" 2 '--low 1 is not below --high 0.1' --range --low 1 --high 0.1 --set output=bad
refused "steps" 2 '--steps 3: a whole number from 20' --range --steps 3 --set output=bad
refused "range and budget" 2 '--budget does not go with --range' --range --budget 3 --set output=bad
refused "steps alone" 2 '--steps goes with --range only' --budget 40 --steps 30 --set output=bad
[ -e bad ] && fail "what was refused left a directory"
finish
