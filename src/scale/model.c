#include "thaw/scale.h"

#include <math.h>
#include <stdlib.h>

double thaw_karp_flatt(double speedup, double p)
{
    return p > 1 ? (1 / speedup - 1 / p) / (1 - 1 / p) : NAN;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

double thaw_scale_quantile(double *values, int64_t n, double q)
{
    qsort(values, (size_t)n, sizeof *values, ascending);
    const double at = q * (double)(n - 1);
    const int64_t i = (int64_t)at;
    return i + 1 < n ? values[i] + (at - (double)i) * (values[i + 1] - values[i]) : values[n - 1];
}

void thaw_scale_add_row(thaw_scale_rows *rows, double a, double b, double t)
{
    rows->aa += a * a;
    rows->ab += a * b;
    rows->bb += b * b;
    rows->at += a * t;
    rows->bt += b * t;
    rows->count++;
}

static double alone(double aa, double at)
{
    return aa > 0 && at > 0 ? at / aa : 0;
}

/* With two unknowns the constrained minimum is the free one, or lies on an axis. */
void thaw_scale_solve(const thaw_scale_rows *r, double *x, double *y)
{
    const double det = r->aa * r->bb - r->ab * r->ab;
    if (det > 1e-12 * r->aa * r->bb) { /* columns that point the same way have no free minimum */
        *x = (r->bb * r->at - r->ab * r->bt) / det;
        *y = (r->aa * r->bt - r->ab * r->at) / det;
        if (*x >= 0 && *y >= 0)
            return;
    }
    const double on_a = alone(r->aa, r->at);
    const double on_b = alone(r->bb, r->bt);
    /* What each takes off the sum of squares; where the columns do not differ, all goes to y. */
    const bool take_a = on_a * r->at > (1 + 1e-9) * on_b * r->bt;
    *x = take_a ? on_a : 0;
    *y = take_a ? 0 : on_b;
}

/* ---- Efficiencies --------------------------------------------------------------------------------------------- */

/* The point on the fewest ranks that `p` is measured against, itself if need be. */
static const thaw_scale_point *base_of(const thaw_scale_point *points, int64_t count,
                                       const thaw_scale_point *p, bool weak)
{
    const thaw_scale_point *base = p;
    for (int64_t i = 0; i < count; i++) {
        const thaw_scale_point *q = &points[i];
        const bool alike =
            weak ? q->shards * p->ranks == p->shards * q->ranks : q->shards == p->shards;
        if (q->rung == p->rung && alike && q->ranks < base->ranks)
            base = q;
    }
    return base;
}

/* A single point of its kind has nothing to be measured against. */
static bool has_kind(const thaw_scale_point *points, int64_t count, const thaw_scale_point *p,
                     bool weak)
{
    for (int64_t i = 0; i < count; i++) {
        const thaw_scale_point *q = &points[i];
        const bool alike =
            weak ? q->shards * p->ranks == p->shards * q->ranks : q->shards == p->shards;
        if (q->rung == p->rung && alike && q->ranks != p->ranks)
            return true;
    }
    return false;
}

void thaw_scale_compare(thaw_scale_point *points, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        thaw_scale_point *p = &points[i];
        const thaw_scale_point *strong = base_of(points, count, p, false);
        const thaw_scale_point *weak = base_of(points, count, p, true);
        const double times = (double)p->ranks / (double)strong->ranks;
        const double speedup = strong->seconds / p->seconds;
        p->strong_efficiency = has_kind(points, count, p, false) ? speedup / times : NAN;
        p->weak_efficiency = has_kind(points, count, p, true) ? weak->seconds / p->seconds : NAN;
        p->serial_fraction = thaw_karp_flatt(speedup, times);
    }
}

/* ---- The model ------------------------------------------------------------------------------------------------ */

static double steps_of(double network)
{
    return network > 1 ? log2(network) : 0;
}

static double share_of(double network)
{
    return network > 1 ? 2 * (network - 1) / network : 0;
}

double thaw_scale_predict(const thaw_scale_model *model, int32_t rung, double shards_a_rank,
                          double network, double calls, double bytes)
{
    return model->serial[rung] + model->shard[rung] * shards_a_rank +
           model->alpha * calls * steps_of(network) + model->beta * bytes * share_of(network);
}

/* Divided by what was measured, so that long steps do not outweigh short ones. */
static void add(thaw_scale_rows *rows, double a, double b, double t, double seconds)
{
    thaw_scale_add_row(rows, a / seconds, b / seconds, t / seconds);
}

static void fit_network(const thaw_scale_point *points, int64_t count, thaw_scale_model *out)
{
    thaw_scale_rows rows = {0};
    for (int64_t i = 0; i < count; i++) {
        const thaw_scale_point *p = &points[i];
        const double ranks = (double)p->ranks;
        if (p->ranks > 1 && !p->oversubscribed && p->transfer > 0)
            add(&rows, (double)p->calls * steps_of(ranks), (double)p->bytes * share_of(ranks),
                p->transfer, p->transfer);
    }
    out->transfers = rows.count;
    thaw_scale_solve(&rows, &out->alpha, &out->beta);
}

/* What a lone rank spends in sums is its own work. */
static void fit_rung(const thaw_scale_point *points, int64_t count, int32_t rung,
                     thaw_scale_model *out)
{
    thaw_scale_rows rows = {0};
    for (int64_t i = 0; i < count; i++) {
        const thaw_scale_point *p = &points[i];
        if (p->rung == rung && !p->oversubscribed)
            add(&rows, 1, (double)p->shards / (double)p->ranks,
                p->seconds - (p->ranks > 1 ? p->transfer : 0), p->seconds);
    }
    out->fitted[rung] = rows.count;
    thaw_scale_solve(&rows, &out->serial[rung], &out->shard[rung]);
}

void thaw_scale_fit(thaw_scale_point *points, int64_t count, int32_t rungs, thaw_scale_model *out)
{
    *out = (thaw_scale_model){.rungs = rungs};
    fit_network(points, count, out);
    for (int32_t rung = 0; rung < rungs; rung++)
        fit_rung(points, count, rung, out);
    for (int64_t i = 0; i < count; i++) {
        thaw_scale_point *p = &points[i];
        p->predicted = thaw_scale_predict(out, p->rung, (double)p->shards / (double)p->ranks,
                                          (double)p->ranks, (double)p->calls, (double)p->bytes);
        if (!p->oversubscribed)
            out->residual = fmax(out->residual, fabs(p->predicted / p->seconds - 1));
    }
}
