#include "train/train_impl.h"

#include <math.h>
#include <string.h>

/* A moving average of what trains. It is what runs are judged by and what they leave, while training itself never sees it, but for what freezes
 * at the end of a phase: that becomes its average, so that one frozen part serves both. */

/* Entries of the average are what is held, in the graph's order; each is as old as its tensor's training. */
void thaw_ema_update(thaw_trainer *t)
{
    const thaw_setup *s = t->setup;
    const thaw_graph *graph = s->model->graph;
    int64_t entry = 0;
    for (int32_t i = 0; t->ema.count > 0 && i < thaw_graph_param_count(graph); i++) {
        if (!s->held[i])
            continue;
        float *average = t->ema.entries[entry++].tensor.data;
        const thaw_param *p = thaw_graph_param(graph, i);
        if (p->trainable)
            thaw_optim_average(thaw_shape_count(&p->shape), t->config->train.ema,
                               thaw_optimizer_steps(t->optimizer) - 1 - s->joined[i], p->data,
                               average);
    }
}

void thaw_ema_freeze(const thaw_setup *s, const thaw_state *average)
{
    const thaw_graph *graph = s->model->graph;
    for (int64_t i = 0; i < average->count; i++) {
        const thaw_entry *e = &average->entries[i];
        const thaw_param *p = thaw_graph_param(graph, thaw_graph_find_param(graph, e->name));
        if (!p->trainable)
            memcpy(p->data, e->tensor.data, thaw_tensor_bytes(&e->tensor));
    }
}

void thaw_ema_swap(const thaw_team *team)
{
    for (int32_t m = 0; m < team->count; m++) {
        thaw_trainer *t = team->members[m];
        for (int64_t i = 0; i < t->ema.count; i++)
            thaw_kern_swap(thaw_tensor_count(&t->trained.entries[i].tensor),
                           t->trained.entries[i].tensor.data, t->ema.entries[i].tensor.data);
    }
}

/* Steps that what joined last has trained for. */
static int64_t steps_of_youngest(const thaw_trainer *t)
{
    const thaw_graph *graph = t->setup->model->graph;
    int64_t joined = 0;
    for (int32_t i = 0; i < thaw_graph_param_count(graph); i++) {
        if (thaw_graph_param(graph, i)->trainable && t->setup->joined[i] > joined)
            joined = t->setup->joined[i];
    }
    return thaw_optimizer_steps(t->optimizer) - joined;
}

void thaw_ema_describe(const thaw_trainer *t, thaw_json *out)
{
    const double decay = t->config->train.ema;
    if (t->ema.count == 0)
        return;
    const int64_t steps = steps_of_youngest(t);
    /* Of the first step's weights, which the average began with. */
    const double share = pow(decay, steps > 0 ? (double)(steps - 1) : 0);
    thaw_json_set_double(out, "ema", decay);
    thaw_json_set_double(out, "ema_unsettled", share);
    if (share > 0.05)
        THAW_LOG(THAW_WARN,
                 "train.ema %g is slow for %lld steps: %.0f %% of the average is still the weights "
                 "after the first one; choose about 1 - 10 / steps, or train longer",
                 decay, (long long)steps, 100 * share);
}
