/* isa_depthwise_impl.h - included by isa_body_impl.h: depthwise convolutions on one block of channels. A lane is a channel. */
#ifndef KERN_ISA_DEPTHWISE_IMPL_H
#define KERN_ISA_DEPTHWISE_IMPL_H

#include "kern/isa_finish_impl.h"

/* `columns` neighbouring outputs: each weight is loaded once for all of them. Inputs are addressed in threes from one
 * pointer, as in a tile. */
INLINE void depthwise_columns(const int columns, const kern_depthwise_row *row, const float *in,
                              const float *weights, lanes bias, const bool add, const thaw_act act,
                              float *out)
{
    lanes sum[8];
    int64_t step = row->in_step;
    UNROLL
    for (int j = 0; j < columns; j++)
        sum[j] = (lanes){0};
    for (int64_t t = 0; t < row->taps; t++) {
        lanes factor = load(weights + row->weight_offset[t]);
        const float *from = in + row->in_offset[t];
        const float *three[3] = {from, from + 3 * step, from + 6 * step};
        UNROLL
        for (int j = 0; j < columns; j++)
            sum[j] += factor * load(three[j / 3] + j % 3 * step);
    }
    UNROLL
    for (int j = 0; j < columns; j++)
        finish_store(sum[j], bias, add, act, out + j * row->out_step);
}

INLINE void depthwise_row_as(const kern_depthwise_row *row, const float *in, const float *weights,
                             const kern_finish *finish, const bool add, const thaw_act act,
                             float *out)
{
    lanes bias = finish_bias(finish);
    int64_t left = row->count;
    while (left > 0) {
        /* 7 is a row of the smallest images; what is left over goes in nearly equal parts. */
        int64_t columns = left >= 16 || left == 8 ? 8 : left <= 7 ? left : (left + 1) / 2;
        if (columns == 8)
            depthwise_columns(8, row, in, weights, bias, add, act, out);
        else if (columns == 7)
            depthwise_columns(7, row, in, weights, bias, add, act, out);
        else if (columns == 6)
            depthwise_columns(6, row, in, weights, bias, add, act, out);
        else if (columns == 5)
            depthwise_columns(5, row, in, weights, bias, add, act, out);
        else if (columns == 4)
            depthwise_columns(4, row, in, weights, bias, add, act, out);
        else if (columns == 3)
            depthwise_columns(3, row, in, weights, bias, add, act, out);
        else if (columns == 2)
            depthwise_columns(2, row, in, weights, bias, add, act, out);
        else
            depthwise_columns(1, row, in, weights, bias, add, act, out);
        in += columns * row->in_step;
        out += columns * row->out_step;
        left -= columns;
    }
}

static void depthwise_row(const kern_depthwise_row *row, const float *in, const float *weights,
                          const kern_finish *finish, float *out)
{
#define RUN(add, act) depthwise_row_as(row, in, weights, finish, add, act, out)
    FINISH_CASES(finish, RUN);
#undef RUN
}

/* Some rows of the window at once, so that their sums stay in registers. */
INLINE void gradient_taps(const int taps_h, const int taps_w, const kern_depthwise_gradient *g,
                          const float *x, const float *dy, float *sums, int64_t sum_row)
{
    lanes sum[5][5];
    UNROLL
    for (int kh = 0; kh < taps_h; kh++)
        UNROLL
    for (int kw = 0; kw < taps_w; kw++)
        sum[kh][kw] = (lanes){0};
    int64_t step = g->step_w * LANES;
    int64_t tap_row = g->dilation_h * g->x_row;
    int64_t tap_column = g->dilation_w * LANES;
    for (int64_t i = 0; i < g->rows; i++) {
        const float *gradient = dy + i * g->dy_row;
        const float *from = x + i * g->step_h * g->x_row;
        for (int64_t j = 0; j < g->columns; j++, from += step) {
            lanes factor = load(gradient + j * LANES);
            UNROLL
            for (int kh = 0; kh < taps_h; kh++)
                UNROLL
            for (int kw = 0; kw < taps_w; kw++)
                sum[kh][kw] += factor * load(from + kh * tap_row + kw * tap_column);
        }
    }
    UNROLL
    for (int kh = 0; kh < taps_h; kh++)
        UNROLL
    for (int kw = 0; kw < taps_w; kw++) {
        float *to = sums + kh * sum_row + kw * LANES;
        store(to, load(to) + sum[kh][kw]);
    }
}

static void depthwise_gradient(const kern_depthwise_gradient *g, const float *x, const float *dy,
                               float *sums)
{
    int64_t sum_row = g->kernel_w * LANES;
    if (g->kernel_h == 3 && g->kernel_w == 3) {
        gradient_taps(3, 3, g, x, dy, sums, sum_row);
        return;
    }
    if (g->kernel_h == 5 && g->kernel_w == 5) {
#if MANY_REGISTERS
        gradient_taps(5, 5, g, x, dy, sums, sum_row);
#else
        gradient_taps(2, 5, g, x, dy, sums, sum_row);
        gradient_taps(2, 5, g, x + 2 * g->dilation_h * g->x_row, dy, sums + 2 * sum_row, sum_row);
        gradient_taps(1, 5, g, x + 4 * g->dilation_h * g->x_row, dy, sums + 4 * sum_row, sum_row);
#endif
        return;
    }
    for (int64_t kh = 0; kh < g->kernel_h; kh++)
        for (int64_t kw = 0; kw < g->kernel_w; kw++)
            gradient_taps(1, 1, g, x + (kh * g->dilation_h * g->x_row + kw * g->dilation_w * LANES),
                          dy, sums + kh * sum_row + kw * LANES, sum_row);
}

#endif
