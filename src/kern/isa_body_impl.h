/* isa_body_impl.h - included by isa_*.c, each compiled for its CPU with LANES and the register budget defined. Plain C
 * with the compilers' vector types: both gcc and clang keep the accumulators in registers when every loop over them
 * is unrolled. */
#include "kern/isa_impl.h"
#include "kern/lanes_impl.h"

#if LANES == 16
#include <immintrin.h>
#endif

typedef int32_t ints __attribute__((vector_size(LANES * 4)));

/* The first `count` floats and zeros; count may be anything. */
INLINE lanes load_first(const float *from, int64_t count)
{
    if (count >= LANES)
        return load(from);
#if LANES == 16
    return (lanes)_mm512_maskz_loadu_ps((__mmask16)((1u << (count > 0 ? count : 0)) - 1), from);
#else
    float all[LANES] = {0};
    for (int64_t i = 0; i < count; i++)
        all[i] = from[i];
    return load(all);
#endif
}

INLINE void store_first(float *to, lanes value, int64_t count)
{
    if (count >= LANES) {
        store(to, value);
        return;
    }
#if LANES == 16
    _mm512_mask_storeu_ps(to, (__mmask16)((1u << (count > 0 ? count : 0)) - 1), (__m512)value);
#else
    float all[LANES];
    store(all, value);
    for (int64_t i = 0; i < count; i++)
        to[i] = all[i];
#endif
}

INLINE lanes choose(ints mask, lanes yes, lanes no)
{
    return (lanes)((mask & (ints)yes) | (~mask & (ints)no));
}

/* rows, vectors and unit are constants after inlining. Rows are addressed in threes from one pointer, because x86
 * addresses reach a base plus one or two strides: five pointers then serve 14 rows. */
INLINE void tile(const int rows, const int vectors, const bool unit, const kern_tile_run *run,
                 const float *a, const float *b, float *c)
{
    lanes sum[KERN_MOST_ROWS][2];
    int64_t stride = unit ? 1 : run->row_stride;
    int64_t step_a = unit ? run->step_a : 1;
    int64_t step_b = run->step_b;
    int64_t steps = run->steps;
    UNROLL
    for (int r = 0; r < rows; r++)
        UNROLL
    for (int v = 0; v < vectors; v++)
        sum[r][v] = (lanes){0};
    for (int64_t s = 0; s < run->segments; s++) {
        const float *start = a + run->a_offset[s];
        const float *right = b + run->b_offset[s];
        const float *left[(KERN_MOST_ROWS + 2) / 3];
        UNROLL
        for (int g = 0; 3 * g < rows; g++)
            left[g] = start + 3 * g * stride;
        UNROLL_SOME
        for (int64_t k = 0; k < steps; k++) {
            lanes factor[2];
            UNROLL
            for (int v = 0; v < vectors; v++)
                factor[v] = load(right + v * LANES);
            UNROLL
            for (int r = 0; r < rows; r++) {
                float x = left[r / 3][r % 3 * stride];
                UNROLL
                for (int v = 0; v < vectors; v++)
                    sum[r][v] += x * factor[v];
            }
            right += step_b;
            UNROLL
            for (int g = 0; 3 * g < rows; g++)
                left[g] += step_a;
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++)
        UNROLL
    for (int v = 0; v < vectors; v++) {
        float *to = c + r * run->c_stride + v * LANES;
        store(to, run->add ? load(to) + sum[r][v] : sum[r][v]);
    }
}

#define TILE(rows, vectors)                                                                        \
    static void strided_##rows##_##vectors(const kern_tile_run *run, const float *a,               \
                                           const float *b, float *c)                               \
    {                                                                                              \
        tile(rows, vectors, false, run, a, b, c);                                                  \
    }                                                                                              \
    static void unit_##rows##_##vectors(const kern_tile_run *run, const float *a, const float *b,  \
                                        float *c)                                                  \
    {                                                                                              \
        tile(rows, vectors, true, run, a, b, c);                                                   \
    }

