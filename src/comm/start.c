#include "thaw/comm.h"

#include <stdlib.h>
#include <string.h>

#include "comm/comm_impl.h"

void thaw_mpi_check(int code, const char *call, const char *file, int line)
{
    if (code == MPI_SUCCESS)
        return;
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(code, text, &length);
    const char *open = strchr(call, '(');
    int name = open != NULL ? (int)(open - call) : (int)strlen(call);
    const char *slash = strrchr(file, '/');
    THAW_LOG_ALL(THAW_ERROR, "%.*s failed (%s:%d): %s; the job ends here", name, call,
                 slash != NULL ? slash + 1 : file, line, text);
    thaw_abort(1);
}

static void abort_job(int exit_code)
{
    int running = 0, over = 0;
    MPI_Initialized(&running);
    MPI_Finalized(&over);
    if (running && !over)
        MPI_Abort(MPI_COMM_WORLD, exit_code);
    _Exit(exit_code);
}

static int64_t number_from(const char *variable)
{
    const char *text = getenv(variable);
    int64_t value = 0;
    return text != NULL && thaw_parse_int(text, &value) ? value : 0;
}

/* Under mpirun (Open MPI, MPICH, Intel MPI) one process may be what was asked for. */
static bool started_by_mpirun(void)
{
    static const char *const marks[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS",
                                        "HYDI_CONTROL_FD"};
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        if (getenv(marks[i]) != NULL)
            return true;
    }
    return false;
}

int64_t thaw_comm_tasks_of_job(const thaw_comm *comm)
{
    int64_t tasks = number_from("SLURM_STEP_NUM_TASKS");
    if (tasks == 0)
        tasks = number_from("SLURM_NTASKS");
    return comm->size > 1 || tasks <= 1 || started_by_mpirun() ? 1 : tasks;
}

/* srun marks its tasks with a step; a batch script has the job's variables only, and a single process there is nobody's twin: whether
 * it should be alone is the command's to say (thaw_comm_tasks_of_job). */
static thaw_status refuse_singletons(int size)
{
    const thaw_comm alone = {.size = size};
    const int64_t tasks = thaw_comm_tasks_of_job(&alone);
    if (tasks == 1 || (getenv("SLURM_STEP_ID") == NULL && getenv("SLURM_STEPID") == NULL))
        return THAW_OK;
    /* Each twin is rank 0 of its own world; let Slurm's number decide who speaks. */
    thaw_log_set_rank((int)number_from("SLURM_PROCID"), (int)tasks);
    return THAW_FAIL(THAW_ERR_USAGE,
                     "started as %lld separate processes that do not see each other (SLURM_NTASKS "
                     "is %lld, MPI counts 1); use \"srun --mpi=pmix\" (\"srun --mpi=list\" shows "
                     "what this cluster has) or mpirun inside the batch script",
                     (long long)tasks, (long long)tasks);
}

/* Under the mpirun of another MPI than ours each process is alone in its world. The smallest number counts: an mpirun inside another
 * launcher's task hands that one's variables on. */
static thaw_status refuse_other_mpirun(int size)
{
    static const char *const marks[][2] = {{"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"},
                                           {"PMI_SIZE", "PMI_RANK"}};
    int64_t started = 0, rank = 0;
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        const int64_t here = number_from(marks[i][0]);
        if (here > 0 && (started == 0 || here < started)) {
            started = here;
            rank = number_from(marks[i][1]);
        }
    }
    if (size > 1 || started <= 1)
        return THAW_OK;
    thaw_log_set_rank((int)rank, (int)started);
    return THAW_FAIL(THAW_ERR_USAGE,
                     "started as %lld separate processes that do not see each other: this thaw is "
                     "built with %s, and the mpirun or srun that started it speaks to another MPI; "
                     "use the mpirun of that library (\"mpirun --version\" tells whose it is; "
                     "Debian has mpirun.openmpi and mpirun.mpich)",
                     (long long)started, thaw_comm_library());
}

static thaw_status begin(MPI_Comm from, bool ends_mpi, thaw_comm **out)
{
    MPI_Comm own;
    THAW_MPI(MPI_Comm_dup(from, &own));
    THAW_MPI(MPI_Comm_set_errhandler(own, MPI_ERRORS_RETURN));
    THAW_TRY(thaw_comm_wrap(own, out));
    thaw_comm_look_for_cores(*out);
    (*out)->ends_mpi = ends_mpi;
    thaw_log_set_rank((*out)->world_rank, (*out)->size);
    thaw_set_abort_hook(abort_job);
    return THAW_OK;
}

thaw_status thaw_comm_start(int *argc, char ***argv, thaw_comm **out)
{
    *out = NULL;
    int provided = 0;
    /* A later watchdog thread may call MPI_Abort; nothing else of MPI is called outside the main thread. */
    int code = MPI_Init_thread(argc, argv, MPI_THREAD_SERIALIZED, &provided);
    THAW_CHECK(code == MPI_SUCCESS, THAW_ERR_FAIL, "MPI cannot start (MPI_Init returned %d)", code);
    THAW_MPI(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    int size = 0;
    THAW_MPI(MPI_Comm_size(MPI_COMM_WORLD, &size));
    thaw_status status = refuse_other_mpirun(size);
    if (status == THAW_OK)
        status = refuse_singletons(size);
    if (status == THAW_OK)
        status = begin(MPI_COMM_WORLD, true, out);
    if (status != THAW_OK)
        MPI_Finalize();
    else
        thaw_guard_exit(size > 1); /* not all launchers see a rank that leaves with code 0 */
    return status;
}

thaw_status thaw_comm_from_mpi(const void *mpi_comm, thaw_comm **out)
{
    *out = NULL;
    int running = 0, over = 0;
    MPI_Initialized(&running);
    MPI_Finalized(&over);
    THAW_CHECK(running && !over, THAW_ERR_USAGE,
               "thaw_comm_from_mpi needs MPI between MPI_Init and MPI_Finalize");
    THAW_CHECK(mpi_comm != NULL, THAW_ERR_USAGE,
               "thaw_comm_from_mpi needs a pointer to an MPI_Comm");
    MPI_Comm from;
    memcpy(&from, mpi_comm, sizeof from);
    return begin(from, false, out);
}

void thaw_comm_stop(thaw_comm **comm)
{
    if (*comm == NULL)
        return;
    bool ends_mpi = (*comm)->ends_mpi;
    thaw_comm_free(comm);
    if (ends_mpi)
        thaw_guard_exit(false);
    thaw_set_abort_hook(NULL);
    if (ends_mpi)
        MPI_Finalize();
}
