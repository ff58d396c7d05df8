#!/bin/sh
# A run stops with its state saved before its time is over, by --time-limit or the end of a Slurm job; --resume goes on to the same bits.
# thaw-test: timeout=120
set -u
. "$(dirname "$0")/lib.sh"
unset SLURM_JOB_END_TIME
make_all
sed 's/epochs: 2/epochs: 8/; s/shards: 24/shards: 4/' run.yaml >long.yaml
in_seconds() { echo $(($(date +%s) + $1)); }

must "undisturbed run" ranks 2 train long.yaml --quiet --set rung=full --set output=plain
digest=$(get plain/summary.json state_digest)
all_steps=$(get plain/summary.json steps)

# stopped NAME: what ran last ended for want of time, after a step, and can go on.
stopped() {
    same "$1: exit code" 75 $code
    grep -q 'stopped for want of time after step' err || fail "$1: $(cat err)"
    [ ! -f "$1/summary.json" ] || fail "$1: has a summary"
    find "$1/checkpoints" -name 'step-*.h5' | grep -q . || fail "$1: no state was saved"
}

# Less than the reserve is left from the start: every start takes one step, so that a chain of short jobs gets there all the same.
for i in 1 2 3; do
    ranks 2 train long.yaml --resume --set rung=full --set output=short --time-limit 2
    code=$?
    stopped short
    grep -q "after step $i;" err || fail "start $i: $(tail -1 err)"
done
must "resume of short" ranks 1 train long.yaml --quiet --resume --set rung=full --set output=short
same "digest of short" "$digest" "$(get short/summary.json state_digest)"

# The end of a Slurm job, which one rank alone knows: all stop after the same step.
cat >one_knows.sh <<'SH'
[ "${OMPI_COMM_WORLD_RANK:-${PMI_RANK:-0}}" = 1 ] && export SLURM_JOB_END_TIME=$END
exec "$@"
SH
END=$(in_seconds 10) "$root/tools/mpirun" "$limit" 2 sh one_knows.sh "$thaw" train long.yaml --set rung=full --set output=job >out 2>err
code=$?
same "job: exit code" 75 $code
grep -q 'after step 1;' err || fail "job: $(cat err)"
SLURM_JOB_END_TIME=$(in_seconds 600) must "resume of job" ranks 2 train long.yaml --quiet --resume --set rung=full --set output=job
same "digest of job" "$digest" "$(get job/summary.json state_digest)"

# The option counts more than the job; 0 is no limit.
SLURM_JOB_END_TIME=$(in_seconds 1) must "no limit" ranks 2 train long.yaml --quiet --time-limit 0 --set rung=full --set output=free
same "steps without a limit" "$all_steps" "$(get free/summary.json steps)"

# A ladder; tests/cli/test_ladder_resume.sh goes on with one.
ranks 2 ladder run.yaml --quiet --set output=cut --set ladder.seeds=2 --time-limit 1
same "cut ladder: exit code" 75 $?
grep -q 'or for want of time; .* cut: continue with --resume' err || fail "cut ladder: $(cat err)"

bad 2 "--time-limit takes seconds" ranks 2 train long.yaml --set output=never --time-limit soon
bad 2 "--time-limit takes seconds" ranks 2 train long.yaml --set output=never --time-limit -1
SLURM_JOB_END_TIME=noon bad 2 "SLURM_JOB_END_TIME is 'noon'" ranks 2 train long.yaml --set output=never
[ ! -e never ] || fail "a refused start left a directory"
finish