/* clang-format off */
TILE(1, 1) TILE(2, 1) TILE(3, 1) TILE(4, 1) TILE(5, 1) TILE(6, 1) TILE(7, 1) TILE(8, 1)
TILE(9, 1) TILE(10, 1) TILE(11, 1) TILE(12, 1)
TILE(1, 2) TILE(2, 2) TILE(3, 2) TILE(4, 2) TILE(5, 2) TILE(6, 2)
#if MANY_REGISTERS
TILE(13, 1) TILE(14, 1) TILE(15, 1) TILE(16, 1)
TILE(7, 2) TILE(8, 2) TILE(9, 2) TILE(10, 2) TILE(11, 2) TILE(12, 2) TILE(13, 2) TILE(14, 2)
#endif
/* clang-format on */

/* In-register transposition: at distance d, rows i and i + d exchange the blocks of d elements that lie off the diagonal. */
#if LANES == 16
#define LOW_8  0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23
#define HIGH_8 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31
#define LOW_4  0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27
#define HIGH_4 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31
#define LOW_2  0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29
#define HIGH_2 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31
#define LOW_1  0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30
#define HIGH_1 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31
#elif LANES == 8
#define LOW_4  0, 1, 2, 3, 8, 9, 10, 11
#define HIGH_4 4, 5, 6, 7, 12, 13, 14, 15
#define LOW_2  0, 1, 8, 9, 4, 5, 12, 13
#define HIGH_2 2, 3, 10, 11, 6, 7, 14, 15
#define LOW_1  0, 8, 2, 10, 4, 12, 6, 14
#define HIGH_1 1, 9, 3, 11, 5, 13, 7, 15
#else
#define LOW_2  0, 1, 4, 5
#define HIGH_2 2, 3, 6, 7
#define LOW_1  0, 4, 2, 6
#define HIGH_1 1, 5, 3, 7
#endif

