/* linear_int8.c - linear layers in 8 bits: rows of bytes with a scale each, whole-number sums, floats out.
 *
 * The CPU's product takes one unsigned and one signed byte. Weights are the unsigned ones, moved up by 128; what that adds to a sum,
 * 128 times the sum of the row's bytes, is taken off in whole numbers. */
#include "thaw/kern.h"

#include <math.h>
#include <string.h>

#include "kern/clones_impl.h"
#include "kern/conv_impl.h"
#include "kern/linear_int8_impl.h"
#include "kern/threads_impl.h"

enum { CHUNK = 192 }; /* most rows that stay in the near caches while all weights pass */

static const uint32_t infinity_bits = 0x7F800000;

/* Floats without their sign are ordered as their bits are, and what is not finite lies above all others. */
KERN_CLONES static float largest_magnitude(int64_t n, const float *x)
{
    uint32_t most = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bits &= 0x7FFFFFFF;
        most = bits > most ? bits : most;
    }
    if (most >= infinity_bits)
        return NAN;
    float value;
    memcpy(&value, &most, sizeof value);
    return value;
}

/* Rounded to nearest by the float format itself: beyond 2^23 a float has no fraction. */
KERN_CLONES static int32_t signed_bytes(int64_t n, const float *x, float factor, int8_t *out)
{
    const float big = 12582912.0f;
    int32_t sum = 0;
    for (int64_t i = 0; i < n; i++) {
        const float moved = x[i] * factor + big;
        int32_t bits;
        memcpy(&bits, &moved, sizeof bits);
        out[i] = (int8_t)(bits - 0x4B400000);
        sum += out[i];
    }
    return sum;
}

/* A row of zeros has bytes 0 with any scale. One that is not finite gets bytes 0 and the scale NaN, so that its results say so. A magnitude
 * whose 127th part has no inverse is 0 as far as a float can tell. */
static int32_t quantize_row(int64_t n, const float *x, int8_t *out, float *scale)
{
    const float most = largest_magnitude(n, x);
    const float factor = 127.0f / most;
    *scale = most / 127.0f;
    if (isfinite(factor) && factor > 0)
        return signed_bytes(n, x, factor, out);
    *scale = isnan(most) ? NAN : 0.0f;
    memset(out, 0, (size_t)n);
    return 0;
}

const kern_linear8_kind *const kern_linear8_kinds[] = {&kern_linear8_vnni, &kern_linear8_avx2,
                                                       &kern_linear8_plain, NULL};

static const kern_linear8_kind *choose(void)
{
    int i = 0;
    while (!kern_linear8_kinds[i]->fits())
        i++;
    return kern_linear8_kinds[i];
}

bool thaw_linear8_has_kernels(void)
{
    return choose() != &kern_linear8_plain;
}

bool thaw_linear8_is_fast(void)
{
    return choose() == &kern_linear8_vnni;
}

static int64_t panels_of(int64_t O)
{
    return (O + KERN_LINEAR8_LANES - 1) / KERN_LINEAR8_LANES;
}

/* [scales (panels * lanes)] [panels][quads][lanes][4] bytes */
static float *scales_in(const void *packed)
{
    return (float *)(uintptr_t)packed;
}

static uint8_t *bytes_in(const void *packed, int64_t O)
{
    return (uint8_t *)(scales_in(packed) + panels_of(O) * KERN_LINEAR8_LANES);
}

size_t thaw_linear8_packed_bytes(int64_t O, int64_t D)
{
    const int64_t outputs = panels_of(O) * KERN_LINEAR8_LANES;
    return (size_t)outputs * (sizeof(float) + (size_t)kern_linear8_row(D));
}

