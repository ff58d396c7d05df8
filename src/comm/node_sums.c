#include "comm/node_sums_impl.h"

#include <sched.h>
#include <string.h>

#include "comm/reducer_impl.h"

/* Elements that stay in the first-level cache while all ranks' parts are added to them. */
#define BLOCK  ((int64_t)4096)
#define ALIGN  ((int64_t)64)
#define LINE   64
#define ROUNDS 1000

/* Each rank tells in a cache line of its own which step it has begun, and thaw_node_word. */
typedef struct begun {
    _Atomic int64_t step;
    _Atomic int64_t word[2];
    char rest[LINE - 3 * sizeof(int64_t)];
} begun;

static int64_t round_up(int64_t value, int64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

static begun *begun_by(const thaw_node_sums *s, int rank)
{
    return (begun *)thaw_shared_data(s->segment) + rank;
}

static char *payload_of(const thaw_node_sums *s, int rank)
{
    return (char *)thaw_shared_data(s->segment) + s->size * LINE + rank * s->stride;
}

static int64_t narrow_size(thaw_node_kind kind)
{
    return kind == THAW_NODE_BF16 ? 2 : 4;
}

thaw_status thaw_node_sums_new(thaw_comm *comm, thaw_node_kind kind, int64_t narrow_count,
                               int64_t wide_count, thaw_node_sums *s)
{
    const int64_t size = comm->node_size;
    const int64_t narrow_bytes = round_up(narrow_size(kind) * narrow_count, ALIGN);
    *s = (thaw_node_sums){.kind = kind, .rank = comm->node_rank, .size = comm->node_size};
    s->stride = round_up(narrow_bytes + 8 * wide_count, 4096);
    s->wide_at = narrow_bytes;
    s->narrow_part = round_up((narrow_count + size - 1) / size, BLOCK);
    s->wide_part = round_up((wide_count + size - 1) / size, BLOCK);
    s->narrow_count = narrow_count;
    s->wide_count = wide_count;
    return thaw_shared_try(comm, size * (LINE + s->stride), &s->segment);
}

void thaw_node_sums_clear(thaw_node_sums *s)
{
    thaw_shared_free(&s->segment);
}

void *thaw_node_sums_narrow(const thaw_node_sums *s, int rank)
{
    return payload_of(s, rank);
}

int64_t *thaw_node_sums_wide(const thaw_node_sums *s, int rank)
{
    return (int64_t *)(void *)(payload_of(s, rank) + s->wide_at);
}

void thaw_node_sums_begin(thaw_node_sums *s)
{
    s->step++;
    s->all_begun = false;
    atomic_store_explicit(&begun_by(s, s->rank)->step, s->step, memory_order_release);
}

/* MPI delivers what it still has of this rank's when it is called. */
void thaw_node_sums_let_others_on(void)
{
    int found = 0;
    (void)sched_yield();
    THAW_MPI(MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_SELF, &found, MPI_STATUS_IGNORE));
}

