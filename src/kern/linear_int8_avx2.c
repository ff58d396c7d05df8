/* linear_int8_avx2.c - the product of a linear layer in 8 bits for CPUs with AVX2. Their product of bytes saturates, so bytes are widened to
 * 16 bits: twice the products of an instruction on floats, and exact. A vector holds 4 outputs, each with two partial sums. */
#include "kern/linear_int8_impl.h"

#include <stddef.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,fma")))
#define TILE static inline __attribute__((always_inline)) AVX2

enum { ROWS = 5, VECTORS = 2, OUTPUTS = 4, LANES = KERN_LINEAR8_LANES };

/* Two partial sums an output become one, in the order of the outputs. */
TILE __m128i join(__m256i pairs)
{
    const __m256i sums = _mm256_hadd_epi32(pairs, pairs);
    return _mm_unpacklo_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
}

TILE void store(const kern_linear8 *l, int64_t i, int64_t o, __m128 value)
{
    float *y = l->y + i * l->O + o;
    float last[OUTPUTS];
    if (l->O - o >= OUTPUTS) {
        _mm_storeu_ps(y, value);
        return;
    }
    _mm_storeu_ps(last, value);
    for (int64_t j = 0; j < l->O - o; j++)
        y[j] = last[j];
}

TILE __m128 bias_of(const kern_linear8 *l, int64_t o)
{
    float last[OUTPUTS] = {0};
    if (l->bias == NULL)
        return _mm_setzero_ps();
    if (l->O - o >= OUTPUTS)
        return _mm_loadu_ps(l->bias + o);
    for (int64_t j = 0; j < l->O - o; j++)
        last[j] = l->bias[o + j];
    return _mm_loadu_ps(last);
}

/* `rows` rows from row i on, VECTORS vectors of outputs from output o on, which lie in one panel. rows is a constant where this is called. */
TILE void tile(const kern_linear8 *l, int64_t i, int64_t o, int rows)
{
    const int16_t *x = l->wide + i * l->row;
    const uint8_t *w = l->w + o / LANES * LANES * l->row + o % LANES * 4;
    __m256i sums[ROWS][VECTORS];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < VECTORS; v++)
            sums[r][v] = _mm256_setzero_si256();
    for (int64_t d = 0; d < l->row; d += 4) {
        __m256i weights[VECTORS];
        for (int v = 0; v < VECTORS; v++)
            weights[v] = _mm256_cvtepu8_epi16(
                _mm_loadu_si128((const __m128i *)(const void *)(w + d * LANES + v * OUTPUTS * 4)));
        for (int r = 0; r < rows; r++) {
            int64_t four;
            memcpy(&four, x + r * l->row + d, sizeof four);
            const __m256i words = _mm256_set1_epi64x(four);
            for (int v = 0; v < VECTORS; v++)
                sums[r][v] = _mm256_add_epi32(sums[r][v], _mm256_madd_epi16(weights[v], words));
        }
    }
    for (int v = 0; v < VECTORS; v++) {
        const __m128 scale = _mm_loadu_ps(l->w_scale + o + v * OUTPUTS);
        const __m128 bias = bias_of(l, o + v * OUTPUTS);
        for (int r = 0; r < rows; r++) {
            const __m128i sum = _mm_sub_epi32(join(sums[r][v]), _mm_set1_epi32(l->excess[i + r]));
            const __m128 value = _mm_mul_ps(_mm_cvtepi32_ps(sum), scale);
            store(l, i + r, o + v * OUTPUTS,
                  _mm_fmadd_ps(value, _mm_set1_ps(l->row_scale[i + r]), bias));
        }
    }
}

AVX2 static void widen(const kern_linear8 *l, int64_t first, int64_t last)
{
    const int8_t *x = l->x + first * l->row;
    int16_t *out = l->wide + first * l->row;
    const int64_t n = (last - first) * l->row;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        _mm256_storeu_si256(
            (__m256i *)(void *)(out + i),
            _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(x + i))));
    for (; i < n; i++)
        out[i] = x[i];
}

AVX2 static void rows_avx2(const kern_linear8 *l, int64_t first, int64_t last)
{
    widen(l, first, last);
    for (int64_t o = 0; o < l->O; o += VECTORS * OUTPUTS) {
        int64_t i = first;
        for (; i + ROWS <= last; i += ROWS)
            tile(l, i, o, ROWS);
        for (; i < last; i++)
            tile(l, i, o, 1);
    }
}

static bool fits(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

const kern_linear8_kind kern_linear8_avx2 = {"AVX2", fits, rows_avx2};
#else
static bool fits(void)
{
    return false;
}

const kern_linear8_kind kern_linear8_avx2 = {"AVX2", fits, NULL};
#endif
