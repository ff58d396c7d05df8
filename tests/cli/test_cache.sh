#!/bin/sh
# Kept features of a frozen prefix: the same trained bits with and without them, in memory, in a file, taken up again, and on any number of ranks;
# whatever is wrong with a file or a disk costs one line and time.
# thaw-test: timeout=300
set -u
. "$(dirname "$0")/lib.sh"
make_all
sed -i 's/^train: {/train: {batch_norm_momentum: 0.5, /' run.yaml # statistics settle in so few steps, and no warning is of them
case_of() { # RUNG: the settings all runs of a comparison have
    set -- --set rung="$1" --set data.augment.crop_padding=0 --set data.augment.flip=false --set data.augment.erase_probability=0
    settings="$*"
}

# cached WHAT RANKS PLACE SOURCE ARGUMENT...: a run whose digest is $digest, with features from there.
cached() {
    what=$1 count=$2 place=$3 source=$4
    shift 4
    rm -rf run
    # shellcheck disable=SC2086
    ranks "$count" train run.yaml $settings "$@" || fail "$what on $count ranks: exit code $?: $(cat err)"
    same "$what on $count ranks: digest" "$digest" "$(get run/summary.json state_digest)"
    same "$what on $count ranks: place" "$place" "$(get run/summary.json cache.place)"
    [ "$place" = none ] || same "$what on $count ranks: source" "$source" "$(get run/summary.json cache.source)"
}
warnings() { grep -c '^thaw: warning\|rank [0-9]*: warning\|warning: ' err; }

for rung in frozen partial:1; do
    case_of $rung
    # shellcheck disable=SC2086
    must "$rung without" ranks 1 train run.yaml --quiet $settings --set train.cache=off --set output=off-$rung
    digest=$(get off-$rung/summary.json state_digest)
    for count in 1 2 3 4; do
        cached "$rung: off" $count none '' --set train.cache=off
        cached "$rung: memory" $count memory computed
        same "$rung on $count: warnings" 0 "$(warnings)"
        cached "$rung: file" $count file computed --set train.cache_limit_gib=0
        same "$rung on $count: warnings" 0 "$(warnings)"
    done
done
same "a file that need not stay" 0 "$(find . "${TMPDIR:-/tmp}" -maxdepth 2 -name 'features-*' 2>/dev/null | grep -c .)"
same "samples" 189 "$(get run/summary.json cache.samples)"

# Kept, and taken up by other runs on other numbers of ranks, into memory or from the file.
case_of frozen
digest=$(get off-frozen/summary.json state_digest)
cached "kept" 2 memory computed --set train.cache_keep=true --set train.cache_dir=kept
same "kept files" 1 "$(find kept -name 'features-*.h5' | grep -c .)"
same "all that is there" 1 "$(find kept -type f | grep -c .)"
kept=$(find kept -name 'features-*.h5')
cp "$kept" good.h5
offset=$(($(stat -c %s "$kept") / 2)) # in the middle of the values
for count in 1 3; do
    cached "taken up" $count memory file --set train.cache_keep=true --set train.cache_dir=kept
    cached "taken up from the file" $count file file --set train.cache_keep=true --set train.cache_dir=kept --set train.cache_limit_gib=0
done
same "hits" true "$(get run/summary.json cache.hits | awk '{ print ($1 > 189) ? "true" : "false" }')"

# damaged HOW LIMIT: one warning, computed again, the same bits, and a good file afterwards.
damaged() {
    place=memory
    [ "$2" = 1 ] || place=file
    cached "$1" 2 $place computed --set train.cache_keep=true --set train.cache_dir=kept --set train.cache_limit_gib="$2"
    grep -q 'kept features are not used and computed again: .*features-' err || fail "$1: no line: $(cat err)"
    same "$1: warnings" 1 "$(warnings)"
    cached "after $1" 2 $place file --set train.cache_keep=true --set train.cache_dir=kept --set train.cache_limit_gib="$2"
}
for gib in 1 0; do
    head -c 3000 good.h5 >"$kept"
    damaged "a cut file" $gib
    : >"$kept"
    damaged "an empty file" $gib
    cp target.h5 "$kept"
    damaged "another kind of file" $gib
done
cp good.h5 "$kept"
must "flip" "$tool" flip "$kept" $offset
damaged "a flipped byte" 1
# In the file it is met when its row is read: that rank computes from then on.
cp good.h5 "$kept"
must "flip" "$tool" flip "$kept" $offset
cached "a flipped byte in a file" 2 file file --set train.cache_keep=true --set train.cache_dir=kept --set train.cache_limit_gib=0
grep -q 'kept features are lost' err || fail "a flipped byte in a file: no line: $(cat err)"
same "a flipped byte in a file: ranks that lost it" true "$(get run/summary.json cache.ranks_lost | awk '{ print ($1 > 0) ? "true" : "false" }')"

