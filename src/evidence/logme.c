#include "thaw/evidence.h"
#include "thaw/kern.h"

#include <math.h>

/* gram (m, m): features' inner products x'x when D <= n, else rows' x x'. The nonzero
 * eigenvalues are the same, and the smaller matrix costs less. */
static void gram_of(const float *x, int64_t n, int64_t D, double *gram)
{
    if (D <= n) {
        for (int64_t i = 0; i < n; i++) {
            for (int64_t r = 0; r < D; r++) {
                double value = x[i * D + r];
                for (int64_t j = 0; j < D; j++)
                    gram[r * D + j] += value * (double)x[i * D + j];
            }
        }
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        for (int64_t k = i; k < n; k++) {
            double sum = 0;
            for (int64_t j = 0; j < D; j++)
                sum += (double)x[i * D + j] * (double)x[k * D + j];
            gram[i * n + k] = gram[k * n + i] = sum;
        }
    }
}

/* What one class needs: squared singular values, squared projections of its 0/1 labels on them,
 * what is left. */
typedef struct spectrum {
    const double *sigma;
    double *projection; /* x2 = (u'y)^2 */
    int64_t rank, n, D;
    double rest;
} spectrum;

/* Evidence per example at the fixed point of alpha and beta; at most 11 steps, as the authors'
 * code. */
static double evidence_of(const spectrum *s)
{
    double alpha = 1;
    double beta = 1;
    double m2 = 0;
    double r2 = 0;
    for (int step = 0; step < 11; step++) {
        double t = alpha / beta;
        double gamma = 0;
        m2 = 0;
        r2 = s->rest;
        for (int64_t k = 0; k < s->rank; k++) {
            double sum = s->sigma[k] + t;
            double shrunk = 1 + s->sigma[k] / t;
            gamma += s->sigma[k] / sum;
            m2 += s->sigma[k] * s->projection[k] / (sum * sum);
            r2 += s->projection[k] / (shrunk * shrunk);
        }
        alpha = gamma / (m2 + 1e-5);
        beta = ((double)s->n - gamma) / (r2 + 1e-5);
        if (fabs(alpha / beta - t) / t <= 1e-3)
            break;
    }
    double logs = 0;
    for (int64_t k = 0; k < s->rank; k++)
        logs += log(alpha + beta * s->sigma[k]);
    double n = (double)s->n;
    double evidence = 0.5 * (double)s->D * log(alpha) + 0.5 * n * log(beta) - 0.5 * logs -
                      0.5 * beta * r2 - 0.5 * alpha * m2 - 0.5 * n * 1.83787706640934548356;
    return evidence / n;
}

/* direction (n) of left singular vector k, from the eigenvector in column `column` of vectors
 * (m, m). */
static void left_vector(const float *x, int64_t n, int64_t D, const double *vectors, int64_t column,
                        double sigma, double *direction)
{
    for (int64_t i = 0; i < n; i++) {
        if (D > n) {
            direction[i] = vectors[i * n + column];
            continue;
        }
        double sum = 0;
        for (int64_t j = 0; j < D; j++)
            sum += (double)x[i * D + j] * vectors[j * D + column];
        direction[i] = sum / sqrt(sigma);
    }
}

/* projection (K, m) of each class's labels, values (m) compacted to the rank, largest first;
 * returns the rank. */
static int64_t project(const float *x, int64_t n, int64_t D, const int32_t *labels, int64_t K,
                       const double *vectors, double *values, double *sigma, double *projection,
                       double *direction)
{
    int64_t m = D <= n ? D : n;
    int64_t rank = 0;
    for (int64_t k = m - 1; k >= 0; k--) {
        /* A Gram matrix carries rounding of some 1e-16 of its largest eigenvalue: below this is
         * nothing else. */
        if (!(values[k] > values[m - 1] * 1e-13))
            break;
        left_vector(x, n, D, vectors, k, values[k], direction);
        for (int64_t i = 0; i < n; i++)
            projection[labels[i] * m + rank] += direction[i];
        for (int64_t c = 0; c < K; c++)
            projection[c * m + rank] *= projection[c * m + rank];
        sigma[rank++] = values[k];
    }
    return rank;
}

static double mean_evidence(const int32_t *labels, int64_t n, int64_t D, int64_t K, int64_t rank,
                            const double *sigma, double *projection)
{
    int64_t m = D <= n ? D : n;
    double sum = 0;
    for (int64_t c = 0; c < K; c++) {
        spectrum s = {sigma, projection + c * m, rank, n, D, 0};
        for (int64_t i = 0; i < n; i++)
            s.rest += labels[i] == c;
        for (int64_t k = 0; k < rank; k++)
            s.rest -= s.projection[k];
        s.rest = fmax(0, s.rest);
        sum += evidence_of(&s);
    }
    return sum / (double)K;
}

thaw_status thaw_logme(const float *x, int64_t n, int64_t D, const int32_t *labels, int64_t K,
                       double *out)
{
    thaw_status status = THAW_OK;
    double *gram = NULL;
    double *vectors = NULL;
    double *line = NULL;
    double *projection = NULL;
    int64_t m = D <= n ? D : n;
    THAW_CHECK(n >= 1 && D >= 1 && K >= 1, THAW_ERR_INPUT,
               "LogME of %lld rows, %lld features, %lld classes; each must be at least 1",
               (long long)n, (long long)D, (long long)K);
    for (int64_t i = 0; i < n; i++)
        THAW_CHECK(labels[i] >= 0 && labels[i] < K, THAW_ERR_INPUT,
                   "label %d of row %lld is outside 0..%lld", (int)labels[i], (long long)i,
                   (long long)K - 1);
    THAW_TRY_TO(thaw_alloc(&gram, m * m, sizeof *gram));
    THAW_TRY_TO(thaw_alloc(&vectors, m * m, sizeof *vectors));
    THAW_TRY_TO(thaw_alloc(&line, 2 * m + n, sizeof *line));
    THAW_TRY_TO(thaw_alloc(&projection, K * m, sizeof *projection));
    gram_of(x, n, D, gram);
    thaw_symmetric_eigen(gram, m, line, vectors);
    int64_t rank = project(x, n, D, labels, K, vectors, line, line + m, projection, line + 2 * m);
    *out = mean_evidence(labels, n, D, K, rank, line + m, projection);
done:
    thaw_free(&projection);
    thaw_free(&line);
    thaw_free(&vectors);
    thaw_free(&gram);
    return status;
}
