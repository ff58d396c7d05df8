#include "scale/scale_impl.h"

/* Which rank counts and batches a study has. */

static thaw_status check_order(const thaw_ints *ranks)
{
    THAW_CHECK(ranks->count > 0, THAW_ERR_CONFIG,
               "scale.ranks is empty; name rank counts, say [1, 2, 4]");
    for (int64_t i = 1; i < ranks->count; i++)
        THAW_CHECK(ranks->items[i] > ranks->items[i - 1], THAW_ERR_CONFIG,
                   "scale.ranks has %lld after %lld; list rank counts from few to many",
                   (long long)ranks->items[i], (long long)ranks->items[i - 1]);
    return THAW_OK;
}

static thaw_status check_ranks(const thaw_config *config)
{
    const thaw_ints *ranks = &config->scale.ranks;
    THAW_TRY(check_order(ranks));
    const int64_t most = ranks->items[ranks->count - 1];
    for (int64_t i = 0; i < ranks->count; i++)
        THAW_CHECK(most % ranks->items[i] == 0, THAW_ERR_CONFIG,
                   "scale.ranks: %lld does not divide the largest count %lld, so weak scaling "
                   "would have no whole shards for it; leave it out",
                   (long long)ranks->items[i], (long long)most);
    THAW_CHECK(config->train.shards % most == 0, THAW_ERR_CONFIG,
               "train.shards %lld is not divisible by the %lld ranks of scale.ranks; change one of "
               "them (--set train.shards=%lld)",
               (long long)config->train.shards, (long long)most, (long long)most);
    return THAW_OK;
}

static thaw_status check_rungs(const thaw_strings *rungs)
{
    THAW_CHECK(rungs->count > 0 && rungs->count <= THAW_SCALE_RUNGS, THAW_ERR_CONFIG,
               "scale.rungs names %lld rungs; a study has 1 to %d", (long long)rungs->count,
               THAW_SCALE_RUNGS);
    for (int64_t i = 0; i < rungs->count; i++) {
        thaw_rung rung;
        THAW_TRY(thaw_rung_parse(rungs->items[i], &rung));
    }
    return THAW_OK;
}

/* Strong first, since its base is the config's own batch; where both kinds meet there is one size. */
static thaw_status list_sizes(scale_plan *plan)
{
    const thaw_config *c = plan->config;
    const thaw_ints *ranks = &c->scale.ranks;
    THAW_TRY(thaw_alloc(&plan->sizes, 2 * ranks->count, sizeof *plan->sizes));
    for (int64_t i = 0; i < ranks->count; i++) {
        const int64_t P = ranks->items[i];
        const scale_size strong = {P, c->train.shards, c->train.batch};
        const scale_size weak = {P, c->train.shards / plan->most * P,
                                 c->train.batch / plan->most * P};
        if (c->scale.mode != THAW_SCALE_WEAK)
            plan->sizes[plan->size_count++] = strong;
        if (c->scale.mode == THAW_SCALE_WEAK ||
            (c->scale.mode == THAW_SCALE_BOTH && P < plan->most))
            plan->sizes[plan->size_count++] = weak;
    }
    return THAW_OK;
}

thaw_status scale_plan_make(const thaw_config *config, scale_plan *out)
{
    *out = (scale_plan){.config = config, .rungs = &config->scale.rungs};
    THAW_CHECK(config->phases.count == 0, THAW_ERR_CONFIG,
               "phases are for `thaw train`; a study times rungs that train all the time, so leave "
               "them out (--set phases=[])");
    if (out->rungs->count == 0)
        out->rungs = &config->ladder.rungs;
    THAW_TRY(check_rungs(out->rungs));
    THAW_TRY(check_ranks(config));
    out->most = config->scale.ranks.items[config->scale.ranks.count - 1];
    return list_sizes(out);
}

void scale_plan_clear(scale_plan *plan)
{
    thaw_free(&plan->sizes);
    *plan = (scale_plan){0};
}
