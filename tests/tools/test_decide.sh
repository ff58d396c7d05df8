#!/bin/sh
# thaw-test: timeout=240 cores=1
# tools/bench/decide: a problem end to end, the same again, none that is there; and the table of made-up records whose answers are known.
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "${1:?build directory}" && pwd)
tool=$root/tools/bench/decide
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
failures=0
fail() {
    echo "FAIL: $*"
    failures=$((failures + 1))
}

# Each way once right, once too deep, too shallow and inconclusive; full is right twice.
cat >make.py <<'PY'
import json
def row(c):
    return dict(zip(("a", "b", "verdict"), c), delta=0, low=0, high=0, p=1, reasons=["p_large"])
def problem(index, scores, depth):
    names = ["scratch", "frozen", "peft", "partial:1", "full"]
    return {"seed": 1, "index": index, "base": "made", "shift": "label", "labels": 100, "gate": 500, "classes": 2, "seconds": 2,
            "truth": {n: [s, s] for n, s in zip(names, scores)},
            "rungs": {n: {"val": [s], "gate": [1 - s], "trials": 5, "core_seconds": 1} for n, s in zip(names, scores)},
            "ladders": {"default": {"chosen": "frozen", "depth": [row(c) for c in depth],
                                    "transfer": [row(("scratch", "frozen", "negative transfer"))]}},
            "advise": {"labels_per_class": 50, "gap": 0.01 * (index + 1)}}
print(json.dumps(problem(0, [.9, .8, .8, .8, .8], [("frozen", "peft", "inconclusive")])))
print(json.dumps(problem(1, [.5, .5, .5, .5, .9], [("frozen", "peft", "inconclusive")])))
print(json.dumps(problem(2, [.5, .5, .9, .9, .895], [("frozen", "peft", "clear gain"), ("peft", "partial:1", "clear gain"), ("partial:1", "full", "worse")])))
print(json.dumps(problem(3, [.5, .5, .5, .5, .9], [("frozen", "peft", "equivalent"), ("frozen", "partial:1", "equivalent")])))
print('{"a line that was cut', end="")
PY
python3 make.py >made.jsonl || exit 1
"$tool" --records made.jsonl --table >out 2>err || {
    code=$?
    cat err
    exit $code
}
expect() { grep -qF -- "$1" out || fail "no '$1' in: $(cat out)"; }
expect '| ladder, sequential | 25 % | 25 % | 25 % | 25 % | 20.00 | 50 % | 3.50 |'
expect '| always full | 50 % | 50 % | 0 % | 0 % | 0.13 | 0 % | 2.00 |'
expect '| best val | 100 % | 0 % | 0 % | 0 % | 0.00 | 0 % | 4.00 |'
expect '| one seed | 25 % |'
expect '| frozen is right by measurement | 1 | 0 % | 0 % | 100 % | 0 % | 0 % | 0 % |'
expect '| clear gain | 2 | 50 % | 50 % |'
expect 'Frozen loses more than a point to scratch in 1 problems; the ladder says negative transfer in 1 of them (100 %), and in 0 of the 0'
"$tool" --records made.jsonl --cuts >out 2>&1 || fail "--cuts: $(cat out)"
expect '4 problems with a gap from 0.01 to 0.04'
"$tool" --records none.jsonl --table >out 2>&1 && fail "a table of no records"
expect 'none.jsonl has no records'

# Twenty labels that are coins, twice: the same answer, and none is run that is there.
run() { "$tool" --build "$build" --backbones "$dir" --only "made null" --problems 4 "$@" >out 2>&1 || fail "decide $*: $(cat out)"; }
run --records once.jsonl
run --records twice.jsonl
same_answer() { sed 's/"\(core_\)\{0,1\}seconds": [0-9.]*//g' "$1"; }
[ "$(same_answer once.jsonl)" = "$(same_answer twice.jsonl)" ] || fail "a problem had another answer the second time"
[ "$(grep -c '"shift": "null"' twice.jsonl)" = 1 ] || fail "not one problem: $(cat twice.jsonl)"
cp twice.jsonl before.jsonl
run --records twice.jsonl
cmp -s before.jsonl twice.jsonl || fail "a problem that was there was run again"
"$tool" --records twice.jsonl --table >out 2>&1 || fail "--table: $(cat out)"
expect '1 problems, 1 of them with coins for labels'
[ "$failures" = 0 ]
