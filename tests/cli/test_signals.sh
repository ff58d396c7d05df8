#!/bin/sh
# SIGTERM and SIGUSR1: all ranks agree, save and end with 75; --resume goes on to the same bits.
# thaw-test: timeout=120
set -u
export OMPI_MCA_odls_base_sigkill_timeout=1 # Open MPI's own: between SIGTERM and SIGKILL when mpirun is told to end
. "$(dirname "$0")/lib.sh"
make_all
sed 's/epochs: 2/epochs: 60/; s/shards: 24/shards: 4/' run.yaml >long.yaml

must "undisturbed run" ranks 2 train long.yaml --quiet --set rung=full --set output=plain
digest=$(get plain/summary.json state_digest)

# wait_for_steps NAME N: until the run has written N rows of metrics.
wait_for_steps() {
    tries=1000
    while [ "$(grep -c '"kind":"step"' "$1/metrics.jsonl" 2>/dev/null || true)" -lt "$2" ] 2>/dev/null ||
        [ ! -f "$1/metrics.jsonl" ]; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || { fail "$1: does not step: $(cat err)"; return; }
        sleep 0.02
    done
}

# target_of NAME WHOM RANK: the process to signal. Quick, so that the run does not end meanwhile.
target_of() {
    for file in $(grep -las "output=$1" /proc/[0-9]*/cmdline); do
        process=${file%/cmdline}
        name_of=$(cat "$process/comm" 2>/dev/null)
        case $2:$name_of in
        rank:thaw) is_rank "${process#/proc/}" "$3" && echo "${process#/proc/}" ;;
        launcher:*) is_launcher "$name_of" && echo "${process#/proc/}" ;;
        esac
    done | head -1
}

# stopped NAME RANKS SIGNAL WHOM: sends the signal to one rank's process or to the launcher.
stopped() {
    name=$1 count=$2 signal=$3 whom=$4
    ranks "$count" train long.yaml --set rung=full --set "output=$name" &
    job=$!
    wait_for_steps "$name" 4
    target=$(target_of "$name" "$whom" $((count - 1)))
    began=$(milliseconds)
    [ -n "$target" ] && kill -"$signal" "$target" || fail "$name: no process to signal"
    wait $job
    code=$?
    took=$(($(milliseconds) - began))
    echo "$name: SIG$signal to the $whom: exit code $code after $took ms"
    [ $took -lt $((5000 * ${THAW_TEST_SLOWER:-1})) ] || fail "$name: took $took ms to stop"
    gone "$name"
    [ ! -f "$name/summary.json" ] || fail "$name: finished before it could be stopped"
    find "$name/checkpoints" -name 'step-*.h5' | grep -q . || fail "$name: no state was saved: $(cat err)"
    if [ "$signal" = USR1 ] || [ "$whom" = rank ]; then
        same "$name: exit code" 75 $code
        grep -q 'stopped on request after step' err || fail "$name: $(cat err)"
    fi
    ranks 2 train long.yaml --quiet --resume --set rung=full --set "output=$name" || fail "$name: resume: $(cat err)"
    same "$name: digest" "$digest" "$(get "$name/summary.json" state_digest)"
}

stopped usr1-to-rank 2 USR1 rank
stopped term-to-rank 4 TERM rank
stopped usr1-to-launcher 2 USR1 launcher
stopped term-to-launcher 2 TERM launcher

# Without a launcher.
"$thaw" train long.yaml --set rung=full --set output=single >out 2>err &
job=$!
wait_for_steps single 4
kill -TERM $job
wait $job
same "single: exit code" 75 $?
must "resume of single" ranks 2 train long.yaml --quiet --resume --set rung=full --set output=single
same "single: digest" "$digest" "$(get single/summary.json state_digest)"

finish
