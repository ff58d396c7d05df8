#include "thaw/comm.h"

#include <limits.h>
#include <string.h>
#include <time.h>

#include "comm/comm_impl.h"

void thaw_barrier(thaw_comm *comm)
{
    comm->count.barrier_calls++;
    THAW_MPI_YIELDING(comm, MPI_Barrier, MPI_Ibarrier, comm->mpi);
}

/* A fiftieth of a second is nothing beside what such ranks wait for, and 50 looks a second are nothing beside a core. */
void thaw_barrier_asleep(thaw_comm *comm)
{
    const struct timespec nap = {.tv_nsec = 20000000};
    MPI_Request request;
    int here = 0;
    comm->count.barrier_calls++;
    THAW_MPI(MPI_Ibarrier(comm->mpi, &request));
    THAW_MPI(MPI_Test(&request, &here, MPI_STATUS_IGNORE));
    while (!here) {
        (void)nanosleep(&nap, NULL);
        THAW_MPI(MPI_Test(&request, &here, MPI_STATUS_IGNORE));
    }
}

/* MPI counts in int: what is longer goes in pieces. */
static int piece(int64_t left)
{
    return left < INT_MAX ? (int)left : INT_MAX;
}

void thaw_bcast_within(thaw_comm *comm, MPI_Comm mpi, int root, void *data, int64_t bytes)
{
    char *at = data;
    while (bytes > 0) {
        int part = piece(bytes);
        comm->count.bcast_calls++;
        comm->count.bcast_bytes += part;
        THAW_MPI_YIELDING(comm, MPI_Bcast, MPI_Ibcast, at, part, MPI_BYTE, root, mpi);
        at += part;
        bytes -= part;
    }
}

void thaw_bcast(thaw_comm *comm, int root, void *data, int64_t bytes)
{
    thaw_bcast_within(comm, comm->mpi, root, data, bytes);
}

static void reduce_all(thaw_comm *comm, void *values, int64_t count, MPI_Datatype type, MPI_Op op)
{
    char *at = values;
    while (count > 0) {
        int part = piece(count);
        comm->count.allreduce_calls++;
        comm->count.allreduce_bytes += 8 * (int64_t)part;
        THAW_MPI_YIELDING(comm, MPI_Allreduce, MPI_Iallreduce, MPI_IN_PLACE, at, part, type, op,
                          comm->mpi);
        at += 8 * (int64_t)part;
        count -= part;
    }
}

void thaw_allreduce_sum_int64(thaw_comm *comm, int64_t *values, int64_t count)
{
    reduce_all(comm, values, count, MPI_INT64_T, MPI_SUM);
}

void thaw_allreduce_max_int64(thaw_comm *comm, int64_t *values, int64_t count)
{
    reduce_all(comm, values, count, MPI_INT64_T, MPI_MAX);
}

void thaw_allreduce_min_int64(thaw_comm *comm, int64_t *values, int64_t count)
{
    reduce_all(comm, values, count, MPI_INT64_T, MPI_MIN);
}

void thaw_allreduce_max_double(thaw_comm *comm, double *values, int64_t count)
{
    reduce_all(comm, values, count, MPI_DOUBLE, MPI_MAX);
}

void thaw_allreduce_min_double(thaw_comm *comm, double *values, int64_t count)
{
    reduce_all(comm, values, count, MPI_DOUBLE, MPI_MIN);
}

/* One broadcast a rank: for amounts that MPI's int displacements cannot name. offset: size + 1 values. */
static void gather_in_turn(thaw_comm *comm, const void *mine, const int64_t *offset, char *all)
{
    if (offset[comm->rank + 1] > offset[comm->rank])
        memcpy(all + offset[comm->rank], mine,
               (size_t)(offset[comm->rank + 1] - offset[comm->rank]));
    for (int r = 0; r < comm->size; r++) {
        int64_t at = offset[r];
        while (at < offset[r + 1]) {
            int part = piece(offset[r + 1] - at);
            THAW_MPI_YIELDING(comm, MPI_Bcast, MPI_Ibcast, all + at, part, MPI_BYTE, r, comm->mpi);
            at += part;
        }
    }
}

