#include "ladder/ladder_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Decisions on the gate split: each deeper rung against the best simpler one, and all against scratch. */

thaw_rule ladder_rule(const thaw_config *config)
{
    thaw_rule rule = thaw_rule_default();
    rule.min_effect = config->ladder.min_effect;
    rule.margin = config->ladder.margin;
    rule.alpha = config->ladder.alpha;
    rule.slice_tolerance = config->ladder.slice_tolerance;
    return rule;
}

thaw_bootstrap ladder_bootstrap(const thaw_config *config)
{
    thaw_bootstrap how = thaw_bootstrap_default((uint64_t)config->seed);
    how.resamples = config->ladder.resamples;
    how.level = config->ladder.confidence;
    return how;
}

static thaw_status take_predictions(ladder *l, ladder_rung *r, int64_t seed,
                                    const thaw_predictions *p)
{
    const thaw_digest truth = ladder_truth(p);
    if (!l->judged) {
        l->truth = truth;
        l->judged = true;
        THAW_TRY(thaw_predictions_df(p, l->metric, &l->df));
        if (p->cluster != NULL) {
            THAW_TRY(thaw_alloc(&l->cluster, p->N, sizeof *l->cluster));
            memcpy(l->cluster, p->cluster, (size_t)p->N * sizeof *l->cluster);
        }
    }
    THAW_CHECK(p->N == l->N && p->K == l->K, THAW_ERR_INPUT,
               "%s: predictions of %lld samples and %lld classes; gate has %lld and %lld",
               r->seeds[seed].directory, (long long)p->N, (long long)p->K, (long long)l->N,
               (long long)l->K);
    THAW_CHECK(thaw_digest_equal(truth, l->truth), THAW_ERR_INPUT,
               "%s was judged on other gate samples than the trials before it",
               r->seeds[seed].directory);
    const thaw_status status =
        ladder_take_scores(p, l->metric, r->score + seed * l->N, r->each + seed * l->N);
    if (status != THAW_OK)
        return thaw_fail_context(status, "gate, rung %s", r->name);
    if (r->confusion == NULL)
        return THAW_OK;
    return thaw_confusion_add(p->labels, p->predicted, p->N, NULL, l->K, r->confusion);
}

static double mean_over_seeds(const ladder *l, const ladder_rung *r, const char *split)
{
    char path[80];
    double sum = 0;
    thaw_format(path, sizeof path, "%s.%s", split, l->metric->name);
    for (int64_t s = 0; s < l->S; s++)
        sum += thaw_json_double_or(r->seeds[s].summary, path, NAN);
    return sum / (double)l->S;
}

static thaw_status rate_rung(ladder *l, ladder_rung *r)
{
    ladder_mean own;
    THAW_TRY(ladder_mean_score(l, r->score, l->N, l->cluster, NULL, l->df, &own));
    r->gate_score = own.mean;
    r->gate_low = own.low;
    r->gate_high = own.high;
    r->gate_metric = mean_over_seeds(l, r, "gate");
    r->val_metric = mean_over_seeds(l, r, "val");
    r->train_metric = mean_over_seeds(l, r, "train");
    return THAW_OK;
}

static thaw_status make_room(const ladder *l, ladder_rung *r)
{
    THAW_TRY(thaw_alloc(&r->score, l->S * l->N, sizeof *r->score));
    THAW_TRY(thaw_alloc(&r->each, l->S * l->N, sizeof *r->each));
    if (thaw_dataset_task(l->dataset) != THAW_TASK_CLASSIFICATION)
        return THAW_OK;
    return thaw_alloc(&r->confusion, l->K * l->K, sizeof *r->confusion);
}

/* Of the first seed, whose run is the one to use. */
static thaw_status calibrate(ladder *l, thaw_comm *world, ladder_rung *r, const thaw_predictions *p)
{
    thaw_bootstrap how = ladder_bootstrap(l->config);
    thaw_predictions val;
    if (!thaw_predictions_calibrates(p)) /* uniform */
        return THAW_OK;
    THAW_TRY(thaw_predictions_read(world, r->seeds[0].directory, "val", &val));
    thaw_status status = THAW_OK;
    if (thaw_predictions_calibrates(&val)) {
        r->calibrates = true;
        r->temperature = thaw_predictions_temperature(&val);
        status = thaw_predictions_calibrate(p, 1, &how, &r->calibration);
        if (status == THAW_OK)
            status = thaw_predictions_calibrate(p, r->temperature, &how, &r->tempered);
    }
    thaw_predictions_clear(&val);
    return thaw_agree(world, status);
}

