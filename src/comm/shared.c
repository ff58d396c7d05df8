#include "thaw/comm.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "comm/comm_impl.h"

/* The segment is ours and not an MPI window: where a node has too little room, Open MPI 4.1 returns from MPI_Win_allocate_shared
 * on the first rank alone and leaves the others waiting, and a window that does fit promises no pages, so that the write that finds
 * none kills the job. Here the pages are there before anybody is told so. */

struct thaw_shared {
    void *data;
    int64_t bytes;
    bool mapped; /* a segment of the node; else ours alone */
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

/* A name that nothing has; it is given up at once, so the next call finds it free again. */
static int make_named(char name[64])
{
    for (int attempt = 0; attempt < 1000; attempt++) {
        thaw_format(name, 64, "/thaw-%ld-%d", (long)getpid(), attempt);
        const int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
        if (fd >= 0)
            return fd;
    }
    return -1;
}

/* The segment is named while the node's ranks open it, and holds no page then: however the job ends, no memory stays behind.
 * Collective. -1: not on this rank. */
static int open_segment(thaw_comm *comm)
{
    char name[64] = "";
    int fd = -1;
    const bool first = comm->node_rank == 0;
    if (first && !thaw_fault("shared"))
        fd = make_named(name);
    if (fd < 0)
        name[0] = '\0';
    thaw_bcast_within(comm, comm->node, 0, name, sizeof name);
    if (!first && name[0] != '\0')
        fd = shm_open(name, O_RDWR, 0);
    THAW_MPI_YIELDING(comm, MPI_Barrier, MPI_Ibarrier, comm->node);
    if (first && fd >= 0)
        (void)shm_unlink(name);
    return fd;
}

/* Pages first, on the first rank; then every rank maps them. Collective. */
static void *map_segment(thaw_comm *comm, int fd, int64_t bytes)
{
    bool good = fd >= 0;
    if (good && comm->node_rank == 0)
        good = posix_fallocate(fd, 0, (off_t)bytes) == 0;
    if (!everywhere(comm, good))
        return NULL;
    void *data = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    good = data != MAP_FAILED;
    if (everywhere(comm, good))
        return data;
    if (good)
        (void)munmap(data, (size_t)bytes);
    return NULL;
}

static void *make_segment(thaw_comm *comm, int64_t bytes)
{
    const int fd = open_segment(comm);
    void *data = map_segment(comm, fd, bytes);
    if (fd >= 0)
        (void)close(fd);
    return data;
}

/* Alone on its node, or without shared memory: own memory. */
static thaw_status make_private(thaw_comm *comm, int64_t bytes, thaw_shared *shared)
{
    shared->writer = shared->is_private = true;
    return thaw_agree(comm, thaw_alloc(&shared->data, bytes, 1));
}

static bool all_alone(const thaw_comm *comm)
{
    return comm->node_count == comm->size;
}

thaw_status thaw_shared_try(thaw_comm *comm, int64_t bytes, thaw_shared **out)
{
    thaw_shared *shared = NULL;
    *out = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_agree(comm, thaw_alloc(&shared, 1, sizeof *shared)));
    shared->bytes = bytes;
    if (bytes == 0 || all_alone(comm)) {
        THAW_TRY_TO(make_private(comm, bytes, shared));
    } else {
        shared->data = make_segment(comm, bytes);
        shared->mapped = shared->data != NULL;
        shared->writer = comm->node_rank == 0;
        if (!shared->mapped)
            goto done;
    }
    *out = shared;
    shared = NULL;
done:
    thaw_shared_free(&shared);
    return status;
}

thaw_status thaw_shared_new(thaw_comm *comm, int64_t bytes, thaw_shared **out)
{
    thaw_shared *shared = NULL;
    THAW_TRY(thaw_shared_try(comm, bytes, out));
    if (*out != NULL)
        return THAW_OK;
    if (!comm->said_private)
        THAW_LOG(THAW_INFO,
                 "no shared memory for %lld bytes on some node (is /dev/shm large enough?): each "
                 "rank keeps a copy",
                 (long long)bytes);
    comm->said_private = true;
    thaw_status status;
    THAW_TRY_TO(thaw_agree(comm, thaw_alloc(&shared, 1, sizeof *shared)));
    shared->bytes = bytes;
    THAW_TRY_TO(make_private(comm, bytes, shared));
    *out = shared;
    shared = NULL;
done:
    thaw_shared_free(&shared);
    return status;
}

void *thaw_shared_data(const thaw_shared *shared)
{
    return shared->data;
}

int64_t thaw_shared_bytes(const thaw_shared *shared)
{
    return shared->bytes;
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
    (void)shared;
    atomic_thread_fence(memory_order_seq_cst);
    thaw_barrier(comm);
    atomic_thread_fence(memory_order_seq_cst);
}

/* Those who have a copy and take part in filling it: all ranks, or the first of every node. */
static MPI_Comm copies_of(const thaw_comm *comm, const thaw_shared *shared)
{
    return shared->is_private ? comm->mpi : comm->leaders;
}

void thaw_shared_spread(thaw_comm *comm, thaw_shared *shared, int64_t offset, int64_t bytes)
{
    const MPI_Comm copies = copies_of(comm, shared);
    THAW_ASSERT(offset >= 0 && bytes >= 0 && offset + bytes <= shared->bytes);
    if (copies != MPI_COMM_NULL && bytes > 0)
        thaw_bcast_within(comm, copies, 0, (char *)shared->data + offset, bytes);
    thaw_shared_publish(comm, shared);
}

void thaw_shared_part(const thaw_comm *comm, int64_t count, int64_t *begin, int64_t *end)
{
    const int64_t place = comm->node_first + comm->node_rank;
    *begin = count * place / comm->size;
    *end = count * (place + 1) / comm->size;
}

void thaw_shared_join(thaw_comm *comm, thaw_shared *shared, int64_t count, int64_t unit,
                      int64_t bytes)
{
    const MPI_Comm copies = copies_of(comm, shared);
    const int64_t first = comm->node_first + (shared->is_private ? comm->node_rank : 0);
    const int64_t ranks = shared->is_private ? 1 : comm->node_size;
    const int64_t mine[2] = {count * first / comm->size, count * (first + ranks) / comm->size};
    int size = 0;
    THAW_ASSERT(bytes <= shared->bytes);
    thaw_shared_publish(comm, shared); /* the others of this node have written */
    if (copies != MPI_COMM_NULL)
        THAW_MPI(MPI_Comm_size(copies, &size));
    for (int r = 0; r < size && size > 1; r++) {
        int64_t range[2] = {mine[0], mine[1]};
        thaw_bcast_within(comm, copies, r, range, sizeof range);
        const int64_t begin = range[0] * unit;
        const int64_t end = range[1] * unit < bytes ? range[1] * unit : bytes;
        if (end > begin)
            thaw_bcast_within(comm, copies, r, (char *)shared->data + begin, end - begin);
    }
    thaw_shared_publish(comm, shared);
}

void thaw_shared_free(thaw_shared **shared)
{
    thaw_shared *s = *shared;
    if (s == NULL)
        return;
    if (s->mapped)
        (void)munmap(s->data, (size_t)s->bytes);
    else
        thaw_free(&s->data);
    thaw_free(shared);
}
