#!/bin/sh
# Checkpoints that do not fit or are damaged, and a disk that is full: what is wrong is named, and nothing is lost.
# thaw-test: timeout=240
set -u
. "$(dirname "$0")/lib.sh"
make_all
must "undisturbed run" ranks 2 train run.yaml --quiet --set rung=full --set output=plain
digest=$(get plain/summary.json state_digest)

# A run that was killed in its second epoch, with checkpoints of steps 6 and 8, to copy from.
THAW_FAULT=kill_step:0:10
export THAW_FAULT
ranks 2 train run.yaml --quiet --set rung=full --set output=killed --set train.checkpoint_every=2 --set train.checkpoint_async=off
unset THAW_FAULT
# The two newest, and that of the best epoch so far.
same "checkpoints of the killed run" 3 "$(find killed/checkpoints -name 'step-*.h5' | grep -c .)"
newest=$(find killed/checkpoints -name 'step-*.h5' | sort | tail -1 | sed 's/.*\///')

again() { # a fresh copy
    rm -rf run
    cp -r killed run
}
resume() { # CODE PATTERN ARGUMENT...
    wanted=$1 what=$2
    shift 2
    again
    bad "$wanted" "$what" ranks 2 train run.yaml --resume --quiet --set rung=full "$@"
    [ ! -e run/summary.json ] || fail "$*: has a summary"
    diff -r killed/checkpoints run/checkpoints >difference || fail "$*: checkpoints were touched: $(cat difference)"
}

# Another config, data or backbone.
resume 2 'train.epochs was 2 when this run began and is 5 now' --set train.epochs=5
resume 2 'seed was 3 .* is 4' --set seed=4
resume 2 'rung was full .* is peft' --set rung=peft
resume 2 'train.shards was 24 .* is 8' --set train.shards=8
resume 2 'data.augment.flip was true .* is false' --set data.augment.flip=false
must "other data" alone data import --quiet --images images.idx --labels labels.idx --select 3=ash,4=birch,5=cedar \
    --splits train=100total,val=13total -o other.h5
resume 3 'dataset' --set data.file=other.h5
must "another backbone" alone train pretrain.yaml --quiet --set seed=99 --set output=pretrain2 --set train.save_backbone=other-backbone.h5
resume 3 'backbone' --set model.backbone=other-backbone.h5
again
bad 2 'already holds a run' ranks 2 train run.yaml --quiet --set rung=full

# A checkpoint that came from another run is named, not taken.
must "another run" ranks 2 train run.yaml --quiet --set rung=full --set seed=4 --set output=other --set train.checkpoint_every=9
foreign=$(find other/checkpoints -name 'step-*.h5' | sort | tail -1 | sed 's/.*\///')
again
cp "other/checkpoints/$foreign" run/checkpoints
bad 3 "run/checkpoints/$foreign: this checkpoint is of another run; move it away: seed was 4" \
    ranks 2 train run.yaml --resume --quiet --set rung=full
rm "run/checkpoints/$foreign"
must "resume without the checkpoint of another run" ranks 2 train run.yaml --resume --quiet --set rung=full
same "digest without the checkpoint of another run" "$digest" "$(get run/summary.json state_digest)"

# Names and intervals may change; data and backbone may have moved.
again
cp target.h5 moved.h5
must "resume with other names" ranks 2 train run.yaml --resume --quiet --set rung=full --set name=other --set train.log_every=5 \
    --set data.file=moved.h5
same "digest after resuming with other names" "$digest" "$(get run/summary.json state_digest)"

# A damaged checkpoint is passed over with a warning; the one before it gives the same bits.
damaged() { # HOW
    grep -q "warning: .*checkpoint of step 8 is not used: .*$newest" err || fail "$1: no warning: $(cat err)"
    same "$1: errors" 0 "$(errors)"
    same "$1: digest" "$digest" "$(get run/summary.json state_digest)"
}
again
head -c 2000 "killed/checkpoints/$newest" >"run/checkpoints/$newest"
must "resume with a cut checkpoint" ranks 3 train run.yaml --resume --quiet --set rung=full
damaged cut
again
must "flip" "$tool" flip "run/checkpoints/$newest" -1
must "resume with a flipped checkpoint" ranks 1 train run.yaml --resume --quiet --set rung=full
damaged flipped
again
rm "run/checkpoints/$newest"
must "resume with a missing checkpoint" ranks 2 train run.yaml --resume --quiet --set rung=full
same "missing: digest" "$digest" "$(get run/summary.json state_digest)"
again
rm run/checkpoints/manifest.txt
must "resume without a manifest" ranks 2 train run.yaml --resume --quiet --set rung=full
same "no manifest: digest" "$digest" "$(get run/summary.json state_digest)"
again
for file in run/checkpoints/step-*.h5; do "$tool" flip "$file" -1; done
bad 3 'none of its 3 checkpoints is whole' ranks 2 train run.yaml --resume --quiet --set rung=full