void thaw_node_sums_may_write(thaw_node_sums *s)
{
    if (s->all_begun)
        return;
    const char *before = thaw_beat_wait("the step's begin on the other ranks");
    for (int rank = 0; rank < s->size; rank++) {
        /* The others are a forward pass away at most. */
        for (int round = 1;
             atomic_load_explicit(&begun_by(s, rank)->step, memory_order_acquire) < s->step;
             round++) {
            if (round % ROUNDS == 0)
                thaw_node_sums_let_others_on();
        }
    }
    thaw_beat_go(before);
    s->all_begun = true;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* All in float, so that the sum is rounded once however many ranks there are. */
static void sum_halves(thaw_node_sums *s, int64_t at, int64_t n)
{
    float sum[BLOCK] = {0};
    for (int rank = 0; rank < s->size; rank++)
        thaw_bf16_add(sum, (const uint16_t *)thaw_node_sums_narrow(s, rank) + at, n);
    thaw_bf16_round(sum, n, (uint16_t *)thaw_node_sums_narrow(s, s->rank) + at);
}

static void sum_block(thaw_node_sums *s, int64_t at, int64_t n)
{
    for (int other = 0; other < s->size; other++) {
        if (other == s->rank)
            continue;
        if (s->kind == THAW_NODE_FLOAT)
            thaw_float_join((float *)thaw_node_sums_narrow(s, s->rank) + at,
                            (const float *)thaw_node_sums_narrow(s, other) + at, n);
        else
            thaw_narrow_join((uint32_t *)thaw_node_sums_narrow(s, s->rank) + at,
                             (const uint32_t *)thaw_node_sums_narrow(s, other) + at, n);
    }
}

static void sum_narrow(thaw_node_sums *s)
{
    const int64_t end = smaller(s->narrow_count, (s->rank + 1) * s->narrow_part);
    for (int64_t at = s->rank * s->narrow_part; at < end; at += BLOCK) {
        const int64_t n = smaller(BLOCK, end - at);
        if (s->kind == THAW_NODE_BF16)
            sum_halves(s, at, n);
        else
            sum_block(s, at, n);
    }
}

static void sum_wide_block(thaw_node_sums *s, int64_t at, int64_t n)
{
    for (int other = 0; other < s->size; other++) {
        if (other != s->rank)
            thaw_wide_join(thaw_node_sums_wide(s, s->rank) + at, thaw_node_sums_wide(s, other) + at,
                           n);
    }
}

static void sum_wide(thaw_node_sums *s)
{
    const int64_t end = smaller(s->wide_count, (s->rank + 1) * s->wide_part);
    for (int64_t at = s->rank * s->wide_part; at < end; at += BLOCK) {
        const int64_t n = smaller(BLOCK, end - at);
        sum_wide_block(s, at, n);
    }
}

void thaw_node_sums_add_others(thaw_node_sums *s, bool wide, int64_t at, int64_t n)
{
    const int64_t end = at + n;
    for (; at < end; at += BLOCK) {
        const int64_t block = smaller(BLOCK, end - at);
        if (wide)
            sum_wide_block(s, at, block);
        else
            sum_block(s, at, block);
    }
}

void thaw_node_sums_tell(thaw_node_sums *s, thaw_node_word word, int64_t count)
{
    atomic_store_explicit(&begun_by(s, s->rank)->word[word], count, memory_order_release);
}

bool thaw_node_sums_all(const thaw_node_sums *s, thaw_node_word word, int64_t count)
{
    for (int rank = 0; rank < s->size; rank++) {
        if (atomic_load_explicit(&begun_by(s, rank)->word[word], memory_order_acquire) < count)
            return false;
    }
    return true;
}

/* Part of the sum, which is counted as one call. */
static void meet(thaw_comm *comm)
{
    atomic_thread_fence(memory_order_seq_cst);
    THAW_MPI_YIELDING(comm, MPI_Barrier, MPI_Ibarrier, comm->mpi);
    atomic_thread_fence(memory_order_seq_cst);
}

void thaw_node_sums_sum(thaw_node_sums *s, thaw_comm *comm)
{
    meet(comm);
    sum_narrow(s);
    sum_wide(s);
    meet(comm);
}

/* Where the sum of element `at` is, and how many follow it there. */
static int owner(int64_t at, int64_t part, int64_t *n)
{
    const int64_t rank = at / part;
    *n = smaller(*n, (rank + 1) * part - at);
    return (int)rank;
}

const void *thaw_node_sums_narrow_piece(const thaw_node_sums *s, int64_t at, int64_t *n)
{
    const char *sums = thaw_node_sums_narrow(s, owner(at, s->narrow_part, n));
    return sums + narrow_size(s->kind) * at;
}

const int64_t *thaw_node_sums_wide_piece(const thaw_node_sums *s, int64_t at, int64_t *n)
{
    return thaw_node_sums_wide(s, owner(at, s->wide_part, n)) + at;
}
