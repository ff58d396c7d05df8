/* Proxy A-distance: how well a linear classifier tells two sides apart that it has not learned from. */
#include "thaw/evidence.h"

#include <math.h>
#include <string.h>

#include "evidence/metric_impl.h"

static double distance_of(double error)
{
    return fmin(2, fmax(0, 2 * (1 - 2 * error)));
}

thaw_proxy_a thaw_proxy_a_from_error(int64_t wrong, int64_t n, double level)
{
    thaw_proxy_a gap = {.wrong = wrong, .n = n, .clusters = n};
    gap.error = n > 0 ? (double)wrong / (double)n : 0.5;
    gap.error_interval = thaw_wilson(wrong, n, level);
    gap.distance = distance_of(gap.error);
    gap.interval.low = distance_of(gap.error_interval.high);
    gap.interval.high = distance_of(gap.error_interval.low);
    return gap;
}

/* matrix (D, D), upper half += sum over rows of (x_i - mean)(x_i - mean)'. */
static void add_scatter(const float *x, int64_t n, int64_t D, const double *mean, double *centred,
                        double *matrix)
{
    for (int64_t i = 0; i < n; i++) {
        const float *row = x + i * D;
        for (int64_t j = 0; j < D; j++)
            centred[j] = (double)row[j] - mean[j];
        for (int64_t r = 0; r < D; r++) {
            double value = centred[r];
            for (int64_t j = r; j < D; j++)
                matrix[r * D + j] += value * centred[j];
        }
    }
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
    double *w, *middle, *mean[2], *centred; /* (D) */
    double *matrix;                         /* (D, D) */
} discriminant;

/* One side in two halves, no cluster in both; rows of a half lie together. */
typedef struct halves {
    metric_units units;
    float *rows;     /* (n, D) */
    int64_t *unit;   /* (n) of each row */
    int64_t n[2];    /* rows of each half */
    int64_t *halves; /* (units) twice the errors of each, once they are counted */
} halves;

/* Every other row; of clusters, each goes to the half that has fewer rows. */
static void place(const halves *h, bool clusters, int8_t *half)
{
    int64_t n[2] = {0, 0};
    for (int64_t u = 0; u < h->units.count; u++) {
        half[u] = clusters ? n[1] < n[0] : u % 2 == 1;
        n[half[u]] += h->units.first[u + 1] - h->units.first[u];
    }
}

static void copy_half(halves *h, const float *x, int64_t D, const int8_t *half, int8_t which)
{
    int64_t at = which == 0 ? 0 : h->n[0];
    for (int64_t u = 0; u < h->units.count; u++) {
        for (int64_t i = h->units.first[u]; half[u] == which && i < h->units.first[u + 1]; i++) {
            memcpy(h->rows + at * D, x + h->units.samples[i] * D, (size_t)D * sizeof *h->rows);
            h->unit[at++] = u;
            h->n[which]++;
        }
    }
}

static thaw_status divide(const thaw_side *side, int64_t n, int64_t D, halves *h)
{
    const thaw_judged rows = {.N = n};
    int8_t *half = NULL;
    thaw_status status;
    THAW_TRY_TO(metric_units_make(&rows, side->cluster, &h->units));
    THAW_CHECK_TO(h->units.count >= 2, THAW_ERR_INPUT,
                  "domain gap from one cluster of features; at least 2 a side are needed");
    THAW_TRY_TO(thaw_alloc(&h->rows, n * D, sizeof *h->rows));
    THAW_TRY_TO(thaw_alloc(&h->unit, n, sizeof *h->unit));
    THAW_TRY_TO(thaw_alloc(&h->halves, h->units.count, sizeof *h->halves));
    THAW_TRY_TO(thaw_alloc(&half, h->units.count, sizeof *half));
    place(h, side->cluster != NULL, half);
    copy_half(h, side->x, D, half, 0);
    copy_half(h, side->x, D, half, 1);
done:
    thaw_free(&half);
    return status;
}

static void halves_clear(halves *h)
{
    thaw_free(&h->halves);
    thaw_free(&h->unit);
    thaw_free(&h->rows);
    metric_units_clear(&h->units);
}

static const float *rows_of(const halves *h, int half, int64_t D)
{
    return h->rows + (half == 0 ? 0 : h->n[0]) * D;
}

