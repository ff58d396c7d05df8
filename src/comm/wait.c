/* wait.c - waits that give the core away. */
#include "thaw/comm.h"

#include <sched.h>

#include "comm/comm_impl.h"

void thaw_comm_look_for_cores(thaw_comm *comm)
{
    int wants = 0;
#if !defined(OPEN_MPI)
    wants = comm->node_size > thaw_cores();
#endif
    THAW_MPI(MPI_Allreduce(MPI_IN_PLACE, &wants, 1, MPI_INT, MPI_MAX, comm->mpi));
    comm->yields = wants != 0;
}

void thaw_wait_for(thaw_comm *comm, const char *call, MPI_Request *requests, int count)
{
    const char *before = thaw_beat_wait(call);
    int here = !comm->yields;
    if (!comm->yields)
        thaw_mpi_check(MPI_Waitall(count, requests, MPI_STATUSES_IGNORE), call, __FILE__, __LINE__);
    while (!here) {
        thaw_mpi_check(MPI_Testall(count, requests, &here, MPI_STATUSES_IGNORE), call, __FILE__,
                       __LINE__);
        if (!here)
            (void)sched_yield();
    }
    thaw_beat_go(before);
}
