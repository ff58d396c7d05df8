#include "train/train_impl.h"

#include <string.h>

/* Texts are padded to the longest one of the data, and most are shorter. A run of fewer tokens gives what the whole one gives, but for
 * the order of sums, so that texts of like length can go together and leave the rest out. A sample's length is its own, that of a shard
 * is its longest sample's: neither knows of ranks. */

/* Lengths are multiples of it: few enough to be planned for, and whole vectors of every instruction set. */
#define STEP INT64_C(16)

/* Samples that are read together to see their lengths. */
enum { READ = 64 };

static thaw_status find_crop(const thaw_graph *g, thaw_value from, int64_t tokens, thaw_crop *out)
{
    const thaw_shape whole = thaw_graph_value_shape(g, from);
    thaw_shape cut;
    *out = (thaw_crop){.tokens = tokens, .parts = 1};
    THAW_TRY(thaw_graph_shape_of(g, from, tokens, &cut));
    int32_t d = 0;
    while (d + 1 < whole.ndim && cut.dim[d] == whole.dim[d])
        out->parts *= whole.dim[d++];
    out->whole = thaw_shape_count(&whole) / out->parts;
    out->kept = thaw_shape_count(&cut) / out->parts;
    return THAW_OK;
}

/* Up to the last token that is no padding. ids (T) */
static int64_t length_of(const float *ids, int64_t T, int64_t pad_id)
{
    while (T > 1 && ids[T - 1] == (float)pad_id)
        T--;
    return T;
}

static thaw_status measure(const thaw_setup *s, int64_t split, thaw_buckets *b)
{
    const int64_t N = thaw_dataset_count(s->dataset, split);
    const int64_t T = thaw_dataset_shape(s->dataset).dim[1];
    const int64_t pad_id = thaw_dataset_text(s->dataset)->pad_id;
    const int64_t values = thaw_dataset_values(s->dataset);
    int64_t indices[READ];
    float *x = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&x, READ * values, sizeof *x));
    THAW_TRY_TO(thaw_alloc(&b->crop_of, N, sizeof *b->crop_of));
    for (int64_t at = 0; at < N; at += READ) {
        const int64_t n = N - at < READ ? N - at : READ;
        for (int64_t i = 0; i < n; i++)
            indices[i] = at + i;
        THAW_TRY_TO(thaw_dataset_read(s->dataset, split, n, indices, x));
        for (int64_t i = 0; i < n; i++)
            b->crop_of[at + i] = (int32_t)((length_of(x + i * values, T, pad_id) - 1) / STEP);
    }
    status = THAW_OK;
done:
    thaw_free(&x);
    return status;
}

static thaw_status open_all(const thaw_setup *s, int64_t split, thaw_value from, thaw_buckets *b)
{
    const thaw_graph *g = s->model->graph;
    const int64_t T = thaw_dataset_shape(s->dataset).dim[1];
    const int32_t count = (int32_t)((T - 1) / STEP + 1);
    THAW_TRY(thaw_alloc(&b->crops, count, sizeof *b->crops));
    for (b->count = 0; b->count < count; b->count++) {
        const int64_t tokens = b->count + 1 < count ? (b->count + 1) * STEP : 0;
        THAW_TRY(find_crop(g, from, tokens, &b->crops[b->count]));
    }
    return measure(s, split, b);
}

thaw_status thaw_buckets_open(const thaw_setup *s, int64_t split, thaw_value from,
                              thaw_buckets *out)
{
    memset(out, 0, sizeof *out);
    if (!s->config->data.bucket_lengths)
        return THAW_OK;
    THAW_CHECK(thaw_dataset_text(s->dataset) != NULL, THAW_ERR_CONFIG,
               "data.bucket_lengths sorts texts by their length, but %s holds none; leave it out",
               s->config->data.file);
    const thaw_status status = open_all(s, split, from < 0 ? 0 : from, out);
    if (status != THAW_OK || out->crops[0].kept == out->crops[0].whole)
        thaw_buckets_close(out);
    return status;
}

void thaw_buckets_close(thaw_buckets *b)
{
    thaw_free(&b->crop_of);
    thaw_free(&b->crops);
    b->count = 0;
}

thaw_status thaw_buckets_fit(const thaw_buckets *b, thaw_plan *plan)
{
    for (int32_t i = 0; i + 1 < b->count; i++)
        THAW_TRY(thaw_plan_add_length(plan, b->crops[i].tokens));
    return THAW_OK;
}

void thaw_buckets_sort(const thaw_buckets *b, int64_t n, const int64_t *indices, int64_t *out)
{
    for (int32_t crop = 0; crop < b->count; crop++) {
        for (int64_t i = 0; i < n; i++) {
            if (b->crop_of[indices[i]] == crop)
                *out++ = indices[i];
        }
    }
}

int64_t thaw_buckets_crop(const thaw_buckets *b, int64_t n, const int64_t *indices, float *x)
{
    int32_t longest = 0;
    if (b->crops == NULL)
        return 0;
    for (int64_t i = 0; i < n; i++)
        longest = b->crop_of[indices[i]] > longest ? b->crop_of[indices[i]] : longest;
    const thaw_crop *c = &b->crops[longest];
    for (int64_t i = 0; i < n * c->parts; i++)
        memmove(x + i * c->kept, x + i * c->whole, (size_t)c->kept * sizeof *x);
    return c->tokens;
}
