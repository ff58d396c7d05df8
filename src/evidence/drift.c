#include "thaw/evidence.h"

#include <math.h>
#include <string.h>

void thaw_motion_add(thaw_motion *motion, const float *w, const float *w0, int64_t count)
{
    double moved2 = 0;
    double base2 = 0;
    for (int64_t i = 0; i < count; i++) {
        double base = w0[i];
        double moved = (double)w[i] - base;
        moved2 += moved * moved;
        base2 += base * base;
    }
    motion->moved2 += moved2;
    motion->base2 += base2;
}

double thaw_motion_relative(const thaw_motion *motion)
{
    if (motion->moved2 == 0)
        return 0;
    return motion->base2 > 0 ? sqrt(motion->moved2 / motion->base2) : INFINITY;
}

double thaw_mean_cosine(const float *x, const float *y, int64_t n, int64_t D)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double xx = 0;
        double yy = 0;
        double xy = 0;
        for (int64_t j = 0; j < D; j++) {
            double a = x[i * D + j];
            double b = y[i * D + j];
            xx += a * a;
            yy += b * b;
            xy += a * b;
        }
        if (xx > 0 && yy > 0)
            sum += xy / (sqrt(xx) * sqrt(yy));
        else
            sum += xx == yy ? 1 : 0;
    }
    return n > 0 ? sum / (double)n : NAN;
}

/* Where each sum lies in the flat array. With k(i,j) = x_i.x_j and l(i,j) = y_i.y_j, every term
 * of both estimators is a polynomial of sums over single rows, so one pass is enough for the
 * unbiased one too. */
typedef struct cka_layout {
    double *n, *kl;            /* rows; sum k(i,i) l(i,i) */
    double *k, *l, *kk, *ll;   /* sums of k(i,i), l(i,i) and of their squares */
    double *x, *y;             /* sums of x_i, y_i */
    double *xk, *xl, *yk, *yl; /* sums of x_i k(i,i), x_i l(i,i), y_i k(i,i), y_i l(i,i) */
    double *xx, *yy, *xy;      /* (D1, D1), (D2, D2), (D1, D2) sums of products */
} cka_layout;

static cka_layout layout_of(const thaw_cka *cka)
{
    int64_t D1 = cka->D1;
    int64_t D2 = cka->D2;
    double *s = cka->sums;
    cka_layout at;
    at.n = s;
    at.kl = s + 1;
    at.k = s + 2;
    at.l = s + 3;
    at.kk = s + 4;
    at.ll = s + 5;
    at.x = s + 6;
    at.xk = at.x + D1;
    at.xl = at.xk + D1;
    at.y = at.xl + D1;
    at.yk = at.y + D2;
    at.yl = at.yk + D2;
    at.xx = at.yl + D2;
    at.yy = at.xx + D1 * D1;
    at.xy = at.yy + D2 * D2;
    return at;
}

thaw_status thaw_cka_init(thaw_cka *cka, int64_t D1, int64_t D2)
{
    thaw_cka fresh = {.D1 = D1, .D2 = D2};
    fresh.count = 6 + 3 * (D1 + D2) + D1 * D1 + D2 * D2 + D1 * D2;
    THAW_TRY(thaw_alloc(&fresh.sums, fresh.count, sizeof *fresh.sums));
    *cka = fresh;
    return THAW_OK;
}

void thaw_cka_clear(thaw_cka *cka)
{
    thaw_free(&cka->sums);
    memset(cka, 0, sizeof *cka);
}

/* sums (D1, D2) += x' y over n rows, four rows at a time: a fixed order that leaves the sums in
 * cache four times longer. `half`: only the columns from the diagonal on, for x = y. */
static void add_products(const float *x, int64_t D1, const float *y, int64_t D2, int64_t n,
                         bool half, double *sums)
{
    int64_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const float *xi = x + i * D1;
        const float *yi = y + i * D2;
        for (int64_t r = 0; r < D1; r++) {
            double a = xi[r];
            double b = xi[D1 + r];
            double c = xi[2 * D1 + r];
            double d = xi[3 * D1 + r];
            for (int64_t j = half ? r : 0; j < D2; j++)
                sums[r * D2 + j] += (a * (double)yi[j] + b * (double)yi[D2 + j]) +
                                    (c * (double)yi[2 * D2 + j] + d * (double)yi[3 * D2 + j]);
        }
    }
    for (; i < n; i++) {
        for (int64_t r = 0; r < D1; r++) {
            double a = x[i * D1 + r];
            for (int64_t j = half ? r : 0; j < D2; j++)
                sums[r * D2 + j] += a * (double)y[i * D2 + j];
        }
    }
}

static double square_norm(const float *row, int64_t D)
{
    double sum = 0;
    for (int64_t j = 0; j < D; j++)
        sum += (double)row[j] * (double)row[j];
    return sum;
}

static void add_row(const float *row, int64_t D, double k, double l, double *sum, double *sum_k,
                    double *sum_l)
{
    for (int64_t j = 0; j < D; j++) {
        double value = row[j];
        sum[j] += value;
        sum_k[j] += value * k;
        sum_l[j] += value * l;
    }
}

