#include "train/probe_impl.h"

#include <math.h>
#include <string.h>

/* Features of the same samples after every block, before and after training. */

/* Pooled features (samples, width) of drawn samples of val. *out good for close whatever comes out. Collective. */
static thaw_status features_of(thaw_comm *comm, thaw_setup *s, int64_t samples, probing *p,
                               float **rows)
{
    THAW_TRY(probing_open(comm, s, p));
    return probing_draw(comm, p, s->dataset, s->val, samples, rows, NULL);
}

static thaw_status compare(const probing *a, const float *rows_a, const probing *b,
                           const float *rows_b, int64_t depth, thaw_block_ckas *out)
{
    const probe_depth *d = &a->depths[depth];
    const int64_t n = out->samples;
    thaw_block_cka *row = &out->rows[depth];
    thaw_cka cka = {0};
    float *x = NULL;
    float *y = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&x, n * d->D, sizeof *x));
    THAW_TRY_TO(thaw_alloc(&y, n * d->D, sizeof *y));
    THAW_TRY_TO(thaw_cka_init(&cka, d->D, d->D));
    probing_cut(a, d, n, rows_a, x);
    probing_cut(b, &b->depths[depth], n, rows_b, y);
    thaw_cka_add(&cka, x, y, n);
    row->cka = thaw_cka_unbiased(&cka);
    row->cosine = thaw_mean_cosine(x, y, n, d->D);
done:
    thaw_cka_clear(&cka);
    thaw_free(&y);
    thaw_free(&x);
    return status;
}

/* Adapters add no blocks and change no width, so that depths of both networks correspond. */
static thaw_status check_depths(const probing *a, const probing *b)
{
    bool same = a->count == b->count;
    for (int64_t d = 0; same && d < a->count; d++)
        same = a->depths[d].block == b->depths[d].block && a->depths[d].D == b->depths[d].D;
    THAW_CHECK(same, THAW_ERR_FAIL, "the trained network has other blocks than its backbone");
    return THAW_OK;
}

/* Blocks one after another to the ranks, then everybody gets each result from who has it. */
static thaw_status compare_all(thaw_comm *comm, const probing *a, const float *rows_a,
                               const probing *b, const float *rows_b, thaw_block_ckas *out)
{
    const thaw_graph *g = a->setup->model->graph;
    const int size = thaw_comm_size(comm);
    thaw_status status = check_depths(a, b);
    if (status == THAW_OK)
        status = thaw_alloc(&out->rows, a->count, sizeof *out->rows);
    for (int64_t d = 0; d < a->count && status == THAW_OK; d++) {
        thaw_beat("CKA of a depth");
        if (d % size == thaw_comm_rank(comm))
            status = compare(a, rows_a, b, rows_b, d, out);
    }
    THAW_TRY(thaw_agree(comm, status));
    out->count = a->count;
    for (int64_t d = 0; d < a->count; d++) {
        thaw_block_cka *row = &out->rows[d];
        thaw_bcast(comm, (int)(d % size), row, sizeof *row);
        (void)thaw_copy(row->block, sizeof row->block,
                        thaw_graph_block_name(g, a->depths[d].block));
    }
    return THAW_OK;
}

/* The run's own val, under its name: a reopened run has a split that a command names. */
static thaw_status look(thaw_comm *comm, const thaw_config *config, const char *run_directory,
                        thaw_setup *before, thaw_reopened *after, int64_t most,
                        thaw_block_ckas *out)
{
    probing a = {0};
    probing b = {0};
    float *rows_a = NULL;
    float *rows_b = NULL;
    thaw_status status;
    out->samples = probe_at_most(thaw_dataset_count(before->dataset, before->val), most);
    THAW_TRY_TO(features_of(comm, before, out->samples, &a, &rows_a));
    THAW_TRY_TO(thaw_reopen(comm, run_directory, NULL, config->data.val, after));
    THAW_TRY_TO(features_of(comm, &after->setup, out->samples, &b, &rows_b));
    status = compare_all(comm, &a, rows_a, &b, rows_b, out);
done:
    thaw_free(&rows_b);
    thaw_free(&rows_a);
    probing_close(&b);
    probing_close(&a);
    return status;
}

thaw_status thaw_probe_cka(thaw_comm *comm, const thaw_config *config, const char *run_directory,
                           int64_t most, thaw_block_ckas *out)
{
    thaw_setup before;
    thaw_reopened after;
    thaw_watchdog *watchdog = NULL; /* of both halves: reopening the run starts no second one */
    memset(out, 0, sizeof *out);
    memset(&after, 0, sizeof after);
    THAW_CHECK(config->model.backbone[0] != '\0', THAW_ERR_INPUT,
               "%s has no backbone to compare its features with", run_directory); /* uniform */
    /* What the run started from beside its backbone does not matter here, and may be gone. */
    thaw_config begun = *config; /* borrows */
    begun.phases = (thaw_tables){0};
    begun.train.head_from = (char *)"";
    begun.train.adapter_from = (char *)"";
    THAW_TRY(thaw_watchdog_start(comm, config->train.watchdog, &watchdog));
    const char *phase = thaw_beat_phase("comparing features by depth");
    thaw_status status = thaw_setup_open(comm, &begun, "frozen", THAW_SETUP_TRAIN, &before);
    if (status == THAW_OK) { /* uniform */
        status = look(comm, config, run_directory, &before, &after, most, out);
        thaw_reopened_close(&after);
        thaw_setup_close(&before);
    }
    thaw_beat_phase(phase);
    thaw_watchdog_stop(&watchdog);
    if (status != THAW_OK)
        thaw_block_ckas_clear(out);
    return status;
}

void thaw_block_ckas_clear(thaw_block_ckas *ckas)
{
    thaw_free(&ckas->rows);
    memset(ckas, 0, sizeof *ckas);
}
