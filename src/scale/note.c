#include "scale/scale_impl.h"

#include <math.h>

/* scale.md: the tables, and what may be read from them. */

static void add_columns(thaw_table *table, const char *const *titles)
{
    for (int i = 0; titles[i] != NULL; i++)
        thaw_table_column(table, titles[i], i == 0 ? THAW_LEFT : THAW_RIGHT);
}

static void add_table(thaw_table *table, thaw_str *out)
{
    thaw_table_markdown(table, out);
    thaw_str_add(out, "\n");
    thaw_table_clear(table);
}

static void add_points(const scale_result *r, thaw_str *out)
{
    static const char *const titles[] = {
        "rung",   "ranks", "samples a step", "seconds a step", "quartiles",    "samples/s",
        "strong", "weak",  "Karp-Flatt",     "in sums",        "of it moving", "all-reduce",
        "model",  NULL};
    thaw_table table = {0};
    char low[40];
    char high[40];
    add_columns(&table, titles);
    for (int64_t i = 0; i < r->count; i++) {
        const thaw_scale_point *p = &r->points[i];
        thaw_unit_format(p->low, THAW_UNIT_SECONDS, low, sizeof low);
        thaw_unit_format(p->high, THAW_UNIT_SECONDS, high, sizeof high);
        thaw_table_printf(&table, "%s%s", r->plan->rungs->items[p->rung],
                          p->oversubscribed ? " (!)" : "");
        thaw_table_printf(&table, "%lld", (long long)p->ranks);
        thaw_table_printf(&table, "%lld", (long long)p->batch);
        thaw_table_value(&table, p->seconds, THAW_UNIT_SECONDS);
        thaw_table_printf(&table, "%s to %s", low, high);
        thaw_table_value(&table, (double)p->batch / p->seconds, THAW_UNIT_NUMBER);
        thaw_table_value(&table, p->strong_efficiency, THAW_UNIT_PERCENT);
        thaw_table_value(&table, p->weak_efficiency, THAW_UNIT_PERCENT);
        thaw_table_value(&table, p->serial_fraction, THAW_UNIT_NUMBER);
        thaw_table_value(&table, p->waited / p->seconds, THAW_UNIT_PERCENT);
        thaw_table_value(&table, p->transfer / p->seconds, THAW_UNIT_PERCENT);
        thaw_table_value(&table, (double)p->bytes, THAW_UNIT_BYTES);
        thaw_table_value(&table, p->predicted, THAW_UNIT_SECONDS);
    }
    add_table(&table, out);
}

static bool any_oversubscribed(const scale_result *r)
{
    for (int64_t i = 0; i < r->count; i++) {
        if (r->points[i].oversubscribed)
            return true;
    }
    return false;
}

static void explain(const scale_result *r, thaw_str *out)
{
    thaw_str_add(out, "Strong: the same samples a step on every rank count. "
                      "Weak: the same samples a rank. "
                      "Efficiencies are against the fewest ranks of the same rung.\n"
                      "In sums: what a rank waits at the end of a step, for slower ranks and for "
                      "what travels, as a share of the step. "
                      "Of it moving: the part that the last rank, which waits for nobody, still "
                      "spends there.\n");
    if (any_oversubscribed(r))
        thaw_str_add(out, "\n(!): more ranks or threads than cores. "
                          "They take turns, so such a row says that the program works, and nothing "
                          "about scaling. "
                          "The model does not use it.\n");
    thaw_str_add(out, "\n");
}

static void add_model(const scale_result *r, thaw_str *out)
{
    static const char *const titles[] = {"rung", "serial a step", "a shard", "points", NULL};
    const thaw_scale_model *m = &r->model;
    thaw_table table = {0};
    add_columns(&table, titles);
    for (int32_t i = 0; i < m->rungs; i++) {
        thaw_table_cell(&table, r->plan->rungs->items[i]);
        thaw_table_value(&table, m->serial[i], THAW_UNIT_SECONDS);
        thaw_table_value(&table, m->shard[i], THAW_UNIT_SECONDS);
        thaw_table_printf(&table, "%lld", (long long)m->fitted[i]);
    }
    thaw_str_add(out, "## Model\n\n"
                      "t = serial + shard x shards a rank + alpha x calls x log2(ranks) + beta x "
                      "bytes x 2 (ranks - 1) / ranks\n\n");
    add_table(&table, out);
    if (m->transfers > 0)
        thaw_str_printf(out,
                        "alpha %.3g s and beta %.3g s a byte, fitted to %lld points on more than "
                        "one rank%s.\n",
                        m->alpha, m->beta, (long long)m->transfers,
                        m->transfers < 3 ? ": too few to check them" : "");
    else
        thaw_str_add(out, "No point on more than one rank of its own core: alpha and beta are not "
                          "known and count as 0.\n");
    thaw_str_printf(out, "Largest difference from what was measured: %.1f %%.\n\n",
                    100 * m->residual);
}

static void add_machine(const scale_result *r, thaw_str *out)
{
    static const char *const titles[] = {"rung",         "ranks",           "strong, a step",
                                         "weak, a step", "weak efficiency", NULL};
    const thaw_machine_config *c = &r->plan->config->scale.machine;
    thaw_table table = {0};
    if (c->ranks.count == 0)
        return;
    add_columns(&table, titles);
    for (int32_t rung = 0; rung < r->model.rungs; rung++) {
        for (int64_t i = 0; i < c->ranks.count; i++) {
            const int64_t ranks = c->ranks.items[i];
            const double weak = scale_machine_seconds(r, rung, ranks, true);
            thaw_table_cell(&table, r->plan->rungs->items[rung]);
            thaw_table_printf(&table, "%lld", (long long)ranks);
            thaw_table_value(&table, scale_machine_seconds(r, rung, ranks, false),
                             THAW_UNIT_SECONDS);
            thaw_table_value(&table, weak, THAW_UNIT_SECONDS);
            thaw_table_value(&table, scale_machine_seconds(r, rung, 1, true) / weak,
                             THAW_UNIT_PERCENT);
        }
    }
    thaw_str_printf(out,
                    "## Extrapolated\n\n"
                    "alpha %.3g s, beta %.3g s a byte, %lld rank%s a node, cores as measured; a "
                    "network without noise or contention. "
                    "A dash: train.shards cannot be shared out to so many ranks.\n\n",
                    c->alpha > 0 ? c->alpha : r->model.alpha, c->beta > 0 ? c->beta : r->model.beta,
                    (long long)c->ranks_per_node, c->ranks_per_node == 1 ? "" : "s");
    add_table(&table, out);
}

void scale_write_markdown(const scale_result *r, thaw_str *out)
{
    const thaw_config *c = r->plan->config;
    thaw_str_add(out, "# Scaling of ");
    thaw_markdown_escape(out, c->name);
    thaw_str_printf(out, "\n\nBatch %lld in %lld shards; %lld steps, %lld times.\n\n",
                    (long long)c->train.batch, (long long)c->train.shards,
                    (long long)c->scale.steps, (long long)c->scale.repeats);
    add_points(r, out);
    explain(r, out);
    add_model(r, out);
    add_machine(r, out);
}