thaw_status ladder_load_gate(ladder *l, thaw_comm *world, int64_t index)
{
    ladder_rung *r = &l->rungs[index];
    THAW_TRY(thaw_agree(world, make_room(l, r)));
    for (int64_t s = 0; s < l->S; s++) {
        thaw_predictions p;
        THAW_TRY(thaw_predictions_read(world, r->seeds[s].directory, "gate", &p));
        thaw_status status = thaw_agree(world, take_predictions(l, r, s, &p));
        if (status == THAW_OK && s == 0)
            status = calibrate(l, world, r, &p);
        thaw_predictions_clear(&p);
        THAW_TRY(status); /* uniform */
    }
    return thaw_agree(world, rate_rung(l, r));
}

thaw_status ladder_load_scores(const ladder *l, thaw_comm *world, const ladder_trial *trial,
                               float *score, float *each)
{
    thaw_predictions p;
    THAW_TRY(thaw_predictions_read(world, trial->directory, "gate", &p));
    const bool same = p.N == l->N && thaw_digest_equal(ladder_truth(&p), l->truth);
    const thaw_status status =
        same ? ladder_take_scores(&p, l->metric, score, each)
             : THAW_FAIL(THAW_ERR_INPUT,
                         "%s was judged on other gate samples than the trials before it",
                         trial->directory);
    thaw_predictions_clear(&p);
    return thaw_agree(world, status);
}

/* Holm over the planned family, rungs not judged yet counting as p = 1: a rung's adjusted p can only fall as others are judged, so a
 * decision taken now stays valid. */
typedef struct family {
    const ladder *l;
    int64_t index;
    thaw_status status;
} family;

static double adjust(void *context, double p)
{
    family *f = context;
    double *all = NULL;
    double adjusted = 1;
    f->l->p[f->index] = p;
    f->status = thaw_alloc(&all, f->l->planned, sizeof *all);
    if (f->status != THAW_OK)
        return 1;
    int64_t n = 0;
    int64_t mine = 0;
    for (int64_t i = 0; i < f->l->count && n < f->l->planned; i++) {
        if (f->l->rungs[i].rung.kind == THAW_RUNG_SCRATCH ||
            f->l->rungs[i].rung.kind == THAW_RUNG_FROZEN)
            continue;
        mine = i == f->index ? n : mine;
        all[n++] = f->l->p[i];
    }
    f->status = thaw_holm(all, n, all);
    if (f->status == THAW_OK)
        adjusted = all[mine];
    thaw_free(&all);
    return adjusted;
}

static ladder_pair pair_of(const ladder *l, int64_t a, int64_t b)
{
    return (ladder_pair){.name_a = l->rungs[a].name,
                         .name_b = l->rungs[b].name,
                         .a = l->rungs[a].score,
                         .b = l->rungs[b].score,
                         .each_a = l->rungs[a].each,
                         .each_b = l->rungs[b].each,
                         .metric = l->metric,
                         .seeds = l->S,
                         .N = l->N,
                         .cluster = l->cluster,
                         .dataset = l->dataset,
                         .split = l->gate,
                         .power = l->config->ladder.power,
                         .comparisons = l->planned,
                         .df = l->df};
}

thaw_status ladder_judge_step(ladder *l, int64_t index, thaw_depth_verdict *verdict)
{
    const thaw_rule rule = ladder_rule(l->config);
    const thaw_bootstrap how = ladder_bootstrap(l->config);
    const ladder_pair pair = pair_of(l, l->best, index);
    family f = {.l = l, .index = index};
    thaw_decision decision;
    thaw_json *row = thaw_json_add_object(l->comparisons);
    thaw_json_set_string(row, "purpose", "depth");
    THAW_TRY(ladder_compare(&pair, &how, &rule, adjust, &f, &decision, row));
    THAW_TRY(f.status);
    if (l->rungs[index].confusion != NULL)
        ladder_confusion_changes(l->dataset, l->rungs[l->best].confusion, l->rungs[index].confusion,
                                 row);
    *verdict = decision.verdict;
    return THAW_OK;
}

static thaw_status transfer_row(ladder *l, int64_t scratch, int64_t index, thaw_json *list)
{
    const thaw_rule rule = ladder_rule(l->config);
    const thaw_bootstrap how = ladder_bootstrap(l->config);
    const ladder_pair pair = pair_of(l, scratch, index);
    thaw_decision decision;
    uint32_t reasons = 0;
    thaw_str text = {0};
    thaw_json *row = thaw_json_add_object(list);
    thaw_json_set_string(row, "purpose", "transfer");
    THAW_TRY(ladder_compare(&pair, &how, &rule, NULL, NULL, &decision, row));
    const thaw_transfer_verdict verdict = thaw_decide_transfer(&decision.evidence, &rule, &reasons);
    thaw_json_set_string(row, "transfer_verdict", thaw_transfer_verdict_name(verdict));
    thaw_transfer_explain(&decision.evidence, &rule, &text);
    thaw_json_set_string(row, "transfer_explanation", thaw_str_c(&text));
    thaw_str_clear(&text);
    return THAW_OK;
}

