#!/bin/sh
# Batch norms over the whole batch (train.batch_norm: sync): the same bits on any number of ranks, recomputed, and taken up again on others.
# thaw-test: timeout=240
set -u
. "$(dirname "$0")/lib.sh"
make_all

# train RANKS NAME ARGUMENT...: into directory NAME.
train() {
    count=$1 name=$2
    shift 2
    ranks "$count" train run.yaml --set "output=$name" --set rung=full "$@"
}
digest() { get "$1/summary.json" state_digest; }

must "statistics of shards" train 1 shard
must "statistics of the batch" train 1 sync --set train.batch_norm=sync
grep -q 'statistics over the whole batch, [0-9]* exchanges a step' err || fail "the run does not say that norms meet: $(cat err)"
one=$(digest sync)
[ "$one" != "$(digest shard)" ] || fail "batch norms over shards and over the batch train alike"
for count in 2 3 4 8; do
    train "$count" "sync-$count" --set train.batch_norm=sync || fail "on $count ranks: $(cat err)"
    same "digest on $count ranks" "$one" "$(digest "sync-$count")"
    same "val.loss on $count ranks" "$(get sync/summary.json val.loss)" "$(get "sync-$count/summary.json" val.loss)"
done
train 2 recomputed --set train.batch_norm=sync --set train.recompute=on || fail "recomputed: $(cat err)"
same "digest, recomputed" "$one" "$(digest recomputed)"

# A rank dies in the second epoch; others go on from the last checkpoint.
late="--set train.batch_norm=sync --set train.checkpoint_every=3 --set train.checkpoint_async=off"
# shellcheck disable=SC2086 # words
THAW_FAULT=kill_step:1:8 train 2 killed $late && fail "survived kill_step"
# shellcheck disable=SC2086
train 3 killed $late --resume || fail "resumed: $(cat err)"
grep -q 'resumed after step 6 ' err || fail "resumed: $(cat err)"
same "digest, resumed" "$one" "$(digest killed)"
train 2 killed --set train.batch_norm=shard --resume && fail "goes on with statistics of shards"
grep -q 'train.batch_norm' err || fail "another train.batch_norm: $(cat err)"

# A rank that cannot go on says so, and nobody waits for it in a norm.
THAW_FAULT=step:1:3 train 2 failing --set train.batch_norm=sync && fail "survived a failing step"
grep -q 'injected fault' err || fail "failing step: $(cat err)"

# Said beforehand and counted afterwards.
alone check run.yaml --json --set rung=full --set train.batch_norm=sync --set 'ladder.rungs=[frozen, full]' || fail "check: $(cat err)"
cp out check.json
for figure in batch_norm_meetings_per_step batch_norm_bytes_per_step; do
    same "$figure of check" "$(get sync/summary.json $figure)" "$(get check.json 1.$figure)"
    same "$figure of check, frozen" 0 "$(get check.json 0.$figure)"
done
echo "$(get sync/summary.json batch_norm_meetings_per_step) exchanges of $(get sync/summary.json batch_norm_bytes_per_step) bytes a step"
# Memory of all shards of a rank: on 24 ranks it is that of one.
alone check run.yaml --json --set rung=full --set 'ladder.rungs=[frozen, full]' || fail "check: $(cat err)"
cp out shard.json
[ "$(get check.json 1.arena_bytes_per_rank)" -gt $((20 * $(get shard.json 1.arena_bytes_per_rank))) ] ||
    fail "24 shards at once take $(get check.json 1.arena_bytes_per_rank) bytes, one $(get shard.json 1.arena_bytes_per_rank)"

# Nothing trains a norm: nothing is exchanged, and the bits are those of before.
ranks 2 train run.yaml --set output=frozen --set rung=frozen || fail "frozen: $(cat err)"
ranks 2 train run.yaml --set output=frozen-sync --set rung=frozen --set train.batch_norm=sync || fail "frozen: $(cat err)"
grep -q 'no batch norm trains here' err || fail "frozen: $(cat err)"
same "digest of frozen" "$(digest frozen)" "$(digest frozen-sync)"
finish
