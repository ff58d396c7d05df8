/* For cmocka programs that run under MPI: assert_all between collectives, and a main that starts and ends MPI.
 *
 * A test that fails on one rank only would leave the others in a collective: with assert_all all ranks fail together, and where
 * any other assertion fails on one rank, that rank aborts and the launcher ends the rest at once. */
#ifndef THAW_TESTS_MPI_TEST_H
#define THAW_TESTS_MPI_TEST_H

#include <mpi.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "thaw/comm.h"

/* Makes it 0 where it is 0 on some rank, and gives up the core while it waits: tests start more ranks than there are cores. Open MPI does
 * so by itself. */
static void mpi_test_all(int *ok)
{
#if defined(OPEN_MPI)
    MPI_Allreduce(MPI_IN_PLACE, ok, 1, MPI_INT, MPI_LAND, MPI_COMM_WORLD);
#else
    MPI_Request request;
    int here = 0;
    MPI_Iallreduce(MPI_IN_PLACE, ok, 1, MPI_INT, MPI_LAND, MPI_COMM_WORLD, &request);
    MPI_Test(&request, &here, MPI_STATUS_IGNORE);
    while (!here) {
        sched_yield();
        MPI_Test(&request, &here, MPI_STATUS_IGNORE);
    }
#endif
}

/* Collective over all ranks. */
#define assert_all(cond)                                                                           \
    do {                                                                                           \
        int ok_ = !!(cond);                                                                        \
        mpi_test_all(&ok_);                                                                        \
        if (!ok_)                                                                                  \
            fail_msg("on some rank: %s", #cond);                                                   \
    } while (0)

/* All ranks; set by mpi_test_main. */
static thaw_comm *world;
/* Called on all ranks once MPI runs, and before it ends; may be NULL. */
static void (*mpi_test_setup)(void), (*mpi_test_teardown)(void);

static int mpi_test_run(int argc, char **argv, const char *name, const struct CMUnitTest *tests,
                        size_t count)
{
    thaw_status status = thaw_comm_start(&argc, &argv, &world);
    if (status != THAW_OK) {
        fprintf(stderr, "%s\n", thaw_error_last()->message);
        return 1;
    }
    if (thaw_comm_size(world) > 1)
        setenv("CMOCKA_TEST_ABORT", "1", 1);
    if (thaw_comm_rank(world) != 0 && freopen("/dev/null", "w", stdout) == NULL)
        return 1;
    if (mpi_test_setup != NULL)
        mpi_test_setup();
    int failed = _cmocka_run_group_tests(name, tests, count, NULL, NULL);
    if (mpi_test_teardown != NULL)
        mpi_test_teardown();
    MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    thaw_comm_stop(&world);
    return failed != 0;
}

#define mpi_test_main(argc, argv, tests)                                                           \
    mpi_test_run(argc, argv, #tests, tests, sizeof(tests) / sizeof((tests)[0]))

#endif
