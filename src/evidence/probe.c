/* A linear probe: ridge regression on one-hot labels, its ridge chosen by leaving one out. Exact, without steps or rates. */
#include "thaw/evidence.h"

#include <math.h>
#include <string.h>

#include "evidence/cholesky_impl.h"

/* Ridges as shares of the mean eigenvalue of the rows' inner products. */
static const double ridges[] = {1e-3, 1e-2, 1e-1, 1, 10};
enum { RIDGES = sizeof ridges / sizeof ridges[0] };

typedef struct probe {
    const thaw_probe_data *d;
    double *mean, *scale;  /* (D) of the training rows: features enter with mean 0 and variance 1 */
    double *x, *x_test;    /* (n, D), (m, D) */
    double *gram, *factor; /* (n, n) */
    double *weights, *best; /* (K, n), of one ridge and of the best */
    double *share;          /* (K) of the training rows: what the regression is centred on */
    double *column;         /* (n) */
    int64_t best_right;
} probe;

static void standardise(const probe *p, const float *from, int64_t rows, double *to)
{
    const int64_t D = p->d->D;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < D; j++)
            to[i * D + j] = ((double)from[i * D + j] - p->mean[j]) * p->scale[j];
}

static void measure_columns(const probe *p)
{
    const thaw_probe_data *d = p->d;
    for (int64_t j = 0; j < d->D; j++) {
        double sum = 0;
        double squares = 0;
        for (int64_t i = 0; i < d->n; i++)
            sum += (double)d->x[i * d->D + j];
        p->mean[j] = sum / (double)d->n;
        for (int64_t i = 0; i < d->n; i++)
            squares += pow((double)d->x[i * d->D + j] - p->mean[j], 2);
        p->scale[j] = squares > 0 ? sqrt((double)d->n / squares) : 0;
    }
}

