#!/bin/bash
# checks.sh BUILD_DIR [quick]: slurm/train.sbatch and ladder.sbatch on the Slurm that the environment names (tools/slurm-lab test). Needs
# nodes of 2 CPUs, a partition `low` that `high` takes nodes from, and everything on one machine. Prints a list; non-zero when a check
# failed. quick leaves out a ladder, a study, a killed rank, an array and the end of a time limit.
set -u
mode=${2:-all}
. "$(dirname "$0")/../cli/lib.sh"
export THAW=$thaw THAW_SLURM=$root/slurm
export THAW_SRUN_OPTIONS=--kill-on-bad-exit=1 THAW_MPIRUN_OPTIONS=--oversubscribe # the lab's nodes have no cores to bind to
done_list=$work/list

# check NAME CONDITION...: the condition's status decides; what it printed is shown when it failed.
check() {
    checked=$1
    shift
    if "$@" >check.out 2>&1; then
        echo "ok      $checked ($SECONDS s)" | tee -a "$done_list"
    else
        echo "FAILED  $checked ($SECONDS s)" | tee -a "$done_list"
        failures=$((failures + 1))
        tail -n 5 check.out
        [ ! -f "${job_out:-}" ] || tail -n 12 "$job_out"
    fi
}

state_of() { scontrol -o show job "$1" 2>/dev/null | sed -n 's/.* JobState=\([A-Z_]*\).*/\1/p' | tail -1; }
value_of() { scontrol -o show job "$1" | tr ' ' '\n' | sed -n "s/^$2=//p" | head -1; }

# until_true SECONDS COMMAND...
until_true() {
    end=$((SECONDS + $1 * ${THAW_TEST_SLOWER:-1}))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || { echo "waited in vain for: $*"; return 1; }
        sleep 0.1
    done
}
is_over() { [[ $(state_of "$1") =~ ^(COMPLETED|FAILED|CANCELLED|TIMEOUT|NODE_FAIL)$ ]]; }
# ends_as STATE JOB: within two minutes
ends_as() {
    until_true 120 is_over "$2"
    same_state=$(state_of "$2")
    [ "$same_state" = "$1" ] || { echo "job $2 is $same_state, not $1"; return 1; }
}
saved() { find "$1/checkpoints" -name 'step-*.h5' | grep -q .; }
has_digest() { [ "$(get "$1/summary.json" state_digest)" = "$digest" ] || { echo "$1: other digest"; return 1; }; }

# submit OPTIONS... SCRIPT ARGUMENT...: sets job and job_out
submit() {
    job_out=$work/job-$((++submitted)).out
    job=$(sbatch --parsable --time=10 --ntasks-per-node=1 --cpus-per-task=1 --output="$job_out" "$@")
}
submitted=0
train() { submit "${options[@]}" "$root/slurm/train.sbatch" long.yaml "$@" --quiet --set rung=full; }

# ---- What all jobs train: long enough to be disturbed, the digest it must have in the end ------------------------------------------

make_all
sed 's/epochs: 2/epochs: 40/; s/shards: 24/shards: 4/; s/train: {/train: {checkpoint_every: 5, /' run.yaml >long.yaml
must "undisturbed run" ranks 2 train long.yaml --quiet --set rung=full --set output=plain
digest=$(get plain/summary.json state_digest)
echo "the undisturbed run took $(get plain/summary.json seconds) s"

# ---- The end of a time limit: begun first, since nearly all of it is waiting -------------------------------------------------------

# Two jobs of a minute; the first begins to train when some 20 s are left, of which the program keeps 15 and more for its end.
cat >late.sbatch <<'SH'
#!/bin/bash
. "$THAW_SLURM/env.sh"
[ -e late/config.yaml ] || sleep $((SLURM_JOB_END_TIME - $(date +%s) - 17))
thaw_job train long.yaml late --set rung=full
SH
if [ "$mode" != quick ]; then
    chain=()
    for i in 1 2; do
        chain+=("$(THAW_REQUEUE=no THAW_LAUNCHER=srun sbatch --parsable --time=1 --nodes=1 --ntasks=1 --job-name=chain \
            --dependency=singleton --no-requeue --open-mode=append --output=late.out late.sbatch)")
    done
fi

# ---- Undisturbed, by both launchers -------------------------------------------------------------------------------------------------

for launcher in srun mpirun; do
    export THAW_LAUNCHER=$launcher
    options=(--nodes=2)
    train "by-$launcher"
    check "$launcher: 2 nodes: the job is done" ends_as COMPLETED "$job"
    check "$launcher: the digest of the run without Slurm" has_digest "by-$launcher"
done
train by-mpirun
check "a job of a complete run leaves it alone" ends_as COMPLETED "$job"
check "and says so" grep -q 'by-mpirun is complete' "$job_out"

