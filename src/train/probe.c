#include "train/probe_impl.h"

#include <math.h>
#include <string.h>

/* Probes by depth: ranks share out the blocks. */

static thaw_status probe_one(const probing *p, const probe_depth *d, const thaw_probe_data *all,
                             thaw_depth_probe *out)
{
    float *x = NULL;
    float *test_x = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&x, all->n * d->D, sizeof *x));
    THAW_TRY_TO(thaw_alloc(&test_x, all->m * d->D, sizeof *test_x));
    probing_cut(p, d, all->n, all->x, x);
    probing_cut(p, d, all->m, all->test_x, test_x);
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
    const probe_depth *last = &p->depths[p->count - 1];
    double *moments = NULL;
    float *x = NULL;
    double spread = 0;
    thaw_status status = THAW_OK;
    *gap = NAN;
    if (b->D != last->D || b->feature_mean == NULL || data->n < 2)
        return THAW_OK;
    THAW_TRY_TO(thaw_alloc(&moments, 2 * b->D, sizeof *moments));
    THAW_TRY_TO(thaw_alloc(&x, data->n * last->D, sizeof *x));
    probing_cut(p, last, data->n, data->x, x);
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
        pair->row = thaw_permute(PROBE_SEED, 0, m, pair->row);
        pair->nearest = thaw_permute(PROBE_SEED, 0, n, pair->nearest);
    }
    return THAW_OK;
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

static thaw_status draw_both(thaw_comm *comm, const probing *p, int64_t most, drawn *out)
{
    const thaw_setup *s = p->setup;
    thaw_probe_data *data = &out->data;
    *data = (thaw_probe_data){.n = probe_at_most(thaw_dataset_count(s->dataset, s->train), most),
                              .m = probe_at_most(thaw_dataset_count(s->dataset, s->val), most),
                              .K = thaw_dataset_classes(s->dataset)};
    THAW_TRY(probing_draw(comm, p, s->dataset, s->train, data->n, &out->rows[0], &out->labels[0]));
    THAW_TRY(probing_draw(comm, p, s->dataset, s->val, data->m, &out->rows[1], &out->labels[1]));
    data->x = out->rows[0];
    data->labels = out->labels[0];
    data->test_x = out->rows[1];
    data->test_labels = out->labels[1];
    return THAW_OK;
}

static thaw_status probe_set_up(thaw_comm *comm, const probing *p, int64_t most, thaw_probes *out)
{
    const thaw_dataset *dataset = p->setup->dataset;
    drawn d = {.rows = {NULL}};
    thaw_status status;
    THAW_CHECK_TO(thaw_dataset_task(dataset) == THAW_TASK_CLASSIFICATION, THAW_ERR_INPUT,
                  "%s: probes by depth need one class a sample, and its task is %s",
                  thaw_dataset_path(dataset),
                  thaw_task_name(thaw_dataset_task(dataset))); /* uniform */
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

/* The data set must be one that the network could have been given instead. */
static thaw_status open_source(const thaw_setup *s, const char *file, thaw_dataset **out,
                               int64_t *split)
{
    const thaw_dataset_options how = {.memory_limit_bytes = -1, .unlabelled = true};
    THAW_TRY(thaw_dataset_open(file, &how, out));
    THAW_TRY(thaw_dataset_split_need(*out, s->config->data.train, split));
    const thaw_shape wanted = thaw_dataset_shape(s->dataset);
    const thaw_shape shape = thaw_dataset_shape(*out);
    const thaw_text_info *text = thaw_dataset_text(s->dataset);
    const thaw_text_info *other = thaw_dataset_text(*out);
    THAW_CHECK(thaw_shape_equal(&shape, &wanted) && (text == NULL) == (other == NULL),
               THAW_ERR_INPUT,
               "%s has samples of another shape than %s: the backbone cannot be given both; import "
               "the source's data as the target's were",
               file, thaw_dataset_path(s->dataset));
    THAW_CHECK(text == NULL || strcmp(text->vocabulary, other->vocabulary) == 0, THAW_ERR_INPUT,
               "%s was made with another vocabulary than %s; import it with the same one", file,
               thaw_dataset_path(s->dataset));
    THAW_CHECK(!thaw_digest_equal(thaw_dataset_digest(*out), thaw_dataset_digest(s->dataset)),
               THAW_ERR_INPUT,
               "%s is the data set of the run: name the one that its backbone was trained on",
               file);
    return THAW_OK;
}

/* Of the drawn samples; NULL where the data name none. */
static thaw_status take_clusters(const thaw_dataset *dataset, int64_t split, int64_t n,
                                 int32_t **out)
{
    const int32_t *all = thaw_dataset_clusters(dataset, split);
    if (all == NULL)
        return THAW_OK;
    THAW_TRY(thaw_alloc(out, n, sizeof **out));
    for (int64_t i = 0; i < n; i++)
        (*out)[i] = all[thaw_permute(PROBE_SEED, 0, thaw_dataset_count(dataset, split), i)];
    return THAW_OK;
}

/* Of the source's split that is called as the run's own train. Collective. */
static thaw_status take_rows(thaw_comm *comm, const probing *p, int64_t most, const char *file,
                             thaw_last_features *out)
{
    const probe_depth *last = &p->depths[p->count - 1];
    thaw_dataset *dataset = NULL;
    int64_t split = -1;
    float *rows = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_agree(comm, open_source(p->setup, file, &dataset, &split)));
    THAW_TRY_TO(thaw_same_digest(comm, file, thaw_dataset_digest(dataset)));
    out->source_n = probe_at_most(thaw_dataset_count(dataset, split), most);
    THAW_TRY_TO(probing_draw(comm, p, dataset, split, out->source_n, &rows, NULL));
    status = thaw_alloc(&out->source_x, out->source_n * last->D, sizeof *rows);
    if (status == THAW_OK)
        status = take_clusters(dataset, split, out->source_n, &out->source_cluster);
    THAW_TRY_TO(thaw_agree(comm, status));
    probing_cut(p, last, out->source_n, rows, out->source_x);
done:
    thaw_free(&rows);
    thaw_dataset_free(&dataset);
    return status;
}

