/* gemm.c - matrix product on our own tiles, for machines without a BLAS. */
#include "kern/conv_impl.h"

#include "kern/kern_impl.h"
#include "kern/threads_impl.h"

/* One panel of op(B), steps x (two vectors), lies on the stack: 32 KiB at most. */
enum { PANEL_STEPS = 256, MOST_BLOCK = 2 * KERN_MOST_LANES };

typedef struct product {
    const kern_isa *isa;
    bool transpose_a, transpose_b;
    int64_t M, N, K;
    float alpha;
    const float *a, *b;
    int64_t lda, ldb;
    float *c;
    int64_t ldc;
} product;

/* Rows [k, k + steps) and columns [n, n + width) of op(B), zero beyond N. */
static void pack_panel(const product *p, int64_t k, int64_t steps, int64_t n, int64_t width,
                       float *panel)
{
    int64_t known = p->N - n < width ? p->N - n : width;
    if (known < width)
        thaw_kern_fill(steps * width, 0.0f, panel);
    if (p->transpose_b) {
        p->isa->transpose(known, steps, p->b + n * p->ldb + k, p->ldb, panel, width, steps, 0);
        return;
    }
    for (int64_t i = 0; i < steps; i++)
        for (int64_t j = 0; j < known; j++)
            panel[i * width + j] = p->b[(k + i) * p->ldb + n + j];
}

static void add_tile(const product *p, int64_t rows, int64_t m, int64_t n, int64_t width,
                     const float *tile)
{
    int64_t known = p->N - n < width ? p->N - n : width;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t j = 0; j < known; j++)
            p->c[(m + r) * p->ldc + n + j] += p->alpha * tile[r * width + j];
}

static void add_panel(const product *p, int64_t k, int64_t steps, int64_t n, int vectors)
{
    float panel[PANEL_STEPS * MOST_BLOCK] __attribute__((aligned(64)));
    float tile[KERN_MOST_ROWS * MOST_BLOCK] __attribute__((aligned(64)));
    static const int64_t start = 0;
    int64_t width = vectors * p->isa->lanes;
    pack_panel(p, k, steps, n, width, panel);
    kern_tile_run run = {.row_stride = p->lda,
                         .step_a = p->lda,
                         .step_b = width,
                         .steps = steps,
                         .segments = 1,
                         .a_offset = &start,
                         .b_offset = &start,
                         .c_stride = width};
    int64_t tiles = conv_parts(p->M, p->isa->most_rows[vectors - 1]);
    for (int64_t t = 0; t < tiles; t++) {
        int64_t m = conv_part(p->M, tiles, t);
        int64_t rows = conv_part(p->M, tiles, t + 1) - m;
        if (p->transpose_a)
            p->isa->unit[vectors - 1][rows](&run, p->a + k * p->lda + m, panel, tile);
        else
            p->isa->strided[vectors - 1][rows](&run, p->a + m * p->lda + k, panel, tile);
        add_tile(p, rows, m, n, width, tile);
    }
}

void kern_tiled_gemm(const thaw_kern *kern, bool transpose_a, bool transpose_b, int64_t M,
                     int64_t N, int64_t K, float alpha, const float *a, int64_t lda, const float *b,
                     int64_t ldb, float beta, float *c, int64_t ldc)
{
    product p = {
        kern_isa_of(kern), transpose_a, transpose_b, M, N, K, alpha, a, b, lda, ldb, c, ldc};
    /* A vector's multiply and add in place of an element. */
    int threads = thaw_threads_for(M * N / 16 * K);
    int64_t block = 2 * p.isa->lanes;
    KERN_ALL(threads, M, m, {
        /* beta 0 must not read c: it may hold NaN. */
        if (beta == 0)
            thaw_kern_fill(N, 0.0f, c + m * ldc);
        else if (beta != 1)
            thaw_kern_scale(N, beta, c + m * ldc);
    });
    /* A strip of A stays in cache for all panels. */
    for (int64_t k = 0; k < K; k += PANEL_STEPS)
        KERN_ALL(threads, conv_parts(N, block), i,
                 add_panel(&p, k, K - k < PANEL_STEPS ? K - k : PANEL_STEPS, i * block,
                           conv_block_vectors(p.isa, N - i * block)));
}
