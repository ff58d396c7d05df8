#include "train/train_impl.h"

#include <string.h>

thaw_status thaw_feed_open(thaw_feed *feed, const thaw_dataset *dataset, int64_t split)
{
    memset(feed, 0, sizeof *feed);
    feed->dataset = dataset;
    feed->split = split;
    feed->N = thaw_dataset_count(dataset, split);
    feed->width = thaw_dataset_values(dataset);
    const thaw_shape shape = thaw_dataset_shape(dataset);
    THAW_TRY(thaw_alloc(&feed->other, feed->width, sizeof *feed->other));
    return thaw_alloc(&feed->scratch, shape.dim[1] * shape.dim[2], sizeof *feed->scratch);
}

void thaw_feed_close(thaw_feed *feed)
{
    thaw_buckets_close(&feed->buckets);
    thaw_free(&feed->scratch);
    thaw_free(&feed->other);
}

/* Fixed views are the same for every seed. */
static uint64_t seed_of(const thaw_feed *feed)
{
    return feed->views > 0 ? THAW_VIEW_SEED : feed->seed;
}

static uint32_t view_of(const thaw_feed *feed, uint32_t epoch)
{
    return feed->views > 0 ? epoch % (uint32_t)feed->views : epoch;
}

bool thaw_feed_blend(const thaw_feed *feed, uint32_t epoch, int64_t index, thaw_blend *out)
{
    if (feed->augment == NULL || !thaw_augment_mixes(feed->augment))
        return false;
    const thaw_shape shape = thaw_dataset_shape(feed->dataset);
    *out = thaw_augment_blend(feed->augment, seed_of(feed), view_of(feed, epoch), feed->N, index,
                              &shape);
    return true;
}

static void augment(const thaw_feed *feed, uint32_t epoch, int64_t n, const int64_t *indices,
                    float *x)
{
    const thaw_shape shape = thaw_dataset_shape(feed->dataset);
    const thaw_levels levels = thaw_dataset_levels(feed->dataset);
    thaw_augment_batch(feed->augment, seed_of(feed), view_of(feed, epoch), n, indices, &shape,
                       &levels, x, feed->scratch);
}

static thaw_status fetch(const thaw_feed *feed, int64_t n, const int64_t *indices, float *out)
{
    const double began = thaw_seconds();
    const thaw_status status = thaw_dataset_read(feed->dataset, feed->split, n, indices, out);
    if (feed->waited != NULL)
        *feed->waited += thaw_seconds() - began;
    return status;
}

/* Partners are read one by one, from anywhere in the split. */
static thaw_status blend(const thaw_feed *feed, uint32_t epoch, int64_t n, const int64_t *indices,
                         float *out)
{
    const thaw_shape shape = thaw_dataset_shape(feed->dataset);
    thaw_blend b;
    for (int64_t i = 0; i < n && thaw_feed_blend(feed, epoch, indices[i], &b); i++) {
        THAW_TRY(fetch(feed, 1, &b.partner, feed->other));
        augment(feed, epoch, 1, &b.partner, feed->other);
        thaw_augment_apply_blend(&b, &shape, feed->other,
                                 out + i * thaw_dataset_values(feed->dataset));
    }
    return THAW_OK;
}

/* Samples as the network takes them. */
static thaw_status read_samples(const thaw_feed *feed, uint32_t epoch, int64_t n,
                                const int64_t *indices, float *out)
{
    THAW_CHECK(!thaw_fault("data_read"), THAW_ERR_INPUT,
               "%s: reading samples failed (injected fault)", thaw_dataset_path(feed->dataset));
    THAW_TRY(fetch(feed, n, indices, out));
    if (feed->augment == NULL)
        return THAW_OK;
    augment(feed, epoch, n, indices, out);
    return blend(feed, epoch, n, indices, out);
}

