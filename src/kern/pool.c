/* pool.c - max, average and global average pooling. */
#include "thaw/kern.h"

#include <math.h>

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

static void max_pool_plane(const thaw_pool2d *s, const float *x, float *y, int32_t *argmax)
{
    for (int64_t oh = 0; oh < s->OH; oh++)
        for (int64_t ow = 0; ow < s->OW; ow++) {
            window v = window_at(s, oh, ow);
            int64_t best = v.top * s->W + v.left;
            for (int64_t ih = v.top; ih < v.bottom; ih++)
                for (int64_t iw = v.left; iw < v.right; iw++) {
                    float value = x[ih * s->W + iw];
                    /* NaN wins, so that it is seen. */
                    if (value > x[best] || isnan(value))
                        best = ih * s->W + iw;
                }
            y[oh * s->OW + ow] = x[best];
            argmax[oh * s->OW + ow] = (int32_t)best;
        }
}

void thaw_kern_max_pool(const thaw_pool2d *s, const float *x, float *y, int32_t *argmax)
{
    for (int64_t plane = 0; plane < s->B * s->C; plane++)
        max_pool_plane(s, x + plane * s->H * s->W, y + plane * s->OH * s->OW,
                       argmax + plane * s->OH * s->OW);
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
