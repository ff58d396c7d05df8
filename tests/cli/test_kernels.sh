#!/bin/sh
# Choices of kernels: measured once, kept, recorded, agreed; files that are damaged or cannot be written cost a line, never a
# result. And memory: recomputed blocks give the same bits, an impossible budget is refused with the arithmetic.
# thaw-test: timeout=120
set -u
. "$(dirname "$0")/lib.sh"
unset HOME
alone info --json || fail "info: $(cat err)"
make_all
sed -i 's/^train: {/train: {batch_norm_momentum: 0.5, /' run.yaml # statistics settle in so few steps, and no warning is of them
set_up() { # NAME: a network wide enough for channel blocks
    echo --quiet --set "output=$1" --set rung=scratch --set model.backbone= --set model.arch=resnet20 --set model.width=16
}
digest() { get "$1/summary.json" state_digest; }

# Recomputation changes memory, not bits.
alone train run.yaml $(set_up keep) --set train.recompute=off || fail "recompute off: $(cat err)"
alone train run.yaml $(set_up replay) --set train.recompute=on || fail "recompute on: $(cat err)"
same "digest with recomputed blocks" "$(digest keep)" "$(digest replay)"
for word in off on; do
    alone check run.yaml --json $(set_up none) --set train.recompute=$word --set train.shards=3 || fail "check: $(cat err)"
    cp out check-$word.json
done
kept=$(get check-off.json 0.arena_bytes_per_rank) replayed=$(get check-on.json 0.arena_bytes_per_rank)
echo "activations of a shard: $kept bytes, $replayed with recomputed blocks"
[ $((replayed * 4)) -lt $((kept * 3)) ] || fail "recomputation saves too little"
same "recomputed steps without it" 0 "$(get check-off.json 0.plan.recomputed)"
bad 4 'iB a rank, but train.memory_gib allows 10.* KiB' ranks 2 train run.yaml $(set_up tiny) --set train.memory_gib=0.00001

# Without a place to keep measured choices the fixed rule chooses: the runs above had no home.
grep -q '^forward' keep/kernels.txt || { echo "the backend here has no choices to make"; finish; }
grep -q measured keep/kernels.txt && fail "choices were measured that could not be kept"
XDG_CACHE_HOME=/proc/nowhere
export XDG_CACHE_HOME
alone train run.yaml $(set_up proc) || fail "no cache directory: $(cat err)"
same "digest without a cache directory" "$(digest keep)" "$(digest proc)"

# Measured once, kept and recorded; the next run, on more ranks, makes the same choices.
XDG_CACHE_HOME=$work/cache
alone train run.yaml $(set_up first) || fail "first run: $(cat err)"
grep -q measured first/kernels.txt || fail "nothing was measured"
kept=$(ls cache/thaw/*)
[ -s "$kept" ] || fail "nothing was kept in cache/thaw"
cp "$kept" kept.txt
ranks 3 train run.yaml $(set_up second) || fail "second run: $(cat err)"
same "digest with kept choices on 3 ranks" "$(digest first)" "$(digest second)"
cmp -s first/kernels.txt second/kernels.txt || fail "the second run chose otherwise"
cmp -s kept.txt "$kept" || fail "the kept choices changed"

# A file that is cut off, or another CPU's, is ignored with a line and replaced.
for damage in truncated foreign; do
    case $damage in
    truncated) head -c -5 kept.txt >"$kept" ;; # in the middle of a word, whatever the lines
    foreign) sed '1s/.*/thaw choices 3: backend onednn, a library, another CPU/' kept.txt >"$kept" ;;
    esac
    alone train run.yaml $(set_up $damage) || fail "$damage choices: $(cat err)"
    same "warnings of $damage choices" 1 "$(grep -c '^thaw: warn' err)"
    grep -q measured "$kept" || fail "$damage choices were not replaced"
done

finish
