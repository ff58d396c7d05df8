#include "adapt/adapt_impl.h"

static bool trains(const thaw_param *p)
{
    return p->role == THAW_ROLE_NORM_WEIGHT || p->role == THAW_ROLE_NORM_BIAS;
}

static void describe(const thaw_model *model, thaw_str *out)
{
    (void)model;
    thaw_str_add(out, "the backbone's norms");
}

const adapt_method adapt_kind_norm = {.name = "norm", .trains = trains, .describe = describe};