static double inner(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static double target(const probe *p, int64_t i, int64_t k)
{
    return (p->d->labels[i] == k ? 1 : 0) - p->share[k];
}

/* The largest of K values, the first of equal ones. */
static int64_t largest(const double *values, int64_t K, int64_t stride)
{
    int64_t best = 0;
    for (int64_t k = 1; k < K; k++)
        if (values[k * stride] > values[best * stride])
            best = k;
    return best;
}

/* Diagonal of (L L')^-1 to column: squared lengths of the columns of L^-1. */
static void inverse_diagonal(const probe *p, double *row)
{
    const int64_t n = p->d->n;
    for (int64_t i = 0; i < n; i++) {
        memset(row, 0, (size_t)n * sizeof *row);
        row[i] = 1;
        thaw_cholesky_forward(p->factor, n, row);
        p->column[i] = inner(row + i, row + i, n - i);
    }
}

/* Training rows that the regression without them gets right: prediction i is y_i - w_i / (inverse)_ii.
 *   Source: Allen 1974 (PRESS); for kernels Rifkin & Lippert 2007. */
static int64_t left_out_right(const probe *p, double *row)
{
    const thaw_probe_data *d = p->d;
    int64_t right = 0;
    inverse_diagonal(p, row);
    for (int64_t i = 0; i < d->n; i++) {
        for (int64_t k = 0; k < d->K; k++)
            row[k] = p->share[k] + target(p, i, k) - p->weights[k * d->n + i] / p->column[i];
        right += largest(row, d->K, 1) == d->labels[i];
    }
    return right;
}

static void try_ridge(probe *p, double ridge, double *row)
{
    const int64_t n = p->d->n;
    memcpy(p->factor, p->gram, (size_t)(n * n) * sizeof *p->factor);
    for (int64_t i = 0; i < n; i++)
        p->factor[i * n + i] += ridge;
    if (!thaw_cholesky(p->factor, n))
        return; /* too small a ridge for these rows */
    for (int64_t k = 0; k < p->d->K; k++) {
        double *w = p->weights + k * n;
        for (int64_t i = 0; i < n; i++)
            w[i] = target(p, i, k);
        thaw_cholesky_forward(p->factor, n, w);
        thaw_cholesky_backward(p->factor, n, w);
    }
    const int64_t right = left_out_right(p, row);
    if (right < p->best_right) /* of equal ones the larger ridge, which comes later */
        return;
    p->best_right = right;
    memcpy(p->best, p->weights, (size_t)(p->d->K * n) * sizeof *p->best);
}

/* predicted (m) or NULL. */
static int64_t test_right(const probe *p, double *row, int32_t *predicted)
{
    const thaw_probe_data *d = p->d;
    int64_t right = 0;
    for (int64_t t = 0; t < d->m; t++) {
        for (int64_t i = 0; i < d->n; i++)
            p->column[i] = inner(p->x_test + t * d->D, p->x + i * d->D, d->D);
        for (int64_t k = 0; k < d->K; k++)
            row[k] = p->share[k] + inner(p->column, p->best + k * d->n, d->n);
        const int64_t best = largest(row, d->K, 1);
        right += best == d->test_labels[t];
        if (predicted != NULL)
            predicted[t] = (int32_t)best;
    }
    return right;
}

static int64_t fit_and_test(probe *p, double *row, int32_t *predicted)
{
    const thaw_probe_data *d = p->d;
    double trace = 0;
    measure_columns(p);
    standardise(p, d->x, d->n, p->x);
    standardise(p, d->test_x, d->m, p->x_test);
    for (int64_t i = 0; i < d->n; i++) {
        p->share[d->labels[i]] += 1.0 / (double)d->n;
        for (int64_t j = 0; j <= i; j++)
            p->gram[i * d->n + j] = inner(p->x + i * d->D, p->x + j * d->D, d->D);
        trace += p->gram[i * d->n + i];
    }
    p->best_right = -1;
    /* Rows that are all alike leave the shares of the classes, which a ridge of 1 does too. */
    const double unit = trace > 0 ? trace / (double)d->n : 1;
    for (int r = 0; r < RIDGES; r++)
        try_ridge(p, ridges[r] * unit, row);
    return test_right(p, row, predicted);
}

static thaw_status check(const thaw_probe_data *d)
{
    THAW_CHECK(d->n >= 2 && d->m >= 1 && d->D >= 1 && d->K >= 1, THAW_ERR_INPUT,
               "a probe of %lld and %lld rows, %lld features, %lld classes", (long long)d->n,
               (long long)d->m, (long long)d->D, (long long)d->K);
    for (int64_t i = 0; i < d->n + d->m; i++) {
        const int32_t label = i < d->n ? d->labels[i] : d->test_labels[i - d->n];
        THAW_CHECK(label >= 0 && label < d->K, THAW_ERR_INPUT, "label %d is outside 0..%lld",
                   (int)label, (long long)d->K - 1);
    }
    return THAW_OK;
}

thaw_status thaw_linear_probe(const thaw_probe_data *d, int64_t *right)
{
    return thaw_linear_predict(d, NULL, right);
}

thaw_status thaw_linear_predict(const thaw_probe_data *d, int32_t *predicted, int64_t *right)
{
    probe p = {.d = d};
    double *row = NULL;
    thaw_status status;
    THAW_TRY(check(d));
    THAW_TRY_TO(thaw_alloc(&p.mean, d->D, sizeof *p.mean));
    THAW_TRY_TO(thaw_alloc(&p.scale, d->D, sizeof *p.scale));
    THAW_TRY_TO(thaw_alloc(&p.x, d->n * d->D, sizeof *p.x));
    THAW_TRY_TO(thaw_alloc(&p.x_test, d->m * d->D, sizeof *p.x_test));
    THAW_TRY_TO(thaw_alloc(&p.gram, d->n * d->n, sizeof *p.gram));
    THAW_TRY_TO(thaw_alloc(&p.factor, d->n * d->n, sizeof *p.factor));
    THAW_TRY_TO(thaw_alloc(&p.weights, d->K * d->n, sizeof *p.weights));
    THAW_TRY_TO(thaw_alloc(&p.best, d->K * d->n, sizeof *p.best));
    THAW_TRY_TO(thaw_alloc(&p.share, d->K, sizeof *p.share));
    THAW_TRY_TO(thaw_alloc(&p.column, d->n, sizeof *p.column));
    THAW_TRY_TO(thaw_alloc(&row, d->n > d->K ? d->n : d->K, sizeof *row));
    *right = fit_and_test(&p, row, predicted);
done:
    thaw_free(&row);
    thaw_free(&p.column);
    thaw_free(&p.share);
    thaw_free(&p.best);
    thaw_free(&p.weights);
    thaw_free(&p.factor);
    thaw_free(&p.gram);
    thaw_free(&p.x_test);
    thaw_free(&p.x);
    thaw_free(&p.scale);
    thaw_free(&p.mean);
    return status;
}
