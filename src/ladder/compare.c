#include "ladder/ladder_impl.h"

#include <math.h>
#include <string.h>

/* One paired comparison as a row that the note, the report and other programs read. */

static void add_reasons(uint32_t reasons, thaw_json *out)
{
    thaw_json *list = thaw_json_set_array(out, "reasons");
    for (uint32_t bit = 1; bit != 0 && bit <= reasons; bit <<= 1) {
        if ((reasons & bit) != 0 && thaw_reason_name((thaw_reason)bit) != NULL)
            thaw_json_add_string(list, thaw_reason_name((thaw_reason)bit));
    }
}

static void add_paired(const thaw_paired *p, thaw_json *out)
{
    thaw_str text = {0};
    thaw_json_set_int(out, "samples", p->N);
    thaw_json_set_int(out, "clusters", p->units);
    thaw_json_set_int(out, "seeds", p->seeds);
    thaw_json_set_int(out, "resamples", p->resamples);
    thaw_json_set_double(out, "level", p->level);
    thaw_json_set_double(out, "mean_a", p->mean_a);
    thaw_json_set_double(out, "mean_b", p->mean_b);
    thaw_json_set_double(out, "delta", p->delta);
    thaw_json_set_double(out, "low", p->low);
    thaw_json_set_double(out, "high", p->high);
    thaw_json_set_double(out, "se", p->se);
    thaw_json_set_double(out, "df", p->df);
    thaw_json_set_double(out, "p", p->p_greater);
    thaw_json_set_double(out, "p_two_sided", p->p_two_sided);
    thaw_json_set_double(out, "discordance", p->discordance);
    thaw_json_set_doubles(out, "seed_deltas", p->seed_delta, p->seeds);
    thaw_paired_format(p, &text);
    thaw_json_set_string(out, "text", thaw_str_c(&text));
    thaw_str_clear(&text);
}

/* McNemar is for one seed: seeds share the samples, so their counts must not be pooled. */
static void add_mcnemar(const ladder_pair *pair, thaw_json *out)
{
    thaw_json *list = thaw_json_set_array(out, "mcnemar");
    for (int64_t s = 0; s < pair->seeds; s++) {
        const thaw_mcnemar m =
            thaw_mcnemar_scores(pair->a + s * pair->N, pair->b + s * pair->N, pair->N, NULL);
        thaw_json *row = thaw_json_add_object(list);
        thaw_json_set_int(row, "a_only", m.a_only);
        thaw_json_set_int(row, "b_only", m.b_only);
        thaw_json_set_double(row, "p_exact", m.p_exact);
        thaw_json_set_double(row, "p_mid", m.p_mid);
    }
}

/* How many samples would have decided it: asked for the gain that was seen, or for twice the least one worth having when less
 * was seen, since a gain at the limit is found half of the time on any gate. -1: no number is enough. */
static void add_samples_needed(const ladder_pair *pair, const thaw_paired *p, const thaw_rule *rule,
                               thaw_json *out)
{
    thaw_design design = thaw_paired_design(p);
    const double seen = rule->two_sided ? fabs(p->delta) : p->delta;
    const double effect = fmax(seen, 2 * rule->min_effect);
    design.alpha = rule->alpha;
    design.min_effect = rule->min_effect;
    if (pair->power > 0)
        design.power = pair->power;
    if (pair->comparisons > 0)
        design.comparisons = pair->comparisons;
    if (!(effect > 0))
        return;
    thaw_json_set_int(out, "samples_needed", thaw_design_samples(&design, effect));
    thaw_json_set_double(out, "samples_needed_effect", effect);
}

static void add_slice_decision(const thaw_decision *d, thaw_json *row)
{
    thaw_json_set_string(row, "verdict", thaw_depth_verdict_name(d->verdict));
    add_reasons(d->reasons, row);
}

/* Holm over the slices that are large enough for a claim; smaller ones get none and so cost the others nothing. */
static thaw_status adjust_slices(thaw_decision *decisions, int64_t count, thaw_json **rows)
{
    double *p = NULL;
    int64_t n = 0;
    int64_t taken = 0;
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&p, count, sizeof *p));
    for (int64_t i = 0; i < count; i++) {
        if ((decisions[i].reasons & THAW_REASON_TOO_FEW) == 0)
            p[n++] = decisions[i].evidence.p_two_sided;
    }
    THAW_TRY_TO(thaw_holm(p, n, p));
    for (int64_t i = 0; i < count; i++) {
        const bool judged = (decisions[i].reasons & THAW_REASON_TOO_FEW) == 0;
        if (judged)
            thaw_decision_adjust(&decisions[i], p[taken++]);
        thaw_json_set_double(rows[i], "p_adjusted", judged ? decisions[i].p_adjusted : NAN);
        add_slice_decision(&decisions[i], rows[i]);
    }
done:
    thaw_free(&p);
    return status;
}

