/* What lies behind a thaw_comm, and how MPI's return codes are treated: there is nobody to agree with after one failed. */
#ifndef THAW_COMM_COMM_IMPL_H
#define THAW_COMM_COMM_IMPL_H

#include "thaw/comm.h"

#include <mpi.h>

struct thaw_comm {
    MPI_Comm mpi;
    MPI_Comm node; /* this communicator's ranks on this node */
    int rank, size;
    int world_rank; /* what messages and the log call this process */
    int node_rank, node_size, node_count;
    bool ends_mpi;
    thaw_comm_counters count;
};

/* Takes over `mpi` and fills the rest. Collective. */
THAW_NODISCARD thaw_status thaw_comm_wrap(MPI_Comm mpi, thaw_comm **out);

/* Prints one message and ends the job when `code` is an MPI error. */
void thaw_mpi_check(int code, const char *call, const char *file, int line);
#define THAW_MPI(call) thaw_mpi_check((call), #call, __FILE__, __LINE__)

/* Moves whole units out of the part, so that it lies in [0, 2^40) and one value has one form. */
void thaw_fixed_carry(thaw_fixed *sum);

#endif
