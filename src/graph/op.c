#include "thaw/graph.h"

#include <string.h>

#include "graph/op_impl.h"

static const struct {
    const char *kind, *doc;
    const thaw_op *op;
} kinds[] = {
#define THAW_KIND(kind, doc) {#kind, doc, &thaw_op_##kind},
#include "graph/kinds.def"
#undef THAW_KIND
};

static const char *const names[] = {
#define THAW_KIND(kind, doc) #kind,
#include "graph/kinds.def"
#undef THAW_KIND
    NULL,
};

const char *const *thaw_op_names(void)
{
    return names;
}

const char *thaw_op_doc(const char *kind)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].kind, kind) == 0)
            return kinds[i].doc;
    return NULL;
}

const thaw_op *thaw_op_find(const char *kind)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].kind, kind) == 0)
            return kinds[i].op;
    return NULL;
}

void thaw_pass_gradient(int64_t n, float alpha, const float *dy, float *dx, bool accumulate)
{
    if (accumulate) {
        thaw_kern_axpy(n, alpha, dy, dx);
        return;
    }
    if (dx != dy)
        memcpy(dx, dy, (size_t)n * sizeof *dx);
    if (alpha != 1.0f)
        thaw_kern_scale(n, alpha, dx);
}

void thaw_no_gradient(const thaw_call *call, int32_t input)
{
    if (call->dx[input] != NULL && !call->accumulate[input])
        thaw_kern_fill(call->run->B * thaw_shape_count(&call->need->in[input]), 0.0f,
                       call->dx[input]);
}

double thaw_flops_none(const thaw_node *node, const thaw_shape *in, const thaw_shape *out)
{
    (void)node;
    (void)in;
    (void)out;
    return 0;
}

double thaw_flops_elementwise(const thaw_node *node, const thaw_shape *in, const thaw_shape *out)
{
    (void)node;
    (void)in;
    return (double)thaw_shape_count(out);
}

int64_t thaw_feature_count(const thaw_shape *shape)
{
    return shape->ndim == 3 ? shape->dim[0] : shape->dim[shape->ndim - 1];
}

thaw_image thaw_feature_image(const thaw_call *call)
{
    const thaw_shape *in = &call->need->in[0];
    const int64_t C = thaw_feature_count(in);
    if (in->ndim == 3)
        return (thaw_image){.B = call->run->B,
                            .C = C,
                            .H = in->dim[1],
                            .W = in->dim[2],
                            .block = call->need->block_out};
    return (thaw_image){
        .B = call->run->B * (thaw_shape_count(in) / C), .C = C, .H = 1, .W = 1, .block = 1};
}

thaw_status thaw_check_image(const thaw_shape *in)
{
    char text[80];
    thaw_shape_format(in, text, sizeof text);
    THAW_CHECK(in->ndim == 3, THAW_ERR_FAIL,
               "input %s has %d dimensions beside the batch; 3 are needed: (C, H, W)", text,
               in->ndim);
    return THAW_OK;
}
