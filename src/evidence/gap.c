#include "thaw/evidence.h"
#include "thaw/kern.h"

#include <math.h>
#include <string.h>

/* matrix (D, D), upper half += sum over rows of (x_i - mean)(x_i - mean)'. */
static void add_scatter(const float *x, int64_t n, int64_t stride, int64_t D, const double *mean,
                        double *centred, double *matrix)
{
    for (int64_t i = 0; i < n; i++) {
        const float *row = x + i * stride;
        for (int64_t j = 0; j < D; j++)
            centred[j] = (double)row[j] - mean[j];
        for (int64_t r = 0; r < D; r++) {
            double value = centred[r];
            for (int64_t j = r; j < D; j++)
                matrix[r * D + j] += value * centred[j];
        }
    }
}

static void column_means(const float *x, int64_t n, int64_t stride, int64_t D, double *mean)
{
    for (int64_t j = 0; j < D; j++)
        mean[j] = 0;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < D; j++)
            mean[j] += (double)x[i * stride + j];
    }
    for (int64_t j = 0; j < D; j++)
        mean[j] /= (double)n;
}

void thaw_moments(const float *x, int64_t n, int64_t D, double *mean, double *var, double *cov)
{
    column_means(x, n, D, D, mean);
    double scale = 1 / (double)(n - 1);
    if (var) {
        for (int64_t j = 0; j < D; j++)
            var[j] = 0;
        for (int64_t i = 0; i < n; i++) {
            for (int64_t j = 0; j < D; j++) {
                double value = (double)x[i * D + j] - mean[j];
                var[j] += value * value;
            }
        }
        for (int64_t j = 0; j < D; j++)
            var[j] *= scale;
    }
    if (!cov)
        return;
    for (int64_t j = 0; j < D * D; j++)
        cov[j] = 0;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t r = 0; r < D; r++) {
            double value = ((double)x[i * D + r] - mean[r]) * scale;
            for (int64_t j = r; j < D; j++)
                cov[r * D + j] += value * ((double)x[i * D + j] - mean[j]);
        }
    }
    for (int64_t r = 0; r < D; r++) {
        for (int64_t j = 0; j < r; j++)
            cov[r * D + j] = cov[j * D + r];
    }
}

double thaw_frechet_diagonal(const double *mean1, const double *var1, const double *mean2,
                             const double *var2, int64_t D)
{
    double sum = 0;
    for (int64_t j = 0; j < D; j++) {
        double gap = mean1[j] - mean2[j];
        double spread = sqrt(var1[j]) - sqrt(var2[j]);
        sum += gap * gap + spread * spread;
    }
    return sum;
}

/* out (D, D) = a b, all square; row times matrix, so that the inner loop runs along memory. */
static void multiply(const double *a, const double *b, int64_t D, double *out)
{
    for (int64_t i = 0; i < D; i++) {
        double *row = out + i * D;
        for (int64_t j = 0; j < D; j++)
            row[j] = 0;
        for (int64_t k = 0; k < D; k++) {
            double value = a[i * D + k];
            for (int64_t j = 0; j < D; j++)
                row[j] += value * b[k * D + j];
        }
    }
}

/* root (D, D) = V sqrt(max(values, 0)) V'; `scaled` is scratch (D, D). */
static void square_root(const double *values, const double *vectors, int64_t D, double *scaled,
                        double *root)
{
    for (int64_t i = 0; i < D; i++) {
        for (int64_t k = 0; k < D; k++)
            scaled[i * D + k] = vectors[i * D + k] * sqrt(fmax(0, values[k]));
    }
    for (int64_t i = 0; i < D; i++) {
        for (int64_t j = 0; j < D; j++) {
            double sum = 0;
            for (int64_t k = 0; k < D; k++)
                sum += scaled[i * D + k] * vectors[j * D + k];
            root[i * D + j] = sum;
        }
    }
}

thaw_status thaw_frechet_full(const double *mean1, const double *cov1, const double *mean2,
                              const double *cov2, int64_t D, double *out)
{
    thaw_status status = THAW_OK;
    double *work = NULL;
    double *values = NULL;
    THAW_CHECK(D <= THAW_FRECHET_MAX_D, THAW_ERR_FAIL,
               "full Frechet distance of %lld features; at most %d, use the diagonal one",
               (long long)D, THAW_FRECHET_MAX_D);
    THAW_TRY_TO(thaw_alloc(&work, 4 * D * D, sizeof *work));
    THAW_TRY_TO(thaw_alloc(&values, D, sizeof *values));
    double *matrix = work;
    double *vectors = work + D * D;
    double *root = work + 2 * D * D;
    double *product = work + 3 * D * D;
    memcpy(matrix, cov1, (size_t)(D * D) * sizeof *matrix);
    thaw_symmetric_eigen(matrix, D, values, vectors);
    square_root(values, vectors, D, matrix, root);
    multiply(root, cov2, D, product);
    multiply(product, root, D, matrix);
    /* The product is symmetric but for rounding. */
    for (int64_t i = 0; i < D; i++) {
        for (int64_t j = 0; j < i; j++)
            matrix[i * D + j] = matrix[j * D + i] = 0.5 * (matrix[i * D + j] + matrix[j * D + i]);
    }
    thaw_symmetric_eigen(matrix, D, values, NULL);
    double sum = 0;
    for (int64_t j = 0; j < D; j++) {
        double gap = mean1[j] - mean2[j];
        sum += gap * gap + cov1[j * D + j] + cov2[j * D + j] - 2 * sqrt(fmax(0, values[j]));
    }
    *out = fmax(0, sum);
done:
    thaw_free(&values);
    thaw_free(&work);
    return status;
}

