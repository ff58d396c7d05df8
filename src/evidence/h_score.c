/* The H-score with a covariance that is shrunk, so that it means something with fewer samples than features. */
#include "thaw/evidence.h"

#include <math.h>

#include "evidence/cholesky_impl.h"

typedef struct workspace {
    double *x;          /* (n, D) centred */
    double *covariance; /* (D, D), then its factor */
    double *mean;       /* (D) of all, then of one class */
    int64_t *count;     /* (K) */
} workspace;

static void centre(const float *x, int64_t n, int64_t D, workspace *w)
{
    for (int64_t j = 0; j < D; j++) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++)
            sum += (double)x[i * D + j];
        w->mean[j] = sum / (double)n;
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < D; j++)
            w->x[i * D + j] = (double)x[i * D + j] - w->mean[j];
}

static void covariance(int64_t n, int64_t D, workspace *w)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t r = 0; r < D; r++) {
            const double value = w->x[i * D + r] / (double)n;
            for (int64_t j = 0; j <= r; j++)
                w->covariance[r * D + j] += value * w->x[i * D + j];
        }
}

/* Share of the identity (scaled to the mean variance *scale) that goes into the covariance. Source: Ledoit & Wolf 2004, section 3. */
static double shrinkage(int64_t n, int64_t D, const workspace *w, double *scale)
{
    double trace = 0;
    double squares = 0; /* of the covariance's elements */
    double fourth = 0;  /* sum over rows of |x|^4 */
    for (int64_t r = 0; r < D; r++) {
        trace += w->covariance[r * D + r];
        for (int64_t j = 0; j <= r; j++) {
            const double c = w->covariance[r * D + j];
            squares += (j < r ? 2 : 1) * c * c;
        }
    }
    for (int64_t i = 0; i < n; i++) {
        double norm = 0;
        for (int64_t j = 0; j < D; j++)
            norm += w->x[i * D + j] * w->x[i * D + j];
        fourth += norm * norm;
    }
    *scale = trace / (double)D;
    const double delta = (squares - trace * *scale) / (double)D;
    const double beta = (fourth / (double)n - squares) / ((double)D * (double)n);
    if (!(delta > 0))
        return 1;
    return fmin(fmax(beta, 0), delta) / delta;
}

/* Sum over classes of their share times m' covariance^-1 m, m the class's mean: tr(covariance^-1 cov(E[f|y])). */
static double between(int64_t n, int64_t D, const int32_t *labels, int64_t K, workspace *w)
{
    double sum = 0;
    for (int64_t c = 0; c < K; c++) {
        if (w->count[c] == 0)
            continue;
        for (int64_t j = 0; j < D; j++)
            w->mean[j] = 0;
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; labels[i] == c && j < D; j++)
                w->mean[j] += w->x[i * D + j] / (double)w->count[c];
        thaw_cholesky_forward(w->covariance, D, w->mean);
        double square = 0;
        for (int64_t j = 0; j < D; j++)
            square += w->mean[j] * w->mean[j];
        sum += (double)w->count[c] / (double)n * square;
    }
    return sum;
}

static thaw_status compute(const float *x, int64_t n, int64_t D, const int32_t *labels, int64_t K,
                           workspace *w, double *out)
{
    double scale = 0;
    for (int64_t i = 0; i < n; i++) {
        THAW_CHECK(labels[i] >= 0 && labels[i] < K, THAW_ERR_INPUT,
                   "label %d of row %lld is outside 0..%lld", (int)labels[i], (long long)i,
                   (long long)K - 1);
        w->count[labels[i]]++;
    }
    centre(x, n, D, w);
    covariance(n, D, w);
    const double share = shrinkage(n, D, w, &scale);
    for (int64_t r = 0; r < D; r++)
        for (int64_t j = 0; j <= r; j++)
            w->covariance[r * D + j] =
                (1 - share) * w->covariance[r * D + j] + (j == r ? share * scale : 0);
    *out = 0;
    if (thaw_cholesky(w->covariance, D)) /* else: features that are constant tell nothing */
        *out = (1 - share) * between(n, D, labels, K, w);
    return THAW_OK;
}

thaw_status thaw_h_score(const float *x, int64_t n, int64_t D, const int32_t *labels, int64_t K,
                         double *out)
{
    workspace w = {0};
    thaw_status status;
    THAW_CHECK(n >= 2 && D >= 1 && K >= 1, THAW_ERR_INPUT,
               "H-score of %lld rows, %lld features, %lld classes; at least 2, 1 and 1 are needed",
               (long long)n, (long long)D, (long long)K);
    THAW_TRY_TO(thaw_alloc(&w.x, n * D, sizeof *w.x));
    THAW_TRY_TO(thaw_alloc(&w.covariance, D * D, sizeof *w.covariance));
    THAW_TRY_TO(thaw_alloc(&w.mean, D, sizeof *w.mean));
    THAW_TRY_TO(thaw_alloc(&w.count, K, sizeof *w.count));
    status = compute(x, n, D, labels, K, &w, out);
done:
    thaw_free(&w.count);
    thaw_free(&w.mean);
    thaw_free(&w.covariance);
    thaw_free(&w.x);
    return status;
}
