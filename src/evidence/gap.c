#include "thaw/evidence.h"
#include "thaw/kern.h"

#include <math.h>
#include <string.h>

static void column_means(const float *x, int64_t n, int64_t D, double *mean)
{
    for (int64_t j = 0; j < D; j++)
        mean[j] = 0;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < D; j++)
            mean[j] += (double)x[i * D + j];
    }
    for (int64_t j = 0; j < D; j++)
        mean[j] /= (double)n;
}

void thaw_moments(const float *x, int64_t n, int64_t D, double *mean, double *var, double *cov)
{
    column_means(x, n, D, mean);
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
