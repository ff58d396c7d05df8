/* Two samples in one: which two, in which shares. Everything is drawn from a stream of (seed, epoch, sample), apart from that of the other
 * changes; the partner comes from the whole split, so nothing depends on batches, shards or ranks. */
#include "data/augment_impl.h"

#include <math.h>
#include <string.h>

#define STREAM UINT64_C(0x6d6978)

bool thaw_augment_mixes(const thaw_augment *a)
{
    return a->mixup > 0 || a->cutmix > 0;
}

/* Beta(a, a) for 0 < a <= 1. Source: Johnk 1964; powers of both draws are compared through their logarithms, which do not vanish. */
static double beta(thaw_rng *rng, double a)
{
    for (;;) {
        const double u = log(1 - thaw_rng_uniform(rng)) / a;
        const double v = log(1 - thaw_rng_uniform(rng)) / a;
        if (exp(u) + exp(v) > 1)
            continue;
        return 1 / (1 + exp(v - u));
    }
}

/* A rectangle of the picture's aspect and about 1 - share of its area; what lies outside of the picture is cut off. */
static void draw_rectangle(thaw_rng *rng, int64_t H, int64_t W, thaw_blend *m)
{
    const double side = sqrt(1 - m->share);
    const int64_t height = (int64_t)((double)H * side), width = (int64_t)((double)W * side);
    const int64_t y = (int64_t)thaw_rng_below(rng, (uint64_t)H) - height / 2;
    const int64_t x = (int64_t)thaw_rng_below(rng, (uint64_t)W) - width / 2;
    m->top = y < 0 ? 0 : y;
    m->left = x < 0 ? 0 : x;
    m->height = (y + height < H ? y + height : H) - m->top;
    m->width = (x + width < W ? x + width : W) - m->left;
    m->share = 1 - (double)(m->height * m->width) / (double)(H * W);
}

thaw_blend thaw_augment_blend(const thaw_augment *a, uint64_t seed, uint32_t epoch, int64_t N,
                              int64_t index, const thaw_shape *sample)
{
    thaw_rng rng = thaw_rng_make(thaw_mix(seed, STREAM), THAW_RNG_AUGMENT, epoch, (uint64_t)index);
    thaw_blend m = {.partner = (int64_t)thaw_rng_below(&rng, (uint64_t)N)};
    const bool coin = thaw_rng_uniform(&rng) < 0.5;
    m.rectangle = a->cutmix > 0 && (a->mixup == 0 || coin);
    m.share = beta(&rng, m.rectangle ? a->cutmix : a->mixup);
    if (m.rectangle)
        draw_rectangle(&rng, sample->dim[1], sample->dim[2], &m);
    return m;
}

void thaw_augment_apply_blend(const thaw_blend *m, const thaw_shape *sample, const float *other,
                              float *x)
{
    const int64_t C = sample->dim[0], H = sample->dim[1], W = sample->dim[2];
    const float own = (float)m->share, rest = (float)(1 - m->share);
    for (int64_t i = 0; !m->rectangle && i < C * H * W; i++)
        x[i] = own * x[i] + rest * other[i];
    for (int64_t c = 0; m->rectangle && c < C; c++)
        for (int64_t y = m->top; y < m->top + m->height; y++) {
            const int64_t at = (c * H + y) * W + m->left;
            memcpy(x + at, other + at, (size_t)m->width * sizeof *x);
        }
}