void thaw_allgather(thaw_comm *comm, const void *mine, int64_t bytes, void *all)
{
    char *to = all;
    const char *from = mine;
    comm->count.gather_calls++;
    comm->count.gather_bytes += bytes;
    if (bytes <= INT_MAX) {
        THAW_MPI_YIELDING(comm, MPI_Allgather, MPI_Iallgather, from, (int)bytes, MPI_BYTE, to,
                          (int)bytes, MPI_BYTE, comm->mpi);
        return;
    }
    memcpy(to + comm->rank * bytes, from, (size_t)bytes);
    for (int r = 0; r < comm->size; r++) {
        for (int64_t at = 0; at < bytes; at += piece(bytes - at))
            THAW_MPI_YIELDING(comm, MPI_Bcast, MPI_Ibcast, to + r * bytes + at, piece(bytes - at),
                              MPI_BYTE, r, comm->mpi);
    }
}

static void receive(thaw_comm *comm, int from, void *out, int bytes)
{
    MPI_Request request;
    THAW_MPI(MPI_Irecv(out, bytes, MPI_BYTE, from, 0, comm->mpi, &request));
    thaw_wait_for(comm, "MPI_Recv", &request, 1);
}

/* From one rank to another. */
static void pass(thaw_comm *comm, int from, int to, const void *values, int64_t bytes, void *out)
{
    if (from == to && comm->rank == to && bytes > 0)
        memcpy(out, values, (size_t)bytes);
    if (from == to || (comm->rank != from && comm->rank != to))
        return;
    comm->count.gather_calls++;
    comm->count.gather_bytes += bytes;
    for (int64_t at = 0; at < bytes; at += piece(bytes - at)) {
        if (comm->rank == from)
            THAW_MPI_YIELDING(comm, MPI_Send, MPI_Isend, (const char *)values + at,
                              piece(bytes - at), MPI_BYTE, to, 0, comm->mpi);
        else
            receive(comm, from, (char *)out + at, piece(bytes - at));
    }
}

void thaw_fetch(thaw_comm *comm, int from, const void *mine, int64_t bytes, void *out)
{
    pass(comm, from, 0, mine, bytes, out);
}

void thaw_give(thaw_comm *comm, int to, const void *values, int64_t bytes, void *mine)
{
    pass(comm, 0, to, values, bytes, mine);
}

/* counts and displacements are scratch for MPI: 2 * size ints. */
static void gather_parts(thaw_comm *comm, const void *mine, const int64_t *offset, int *scratch,
                         char *all)
{
    if (offset[comm->size] > INT_MAX) {
        gather_in_turn(comm, mine, offset, all);
        return;
    }
    int *counts = scratch, *starts = scratch + comm->size;
    for (int r = 0; r < comm->size; r++) {
        counts[r] = (int)(offset[r + 1] - offset[r]);
        starts[r] = (int)offset[r];
    }
    THAW_MPI_YIELDING(comm, MPI_Allgatherv, MPI_Iallgatherv, mine, counts[comm->rank], MPI_BYTE,
                      all, counts, starts, MPI_BYTE, comm->mpi);
}

thaw_status thaw_allgatherv(thaw_comm *comm, const void *mine, int64_t bytes, void **all,
                            int64_t *total, int64_t *offsets)
{
    int64_t *offset = NULL;
    int *scratch = NULL;
    *all = NULL;
    *total = 0;
    thaw_status status = thaw_alloc(&offset, comm->size + 1, sizeof *offset);
    if (status == THAW_OK)
        status = thaw_alloc(&scratch, 2 * (int64_t)comm->size, sizeof *scratch);
    status = thaw_agree(comm, status);
    if (status != THAW_OK)
        goto done;
    thaw_allgather(comm, &bytes, (int64_t)sizeof bytes, offset + 1);
    for (int r = 0; r < comm->size; r++)
        offset[r + 1] += offset[r];
    *total = offset[comm->size];
    status = thaw_agree(comm, thaw_alloc(all, *total, 1));
    if (status != THAW_OK)
        goto done;
    comm->count.gather_calls++;
    comm->count.gather_bytes += bytes;
    gather_parts(comm, mine, offset, scratch, *all);
    if (offsets != NULL)
        memcpy(offsets, offset, (size_t)(comm->size + 1) * sizeof *offset);
done:
    if (status != THAW_OK)
        thaw_free(all);
    thaw_free(&scratch);
    thaw_free(&offset);
    return status;
}
