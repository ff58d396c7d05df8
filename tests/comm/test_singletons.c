/* N processes that srun started without telling MPI about each other must not train N times over the same files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "thaw/comm.h"

/* MPI starts once a process, so each case has its own. Returns the status that starting gave. */
static int start_with(const char *tasks, const char *step, const char *under_mpirun)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("SLURM_NTASKS", tasks, 1);
        setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
        setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
        if (step != NULL)
            setenv("SLURM_STEP_ID", step, 1);
        if (under_mpirun != NULL)
            setenv("PMI_SIZE", under_mpirun, 1);
        thaw_log_set_level(THAW_RESULT);
        thaw_comm *comm = NULL;
        thaw_status status = thaw_comm_start(NULL, NULL, &comm);
        bool words = status == THAW_OK || strstr(thaw_error_last()->message, "--mpi=pmix") != NULL;
        thaw_comm_stop(&comm);
        _exit(words ? (int)status : 100);
    }
    int code = 0;
    assert_int_equal(waitpid(child, &code, 0), child);
    return WIFEXITED(code) ? WEXITSTATUS(code) : 200;
}

static void twins_of_a_step_are_refused(void **state)
{
    (void)state;
    assert_int_equal(start_with("2", "0", NULL), THAW_ERR_USAGE);
}

static void one_process_is_fine_elsewhere(void **state)
{
    (void)state;
    assert_int_equal(start_with("1", "0", NULL), THAW_OK);
    assert_int_equal(start_with("4", NULL, NULL), THAW_OK); /* in a batch script, without srun */
    assert_int_equal(start_with("4", "0", "1"), THAW_OK);   /* mpirun -n 1 inside a step */
}

/* Another MPI's mpirun starts N processes of which each counts 1. Returns the status, 100 where words are missing. */
static int start_by(const char *ranks, const char *inner)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
        setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
        setenv("OMPI_COMM_WORLD_SIZE", ranks, 1);
        if (inner != NULL)
            setenv("PMI_SIZE", inner, 1);
        thaw_log_set_level(THAW_RESULT);
        thaw_comm *comm = NULL;
        thaw_status status = thaw_comm_start(NULL, NULL, &comm);
        bool words = status == THAW_OK || strstr(thaw_error_last()->message, "built with ") != NULL;
        thaw_comm_stop(&comm);
        _exit(words ? (int)status : 100);
    }
    int code = 0;
    assert_int_equal(waitpid(child, &code, 0), child);
    return WIFEXITED(code) ? WEXITSTATUS(code) : 200;
}

static void ranks_of_another_mpi_are_refused(void **state)
{
    (void)state;
    assert_int_equal(start_by("2", NULL), THAW_ERR_USAGE);
    assert_int_equal(start_by("1", NULL), THAW_OK);
    assert_int_equal(start_by("4", "1"), THAW_OK); /* an mpirun -n 1 in another one's task */
}

int main(void)
{
    /* Whoever runs the tests inside a job must not decide them. */
    unsetenv("SLURM_STEP_NUM_TASKS");
    unsetenv("SLURM_STEP_ID");
    unsetenv("SLURM_STEPID");
    unsetenv("OMPI_COMM_WORLD_SIZE");
    unsetenv("PMI_SIZE");
    const struct CMUnitTest singletons[] = {
        cmocka_unit_test(twins_of_a_step_are_refused),
        cmocka_unit_test(one_process_is_fine_elsewhere),
        cmocka_unit_test(ranks_of_another_mpi_are_refused),
    };
    return cmocka_run_group_tests(singletons, NULL, NULL);
}
