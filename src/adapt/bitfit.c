#include "adapt/adapt_impl.h"

static bool trains(const thaw_param *p)
{
    return p->role == THAW_ROLE_BIAS || p->role == THAW_ROLE_NORM_BIAS;
}

static void describe(const thaw_model *model, thaw_str *out)
{
    (void)model;
    thaw_str_add(out, "the backbone's biases");
}

const adapt_method adapt_kind_bitfit = {.name = "bitfit", .trains = trains, .describe = describe};