# ---- Preempted, requeued, signalled -------------------------------------------------------------------------------------------------

for launcher in srun mpirun; do
    export THAW_LAUNCHER=$launcher
    run=preempted-$launcher
    options=(--nodes=2 --partition=low --exclusive)
    train "$run"
    low=$job low_out=$job_out
    until_true 60 saved "$run"
    high=$(sbatch --parsable --partition=high --nodes=3 --exclusive --output=/dev/null --wrap true)
    check "$launcher: a job of higher priority takes the nodes" ends_as COMPLETED "$high"
    check "$launcher: the preempted job is done in the end" ends_as COMPLETED "$low"
    check "$launcher: it heard the signal and saved" grep -q "asked to stop" "$low_out"
    check "$launcher: it was started again" [ "$(value_of "$low" Restarts)" -ge 1 ]
    check "$launcher: preempted and undisturbed have one digest" has_digest "$run"
done

export THAW_LAUNCHER=srun
options=(--nodes=2)
train requeued
until_true 60 saved requeued
scontrol requeue "$job"
check "scontrol requeue: done in the end" ends_as COMPLETED "$job"
check "scontrol requeue: one digest" has_digest requeued

train cancelled
until_true 60 saved cancelled
scancel "$job"
until_true 60 sh -c "[ -z \"\$(squeue -h -j $job)\" ]"
check "scancel is not answered by another start" ends_as CANCELLED "$job"

# ---- What no other start would mend --------------------------------------------------------------------------------------------------

submit --nodes=2 "$root/slurm/train.sbatch" missing.yaml missing
check "a config that is not there fails at once" ends_as FAILED "$job"
check "and is not started again" [ "$(value_of "$job" Restarts)" = 0 ]
timeout 60 env OMPI_MCA_ess_singleton_isolated=1 srun --mpi=none --nodes=1 --ntasks=2 "$thaw" train long.yaml --set output=twins >twins.out 2>&1
check "tasks that do not see each other are refused" [ $? != 0 ]
check "and leave no run" [ ! -e twins ]

if [ "$mode" != quick ]; then
    for launcher in srun mpirun; do
        export THAW_LAUNCHER=$launcher
        options=(--nodes=2)
        train "killed-$launcher"
        until_true 60 saved "killed-$launcher"
        victim=$(grep -las "output=killed-$launcher" /proc/[0-9]*/cmdline | while read -r file; do
            [ "$(cat "${file%cmdline}comm" 2>/dev/null)" = thaw ] && file=${file#/proc/} && echo "${file%/cmdline}"
        done | head -1)
        check "$launcher: a rank is there to be killed" kill -9 "$victim"
        check "$launcher: a killed rank: done in the end" ends_as COMPLETED "$job"
        check "$launcher: a killed rank: started again" [ "$(value_of "$job" Restarts)" -ge 1 ]
        check "$launcher: a killed rank: one digest" has_digest "killed-$launcher"
    done

    export THAW_LAUNCHER=srun
    submit --nodes=1 --array=3-4 "$root/slurm/train.sbatch" run.yaml seeds --quiet --set rung=full
    check "an array: done" ends_as COMPLETED "$job"
    until_true 60 [ -e seeds-4/summary.json ]
    check "an array: a run for each seed" [ "$(get seeds-3/summary.json seed) $(get seeds-4/summary.json seed)" = "3 4" ]

    study=(run.yaml study --quiet --set 'scale={rungs: [frozen], ranks: [1, 2], steps: 2, repeats: 1}')
    submit --nodes=2 --array=1,2 "$root/slurm/scaling.sbatch" "${study[@]}"
    check "a study: done" ends_as COMPLETED "$job"
    until_true 60 [ -e study/ranks-1/scale.json -a -e study/ranks-2/scale.json ]
    submit --nodes=1 "$root/slurm/scaling.sbatch" "${study[@]}"
    check "a study: joined" ends_as COMPLETED "$job"
    check "a study: both rank counts" [ "$(cut -d, -f3 study/all/scale.csv | sort -u | tr '\n' ' ')" = "1 2 ranks " ]

    submit --nodes=2 "$root/slurm/ladder.sbatch" run.yaml climb --quiet --set ladder.seeds=2
    check "a ladder: done" ends_as COMPLETED "$job"
    check "a ladder: its note" [ -s climb/note.md ]

    job_out=$work/late.out
    check "time limit: the first job of a chain ends before it" ends_as FAILED "${chain[0]}"
    check "time limit: for want of time" grep -q 'stopped for want of time' late.out
    check "time limit: the next job goes on and is done" ends_as COMPLETED "${chain[1]}"
    check "time limit: one digest" has_digest late
fi

gone "the end"
echo "---- $(grep -c ^ok "$done_list") passed, $failures failed, $SECONDS s"
grep ^FAILED "$done_list"
finish
