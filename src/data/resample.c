/* Resampling of 8-bit pictures: two passes with weights in fixed point, rounded and clipped to 8 bits after each. Which input pixels an
 * output pixel sees, their weights and both roundings are those of Pillow (Image.resize), so that a network sees the pixels that it was
 * trained on; tests/data/test_pillow.c compares. */
#include "data/picture_impl.h"

#include <math.h>

/* Two bits beside the sign and the eight of a pixel are room for the overshoot of bicubic weights. */
#define FRACTION_BITS 22

/* Weights of one axis: output i is the sum over k of weight[i * most + k] * input[first[i] + k]. */
typedef struct taps {
    int64_t most;
    int64_t *first, *count; /* (n) */
    int32_t *weight;        /* (n, most), in units of 2^-FRACTION_BITS */
} taps;

static double triangle(double x)
{
    x = fabs(x);
    return x < 1 ? 1 - x : 0;
}

/* Keys 1981 with a = -1/2. */
static double cubic(double x)
{
    x = fabs(x);
    if (x < 1)
        return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

static void clear_taps(taps *t)
{
    thaw_free(&t->first);
    thaw_free(&t->count);
    thaw_free(&t->weight);
}

/* One output pixel, whose centre is at `centre` of the input; `real` is scratch of t->most. */
static void make_tap(taps *t, int64_t i, int filter, double centre, double widen, int64_t size,
                     double *real)
{
    const double reach = (filter == THAW_BICUBIC ? 2 : 1) * widen;
    const int64_t low = (int64_t)(centre - reach + 0.5), high = (int64_t)(centre + reach + 0.5);
    const double narrow = 1 / widen;
    double sum = 0;
    t->first[i] = low < 0 ? 0 : low;
    t->count[i] = (high > size ? size : high) - t->first[i];
    for (int64_t k = 0; k < t->count[i]; k++) {
        const double x = ((double)(k + t->first[i]) - centre + 0.5) * narrow;
        real[k] = filter == THAW_BICUBIC ? cubic(x) : triangle(x);
        sum += real[k];
    }
    for (int64_t k = 0; k < t->count[i]; k++) {
        const double scaled = real[k] / sum * (1 << FRACTION_BITS);
        t->weight[i * t->most + k] = (int32_t)(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    }
}

/* Outputs [begin, begin + n) of an axis that goes from `size` to `whole` pixels. */
static thaw_status make_taps(taps *t, int filter, int64_t size, int64_t whole, int64_t begin,
                             int64_t n)
{
    const double scale = (double)size / (double)whole, widen = scale > 1 ? scale : 1;
    double *real = NULL;
    thaw_status status = THAW_OK;
    t->most = 2 * (int64_t)ceil((filter == THAW_BICUBIC ? 2 : 1) * widen) + 1;
    THAW_TRY_TO(thaw_alloc(&t->first, n, sizeof *t->first));
    THAW_TRY_TO(thaw_alloc(&t->count, n, sizeof *t->count));
    THAW_TRY_TO(thaw_alloc(&t->weight, n * t->most, sizeof *t->weight));
    THAW_TRY_TO(thaw_alloc(&real, t->most, sizeof *real));
    for (int64_t i = 0; i < n; i++)
        make_tap(t, i, filter, ((double)(begin + i) + 0.5) * scale, widen, size, real);
done:
    thaw_free(&real);
    return status;
}

static uint8_t clip(int32_t sum)
{
    const int32_t value = sum >> FRACTION_BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* A row (W, C) to (w, C). */
static void across(const taps *t, int64_t w, int C, const uint8_t *in, uint8_t *out)
{
    for (int64_t i = 0; i < w; i++) {
        const int32_t *weight = t->weight + i * t->most;
        const uint8_t *from = in + t->first[i] * C;
        int32_t sum[3] = {1 << (FRACTION_BITS - 1), 1 << (FRACTION_BITS - 1),
                          1 << (FRACTION_BITS - 1)};
        for (int64_t k = 0; k < t->count[i]; k++)
            for (int c = 0; c < C; c++)
                sum[c] += weight[k] * from[k * C + c];
        for (int c = 0; c < C; c++)
            out[i * C + c] = clip(sum[c]);
    }
}

/* Rows (.., width) to one row (width); sums is scratch of width. */
static void down(const int32_t *weight, int64_t count, int64_t width, const uint8_t *in,
                 int32_t *sums, uint8_t *out)
{
    for (int64_t j = 0; j < width; j++)
        sums[j] = 1 << (FRACTION_BITS - 1);
    for (int64_t k = 0; k < count; k++)
        for (int64_t j = 0; j < width; j++)
            sums[j] += weight[k] * in[k * width + j];
    for (int64_t j = 0; j < width; j++)
        out[j] = clip(sums[j]);
}

thaw_status thaw_picture_resample(const thaw_picture *picture, int filter, int64_t W, int64_t H,
                                  int64_t left, int64_t top, int64_t w, int64_t h, uint8_t *out)
{
    const int C = picture->C;
    taps x = {0}, y = {0};
    uint8_t *rows = NULL;
    int32_t *sums = NULL;
    thaw_status status = THAW_OK;
    THAW_TRY_TO(make_taps(&x, filter, picture->W, W, left, w));
    THAW_TRY_TO(make_taps(&y, filter, picture->H, H, top, h));
    /* Only the rows that the window sees. */
    const int64_t begin = y.first[0], end = y.first[h - 1] + y.count[h - 1];
    THAW_TRY_TO(thaw_alloc(&rows, (end - begin) * w * C, 1));
    THAW_TRY_TO(thaw_alloc(&sums, w * C, sizeof *sums));
    for (int64_t r = begin; r < end; r++)
        across(&x, w, C, picture->pixels + r * picture->W * C, rows + (r - begin) * w * C);
    for (int64_t i = 0; i < h; i++)
        down(y.weight + i * y.most, y.count[i], w * C, rows + (y.first[i] - begin) * w * C, sums,
             out + i * w * C);
done:
    thaw_free(&sums);
    thaw_free(&rows);
    clear_taps(&x);
    clear_taps(&y);
    return status;
}
