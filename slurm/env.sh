# env.sh: what the batch scripts of this folder share; they source it. Adapt the first part to the cluster.

# ---- The cluster ---------------------------------------------------------------------------------------------------

# module load gcc openmpi openblas hdf5        # what thaw was built with
# export UCX_TLS=rc,sm,self                    # only if your site says so; MPI usually chooses well

thaw=${THAW:-thaw}                             # the program, by name or path; the same file on all nodes
launcher=${THAW_LAUNCHER:-srun}                # srun or mpirun
requeue=${THAW_REQUEUE:-yes}                   # no: the job ends with 75 instead, for chains of jobs (README.md)
most_restarts=${THAW_MOST_RESTARTS:-50}        # a job that was started again so often gives up

# One rank for each NUMA domain or socket, with one thread for each of its cores, is a good start; ranks of one thread need more memory.
# Ranks bound to fewer cores than they have threads are slow, so the threads follow the job.
export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"
# Since Slurm 22.05 a step no longer inherits --cpus-per-task. A rank that dies takes its step with it.
srun_options=${THAW_SRUN_OPTIONS:---cpus-per-task=$OMP_NUM_THREADS --cpu-bind=cores --kill-on-bad-exit=1}
mpirun_options=${THAW_MPIRUN_OPTIONS:---map-by slot:PE=$OMP_NUM_THREADS --bind-to core}

# Slurm before 23 does not tell a job when it ends, but knows.
if [ -z "${SLURM_JOB_END_TIME:-}" ]; then
    end=$(scontrol -o show job "$SLURM_JOB_ID" | sed -n 's/.* EndTime=\([^ ]*\).*/\1/p')
    SLURM_JOB_END_TIME=$(date -d "$end" +%s 2>/dev/null) && export SLURM_JOB_END_TIME || unset SLURM_JOB_END_TIME
fi

# ---- One start of a run ----------------------------------------------------------------------------------------------

# A complete run or ladder has its summary, which is written last.
finished() { [ -f "$1/summary.json" ]; }

# What a run directory holds of saved work: names of checkpoints, which count steps, and of finished trials. Names, not times: the clocks
# of a node and of a file server differ.
saved_work() { find "$1" \( -name 'step-*.h5' -o -name summary.json \) 2>/dev/null | sort; }

launch() {
    case $launcher in
    srun) exec srun --mpi="${THAW_SRUN_MPI:-pmix}" $srun_options "$thaw" "$@" ;;
    mpirun) exec mpirun $mpirun_options "$thaw" "$@" ;;
    *) echo "slurm: THAW_LAUNCHER is '$launcher'; known are srun and mpirun" >&2 && exit 2 ;;
    esac
}

# Both launchers pass USR1 on to all ranks, which save and end with 75. TERM would make mpirun kill them soon after.
ask_to_stop() {
    asked=yes heard=yes
    echo "slurm: asked to stop ($1); passing it on"
    kill -USR1 "$running" 2>/dev/null
}

# Ends this job and puts it into the queue again under its number; does not return when that works. Somebody who has cancelled the job, or
# Slurm, which is requeueing it already, knows better.
start_again() {
    job=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}
    job=${job:-$SLURM_JOB_ID}
    state=$(scontrol -o show job "$job" | sed -n 's/.* JobState=\([A-Z_]*\).*/\1/p')
    if [ "$state" != RUNNING ]; then
        echo "slurm: job $job is $state; not requeued from here"
    elif [ "${SLURM_RESTART_COUNT:-0}" -ge "$most_restarts" ]; then
        echo "slurm: job $job was started again $SLURM_RESTART_COUNT times, that is enough (THAW_MOST_RESTARTS)"
    elif scontrol requeue "$job"; then
        sleep 60 # Slurm ends this script
    else
        echo "slurm: job $job cannot be requeued; submit it again"
    fi
}

# thaw_job COMMAND CONFIG RUN [ARGUMENT...]: starts or continues `thaw COMMAND CONFIG` in the directory RUN and says by its exit code what
# became of it: 0 finished, 75 to be continued, else failed. Whether to go on is read from the run directory: what was asked to stop, or has
# saved more than before, is worth another start. The exit code alone would not do, since launchers differ: where a rank dies of
# a signal, srun gives its peers' end (137) and mpirun the rank's own.
thaw_job() {
    command=$1 config=$2 run=$3 asked=
    shift 3
    if finished "$run"; then
        echo "slurm: $run is complete"
        return 0
    fi
    before=$(saved_work "$run")
    launch "$command" "$config" --resume --set "output=$run" "$@" &
    running=$!
    trap 'ask_to_stop USR1' USR1
    trap 'ask_to_stop TERM' TERM
    heard=yes
    while [ -n "$heard" ]; do # a trap ends wait, not the run
        heard=
        wait "$running"
        code=$?
    done
    echo "slurm: thaw $command ended with $code"
    if finished "$run"; then
        return 0
    fi
    case $code in
    2 | 3 | 4 | 5) return "$code" ;; # thaw's word that another start would end alike
    esac
    if [ -z "$asked" ] && [ "$before" = "$(saved_work "$run")" ]; then
        echo "slurm: nothing was saved since the start; not again"
        [ "$code" = 0 ] && code=1
        return "$code"
    fi
    echo "slurm: $run is to be continued"
    [ "$requeue" = no ] || start_again
    return 75
}
