#!/bin/sh
# Every fault site, on each of two ranks: the job ends soon, completely, with one message and a code that is not 0; and then resumes.
# A fault that a rank never passes leaves the run undisturbed.
# thaw-test: timeout=480
set -u
. "$(dirname "$0")/lib.sh"
make_all
must "undisturbed run" ranks 2 train run.yaml --quiet --set rung=full --set output=plain
digest=$(get plain/summary.json state_digest)

reached=
# fault SITE RANK NTH
fault() {
    rm -rf run
    began=$(milliseconds)
    THAW_FAULT=$1:$2:$3
    export THAW_FAULT
    ranks 2 train run.yaml --quiet --set rung=full --set train.watchdog=$((2 * ${THAW_TEST_SLOWER:-1}))
    code=$?
    unset THAW_FAULT
    took=$(($(milliseconds) - began))
    [ $took -lt $((9000 * ${THAW_TEST_SLOWER:-1})) ] || fail "$1:$2:$3 took $took ms"
    gone "$1:$2:$3"
    if [ $code = 0 ]; then
        same "$1:$2:$3: digest of a run that the fault did not reach" "$digest" "$(get run/summary.json state_digest)"
        return
    fi
    reached="$reached $1"
    case $1 in
    kill_*) wanted=0 ;;
    *) wanted=1 ;;
    esac
    same "$1:$2:$3: messages" $wanted "$(grep -c 'thaw: .*error: ' err)"
    case $code in
    1 | 3 | 4 | 5) ;;
    *) [ $wanted = 0 ] || fail "$1:$2:$3: exit code $code: $(grep thaw err)" ;;
    esac
    # Who is ended in the midst of a write leaves what was not complete, for --resume to remove.
    case $1 in
    kill_* | exit_step | hang_ckpt) ;;
    *) find run -name '*.tmp*' 2>/dev/null | grep . >left && fail "$1:$2:$3: left $(cat left)" ;;
    esac
    printf '%-12s rank %s pass %-4s exit code %-3s %5s ms  %s\n' "$1" "$2" "$3" $code $took "$(grep -o 'error: .*' err | head -1 | cut -c1-90)"
    [ ! -e run ] || {
        ranks 2 train run.yaml --quiet --resume --set rung=full || fail "$1:$2:$3: resume: $(cat err)"
        same "$1:$2:$3: digest after resuming" "$digest" "$(get run/summary.json state_digest)"
        find run -name '*.tmp*' | grep . >left && fail "$1:$2:$3: left after resuming $(cat left)"
    }
}

for site in $("$tool" faults); do
    for rank in 0 1; do
        case $site in
        alloc) passes='3 900' ;;
        h5_write) passes='2 150' ;;
        h5_read) passes='4' ;;
        *) passes='2' ;;
        esac
        for pass in $passes; do
            fault "$site" $rank $pass
        done
    done
done
# What a run survives is looked at elsewhere: tests/comm/test_small_shm.sh, tests/cli/test_cache.sh and tests/cli/test_watchdog.sh.
reached="$reached shared cache_write cache_read slow_ckpt"
for site in $("$tool" faults); do
    case " $reached " in
    *" $site "*) ;;
    *) fail "the run never came to the site $site" ;;
    esac
done

# A fault that nobody knows must not pass for a test.
THAW_FAULT=nonsense:0:1
export THAW_FAULT
alone train run.yaml --quiet --overwrite
same "exit code of an unknown fault" 2 $?
unset THAW_FAULT
finish
