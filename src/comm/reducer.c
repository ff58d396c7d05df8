#include "thaw/comm.h"

#include <math.h>
#include <string.h>

#include "comm/quantum_impl.h"
#include "comm/reducer_impl.h"

/* What a shard says about a tensor: three counters of 21 bits in one word, so that a sum over 2^20 shards fits. */
#define FLAG_NOT_FINITE ((int64_t)1)
#define FLAG_TOO_LARGE  ((int64_t)1 << 21)
#define FLAG_NOT_ZERO   ((int64_t)1 << 42)
#define COUNTER_MASK    (((int64_t)1 << 21) - 1)

#define FLOAT_INFINITY_BITS 0x7f800000u

static int64_t *flags_of(const thaw_reducer *r)
{
    return r->control + 1;
}

static int64_t *counts_of(const thaw_reducer *r)
{
    return flags_of(r) + r->tensor_count;
}

/* Three words each. */
static thaw_fixed *sums_of(const thaw_reducer *r)
{
    return (thaw_fixed *)(void *)(counts_of(r) + r->options.counts);
}

static int64_t size_of(const thaw_reducer *r, int32_t tensor)
{
    return r->start[tensor + 1] - r->start[tensor];
}

static bool said(const thaw_reducer *r, int32_t tensor, int64_t flag)
{
    return (flags_of(r)[tensor] & (flag * COUNTER_MASK)) != 0;
}

void thaw_reducer_begin(thaw_reducer *r)
{
    size_t n = (size_t)r->tensor_count;
    for (size_t t = 0; t < n; t++) {
        r->exponent[t] = r->next[t];
        r->peak[t] = 0;
        r->added[t] = r->ready[t] = false;
    }
    memset(r->control, 0, (size_t)r->control_count * sizeof *r->control);
    for (int32_t b = 0; b < r->bucket_count; b++)
        r->buckets[b].pending = 0;
    for (int32_t t = 0; t < r->tensor_count; t++) {
        int32_t from, to;
        thaw_reducer_touches(r, t, &from, &to);
        for (int32_t b = from; b < to; b++)
            r->buckets[b].pending++;
    }
    r->posted = r->arrived = 0;
    r->failed = THAW_OK;
    r->culprit = -1;
}

void thaw_reducer_add(thaw_reducer *r, int32_t tensor, const float *data)
{
    THAW_ASSERT(tensor >= 0 && tensor < r->tensor_count && !r->ready[tensor]);
    int64_t at = r->start[tensor];
    int64_t n = size_of(r, tensor);
    bool first = !r->added[tensor];
    int exponent = thaw_quantum_start(r->exponent[tensor]);
    bool exact = r->options.mode == THAW_REDUCE_EXACT;
    uint32_t peak = exact ? thaw_quantum_add(r->exact + at, data, n, exponent, first)
                          : thaw_float_add(r->single + at, data, n, first);
    r->added[tensor] = true;
    if (peak > 0)
        flags_of(r)[tensor] += FLAG_NOT_ZERO;
    if (peak >= FLOAT_INFINITY_BITS)
        flags_of(r)[tensor] += FLAG_NOT_FINITE;
    else if (exact && !thaw_quantum_fits(peak, exponent, r->options.shards))
        flags_of(r)[tensor] += FLAG_TOO_LARGE;
    if ((int64_t)peak > r->peak[tensor])
        r->peak[tensor] = peak;
}

void thaw_reducer_add_count(thaw_reducer *r, int32_t word, int64_t value)
{
    THAW_ASSERT(word >= 0 && word < r->options.counts);
    counts_of(r)[word] += value;
}

void thaw_reducer_add_sum(thaw_reducer *r, int32_t word, double value)
{
    THAW_ASSERT(word >= 0 && word < r->options.sums);
    thaw_fixed_add(&sums_of(r)[word], value);
}

void thaw_reducer_fail(thaw_reducer *r, thaw_status status)
{
    if (r->failed == THAW_OK)
        r->failed = status;
}

/* Measured on one node, two ranks: with 24 M elements both ways take the same time, since the copying takes the core from
 * backward; with 0.3 M elements blocking calls are a tenth faster. Between nodes the wire works while the core does. */
static bool overlaps(const thaw_reducer *r, const thaw_comm *comm)
{
    if (r->options.travel == THAW_TRAVEL_AUTO)
        return comm->node_count > 1;
    return r->options.travel == THAW_TRAVEL_OVERLAP;
}

static void post(thaw_reducer *r, thaw_comm *comm)
{
    const thaw_bucket *b = &r->buckets[r->posted];
    bool words = b->first >= r->start[r->tensor_count];
    bool wide = words || r->exact != NULL;
    void *data = words  ? (void *)r->control
                 : wide ? (void *)(r->exact + b->first)
                        : (void *)(r->single + b->first);
    MPI_Datatype type = wide ? MPI_INT64_T : MPI_FLOAT;
    comm->count.gradient_calls++;
    comm->count.gradient_bytes += b->count * (wide ? 8 : 4);
    if (overlaps(r, comm)) {
        THAW_MPI(MPI_Iallreduce(MPI_IN_PLACE, data, (int)b->count, type, MPI_SUM, comm->mpi,
                                &r->requests[r->posted]));
    } else {
        THAW_MPI(MPI_Allreduce(MPI_IN_PLACE, data, (int)b->count, type, MPI_SUM, comm->mpi));
        r->arrived++;
    }
    r->posted++;
}

