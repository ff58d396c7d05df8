#include "train/train_impl.h"

#include <math.h>
#include <string.h>

/* Probes by depth: one pass over some samples keeps the pooled features after every block; ranks then share out the blocks. */

/* Which samples are drawn must not depend on the run's seed: probes of one data set stay comparable. */
#define DRAW_SEED UINT64_C(0x7468617770726f62)

typedef struct depth {
    int32_t block;
    thaw_value value; /* the block's last */
    int64_t D, pixels;
    bool tokens;    /* (T, D), else (D, pixels) */
    int64_t offset; /* of its features in a row of all */
} depth;

typedef struct probing {
    thaw_setup *setup;
    thaw_plan *plan;
    depth *depths;
    int64_t count;
    int64_t width; /* features of all depths */
    int64_t pad_id;
    bool is_text;
} probing;

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
        depth *d = &p->depths[p->count];
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
static void pool(const probing *p, const depth *d, const float *x, const float *ids, float *out)
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
            indices[i] = thaw_permute(DRAW_SEED, 0, feed->N, at + i);
        THAW_TRY_TO(thaw_feed_read(feed, 0, n, indices, input));
        const thaw_run run = {.B = n, .input = input, .sample_ids = indices};
        thaw_plan_forward(p->plan, &run);
        for (int64_t d = 0; d < p->count; d++) {
            const depth *at_depth = &p->depths[d];
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

/* Pooled features (n, width) and labels (n) of n drawn samples of a split, on all ranks. Whole chunks go to a rank. */
static thaw_status draw(thaw_comm *comm, const probing *p, int64_t split, int64_t n, float **rows,
                        int32_t **labels)
{
    const int64_t chunk = p->setup->config->train.eval_batch;
    const int64_t chunks = (n + chunk - 1) / chunk;
    const int64_t rank = thaw_comm_rank(comm);
    const int64_t size = thaw_comm_size(comm);
    const int64_t begin = chunks * rank / size * chunk;
    const int64_t stop = chunks * (rank + 1) / size * chunk;
    const int64_t end = stop < n ? stop : n;
    const int64_t own = end > begin ? end - begin : 0;
    const int32_t *all_labels = thaw_dataset_labels(p->setup->dataset, split);
    thaw_feed feed = {0};
    float *mine = NULL;
    void *all = NULL;
    int64_t total = 0;
    thaw_status status = thaw_feed_open(&feed, p->setup->dataset, split);
    if (status == THAW_OK)
        status = thaw_alloc(&mine, own * p->width, sizeof *mine);
    if (status == THAW_OK)
        status = thaw_alloc(labels, n, sizeof **labels);
    if (status == THAW_OK)
        status = run_rows(p, &feed, begin, begin + own, mine);
    THAW_TRY_TO(thaw_agree(comm, status));
    THAW_TRY_TO(
        thaw_allgatherv(comm, mine, own * p->width * (int64_t)sizeof *mine, &all, &total, NULL));
    *rows = all;
    for (int64_t i = 0; i < n; i++)
        (*labels)[i] = all_labels[thaw_permute(DRAW_SEED, 0, feed.N, i)];
done:
    thaw_free(&mine);
    thaw_feed_close(&feed);
    return status;
}

/* Columns of one depth, dense. */
static void cut(const probing *p, const depth *d, int64_t n, const float *rows, float *out)
{
    for (int64_t i = 0; i < n; i++)
        memcpy(out + i * d->D, rows + i * p->width + d->offset, (size_t)d->D * sizeof *out);
}

static thaw_status probe_one(const probing *p, const depth *d, const thaw_probe_data *all,
                             thaw_depth_probe *out)
{
    float *x = NULL;
    float *test_x = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&x, all->n * d->D, sizeof *x));
    THAW_TRY_TO(thaw_alloc(&test_x, all->m * d->D, sizeof *test_x));
    cut(p, d, all->n, all->x, x);
    cut(p, d, all->m, all->test_x, test_x);
    thaw_probe_data data = *all;
    data.x = x;
    data.test_x = test_x;
    data.D = d->D;
    thaw_beat("LogME of a depth");
    THAW_TRY_TO(thaw_logme(x, all->n, d->D, all->labels, all->K, &out->logme));
    thaw_beat("H-score of a depth");
    THAW_TRY_TO(thaw_h_score(x, all->n, d->D, all->labels, all->K, &out->h_score));
    thaw_beat("linear probe of a depth");
    status = thaw_linear_probe(&data, &out->right);