#define EXCHANGE(d)                                                                                \
    UNROLL                                                                                         \
    for (int i = 0; i < LANES; i++)                                                                \
        if ((i & d) == 0) {                                                                        \
            lanes upper = __builtin_shufflevector(row[i], row[i + d], LOW_##d);                    \
            row[i + d] = __builtin_shufflevector(row[i], row[i + d], HIGH_##d);                    \
            row[i] = upper;                                                                        \
        }

                INLINE void exchange(lanes row[LANES])
{
#if LANES >= 16
    EXCHANGE(8)
#endif
#if LANES >= 8
    EXCHANGE(4)
#endif
    EXCHANGE(2)
    EXCHANGE(1)
}

/* Whether LANES floats of each of the LANES rows from (i, j) on lie inside the matrix: a narrow block may read what follows
 * its columns in memory, but not what follows the last row. */
INLINE bool block_inside(int64_t rows, int64_t columns, int64_t stride, int64_t i, int64_t j)
{
    return (i + LANES - 1) * stride + j + LANES <= (rows - 1) * stride + columns;
}

static void transpose(int64_t rows, int64_t columns, const float *in, int64_t in_stride, float *out,
                      int64_t out_stride, int64_t run, int64_t gap)
{
    float *next = out;
    int64_t left = run;
    for (int64_t j = 0; j < columns; j += LANES) {
        int64_t width = columns - j < LANES ? columns - j : LANES;
        float *to[LANES];
        for (int64_t q = 0; q < width; q++) {
            to[q] = next;
            next += out_stride;
            if (--left == 0) {
                next += gap * out_stride;
                left = run;
            }
        }
        int64_t i = 0;
        for (; i + LANES <= rows && block_inside(rows, columns, in_stride, i, j); i += LANES) {
            lanes row[LANES];
            UNROLL
            for (int q = 0; q < LANES; q++)
                row[q] = load(in + (i + q) * in_stride + j);
            exchange(row);
            if (width == LANES) {
                UNROLL
                for (int q = 0; q < LANES; q++)
                    store(to[q] + i, row[q]);
            } else {
                /* Through memory: an index that is not constant would keep `row` out of registers everywhere. */
                float narrow[LANES * LANES];
                UNROLL
                for (int q = 0; q < LANES; q++)
                    store(narrow + q * LANES, row[q]);
                for (int64_t q = 0; q < width; q++)
                    store(to[q] + i, load(narrow + q * LANES));
            }
        }
        for (; i < rows; i++)
            for (int64_t q = 0; q < width; q++)
                to[q][i] = in[i * in_stride + j + q];
    }
}

INLINE void transpose_block_out(const float *in, int64_t in_stride, float *out, int64_t out_stride,
                                const float *bias, bool add)
{
    lanes row[LANES];
    UNROLL
    for (int q = 0; q < LANES; q++)
        row[q] = load(in + q * in_stride);
    exchange(row);
    UNROLL
    for (int q = 0; q < LANES; q++) {
        lanes value = bias ? row[q] + bias[q] : row[q];
        float *to = out + q * out_stride;
        store(to, add ? load(to) + value : value);
    }
}

static void transpose_out(int64_t rows, int64_t columns, const float *in, int64_t in_stride,
                          float *out, int64_t out_stride, const float *bias, bool add)
{
    for (int64_t j = 0; j < columns; j += LANES) {
        int64_t width = columns - j < LANES ? columns - j : LANES;
        int64_t i = 0;
        for (; width == LANES && i + LANES <= rows; i += LANES)
            transpose_block_out(in + i * in_stride + j, in_stride, out + j * out_stride + i,
                                out_stride, bias ? bias + j : NULL, add);
        for (; i < rows; i++)
            for (int64_t q = j; q < j + width; q++) {
                float value = in[i * in_stride + q] + (bias ? bias[q] : 0.0f);
                out[q * out_stride + i] = add ? out[q * out_stride + i] + value : value;
            }
    }
}

#include "kern/isa_block_impl.h"
#include "kern/isa_depthwise_impl.h"
#include "kern/isa_norm_impl.h"
#include "kern/isa_winograd_blocks_impl.h"

/* clang-format off */
#define TILES_12(kind) NULL, kind##_1_1, kind##_2_1, kind##_3_1, kind##_4_1, kind##_5_1, kind##_6_1, kind##_7_1, \
                       kind##_8_1, kind##_9_1, kind##_10_1, kind##_11_1, kind##_12_1
#define TILES_6(kind) NULL, kind##_1_2, kind##_2_2, kind##_3_2, kind##_4_2, kind##_5_2, kind##_6_2
#if MANY_REGISTERS
#define ONE(kind) TILES_12(kind), kind##_13_1, kind##_14_1, kind##_15_1, kind##_16_1
#define TWO(kind) TILES_6(kind), kind##_7_2, kind##_8_2, kind##_9_2, kind##_10_2, kind##_11_2, kind##_12_2, kind##_13_2, \
                  kind##_14_2
#define MOST_ROWS {16, 14}
#else
#define ONE(kind) TILES_12(kind)
#define TWO(kind) TILES_6(kind)
#define MOST_ROWS {12, 6}
#endif
#define ISA_TABLE(title)                                                                           \
    {                                                                                              \
        .name = title, .lanes = LANES, .most_rows = MOST_ROWS,                                     \
        .strided = {{ONE(strided)}, {TWO(strided)}}, .unit = {{ONE(unit)}, {TWO(unit)}},           \
        .transpose = transpose, .transpose_out = transpose_out, .winograd_input = winograd_input,  \
        .winograd_output = winograd_output, .winograd_gradient = winograd_gradient,                \
        .winograd_weight = winograd_weight, .winograd_weight_gradient = winograd_weight_gradient,  \
        .conv = {.finish_rows = finish_rows, .depthwise_row = depthwise_row,                       \
                 .depthwise_gradient = depthwise_gradient,                                         \
                 .winograd_input = blocks_winograd_input,                                          \
                 .winograd_gradient = blocks_winograd_gradient,                                    \
                 .winograd_output = blocks_winograd_output},                                       \
        .image = {                                                                                 \
            .moments = norm_moments, .sums = norm_sums, .affine = norm_affine,                     \
            .gradient_sums = norm_gradient_sums, .combine = norm_combine, .spread = norm_spread,   \
            .act = act_forward, .act_backward = act_backward, .add_act = add_act,                  \
            .to_block = to_block, .from_block = from_block, .max_pool = block_max_pool,            \
            .max_pool_backward = block_max_pool_backward, .avg_pool = block_avg_pool,              \
            .avg_pool_backward = block_avg_pool_backward }                                         \
    }
/* clang-format on */
