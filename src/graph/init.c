#include "thaw/graph.h"

#include <math.h>
#include <string.h>

#include "graph/graph_impl.h"

static void uniform(thaw_rng *rng, double bound, int64_t n, float *data)
{
    for (int64_t i = 0; i < n; i++)
        data[i] = (float)(bound * (2.0 * thaw_rng_uniform(rng) - 1.0));
}

static void normal(thaw_rng *rng, double std, int64_t n, float *data)
{
    for (int64_t i = 0; i < n; i++)
        data[i] = (float)(std * thaw_rng_normal(rng));
}

static void initialize(thaw_param *p, uint64_t seed)
{
    int64_t n = thaw_shape_count(&p->shape);
    uint64_t name = thaw_hash(p->name, strlen(p->name)).low;
    thaw_rng rng = thaw_rng_make(seed, THAW_RNG_INIT, 0, name);
    switch (p->init) {
    case THAW_INIT_ZERO:
        thaw_kern_fill(n, 0.0f, p->data);
        break;
    case THAW_INIT_ONE:
        thaw_kern_fill(n, 1.0f, p->data);
        break;
    case THAW_INIT_KAIMING_NORMAL_FAN_OUT:
        normal(&rng, sqrt(2.0 / (double)p->fan_out), n, p->data);
        break;
    case THAW_INIT_NORMAL:
        normal(&rng, 0.02, n, p->data);
        break;
    case THAW_INIT_STANDARD_NORMAL:
        normal(&rng, 1, n, p->data);
        break;
    case THAW_INIT_KAIMING_UNIFORM:
    case THAW_INIT_BIAS_UNIFORM:
        uniform(&rng, sqrt(1.0 / (double)p->fan_in), n, p->data);
        break;
    }
}

void thaw_graph_initialize(thaw_graph *g, uint64_t seed, thaw_param_filter *only,
                           const void *context)
{
    for (int32_t i = 0; i < g->param_count; i++) {
        THAW_ASSERT(g->params[i]->data != NULL);
        if (only == NULL || only(g->params[i], context))
            initialize(g->params[i], seed);
    }
}