static thaw_status compute(const thaw_feed *feed, uint32_t epoch, int64_t n, const int64_t *indices,
                           float *out)
{
    thaw_prefix *prefix = feed->prefix;
    THAW_TRY(thaw_prefix_ready(prefix));
    for (int64_t at = 0; at < n; at += prefix->batch) {
        const int64_t part = n - at < prefix->batch ? n - at : prefix->batch;
        THAW_TRY(read_samples(feed, epoch, part, indices + at, prefix->input));
        thaw_prefix_run(prefix, part, indices + at, out + at * prefix->width);
    }
    return THAW_OK;
}

thaw_status thaw_feed_read(const thaw_feed *feed, uint32_t epoch, int64_t n, const int64_t *indices,
                           float *out)
{
    if (feed->prefix == NULL)
        return read_samples(feed, epoch, n, indices, out);
    if (feed->features != NULL) {
        const int64_t view = feed->augment == NULL ? 0 : 1 + epoch % (uint32_t)feed->views;
        if (thaw_features_read(feed->features, feed->block + view, n, indices, out))
            return THAW_OK;
    }
    return compute(feed, epoch, n, indices, out);
}

/* In the order of read_samples. */
static void ask_samples(const thaw_feed *feed, uint32_t epoch, int64_t n, const int64_t *indices)
{
    thaw_blend b;
    thaw_dataset_ask(feed->dataset, feed->split, n, indices);
    for (int64_t i = 0; i < n && thaw_feed_blend(feed, epoch, indices[i], &b); i++)
        thaw_dataset_ask(feed->dataset, feed->split, 1, &b.partner);
}

void thaw_feed_ask(const thaw_feed *feed, uint32_t epoch, int64_t n, const int64_t *indices)
{
    const int64_t most = feed->prefix != NULL ? feed->prefix->batch : n;
    if (feed->features != NULL)
        return;
    for (int64_t at = 0; at < n; at += most)
        ask_samples(feed, epoch, n - at < most ? n - at : most, indices + at);
}

/* Which sample stands where: chunks of like length, the whole ones dealt out as to `size` ranks, or one would have all the long texts. NULL:
 * each sample stands in its own place. */
static thaw_status put_in_order(const thaw_feed *feed, int64_t chunk, int64_t size, int64_t **out)
{
    const int64_t whole = feed->N / chunk;
    int64_t *sorted = NULL;
    int64_t *to = NULL;
    thaw_status status = THAW_OK;
    *out = NULL;
    if (feed->buckets.crops == NULL)
        return THAW_OK;
    THAW_TRY_TO(thaw_alloc(out, feed->N, sizeof **out));
    THAW_TRY_TO(thaw_alloc(&sorted, feed->N, sizeof *sorted));
    for (int64_t i = 0; i < feed->N; i++)
        (*out)[i] = i;
    thaw_buckets_sort(&feed->buckets, feed->N, *out, sorted);
    memcpy(*out, sorted, (size_t)feed->N * sizeof *sorted);
    to = *out;
    for (int64_t r = 0; r < size; r++) {
        for (int64_t c = r; c < whole; c += size, to += chunk)
            memcpy(to, sorted + c * chunk, (size_t)chunk * sizeof *sorted);
    }
done:
    thaw_free(&sorted);
    return status;
}

