#include "comm/reducer_impl.h"

#include <math.h>
#include <string.h>

/* Measured on one node, two ranks: with 24 M elements both ways take the same time, since the copying takes the core from
 * backward; with 0.3 M elements blocking calls are a tenth faster. Between nodes the wire works while the core does. */
static bool overlaps(const thaw_reducer *r, const thaw_comm *comm)
{
    if (r->options.travel == THAW_TRAVEL_AUTO)
        return comm->node_count > 1;
    return r->options.travel == THAW_TRAVEL_OVERLAP;
}

static void *narrow_at(const thaw_reducer *r, int64_t at)
{
    if (r->half_sums != NULL)
        return r->half_sums + at;
    return r->float_sums != NULL ? (void *)(r->float_sums + at) : (void *)(r->narrow_sums + at);
}

void *thaw_reducer_payload(const thaw_reducer *r, const thaw_bucket *b, int64_t at)
{
    return b->wide ? r->wide_sums + b->first + at : narrow_at(r, b->first + at);
}

MPI_Datatype thaw_reducer_type(const thaw_reducer *r, const thaw_bucket *b)
{
    if (b->wide)
        return MPI_INT64_T;
    if (r->half_sums != NULL)
        return MPI_UINT16_T;
    return r->float_sums != NULL ? MPI_FLOAT : MPI_UINT32_T;
}

/* MPI's signature. */
static void add_halves(void *other, void *sum, int *n, MPI_Datatype *type)
{
    (void)type;
    thaw_bf16_join(sum, other, *n);
}

static MPI_Op narrow_add(thaw_reducer *r)
{
    if (r->half_sums == NULL)
        return MPI_SUM;
    if (r->half_add == MPI_OP_NULL)
        THAW_MPI(MPI_Op_create(add_halves, 1, &r->half_add));
    return r->half_add;
}

static void post(thaw_reducer *r, thaw_comm *comm)
{
    if (r->levels.on) {
        thaw_levels_post(r, comm);
        return;
    }
    thaw_bucket *b = &r->buckets[r->posted];
    void *data = thaw_reducer_payload(r, b, 0);
    const MPI_Datatype type = thaw_reducer_type(r, b);
    const MPI_Op add = b->wide ? MPI_SUM : narrow_add(r);
    comm->count.gradient_calls++;
    comm->count.gradient_bytes += b->count * (b->wide ? 8 : thaw_reducer_narrow_bytes(r));
    b->arrived = false;
    if (thaw_ring_takes(r, r->posted)) {
        /* The ring begins it when it has a slot. */
    } else if (overlaps(r, comm)) {
        THAW_MPI(MPI_Iallreduce(MPI_IN_PLACE, data, (int)b->count, type, add, comm->mpi,
                                &r->requests[r->posted]));
    } else {
        THAW_MPI_YIELDING(comm, MPI_Allreduce, MPI_Iallreduce, MPI_IN_PLACE, data, (int)b->count,
                          type, add, comm->mpi);
        r->arrived++;
    }
    r->posted++;
}

static void wait_for_posted(thaw_reducer *r, thaw_comm *comm)
{
    if (r->levels.on)
        thaw_levels_wait(r, comm);
    else if (r->ring.size > 0)
        thaw_ring_move(r, comm, true);
    if (r->arrived < r->posted)
        thaw_wait_for(comm, "MPI_Waitall", r->requests + r->arrived, r->posted - r->arrived);
    r->arrived = r->posted;
}

void thaw_reducer_send_ready(thaw_reducer *r, thaw_comm *comm)
{
    if (!r->levels.on && (r->node.segment != NULL || !overlaps(r, comm)))
        return;
    /* In list order, since that is the one order that all ranks share. */
    while (r->posted < r->bucket_count - 1 && r->buckets[r->posted].pending == 0)
        post(r, comm);
    thaw_reducer_progress(r, comm);
}

void thaw_reducer_progress(thaw_reducer *r, thaw_comm *comm)
{
    int here = 1;
    if (r->levels.on) {
        thaw_levels_move(r, comm);
        return;
    }
    if (r->ring.size > 0)
        thaw_ring_move(r, comm, false);
    /* Testing any one request drives all of them. */
    while (here && r->arrived < r->posted) {
        if (thaw_ring_takes(r, r->arrived))
            here = r->buckets[r->arrived].arrived;
        else
            THAW_MPI(MPI_Test(&r->requests[r->arrived], &here, MPI_STATUS_IGNORE));
        r->arrived += here;
    }
}

const void *thaw_reducer_narrow_piece(const thaw_reducer *r, int32_t tensor, int64_t at, int64_t *n)
{
    at += r->start[tensor];
    if (r->levels.on)
        return thaw_levels_narrow_piece(r, at, n);
    if (r->node.segment != NULL)
        return thaw_node_sums_narrow_piece(&r->node, at, n);
    return narrow_at(r, at);
}

static const int64_t *wide_piece(const thaw_reducer *r, int64_t at, int64_t *n)
{
    if (r->levels.on)
        return thaw_levels_wide_piece(r, at, n);
    return r->node.segment != NULL ? thaw_node_sums_wide_piece(&r->node, at, n) : r->wide_sums + at;
}

const int64_t *thaw_reducer_wide_piece(const thaw_reducer *r, int32_t tensor, int64_t at,
                                       int64_t *n)
{
    return wide_piece(r, at + r->start[tensor], n);
}

