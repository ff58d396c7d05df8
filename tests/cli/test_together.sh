#!/bin/sh
# Candidate rates that share the frozen prefix: trials as they are without it, on any number of ranks, after a kill, and beside one that diverges.
# thaw-test: timeout=240
set -u
. "$(dirname "$0")/lib.sh"
make_all
cat >>run.yaml <<'YAML'
ladder:
  rungs: [scratch, frozen, 'partial:1', full]
  mode: exhaustive
  seeds: 2
  search_scratch: [0.01, 0.03, 0.1]
  search_head: [0.01, 0.03, 0.1]
  search_adapter: [0.01, 0.03, 0.1]
  search_backbone: [0.003, 0.01, 1000]
  resamples: 200
YAML
# Decay at a rate of 1000 makes weights grow by a thousand in each step.
sed -i -e 's/weight_decay: 0.001/weight_decay: 1/' run.yaml

# What a trial left, apart from clocks and company.
left() {
    for trial in "$1"/trials/*/; do
        echo "$(basename "$trial") $(get "$trial/summary.json" state_digest val.loss val.accuracy allreduce_bytes_per_step diverged message 2>/dev/null | tr '\n' ' ')"
    done
}
companions() { for trial in "$1"/trials/*/; do echo "$(basename "$trial") $(get "$trial/summary.json" trained_together 2>/dev/null)"; done | grep -c ' [23]$'; }
alike() { # WHAT DIRECTORY
    left "$2" >"$2.left"
    diff off.left "$2.left" >difference || fail "$1: $(head -4 difference)"
}

must "off" ranks 2 ladder run.yaml --set output=off --set ladder.together=off
same "off: said" 0 "$(grep -c 'share each run of the frozen prefix' err)"
left off >off.left
same "trials" 16 "$(grep -c . off.left)"
same "trials that diverged" 2 "$(grep -c 'is not finite' off.left)"
same "off: companions" 0 "$(companions off)"
# Heads alone go on all ranks; a trained block, whose sums and checkpoints cost more than such a small prefix, group by group.
for case in 1:5:2 2:4:1 3:3:1; do
    count=${case%%:*}
    must "auto on $count" ranks $count ladder run.yaml --set output=auto$count
    alike "auto on $count ranks" auto$count
    same "auto on $count: said" 2 "$(grep -c 'its 3 candidate rates share each run of the frozen prefix' err)"
    same "auto on $count: companions and wide groups" "${case#*:}" "$(companions auto$count):$(grep -c 'frozen prefix, on all ranks' err)"
done

# Shards that all ranks do not divide, and features that are kept: each candidate alone.
must "shards" ranks 3 ladder run.yaml --quiet --set output=shards --set train.shards=4 --set 'ladder.rungs=[frozen]'
same "shards: companions" 0 "$(companions shards)"
must "kept" ranks 2 ladder run.yaml --quiet --set output=kept --set data.augment.crop_padding=0 --set data.augment.flip=false \
    --set data.augment.erase_probability=0 --set 'ladder.rungs=[frozen]'
same "kept: companions" 0 "$(companions kept)"

# Killed while candidates go together (rank 0 has 30 steps of scratch before, 10 of the next frozen seed after them); a resumed ladder
# ends alike on other ranks.
for nth in 35 56; do
    rung=frozen-lr0.03
    [ $nth = 35 ] || rung=partial_1-lr0.003
    THAW_FAULT=kill_step:0:$nth
    export THAW_FAULT
    ranks 2 ladder run.yaml --quiet --set output=killed$nth --set train.checkpoint_every=1 && fail "kill at $nth: exit code 0"
    unset THAW_FAULT
    gone "kill at $nth"
    [ -d killed$nth/trials/$rung-seed3/checkpoints ] && [ ! -e killed$nth/trials/$rung-seed3/summary.json ] ||
        fail "kill at $nth: not in the middle of $rung: $(ls killed$nth/trials)"
    must "resume after $nth" ranks 3 ladder run.yaml --quiet --resume --set output=killed$nth --set train.checkpoint_every=1
    alike "killed at $nth" killed$nth
done
finish
