#include "train/probe_impl.h"

#include <string.h>

/* One pass over some samples keeps the pooled features after every block. */

/* Attention knows which token is padding. */
static int64_t pad_id_of(const thaw_graph *g)
{
    for (int32_t i = 0; i < thaw_graph_node_count(g); i++)
        if (strcmp(thaw_node_kind(thaw_graph_node(g, i)), "attention") == 0)
            return thaw_graph_node(g, i)->attr.attention.pad_id;
    return -1;
}

static thaw_status find_depths(probing *p, bool **kept)
{
    const thaw_graph *g = p->setup->model->graph;
    const int32_t blocks = thaw_graph_block_count(g);
    THAW_TRY(thaw_alloc(&p->depths, blocks, sizeof *p->depths));
    THAW_TRY(thaw_alloc(kept, thaw_graph_value_count(g), sizeof **kept));
    for (int32_t block = 0; block < blocks; block++) {
        probe_depth *d = &p->depths[p->count];
        d->block = block;
        d->value = -1;
        for (int32_t i = 0; i < thaw_graph_node_count(g); i++)
            if (thaw_graph_node(g, i)->block == block)
                d->value = thaw_graph_node(g, i)->output;
        if (d->value < 0)
            continue;
        const thaw_shape shape = thaw_graph_value_shape(g, d->value);
        d->tokens = shape.ndim == 2;
        d->D = d->tokens ? shape.dim[1] : shape.dim[0];
        d->pixels = thaw_shape_count(&shape) / d->D;
        d->offset = p->width;
        p->width += d->D;
        (*kept)[d->value] = true;
        p->count++;
    }
    return THAW_OK;
}

/* Mean over pixels, or over the tokens that are not padding. */
static void pool(const probing *p, const probe_depth *d, const float *x, const float *ids,
                 float *out)
{
    int64_t counted = 0;
    for (int64_t t = 0; t < d->pixels; t++)
        counted += !(d->tokens && p->is_text && (int64_t)ids[t] == p->pad_id);
    for (int64_t j = 0; j < d->D; j++) {
        double sum = 0;
        for (int64_t t = 0; t < d->pixels; t++) {
            const bool padding = d->tokens && p->is_text && (int64_t)ids[t] == p->pad_id;
            sum += padding ? 0 : (double)x[d->tokens ? t * d->D + j : j * d->pixels + t];
        }
        out[j] = (float)(sum / (double)(counted > 0 ? counted : 1));
    }
}

/* Drawn samples [begin, end) of n to rows (end - begin, width). */
static thaw_status run_rows(const probing *p, const thaw_feed *feed, int64_t begin, int64_t end,
                            float *rows)
{
    const int64_t chunk = p->setup->config->train.eval_batch;
    float *input = NULL;
    int64_t *indices = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&input, chunk * feed->width, sizeof *input));
    THAW_TRY_TO(thaw_alloc(&indices, chunk, sizeof *indices));
    for (int64_t at = begin; at < end; at += chunk) {
        const int64_t n = end - at < chunk ? end - at : chunk;
        for (int64_t i = 0; i < n; i++)
            indices[i] = thaw_permute(PROBE_SEED, 0, feed->N, at + i);
        thaw_beat("features of drawn samples");
        THAW_TRY_TO(thaw_feed_read(feed, 0, n, indices, input));
        const thaw_run run = {.B = n, .input = input, .sample_ids = indices};
        thaw_plan_forward(p->plan, &run);
        for (int64_t d = 0; d < p->count; d++) {
            const probe_depth *at_depth = &p->depths[d];
            const float *x = thaw_plan_value(p->plan, at_depth->value);
            for (int64_t i = 0; i < n; i++)
                pool(p, at_depth, x + i * at_depth->D * at_depth->pixels, input + i * feed->width,
                     rows + (at - begin + i) * p->width + at_depth->offset);
        }
    }
    status = THAW_OK;
done:
    thaw_free(&indices);
    thaw_free(&input);
    return status;
}

/* Whole chunks go to a rank. */
thaw_status probing_draw(thaw_comm *comm, const probing *p, const thaw_dataset *dataset,
                         int64_t split, int64_t n, float **rows, int32_t **labels)
{
    const int64_t chunk = p->setup->config->train.eval_batch;
    const int64_t chunks = (n + chunk - 1) / chunk;
    const int64_t rank = thaw_comm_rank(comm);
    const int64_t size = thaw_comm_size(comm);
    const int64_t begin = chunks * rank / size * chunk;
    const int64_t stop = chunks * (rank + 1) / size * chunk;
    const int64_t end = stop < n ? stop : n;
    const int64_t own = end > begin ? end - begin : 0;
    const int32_t *all_labels = thaw_dataset_labels(dataset, split);
    thaw_feed feed = {0};
    float *mine = NULL;
    void *all = NULL;
    int64_t total = 0;
    thaw_status status = thaw_feed_open(&feed, dataset, split);
    if (status == THAW_OK)
        status = thaw_alloc(&mine, own * p->width, sizeof *mine);
    if (status == THAW_OK && labels != NULL)
        status = thaw_alloc(labels, n, sizeof **labels);
    if (status == THAW_OK)
        status = run_rows(p, &feed, begin, begin + own, mine);
    THAW_TRY_TO(thaw_agree(comm, status));
    THAW_TRY_TO(
        thaw_allgatherv(comm, mine, own * p->width * (int64_t)sizeof *mine, &all, &total, NULL));
    *rows = all;
    for (int64_t i = 0; labels != NULL && all_labels != NULL && i < n; i++)
        (*labels)[i] = all_labels[thaw_permute(PROBE_SEED, 0, feed.N, i)];
done:
    thaw_free(&mine);
    thaw_feed_close(&feed);
    return status;
}

void probing_cut(const probing *p, const probe_depth *d, int64_t n, const float *rows, float *out)
{
    for (int64_t i = 0; i < n; i++)
        memcpy(out + i * d->D, rows + i * p->width + d->offset, (size_t)d->D * sizeof *out);
}

thaw_status probing_open(thaw_comm *comm, thaw_setup *setup, probing *out)
{
    bool *kept = NULL;
    thaw_status status;
    *out = (probing){.setup = setup,
                     .is_text = setup->model->spec.T > 0,
                     .pad_id = pad_id_of(setup->model->graph)};
    THAW_TRY_TO(thaw_agree(comm, find_depths(out, &kept)));
    const thaw_plan_options options = {.batch = setup->config->train.eval_batch,
                                       .from = -1,
                                       .to = out->depths[out->count - 1].value,
                                       .keep = -1,
                                       .kept = kept};
    THAW_TRY_TO(thaw_choices_begin(comm, setup, NULL, NULL));
    status = thaw_plan_open(comm, setup, &options, &out->plan);
done:
    thaw_free(&kept);
    return status;
}

void probing_close(probing *p)
{
    thaw_plan_free(&p->plan);
    thaw_free(&p->depths);
}