static thaw_status compare_slice(const ladder_pair *pair, const thaw_bootstrap *how, int64_t i,
                                 thaw_paired *out, thaw_json *row)
{
    const thaw_scores scores = {.a = pair->each_a,
                                .b = pair->each_b,
                                .points = true,
                                .seeds = pair->seeds,
                                .N = pair->N,
                                .cluster = pair->cluster,
                                .mask = thaw_dataset_slice_mask(pair->dataset, pair->split, i)};
    THAW_TRY(thaw_paired_compare(&scores, how, out));
    thaw_json_set_string(row, "name", thaw_dataset_slice_name(pair->dataset, i));
    add_paired(out, row);
    return THAW_OK;
}

static thaw_status compare_slices(const ladder_pair *pair, const thaw_bootstrap *how,
                                  const thaw_rule *rule, thaw_paired *slices, thaw_json *out)
{
    const int64_t count = thaw_dataset_slice_count(pair->dataset);
    thaw_json *list = thaw_json_set_array(out, "slices");
    thaw_decision *decisions = NULL;
    thaw_json **rows = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&decisions, count, sizeof *decisions));
    THAW_TRY_TO(thaw_alloc(&rows, count, sizeof *rows));
    for (int64_t i = 0; i < count; i++) {
        rows[i] = thaw_json_add_object(list);
        THAW_TRY_TO(compare_slice(pair, how, i, &slices[i], rows[i]));
        decisions[i] = thaw_decide_slice(&slices[i], rule);
        if (!rule->two_sided)
            add_slice_decision(&decisions[i], rows[i]);
    }
    if (rule->two_sided)
        THAW_TRY_TO(adjust_slices(decisions, count, rows));
done:
    thaw_free(&rows);
    thaw_free(&decisions);
    return status;
}

void ladder_decision_to_json(const ladder_pair *pair, const thaw_decision *decision, thaw_json *out)
{
    thaw_str text = {0};
    const char *worst = decision->worst_slice < 0
                            ? NULL
                            : thaw_dataset_slice_name(pair->dataset, decision->worst_slice);
    thaw_decision_explain(decision, worst, &text);
    thaw_json_set_double(out, "p_adjusted", decision->p_adjusted);
    thaw_json_set_string(out, "verdict", thaw_depth_verdict_name(decision->verdict));
    add_reasons(decision->reasons, out);
    thaw_json_set_string(out, "explanation", thaw_str_c(&text));
    thaw_json_set_string(out, "worst_slice", worst);
    thaw_str_clear(&text);
}

/* Two shares differ by 1 at most, though pseudo-values may leave [0, 1]. */
static void hold_to_shares(thaw_paired *p)
{
    p->low = fmax(-1, p->low);
    p->high = fmin(1, p->high);
}

thaw_status ladder_compare(const ladder_pair *pair, const thaw_bootstrap *how,
                           const thaw_rule *rule, double (*adjust)(void *context, double p),
                           void *context, thaw_decision *decision, thaw_json *out)
{
    const thaw_scores scores = {.a = pair->a,
                                .b = pair->b,
                                .seeds = pair->seeds,
                                .N = pair->N,
                                .cluster = pair->cluster,
                                .df = pair->df,
                                .points = true};
    const int64_t slice_count = thaw_dataset_slice_count(pair->dataset);
    thaw_rule judged = *rule;
    judged.alone = adjust == NULL;
    thaw_paired overall;
    thaw_paired *slices = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&slices, slice_count, sizeof *slices));
    THAW_TRY_TO(thaw_paired_compare(&scores, how, &overall));
    if (pair->metric->share)
        hold_to_shares(&overall);
    thaw_json_set_string(out, "a", pair->name_a);
    thaw_json_set_string(out, "b", pair->name_b);
    add_paired(&overall, out);
    thaw_metric_to_json(pair->metric, thaw_json_set_object(out, "metric"));
    ladder_sample_to_json(thaw_dataset_task(pair->dataset),
                          thaw_json_set_object(out, "slice_score"));
    if (pair->metric->binary)
        add_mcnemar(pair, out);
    add_samples_needed(pair, &overall, rule, out);
    THAW_TRY_TO(compare_slices(pair, how, rule, slices, out));
    const double p = rule->two_sided ? overall.p_two_sided : overall.p_greater;
    *decision = thaw_decide_depth(&overall, adjust == NULL ? p : adjust(context, p), slices,
                                  slice_count, &judged);
    ladder_decision_to_json(pair, decision, out);
done:
    thaw_free(&slices);
    return status;
}

void ladder_confusion_changes(const thaw_dataset *dataset, const int64_t *before,
                              const int64_t *after, thaw_json *out)
{
    thaw_cell_change cells[10];
    const char *const *names = thaw_dataset_class_names(dataset);
    const int64_t count =
        thaw_confusion_changes(before, after, thaw_dataset_classes(dataset), cells, 10);
    thaw_json *list = thaw_json_set_array(out, "confusion_changes");
    for (int64_t i = 0; i < count; i++) {
        thaw_json *row = thaw_json_add_object(list);
        thaw_json_set_string(row, "label", names[cells[i].label]);
        thaw_json_set_string(row, "predicted", names[cells[i].prediction]);
        thaw_json_set_int(row, "before", cells[i].before);
        thaw_json_set_int(row, "after", cells[i].after);
    }
}