static void fit(discriminant *d, const halves *sides, int half, int64_t D)
{
    memset(d->matrix, 0, (size_t)(D * D) * sizeof *d->matrix);
    for (int s = 0; s < 2; s++) {
        const float *x = rows_of(&sides[s], half, D);
        thaw_moments(x, sides[s].n[half], D, d->mean[s], NULL, NULL);
        add_scatter(x, sides[s].n[half], D, d->mean[s], d->centred, d->matrix);
    }
    double trace = 0;
    for (int64_t j = 0; j < D; j++)
        trace += d->matrix[j * D + j];
    /* The ridge keeps more features than rows solvable: a tenth of the mean variance, and never zero. */
    double ridge = 0.1 * trace / (double)D + 1e-12 * (double)sides[0].n[half];
    for (int64_t j = 0; j < D; j++) {
        d->matrix[j * D + j] += ridge;
        d->w[j] = d->mean[1][j] - d->mean[0][j];
        d->middle[j] = 0.5 * (d->mean[0][j] + d->mean[1][j]);
    }
    solve_positive(d->matrix, d->w, D);
}

/* Twice the number of errors, added to their clusters: a point on the boundary (equal sides) is half an error. */
static int64_t count_errors(const discriminant *d, halves *h, int half, int64_t D, bool second)
{
    const float *x = rows_of(h, half, D);
    int64_t sum = 0;
    for (int64_t i = 0; i < h->n[half]; i++) {
        double score = 0;
        for (int64_t j = 0; j < D; j++)
            score += d->w[j] * ((double)x[i * D + j] - d->middle[j]);
        const int64_t error = score == 0 ? 1 : 2 * ((score > 0) != second);
        h->halves[h->unit[(half == 0 ? 0 : h->n[0]) + i]] += error;
        sum += error;
    }
    return sum;
}

/* Rows that would tell as much, each on its own: the variance of the error over clusters is that of so many. */
static int64_t effective_rows(const halves *sides, const thaw_proxy_a *gap)
{
    const double U = (double)gap->clusters;
    double sum = 0;
    if (gap->wrong == 0 || gap->wrong == gap->n)
        return gap->clusters;
    for (int s = 0; s < 2; s++) {
        for (int64_t u = 0; u < sides[s].units.count; u++) {
            const int64_t rows = sides[s].units.first[u + 1] - sides[s].units.first[u];
            const double z = 0.5 * (double)sides[s].halves[u] - gap->error * (double)rows;
            sum += z * z;
        }
    }
    const double effect = sum * U / (U - 1) / ((double)gap->n * gap->error * (1 - gap->error));
    return llround((double)gap->n / fmax(1, effect));
}

static void widen(const halves *sides, double level, thaw_proxy_a *gap)
{
    const int64_t n = effective_rows(sides, gap);
    gap->error_interval = thaw_wilson(llround(gap->error * (double)n), n, level);
    gap->interval.low = distance_of(gap->error_interval.high);
    gap->interval.high = distance_of(gap->error_interval.low);
}

static thaw_status judge(halves *sides, int64_t n, int64_t D, double level, thaw_proxy_a *out)
{
    double *work = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&work, D * D + 5 * D, sizeof *work));
    double *at = work + D * D;
    discriminant d = {at, at + D, {at + 2 * D, at + 3 * D}, at + 4 * D, work};
    int64_t errors = 0;
    for (int half = 0; half < 2; half++) {
        fit(&d, sides, half, D);
        errors += count_errors(&d, &sides[0], 1 - half, D, false);
        errors += count_errors(&d, &sides[1], 1 - half, D, true);
    }
    *out = thaw_proxy_a_from_error((errors + 1) / 2, 2 * n, level);
    out->clusters = sides[0].units.count + sides[1].units.count;
    status = THAW_OK;
done:
    thaw_free(&work);
    return status;
}

thaw_status thaw_proxy_a_features(const thaw_side *source, const thaw_side *target, int64_t D,
                                  double level, thaw_proxy_a *out)
{
    /* As many of each side, and of each half where there are no clusters. */
    const int64_t n = (source->n < target->n ? source->n : target->n) / 2 * 2;
    halves sides[2] = {{.rows = NULL}, {.rows = NULL}};
    thaw_status status;
    THAW_CHECK(n >= 4, THAW_ERR_INPUT,
               "domain gap from %lld and %lld rows of features; at least 4 of each are needed",
               (long long)source->n, (long long)target->n);
    THAW_TRY_TO(divide(source, n, D, &sides[0]));
    THAW_TRY_TO(divide(target, n, D, &sides[1]));
    THAW_TRY_TO(judge(sides, n, D, level, out));
    if (source->cluster != NULL || target->cluster != NULL)
        widen(sides, level, out);
done:
    halves_clear(&sides[1]);
    halves_clear(&sides[0]);
    return status;
}
