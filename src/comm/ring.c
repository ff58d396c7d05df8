#include "comm/reducer_impl.h"

#include <sched.h>

/* Each bucket is cut into as many chunks as there are ranks. In `size - 1` turns a rank passes a chunk on and adds the one that comes to
 * its own, after which it has one sum; in as many more the sums go around. A rank sends 2 (size - 1) / size of a bucket, the least there
 * is, and receives as much at the same time (Patarasuk and Yuan 2009, doi:10.1016/j.jpdc.2008.09.002). MPI libraries have this for calls
 * that block; what Open MPI does for MPI_Iallreduce in place is a tree, whose root sends and receives whole buckets by turns. */

enum { RING_TAG = 5000, RING_TAGS = 16384 };

static int64_t element_bytes(const thaw_reducer *r, const thaw_bucket *b)
{
    return b->wide ? 8 : thaw_reducer_narrow_bytes(r);
}

/* What of a bucket goes around: all of it, or on two levels this rank's part. */
static int64_t share(const thaw_reducer *r, const thaw_bucket *b, int64_t *from)
{
    if (r->levels.on)
        return thaw_levels_part(r, b, from);
    *from = 0;
    return b->count;
}

bool thaw_ring_takes(const thaw_reducer *r, int32_t bucket)
{
    const thaw_bucket *b = &r->buckets[bucket];
    int64_t from;
    if (r->ring.size == 0 || (!b->wide && r->half_sums != NULL))
        return false;
    const int64_t count = share(r, b, &from);
    return count >= r->ring.size && count * element_bytes(r, b) >= r->ring.least_bytes;
}

static MPI_Comm members(const thaw_reducer *r, const thaw_comm *comm)
{
    return r->levels.on ? comm->peers : comm->mpi;
}

static void find_peers(thaw_ring *ring, const thaw_comm *comm)
{
    THAW_MPI(MPI_Comm_rank(comm->peers, &ring->place));
    ring->after = (ring->place + 1) % ring->size;
    ring->before = (ring->place + ring->size - 1) % ring->size;
}

/* Where each rank stands: node by node, so that each node's links are crossed once. */
static thaw_status find_neighbours(thaw_ring *ring, thaw_comm *comm)
{
    int *places = NULL;
    THAW_TRY(thaw_agree(comm, thaw_alloc(&places, comm->size, sizeof *places)));
    ring->place = comm->node_first + comm->node_rank;
    THAW_MPI(MPI_Allgather(&ring->place, 1, MPI_INT, places, 1, MPI_INT, comm->mpi));
    for (int rank = 0; rank < comm->size; rank++) {
        if (places[rank] == (ring->place + 1) % comm->size)
            ring->after = rank;
        if (places[rank] == (ring->place + comm->size - 1) % comm->size)
            ring->before = rank;
    }
    thaw_free(&places);
    return THAW_OK;
}

thaw_status thaw_ring_open(thaw_reducer *r, thaw_comm *comm, int64_t least_bytes)
{
    thaw_ring *ring = &r->ring;
    int64_t most = 0;
    for (int32_t b = 0; b < r->bucket_count; b++) {
        int64_t from;
        const int64_t bytes = share(r, &r->buckets[b], &from) * element_bytes(r, &r->buckets[b]);
        most = bytes > most ? bytes : most;
    }
    /* Of a bucket that does not divide, the larger chunks have an element more; and every slot begins where an int64_t may. */
    const int size = r->levels.on ? comm->node_count : comm->size;
    ring->chunk_bytes = (most / size / 8 + 2) * 8;
    THAW_TRY(thaw_agree(comm, thaw_alloc(&ring->scratch, THAW_RING_WINDOW * ring->chunk_bytes,
                                         sizeof *ring->scratch)));
    ring->size = size;
    if (r->levels.on)
        find_peers(ring, comm);
    else
        THAW_TRY(find_neighbours(ring, comm)); /* uniform */
    for (int slot = 0; slot < THAW_RING_WINDOW; slot++) {
        ring->bucket[slot] = -1;
        ring->requests[2 * slot] = ring->requests[2 * slot + 1] = MPI_REQUEST_NULL;
    }
    ring->least_bytes = least_bytes;
    return THAW_OK;
}

void thaw_ring_close(thaw_reducer *r)
{
    thaw_free(&r->ring.scratch);
    r->ring.size = 0;
}

/* What a slot does in its turn. */
typedef struct turn {
    const thaw_bucket *bucket;
    void *gives, *takes;
    int64_t gives_count, takes_count;
    char *lands; /* where what comes is put: apart while it is to be added */
    bool adds;
} turn;

