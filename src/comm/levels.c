#include "comm/reducer_impl.h"

#include <string.h>

/* Sums on two levels, for nodes with equally many ranks, several each. The payloads of a node's ranks lie in its shared memory. Each
 * rank owns a part of every bucket: when all ranks of its node have filled the bucket it adds their parts to its own, in place, and
 * sums what comes out with the ranks that stand in its place on the other nodes, by a ring of them, small parts by
 * MPI_Iallreduce. So a node sends a bucket once, whatever its ranks, and all of
 * them work at it (the two levels of Rabenseifner's and later libraries' hierarchical all-reduce; here without a leader). Buckets go one
 * by one, so that they leave while backward goes on. */

/* Looks at the others between two that let other processes have the core. */
enum { LOOKS = 10 };

bool thaw_levels_possible(const thaw_reducer *r, const thaw_comm *comm)
{
    return thaw_reduce_is_exact(r->options.mode) && comm->even_nodes && comm->node_size > 1 &&
           comm->node_count > 1;
}

static void make_peers(thaw_comm *comm)
{
    if (comm->peers != MPI_COMM_NULL)
        return;
    THAW_MPI(MPI_Comm_split(comm->mpi, comm->node_rank, comm->node_first, &comm->peers));
    THAW_MPI(MPI_Comm_set_errhandler(comm->peers, MPI_ERRORS_RETURN));
}

thaw_status thaw_levels_open(thaw_reducer *r, thaw_comm *comm, int64_t least_ring_bytes)
{
    thaw_levels *levels = &r->levels;
    thaw_node_sums node;
    THAW_TRY(thaw_node_sums_new(comm, THAW_NODE_UINT32, r->narrow_count,
                                r->wide_count + r->control_count, &node));
    if (node.segment == NULL)
        return THAW_OK; /* uniform */
    make_peers(comm);
    levels->own_narrow = r->narrow_sums;
    levels->own_wide = r->wide_sums;
    levels->on = true;
    levels->summed = 0;
    r->node = node;
    r->narrow_sums = thaw_node_sums_narrow(&node, node.rank);
    r->wide_sums = thaw_node_sums_wide(&node, node.rank);
    return thaw_ring_open(r, comm, least_ring_bytes);
}

void thaw_levels_keep(thaw_reducer *r)
{
    thaw_free(&r->levels.own_narrow);
    thaw_free(&r->levels.own_wide);
}

void thaw_levels_close(thaw_reducer *r)
{
    thaw_ring_close(r);
    thaw_node_sums_clear(&r->node);
    r->node = (thaw_node_sums){0};
    r->narrow_sums = r->levels.own_narrow;
    r->wide_sums = r->levels.own_wide;
    r->levels = (thaw_levels){0};
}

/* Elements of a bucket that are those of rank `place` on each node. */
static int64_t part_begin(const thaw_reducer *r, const thaw_bucket *b, int place)
{
    return b->count * place / r->node.size;
}

int64_t thaw_levels_part(const thaw_reducer *r, const thaw_bucket *b, int64_t *from)
{
    *from = part_begin(r, b, r->node.rank);
    return part_begin(r, b, r->node.rank + 1) - *from;
}

/* Counts of buckets go on from step to step, so that nobody takes the last one's for this one's. */
static int64_t told(const thaw_reducer *r, int32_t buckets)
{
    return (r->node.step - 1) * r->bucket_count + buckets;
}

void thaw_levels_post(thaw_reducer *r, thaw_comm *comm)
{
    const thaw_bucket *b = &r->buckets[r->posted];
    comm->count.gradient_calls++;
    comm->count.gradient_bytes += b->count * (b->wide ? 8 : thaw_reducer_narrow_bytes(r));
    thaw_node_sums_may_write(&r->node);
    r->posted++;
    thaw_node_sums_tell(&r->node, THAW_NODE_FILLED, told(r, r->posted));
}

/* The node's sum of this rank's part is made, and goes to the other nodes. */
static void send_part(thaw_reducer *r, thaw_comm *comm, int32_t bucket)
{
    thaw_bucket *b = &r->buckets[bucket];
    int64_t from;
    const int64_t n = thaw_levels_part(r, b, &from);
    r->requests[bucket] = MPI_REQUEST_NULL;
    if (n == 0) /* on all nodes */
        return;
    b->arrived = false;
    thaw_node_sums_add_others(&r->node, b->wide, b->first + from, n);
    if (thaw_ring_takes(r, bucket)) /* begins when the ring has a slot */
        return;
    THAW_MPI(MPI_Iallreduce(MPI_IN_PLACE, thaw_reducer_payload(r, b, from), (int)n,
                            thaw_reducer_type(r, b), MPI_SUM, comm->peers, &r->requests[bucket]));
}

void thaw_levels_move(thaw_reducer *r, thaw_comm *comm)
{
    thaw_levels *levels = &r->levels;
    const int32_t before = r->arrived;
    int here = 1;
    while (levels->summed < r->posted &&
           thaw_node_sums_all(&r->node, THAW_NODE_FILLED, told(r, levels->summed + 1)))
        send_part(r, comm, levels->summed++);
    thaw_ring_move(r, comm, false);
    while (here && r->arrived < levels->summed) {
        if (thaw_ring_takes(r, r->arrived))
            here = r->buckets[r->arrived].arrived;
        else
            THAW_MPI(MPI_Test(&r->requests[r->arrived], &here, MPI_STATUS_IGNORE));
        r->arrived += here;
    }
    if (r->arrived > before)
        thaw_node_sums_tell(&r->node, THAW_NODE_SUMMED, told(r, r->arrived));
}

void thaw_levels_wait(thaw_reducer *r, thaw_comm *comm)
{
    const int32_t buckets = r->posted;
    const char *before = thaw_beat_wait("sums on two levels");
    for (int look = 1; r->arrived < buckets; look++) {
        thaw_levels_move(r, comm);
        if (comm->yields || look % LOOKS == 0)
            thaw_node_sums_let_others_on();
    }
    for (int look = 1; !thaw_node_sums_all(&r->node, THAW_NODE_SUMMED, told(r, buckets)); look++) {
        if (comm->yields || look % LOOKS == 0)
            thaw_node_sums_let_others_on();
    }
    thaw_beat_go(before);
}

/* Which rank of the node has the sum of element `at` of a bucket, and how many follow it there. */
static int owner(const thaw_reducer *r, const thaw_bucket *b, int64_t at, int64_t *n)
{
    int place = (int)(at * r->node.size / b->count);
    while (part_begin(r, b, place + 1) <= at)
        place++;
    const int64_t rest = part_begin(r, b, place + 1) - at;
    *n = rest < *n ? rest : *n;
    return place;
}

const uint32_t *thaw_levels_narrow_piece(const thaw_reducer *r, int64_t at, int64_t *n)
{
    const thaw_bucket *b = &r->buckets[at / r->narrow_full];
    const int place = owner(r, b, at - b->first, n);
    return (const uint32_t *)thaw_node_sums_narrow(&r->node, place) + at;
}

const int64_t *thaw_levels_wide_piece(const thaw_reducer *r, int64_t at, int64_t *n)
{
    /* The last bucket has the control words besides. */
    const int64_t index = r->narrow_buckets + at / r->wide_full;
    const thaw_bucket *b = &r->buckets[index < r->bucket_count ? index : r->bucket_count - 1];
    const int place = owner(r, b, at - b->first, n);
    return thaw_node_sums_wide(&r->node, place) + at;
}
