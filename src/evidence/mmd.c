/* Maximum mean discrepancy of two samples of features, and which part of all divisions of their rows is as far apart. */
#include "thaw/evidence.h"

#include <math.h>

#include "evidence/metric_impl.h"
#include "evidence/paired_impl.h"

/* A sum of the same numbers in another order is not larger; every kernel value is at most 1. */
#define SAME 1e-12

typedef struct mmd_work {
    int64_t n1, n2, N, D;
    float *rows;     /* (N, D), side 1 first */
    double *kernel;  /* (N, N): squared distances at first; zero on the diagonal */
    double *total;   /* (N) of the rows of kernel */
    double *distant; /* (N (N - 1) / 2) squared distances, to find their median in */
    int32_t *order;  /* (N) rows; the first ones are side 1 */
    metric_units sides[2];
    int64_t clusters, clusters1; /* of both sides; of side 1 */
    int32_t *drawn; /* (clusters) in an order of their own; those of side 1 come first */
} mmd_work;

static thaw_status take_rows(mmd_work *w, const float *x1, const float *x2)
{
    for (int64_t i = 0; i < w->N * w->D; i++) {
        w->rows[i] = i < w->n1 * w->D ? x1[i] : x2[i - w->n1 * w->D];
        THAW_CHECK(isfinite(w->rows[i]), THAW_ERR_NUMERIC,
                   "feature %lld of row %lld of side %d is not finite", (long long)(i % w->D),
                   (long long)(i < w->n1 * w->D ? i / w->D : i / w->D - w->n1),
                   i < w->n1 * w->D ? 1 : 2);
    }
    return THAW_OK;
}

/* Squared distances, and the bandwidth that they suggest. */
static double measure(mmd_work *w)
{
    int64_t pairs = 0;
    double sum = 0;
    for (int64_t i = 0; i < w->N; i++) {
        for (int64_t j = 0; j < i; j++) {
            double square = 0;
            for (int64_t d = 0; d < w->D; d++) {
                const double away = (double)w->rows[i * w->D + d] - (double)w->rows[j * w->D + d];
                square += away * away;
            }
            w->kernel[i * w->N + j] = w->kernel[j * w->N + i] = square;
            w->distant[pairs++] = square;
            sum += square;
        }
    }
    const double median = metric_quantile(w->distant, pairs, 0.5);
    return sqrt(median > 0 ? median : sum / (double)pairs);
}

static void apply_kernel(mmd_work *w, double bandwidth)
{
    for (int64_t i = 0; i < w->N; i++) {
        w->total[i] = 0;
        for (int64_t j = 0; j < w->N; j++) {
            double *k = &w->kernel[i * w->N + j];
            *k = i == j ? 0 : exp(-*k / (2 * bandwidth * bandwidth));
            w->total[i] += *k;
        }
    }
}

/* What lies within side 1, within side 2 and between them follows from the sum within side 1 and the totals of its rows. */
static double squared_mmd(const mmd_work *w, int64_t rows_of_1, double all)
{
    double within = 0;
    double rows = 0;
    for (int64_t i = 0; i < rows_of_1; i++) {
        const double *k = w->kernel + w->order[i] * w->N;
        for (int64_t j = 0; j < i; j++)
            within += k[w->order[j]];
        rows += w->total[w->order[i]];
    }
    within *= 2;
    const double between = rows - within;
    const double rest = all - within - 2 * between;
    const double n1 = (double)rows_of_1;
    const double n2 = (double)(w->N - rows_of_1);
    return within / (n1 * (n1 - 1)) + rest / (n2 * (n2 - 1)) - 2 * between / (n1 * n2);
}

/* The first clusters of a random order. */
static void draw_side(mmd_work *w, const thaw_bootstrap *how, int64_t permutation)
{
    thaw_words words = thaw_words_make(how->seed, (uint32_t)permutation);
    for (int64_t i = 0; i < w->clusters1; i++) {
        const int64_t j = i + thaw_words_below(&words, (uint32_t)(w->clusters - i));
        const int32_t other = w->drawn[j];
        w->drawn[j] = w->drawn[i];
        w->drawn[i] = other;
    }
}