done:
    thaw_free(&test_x);
    thaw_free(&x);
    return status;
}

/* Blocks one after another to the ranks, then everybody gets each result from who has it. */
static thaw_status probe_all(thaw_comm *comm, const probing *p, const thaw_probe_data *data,
                             thaw_probes *out)
{
    const thaw_graph *g = p->setup->model->graph;
    const int size = thaw_comm_size(comm);
    thaw_status status = THAW_OK;
    for (int64_t d = 0; d < p->count && status == THAW_OK; d++)
        if (d % size == thaw_comm_rank(comm))
            status = probe_one(p, &p->depths[d], data, &out->rows[d]);
    THAW_TRY(thaw_agree(comm, status));
    out->best = 0;
    for (int64_t d = 0; d < p->count; d++) {
        thaw_depth_probe *row = &out->rows[d];
        thaw_bcast(comm, (int)(d % size), row, sizeof *row);
        thaw_copy(row->block, sizeof row->block, thaw_graph_block_name(g, p->depths[d].block));
        row->D = p->depths[d].D;
        row->accuracy = (double)row->right / (double)data->m;
        row->interval = thaw_wilson(row->right, data->m, 0.95);
        if (row->right >= out->rows[out->best].right)
            out->best = d;
    }
    return THAW_OK;
}

/* Of the features that the head sees, as the source's statistics are. NAN: there are none, or too few samples. */
static thaw_status domain_gap(const probing *p, const thaw_probe_data *data, double *gap)
{
    const thaw_backbone *b = &p->setup->backbone;
    const depth *last = &p->depths[p->count - 1];
    double *moments = NULL;
    float *x = NULL;
    double spread = 0;
    thaw_status status = THAW_OK;
    *gap = NAN;
    if (b->D != last->D || b->feature_mean == NULL || data->n < 2)
        return THAW_OK;
    THAW_TRY_TO(thaw_alloc(&moments, 2 * b->D, sizeof *moments));
    THAW_TRY_TO(thaw_alloc(&x, data->n * last->D, sizeof *x));
    cut(p, last, data->n, data->x, x);
    thaw_moments(x, data->n, b->D, moments, moments + b->D, NULL);
    for (int64_t j = 0; j < b->D; j++)
        spread += b->feature_variance[j];
    if (spread > 0)
        *gap = thaw_frechet_diagonal(b->feature_mean, b->feature_variance, moments, moments + b->D,
                                     b->D) /
               spread;
done:
    thaw_free(&x);
    thaw_free(&moments);
    return status;
}

/* Rank 0 read the file with the source's statistics. */
static thaw_status find_gap(thaw_comm *comm, const probing *p, const thaw_probe_data *data,
                            double *gap)
{
    *gap = NAN;
    THAW_TRY(thaw_agree(comm, thaw_comm_rank(comm) == 0 ? domain_gap(p, data, gap) : THAW_OK));
    thaw_bcast(comm, 0, gap, sizeof *gap);
    return THAW_OK;
}

/* Rank 0 compares for all; drawn samples become rows of their splits. */
static thaw_status find_near(thaw_comm *comm, const probing *p, const thaw_probe_data *data,
                             thaw_near_samples *out)
{
    const thaw_setup *s = p->setup;
    const int64_t n = thaw_dataset_count(s->dataset, s->train);
    const int64_t m = thaw_dataset_count(s->dataset, s->val);
    thaw_status status = THAW_OK;
    if (thaw_comm_rank(comm) == 0)
        status = thaw_probe_near(data, p->width, out);
    THAW_TRY(thaw_agree(comm, status));
    thaw_bcast(comm, 0, out, sizeof *out);
    for (int64_t i = 0; i < out->kept; i++) {
        thaw_near *pair = &out->closest[i];
        pair->row = thaw_permute(DRAW_SEED, 0, m, pair->row);
        pair->nearest = thaw_permute(DRAW_SEED, 0, n, pair->nearest);
    }
    return THAW_OK;
}

