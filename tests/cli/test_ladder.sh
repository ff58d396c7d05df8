#!/bin/sh
# A ladder's trials and verdicts do not depend on how ranks are grouped; killed or stopped in the middle, it resumes to the same answer.
# thaw-test: timeout=240
set -u
. "$(dirname "$0")/lib.sh"
make_all
cat >>run.yaml <<'YAML'
ladder:
  rungs: [scratch, frozen, peft, full]
  mode: exhaustive
  seeds: 2
  search_scratch: [0.03, 0.1]
  search_head: [0.03, 0.1]
  search_adapter: [0.03, 0.1]
  search_backbone: [0.003, 0.01]
  resamples: 500
YAML
sed -i 's/^model: .*/model: {backbone: backbone.h5, head_dropout: 0.2, arch: resnet20, width: 4}/' run.yaml
sed -i 's/^rates: {/&scale_with_batch: linear, reference_batch: 24, /' run.yaml # times 1: it is to be said, and to change nothing
trials=12 # 4 rungs: 2 candidates, then the second seed

# Everything a ladder says, without times, sizes of memory and the paths that hold its name.
answers() {
    "$tool" flat "$1/summary.json" | grep -v 'seconds\|samples_per_second\|rss\|directory\|output\|ranks\|path\|core_\|bytes_per_rank' |
        sed "s|$1|RUN|g"
    for trial in "$1"/trials/*/; do
        echo "$(basename "$trial") $(get "$trial/summary.json" state_digest val.loss gate.accuracy | tr '\n' ' ')"
    done
}

must "ladder on one rank" ranks 1 ladder run.yaml --quiet --set output=plain
answers plain >plain.answers
same "trials" $trials "$(find plain/trials -name summary.json | grep -c .)"
for file in summary.json note.md note.json report.html config.yaml; do
    [ -s plain/$file ] || fail "ladder wrote no $file"
done
[ "$(grep -c . plain.answers)" -gt 100 ] || fail "too few answers are compared"
grep -q 'all rates of the search times 1, linear scaling from a batch of 24 to 24' plain/note.md || fail "the note does not say how rates scale"
same "factors of the rungs" "1 1 1 1" "$(grep -o 'batch_factor": *[0-9.]*' plain/summary.json | grep -o '[0-9.]*$' | tr '\n' ' ' | sed 's/ $//')"
grep -q '^chosen' plain.answers || fail "no rung was chosen"
get plain/summary.json chosen | sed 's/^/chosen: /'

# Ten steps leave 0.9^10 of the statistics that a batch norm began with.
grep -q 'the running statistics of `full` are still 35% ' plain/note.md || fail "the note does not say that statistics are not settled"
grep -q 'of `frozen` are still' plain/note.md && fail "the note warns of statistics that do not move"
must "settled statistics" alone train run.yaml --quiet --set output=settled --set rung=full --set train.batch_norm_momentum=0.5
grep -q 'running statistics' err && fail "statistics that have settled are warned of: $(cat err)"
awk -v x="$(get settled/summary.json statistics_unsettled)" 'BEGIN { exit !(x > 0.0009 && x < 0.001) }' ||
    fail "statistics_unsettled is $(get settled/summary.json statistics_unsettled), not 0.5^10"

like_plain() {
    answers "$1" | diff plain.answers - >difference || fail "$1 differs: $(head -6 difference)"
    find "$1" -name '*.tmp*' | grep . && fail "$1: temporary files are left"
}

# Sub-groups: two trials side by side, one trial on both ranks, and three groups that do not share the trials evenly.
must "ladder on two groups" ranks 2 ladder run.yaml --quiet --set output=side-by-side
like_plain side-by-side
must "ladder on one group of two" ranks 2 ladder run.yaml --quiet --set output=together --set ladder.ranks_per_trial=2
like_plain together
must "ladder on three groups" ranks 3 ladder run.yaml --quiet --set output=three
like_plain three

# Killed in the middle, late, and in a checkpoint; then on another number of ranks. 10 steps a trial.
killed() {
    name=$1 fault=$2 count=$3
    shift 3
    THAW_FAULT=$fault
    export THAW_FAULT
    ranks "$count" ladder run.yaml --quiet --set "output=$name" "$@" && fail "$name: survived $fault"
    unset THAW_FAULT
    gone "$name"
    [ ! -f "$name/summary.json" ] || fail "$name: has a summary although it was killed"
    echo "$name: $(find "$name/trials" -name summary.json | grep -c .) trials were complete"
}
killed late kill_step:1:38 2
ranks 2 ladder run.yaml --resume --quiet --set output=late --set ladder.ranks_per_trial=2 || fail "late: $(cat err)"
like_plain late
killed middle kill_step:0:57 2 --set ladder.ranks_per_trial=2
ranks 3 ladder run.yaml --resume --quiet --set output=middle || fail "middle: $(cat err)"
like_plain middle

# A complete ladder may be resumed; it answers the same. A changed setting is refused and named.
ranks 1 ladder run.yaml --resume --quiet --set output=plain || fail "plain: $(cat err)"
like_plain plain
bad 2 'train.epochs' ranks 2 ladder run.yaml --resume --quiet --set output=plain --set train.epochs=3
bad 2 'already holds' ranks 2 ladder run.yaml --quiet --set output=plain
like_plain plain

# An error in one group ends the other groups' work too.
THAW_FAULT=step:1:5
export THAW_FAULT
bad 1 'step' ranks 2 ladder run.yaml --quiet --set output=failed --set train.epochs=3000
unset THAW_FAULT
gone failed

# A stop that only one group hears stops all.
sed 's/epochs: 2/epochs: 2000/' run.yaml >long.yaml
ranks 2 ladder long.yaml --set output=stopped &
job=$!
tries=100
while [ "$(find stopped/trials -name metrics.jsonl 2>/dev/null | grep -c .)" -lt 2 ] && [ $tries -gt 0 ]; do
    tries=$((tries - 1))
    sleep 0.1
done
target=$(survivors | while read -r p; do
    is_rank "$p" 1 && echo "$p"
done | head -1)
began=$(milliseconds)
[ -n "$target" ] && kill -USR1 "$target" || fail "stopped: no process to signal"
wait $job
same "stopped: exit code" 75 $?
took=$(($(milliseconds) - began))
[ $took -lt $((5000 * ${THAW_TEST_SLOWER:-1})) ] || fail "stopped: took $took ms"
same "stopped: trials with a saved state" 2 "$(find stopped/trials -name 'step-*.h5' | xargs -r dirname | sort -u | grep -c .)"
gone stopped

finish
