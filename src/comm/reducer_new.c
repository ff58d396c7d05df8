#include "comm/reducer_impl.h"

#define DEFAULT_BUCKET_BYTES ((int64_t)1 << 20)
/* MPI counts in int. */
#define MOST_BUCKET_BYTES ((int64_t)1 << 30)
#define MOST_SHARDS       ((int64_t)1 << 20)

/* In mode exact a tensor of up to this many elements is summed in 64 bits: biases, norms, small heads and adapters have all the
 * range there is, for bytes that do not matter, and need no collective besides the one of the control words. */
#define MOST_WIDE_ELEMENTS 16384
/* In mode bf16 less: what has no matrix, since 8 bits are few for running statistics. */
#define MOST_WIDE_BESIDE_BF16 2048
/* With more shards a narrow word would not keep enough bits of each. */
#define MOST_NARROW_SHARDS 256

void thaw_reducer_touches(const thaw_reducer *r, int32_t tensor, int32_t *from, int32_t *to)
{
    *from = *to = 0;
    if (r->size[tensor] == 0)
        return;
    int32_t base = r->wide[tensor] ? r->narrow_buckets : 0;
    int64_t full = r->wide[tensor] ? r->wide_full : r->narrow_full;
    *from = base + (int32_t)(r->start[tensor] / full);
    *to = base + (int32_t)((r->start[tensor] + r->size[tensor] - 1) / full) + 1;
}

bool thaw_reduce_is_exact(thaw_reduce_mode mode)
{
    return mode == THAW_REDUCE_EXACT || mode == THAW_REDUCE_EXACT64;
}

bool thaw_reducer_is_plain(const thaw_reducer *r, int32_t tensor)
{
    return !thaw_reduce_is_exact(r->options.mode) && !r->wide[tensor];
}

int64_t thaw_reducer_narrow_bytes(const thaw_reducer *r)
{
    return r->options.mode == THAW_REDUCE_BF16 ? 2 : 4;
}

static bool is_wide(const thaw_reducer_options *options, int64_t size)
{
    if (options->mode == THAW_REDUCE_EXACT)
        return size <= MOST_WIDE_ELEMENTS || options->shards > MOST_NARROW_SHARDS;
    if (options->mode == THAW_REDUCE_BF16)
        return size <= MOST_WIDE_BESIDE_BF16;
    return options->mode == THAW_REDUCE_EXACT64;
}

static thaw_status check(const int64_t *sizes, int32_t tensor_count,
                         const thaw_reducer_options *options)
{
    THAW_CHECK(options->shards >= 1 && options->shards <= MOST_SHARDS, THAW_ERR_FAIL,
               "a sum over %lld shards; 1 to %lld are possible", (long long)options->shards,
               (long long)MOST_SHARDS);
    THAW_CHECK(options->bucket_bytes >= 0 && options->bucket_bytes <= MOST_BUCKET_BYTES,
               THAW_ERR_FAIL, "a bucket of %lld bytes; at most %lld are possible",
               (long long)options->bucket_bytes, (long long)MOST_BUCKET_BYTES);
    THAW_CHECK(tensor_count >= 0 && options->counts >= 0 && options->sums >= 0, THAW_ERR_FAIL,
               "negative number of tensors or control words");
    for (int32_t t = 0; t < tensor_count; t++)
        THAW_CHECK(sizes[t] >= 0, THAW_ERR_FAIL, "tensor %d has %lld elements", t,
                   (long long)sizes[t]);
    return THAW_OK;
}