# Another backbone has another key: its features are never taken for these.
rm -rf kept
cached "kept" 2 memory computed --set train.cache_keep=true --set train.cache_dir=kept
must "another backbone" alone train pretrain.yaml --quiet --set seed=99 --set output=pretrain2 --set train.save_backbone=other-backbone.h5
before=$digest
# shellcheck disable=SC2086
must "other without" ranks 1 train run.yaml --quiet $settings --set train.cache=off --set output=off-other --set model.backbone=other-backbone.h5
digest=$(get off-other/summary.json state_digest)
[ "$digest" != "$before" ] || fail "another backbone: the same digest"
cached "another backbone" 2 memory computed --set train.cache_keep=true --set train.cache_dir=kept --set model.backbone=other-backbone.h5
same "files of two backbones" 2 "$(find kept -name 'features-*.h5' | grep -c .)"
# Its file under the first one's name.
digest=$before
for file in kept/features-*.h5; do cp "$file" "swap-$(basename "$file")"; done
set -- kept/features-*.h5
cp "swap-$(basename "$1")" "$2"
cp "swap-$(basename "$2")" "$1"
damaged "the file of another backbone" 1
case_of frozen

# The directory cannot be made, or the disk is full, or writing and reading fail: the run goes on.
: >nodir
cached "no directory" 2 none '' --set train.cache_limit_gib=0 --set train.cache_dir=nodir/deeper
grep -q 'frozen features are not kept, but computed in every epoch: .*nodir' err || fail "no directory: $(cat err)"
cached "no directory to keep them in" 2 memory computed --set train.cache_keep=true --set train.cache_dir=nodir/deeper
grep -q 'frozen features are not kept for later runs: .*nodir' err || fail "no directory to keep: $(cat err)"
for rank in 0 1; do
    for nth in 1 3; do
        THAW_FAULT=cache_read:$rank:$nth
        export THAW_FAULT
        cached "reading fails" 2 file computed --set train.cache_limit_gib=0
        unset THAW_FAULT
        grep -q 'kept features are lost (.*fault injected' err || fail "reading fails: $(cat err)"
        same "reading fails: ranks that lost it" 1 "$(get run/summary.json cache.ranks_lost)"
    done
done
for nth in 1 2; do
    THAW_FAULT=cache_write:0:$nth
    export THAW_FAULT
    cached "writing fails" 2 none '' --set train.cache_limit_gib=0 --set train.cache_dir=tmp
    unset THAW_FAULT
    grep -q 'not kept, but computed in every epoch: .*fault injected' err || fail "writing fails: $(cat err)"
    same "writing fails: left" 0 "$(find tmp -type f | grep -c .)"
done
if unshare -m mount -t tmpfs -o size=8k tmpfs nodir 2>/dev/null || { mkdir -p small && unshare -m mount -t tmpfs -o size=8k tmpfs small 2>/dev/null; }; then
    mkdir -p small
    cat >full.sh <<SH
mount -t tmpfs -o size=8k tmpfs $work/small && exec "$root/tools/mpirun" 40 2 "$thaw" train run.yaml $settings --set train.cache_limit_gib=0 \
    --set train.cache_dir=$work/small --set output=full
SH
    rm -rf full
    unshare -m sh full.sh >out 2>err || fail "a full disk: exit code $?: $(cat err)"
    same "a full disk: digest" "$digest" "$(get full/summary.json state_digest)"
    grep -q 'not kept, but computed in every epoch: .*' err || fail "a full disk: $(cat err)"
    # Shared memory without room: each rank keeps a copy, or the file is used where copies do not fit.
    cat >noshm.sh <<SH
mount -t tmpfs -o size=4k tmpfs /dev/shm && exec env OMPI_MCA_btl_vader_backing_directory=$work UCX_POSIX_DIR=$work "$root/tools/mpirun" 40 2 "$thaw" train run.yaml $settings \
    --set output=noshm
SH
    rm -rf noshm
    if grep -q '^MPI_C_COMPILER:.*mpich' "$build/CMakeCache.txt"; then
        echo "not tried: shared memory without room, in which MPI_Init of MPICH itself ends by SIGBUS"
    else
        unshare -m sh noshm.sh >out 2>err || fail "no shared memory: exit code $?: $(cat err)"
        same "no shared memory: digest" "$digest" "$(get noshm/summary.json state_digest)"
        same "no shared memory: lines" 1 "$(grep -c 'no shared memory for' err)"
    fi