/* This rank's places [begin, end), of which plan p's rows go to mine[p]. */
static thaw_status sweep_local(const thaw_feed *feed, const thaw_sweep_plans *plans, int64_t chunk,
                               const int64_t *order, int64_t begin, int64_t end, float *const *mine)
{
    const int64_t width = plans->width;
    float *input = NULL;
    int64_t *indices = NULL, *coming = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&coming, chunk, sizeof *coming));
    THAW_TRY_TO(thaw_alloc(&input, chunk * feed->width, sizeof *input));
    THAW_TRY_TO(thaw_alloc(&indices, chunk, sizeof *indices));
    for (int64_t at = begin; at < end; at += chunk) {
        const int64_t n = end - at < chunk ? end - at : chunk;
        for (int64_t i = 0; i < n; i++)
            indices[i] = order != NULL ? order[at + i] : at + i;
        const int64_t next = end - at - n < chunk ? end - at - n : chunk;
        for (int64_t i = 0; i < next; i++)
            coming[i] = order != NULL ? order[at + n + i] : at + n + i;
        if (next > 0)
            thaw_feed_ask(feed, 0, next, coming);
        THAW_TRY_TO(thaw_feed_read(feed, 0, n, indices, input));
        const int64_t tokens = thaw_buckets_crop(&feed->buckets, n, indices, input);
        const thaw_run run = {.B = n, .tokens = tokens, .input = input, .sample_ids = indices};
        for (int32_t p = 0; p < plans->count; p++) {
            thaw_plan_forward(plans->plans[p], &run);
            memcpy(mine[p] + (at - begin) * width, thaw_plan_value(plans->plans[p], plans->value),
                   (size_t)(n * width) * sizeof **mine);
        }
    }
    status = THAW_OK;
done:
    thaw_dataset_pause(feed->dataset);
    thaw_free(&coming);
    thaw_free(&indices);
    thaw_free(&input);
    return status;
}

/* A failure leaves what is there already; the caller frees it. */
static thaw_status join(thaw_comm *comm, int64_t bytes, int64_t expected, int32_t count,
                        float *const *mine, float **rows)
{
    for (int32_t p = 0; p < count; p++) {
        int64_t total = 0;
        void *all = NULL;
        THAW_TRY(thaw_allgatherv(comm, mine[p], bytes, &all, &total, NULL));
        THAW_ASSERT(total == expected);
        rows[p] = all;
    }
    return THAW_OK;
}

/* Rows from places to samples. */
static thaw_status restore(const int64_t *order, int64_t N, int64_t width, float **rows)
{
    float *own = NULL;
    if (order == NULL)
        return THAW_OK;
    THAW_TRY(thaw_alloc(&own, N * width, sizeof *own));
    for (int64_t i = 0; i < N; i++)
        memcpy(own + order[i] * width, *rows + i * width, (size_t)width * sizeof *own);
    thaw_free(rows);
    *rows = own;
    return THAW_OK;
}

thaw_status thaw_sweep(thaw_comm *comm, const thaw_feed *feed, const thaw_sweep_plans *plans,
                       int64_t chunk, float **rows)
{
    const int64_t chunks = (feed->N + chunk - 1) / chunk;
    const int64_t rank = thaw_comm_rank(comm);
    const int64_t size = thaw_comm_size(comm);
    const int64_t begin = chunks * rank / size * chunk;
    const int64_t stop = chunks * (rank + 1) / size * chunk;
    const int64_t end = stop < feed->N ? stop : feed->N;
    const int64_t row = plans->width * (int64_t)sizeof **rows;
    int64_t *order = NULL;
    float **mine = NULL;
    thaw_status status = thaw_alloc(&mine, plans->count, sizeof *mine);
    for (int32_t p = 0; p < plans->count && status == THAW_OK; p++) {
        rows[p] = NULL;
        status = thaw_alloc(&mine[p], (end - begin) * plans->width, sizeof **mine);
    }
    if (status == THAW_OK)
        status = put_in_order(feed, chunk, size, &order);
    if (status == THAW_OK)
        status = sweep_local(feed, plans, chunk, order, begin, end, mine);
    THAW_TRY_TO(thaw_agree(comm, status));
    THAW_TRY_TO(join(comm, (end - begin) * row, feed->N * row, plans->count, mine, rows));
    for (int32_t p = 0; p < plans->count && status == THAW_OK; p++)
        status = restore(order, feed->N, plans->width, &rows[p]);
    status = thaw_agree(comm, status);
done:
    thaw_free(&order);
    for (int32_t p = 0; p < plans->count && mine != NULL; p++)
        thaw_free(&mine[p]);
    thaw_free(&mine);
    return status;
}
