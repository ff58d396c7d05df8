#include "comm/reducer_impl.h"

#include <math.h>
#include <string.h>

static int64_t *bounds_of(const thaw_reducer *r)
{
    return r->control + 1;
}

static int64_t *counts_of(const thaw_reducer *r)
{
    return bounds_of(r) + r->tensor_count;
}

/* Three words each. */
static thaw_fixed *sums_of(const thaw_reducer *r)
{
    return (thaw_fixed *)(void *)(counts_of(r) + r->options.counts);
}

static const thaw_quantum_rule *rule_of(const thaw_reducer *r, int32_t tensor)
{
    return r->wide[tensor] ? &thaw_quantum_wide : &thaw_quantum_narrow;
}

static int exponent_of(const thaw_reducer *r, int32_t tensor)
{
    return thaw_quantum_start(rule_of(r, tensor), r->exponent[tensor]);
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
    if (r->node.segment != NULL)
        thaw_node_sums_begin(&r->node);
    r->posted = r->arrived = r->ring.next = r->levels.summed = 0;
    r->failed = THAW_OK;
    r->culprit = -1;
}

void thaw_reducer_add(thaw_reducer *r, int32_t tensor, const float *data)
{
    THAW_ASSERT(tensor >= 0 && tensor < r->tensor_count && !r->ready[tensor]);
    const int64_t at = r->start[tensor];
    const int64_t n = r->size[tensor];
    const bool first = !r->added[tensor];
    const int exponent = exponent_of(r, tensor);
    uint32_t peak;
    if (r->node.segment != NULL)
        thaw_node_sums_may_write(&r->node);
    if (r->wide[tensor])
        peak = thaw_wide_add(r->wide_sums + at, data, n, exponent, first);
    else if (r->narrow_sums != NULL)
        peak = thaw_narrow_add(r->narrow_sums + at, data, n, exponent, first);
    else
        peak = thaw_float_add(r->float_sums + at, data, n, first);
    r->added[tensor] = true;
    /* What is not finite does not fit; in floating point all else does. */
    if (!thaw_reducer_is_plain(r, tensor) || peak >= THAW_INFINITY_BITS)
        bounds_of(r)[tensor] += thaw_quantum_bound(rule_of(r, tensor), peak, exponent);
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

static void clear(thaw_reducer *r, int32_t tensor)
{
    const size_t n = (size_t)r->size[tensor];
    const int64_t at = r->start[tensor];
    if (r->node.segment != NULL)
        thaw_node_sums_may_write(&r->node);
    if (r->wide[tensor])
        memset(r->wide_sums + at, 0, n * sizeof *r->wide_sums);
    else if (r->narrow_sums != NULL)
        memset(r->narrow_sums + at, 0, n * sizeof *r->narrow_sums);
    else
        memset(r->float_sums + at, 0, n * sizeof *r->float_sums);
}

/* Only the whole of what this rank brings is rounded. */
static void round_sums(thaw_reducer *r, int32_t tensor)
{
    const int64_t at = r->start[tensor];
    if (r->node.segment != NULL)
        thaw_node_sums_may_write(&r->node);
    thaw_bf16_round(r->float_sums + at, r->size[tensor], r->half_sums + at);
}

void thaw_reducer_ready(thaw_reducer *r, thaw_comm *comm, int32_t tensor)
{
    THAW_ASSERT(tensor >= 0 && tensor < r->tensor_count && !r->ready[tensor]);
    r->ready[tensor] = true;
    if (!r->added[tensor] && r->size[tensor] > 0)
        clear(r, tensor);
    if (r->half_sums != NULL && !r->wide[tensor])
        round_sums(r, tensor);
    int32_t from, to;
    thaw_reducer_touches(r, tensor, &from, &to);
    for (int32_t b = from; b < to; b++)
        r->buckets[b].pending--;
    thaw_reducer_send_ready(r, comm);
}

static bool halves_finite(const thaw_reducer *r, int32_t tensor)
{
    bool finite = true;
    for (int64_t at = 0, n = 0; at < r->size[tensor] && finite; at += n) {
        n = r->size[tensor] - at;
        const uint16_t *piece = thaw_reducer_narrow_piece(r, tensor, at, &n);
        finite = thaw_bf16_finite(piece, n);
    }
    return finite;
}

/* A sum may leave float's range, or bfloat16's, although no shard did. */
static bool beyond_float(const thaw_reducer *r, int32_t tensor)
{
    const int exponent = exponent_of(r, tensor);
    uint64_t bits = 0;
    if (thaw_reducer_is_plain(r, tensor))
        return r->half_sums != NULL && !halves_finite(r, tensor);
    if (exponent + rule_of(r, tensor)->limit_bits <= 127)
        return false;
    for (int64_t at = 0, n = 0; at < r->size[tensor]; at += n) {
        n = r->size[tensor] - at;
        if (r->wide[tensor]) {
            const int64_t *piece = thaw_reducer_wide_piece(r, tensor, at, &n);
            bits |= thaw_wide_bits(piece, n);
        } else {
            const uint32_t *piece = thaw_reducer_narrow_piece(r, tensor, at, &n);
            bits |= thaw_narrow_bits(piece, n);
        }
    }
    return bits > 0 && exponent + 63 - __builtin_clzll(bits) > 127;
}

static bool fits(const thaw_reducer *r, int32_t tensor)
{
    return thaw_quantum_fits(rule_of(r, tensor), bounds_of(r)[tensor]);
}

static bool fits_well(const thaw_reducer *r, int32_t tensor)
{
    return fits(r, tensor) && !thaw_quantum_coarse(rule_of(r, tensor), bounds_of(r)[tensor]);
}

static bool all_fit_well(const thaw_reducer *r)
{
    for (int32_t t = 0; t < r->tensor_count; t++) {
        if (!fits_well(r, t))
            return false;
    }
    return true;
}

/* -1: everything is finite. The largest magnitudes are known where something did not fit. */
static bool find_culprit(thaw_reducer *r)
{
    for (int32_t t = 0; t < r->tensor_count; t++) {
        if (fits(r, t) ? beyond_float(r, t) : r->peak[t] >= THAW_INFINITY_BITS) {
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

/* The quantum was a guess, and the sum says something about size. */
static bool was_guessed(const thaw_reducer *r, int32_t tensor)
{
    return r->exponent[tensor] == THAW_QUANTUM_UNKNOWN && bounds_of(r)[tensor] > 0;
}

/* Every rank comes to the same answer: what it looks at was summed or exchanged. */
static thaw_reduce_outcome judge(thaw_reducer *r, thaw_comm *comm)
{
    const bool good = all_fit_well(r);
    if (!good)
        thaw_allreduce_max_int64(comm, r->peak, r->tensor_count);
    if (find_culprit(r))
        return THAW_REDUCE_NOT_FINITE;
    for (int32_t t = 0; t < r->tensor_count; t++) {
        const thaw_quantum_rule *rule = rule_of(r, t);
        if (thaw_reducer_is_plain(r, t))
            continue;
        if (good)
            r->next[t] = thaw_quantum_next(rule, r->exponent[t], bounds_of(r)[t]);
        else if (!fits_well(r, t) || was_guessed(r, t))
            r->next[t] = thaw_quantum_from_peak(rule, (uint32_t)r->peak[t], r->options.shards);
    }
    return good ? THAW_REDUCE_OK : THAW_REDUCE_REDO;
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
    thaw_reducer_send_rest(r, comm);
    if (r->control[0] != 0)
        return thaw_agree(comm, r->failed);
    for (int32_t w = 0; w < r->options.sums; w++)
        thaw_fixed_carry(&sums_of(r)[w]);
    *outcome = judge(r, comm);
    return THAW_OK;
}

void thaw_reducer_get(const thaw_reducer *r, int32_t tensor, double scale, float *out)
{
    THAW_ASSERT(tensor >= 0 && tensor < r->tensor_count);
    const int exponent = exponent_of(r, tensor);
    for (int64_t at = 0, n = 0; at < r->size[tensor]; at += n) {
        n = r->size[tensor] - at;
        if (r->wide[tensor]) {
            const int64_t *sums = thaw_reducer_wide_piece(r, tensor, at, &n);
            thaw_wide_get(sums, n, exponent, scale, out + at);
            continue;
        }
        const void *sums = thaw_reducer_narrow_piece(r, tensor, at, &n);
        if (r->half_sums != NULL)
            thaw_bf16_get(sums, n, scale, out + at);
        else if (r->float_sums != NULL)
            thaw_float_get(sums, n, scale, out + at);
        else
            thaw_narrow_get(sums, n, exponent, scale, out + at);
    }
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
