#!/bin/sh
# thaw scale: what it writes and how it is put together from several jobs. Times are not judged; test_model has the arithmetic.
# thaw-test: timeout=240
set -u
. "$(dirname "$0")/lib.sh"
make_all

study() { # RANKS ARGUMENT...
    on=$1
    shift
    ranks "$on" scale run.yaml --quiet --set 'scale={rungs: [frozen, full], ranks: [1, 2, 4], steps: 3, warmup: 1, repeats: 2, machine: {alpha: 1.0e-6, ranks: [8, 1024]}}' "$@"
}

must "a study on two ranks" study 2 --set output=two
same "rows: two rungs, two counts, strong and weak, twice" 16 "$(grep -c . two/points.jsonl)"
for file in config.yaml scale.json scale.csv scale.md step.svg efficiency.svg bytes.svg machine.svg; do
    [ -s "two/$file" ] || fail "two/$file is not there"
done
same "lines of the CSV" 9 "$(grep -c . two/scale.csv)"
same "the first is one rank" 1 "$(get two/scale.json points.0.ranks)"
same "it is its own measure" 1 "$(get two/scale.json points.0.strong_efficiency)"
same "steps of both turns" 6 "$(get two/scale.json points.0.steps_timed)"
same "weak scaling at two of four ranks" 12 "$(get two/scale.json points.3.shards)"
same "one batch for strong scaling" 24 "$(get two/scale.json points.2.batch)"
grep -q '^| frozen' two/scale.md || fail "scale.md has no row of frozen"

# Bytes are what training sends.
must "a run" ranks 2 train run.yaml --quiet --set output=run --set rung=full
same "bytes of full" "$(get run/summary.json allreduce_bytes_per_step)" "$(get two/scale.json points.4.allreduce_bytes)"

# What was measured stays, and is not measured again.
cp two/points.jsonl before
must "going on" study 2 --set output=two --resume
cmp -s before two/points.jsonl || fail "--resume measured again"
head -n 7 before >two/points.jsonl
must "going on in the middle" study 2 --set output=two --resume
same "rows after that" 16 "$(grep -c . two/points.jsonl)"

# A size by itself, and all joined.
must "the size 4 by itself" study 4 --set output=four --only 4
same "rows of one size, where strong and weak are the same" 4 "$(grep -c . four/points.jsonl)"
must "joined" alone scale run.yaml --collect two four --json --set output=all \
    --set 'scale={rungs: [frozen, full], ranks: [1, 2, 4]}'
same "all points" 11 "$(grep -c . all/scale.csv)"
same "the last point is four ranks" 4 "$(get all/scale.json points.9.ranks)"
"$tool" flat out >/dev/null || fail "--json printed no JSON"

refused() { # WHAT CODE PATTERN COMMAND...
    what=$1 code=$2 pattern=$3
    shift 3
    "$@"
    same "$what" "$code" $?
    grep -q "$pattern" err || fail "$what: the message does not say '$pattern': $(cat err)"
}
refused "a study that is there" 2 'holds a study' study 1 --set output=two
refused "another batch" 2 'train.batch' study 1 --set output=two --resume --set train.batch=48
refused "more ranks than there are" 2 'this job has 1' study 1 --set output=new --only 4
refused "a size that is not listed" 2 'none of the rank counts' study 1 --set output=new --only 3
refused "shards that ranks do not divide" 2 'train.shards 24' ranks 1 scale run.yaml --set output=new --set 'scale.ranks=[1, 16]'
refused "ranks out of order" 2 'few to many' ranks 1 scale run.yaml --set output=new --set 'scale.ranks=[2, 1]'
refused "nothing to join" 2 'needs the output directories' alone scale run.yaml --collect
refused "a directory without a study" 3 'config.yaml' alone scale run.yaml --collect backbone.h5 --set output=new
[ ! -e new/points.jsonl ] || fail "a refused study left points"
finish
