/* thaw/scale.h - how training scales with ranks, rung by rung: steps are timed on several rank counts, a model is fitted, and both are
 * written side by side.
 *
 * Strong scaling: the batch of the config on every rank count. Weak scaling: P ranks of at most M (the largest of scale.ranks) take
 * batch * P / M samples in shards * P / M shards, so that a rank's work is always the same and both kinds meet at M ranks.
 *
 * The model of a step on p ranks, each of which computes k shards:
 *   t = serial + shard * k + alpha * calls * log2(p) + beta * bytes * 2 (p - 1) / p
 * The last two terms are the least that an all-reduce needs (Thakur, Rabenseifner & Gropp 2005). `serial` and `shard` belong to a rung,
 * alpha (seconds) and beta (seconds a byte) to the machine.
 *
 * Files below the output directory: config.yaml  points.jsonl  scale.json  scale.csv  scale.md  step.svg  efficiency.svg  bytes.svg
 * and with scale.machine.ranks machine.svg. */
#ifndef THAW_SCALE_H
#define THAW_SCALE_H

#include "thaw/train.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Arithmetic ------------------------------------------------------------------------------------------- */

#define THAW_SCALE_RUNGS 32 /* most in one study */

/* One rung on one rank count with one batch. */
typedef struct thaw_scale_point {
    int32_t rung; /* index */
    int64_t ranks, nodes;
    int64_t shards, batch;            /* of a step, over all ranks */
    int64_t bytes, calls, plan_calls; /* as in thaw_timing */
    int64_t steps;                    /* that were timed */
    bool
        oversubscribed; /* more ranks (or threads) than cores: such a point says nothing about scaling */
    double seconds, low, high; /* of a step: median and quartiles */
    double transfer, waited;   /* medians, as in thaw_timing */
    /* Against the same rung's point on the fewest ranks with as much work in all (strong) or for each rank (weak); NaN: there is none. */
    double strong_efficiency, weak_efficiency;
    double serial_fraction; /* of strong scaling, thaw_karp_flatt */
    double predicted;       /* seconds, by the model */
} thaw_scale_point;

/* Fitted; values are never negative. */
typedef struct thaw_scale_model {
    int32_t rungs;
    double serial[THAW_SCALE_RUNGS], shard[THAW_SCALE_RUNGS]; /* seconds */
    int64_t fitted[THAW_SCALE_RUNGS]; /* points behind them; with one, serial is 0 */
    double alpha, beta;               /* seconds; seconds a byte */
    int64_t transfers;                /* points behind them; with one, alpha is 0 */
    double residual; /* largest |predicted / measured - 1| of the points that were fitted */
} thaw_scale_model;

/* Serial fraction e = (1/s - 1/p) / (1 - 1/p) of a speed-up s on p times as many ranks. NaN for p <= 1. Source: Karp & Flatt 1990. */
double thaw_karp_flatt(double speedup, double p);
/* Of n > 0 values, which it sorts, by linear interpolation between neighbours; q 0.5 is the median. */
double thaw_scale_quantile(double *values, int64_t n, double q);
/* Sums of a least-squares problem; {0} has no rows. */
typedef struct thaw_scale_rows {
    double aa, ab, bb, at, bt;
    int64_t count;
} thaw_scale_rows;
void thaw_scale_add_row(thaw_scale_rows *rows, double a, double b, double t);
/* x, y >= 0 that minimise the sum of (x a + y b - t)^2 over all rows. Where they cannot be told apart (a single row, or columns that are
 * multiples of each other) x is 0. */
void thaw_scale_solve(const thaw_scale_rows *rows, double *x, double *y);
/* Sets efficiencies and serial fractions of all points. */
void thaw_scale_compare(thaw_scale_point *points, int64_t count);
/* Fits alpha and beta to transfers on more than one rank, serial and shard to what is left of each step, all weighted by 1 / seconds; then
 * sets `predicted` of all points. Oversubscribed points are left out. */
void thaw_scale_fit(thaw_scale_point *points, int64_t count, int32_t rungs, thaw_scale_model *out);
/* Seconds of a step by the model. `network`: ranks that exchange, 1 is nobody. */
double thaw_scale_predict(const thaw_scale_model *model, int32_t rung, double shards_a_rank,
                          double network, double calls, double bytes);

/* ---- A study ---------------------------------------------------------------------------------------------- */

typedef struct thaw_scale_options {
    bool resume; /* what points.jsonl holds is not measured again */
    bool overwrite;
    bool quiet;
    int64_t only; /* of scale.ranks this count alone; 0: all that the ranks suffice for */
} thaw_scale_options;

/* Times every rung on the first P ranks for each P of scale.ranks, and writes all files. Ranks that have no part in a size sleep.
 * Collective; config must be equal on all ranks. THAW_ERR_CONFIG: rank counts that do not divide train.shards, or no size that the ranks
 * suffice for. THAW_ERR_STOPPED: on request; points are kept. */
THAW_NODISCARD thaw_status thaw_scale_run(thaw_comm *comm, const thaw_config *config,
                                          const thaw_scale_options *options);
/* Joins the points of other output directories, which began with the same settings, and writes all files. Local. THAW_ERR_INPUT. */
THAW_NODISCARD thaw_status thaw_scale_collect(const thaw_config *config,
                                              const char *const *directories, int64_t count,
                                              const thaw_scale_options *options);

#ifdef __cplusplus
}
#endif
#endif