void thaw_cka_add(thaw_cka *cka, const float *x, const float *y, int64_t n)
{
    cka_layout at = layout_of(cka);
    for (int64_t i = 0; i < n; i++) {
        const float *xi = x + i * cka->D1;
        const float *yi = y + i * cka->D2;
        double k = square_norm(xi, cka->D1);
        double l = square_norm(yi, cka->D2);
        *at.n += 1;
        *at.k += k;
        *at.l += l;
        *at.kl += k * l;
        *at.kk += k * k;
        *at.ll += l * l;
        add_row(xi, cka->D1, k, l, at.x, at.xk, at.xl);
        add_row(yi, cka->D2, k, l, at.y, at.yk, at.yl);
    }
    add_products(x, cka->D1, x, cka->D1, n, true, at.xx);
    add_products(y, cka->D2, y, cka->D2, n, true, at.yy);
    add_products(x, cka->D1, y, cka->D2, n, false, at.xy);
}

void thaw_cka_merge(thaw_cka *into, const thaw_cka *from)
{
    THAW_ASSERT(into->D1 == from->D1 && into->D2 == from->D2);
    for (int64_t i = 0; i < into->count; i++)
        into->sums[i] += from->sums[i];
}

/* What the estimators need of one pair of sides: product sums m (D1, D2), upper half only when
 * `half`. */
typedef struct pair_sums {
    int64_t D1, D2;
    bool half;
    const double *m, *x, *y, *xl, *yk; /* sums of x_i, y_i, x_i l(i,i), y_i k(i,i) */
    double n, k, l, kl;
} pair_sums;

static double product_at(const pair_sums *p, int64_t r, int64_t j)
{
    return p->half && j < r ? p->m[j * p->D2 + r] : p->m[r * p->D2 + j];
}

/* Squared Frobenius norm of the centred product. */
static double centred_norm2(const pair_sums *p)
{
    double sum = 0;
    for (int64_t r = 0; r < p->D1; r++) {
        for (int64_t j = 0; j < p->D2; j++) {
            double value = product_at(p, r, j) - p->x[r] * p->y[j] / p->n;
            sum += value * value;
        }
    }
    return sum;
}

static double dot(const double *a, const double *b, int64_t D)
{
    double sum = 0;
    for (int64_t j = 0; j < D; j++)
        sum += a[j] * b[j];
    return sum;
}

/* Song et al. 2012, eq. 5, with tr(K~L~) = |X'Y|^2 - sum k l, and 1'K~L~1 = sum_i (x_i.sx -
 * k)(y_i.sy - l). */
static double unbiased_hsic(const pair_sums *p)
{
    double n = p->n;
    double trace = -p->kl;
    double chain = p->kl;
    for (int64_t r = 0; r < p->D1; r++) {
        for (int64_t j = 0; j < p->D2; j++) {
            double value = product_at(p, r, j);
            trace += value * value;
            chain += p->x[r] * value * p->y[j];
        }
    }
    chain -= dot(p->x, p->xl, p->D1) + dot(p->y, p->yk, p->D2);
    double total_k = dot(p->x, p->x, p->D1) - p->k;
    double total_l = dot(p->y, p->y, p->D2) - p->l;
    return (trace + total_k * total_l / ((n - 1) * (n - 2)) - 2 * chain / (n - 2)) / (n * (n - 3));
}

static void pairs_of(const thaw_cka *cka, pair_sums *xy, pair_sums *xx, pair_sums *yy)
{
    cka_layout at = layout_of(cka);
    pair_sums both = {cka->D1, cka->D2, false, at.xy, at.x,  at.y,
                      at.xl,   at.yk,   *at.n, *at.k, *at.l, *at.kl};
    pair_sums first = {cka->D1, cka->D1, true,  at.xx, at.x,  at.x,
                       at.xk,   at.xk,   *at.n, *at.k, *at.k, *at.kk};
    pair_sums second = {cka->D2, cka->D2, true,  at.yy, at.y,  at.y,
                        at.yl,   at.yl,   *at.n, *at.l, *at.l, *at.ll};
    *xy = both;
    *xx = first;
    *yy = second;
}

double thaw_cka_biased(const thaw_cka *cka)
{
    pair_sums xy;
    pair_sums xx;
    pair_sums yy;
    pairs_of(cka, &xy, &xx, &yy);
    double scale = sqrt(centred_norm2(&xx)) * sqrt(centred_norm2(&yy));
    return scale > 0 ? centred_norm2(&xy) / scale : NAN;
}

void thaw_cka_hsic(const thaw_cka *cka, double *xy, double *xx, double *yy)
{
    pair_sums both;
    pair_sums first;
    pair_sums second;
    pairs_of(cka, &both, &first, &second);
    bool enough = cka->sums[0] > 3;
    *xy = enough ? unbiased_hsic(&both) : NAN;
    *xx = enough ? unbiased_hsic(&first) : NAN;
    *yy = enough ? unbiased_hsic(&second) : NAN;
}

double thaw_cka_unbiased(const thaw_cka *cka)
{
    double xy;
    double xx;
    double yy;
    thaw_cka_hsic(cka, &xy, &xx, &yy);
    return xx > 0 && yy > 0 ? xy / (sqrt(xx) * sqrt(yy)) : NAN;
}
