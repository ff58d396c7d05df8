#include "data/augment_impl.h"

#include <math.h>
#include <string.h>

#define STREAM UINT64_C(0x63726f70)
/* As in torchvision: so many boxes are tried, then the largest one in the middle that has an allowed aspect is taken. */
#define TRIES 10

typedef struct box {
    int64_t top, left, height, width;
} box;

static box draw_box(const thaw_augment *a, thaw_rng *rng, int64_t H, int64_t W)
{
    const double most = a->crop_aspect_most >= 1 ? a->crop_aspect_most : 4.0 / 3;
    const double area = (double)H * (double)W;
    for (int i = 0; i < TRIES; i++) {
        const double kept =
            area * (a->crop_area_least + (1 - a->crop_area_least) * thaw_rng_uniform(rng));
        const double aspect = exp(log(most) * (2 * thaw_rng_uniform(rng) - 1));
        const int64_t width = llround(sqrt(kept * aspect)), height = llround(sqrt(kept / aspect));
        if (width < 1 || height < 1 || width > W || height > H)
            continue;
        const int64_t top = (int64_t)thaw_rng_below(rng, (uint64_t)(H - height + 1));
        const int64_t left = (int64_t)thaw_rng_below(rng, (uint64_t)(W - width + 1));
        return (box){top, left, height, width};
    }
    box b = {0, 0, H, W};
    if ((double)W > most * (double)H)
        b.width = llround((double)H * most);
    else if ((double)H > most * (double)W)
        b.height = llround((double)W * most);
    b.top = (H - b.height) / 2;
    b.left = (W - b.width) / 2;
    return b;
}

/* Position i of `size` in an interval of `part`: the two neighbours and the share of the second one; edges are repeated. */
static void neighbours(int64_t i, int64_t size, int64_t part, int64_t *low, int64_t *high,
                       float *share)
{
    double at = ((double)i + 0.5) * (double)part / (double)size - 0.5;
    at = at < 0 ? 0 : at > (double)(part - 1) ? (double)(part - 1) : at;
    *low = (int64_t)at;
    *high = *low + 1 < part ? *low + 1 : *low;
    *share = (float)(at - (double)*low);
}

/* Columns that are made at once: what each takes is worked out once for all rows, and needs no memory but the stack. */
#define STRIP 256

typedef struct strip {
    int64_t count;
    int64_t left[STRIP], right[STRIP];
    float share[STRIP];
} strip;

static void widen(const strip *s, const float *row, float *line)
{
    for (int64_t x = 0; x < s->count; x++)
        line[x] = row[s->left[x]] + s->share[x] * (row[s->right[x]] - row[s->left[x]]);
}

/* An enlarged row mostly lies between the same two rows as the one above it, or one further: lines are kept, and widened once each. */
static void enlarge_strip(const box *b, const strip *s, int64_t H, int64_t W, const float *from,
                          float *to)
{
    float lines[2][STRIP];
    int64_t held[2] = {-1, -1}; /* row r is kept in lines[r % 2] */
    for (int64_t y = 0; y < H; y++) {
        int64_t rows[2];
        float v;
        neighbours(y, H, b->height, &rows[0], &rows[1], &v);
        for (int i = 0; i < 2; i++) {
            const int64_t slot = rows[i] % 2;
            if (held[slot] != rows[i])
                widen(s, from + (b->top + rows[i]) * W + b->left, lines[slot]);
            held[slot] = rows[i];
        }
        const float *above = lines[rows[0] % 2], *below = lines[rows[1] % 2];
        for (int64_t x = 0; x < s->count; x++)
            to[y * W + x] = above[x] + v * (below[x] - above[x]);
    }
}

/* A crop is never larger than the picture, so bilinear needs no antialiasing. */
static void enlarge(const box *b, int64_t H, int64_t W, const float *from, float *plane)
{
    strip s;
    for (int64_t at = 0; at < W; at += STRIP) {
        s.count = W - at < STRIP ? W - at : STRIP;
        for (int64_t x = 0; x < s.count; x++)
            neighbours(at + x, W, b->width, &s.left[x], &s.right[x], &s.share[x]);
        enlarge_strip(b, &s, H, W, from, plane + at);
    }
}

void thaw_augment_resized_crop(const thaw_augment *a, uint64_t seed, uint32_t epoch, int64_t index,
                               const thaw_shape *sample, float *picture, float *scratch)
{
    const int64_t C = sample->dim[0], H = sample->dim[1], W = sample->dim[2];
    if (a->crop_area_least == 0)
        return;
    thaw_rng rng = thaw_rng_make(thaw_mix(seed, STREAM), THAW_RNG_AUGMENT, epoch, (uint64_t)index);
    const box b = draw_box(a, &rng, H, W);
    for (int64_t c = 0; c < C; c++) {
        float *plane = picture + c * H * W;
        memcpy(scratch, plane, (size_t)(H * W) * sizeof *plane);
        enlarge(&b, H, W, scratch, plane);
    }
}
