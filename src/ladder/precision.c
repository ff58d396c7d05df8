#include "ladder/ladder_impl.h"

#include <math.h>

/* Frozen features in 8 bits are never taken on trust: the frozen rung runs on floats too, same rate, same seeds, and both are compared
 * on gate. */

thaw_status ladder_settle_precision(ladder *l, thaw_comm *world)
{
    if (l->config->train.frozen_precision != THAW_PRECISION_INT8) /* uniform */
        return THAW_OK;
    for (int64_t i = 0; i < l->count; i++) {
        ladder_rung *r = &l->rungs[i];
        thaw_str why = {0};
        bool can = false;
        thaw_status status = thaw_train_eight_bits(world, l->config, r->name, &can, &why);
        thaw_copy(r->floats_why, sizeof r->floats_why, thaw_str_c(&why));
        thaw_str_clear(&why);
        THAW_TRY(status);                                                          /* uniform */
        THAW_CHECK(can || r->rung.kind != THAW_RUNG_FROZEN, THAW_ERR_CONFIG, "%s", /* uniform */
                   r->floats_why);
        if (!can && !l->options->quiet)
            THAW_LOG(THAW_INFO, "rung %s runs in floats: %s", r->name, r->floats_why);
    }
    return THAW_OK;
}

/* Mean over seeds of the error of the features on val. */
static double feature_error(const ladder *l, const ladder_rung *r)
{
    double sum = 0;
    for (int64_t s = 0; s < l->S; s++)
        sum += thaw_json_double_or(r->seeds[s].summary, "int8.feature_error", NAN);
    return sum / (double)l->S;
}

static thaw_status compare(const ladder *l, const ladder_rung *r, const float *score,
                           const float *each, thaw_json *out)
{
    const thaw_rule rule = ladder_rule(l->config);
    const thaw_bootstrap how = ladder_bootstrap(l->config);
    const ladder_pair pair = {.name_a = "frozen, floats",
                              .name_b = "frozen, 8 bits",
                              .a = score,
                              .b = r->score,
                              .each_a = each,
                              .each_b = r->each,
                              .metric = l->metric,
                              .seeds = l->S,
                              .N = l->N,
                              .cluster = l->cluster,
                              .dataset = l->dataset,
                              .split = l->gate,
                              .power = l->config->ladder.power};
    thaw_decision decision;
    thaw_json_set_string(out, "frozen", "int8");
    thaw_json_set_int(out, "calibration_samples",
                      thaw_json_int_or(r->seeds[0].summary, "int8.calibration_samples", 0));
    thaw_json_set_double(out, "feature_error", feature_error(l, r));
    return ladder_compare(&pair, &how, &rule, NULL, NULL, &decision, out);
}

thaw_status ladder_judge_precision(ladder *l, thaw_comm *world, thaw_comm *group, int64_t index)
{
    const ladder_rung *r = &l->rungs[index];
    ladder_trial *trials = NULL;
    float *score = NULL;
    float *each = NULL;
    thaw_json *out = NULL;
    thaw_status status = thaw_alloc(&trials, l->S, sizeof *trials);
    if (status == THAW_OK)
        status = thaw_alloc(&score, l->S * l->N, sizeof *score);
    if (status == THAW_OK)
        status = thaw_alloc(&each, l->S * l->N, sizeof *each);
    THAW_TRY_TO(thaw_agree(world, status));
    THAW_TRY_TO(ladder_run_floats(l, world, group, index, trials));
    for (int64_t s = 0; s < l->S && status == THAW_OK; s++)
        if (trials[s].diverged)
            status = THAW_FAIL(THAW_ERR_NUMERIC, "%s diverged on features in floats",
                               trials[s].directory);
    THAW_TRY_TO(thaw_agree(world, status));
    for (int64_t s = 0; s < l->S; s++)
        THAW_TRY_TO(ladder_load_scores(l, world, &trials[s], score + s * l->N, each + s * l->N));
    out = thaw_json_set_object(l->summary, "precision");
    THAW_TRY_TO(thaw_agree(world, compare(l, r, score, each, out)));
    if (!l->options->quiet)
        THAW_LOG(
            THAW_INFO,
            "  frozen features in 8 bits: off by %.2f%% on val; the frozen rung on gate against "
            "floats: %s",
            100 * thaw_json_double_or(out, "feature_error", NAN),
            thaw_json_string_or(out, "text", ""));
done:
    for (int64_t s = 0; trials != NULL && s < l->S; s++)
        thaw_json_free(&trials[s].summary);
    thaw_free(&each);
    thaw_free(&score);
    thaw_free(&trials);
    return status;
}