/* All that depends on the number of tensors. */
static thaw_status make_tensors(thaw_reducer *r, const int64_t *sizes)
{
    int64_t n = r->tensor_count;
    THAW_TRY(thaw_alloc(&r->size, n, sizeof *r->size));
    THAW_TRY(thaw_alloc(&r->start, n, sizeof *r->start));
    THAW_TRY(thaw_alloc(&r->wide, n, sizeof *r->wide));
    THAW_TRY(thaw_alloc(&r->exponent, n, sizeof *r->exponent));
    THAW_TRY(thaw_alloc(&r->next, n, sizeof *r->next));
    THAW_TRY(thaw_alloc(&r->peak, n, sizeof *r->peak));
    THAW_TRY(thaw_alloc(&r->added, n, sizeof *r->added));
    THAW_TRY(thaw_alloc(&r->ready, n, sizeof *r->ready));
    for (int64_t t = 0; t < n; t++) {
        r->size[t] = sizes[t];
        r->wide[t] = is_wide(&r->options, sizes[t]);
        int64_t *count = r->wide[t] ? &r->wide_count : &r->narrow_count;
        r->start[t] = *count;
        *count += sizes[t];
        r->next[t] = THAW_QUANTUM_UNKNOWN;
    }
    return THAW_OK;
}

static thaw_status make_payload(thaw_reducer *r)
{
    r->control_count = 1 + r->tensor_count + r->options.counts + 3 * (int64_t)r->options.sums;
    THAW_TRY(thaw_alloc(&r->wide_sums, r->wide_count + r->control_count, sizeof *r->wide_sums));
    THAW_TRY(thaw_alloc(&r->control, r->control_count, sizeof *r->control));
    if (r->options.mode == THAW_REDUCE_BF16)
        THAW_TRY(thaw_alloc(&r->half_sums, r->narrow_count, sizeof *r->half_sums));
    if (!thaw_reduce_is_exact(r->options.mode))
        return thaw_alloc(&r->float_sums, r->narrow_count, sizeof *r->float_sums);
    return thaw_alloc(&r->narrow_sums, r->narrow_count, sizeof *r->narrow_sums);
}

/* Cuts one part at multiples of the bucket size, across tensors: one large tensor travels in pieces as several small ones travel
 * together. */
static void cut(thaw_bucket *buckets, int64_t bucket_count, int64_t total, int64_t full, bool wide)
{
    for (int64_t b = 0; b < bucket_count; b++) {
        int64_t rest = total - b * full;
        buckets[b] =
            (thaw_bucket){.first = b * full, .count = rest < full ? rest : full, .wide = wide};
    }
}

static int64_t at_least_one(int64_t value)
{
    return value > 0 ? value : 1;
}

static thaw_status make_buckets(thaw_reducer *r)
{
    int64_t bytes = r->options.bucket_bytes > 0 ? r->options.bucket_bytes : DEFAULT_BUCKET_BYTES;
    r->narrow_full = at_least_one(bytes / thaw_reducer_narrow_bytes(r));
    r->wide_full = at_least_one(bytes / 8);
    int64_t narrow = (r->narrow_count + r->narrow_full - 1) / r->narrow_full;
    /* One at least, for the control words. */
    int64_t wide = at_least_one((r->wide_count + r->wide_full - 1) / r->wide_full);
    THAW_CHECK(narrow + wide < INT32_MAX, THAW_ERR_FAIL,
               "%lld buckets of %lld bytes are too many; choose a larger bucket",
               (long long)(narrow + wide), (long long)bytes);
    r->narrow_buckets = (int32_t)narrow;
    r->bucket_count = (int32_t)(narrow + wide);
    THAW_TRY(thaw_alloc(&r->buckets, r->bucket_count, sizeof *r->buckets));
    THAW_TRY(thaw_alloc(&r->requests, r->bucket_count, sizeof *r->requests));
    cut(r->buckets, narrow, r->narrow_count, r->narrow_full, false);
    cut(r->buckets + narrow, wide, r->wide_count, r->wide_full, true);
    r->buckets[r->bucket_count - 1].count += r->control_count;
    for (int32_t b = 0; b < r->bucket_count; b++)
        r->requests[b] = MPI_REQUEST_NULL;
    return THAW_OK;
}

