#!/bin/sh
# The same answer on any number of ranks: trained state and every figure, bit for bit; and frozen costs nothing.
# thaw-test: timeout=240
set -u
. "$(dirname "$0")/lib.sh"
make_all

# All figures of a summary that must not depend on the ranks.
figures() {
    "$tool" flat "$1" | grep -E '^(parameters|steps|epochs|selected_epoch|train|val|gate|slices|drift|state_digest|backbone_digest|dataset_digest)[.=]' |
        grep -v '^train_seconds'
}

# compare NAME RANKS... -- [--set KEY=VALUE ...]: the first rank count is what the others must equal.
compare() {
    name=$1
    shift
    counts=
    while [ "$1" != -- ]; do
        counts="$counts $1"
        shift
    done
    shift
    first=
    line=$(printf '%-22s' "$name")
    for count in $counts; do
        if ! ranks "$count" train run.yaml --quiet --set "output=$name-$count" "$@"; then
            fail "$name on $count ranks: $(cat err)"
            continue
        fi
        figures "$name-$count/summary.json" >"$name-$count.figures"
        grep '"kind":"\(step\|epoch\)"' "$name-$count/metrics.jsonl" | sed 's/,"seconds":[^,}]*//' >"$name-$count.rows"
        line="$line  $count: $(get "$name-$count/summary.json" state_digest | cut -c1-12)"
        [ -n "$first" ] || { first=$count; continue; }
        diff "$name-$first.figures" "$name-$count.figures" >difference || fail "$name: $first and $count ranks differ: $(head -4 difference)"
        diff "$name-$first.rows" "$name-$count.rows" >difference || fail "$name: metrics of $first and $count ranks differ: $(head -4 difference)"
    done
    echo "$line"
    [ "$(grep -c . "$name-$first.figures")" -ge 20 ] || fail "$name: too few figures were compared"
}

echo "state_digest (first 12 digits) by rank count, 101 samples, batch 24, 24 shards:"
compare frozen 1 2 3 4 8 -- --set rung=frozen
compare lora 1 2 3 4 8 -- --set rung=peft
compare partial1 1 2 3 4 8 -- --set rung=partial:1
compare full 1 2 3 4 8 -- --set rung=full
compare frozen-cached 1 2 3 -- --set rung=frozen --set data.augment.flip=false --set data.augment.crop_padding=0 \
    --set data.augment.erase_probability=0
compare full-adamw 1 3 -- --set rung=full --set optimizer.kind=adamw --set rates.head=0.01 --set rates.backbone=0.001
compare lora-balanced 1 4 -- --set rung=peft --set train.class_weights=balanced --set train.label_smoothing=0.1 \
    --set train.select=loss
compare blended 1 3 8 -- --set rung=partial:1 --set data.augment.crop_area_least=0.5 --set data.augment.mixup=0.2 --set data.augment.cutmix=1 --set data.augment.rand_ops=2
compare dora 1 3 -- --set rung=peft --set peft.dora=true --set peft.lora_plus=4
compare ssf 1 3 -- --set rung=peft --set 'peft={method: ssf}'
compare pfeiffer 1 3 -- --set rung=peft --set 'peft={method: pfeiffer}'
compare scratch 1 8 -- --set rung=scratch --set model.arch=resnet20 --set model.width=4
# Tensors of more than 16384 elements are summed in 32 bits; the networks above have none.
compare scratch-narrow 1 2 3 8 -- --set rung=scratch --set model.backbone= --set model.arch=resnet20 --set model.width=16
compare scratch-exact64 1 3 -- --set rung=scratch --set model.backbone= --set model.arch=resnet20 --set model.width=16 --set train.reduce=exact64
ranks 2 train run.yaml --quiet --set output=by-rows --set rung=peft --set data.memory_limit_gib=0 ||
    fail "by rows: $(cat err)"
same "digest when data are read by rows" "$(get lora-1/summary.json state_digest)" "$(get by-rows/summary.json state_digest)"
ranks 2 train run.yaml --quiet --set output=by-rows-alone --set rung=peft --set data.memory_limit_gib=0 --set data.prefetch=off ||
    fail "by rows, without reading ahead: $(cat err)"
same "digest when rows are not read ahead" "$(get lora-1/summary.json state_digest)" "$(get by-rows-alone/summary.json state_digest)"
ranks 4 train run.yaml --quiet --set output=by-rows-blended --set rung=partial:1 --set data.memory_limit_gib=0 \
    --set data.augment.crop_area_least=0.5 --set data.augment.mixup=0.2 --set data.augment.cutmix=1 --set data.augment.rand_ops=2 || fail "by rows, blended: $(cat err)"
