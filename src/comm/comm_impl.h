/* What lies behind a thaw_comm, and how MPI's return codes are treated: there is nobody to agree with after one failed. */
#ifndef THAW_COMM_COMM_IMPL_H
#define THAW_COMM_COMM_IMPL_H

#include "thaw/comm.h"

#include <mpi.h>

struct thaw_comm {
    MPI_Comm mpi;
    MPI_Comm node;    /* this communicator's ranks on this node */
    MPI_Comm leaders; /* the first rank of every node; MPI_COMM_NULL on the others */
    int rank, size;
    int world_rank; /* what messages and the log call this process */
    int node_rank, node_size, node_count;
    int node_ranks; /* on this node in the communicator that this one was split from, and that one from, ... */
    int node_first; /* ranks on the nodes of earlier leaders: node_first + node_rank counts node by node */
    bool said_private; /* that shared memory is missing was logged */
    bool ends_mpi;
    thaw_comm_counters count;
};

/* Takes over `mpi` and fills the rest. Collective. */
THAW_NODISCARD thaw_status thaw_comm_wrap(MPI_Comm mpi, thaw_comm **out);

/* Prints one message and ends the job when `code` is an MPI error. */
void thaw_mpi_check(int code, const char *call, const char *file, int line);
#define THAW_MPI(call)                                                                             \
    do {                                                                                           \
        const char *before_ = thaw_beat_wait(#call);                                               \
        thaw_mpi_check((call), #call, __FILE__, __LINE__);                                         \
        thaw_beat_go(before_);                                                                     \
    } while (0)

/* A broadcast within `mpi`, counted as comm's. */
void thaw_bcast_within(thaw_comm *comm, MPI_Comm mpi, int root, void *data, int64_t bytes);

/* Moves whole units out of the part, so that it lies in [0, 2^40) and one value has one form. */
void thaw_fixed_carry(thaw_fixed *sum);

#endif
