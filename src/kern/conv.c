/* conv.c - the convolutions of every backend that is built on our own tiles. */
#include "kern/conv_impl.h"

#include "kern/kern_impl.h"

static size_t gather(const kern_isa *isa, const conv_gather *g, const float *in, const float *w,
                     const float *bias, float *out, bool accumulate, void *workspace)
{
    return conv_winograd_fits(g)
               ? conv_winograd_gather(isa, g, in, w, bias, out, accumulate, workspace)
               : conv_gather_run(isa, g, in, w, bias, out, accumulate, workspace);
}

static size_t gather_weights(const kern_isa *isa, const conv_gather *g, const float *x,
                             const float *dy, float *dw, void *workspace)
{
    if (g->B == 0)
        return 0;
    return conv_winograd_fits(g) ? conv_winograd_weights(isa, g, x, dy, dw, workspace)
                                 : conv_weights_run(isa, g, x, dy, dw, workspace);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Fewer images may be cut into larger pieces than all of them, so each number is asked, none included. */
static size_t tiled_workspace(const thaw_kern *k, const thaw_conv2d *shape)
{
    const kern_isa *isa = kern_isa_of(k);
    thaw_conv2d some = *shape;
    size_t most = 0;
    for (some.B = 0; some.B <= shape->B; some.B++) {
        conv_gather forward = conv_forward_gather(&some);
        conv_gather backward = conv_backward_gather(&some);
        most = larger(most, gather(isa, &forward, NULL, NULL, NULL, NULL, false, NULL));
        most = larger(most, gather(isa, &backward, NULL, NULL, NULL, NULL, false, NULL));
        most = larger(most, gather_weights(isa, &forward, NULL, NULL, NULL, NULL));
    }
    return most;
}

static int64_t group_weights(const thaw_conv2d *s)
{
    return s->O / s->groups * (s->C / s->groups) * s->KH * s->KW;
}

static void tiled_forward(const thaw_kern *k, const thaw_conv2d *s, const float *x, const float *w,
                          const float *bias, float *y, void *workspace)
{
    conv_gather problem = conv_forward_gather(s);
    for (int64_t g = 0; g < s->groups; g++)
        gather(kern_isa_of(k), &problem, x + g * problem.in_channels * s->H * s->W,
               w + g * group_weights(s), bias ? bias + g * problem.out_channels : NULL,
               y + g * problem.out_channels * s->OH * s->OW, false, workspace);
}

static void tiled_backward_data(const thaw_kern *k, const thaw_conv2d *s, const float *w,
                                const float *dy, float *dx, bool accumulate, void *workspace)
{
    conv_gather problem = conv_backward_gather(s);
    for (int64_t g = 0; g < s->groups; g++)
        gather(kern_isa_of(k), &problem, dy + g * problem.in_channels * s->OH * s->OW,
               w + g * group_weights(s), NULL, dx + g * problem.out_channels * s->H * s->W,
               accumulate, workspace);
}

static void tiled_backward_weights(const thaw_kern *k, const thaw_conv2d *s, const float *x,
                                   const float *dy, float *dw, float *dbias, void *workspace)
{
    conv_gather problem = conv_forward_gather(s);
    for (int64_t g = 0; g < s->groups; g++)
        gather_weights(kern_isa_of(k), &problem, x + g * problem.in_channels * s->H * s->W,
                       dy + g * problem.out_channels * s->OH * s->OW, dw + g * group_weights(s),
                       workspace);
    thaw_image image = {s->B, s->O, s->OH, s->OW, 1};
    if (dbias)
        thaw_kern_channel_sums(&image, dy, dbias);
}

void kern_tiled_fill(thaw_kern *k, kern_handle *handle)
{
    handle->isa = kern_isa_choose();
    k->library = handle;
    k->gemm = kern_tiled_gemm;
    k->conv2d_workspace = tiled_workspace;
    k->conv2d_forward = tiled_forward;
    k->conv2d_backward_data = tiled_backward_data;
    k->conv2d_backward_weights = tiled_backward_weights;
}