void thaw_linear8_pack(int64_t O, int64_t D, const float *w, void *packed, float *scratch)
{
    const int64_t row = kern_linear8_row(D);
    float *scales = scales_in(packed);
    uint8_t *out = bytes_in(packed, O);
    int8_t *bytes = (int8_t *)scratch;
    THAW_ASSERT(D <= THAW_LINEAR8_MOST_INPUTS); /* or sums do not fit 32 bits */
    memset(packed, 0, thaw_linear8_packed_bytes(O, D));
    memset(bytes, 0, (size_t)row);
    for (int64_t o = 0; o < O; o++) {
        (void)quantize_row(D, w + o * D, bytes, &scales[o]);
        uint8_t *panel = out + o / KERN_LINEAR8_LANES * KERN_LINEAR8_LANES * row;
        for (int64_t d = 0; d < row; d++)
            panel[(d / 4 * KERN_LINEAR8_LANES + o % KERN_LINEAR8_LANES) * 4 + d % 4] =
                (uint8_t)(bytes[d] + 128);
    }
}

/* [bytes (N, row)] [the same in 16 bits] [scales (N)] [sums (N)], each from a cache line on */
size_t thaw_linear8_workspace_bytes(int64_t N, int64_t D)
{
    return (size_t)(3 * conv_round(N * kern_linear8_row(D), CONV_LINE) +
                    2 * conv_round(N * 4, CONV_LINE)) +
           CONV_LINE;
}

static void quantize_rows(const kern_linear8 *l, int64_t N, const float *x)
{
    KERN_EACH(N * l->D * 2, N, i, {
        int8_t *row = l->x + i * l->row;
        memset(row + l->D, 0, (size_t)(l->row - l->D));
        l->excess[i] = 128 * quantize_row(l->D, x + i * l->D, row, &l->row_scale[i]);
    });
}

void thaw_linear8_run(int64_t N, int64_t O, int64_t D, const float *x, const void *packed,
                      const float *bias, float *y, void *workspace)
{
    const kern_linear8_kind *kind = choose();
    const int64_t row = kern_linear8_row(D);
    conv_scratch scratch = conv_scratch_on(workspace);
    char *base = (char *)(scratch.base + scratch.used);
    kern_linear8 l = {.O = O,
                      .D = D,
                      .row = row,
                      .w = bytes_in(packed, O),
                      .w_scale = scales_in(packed),
                      .bias = bias,
                      .y = y};
    l.x = (int8_t *)base;
    base += conv_round(N * row, CONV_LINE);
    l.wide = (int16_t *)base;
    base += 2 * conv_round(N * row, CONV_LINE);
    l.row_scale = (float *)base;
    l.excess = (int32_t *)(base + conv_round(N * 4, CONV_LINE));
    quantize_rows(&l, N, x);
    const int64_t threads = thaw_threads_for(N * O * D / 2);
    const int64_t share = (N + threads - 1) / threads;
    const int64_t chunk = share < CHUNK ? share : CHUNK;
    KERN_ALL((int)threads, (N + chunk - 1) / chunk, c, {
        const int64_t last = (c + 1) * chunk < N ? (c + 1) * chunk : N;
        kind->rows(&l, c * chunk, last);
    });
}

/* The plain version, to the bit what the others compute. */
static void plain_rows(const kern_linear8 *l, int64_t first, int64_t last)
{
    for (int64_t i = first; i < last; i++)
        for (int64_t o = 0; o < l->O; o++) {
            const int8_t *x = l->x + i * l->row;
            const uint8_t *w = l->w + o / KERN_LINEAR8_LANES * KERN_LINEAR8_LANES * l->row +
                               o % KERN_LINEAR8_LANES * 4;
            int32_t sum = 0;
            for (int64_t d = 0; d < l->row; d++)
                sum += x[d] * w[d / 4 * 4 * KERN_LINEAR8_LANES + d % 4];
            const float value = (float)(sum - l->excess[i]) * l->w_scale[o];
            l->y[i * l->O + o] = fmaf(value, l->row_scale[i], l->bias ? l->bias[o] : 0.0f);
        }
}

static bool always(void)
{
    return true;
}

const kern_linear8_kind kern_linear8_plain = {"plain C", always, plain_rows};
