/* pool.c - max, average and global average pooling. */
#include "thaw/kern.h"

/* The part of a window that lies inside the input. */
typedef struct window {
    int64_t top, bottom, left, right; /* half-open */
} window;

static window window_at(const thaw_pool2d *s, int64_t oh, int64_t ow)
{
    int64_t top = oh * s->stride_h - s->pad_h;
    int64_t left = ow * s->stride_w - s->pad_w;
    window v = {.top = top < 0 ? 0 : top,
                .bottom = top + s->KH < s->H ? top + s->KH : s->H,
                .left = left < 0 ? 0 : left,
                .right = left + s->KW < s->W ? left + s->KW : s->W};
    return v;
}

/* Largest element of rows [top, bottom) and `columns` columns from `left`, the first of equal ones. NaN wins, so that it
 * is seen: the comparison is written the way round that lets it through. */
static inline __attribute__((always_inline)) int32_t
largest(const float *x, int64_t W, int64_t top, int64_t bottom, int64_t left, const int64_t columns)
{
    int32_t best = (int32_t)(top * W + left);
    float most = x[best];
    for (int64_t row = top; row < bottom; row++)
        for (int64_t j = 0; j < columns; j++) {
            int32_t at = (int32_t)(row * W + left + j);
            bool keep = x[at] <= most || most != most;
            best = keep ? best : at;
            most = keep ? most : x[at];
        }
    return best;
}

static int32_t largest_in(const float *x, int64_t W, window v)
{
    int64_t columns = v.right - v.left;
    if (columns == 3)
        return largest(x, W, v.top, v.bottom, v.left, 3);
    if (columns == 2)
        return largest(x, W, v.top, v.bottom, v.left, 2);
    return largest(x, W, v.top, v.bottom, v.left, columns);
}

void thaw_kern_max_pool(const thaw_pool2d *s, const float *x, float *y, int32_t *argmax)
{
    int64_t at = 0;
    for (int64_t plane = 0; plane < s->B * s->C; plane++) {
        const float *from = x + plane * s->H * s->W;
        for (int64_t oh = 0; oh < s->OH; oh++)
            for (int64_t ow = 0; ow < s->OW; ow++, at++) {
                argmax[at] = largest_in(from, s->W, window_at(s, oh, ow));
                y[at] = from[argmax[at]];
            }
    }
}

void thaw_kern_max_pool_backward(const thaw_pool2d *s, const int32_t *argmax, const float *dy,
                                 float *dx, bool accumulate)
{
    if (!accumulate)
        thaw_kern_fill(s->B * s->C * s->H * s->W, 0.0f, dx);
    int64_t out = s->OH * s->OW;
    for (int64_t plane = 0; plane < s->B * s->C; plane++)
        for (int64_t i = 0; i < out; i++)
            dx[plane * s->H * s->W + argmax[plane * out + i]] += dy[plane * out + i];
}

static float divisor(const thaw_pool2d *s, window v)
{
    int64_t count = s->count_padding ? s->KH * s->KW : (v.bottom - v.top) * (v.right - v.left);
    return (float)count;
}

void thaw_kern_avg_pool(const thaw_pool2d *s, const float *x, float *y)
{
    for (int64_t plane = 0; plane < s->B * s->C; plane++)
        for (int64_t oh = 0; oh < s->OH; oh++)
            for (int64_t ow = 0; ow < s->OW; ow++) {
                window v = window_at(s, oh, ow);
                float sum = 0;
                for (int64_t ih = v.top; ih < v.bottom; ih++)
                    for (int64_t iw = v.left; iw < v.right; iw++)
                        sum += x[(plane * s->H + ih) * s->W + iw];
                y[(plane * s->OH + oh) * s->OW + ow] = sum / divisor(s, v);
            }
}

void thaw_kern_avg_pool_backward(const thaw_pool2d *s, const float *dy, float *dx, bool accumulate)
{
    if (!accumulate)
        thaw_kern_fill(s->B * s->C * s->H * s->W, 0.0f, dx);
    for (int64_t plane = 0; plane < s->B * s->C; plane++)
        for (int64_t oh = 0; oh < s->OH; oh++)
            for (int64_t ow = 0; ow < s->OW; ow++) {
                window v = window_at(s, oh, ow);
                float share = dy[(plane * s->OH + oh) * s->OW + ow] / divisor(s, v);
                for (int64_t ih = v.top; ih < v.bottom; ih++)
                    for (int64_t iw = v.left; iw < v.right; iw++)
                        dx[(plane * s->H + ih) * s->W + iw] += share;
            }
}

void thaw_kern_global_avg_pool(int64_t B, int64_t C, int64_t S, const float *x, float *y)
{
    for (int64_t plane = 0; plane < B * C; plane++)
        y[plane] = (float)(thaw_kern_sum(S, x + plane * S) / (double)S);
}

void thaw_kern_global_avg_pool_backward(int64_t B, int64_t C, int64_t S, const float *dy, float *dx,
                                        bool accumulate)
{
    for (int64_t plane = 0; plane < B * C; plane++) {
        float share = dy[plane] / (float)S;
        float *out = dx + plane * S;
        for (int64_t i = 0; i < S; i++)
            out[i] = accumulate ? out[i] + share : share;
    }
}
