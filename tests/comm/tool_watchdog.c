/* comm_tool_watchdog MODE SECONDS: what a watchdog of that limit makes of the ranks. Prints "done" when nothing ended it.
 *   deadlock  each rank waits for the others in another communicator
 *   work      the first rank works, with signs of progress, for three times the limit; the others wait for it
 *   patience  the first rank has left the watchdog and sleeps that long; the others may wait
 *   again     watchdogs one after another, and one within another
 * thaw-test: modules=comm */
#include "thaw/comm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void nap(double seconds)
{
    (void)usleep((useconds_t)(seconds * 1e6));
}

static void work(double limit)
{
    for (int i = 0; i < 30; i++) {
        nap(limit / 10);
        thaw_beat("work");
    }
}

static thaw_status deadlock(thaw_comm *comm)
{
    thaw_comm *other = NULL;
    THAW_TRY(thaw_comm_split(comm, 0, 0, &other));
    thaw_barrier(thaw_comm_rank(comm) == 0 ? comm : other);
    thaw_comm_free(&other);
    return THAW_OK;
}

static thaw_status again(thaw_comm *comm, double limit)
{
    for (int i = 0; i < 20; i++) {
        thaw_watchdog *outer, *inner;
        THAW_TRY(thaw_watchdog_start(comm, limit, &outer));
        THAW_TRY(thaw_watchdog_start(comm, limit, &inner));
        if (outer == NULL || inner != NULL)
            return THAW_FAIL(THAW_ERR_FAIL, "a watchdog within another");
        thaw_watchdog_stop(&inner);
        thaw_watchdog_stop(&outer);
    }
    return THAW_OK;
}

static thaw_status run(thaw_comm *comm, const char *mode, double limit)
{
    thaw_watchdog *watchdog = NULL;
    const bool first = thaw_comm_rank(comm) == 0;
    if (strcmp(mode, "again") == 0)
        return again(comm, limit);
    THAW_TRY(thaw_watchdog_start(comm, limit, &watchdog));
    thaw_status status = THAW_OK;
    if (strcmp(mode, "deadlock") == 0)
        status = deadlock(comm);
    if (strcmp(mode, "work") == 0 && first)
        work(limit);
    if (strcmp(mode, "patience") == 0) {
        if (first) {
            thaw_watchdog_stop(&watchdog);
            nap(3 * limit);
        }
        thaw_beat_patience(true);
    }
    thaw_barrier(comm);
    thaw_watchdog_stop(&watchdog);
    return status;
}

int main(int argc, char **argv)
{
    thaw_comm *comm = NULL;
    double limit = 0;
    if (argc != 3 || !thaw_parse_double(argv[2], &limit))
        return 2;
    thaw_status status = thaw_comm_start(&argc, &argv, &comm);
    if (status == THAW_OK)
        status = run(comm, argv[1], limit);
    if (status != THAW_OK)
        THAW_LOG(THAW_ERROR, "%s", thaw_error_last()->message);
    else if (thaw_comm_rank(comm) == 0)
        printf("done\n");
    thaw_comm_stop(&comm);
    return thaw_status_exit_code(status);
}
