#include "thaw/comm.h"

#include "comm/quantum_impl.h"
#include "comm/reducer_impl.h"

#define DEFAULT_BUCKET_BYTES ((int64_t)1 << 20)
/* MPI counts in int. */
#define MOST_BUCKET_BYTES ((int64_t)1 << 30)
#define MOST_SHARDS       ((int64_t)1 << 20)

void thaw_reducer_touches(const thaw_reducer *r, int32_t tensor, int32_t *from, int32_t *to)
{
    *from = *to = 0;
    if (r->start[tensor + 1] == r->start[tensor])
        return;
    *from = (int32_t)(r->start[tensor] / r->full);
    *to = (int32_t)((r->start[tensor + 1] - 1) / r->full) + 1;
}

static int64_t element_bytes(const thaw_reducer *r)
{
    return r->options.mode == THAW_REDUCE_EXACT ? 8 : 4;
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
    THAW_TRY(thaw_alloc(&r->start, n + 1, sizeof *r->start));
    THAW_TRY(thaw_alloc(&r->exponent, n, sizeof *r->exponent));
    THAW_TRY(thaw_alloc(&r->next, n, sizeof *r->next));
    THAW_TRY(thaw_alloc(&r->peak, n, sizeof *r->peak));
    THAW_TRY(thaw_alloc(&r->added, n, sizeof *r->added));
    THAW_TRY(thaw_alloc(&r->ready, n, sizeof *r->ready));
    THAW_TRY(thaw_alloc(&r->fitted, n, sizeof *r->fitted));
    for (int64_t t = 0; t < n; t++) {
        r->start[t + 1] = r->start[t] + sizes[t];
        r->next[t] = THAW_QUANTUM_UNKNOWN;
    }
    return THAW_OK;
}

static thaw_status make_payload(thaw_reducer *r)
{
    int64_t total = r->start[r->tensor_count];
    r->control_count = 1 + r->tensor_count + r->options.counts + 3 * (int64_t)r->options.sums;
    if (r->options.mode == THAW_REDUCE_EXACT) {
        THAW_TRY(thaw_alloc(&r->exact, total + r->control_count, sizeof *r->exact));
        r->control = r->exact + total;
        return THAW_OK;
    }
    THAW_TRY(thaw_alloc(&r->single, total, sizeof *r->single));
    return thaw_alloc(&r->control, r->control_count, sizeof *r->control);
}

/* Cuts at multiples of the bucket size, across tensors: one large tensor travels in pieces as several small ones travel together. */
static thaw_status make_buckets(thaw_reducer *r)
{
    int64_t total = r->start[r->tensor_count];
    int64_t bytes = r->options.bucket_bytes > 0 ? r->options.bucket_bytes : DEFAULT_BUCKET_BYTES;
    r->full = bytes / element_bytes(r) > 0 ? bytes / element_bytes(r) : 1;
    int64_t count = (total + r->full - 1) / r->full;
    bool apart = r->options.mode == THAW_REDUCE_FLOAT || count == 0;
    THAW_CHECK(count < INT32_MAX, THAW_ERR_FAIL,
               "%lld buckets of %lld bytes are too many; choose a larger bucket", (long long)count,
               (long long)bytes);
    r->bucket_count = (int32_t)count + (apart ? 1 : 0);
    THAW_TRY(thaw_alloc(&r->buckets, r->bucket_count, sizeof *r->buckets));
    THAW_TRY(thaw_alloc(&r->requests, r->bucket_count, sizeof *r->requests));
    for (int32_t b = 0; b < r->bucket_count; b++) {
        r->buckets[b].first = b * r->full;
        r->buckets[b].count = total - b * r->full < r->full ? total - b * r->full : r->full;
        r->requests[b] = MPI_REQUEST_NULL;
    }
    thaw_bucket *last = &r->buckets[r->bucket_count - 1];
    last->first = apart ? total : last->first;
    last->count = apart ? r->control_count : last->count + r->control_count;
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
    THAW_TRY_TO(make_tensors(r, sizes));
    THAW_TRY_TO(make_payload(r));
    THAW_TRY_TO(make_buckets(r));
    *out = r;
done:
    if (status != THAW_OK)
        thaw_reducer_free(&r);
    return status;
}

void thaw_reducer_free(thaw_reducer **reducer)
{
    thaw_reducer *r = *reducer;
    if (r == NULL)
        return;
    if (r->exact == NULL)
        thaw_free(&r->control);
    thaw_free(&r->exact);
    thaw_free(&r->single);
    thaw_free(&r->start);
    thaw_free(&r->exponent);
    thaw_free(&r->next);
    thaw_free(&r->peak);
    thaw_free(&r->added);
    thaw_free(&r->ready);
    thaw_free(&r->fitted);
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
    *bytes =
        reducer->start[reducer->tensor_count] * element_bytes(reducer) + 8 * reducer->control_count;
    *calls = reducer->bucket_count;
}
