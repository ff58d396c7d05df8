#!/bin/sh
# train.shard_optimizer: the same trained state on any number of ranks, also when a run goes on with another number, or without it.
# thaw-test: timeout=240
set -u
. "$(dirname "$0")/lib.sh"
make_all

# train NAME RANKS ARGUMENT...
train() {
    name=$1 count=$2
    shift 2
    ranks "$count" train run.yaml --quiet "--set" "output=$name" --set rung=full --set optimizer.kind=adamw --set rates.head=0.01 \
        --set rates.backbone=0.001 --set optimizer.clip_norm=1 "$@"
}
digest_of() { get "$1/summary.json" state_digest; }

must "run with the whole optimizer on each rank" train whole 2
for count in 1 2 3 4; do
    train "parts-$count" "$count" --set train.shard_optimizer=true || fail "on $count ranks: $(cat err)"
    same "digest on $count ranks" "$(digest_of whole)" "$(digest_of "parts-$count")"
    same "loss on $count ranks" "$(get whole/summary.json val.loss)" "$(get "parts-$count/summary.json" val.loss)"
done

# A checkpoint is that of a whole optimizer: every rank count and both settings go on from it to the same bits.
goes_on() { # NAME FAULT RANKS SETTING RANKS SETTING
    THAW_FAULT=$2
    export THAW_FAULT
    train "$1" "$3" --set train.checkpoint_every=3 --set "train.shard_optimizer=$4" && fail "$1: survived $2"
    unset THAW_FAULT
    gone "$1"
    train "$1" "$5" --resume --set train.checkpoint_every=3 --set "train.shard_optimizer=$6" || fail "$1: resume: $(cat err)"
    same "$1: digest" "$(digest_of whole)" "$(digest_of "$1")"
}
goes_on three-to-two kill_step:1:8 3 true 2 true
goes_on four-to-one kill_step:2:5 4 true 1 true
goes_on parts-to-whole kill_step:0:7 2 true 3 false
goes_on whole-to-parts kill_step:1:8 2 false 4 true

# Both moments of what trains are 8 bytes a value; thaw check and the run count a rank's share.
whole=$(get whole/summary.json optimizer_bytes) third=$(get parts-3/summary.json optimizer_bytes)
[ $((third * 3)) -gt $((whole - 4096)) ] && [ $((third * 3)) -lt $((whole + 4096)) ] || fail "optimizer_bytes: $third on 3 ranks, whole $whole"
planned() { # RANKS SETTING
    ranks "$1" check run.yaml --json --set optimizer.kind=adamw --set "train.shard_optimizer=$2" || fail "check: $(cat err)"
    "$tool" flat out | sed -n 's/^[0-9]*\.state_bytes_per_rank=//p' | tail -n 1
}
saved=$(($(planned 2 false) - $(planned 2 true)))
[ "$saved" -gt 0 ] || fail "thaw check does not count what sharding saves ($saved)"

finish