thaw_status ladder_judge_transfer(ladder *l)
{
    int64_t scratch = -1;
    for (int64_t i = 0; i < l->count; i++) {
        if (l->rungs[i].rung.kind == THAW_RUNG_SCRATCH && l->rungs[i].done)
            scratch = i;
    }
    thaw_json *list = thaw_json_set_array(l->summary, "transfer_comparisons");
    for (int64_t i = 0; i < l->count && scratch >= 0; i++) {
        if (i != scratch && l->rungs[i].done)
            THAW_TRY(transfer_row(l, scratch, i, list));
    }
    return THAW_OK;
}

bool ladder_slice_fails(const ladder *l, const ladder_mean *own)
{
    return own->N > 0 && own->high < l->config->ladder.slice_floor;
}

/* Of each seed the share that is right. */
static void count_right(const ladder *l, const ladder_rung *r, const uint8_t *mask,
                        ladder_mean *out)
{
    int64_t all = 0;
    *out = (ladder_mean){0};
    for (int64_t i = 0; i < l->N; i++)
        out->N += mask == NULL || mask[i] != 0;
    for (int64_t s = 0; s < l->S; s++) {
        int64_t right = 0;
        for (int64_t i = 0; i < l->N; i++)
            right += (mask == NULL || mask[i] != 0) && r->each[s * l->N + i] > 0;
        out->seeds[s] = out->N > 0 ? (double)right / (double)out->N : NAN;
        all += right;
    }
    out->mean = out->N > 0 ? (double)all / (double)(l->S * out->N) : NAN;
}

static int by_number(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a;
    const int32_t y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* How many tell as much as one sample on its own: samples, or clusters. */
static thaw_status count_units(const ladder *l, const uint8_t *mask, int64_t *units)
{
    int32_t *members = NULL;
    int64_t n = 0;
    THAW_TRY(thaw_alloc(&members, l->N, sizeof *members));
    for (int64_t i = 0; i < l->N; i++)
        if (mask == NULL || mask[i] != 0)
            members[n++] = l->cluster[i];
    if (n > 1)
        qsort(members, (size_t)n, sizeof *members, by_number);
    *units = n > 0;
    for (int64_t i = 1; i < n; i++)
        *units += members[i] != members[i - 1];
    thaw_free(&members);
    return THAW_OK;
}

/* Of right and wrong, Wilson's interval: seeds share the samples, so it is that of one seed's worth of samples. Samples of a cluster
 * tell less than they count, so there it is not narrower than what resampling clusters gives, nor than Wilson's over clusters where all
 * are right or none, since no resample differs there. */
thaw_status ladder_mean_slice(const ladder *l, const ladder_rung *r, int64_t slice,
                              ladder_mean *out)
{
    const uint8_t *mask = thaw_dataset_slice_mask(l->dataset, l->gate, slice);
    const bool binary = thaw_metric_of_sample(thaw_dataset_task(l->dataset))->binary;
    if (binary && l->cluster == NULL)
        count_right(l, r, mask, out);
    else
        THAW_TRY(ladder_mean_score(l, r->each, l->N, l->cluster, mask, 0, out));
    if (!binary)
        return THAW_OK;
    int64_t n = out->N;
    if (l->cluster != NULL && (out->mean == 0 || out->mean == 1))
        THAW_TRY(count_units(l, mask, &n));
    const double right = n > 0 ? out->mean * (double)n : 0;
    const thaw_interval wilson =
        thaw_wilson((int64_t)lrint(right), n, l->config->ladder.confidence);
    out->low = l->cluster == NULL ? wilson.low : fmin(out->low, wilson.low);
    out->high = l->cluster == NULL ? wilson.high : fmax(out->high, wilson.high);
    return THAW_OK;
}

thaw_status ladder_has_failing_slice(const ladder *l, int64_t index, bool *failing)
{
    *failing = false;
    if (!(l->config->ladder.slice_floor > 0))
        return THAW_OK;
    for (int64_t s = 0; s < thaw_dataset_slice_count(l->dataset); s++) {
        ladder_mean own;
        THAW_TRY(ladder_mean_slice(l, &l->rungs[index], s, &own));
        *failing = *failing || ladder_slice_fails(l, &own);
    }
    return THAW_OK;
}