/* Rows in the order of their clusters; returns those of side 1. */
static int64_t lay_out(mmd_work *w)
{
    int64_t n = 0;
    int64_t rows_of_1 = 0;
    for (int64_t c = 0; c < w->clusters; c++) {
        const bool first = w->drawn[c] < w->sides[0].count;
        const metric_units *side = &w->sides[first ? 0 : 1];
        const int64_t own = first ? w->drawn[c] : w->drawn[c] - w->sides[0].count;
        for (int64_t at = side->first[own]; at < side->first[own + 1]; at++)
            w->order[n++] = (int32_t)(side->samples[at] + (first ? 0 : w->n1));
        if (c + 1 == w->clusters1)
            rows_of_1 = n;
    }
    return rows_of_1;
}

/* A division that leaves a side without two rows has no discrepancy, and does not speak for one. */
static bool is_as_large(mmd_work *w, double all, double found)
{
    const int64_t rows_of_1 = lay_out(w);
    return rows_of_1 < 2 || w->N - rows_of_1 < 2 || squared_mmd(w, rows_of_1, all) >= found - SAME;
}

static void test(mmd_work *w, const thaw_bootstrap *how, thaw_mmd *out)
{
    double all = 0;
    int64_t as_large = 0;
    for (int64_t i = 0; i < w->N; i++)
        all += w->total[i];
    for (int64_t c = 0; c < w->clusters; c++)
        w->drawn[c] = (int32_t)c;
    out->squared = squared_mmd(w, lay_out(w), all);
    for (int64_t r = 0; r < how->resamples; r++) {
        draw_side(w, how, r);
        as_large += is_as_large(w, all, out->squared);
    }
    out->p = (double)(1 + as_large) / (double)(1 + how->resamples);
}

static thaw_status take_clusters(mmd_work *w, const thaw_side *source, const thaw_side *target)
{
    const thaw_judged rows1 = {.N = w->n1};
    const thaw_judged rows2 = {.N = w->n2};
    THAW_TRY(metric_units_make(&rows1, source->cluster, &w->sides[0]));
    THAW_TRY(metric_units_make(&rows2, target->cluster, &w->sides[1]));
    w->clusters1 = w->sides[0].count;
    w->clusters = w->clusters1 + w->sides[1].count;
    return thaw_alloc(&w->drawn, w->clusters, sizeof *w->drawn);
}

thaw_status thaw_mmd_features(const thaw_side *source, const thaw_side *target, int64_t D,
                              const thaw_bootstrap *how, thaw_mmd *out)
{
    const int64_t n1 = source->n;
    const int64_t n2 = target->n;
    mmd_work w = {.n1 = n1 < THAW_MMD_MOST ? n1 : THAW_MMD_MOST,
                  .n2 = n2 < THAW_MMD_MOST ? n2 : THAW_MMD_MOST,
                  .D = D};
    thaw_status status;
    THAW_CHECK(n1 >= 2 && n2 >= 2, THAW_ERR_INPUT,
               "MMD from %lld and %lld rows of features; at least 2 of each are needed",
               (long long)n1, (long long)n2);
    w.N = w.n1 + w.n2;
    *out = (thaw_mmd){.n1 = w.n1, .n2 = w.n2, .permutations = how->resamples, .p = 1};
    THAW_TRY_TO(thaw_alloc(&w.rows, w.N * D, sizeof *w.rows));
    THAW_TRY_TO(thaw_alloc(&w.kernel, w.N * w.N, sizeof *w.kernel));
    THAW_TRY_TO(thaw_alloc(&w.total, w.N, sizeof *w.total));
    THAW_TRY_TO(thaw_alloc(&w.distant, w.N * (w.N - 1) / 2, sizeof *w.distant));
    THAW_TRY_TO(thaw_alloc(&w.order, w.N, sizeof *w.order));
    THAW_TRY_TO(take_rows(&w, source->x, target->x));
    THAW_TRY_TO(take_clusters(&w, source, target));
    out->clusters1 = w.sides[0].count;
    out->clusters2 = w.sides[1].count;
    out->bandwidth = measure(&w);
    if (out->bandwidth > 0) {
        apply_kernel(&w, out->bandwidth);
        test(&w, how, out);
    }
done:
    thaw_free(&w.drawn);
    metric_units_clear(&w.sides[1]);
    metric_units_clear(&w.sides[0]);
    thaw_free(&w.order);
    thaw_free(&w.distant);
    thaw_free(&w.total);
    thaw_free(&w.kernel);
    thaw_free(&w.rows);
    return status;
}