static void *chunk(const thaw_reducer *r, const thaw_bucket *b, int index, int64_t *count)
{
    const int64_t size = r->ring.size;
    int64_t begin;
    const int64_t all = share(r, b, &begin);
    const int64_t from = all * index / size;
    *count = all * (index + 1) / size - from;
    return thaw_reducer_payload(r, b, begin + from);
}

static turn turn_of(const thaw_reducer *r, int slot)
{
    const thaw_ring *ring = &r->ring;
    const int half = ring->size - 1;
    turn t = {.bucket = &r->buckets[ring->bucket[slot]], .adds = ring->turn[slot] < half};
    /* A rank first gives its own chunk; the one that it has summed in the end is the next one's. */
    const int gives = ring->place + (t.adds ? 0 : 1) - ring->turn[slot] % half + ring->size;
    t.gives = chunk(r, t.bucket, gives % ring->size, &t.gives_count);
    t.takes = chunk(r, t.bucket, (gives - 1) % ring->size, &t.takes_count);
    t.lands = t.adds ? ring->scratch + slot * ring->chunk_bytes : t.takes;
    return t;
}

static void begin_turn(thaw_reducer *r, thaw_comm *comm, int slot)
{
    thaw_ring *ring = &r->ring;
    const turn t = turn_of(r, slot);
    const MPI_Datatype type = thaw_reducer_type(r, t.bucket);
    const int tag = RING_TAG + ring->bucket[slot] % RING_TAGS;
    THAW_MPI(MPI_Irecv(t.lands, (int)t.takes_count, type, ring->before, tag, members(r, comm),
                       &ring->requests[2 * slot]));
    THAW_MPI(MPI_Isend(t.gives, (int)t.gives_count, type, ring->after, tag, members(r, comm),
                       &ring->requests[2 * slot + 1]));
}

static void end_turn(thaw_reducer *r, int slot)
{
    const turn t = turn_of(r, slot);
    const void *came = t.lands;
    if (t.adds && t.bucket->wide)
        thaw_wide_join(t.takes, came, t.takes_count);
    else if (t.adds && r->narrow_sums != NULL)
        thaw_narrow_join(t.takes, came, t.takes_count);
    else if (t.adds)
        thaw_float_join(t.takes, came, t.takes_count);
    r->ring.turn[slot]++;
}

/* Buckets begin in list order. All ranks have the first unfinished one under way, so that no one waits for ever. */
static void fill_slots(thaw_reducer *r, thaw_comm *comm)
{
    thaw_ring *ring = &r->ring;
    const int32_t ready = r->levels.on ? r->levels.summed : r->posted;
    for (int slot = 0; slot < THAW_RING_WINDOW; slot++) {
        while (ring->next < ready && !thaw_ring_takes(r, ring->next))
            ring->next++;
        if (ring->next == ready)
            return;
        if (ring->bucket[slot] >= 0)
            continue;
        ring->bucket[slot] = ring->next++;
        ring->turn[slot] = 0;
        begin_turn(r, comm, slot);
    }
}

/* Requests that have ended, none only where it may go on without; MPI_UNDEFINED: there are none to end. */
static int ended_requests(thaw_ring *ring, thaw_comm *comm, bool waits)
{
    int places[2 * THAW_RING_WINDOW];
    const int count = 2 * THAW_RING_WINDOW;
    int ended = 0;
    if (waits && !comm->yields) {
        THAW_MPI(MPI_Waitsome(count, ring->requests, &ended, places, MPI_STATUSES_IGNORE));
        return ended;
    }
    const char *before = waits ? thaw_beat_wait("MPI_Waitsome") : NULL;
    THAW_MPI(MPI_Testsome(count, ring->requests, &ended, places, MPI_STATUSES_IGNORE));
    while (waits && ended == 0) {
        (void)sched_yield();
        THAW_MPI(MPI_Testsome(count, ring->requests, &ended, places, MPI_STATUSES_IGNORE));
    }
    if (waits)
        thaw_beat_go(before);
    return ended;
}

void thaw_ring_move(thaw_reducer *r, thaw_comm *comm, bool to_the_end)
{
    thaw_ring *ring = &r->ring;
    int ended = 1;
    while (ended != 0) {
        fill_slots(r, comm);
        ended = ended_requests(ring, comm, to_the_end);
        if (ended == MPI_UNDEFINED)
            return;
        for (int slot = 0; slot < THAW_RING_WINDOW; slot++) {
            if (ring->bucket[slot] < 0 || ring->requests[2 * slot] != MPI_REQUEST_NULL ||
                ring->requests[2 * slot + 1] != MPI_REQUEST_NULL)
                continue;
            end_turn(r, slot);
            if (ring->turn[slot] < 2 * (ring->size - 1)) {
                begin_turn(r, comm, slot);
                continue;
            }
            r->buckets[ring->bucket[slot]].arrived = true;
            ring->bucket[slot] = -1;
        }
    }
}