/* ---- Proxy A-distance ---- */

static double distance_of(double error)
{
    return fmin(2, fmax(0, 2 * (1 - 2 * error)));
}

thaw_proxy_a thaw_proxy_a_from_error(int64_t wrong, int64_t n, double level)
{
    thaw_proxy_a gap = {.wrong = wrong, .n = n};
    gap.error = n > 0 ? (double)wrong / (double)n : 0.5;
    gap.error_interval = thaw_wilson(wrong, n, level);
    gap.distance = distance_of(gap.error);
    gap.interval.low = distance_of(gap.error_interval.high);
    gap.interval.high = distance_of(gap.error_interval.low);
    return gap;
}

/* Solves matrix w = right in place (upper half of a positive definite matrix); right becomes w. */
static void solve_positive(double *matrix, double *right, int64_t D)
{
    /* U'U = matrix by rows: Golub & Van Loan, 4.2. */
    for (int64_t k = 0; k < D; k++) {
        double *row = matrix + k * D;
        double pivot = sqrt(row[k]);
        for (int64_t j = k; j < D; j++)
            row[j] /= pivot;
        for (int64_t i = k + 1; i < D; i++) {
            for (int64_t j = i; j < D; j++)
                matrix[i * D + j] -= row[i] * row[j];
        }
    }
    for (int64_t k = 0; k < D; k++) {
        right[k] /= matrix[k * D + k];
        for (int64_t j = k + 1; j < D; j++)
            right[j] -= matrix[k * D + j] * right[k];
    }
    for (int64_t k = D - 1; k >= 0; k--) {
        for (int64_t j = k + 1; j < D; j++)
            right[k] -= matrix[k * D + j] * right[j];
        right[k] /= matrix[k * D + k];
    }
}

/* A fitted linear discriminant: side 2 where w.(x - middle) > 0. */
typedef struct discriminant {
    double *w, *middle, *mean1, *mean2, *centred; /* (D) */
    double *matrix;                               /* (D, D) */
} discriminant;

/* Rows 0, 2, 4... of both sides, `pairs` of them, `stride` floats apart. */
static void fit(discriminant *d, const float *x1, const float *x2, int64_t pairs, int64_t D)
{
    int64_t stride = 2 * D;
    column_means(x1, pairs, stride, D, d->mean1);
    column_means(x2, pairs, stride, D, d->mean2);
    memset(d->matrix, 0, (size_t)(D * D) * sizeof *d->matrix);
    add_scatter(x1, pairs, stride, D, d->mean1, d->centred, d->matrix);
    add_scatter(x2, pairs, stride, D, d->mean2, d->centred, d->matrix);
    double trace = 0;
    for (int64_t j = 0; j < D; j++)
        trace += d->matrix[j * D + j];
    /* The ridge keeps more features than rows solvable: a tenth of the mean variance, and never
     * zero. */
    double ridge = 0.1 * trace / (double)D + 1e-12 * (double)pairs;
    for (int64_t j = 0; j < D; j++) {
        d->matrix[j * D + j] += ridge;
        d->w[j] = d->mean2[j] - d->mean1[j];
        d->middle[j] = 0.5 * (d->mean1[j] + d->mean2[j]);
    }
    solve_positive(d->matrix, d->w, D);
}

/* Twice the number of errors: a point on the boundary (equal sides) is half an error. */
static int64_t half_errors(const discriminant *d, const float *x, int64_t pairs, int64_t D,
                           int side)
{
    int64_t halves = 0;
    for (int64_t i = 0; i < pairs; i++) {
        double score = 0;
        for (int64_t j = 0; j < D; j++)
            score += d->w[j] * ((double)x[i * 2 * D + j] - d->middle[j]);
        if (score == 0)
            halves += 1;
        else if ((score > 0) != (side == 2))
            halves += 2;
    }
    return halves;
}

thaw_status thaw_proxy_a_features(const float *x1, int64_t n1, const float *x2, int64_t n2,
                                  int64_t D, double level, thaw_proxy_a *out)
{
    thaw_status status = THAW_OK;
    double *work = NULL;
    int64_t pairs = (n1 < n2 ? n1 : n2) / 2;
    THAW_CHECK(pairs >= 2, THAW_ERR_INPUT,
               "domain gap from %lld and %lld rows of features; at least 4 of each are needed",
               (long long)n1, (long long)n2);
    THAW_TRY_TO(thaw_alloc(&work, D * D + 5 * D, sizeof *work));
    double *at = work + D * D;
    discriminant d = {at, at + D, at + 2 * D, at + 3 * D, at + 4 * D, work};
    int64_t halves = 0;
    for (int64_t fold = 0; fold < 2; fold++) {
        int64_t other = (1 - fold) * D;
        fit(&d, x1 + fold * D, x2 + fold * D, pairs, D);
        halves += half_errors(&d, x1 + other, pairs, D, 1);
        halves += half_errors(&d, x2 + other, pairs, D, 2);
    }
    *out = thaw_proxy_a_from_error((halves + 1) / 2, 4 * pairs, level);
done:
    thaw_free(&work);
    return status;
}