void thaw_reducer_ready(thaw_reducer *r, thaw_comm *comm, int32_t tensor)
{
    THAW_ASSERT(tensor >= 0 && tensor < r->tensor_count && !r->ready[tensor]);
    r->ready[tensor] = true;
    if (!r->added[tensor] && r->exact != NULL)
        memset(r->exact + r->start[tensor], 0, (size_t)size_of(r, tensor) * sizeof *r->exact);
    else if (!r->added[tensor])
        memset(r->single + r->start[tensor], 0, (size_t)size_of(r, tensor) * sizeof *r->single);
    int32_t from, to;
    thaw_reducer_touches(r, tensor, &from, &to);
    for (int32_t b = from; b < to; b++)
        r->buckets[b].pending--;
    if (!overlaps(r, comm))
        return;
    /* In list order, since that is the one order that all ranks share. */
    while (r->posted < r->bucket_count - 1 && r->buckets[r->posted].pending == 0)
        post(r, comm);
    thaw_reducer_progress(r, comm);
}

void thaw_reducer_progress(thaw_reducer *r, thaw_comm *comm)
{
    (void)comm;
    int here = 1;
    /* Testing any one request drives all of them. */
    while (here && r->arrived < r->posted) {
        THAW_MPI(MPI_Test(&r->requests[r->arrived], &here, MPI_STATUS_IGNORE));
        r->arrived += here;
    }
}

/* A sum may leave float's range although no shard did. */
static bool beyond_float(const thaw_reducer *r, int32_t tensor)
{
    int exponent = thaw_quantum_start(r->exponent[tensor]);
    if (r->exact == NULL || exponent + 63 <= 127)
        return false;
    uint64_t bits = thaw_quantum_bits(r->exact + r->start[tensor], size_of(r, tensor));
    return bits > 0 && exponent + 63 - __builtin_clzll(bits) > 127;
}

static bool find_culprit(thaw_reducer *r)
{
    for (int32_t t = 0; t < r->tensor_count; t++) {
        if (said(r, t, FLAG_NOT_FINITE) || (!said(r, t, FLAG_TOO_LARGE) && beyond_float(r, t))) {
            r->culprit = t;
            return true;
        }
    }
    for (int32_t w = 0; w < r->options.sums; w++) {
        if (sums_of(r)[w].bad != 0)
            return true;
    }
    return false;
}

static bool needs_redo(const thaw_reducer *r, int32_t tensor)
{
    if (r->exact == NULL)
        return false;
    if (said(r, tensor, FLAG_TOO_LARGE))
        return true;
    /* Shards that cancel leave few bits however fine the quantum: once fitted, it is as good as it gets. */
    if (r->fitted[tensor] || !said(r, tensor, FLAG_NOT_ZERO))
        return false;
    return thaw_quantum_coarse(r->exact + r->start[tensor], size_of(r, tensor),
                               r->exponent[tensor]);
}

/* Every rank comes to the same answer, from the reduced words only; then the largest magnitudes are exchanged. */
static bool redo(thaw_reducer *r, thaw_comm *comm)
{
    bool any = false;
    for (int32_t t = 0; t < r->tensor_count; t++)
        any = needs_redo(r, t) || any;
    if (!any)
        return false;
    thaw_allreduce_max_int64(comm, r->peak, r->tensor_count);
    for (int32_t t = 0; t < r->tensor_count; t++) {
        if (!needs_redo(r, t))
            continue;
        r->next[t] = thaw_quantum_from_peak((uint32_t)r->peak[t]);
        r->fitted[t] = true;
    }
    return true;
}

thaw_status thaw_reducer_finish(thaw_reducer *r, thaw_comm *comm, thaw_reduce_outcome *outcome)
{
    *outcome = THAW_REDUCE_OK;
    if (thaw_fault("reduce"))
        thaw_reducer_fail(r, THAW_FAIL(THAW_ERR_FAIL, "fault injected where gradients are summed"));
    for (int32_t t = 0; t < r->tensor_count; t++) {
        if (!r->ready[t])
            thaw_reducer_ready(r, comm, t);
    }
    r->control[0] = r->failed != THAW_OK;
    while (r->posted < r->bucket_count)
        post(r, comm);
    if (r->arrived < r->posted)
        THAW_MPI(
            MPI_Waitall(r->posted - r->arrived, r->requests + r->arrived, MPI_STATUSES_IGNORE));
    r->arrived = r->posted;
    if (r->control[0] != 0)
        return thaw_agree(comm, r->failed);
    for (int32_t w = 0; w < r->options.sums; w++)
        thaw_fixed_carry(&sums_of(r)[w]);
    if (find_culprit(r))
        *outcome = THAW_REDUCE_NOT_FINITE;
    else if (redo(r, comm))
        *outcome = THAW_REDUCE_REDO;
    return THAW_OK;
}

void thaw_reducer_get(thaw_reducer *r, int32_t tensor, double scale, float *out)
{
    THAW_ASSERT(tensor >= 0 && tensor < r->tensor_count);
    int64_t at = r->start[tensor];
    int64_t n = size_of(r, tensor);
    if (r->exact == NULL) {
        thaw_float_get(r->single + at, n, scale, out);
        return;
    }
    int exponent = thaw_quantum_start(r->exponent[tensor]);
    uint64_t bits = thaw_quantum_get(r->exact + at, n, exponent, scale, out);
    r->next[tensor] = thaw_quantum_next(r->exponent[tensor], bits);
    r->fitted[tensor] = false;
}

int64_t thaw_reducer_count(const thaw_reducer *r, int32_t word)
{
    THAW_ASSERT(word >= 0 && word < r->options.counts);
    return counts_of(r)[word];
}

double thaw_reducer_sum(const thaw_reducer *r, int32_t word)
{
    THAW_ASSERT(word >= 0 && word < r->options.sums);
    return thaw_fixed_value(&sums_of(r)[word]);
}

int32_t thaw_reducer_culprit(const thaw_reducer *r)
{
    return r->culprit;
}