static int64_t at_most(int64_t count, int64_t most)
{
    return count < most ? count : most;
}

/* What was drawn of train and val: features of all depths, and labels. */
typedef struct drawn {
    thaw_probe_data data; /* x and test_x (n or m, width) */
    float *rows[2];
    int32_t *labels[2];
} drawn;

static void drawn_clear(drawn *d)
{
    for (int i = 0; i < 2; i++) {
        thaw_free(&d->labels[i]);
        thaw_free(&d->rows[i]);
    }
}

static thaw_status draw_both(thaw_comm *comm, probing *p, int64_t most, drawn *out)
{
    thaw_setup *s = p->setup;
    thaw_probe_data *data = &out->data;
    bool *kept = NULL;
    thaw_status status;
    *data = (thaw_probe_data){.n = at_most(thaw_dataset_count(s->dataset, s->train), most),
                              .m = at_most(thaw_dataset_count(s->dataset, s->val), most),
                              .K = thaw_dataset_classes(s->dataset)};
    THAW_CHECK_TO(thaw_dataset_task(s->dataset) == THAW_TASK_CLASSIFICATION, THAW_ERR_INPUT,
                  "%s: probes by depth need one class a sample, and its task is %s",
                  thaw_dataset_path(s->dataset),
                  thaw_task_name(thaw_dataset_task(s->dataset))); /* uniform */
    THAW_TRY_TO(thaw_agree(comm, find_depths(p, &kept)));
    const thaw_plan_options options = {.batch = s->config->train.eval_batch,
                                       .from = -1,
                                       .to = p->depths[p->count - 1].value,
                                       .keep = -1,
                                       .kept = kept};
    THAW_TRY_TO(thaw_choices_begin(comm, s, NULL, NULL));
    THAW_TRY_TO(thaw_plan_open(comm, s, &options, &p->plan));
    THAW_TRY_TO(draw(comm, p, s->train, data->n, &out->rows[0], &out->labels[0]));
    THAW_TRY_TO(draw(comm, p, s->val, data->m, &out->rows[1], &out->labels[1]));
    data->x = out->rows[0];
    data->labels = out->labels[0];
    data->test_x = out->rows[1];
    data->test_labels = out->labels[1];
done:
    thaw_free(&kept);
    return status;
}

static thaw_status probe_set_up(thaw_comm *comm, probing *p, int64_t most, thaw_probes *out)
{
    drawn d = {.rows = {NULL}};
    thaw_status status;
    THAW_TRY_TO(draw_both(comm, p, most, &d));
    THAW_TRY_TO(thaw_agree(comm, thaw_alloc(&out->rows, p->count, sizeof *out->rows)));
    out->count = p->count;
    out->train = d.data.n;
    out->val = d.data.m;
    out->all_train = thaw_dataset_count(p->setup->dataset, p->setup->train);
    out->classes = d.data.K;
    THAW_TRY_TO(probe_all(comm, p, &d.data, out));
    THAW_TRY_TO(find_gap(comm, p, &d.data, &out->gap));
    status = find_near(comm, p, &d.data, &out->near);
done:
    drawn_clear(&d);
    return status;
}

/* The source's moments are with rank 0, which read the backbone's file. Collective. */
static thaw_status take_source(thaw_comm *comm, const thaw_backbone *b, thaw_last_features *out)
{
    const int64_t D = out->data.D;
    int64_t known = b->D == D && b->feature_mean != NULL;
    thaw_bcast(comm, 0, &known, sizeof known);
    if (known == 0)
        return THAW_OK;
    THAW_TRY(thaw_agree(comm, thaw_alloc(&out->source, 2 * D, sizeof *out->source)));
    if (thaw_comm_rank(comm) == 0) {
        memcpy(out->source, b->feature_mean, (size_t)D * sizeof *out->source);
        memcpy(out->source + D, b->feature_variance, (size_t)D * sizeof *out->source);
    }
    thaw_bcast(comm, 0, out->source, 2 * D * (int64_t)sizeof *out->source);
    return THAW_OK;
}

