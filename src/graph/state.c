#include "thaw/graph.h"

#include "graph/graph_impl.h"

static bool belongs(const thaw_param *p, thaw_which which)
{
    switch (which) {
    case THAW_ALL:
        return true;
    case THAW_TRAINABLE:
        return p->trainable;
    case THAW_FROZEN:
        return !p->trainable;
    case THAW_BACKBONE:
        return p->block != -1 && !p->adapter;
    }
    return false;
}

thaw_status thaw_graph_state(const thaw_graph *g, thaw_which which, thaw_state *out)
{
    for (int32_t i = 0; i < g->param_count; i++) {
        thaw_param *p = g->params[i];
        if (belongs(p, which))
            THAW_TRY(thaw_state_add(out, p->name, THAW_F32, p->shape, p->data));
    }
    return THAW_OK;
}

int64_t thaw_graph_count_params(const thaw_graph *g, bool trainable_only)
{
    int64_t count = 0;
    for (int32_t i = 0; i < g->param_count; i++) {
        const thaw_param *p = g->params[i];
        if (!thaw_is_buffer(p) && (p->trainable || !trainable_only))
            count += thaw_shape_count(&p->shape);
    }
    return count;
}
