/* What lies behind a thaw_comm, and how MPI's return codes are treated: there is nobody to agree with after one failed. */
#ifndef THAW_COMM_COMM_IMPL_H
#define THAW_COMM_COMM_IMPL_H

#include "thaw/comm.h"

#include <mpi.h>

/* MPICH's MPI_STATUSES_IGNORE is the address 1, and gcc takes it for memory that MPI_Waitall and its like would write to. */
#if defined(MPICH) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wstringop-overflow"
#endif

struct thaw_comm {
    MPI_Comm mpi;
    MPI_Comm node;    /* this communicator's ranks on this node */
    MPI_Comm leaders; /* the first rank of every node; MPI_COMM_NULL on the others */
    MPI_Comm
        peers; /* those who stand in this rank's place on their nodes; MPI_COMM_NULL until it is needed */
    int rank, size;
    int world_rank; /* what messages and the log call this process */
    int node_rank, node_size, node_count;
    int node_ranks; /* on this node in the communicator that this one was split from, and that one from, ... */
    int node_first; /* ranks on the nodes of earlier leaders: node_first + node_rank counts node by node */
    bool even_nodes;   /* each with as many ranks */
    bool said_private; /* that shared memory is missing was logged */
    bool ends_mpi;
    bool yields; /* see thaw_comm_look_for_cores; the same on every rank */
    thaw_comm_counters count;
};

/* Takes over `mpi` and fills the rest. Collective. */
THAW_NODISCARD thaw_status thaw_comm_wrap(MPI_Comm mpi, thaw_comm **out);

/* Sets comm->yields: where some node has more ranks than cores, and the MPI library keeps a core while it waits. MPICH does, until the
 * system takes the core away; Open MPI gives it up where ranks outnumber cores. Collective. */
void thaw_comm_look_for_cores(thaw_comm *comm);

/* Prints one message and ends the job when `code` is an MPI error. */
void thaw_mpi_check(int code, const char *call, const char *file, int line);
#define THAW_MPI(call)                                                                             \
    do {                                                                                           \
        const char *before_ = thaw_beat_wait(#call);                                               \
        thaw_mpi_check((call), #call, __FILE__, __LINE__);                                         \
        thaw_beat_go(before_);                                                                     \
    } while (0)

/* MPI_Waitall, which gives the core to others meanwhile where comm->yields; `call` is what the watchdog calls it. */
void thaw_wait_for(thaw_comm *comm, const char *call, MPI_Request *requests, int count);

/* A blocking call, or where ranks have to yield the one that begins it, and a wait that does: a collective that all ranks call in the same
 * way, since MPI lets a blocking one not match the other kind. */
#define THAW_MPI_YIELDING(comm, call, begin_call, ...)                                             \
    do {                                                                                           \
        if ((comm)->yields) {                                                                      \
            MPI_Request request_ = MPI_REQUEST_NULL;                                               \
            THAW_MPI(begin_call(__VA_ARGS__, &request_));                                          \
            thaw_wait_for(comm, #call, &request_, 1);                                              \
        } else {                                                                                   \
            THAW_MPI(call(__VA_ARGS__));                                                           \
        }                                                                                          \
    } while (0)

/* A broadcast within `mpi`, counted as comm's. */
void thaw_bcast_within(thaw_comm *comm, MPI_Comm mpi, int root, void *data, int64_t bytes);

/* Moves whole units out of the part, so that it lies in [0, 2^40) and one value has one form. */
void thaw_fixed_carry(thaw_fixed *sum);

#endif