static thaw_status take_last(thaw_comm *comm, probing *p, int64_t most, thaw_last_features *out)
{
    drawn d = {.rows = {NULL}};
    thaw_status status;
    THAW_TRY_TO(draw_both(comm, p, most, &d));
    const depth *last = &p->depths[p->count - 1];
    status = thaw_alloc(&out->x, d.data.n * last->D, sizeof *out->x);
    if (status == THAW_OK)
        status = thaw_alloc(&out->test_x, d.data.m * last->D, sizeof *out->test_x);
    THAW_TRY_TO(thaw_agree(comm, status));
    cut(p, last, d.data.n, d.data.x, out->x);
    cut(p, last, d.data.m, d.data.test_x, out->test_x);
    out->labels = d.labels[0];
    out->test_labels = d.labels[1];
    d.labels[0] = d.labels[1] = NULL;
    out->data = d.data;
    out->data.x = out->x;
    out->data.test_x = out->test_x;
    out->data.labels = out->labels;
    out->data.test_labels = out->test_labels;
    out->data.D = last->D;
    out->all_train = thaw_dataset_count(p->setup->dataset, p->setup->train);
    status = take_source(comm, &p->setup->backbone, out);
done:
    drawn_clear(&d);
    return status;
}

/* What both entries have in common: exactly one of the outputs is wanted. */
static thaw_status probe(thaw_comm *comm, const thaw_config *config, int64_t most,
                         thaw_probes *depths, thaw_last_features *last)
{
    thaw_setup setup;
    thaw_watchdog *watchdog = NULL;
    probing p = {.setup = &setup};
    THAW_CHECK(config->model.backbone[0] != '\0', THAW_ERR_CONFIG,
               "model.backbone is empty: probes by depth need a backbone"); /* uniform */
    THAW_TRY(thaw_watchdog_start(comm, config->train.watchdog, &watchdog));
    const char *phase = thaw_beat_phase("probing depths");
    thaw_status status = thaw_setup_open(comm, config, "frozen", THAW_SETUP_TRAIN, &setup);
    if (status == THAW_OK) { /* uniform */
        p.is_text = setup.model->spec.T > 0;
        p.pad_id = pad_id_of(setup.model->graph);
        status =
            depths != NULL ? probe_set_up(comm, &p, most, depths) : take_last(comm, &p, most, last);
    }
    thaw_beat_phase(phase);
    thaw_watchdog_stop(&watchdog);
    thaw_plan_free(&p.plan);
    thaw_free(&p.depths);
    thaw_setup_close(&setup);
    return status;
}

thaw_status thaw_probe_depths(thaw_comm *comm, const thaw_config *config, int64_t most,
                              thaw_probes *out)
{
    const double begun = thaw_seconds();
    memset(out, 0, sizeof *out);
    const thaw_status status = probe(comm, config, most, out, NULL);
    if (status != THAW_OK)
        thaw_probes_clear(out);
    out->seconds = thaw_seconds() - begun;
    return status;
}

thaw_status thaw_probe_last(thaw_comm *comm, const thaw_config *config, int64_t most,
                            thaw_last_features *out)
{
    memset(out, 0, sizeof *out);
    const thaw_status status = probe(comm, config, most, NULL, out);
    if (status != THAW_OK)
        thaw_last_features_clear(out);
    return status;
}

void thaw_last_features_clear(thaw_last_features *features)
{
    thaw_free(&features->source);
    thaw_free(&features->test_labels);
    thaw_free(&features->labels);
    thaw_free(&features->test_x);
    thaw_free(&features->x);
    memset(features, 0, sizeof *features);
}

void thaw_probes_clear(thaw_probes *probes)
{
    thaw_free(&probes->rows);
    memset(probes, 0, sizeof *probes);
}
