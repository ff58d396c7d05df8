#include "train/export_impl.h"

#include <string.h>

/* An adapter whose parameters, one or more a layer here, are the columns of one table at Hugging Face PEFT. */

/* Of a parameter (P, C) into table (P, all) behind `before` columns, or back. */
static void copy(const thaw_param *p, float *table, int64_t all, int64_t before, bool back)
{
    const int64_t C = p->shape.dim[1];
    for (int64_t i = 0; i < p->shape.dim[0]; i++) {
        float *there = table + i * all + before;
        float *here = p->data + i * C;
        memcpy(back ? here : there, back ? there : here, (size_t)C * sizeof *here);
    }
}

static void copy_all(const thaw_model *model, float *table, bool back)
{
    const int64_t all = thaw_columns_shape(model).dim[1];
    int64_t before = 0;
    for (int32_t i = 0; i < thaw_graph_param_count(model->graph); i++) {
        const thaw_param *p = thaw_graph_param(model->graph, i);
        if (!p->adapter)
            continue;
        copy(p, table, all, before, back);
        before += p->shape.dim[1];
    }
}

thaw_shape thaw_columns_shape(const thaw_model *model)
{
    thaw_shape shape = thaw_shape2(0, 0);
    for (int32_t i = 0; i < thaw_graph_param_count(model->graph); i++) {
        const thaw_param *p = thaw_graph_param(model->graph, i);
        if (!p->adapter)
            continue;
        THAW_ASSERT(p->shape.ndim == 2 && (shape.dim[0] == 0 || shape.dim[0] == p->shape.dim[0]));
        shape.dim[0] = p->shape.dim[0];
        shape.dim[1] += p->shape.dim[1];
    }
    return shape;
}

void thaw_columns_gather(const thaw_model *model, float *table)
{
    copy_all(model, table, false);
}

void thaw_columns_scatter(float *table, const thaw_model *model)
{
    copy_all(model, table, true);
}