static void sum_on_node(thaw_reducer *r, thaw_comm *comm)
{
    thaw_node_sums_sum(&r->node, comm);
    comm->count.gradient_calls++;
    comm->count.gradient_bytes +=
        thaw_reducer_narrow_bytes(r) * r->narrow_count + 8 * (r->wide_count + r->control_count);
}

static void read_control(thaw_reducer *r)
{
    for (int64_t at = 0, n = 0; at < r->control_count; at += n) {
        n = r->control_count - at;
        const int64_t *from = wide_piece(r, r->wide_count + at, &n);
        memcpy(r->control + at, from, (size_t)n * sizeof *from);
    }
}

static void send_rest(thaw_reducer *r, thaw_comm *comm)
{
    int64_t *words = r->wide_sums + r->wide_count;
    if (r->node.segment != NULL)
        thaw_node_sums_may_write(&r->node);
    memcpy(words, r->control, (size_t)r->control_count * sizeof *words);
    if (r->node.segment != NULL && !r->levels.on) {
        sum_on_node(r, comm);
    } else {
        while (r->posted < r->bucket_count)
            post(r, comm);
        wait_for_posted(r, comm);
    }
    read_control(r);
}

void thaw_reducer_send_rest(thaw_reducer *r, thaw_comm *comm)
{
    const double began = thaw_seconds();
    send_rest(r, comm);
    comm->count.gradient_seconds += thaw_seconds() - began;
}

/* ---- By what --------------------------------------------------------------------------------------------------------- */

/* Smaller buckets are as fast by a tree, whose messages are fewer. */
#define LEAST_RING_BYTES ((int64_t)64 << 10)
/* Where nothing is measured: with more ranks a chunk of a bucket is too short to fill a link. */
#define MOST_RING_RANKS 32

static int32_t count_for_ring(const thaw_reducer *r, int32_t most)
{
    int32_t count = 0;
    while (count < r->bucket_count && count < most && thaw_ring_takes(r, count))
        count++;
    return count;
}

/* Of the slowest rank, the second of two, since the first makes connections. What is summed are payloads before the first step: zeros. */
static double time_posts(thaw_reducer *r, thaw_comm *comm, int32_t buckets)
{
    double seconds = 0;
    for (int round = 0; round < 2; round++) {
        r->posted = r->arrived = r->ring.next = r->levels.summed = 0;
        if (r->levels.on)
            thaw_node_sums_begin(&r->node);
        THAW_MPI_YIELDING(comm, MPI_Barrier, MPI_Ibarrier, comm->mpi);
        const double began = thaw_seconds();
        while (r->posted < buckets)
            post(r, comm);
        wait_for_posted(r, comm);
        seconds = thaw_seconds() - began;
        THAW_MPI_YIELDING(comm, MPI_Allreduce, MPI_Iallreduce, MPI_IN_PLACE, &seconds, 1,
                          MPI_DOUBLE, MPI_MAX, comm->mpi);
    }
    r->posted = r->arrived = r->ring.next = r->levels.summed = 0;
    return seconds;
}

/* Seconds by the ring, by MPI_Iallreduce, and on two levels where they are on; the same on all ranks. */
THAW_NODISCARD static thaw_status take_fastest(thaw_reducer *r, thaw_comm *comm, int32_t buckets,
                                               const double seconds[3])
{
    static const char *const ways[] = {"by the ring", "by MPI_Iallreduce", "on two levels"};
    char levels[64] = "";
    const double other = seconds[0] < seconds[1] ? seconds[0] : seconds[1];
    const int best = seconds[2] < other ? 2 : seconds[0] < seconds[1] ? 0 : 1;
    if (r->levels.on)
        thaw_format(levels, sizeof levels, ", %.1f ms on two levels (%d ranks a node)",
                    seconds[2] * 1e3, comm->node_size);
    THAW_LOG(THAW_INFO,
             "gradients between %d nodes go %s: %d buckets took %.1f ms by a ring of messages, "
             "%.1f ms by MPI_Iallreduce%s",
             comm->node_count, ways[best], buckets, seconds[0] * 1e3, seconds[1] * 1e3, levels);
    if (r->levels.on && best == 2)
        thaw_levels_keep(r);
    else if (r->levels.on)
        thaw_levels_close(r);
    return best == 0 ? thaw_ring_open(r, comm, LEAST_RING_BYTES) : THAW_OK;
}

thaw_status thaw_reducer_choose_travel(thaw_reducer *r, thaw_comm *comm)
{
    const thaw_comm_counters counted = comm->count;
    THAW_TRY(thaw_ring_open(r, comm, LEAST_RING_BYTES));
    const int32_t buckets = count_for_ring(r, THAW_RING_WINDOW);
    const bool by_rule = r->options.mode == THAW_REDUCE_FLOAT;
    if (buckets == 0 || (by_rule && comm->size > MOST_RING_RANKS)) {
        thaw_ring_close(r);
        return THAW_OK; /* uniform */
    }
    if (by_rule)
        return THAW_OK; /* uniform */
    double seconds[3] = {time_posts(r, comm, buckets), 0, INFINITY};
    thaw_ring_close(r);
    seconds[1] = time_posts(r, comm, buckets);
    if (thaw_levels_possible(r, comm))
        THAW_TRY(thaw_levels_open(r, comm, LEAST_RING_BYTES)); /* uniform */
    if (r->levels.on)
        seconds[2] = time_posts(r, comm, buckets);
    comm->count = counted;
    return take_fastest(r, comm, buckets, seconds);
}
