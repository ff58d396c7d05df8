/* attention.c - scaled dot-product attention of one head, on our own tiles: the products are too small for a library call, and
 * scores stay in the second cache. Backward computes them again from q and k, which costs less than reading them from memory.
 *
 * t = T rounded up to whole vectors, e = d rounded up. Columns of scores beyond T are taken out by their bias. */
#include "thaw/kern.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "kern/conv_impl.h"
#include "kern/rows_impl.h"

typedef struct head {
    const thaw_attention *s;
    const kern_isa *isa;
    const kern_rows *rows;
    int64_t t, e;
    const float *q, *k, *v, *dy;
    int64_t stride;          /* of the four: s->stride, or e where they had to be copied */
    float *bias;             /* (t) */
    float *panel;            /* (d, t): k or v, transposed */
    float *scores, *dscores; /* (T, t) */
    float *copies;           /* 4 (T, e) */
    float *out;              /* (T, e) */
} head;

/* c (M, N) = a b, or a' b (unit); N is whole vectors, of which b may be read and c written. */
static void product(const kern_isa *isa, bool unit, int64_t M, int64_t N, int64_t K, const float *a,
                    int64_t a_stride, const float *b, int64_t b_stride, float *c, int64_t c_stride)
{
    static const int64_t start = 0;
    kern_tile_run run = {.row_stride = a_stride,
                         .step_a = a_stride,
                         .step_b = b_stride,
                         .steps = K,
                         .segments = 1,
                         .a_offset = &start,
                         .b_offset = &start,
                         .c_stride = c_stride};
    for (int64_t n = 0; n < N;) {
        int vectors = conv_block_vectors(isa, N - n);
        int64_t tiles = conv_parts(M, isa->most_rows[vectors - 1]);
        for (int64_t i = 0; i < tiles; i++) {
            int64_t m = conv_part(M, tiles, i);
            int64_t count = conv_part(M, tiles, i + 1) - m;
            kern_tile *const *table = unit ? isa->unit[vectors - 1] : isa->strided[vectors - 1];
            table[count](&run, a + m * (unit ? 1 : a_stride), b + n, c + m * c_stride + n);
        }
        n += (int64_t)vectors * isa->lanes;
    }
}

static size_t take_memory(head *h, bool backward, void *workspace)
{
    conv_scratch scratch = conv_scratch_on(workspace);
    int64_t T = h->s->T;
    h->bias = conv_take_floats(&scratch, h->t);
    h->panel = conv_take_floats(&scratch, h->s->d * h->t);
    h->scores = conv_take_floats(&scratch, T * h->t);
    if (backward)
        h->dscores = conv_take_floats(&scratch, T * h->t);
    if (h->e != h->s->d)
        h->copies = conv_take_floats(&scratch, 4 * T * h->e);
    h->out = conv_take_floats(&scratch, T * h->e);
    return scratch.used + CONV_LINE;
}

static head start(const thaw_attention *s)
{
    const kern_isa *isa = kern_isa_choose();
    return (head){.s = s,
                  .isa = isa,
                  .rows = kern_rows_choose(),
                  .t = conv_round(s->T, isa->lanes),
                  .e = conv_round(s->d, isa->lanes),
                  .stride = s->stride};
}

size_t thaw_kern_attention_workspace(const thaw_attention *s, bool backward)
{
    head h = start(s);
    return take_memory(&h, backward, NULL);
}

/* Rows that are no whole vectors are copied, with zeros behind. */
static const float *whole_vectors(const head *h, int index, const float *x)
{
    int64_t d = h->s->d;
    if (h->e == d || x == NULL)
        return x;
    float *copy = h->copies + index * h->s->T * h->e;
    for (int64_t i = 0; i < h->s->T; i++) {
        memcpy(copy + i * h->e, x + i * h->s->stride, (size_t)d * sizeof *copy);
        memset(copy + i * h->e + d, 0, (size_t)(h->e - d) * sizeof *copy);
    }
    return copy;
}