thaw_status thaw_reducer_new(const int64_t *sizes, int32_t tensor_count,
                             const thaw_reducer_options *options, thaw_reducer **out)
{
    thaw_status status = THAW_OK;
    thaw_reducer *r = NULL;
    *out = NULL;
    THAW_TRY(check(sizes, tensor_count, options));
    THAW_TRY(thaw_alloc(&r, 1, sizeof *r));
    r->options = *options;
    r->tensor_count = tensor_count;
    r->culprit = -1;
    r->half_add = MPI_OP_NULL;
    THAW_TRY_TO(make_tensors(r, sizes));
    THAW_TRY_TO(make_payload(r));
    THAW_TRY_TO(make_buckets(r));
    *out = r;
done:
    if (status != THAW_OK)
        thaw_reducer_free(&r);
    return status;
}

static void free_payload(thaw_reducer *r)
{
    if (r->node.segment != NULL) {
        thaw_node_sums_clear(&r->node);
        return;
    }
    thaw_free(&r->narrow_sums);
    thaw_free(&r->half_sums);
    if (r->options.mode == THAW_REDUCE_FLOAT)
        thaw_free(&r->float_sums);
    thaw_free(&r->wide_sums);
}

thaw_status thaw_reducer_share(thaw_reducer *r, thaw_comm *comm)
{
    thaw_node_sums node;
    if (comm->size > 1 && r->options.travel == THAW_TRAVEL_RING)
        return thaw_ring_open(r, comm, 0); /* uniform */
    if (r->options.travel == THAW_TRAVEL_LEVELS && thaw_levels_possible(r, comm)) {
        THAW_TRY(thaw_levels_open(r, comm, 64)); /* uniform */
        thaw_levels_keep(r);
        return THAW_OK;
    }
    if (comm->size == 1 || r->options.travel != THAW_TRAVEL_AUTO)
        return THAW_OK; /* uniform */
    if (comm->node_count > 1)
        return thaw_reducer_choose_travel(r, comm); /* uniform */
    const thaw_node_kind kind = r->options.mode == THAW_REDUCE_BF16    ? THAW_NODE_BF16
                                : r->options.mode == THAW_REDUCE_FLOAT ? THAW_NODE_FLOAT
                                                                       : THAW_NODE_UINT32;
    THAW_TRY(
        thaw_node_sums_new(comm, kind, r->narrow_count, r->wide_count + r->control_count, &node));
    if (node.segment == NULL)
        return THAW_OK; /* uniform */
    free_payload(r);
    r->node = node;
    void *narrow = thaw_node_sums_narrow(&node, node.rank);
    if (kind == THAW_NODE_BF16)
        r->half_sums = narrow;
    else if (kind == THAW_NODE_FLOAT)
        r->float_sums = narrow;
    else
        r->narrow_sums = narrow;
    r->wide_sums = thaw_node_sums_wide(&node, node.rank);
    return THAW_OK;
}

void thaw_reducer_free(thaw_reducer **reducer)
{
    thaw_reducer *r = *reducer;
    if (r == NULL)
        return;
    free_payload(r);
    thaw_levels_keep(r);
    thaw_ring_close(r);
    if (r->options.mode == THAW_REDUCE_BF16)
        thaw_free(&r->float_sums);
    if (r->half_add != MPI_OP_NULL)
        THAW_MPI(MPI_Op_free(&r->half_add));
    thaw_free(&r->control);
    thaw_free(&r->size);
    thaw_free(&r->start);
    thaw_free(&r->wide);
    thaw_free(&r->exponent);
    thaw_free(&r->next);
    thaw_free(&r->peak);
    thaw_free(&r->added);
    thaw_free(&r->ready);
    thaw_free(&r->buckets);
    thaw_free(&r->requests);
    thaw_free(reducer);
}

int32_t *thaw_reducer_exponents(thaw_reducer *reducer)
{
    return reducer->next;
}

void thaw_reducer_plan(const thaw_reducer *reducer, int64_t *bytes, int64_t *calls)
{
    *bytes = thaw_reducer_narrow_bytes(reducer) * reducer->narrow_count +
             8 * (reducer->wide_count + reducer->control_count);
    const bool at_once = reducer->node.segment != NULL && !reducer->levels.on;
    *calls = at_once ? 1 : reducer->bucket_count;
}
