#include "thaw/comm.h"

#include <stdint.h>
#include <string.h>

#include "comm/comm_impl.h"

/* `base` is ours alone, or the node's when a window stands behind it. */
struct thaw_shared {
    void *base;
    void *data; /* base, moved up to the next multiple of 64 in the window */
    MPI_Win window;
    bool writer;
    bool is_private;
};

/* True on every rank of every node, or on none. */
static bool everywhere(thaw_comm *comm, bool mine)
{
    int64_t value = mine;
    thaw_allreduce_min_int64(comm, &value, 1);
    return value != 0;
}

/* Node rank 0 brings the whole segment, the others ask where it lies. */
static bool make_window(thaw_comm *comm, int64_t bytes, thaw_shared *shared)
{
    MPI_Aint own = comm->node_rank == 0 ? (MPI_Aint)bytes + 64 : 0;
    void *mine = NULL;
    shared->window = MPI_WIN_NULL;
    int code = MPI_Win_allocate_shared(own, 1, MPI_INFO_NULL, comm->node, &mine, &shared->window);
    if (!everywhere(comm, code == MPI_SUCCESS)) {
        /* A node that got its window gives it up until MPI ends: freeing is collective, and a failed call leaves no say in that. */
        shared->window = MPI_WIN_NULL;
        return false;
    }
    MPI_Aint size = 0;
    int unit = 0;
    THAW_MPI(MPI_Win_shared_query(shared->window, 0, &size, &unit, &shared->base));
    THAW_MPI(MPI_Win_lock_all(MPI_MODE_NOCHECK, shared->window));
    shared->writer = comm->node_rank == 0;
    return true;
}

/* Segments are mapped at whole pages, so the padding is the same in every process, wherever it sees the segment. */
static void *align(void *base)
{
    uintptr_t at = (uintptr_t)base;
    return (void *)((at + 63) & ~(uintptr_t)63);
}

thaw_status thaw_shared_new(thaw_comm *comm, int64_t bytes, thaw_shared **out)
{
    thaw_shared *shared = NULL;
    *out = NULL;
    thaw_status status = thaw_agree(comm, thaw_alloc(&shared, 1, sizeof *shared));
    if (status != THAW_OK) {
        thaw_free(&shared);
        return status;
    }
    shared->window = MPI_WIN_NULL;
    if (bytes > 0 && make_window(comm, bytes, shared)) {
        shared->data = align(shared->base);
        if (shared->writer)
            memset(shared->data, 0, (size_t)bytes);
        thaw_barrier(comm);
        *out = shared;
        return THAW_OK;
    }
    if (bytes > 0)
        THAW_LOG(THAW_INFO, "no shared memory for %lld bytes on some node: each rank keeps a copy",
                 (long long)bytes);
    shared->writer = shared->is_private = true;
    status = thaw_agree(comm, thaw_alloc(&shared->base, bytes, 1));
    if (status != THAW_OK) {
        thaw_shared_free(comm, &shared);
        return status;
    }
    shared->data = shared->base;
    *out = shared;
    return THAW_OK;
}

void *thaw_shared_data(const thaw_shared *shared)
{
    return shared->data;
}

bool thaw_shared_writer(const thaw_shared *shared)
{
    return shared->writer;
}

bool thaw_shared_is_private(const thaw_shared *shared)
{
    return shared->is_private;
}

void thaw_shared_publish(thaw_comm *comm, thaw_shared *shared)
{
    if (shared->window != MPI_WIN_NULL)
        THAW_MPI(MPI_Win_sync(shared->window));
    thaw_barrier(comm);
    if (shared->window != MPI_WIN_NULL)
        THAW_MPI(MPI_Win_sync(shared->window));
}

void thaw_shared_free(thaw_comm *comm, thaw_shared **shared)
{
    if (*shared == NULL)
        return;
    thaw_barrier(comm);
    if ((*shared)->window != MPI_WIN_NULL) {
        THAW_MPI(MPI_Win_unlock_all((*shared)->window));
        THAW_MPI(MPI_Win_free(&(*shared)->window));
    }
    if ((*shared)->is_private)
        thaw_free(&(*shared)->base);
    thaw_free(shared);
}