# A finished run whose files are damaged.
cp -r plain broken
"$tool" flip broken/adaptation.h5 -1
bad 3 'broken/adaptation.h5' ranks 2 eval broken
head -c 1000 plain/adaptation.h5 >broken/adaptation.h5
bad 3 'broken/adaptation.h5' alone eval broken
cp backbone.h5 broken/adaptation.h5
bad 3 'broken/adaptation.h5' alone eval broken
rm broken/adaptation.h5
bad 3 'broken/adaptation.h5' alone eval broken
bad 3 'nothing' alone eval nothing
mv backbone.h5 elsewhere.h5
bad 3 'backbone.h5' alone eval plain
cp other-backbone.h5 backbone.h5
bad 3 'was trained on the backbone' ranks 2 eval plain
mv elsewhere.h5 backbone.h5

# The third checkpoint after resuming cannot be written: what was there before is whole, and is used.
again
THAW_FAULT=h5_write:0:200
export THAW_FAULT
bad 4 'run/checkpoints/step-' ranks 2 train run.yaml --quiet --resume --set rung=full --set train.checkpoint_every=1
unset THAW_FAULT
find run -name '*.tmp*' | grep . && fail "temporary files are left after a failed write"
must "resume after a failed write" ranks 2 train run.yaml --resume --quiet --set rung=full
same "digest after a failed write" "$digest" "$(get run/summary.json state_digest)"

# A disk that is full, where this user may mount one.
mkdir disk
if mount -t tmpfs -o size=1200k tmpfs disk 2>/dev/null; then
    trap 'cd /; umount "$work/disk"; rm -rf "$work"' EXIT
    head -c 750000 /dev/zero >disk/ballast
    bad 4 'disk/run' ranks 2 train run.yaml --quiet --set rung=full --set output=disk/run --set train.checkpoint_keep=9 \
        --set train.checkpoint_every=1
    find disk/run -name 'step-*.h5' | grep -q . || fail "disk full: no checkpoint was whole before"
    [ ! -e disk/run/summary.json ] || fail "disk full: has a summary"
    rm disk/ballast
    find disk/run -name '*.tmp*' | grep . && fail "disk full: temporary files are left"
    must "resume with an emptier disk" ranks 2 train run.yaml --quiet --resume --set rung=full --set output=disk/run
    same "digest after the disk was full" "$digest" "$(get disk/run/summary.json state_digest)"
else
    echo "SKIPPED: the full disk; this user cannot mount a tmpfs (a failed write was tested)"
fi

# The run's directory vanishes under a run, or its disk lets nothing be written any more.
# gone_while_running WHAT PATTERN COMMAND...: the command takes writing away once the first checkpoint is there.
gone_while_running() {
    what=$1 pattern=$2
    shift 2
    ranks 2 train run.yaml --quiet --set rung=full --set output=disk2/run --set train.epochs=4000 &
    job=$!
    tries=300
    while [ $tries -gt 0 ] && ! grep -qs step= disk2/run/checkpoints/manifest.txt; do
        sleep 0.1
        tries=$((tries - 1))
    done
    "$@" || fail "$what: cannot take it away"
    wait $job
    same "$what: exit code" 4 $?
    same "$what: messages" 1 "$(errors)"
    grep -q "^thaw: error: .*$pattern" err || fail "$what: no '$pattern' in: $(cat err)"
    gone "$what"
}
mkdir disk2
gone_while_running "a vanished directory" 'disk2/run' mv disk2/run vanished
[ ! -e disk2/run/summary.json ] || fail "a vanished directory: has a summary"
rm -rf vanished disk2/run
if mount -t tmpfs -o size=20m tmpfs disk2 2>/dev/null; then
    trap 'cd /; umount "$work/disk" "$work/disk2" 2>/dev/null; rm -rf "$work"' EXIT
    # Refused while a file is open for writing, as one often is.
    make_read_only() {
        tries=300
        until mount -o remount,ro disk2 2>/dev/null; do
            tries=$((tries - 1))
            [ $tries -gt 0 ] || return 1
            sleep 0.03
        done
    }
    gone_while_running "a read-only disk" 'disk2/run.*Read-only' make_read_only
    mount -o remount,rw disk2
else
    echo "SKIPPED: the read-only disk; this user cannot mount a tmpfs"
fi
finish
