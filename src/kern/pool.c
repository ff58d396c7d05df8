/* pool.c - max, average and global average pooling. Channel blocks are swept block by block by the loops for this CPU. */
#include "thaw/kern.h"

#include "kern/isa_impl.h"

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

/* Blocks of all images; the steps from one to the next in the input and in the output. */
typedef struct blocks {
    int64_t count, in, out;
} blocks;

static blocks blocks_of(const thaw_pool2d *s)
{
    int64_t lanes = s->block;
    return (blocks){s->B * ((s->C + lanes - 1) / lanes), s->H * s->W * lanes,
                    s->OH * s->OW * lanes};
}

void thaw_kern_max_pool(const thaw_pool2d *s, const float *x, float *y, int32_t *argmax)
{
    if (s->block > 1) {
        blocks z = blocks_of(s);
        for (int64_t i = 0; i < z.count; i++)
            kern_isa_choose()->image.max_pool(s, x + i * z.in, y + i * z.out, argmax + i * z.out);
        return;
    }
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
    if (s->block > 1) {
        blocks z = blocks_of(s);
        for (int64_t i = 0; i < z.count; i++)
            kern_isa_choose()->image.max_pool_backward(s, argmax + i * z.out, dy + i * z.out,
                                                       dx + i * z.in, accumulate);
        return;
    }
    if (!accumulate)
        thaw_kern_fill(s->B * s->C * s->H * s->W, 0.0f, dx);
    int64_t out = s->OH * s->OW;
    for (int64_t plane = 0; plane < s->B * s->C; plane++)
        for (int64_t i = 0; i < out; i++)
            dx[plane * s->H * s->W + argmax[plane * out + i]] += dy[plane * out + i];
}

void thaw_kern_max_pool_gather(const thaw_pool2d *s, const int32_t *argmax, const float *x,
                               float *y)
{
    int64_t lanes = s->block > 1 ? s->block : 1;
    int64_t out = s->OH * s->OW * lanes;
    int64_t planes = s->B * ((s->C + lanes - 1) / lanes);
    for (int64_t plane = 0; plane < planes; plane++)
        for (int64_t i = 0; i < out; i++) {
            int64_t at = plane * out + i;
            y[at] = x[(plane * s->H * s->W + argmax[at]) * lanes + i % lanes];
        }
}

static float divisor(const thaw_pool2d *s, window v)
{
    int64_t count = s->count_padding ? s->KH * s->KW : (v.bottom - v.top) * (v.right - v.left);
    return (float)count;
}

void thaw_kern_avg_pool(const thaw_pool2d *s, const float *x, float *y)
{
    if (s->block > 1) {
        blocks z = blocks_of(s);
        for (int64_t i = 0; i < z.count; i++)
            kern_isa_choose()->image.avg_pool(s, x + i * z.in, y + i * z.out);
        return;
    }
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
    if (s->block > 1) {
        blocks z = blocks_of(s);
        for (int64_t i = 0; i < z.count; i++)
            kern_isa_choose()->image.avg_pool_backward(s, dy + i * z.out, dx + i * z.in,
                                                       accumulate);
        return;
    }
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

void thaw_kern_global_avg_pool(const thaw_image *s, const float *x, float *y)
{
    const kern_isa_image *isa = &kern_isa_choose()->image;
    int64_t S = s->H * s->W;
    int64_t lanes = s->block > 1 ? s->block : 1;
    int64_t across = (s->C + lanes - 1) / lanes;
    kern_sweep row = {1, 0, S * lanes};
    double sum[KERN_STRIP];
    for (int64_t i = 0; i < s->B * across; i++) {
        int64_t first = i % across * lanes;
        isa->sums(&row, x + i * row.n, sum);
        for (int64_t c = 0; c < lanes && first + c < s->C; c++) {
            double total = 0;
            for (int64_t j = c; j < KERN_STRIP; j += lanes)
                total += sum[j];
            y[i / across * s->C + first + c] = (float)(total / (double)S);
        }
    }
}

void thaw_kern_global_avg_pool_backward(const thaw_image *s, const float *dy, float *dx,
                                        bool accumulate)
{
    const kern_isa_image *isa = &kern_isa_choose()->image;
    int64_t S = s->H * s->W;
    int64_t lanes = s->block > 1 ? s->block : 1;
    int64_t across = (s->C + lanes - 1) / lanes;
    kern_sweep row = {1, 0, S * lanes};
    float share[KERN_STRIP];
    for (int64_t i = 0; i < s->B * across; i++) {
        for (int64_t j = 0; j < KERN_STRIP; j++) {
            int64_t c = i % across * lanes + j % lanes;
            share[j] = c < s->C ? dy[i / across * s->C + c] / (float)S : 0.0f;
        }
        isa->spread(&row, share, dx + i * row.n, accumulate);
    }
}
