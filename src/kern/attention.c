/* attention.c - scaled dot-product attention of one head, on our own tiles: the products are too small for a library call, and
 * scores stay in the second cache. Backward computes them again from q and k, which costs less than reading them from memory.
 *
 * Q queries look at T keys. t = T rounded up to whole vectors, e = d rounded up. Columns of scores beyond T are taken out by their bias. */
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
    int64_t stride, dy_stride; /* of q, k, v and of dy; e where they had to be copied */
    float *bias;               /* (t) */
    float *panel;              /* (d, t): k or v, transposed */
    float *scores, *dscores;   /* (Q, t) */
    float *copies;             /* 4 (rows, e) */
    float *out;                /* (rows, e) */
    int64_t rows_count;        /* the larger of Q and T */
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
    int64_t Q = h->s->Q;
    h->bias = conv_take_floats(&scratch, h->t);
    h->panel = conv_take_floats(&scratch, h->s->d * h->t);
    h->scores = conv_take_floats(&scratch, Q * h->t);
    if (backward)
        h->dscores = conv_take_floats(&scratch, Q * h->t);
    if (h->e != h->s->d)
        h->copies = conv_take_floats(&scratch, 4 * h->rows_count * h->e);
    h->out = conv_take_floats(&scratch, h->rows_count * h->e);
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
                  .stride = s->stride,
                  .dy_stride = s->out_stride,
                  .rows_count = s->Q > s->T ? s->Q : s->T};
}

size_t thaw_kern_attention_workspace(const thaw_attention *s, bool backward)
{
    head h = start(s);
    return take_memory(&h, backward, NULL);
}

/* Rows that are no whole vectors are copied, with zeros behind. */
static const float *whole_vectors(const head *h, int index, int64_t rows, int64_t stride,
                                  const float *x)
{
    int64_t d = h->s->d;
    if (h->e == d || x == NULL)
        return x;
    float *copy = h->copies + index * h->rows_count * h->e;
    for (int64_t i = 0; i < rows; i++) {
        memcpy(copy + i * h->e, x + i * stride, (size_t)d * sizeof *copy);
        memset(copy + i * h->e + d, 0, (size_t)(h->e - d) * sizeof *copy);
    }
    return copy;
}

static void set_inputs(head *h, const float *q, const float *k, const float *v, const float *dy,
                       const bool *masked)
{
    h->q = whole_vectors(h, 0, h->s->Q, h->s->stride, q);
    h->k = whole_vectors(h, 1, h->s->T, h->s->stride, k);
    h->v = whole_vectors(h, 2, h->s->T, h->s->stride, v);
    h->dy = whole_vectors(h, 3, h->s->Q, h->s->out_stride, dy);
    if (h->e != h->s->d)
        h->stride = h->dy_stride = h->e;
    /* Finite, so that a sample of padding alone gets equal weights and not NaN. */
    for (int64_t i = 0; i < h->t; i++)
        h->bias[i] = i >= h->s->T ? -INFINITY : masked && masked[i] ? -FLT_MAX : 0.0f;
}

/* out (Q, t) = a (Q, d) b' (d, T); b is k or v */
static void dot_products(const head *h, const float *a, int64_t a_stride, const float *b,
                         float *out)
{
    int64_t T = h->s->T;
    int64_t d = h->s->d;
    for (int64_t j = 0; j < d && T < h->t; j++)
        memset(h->panel + j * h->t + T, 0, (size_t)(h->t - T) * sizeof(float));
    h->isa->transpose(T, d, b, h->stride, h->panel, h->t, d, 0);
    product(h->isa, false, h->s->Q, h->t, d, a, a_stride, h->panel, h->t, out, h->t);
}

static void multiply_factors(const head *h, const float *factors, const float *x, float *y)
{
    int64_t T = h->s->T;
    for (int64_t i = 0; i < h->s->Q; i++)
        thaw_kern_multiply(T, x + i * h->t, factors + i * T, y + i * h->t, false);
}

void thaw_kern_attention(const thaw_attention *s, const float *q, const float *k, const float *v,
                         const bool *masked, const float *factors, float *y, float *stats,
                         void *workspace)
{
    head h = start(s);
    (void)take_memory(&h, false, workspace);
    set_inputs(&h, q, k, v, NULL, masked);
    dot_products(&h, h.q, h.stride, h.k, h.scores);
    h.rows->softmax(s->Q, h.t, s->scale, h.bias, h.scores, stats);
    if (factors)
        multiply_factors(&h, factors, h.scores, h.scores);
    product(h.isa, false, s->Q, h.e, s->T, h.scores, h.t, h.v, h.stride, h.out, h.e);
    /* The sum is divided out here, where there are d columns and not T. */
    for (int64_t i = 0; i < s->Q; i++)
        for (int64_t j = 0; j < s->d; j++)
            y[i * s->out_stride + j] = h.out[i * h.e + j] * stats[2 * i + 1];
}

static void take_out(const head *h, int64_t rows, float *to, bool accumulate)
{
    for (int64_t i = 0; i < rows; i++) {
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
    int64_t Q = h->s->Q;
    dot_products(h, h->dy, h->dy_stride, h->v, h->dscores);
    if (factors)
        multiply_factors(h, factors, h->dscores, h->dscores);
    h->rows->softmax_backward(Q, h->t, h->s->scale, h->scores, h->dscores);
    if (dx[0]) {
        product(h->isa, false, Q, h->e, T, h->dscores, h->t, h->k, h->stride, h->out, h->e);
        take_out(h, Q, dx[0], accumulate[0]);
    }
    if (dx[1]) {
        product(h->isa, true, T, h->e, Q, h->dscores, h->t, h->q, h->stride, h->out, h->e);
        take_out(h, T, dx[1], accumulate[1]);
    }
}

void thaw_kern_attention_backward(const thaw_attention *s, const float *q, const float *k,
                                  const float *v, const bool *masked, const float *factors,
                                  const float *stats, const float *dy, float *const dx[3],
                                  const bool accumulate[3], void *workspace)
{
    head h = start(s);
    (void)take_memory(&h, true, workspace);
    set_inputs(&h, q, k, v, dy, masked);
    dot_products(&h, h.q, h.stride, h.k, h.scores);
    h.rows->softmax_again(s->Q, h.t, s->scale, h.bias, h.scores, stats);
    if (dx[0] || dx[1])
        through_scores(&h, factors, dx, accumulate);
    if (!dx[2])
        return;
    if (factors)
        multiply_factors(&h, factors, h.scores, h.scores);
    product(h.isa, true, s->T, h.e, s->Q, h.scores, h.t, h.dy, h.dy_stride, h.out, h.e);
    take_out(&h, s->T, dx[2], accumulate[2]);
}