else
    echo "not tried: a full disk (no right to mount)"
fi

# A run that was stopped goes on with the features it kept in its own directory.
THAW_FAULT=kill_step:0:7
export THAW_FAULT
rm -rf run
# shellcheck disable=SC2086
ranks 2 train run.yaml --quiet $settings --set train.cache_keep=true
unset THAW_FAULT
same "kept below the run" 1 "$(find run/cache -name 'features-*.h5' | grep -c .)"
# shellcheck disable=SC2086
must "resume" ranks 3 train run.yaml --quiet --resume $settings --set train.cache_keep=true
same "resume: digest" "$digest" "$(get run/summary.json state_digest)"
same "resume: source" file "$(get run/summary.json cache.source)"

# Random augmentation: off, and says so. Fixed views: kept, the same bits as computed each time, and other bits than without augmentation.
rm -rf run
ranks 2 train run.yaml --set rung=frozen || fail "augmented: $(cat err)"
same "augmented: lines" 1 "$(grep -c 'feature cache off: training inputs are augmented at random' err)"
same "augmented: place" none "$(get run/summary.json cache.place)"
settings="--set rung=frozen --set train.views=2 --set train.epochs=3"
# shellcheck disable=SC2086
must "views without" ranks 1 train run.yaml --quiet $settings --set train.cache=off --set output=views
[ "$digest" != "$(get views/summary.json state_digest)" ] || fail "views: the digest of no augmentation"
digest=$(get views/summary.json state_digest)
cached "views" 1 memory computed
same "views: samples" 391 "$(get run/summary.json cache.samples)"
cached "views" 3 memory computed
cached "views in a file" 2 file computed --set train.cache_limit_gib=0

# Matrix products must not care which samples are computed together, either.
must "an mlp" alone train pretrain.yaml --quiet --set model.arch=mlp --set model.width=0 --set 'model.hidden=[130, 67, 50]' --set output=pretrain3 \
    --set train.save_backbone=mlp.h5
case_of partial:1
settings="$settings --set model.backbone=mlp.h5"
# shellcheck disable=SC2086
must "mlp without" ranks 1 train run.yaml --quiet $settings --set train.cache=off --set output=off-mlp
digest=$(get off-mlp/summary.json state_digest)
cached "mlp" 2 memory computed
cached "mlp, other chunks" 3 memory computed --set train.eval_batch=64

# A ladder's trials share what all its ranks computed, whatever groups they run on.
cat >>run.yaml <<'YAML'
ladder:
  rungs: [scratch, frozen, 'partial:1', full]
  mode: exhaustive
  seeds: 2
  search_scratch: [0.03, 0.1]
  search_head: [0.03, 0.1]
  search_adapter: [0.03, 0.1]
  search_backbone: [0.003, 0.01]
  resamples: 500
YAML
case_of frozen
digests() { for trial in "$1"/trials/*/; do echo "$(basename "$trial") $(get "$trial/summary.json" state_digest)"; done; }
# ladder NAME RANKS PLACE ARGUMENT...
ladder() {
    name=$1 count=$2 place=$3
    shift 3
    # shellcheck disable=SC2086
    must "ladder $name" ranks "$count" ladder run.yaml --quiet $settings --set output="$name" "$@"
    digests "$name" >"$name.digests"
    diff off.digests "$name.digests" >difference || fail "ladder $name: $(head -4 difference)"
    for trial in "$name"/trials/frozen-* "$name"/trials/partial*; do
        same "$trial: place" "$place" "$(get "$trial/summary.json" cache.place)"
        [ "$place" = none ] || same "$trial: source" shared "$(get "$trial/summary.json" cache.source)"
    done
    for trial in "$name"/trials/scratch-* "$name"/trials/full-*; do
        same "$trial: place" none "$(get "$trial/summary.json" cache.place)"
    done
}
# shellcheck disable=SC2086
must "ladder without" ranks 1 ladder run.yaml --quiet $settings --set output=off --set train.cache=off
digests off >off.digests
same "trials" 12 "$(grep -c . off.digests)"
ladder groups 3 memory
ladder wide 2 memory --set ladder.ranks_per_trial=2
ladder files 2 file --set train.cache_limit_gib=0

# What it would take is known before.
# shellcheck disable=SC2086
must "check" alone check run.yaml --json $settings
same "check: cache" "$(get groups/trials/frozen-lr0.03-seed3/summary.json cache.bytes)" \
    "$(tr -d ' \n' <out | sed 's/.*"rung":"frozen"[^}]*"cache_bytes_per_node":\([0-9]*\).*/\1/')"
finish
