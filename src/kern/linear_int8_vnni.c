/* linear_int8_vnni.c - the product of a linear layer in 8 bits for CPUs with AVX-512 VNNI: tiles of up to 6 rows by 64 outputs in
 * registers, four byte products a lane and instruction. */
#include "kern/linear_int8_impl.h"

#include <stddef.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>

#define VNNI __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))
#define TILE static inline __attribute__((always_inline)) VNNI

enum { ROWS = 6, PANELS = 4, LANES = KERN_LINEAR8_LANES };

/* Sums of a tile into floats of y; outputs beyond O are not written. */
TILE void finish(const kern_linear8 *l, int64_t i, int64_t o, int rows, int panels,
                 __m512i sums[ROWS][PANELS])
{
    for (int p = 0; p < panels; p++) {
        const int64_t at = o + p * LANES;
        const int64_t left = l->O - at < LANES ? l->O - at : LANES;
        const __mmask16 mask = (__mmask16)((1u << left) - 1);
        const __m512 scale = _mm512_maskz_loadu_ps(mask, l->w_scale + at);
        const __m512 bias =
            l->bias ? _mm512_maskz_loadu_ps(mask, l->bias + at) : _mm512_setzero_ps();
        for (int r = 0; r < rows; r++) {
            const __m512i sum = _mm512_sub_epi32(sums[r][p], _mm512_set1_epi32(l->excess[i + r]));
            const __m512 value = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale);
            const __m512 row_scale = _mm512_set1_ps(l->row_scale[i + r]);
            _mm512_mask_storeu_ps(l->y + (i + r) * l->O + at, mask,
                                  _mm512_fmadd_ps(value, row_scale, bias));
        }
    }
}

/* `rows` rows from row i on, `panels` panels from output o on. Both numbers are constants where this is called. */
TILE void tile(const kern_linear8 *l, int64_t i, int64_t o, int rows, int panels)
{
    const int8_t *x = l->x + i * l->row;
    const uint8_t *w = l->w + o * l->row;
    const int64_t panel = LANES * l->row;
    __m512i sums[ROWS][PANELS];
    for (int r = 0; r < rows; r++)
        for (int p = 0; p < panels; p++)
            sums[r][p] = _mm512_setzero_si512();
    for (int64_t d = 0; d < l->row; d += 4) {
        __m512i weights[PANELS];
        for (int p = 0; p < panels; p++)
            weights[p] = _mm512_loadu_si512(w + p * panel + d * LANES);
        for (int r = 0; r < rows; r++) {
            int32_t four;
            memcpy(&four, x + r * l->row + d, sizeof four);
            const __m512i bytes = _mm512_set1_epi32(four);
            for (int p = 0; p < panels; p++)
                sums[r][p] = _mm512_dpbusd_epi32(sums[r][p], weights[p], bytes);
        }
    }
    finish(l, i, o, rows, panels, sums);
}

TILE void tiles(const kern_linear8 *l, int64_t first, int64_t last, int64_t o, int panels)
{
    int64_t i = first;
    for (; i + ROWS <= last; i += ROWS)
        tile(l, i, o, ROWS, panels);
    switch (last - i) {
    case 5:
        tile(l, i, o, 5, panels);
        break;
    case 4:
        tile(l, i, o, 4, panels);
        break;
    case 3:
        tile(l, i, o, 3, panels);
        break;
    case 2:
        tile(l, i, o, 2, panels);
        break;
    case 1:
        tile(l, i, o, 1, panels);
        break;
    default:
        break;
    }
}

VNNI static void rows_vnni(const kern_linear8 *l, int64_t first, int64_t last)
{
    int64_t o = 0;
    for (; l->O - o > (PANELS - 1) * LANES; o += PANELS * LANES)
        tiles(l, first, last, o, PANELS);
    for (; o < l->O; o += LANES)
        tiles(l, first, last, o, 1);
}

static bool fits(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
}

const kern_linear8_kind kern_linear8_vnni = {"AVX-512 VNNI", fits, rows_vnni};
#else
static bool fits(void)
{
    return false;
}

const kern_linear8_kind kern_linear8_vnni = {"AVX-512 VNNI", fits, NULL};
#endif