static void set_inputs(head *h, const float *q, const float *k, const float *v, const float *dy,
                       const bool *masked)
{
    h->q = whole_vectors(h, 0, q);
    h->k = whole_vectors(h, 1, k);
    h->v = whole_vectors(h, 2, v);
    h->dy = whole_vectors(h, 3, dy);
    if (h->e != h->s->d)
        h->stride = h->e;
    /* Finite, so that a sample of padding alone gets equal weights and not NaN. */
    for (int64_t i = 0; i < h->t; i++)
        h->bias[i] = i >= h->s->T ? -INFINITY : masked && masked[i] ? -FLT_MAX : 0.0f;
}

/* out (T, t) = a (T, d) b' (d, T) */
static void dot_products(const head *h, const float *a, const float *b, float *out)
{
    int64_t T = h->s->T;
    int64_t d = h->s->d;
    for (int64_t j = 0; j < d && T < h->t; j++)
        memset(h->panel + j * h->t + T, 0, (size_t)(h->t - T) * sizeof(float));
    h->isa->transpose(T, d, b, h->stride, h->panel, h->t, d, 0);
    product(h->isa, false, T, h->t, d, a, h->stride, h->panel, h->t, out, h->t);
}

static void multiply_factors(const head *h, const float *factors, const float *x, float *y)
{
    int64_t T = h->s->T;
    for (int64_t i = 0; i < T; i++)
        thaw_kern_multiply(T, x + i * h->t, factors + i * T, y + i * h->t, false);
}

void thaw_kern_attention(const thaw_attention *s, const float *q, const float *k, const float *v,
                         const bool *masked, const float *factors, float *y, float *stats,
                         void *workspace)
{
    head h = start(s);
    int64_t T = s->T;
    (void)take_memory(&h, false, workspace);
    set_inputs(&h, q, k, v, NULL, masked);
    dot_products(&h, h.q, h.k, h.scores);
    h.rows->softmax(T, h.t, s->scale, h.bias, h.scores, stats);
    if (factors)
        multiply_factors(&h, factors, h.scores, h.scores);
    product(h.isa, false, T, h.e, T, h.scores, h.t, h.v, h.stride, h.out, h.e);
    /* The sum is divided out here, where there are d columns and not T. */
    for (int64_t i = 0; i < T; i++)
        for (int64_t j = 0; j < s->d; j++)
            y[i * s->stride + j] = h.out[i * h.e + j] * stats[2 * i + 1];
}

static void take_out(const head *h, float *to, bool accumulate)
{
    for (int64_t i = 0; i < h->s->T; i++) {
        float *row = to + i * h->s->stride;
        const float *from = h->out + i * h->e;
        if (accumulate)
            thaw_kern_axpy(h->s->d, 1.0f, from, row);
        else
            memcpy(row, from, (size_t)h->s->d * sizeof *row);
    }
}

/* Gradients of q and k, through the scores. */
static void through_scores(const head *h, const float *factors, float *const dx[3],
                           const bool accumulate[3])
{
    int64_t T = h->s->T;
    dot_products(h, h->dy, h->v, h->dscores);
    if (factors)
        multiply_factors(h, factors, h->dscores, h->dscores);
    h->rows->softmax_backward(T, h->t, h->s->scale, h->scores, h->dscores);
    for (int i = 0; i < 2; i++)
        if (dx[i]) {
            product(h->isa, i == 1, T, h->e, T, h->dscores, h->t, i == 0 ? h->k : h->q, h->stride,
                    h->out, h->e);
            take_out(h, dx[i], accumulate[i]);
        }
}

void thaw_kern_attention_backward(const thaw_attention *s, const float *q, const float *k,
                                  const float *v, const bool *masked, const float *factors,
                                  const float *stats, const float *dy, float *const dx[3],
                                  const bool accumulate[3], void *workspace)
{
    head h = start(s);
    int64_t T = s->T;
    (void)take_memory(&h, true, workspace);
    set_inputs(&h, q, k, v, dy, masked);
    dot_products(&h, h.q, h.k, h.scores);
    h.rows->softmax_again(T, h.t, s->scale, h.bias, h.scores, stats);
    if (dx[0] || dx[1])
        through_scores(&h, factors, dx, accumulate);
    if (!dx[2])
        return;
    if (factors)
        multiply_factors(&h, factors, h.scores, h.scores);
    product(h.isa, true, T, h.e, T, h.scores, h.t, h.dy, h.stride, h.out, h.e);
    take_out(&h, dx[2], accumulate[2]);
}
