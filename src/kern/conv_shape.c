/* conv_shape.c - convolutions as gathers, and the arithmetic of windows and scratch memory. */
#include "kern/conv_impl.h"

#include "kern/threads_impl.h"

bool conv_source(const conv_axis *axis, int64_t i, int64_t k, int64_t *source)
{
    int64_t t = i * axis->scale + k * axis->step + axis->shift;
    if (t < 0 || t % axis->divisor != 0 || t / axis->divisor >= axis->size)
        return false;
    *source = t / axis->divisor;
    return true;
}

void conv_source_range(const conv_axis *axis, int64_t from, int64_t to, int64_t *first,
                       int64_t *last)
{
    *first = axis->size;
    *last = 0;
    for (int64_t i = from; i < to; i++)
        for (int64_t k = 0; k < axis->taps; k++) {
            int64_t source;
            if (!conv_source(axis, i, k, &source))
                continue;
            *first = source < *first ? source : *first;
            *last = source + 1 > *last ? source + 1 : *last;
        }
    if (*first > *last)
        *first = *last;
}

bool conv_tap_used(const conv_axis *axis, int64_t k)
{
    int64_t source;
    for (int64_t i = 0; i < axis->count; i++)
        if (conv_source(axis, i, k, &source))
            return true;
    return false;
}

int64_t conv_taps_used(const conv_gather *g)
{
    int64_t rows = 0;
    int64_t columns = 0;
    for (int64_t k = 0; k < g->h.taps; k++)
        rows += conv_tap_used(&g->h, k);
    for (int64_t k = 0; k < g->w.taps; k++)
        columns += conv_tap_used(&g->w, k);
    return rows * columns;
}

conv_gather conv_forward_gather(const thaw_conv2d *s)
{
    int64_t in = s->C / s->groups;
    conv_gather g = {.B = s->B,
                     .in_channels = in,
                     .out_channels = s->O / s->groups,
                     .in_image = s->C * s->H * s->W,
                     .out_image = s->O * s->OH * s->OW,
                     .h = {s->H, s->OH, s->KH, s->stride_h, s->dilation_h, -s->pad_h, 1},
                     .w = {s->W, s->OW, s->KW, s->stride_w, s->dilation_w, -s->pad_w, 1},
                     .weight_out = in * s->KH * s->KW,
                     .weight_in = s->KH * s->KW};
    return g;
}

conv_gather conv_backward_gather(const thaw_conv2d *s)
{
    int64_t out = s->C / s->groups;
    conv_gather g = {.B = s->B,
                     .in_channels = s->O / s->groups,
                     .out_channels = out,
                     .in_image = s->O * s->OH * s->OW,
                     .out_image = s->C * s->H * s->W,
                     .h = {s->OH, s->H, s->KH, 1, -s->dilation_h, s->pad_h, s->stride_h},
                     .w = {s->OW, s->W, s->KW, 1, -s->dilation_w, s->pad_w, s->stride_w},
                     .weight_out = s->KH * s->KW,
                     .weight_in = out * s->KH * s->KW};
    return g;
}

conv_scratch conv_scratch_on(void *workspace)
{
    conv_scratch scratch = {workspace, CONV_LINE};
    if (workspace)
        scratch.used = (size_t)(-(intptr_t)workspace & (CONV_LINE - 1));
    return scratch;
}

void *conv_take(conv_scratch *scratch, int64_t count, size_t size)
{
    void *taken = scratch->base ? scratch->base + scratch->used : NULL;
    scratch->used += (size_t)conv_round((int64_t)((size_t)count * size), CONV_LINE);
    return taken;
}

int conv_threads(const conv_gather *g)
{
    /* A vector's multiply and add in place of an element: counted so, the sum is worth a thread as early as a sweep. */
    enum { PER_FLOAT = 16 };
    int64_t products = g->in_channels * g->h.taps * g->w.taps;
    return thaw_threads_for(g->B * g->out_channels * g->h.count * g->w.count / PER_FLOAT *
                            products);
}
