#include "thaw/evidence.h"

#include <math.h>
#include <string.h>

/* Which rows point the same way, once every column counts the same. */

typedef struct near_rows {
    float *a; /* (n, D) of unit length */
    float *
        b; /* (D, m), so that the inner loop goes over rows: each dot is still summed in the order of its columns */
    float *dots; /* (m) */
} near_rows;

/* What columns are standardised by; those that do not vary say nothing. */
typedef struct near_scale {
    const double *mean, *variance; /* (D) */
    int64_t D;
} near_scale;

static double standard(const near_scale *s, const float *row, int64_t j)
{
    return s->variance[j] > 0 ? ((double)row[j] - s->mean[j]) / sqrt(s->variance[j]) : 0;
}

/* Mean square of standardised values below which a row is the mean but for rounding. */
static const double no_direction = 1e-12;

/* Rows become unit vectors, or zero where all of a row is the mean. */
static void standardise(const near_scale *s, const float *x, int64_t rows, int64_t row_step,
                        int64_t column_step, float *out)
{
    for (int64_t i = 0; i < rows; i++) {
        double square = 0;
        for (int64_t j = 0; j < s->D; j++) {
            const double z = standard(s, x + i * s->D, j);
            square += z * z;
        }
        const bool has_direction = square > no_direction * (double)s->D;
        for (int64_t j = 0; j < s->D; j++)
            out[i * row_step + j * column_step] =
                has_direction ? (float)(standard(s, x + i * s->D, j) / sqrt(square)) : 0;
    }
}

static void find_nearest(const near_rows *r, int64_t i, int64_t m, int64_t D, bool itself,
                         thaw_near *out)
{
    memset(r->dots, 0, (size_t)m * sizeof *r->dots);
    for (int64_t j = 0; j < D; j++) {
        const float own = r->a[i * D + j];
        const float *column = r->b + j * m;
        for (int64_t k = 0; k < m; k++)
            r->dots[k] += own * column[k];
    }
    *out = (thaw_near){.row = i, .nearest = -1, .cosine = -1};
    for (int64_t k = 0; k < m; k++) {
        if (itself && k == i)
            continue;
        if (out->nearest < 0 || (double)r->dots[k] > out->cosine) {
            out->nearest = k;
            out->cosine = (double)r->dots[k];
        }
    }
    out->cosine = fmin(1, out->cosine);
}

thaw_status thaw_nearest_rows(const float *a, int64_t n, const float *b, int64_t m, int64_t D,
                              thaw_near *out)
{
    near_rows r = {0};
    double *moments = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&moments, 2 * D, sizeof *moments));
    THAW_TRY_TO(thaw_alloc(&r.a, n * D, sizeof *r.a));
    THAW_TRY_TO(thaw_alloc(&r.b, m * D, sizeof *r.b));
    THAW_TRY_TO(thaw_alloc(&r.dots, m, sizeof *r.dots));
    thaw_moments(b, m, D, moments, moments + D, NULL);
    const near_scale scale = {.mean = moments, .variance = moments + D, .D = D};
    standardise(&scale, a, n, D, 1, r.a);
    standardise(&scale, b, m, 1, m, r.b);
    for (int64_t i = 0; i < n; i++) {
        thaw_beat("comparing features of samples");
        find_nearest(&r, i, m, D, a == b, &out[i]);
    }
done:
    thaw_free(&r.dots);
    thaw_free(&r.b);
    thaw_free(&r.a);
    thaw_free(&moments);
    return status;
}
