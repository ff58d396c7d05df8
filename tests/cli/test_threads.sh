#!/bin/sh
# The same trained state for any number of threads, on our own kernels; and what the command says about threads.
# thaw-test: timeout=240
set -u
. "$(dirname "$0")/lib.sh"
make_all

# threads_of COMMAND...: what thaw info says when it is started by the command.
threads_of() {
    "$@" "$thaw" info --json >info.json 2>err || fail "$* thaw info: $(cat err)"
    get info.json threads
}

if grep -qE '^(THAW_OPENMP:BOOL=OFF|OpenMP_C_FLAGS:STRING=.*NOTFOUND)' "$build/CMakeCache.txt"; then
    same "threads of a build without OpenMP" 1 "$(threads_of env OMP_NUM_THREADS=2)"
    echo "this build has no OpenMP: threads are not tested"
    finish
fi
cores=$(env -u OMP_NUM_THREADS nproc)
same "one thread when nothing is said" 1 "$(threads_of env -u OMP_NUM_THREADS)"
same "as many threads as are asked for" "$(OMP_NUM_THREADS=2 nproc)" "$(threads_of env OMP_NUM_THREADS=2)"
# No more threads than cores: an affinity mask of one core leaves one thread.
if command -v taskset >/dev/null; then
    core=$(taskset -cp $$ | sed 's/.*: *//; s/[,-].*//')
    same "threads in a mask of one core" 1 "$(threads_of env OMP_NUM_THREADS=4 taskset -c "$core")"
else
    echo "taskset is missing: threads in an affinity mask of one core are not tested"
fi
[ "$cores" -gt 1 ] || { echo "one core: the same state for several threads cannot be shown here"; finish; }

# compare BACKEND ARGUMENT...; without a launcher, which may bind the rank to one core
compare() {
    backend=$1
    shift
    for threads in 1 2 4; do
        OMP_NUM_THREADS=$threads alone train run.yaml --quiet --set "output=$backend-$threads" --set "backend=$backend" \
            --set train.shards=1 "$@" || fail "$backend with $threads threads: $(cat err)"
    done
    for threads in 2 4; do
        same "$backend: state of 1 and $threads threads" "$(get "$backend-1/summary.json" state_digest)" \
            "$(get "$backend-$threads/summary.json" state_digest)"
    done
    echo "$backend: $(get "$backend-1/summary.json" state_digest)"
}
for backend in native openblas; do
    compare "$backend" --set rung=scratch --set model.backbone= --set model.arch=resnet20 --set model.width=16
done
finish
