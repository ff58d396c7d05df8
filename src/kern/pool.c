/* pool.c - max, average and global average pooling. Channel blocks are swept block by block by the loops for this CPU. */
#include "thaw/kern.h"

#include "kern/isa_impl.h"
#include "kern/threads_impl.h"

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

/* Planes of all images, a channel or a block of channels each; the steps from one to the next in the input and the output. */
typedef struct planes {
    const kern_isa_image *isa; /* NULL: NCHW */
    int64_t count, in, out;
} planes;

static planes planes_of(const thaw_pool2d *s)
{
    int64_t lanes = s->block > 1 ? s->block : 1;
    return (planes){s->block > 1 ? &kern_isa_choose()->image : NULL,
                    s->B * ((s->C + lanes - 1) / lanes), s->H * s->W * lanes,
                    s->OH * s->OW * lanes};
}

static void max_plane(const thaw_pool2d *s, const float *x, float *y, int32_t *argmax)
{
    for (int64_t oh = 0; oh < s->OH; oh++)
        for (int64_t ow = 0; ow < s->OW; ow++) {
            int64_t at = oh * s->OW + ow;
            argmax[at] = largest_in(x, s->W, window_at(s, oh, ow));
            y[at] = x[argmax[at]];
        }
}

void thaw_kern_max_pool(const thaw_pool2d *s, const float *x, float *y, int32_t *argmax)
{
    planes z = planes_of(s);
    KERN_EACH(
        z.count * z.in, z.count, i,
        (z.isa ? z.isa->max_pool : max_plane)(s, x + i * z.in, y + i * z.out, argmax + i * z.out));
}

static void max_plane_backward(const thaw_pool2d *s, const int32_t *argmax, const float *dy,
                               float *dx, bool accumulate)
{
    if (!accumulate)
        thaw_kern_fill(s->H * s->W, 0.0f, dx);
    for (int64_t i = 0; i < s->OH * s->OW; i++)
        dx[argmax[i]] += dy[i];
}

void thaw_kern_max_pool_backward(const thaw_pool2d *s, const int32_t *argmax, const float *dy,
                                 float *dx, bool accumulate)
{
    planes z = planes_of(s);
    KERN_EACH(z.count * z.in, z.count, i,
              (z.isa ? z.isa->max_pool_backward : max_plane_backward)(
                  s, argmax + i * z.out, dy + i * z.out, dx + i * z.in, accumulate));
}

void thaw_kern_max_pool_gather(const thaw_pool2d *s, const int32_t *argmax, const float *x,
                               float *y)
{
    planes z = planes_of(s);
    int64_t lanes = s->block > 1 ? s->block : 1;
    KERN_EACH(z.count * z.out, z.count, plane, {
        for (int64_t i = 0; i < z.out; i++)
            y[plane * z.out + i] = x[plane * z.in + argmax[plane * z.out + i] * lanes + i % lanes];
    });
}

static float divisor(const thaw_pool2d *s, window v)
{
    int64_t count = s->count_padding ? s->KH * s->KW : (v.bottom - v.top) * (v.right - v.left);
    return (float)count;
}

static void avg_plane(const thaw_pool2d *s, const float *x, float *y)
{
    for (int64_t oh = 0; oh < s->OH; oh++)
        for (int64_t ow = 0; ow < s->OW; ow++) {
            window v = window_at(s, oh, ow);
            float sum = 0;
            for (int64_t ih = v.top; ih < v.bottom; ih++)
                for (int64_t iw = v.left; iw < v.right; iw++)
                    sum += x[ih * s->W + iw];
            y[oh * s->OW + ow] = sum / divisor(s, v);
        }
}

void thaw_kern_avg_pool(const thaw_pool2d *s, const float *x, float *y)
{
    planes z = planes_of(s);
    KERN_EACH(z.count * z.in, z.count, i,
              (z.isa ? z.isa->avg_pool : avg_plane)(s, x + i * z.in, y + i * z.out));
}

static void avg_plane_backward(const thaw_pool2d *s, const float *dy, float *dx, bool accumulate)
{
    if (!accumulate)
        thaw_kern_fill(s->H * s->W, 0.0f, dx);
    for (int64_t oh = 0; oh < s->OH; oh++)
        for (int64_t ow = 0; ow < s->OW; ow++) {
            window v = window_at(s, oh, ow);
            float share = dy[oh * s->OW + ow] / divisor(s, v);
            for (int64_t ih = v.top; ih < v.bottom; ih++)
                for (int64_t iw = v.left; iw < v.right; iw++)
                    dx[ih * s->W + iw] += share;
        }
}

void thaw_kern_avg_pool_backward(const thaw_pool2d *s, const float *dy, float *dx, bool accumulate)
{
    planes z = planes_of(s);
    KERN_EACH(z.count * z.in, z.count, i,
              (z.isa ? z.isa->avg_pool_backward : avg_plane_backward)(s, dy + i * z.out,
                                                                      dx + i * z.in, accumulate));
}

/* One channel or block of channels of one image, `index` of all: its mean over pixels to y (B, C). */
static void global_plane(const thaw_image *s, int64_t lanes, int64_t index, const float *x,
                         float *y)
{
    int64_t across = (s->C + lanes - 1) / lanes;
    int64_t first = index % across * lanes;
    double pixels = (double)s->H * (double)s->W;
    kern_sweep row = {1, 0, s->H * s->W * lanes};
    double sum[KERN_STRIP];
    kern_isa_choose()->image.sums(&row, x + index * row.n, sum);
    for (int64_t c = 0; c < lanes && first + c < s->C; c++) {
        double total = 0;
        for (int64_t j = c; j < KERN_STRIP; j += lanes)
            total += sum[j];
        y[index / across * s->C + first + c] = (float)(total / pixels);
    }
}

void thaw_kern_global_avg_pool(const thaw_image *s, const float *x, float *y)
{
    int64_t lanes = s->block > 1 ? s->block : 1;
    KERN_EACH(thaw_image_count(s), s->B * ((s->C + lanes - 1) / lanes), i,
              global_plane(s, lanes, i, x, y));
}

static void global_plane_backward(const thaw_image *s, int64_t lanes, int64_t index,
                                  const float *dy, float *dx, bool accumulate)
{
    int64_t across = (s->C + lanes - 1) / lanes;
    int64_t S = s->H * s->W;
    kern_sweep row = {1, 0, S * lanes};
    float share[KERN_STRIP];
    for (int64_t j = 0; j < KERN_STRIP; j++) {
        int64_t c = index % across * lanes + j % lanes;
        share[j] = c < s->C ? dy[index / across * s->C + c] / (float)S : 0.0f;
    }
    kern_isa_choose()->image.spread(&row, share, dx + index * row.n, accumulate);
}

void thaw_kern_global_avg_pool_backward(const thaw_image *s, const float *dy, float *dx,
                                        bool accumulate)
{
    int64_t lanes = s->block > 1 ? s->block : 1;
    KERN_EACH(thaw_image_count(s), s->B * ((s->C + lanes - 1) / lanes), i,
              global_plane_backward(s, lanes, i, dy, dx, accumulate));
}
