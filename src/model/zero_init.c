#include "thaw/model.h"

#include <string.h>

/* Whether a block's norm of this name has another after it: a bottleneck's bn2 has bn3. */
static bool has_next(const thaw_graph *g, const char *name)
{
    thaw_str next = {0};
    const size_t stem = strlen(name) - strlen("2.weight");
    thaw_str_printf(&next, "%.*s3.weight", (int)stem, name);
    const bool has = thaw_graph_find_param(g, thaw_str_c(&next)) >= 0;
    thaw_str_clear(&next);
    return has;
}

thaw_status thaw_model_zero_init_residual(thaw_model *model)
{
    thaw_graph *g = model->graph;
    int32_t found = 0;
    for (int32_t i = 0; i < thaw_graph_param_count(g); i++) {
        thaw_param *p = thaw_graph_param(g, i);
        const bool second = thaw_ends_with(p->name, ".bn2.weight") && !has_next(g, p->name);
        if (!thaw_starts_with(p->name, "layer") ||
            (!second && !thaw_ends_with(p->name, ".bn3.weight")))
            continue;
        p->init = THAW_INIT_ZERO;
        found++;
    }
    THAW_CHECK(found == model->blocks && found > 0, THAW_ERR_CONFIG,
               "model.zero_init_residual: is for residual networks, and %s is none",
               model->spec.arch);
    return THAW_OK;
}