static thaw_status take_last(thaw_comm *comm, const probing *p, int64_t most, const char *source,
                             thaw_last_features *out)
{
    drawn d = {.rows = {NULL}};
    thaw_status status;
    THAW_TRY_TO(draw_both(comm, p, most, &d));
    const probe_depth *last = &p->depths[p->count - 1];
    status = thaw_alloc(&out->x, d.data.n * last->D, sizeof *out->x);
    if (status == THAW_OK)
        status = thaw_alloc(&out->test_x, d.data.m * last->D, sizeof *out->test_x);
    if (status == THAW_OK)
        status = take_clusters(p->setup->dataset, p->setup->train, d.data.n, &out->cluster);
    THAW_TRY_TO(thaw_agree(comm, status));
    probing_cut(p, last, d.data.n, d.data.x, out->x);
    probing_cut(p, last, d.data.m, d.data.test_x, out->test_x);
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
    THAW_TRY_TO(take_source(comm, &p->setup->backbone, out));
    if (source != NULL) /* uniform */
        status = take_rows(comm, p, most, source, out);
done:
    drawn_clear(&d);
    return status;
}

/* What both entries have in common: exactly one of the outputs is wanted. */
static thaw_status probe(thaw_comm *comm, const thaw_config *config, int64_t most,
                         const char *source, thaw_probes *depths, thaw_last_features *last)
{
    thaw_setup setup;
    thaw_watchdog *watchdog = NULL;
    probing p = {0};
    THAW_CHECK(config->model.backbone[0] != '\0', THAW_ERR_CONFIG,
               "model.backbone is empty: probes by depth need a backbone"); /* uniform */
    THAW_TRY(thaw_watchdog_start(comm, config->train.watchdog, &watchdog));
    const char *phase = thaw_beat_phase("probing depths");
    thaw_status status = thaw_setup_open(comm, config, "frozen", THAW_SETUP_TRAIN, &setup);
    if (status == THAW_OK) /* uniform */
        status = probing_open(comm, &setup, &p);
    if (status == THAW_OK) /* uniform */
        status = depths != NULL ? probe_set_up(comm, &p, most, depths)
                                : take_last(comm, &p, most, source, last);
    thaw_beat_phase(phase);
    thaw_watchdog_stop(&watchdog);
    probing_close(&p);
    thaw_setup_close(&setup);
    return status;
}

thaw_status thaw_probe_depths(thaw_comm *comm, const thaw_config *config, int64_t most,
                              thaw_probes *out)
{
    const double begun = thaw_seconds();
    memset(out, 0, sizeof *out);
    const thaw_status status = probe(comm, config, most, NULL, out, NULL);
    if (status != THAW_OK)
        thaw_probes_clear(out);
    out->seconds = thaw_seconds() - begun;
    return status;
}

thaw_status thaw_probe_last(thaw_comm *comm, const thaw_config *config, int64_t most,
                            const char *source, thaw_last_features *out)
{
    memset(out, 0, sizeof *out);
    const thaw_status status = probe(comm, config, most, source, NULL, out);
    if (status != THAW_OK)
        thaw_last_features_clear(out);
    return status;
}

void thaw_last_features_clear(thaw_last_features *features)
{
    thaw_free(&features->source_cluster);
    thaw_free(&features->cluster);
    thaw_free(&features->source_x);
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