same "digest of blended samples that are read by rows" "$(get blended-1/summary.json state_digest)" "$(get by-rows-blended/summary.json state_digest)"
for prefetch in auto off; do
    ranks 2 train run.yaml --quiet --set output=cached-by-rows-$prefetch --set rung=frozen --set data.augment.flip=false --set data.augment.crop_padding=0 \
        --set data.augment.erase_probability=0 --set data.memory_limit_gib=0 --set data.prefetch=$prefetch --set train.eval_batch=8 || fail "kept features by rows: $(cat err)"
    same "kept features of samples read by rows, prefetch $prefetch" true "$(get cached-by-rows-$prefetch/summary.json cached_features)"
    same "digest with them, prefetch $prefetch" "$(get frozen-cached-1/summary.json state_digest)" "$(get cached-by-rows-$prefetch/summary.json state_digest)"
done
same "frozen features are computed once without augmentation" true "$(get frozen-cached-1/summary.json cached_features)"

# The rungs did train different things, so equal digests above mean something.
same "digests of the four rungs" 4 "$(for r in frozen lora partial1 full; do get $r-1/summary.json state_digest; done | sort -u | grep -c .)"

# Frozen costs nothing: bytes as they were counted where MPI was called, and what the files hold.
bytes() { get "$1-2/summary.json" allreduce_bytes_per_step; }
trainable() { get "$1-2/summary.json" parameters.trainable; }
echo "bytes all-reduced a step: frozen $(bytes frozen), lora $(bytes lora), partial:1 $(bytes partial1), full $(bytes full)"
[ $(($(bytes full) * $(trainable frozen))) -gt $(($(bytes frozen) * $(trainable frozen) * 10)) ] ||
    fail "full sends only $(bytes full) bytes, frozen $(bytes frozen)"
for rung in frozen lora partial1; do
    [ "$(bytes $rung)" -le $((8 * $(trainable $rung) + 2048)) ] || fail "$rung sends $(bytes $rung) bytes for $(trainable $rung) values"
done
narrow=$(get scratch-narrow-2/summary.json allreduce_bytes_per_step) wide=$(get scratch-exact64-3/summary.json allreduce_bytes_per_step)
echo "scratch, resnet20: $narrow bytes a step, $wide with exact64"
[ $((narrow * 3)) -lt $((wide * 2)) ] || fail "exact sends $narrow bytes, exact64 $wide"
"$tool" names frozen-2/adaptation.h5 | grep '^model/' | grep -v '^model/fc\.' && fail "frozen tensors in adaptation.h5"
"$tool" names lora-2/adaptation.h5 | grep '^model/' | grep -v 'fc\.\|lora' && fail "lora: frozen tensors in adaptation.h5"
"$tool" names partial1-2/adaptation.h5 | grep '^\(model\|optim\|best\)/.*\(conv1\.weight$\|layer1\.\)' | grep -v layer3 &&
    fail "partial:1: frozen tensors in adaptation.h5"

# reduce: float gives bitwise equality up, not the answer.
ranks 2 train run.yaml --quiet --set output=float --set rung=full --set train.reduce=float || fail "reduce: float: $(cat err)"
get float/summary.json val.loss >float.loss
get full-1/summary.json val.loss >exact.loss
paste float.loss exact.loss | awk '{ d = $1 - $2; if (d < 0) d = -d; exit !(d < 0.02 * $2) }' ||
    fail "reduce: float ends at $(cat float.loss), exact at $(cat exact.loss)"
[ $(($(get float/summary.json allreduce_bytes_per_step) * 3)) -lt $(($(bytes full) * 2)) ] || fail "reduce: float does not save bytes"
[ "$(get float/summary.json any_ranks reduce | tr '\n' ' ')" = "false float " ] || fail "reduce: float: summary.json promises any ranks"

# bf16 too, for half the bytes.
ranks 2 train run.yaml --set output=bf16 --set rung=scratch --set model.backbone= --set model.arch=resnet20 --set model.width=16 --set train.reduce=bf16 ||
    fail "reduce: bf16: $(cat err)"
grep -q "another number of ranks gives other results" err || fail "reduce: bf16 does not say what it gives up: $(cat err)"
get bf16/summary.json val.loss >bf16.loss
get scratch-narrow-1/summary.json val.loss >exact.loss
paste bf16.loss exact.loss | awk '{ d = $1 - $2; if (d < 0) d = -d; exit !(d < 0.05 * $2) }' ||
    fail "reduce: bf16 ends at $(cat bf16.loss), exact at $(cat exact.loss)"
bf16=$(get bf16/summary.json allreduce_bytes_per_step)
[ $((bf16 * 2)) -lt "$narrow" ] || fail "bf16 sends $bf16 bytes, exact $narrow"

finish
