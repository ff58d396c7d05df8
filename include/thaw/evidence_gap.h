/* thaw/evidence_gap.h - the part of thaw/evidence.h that is about domain gaps: how far two sets of features are apart. */
#ifndef THAW_EVIDENCE_GAP_H
#define THAW_EVIDENCE_GAP_H

#include "thaw/evidence.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Column means (D) and, divided by n - 1, variances (D) or covariances (D, D) of x (n, D);
 * either may be NULL. n >= 2. */
void thaw_moments(const float *x, int64_t n, int64_t D, double *mean, double *var, double *cov);
/* ||m1-m2||^2 + sum (sd1 - sd2)^2: Frechet distance squared of two Gaussians with diagonal
 * covariance. */
double thaw_frechet_diagonal(const double *mean1, const double *var1, const double *mean2,
                             const double *var2, int64_t D);
#define THAW_FRECHET_MAX_D 1024
/* With full covariances (D, D), by own symmetric eigenvalues: about 10 D^3 operations.
 * THAW_ERR_FAIL for D above THAW_FRECHET_MAX_D, THAW_ERR_RESOURCE.  Source: Dowson & Landau
 * 1982. */
THAW_NODISCARD thaw_status thaw_frechet_full(const double *mean1, const double *cov1,
                                             const double *mean2, const double *cov2, int64_t D,
                                             double *out);

/* Rows of features of one side. */
typedef struct thaw_side {
    const float *x; /* (n, D) */
    int64_t n;
    const int32_t *
        cluster; /* (n) any ids, which mean nothing on the other side; NULL: every row on its own */
} thaw_side;

/* Of rows x (n, D), n >= 2, from a source with these moments (taken as known): thaw_frechet_diagonal over the source's total variance. */
typedef struct thaw_gap_test {
    double value;           /* NAN where the source does not vary */
    thaw_interval interval; /* reflected percentiles, at least 0: resampling adds to a distance */
    double
        p; /* of a value so large, were the rows from a source with these moments: rows that are drawn again after each column got them */
    int64_t clusters; /* that were drawn; n without */
} thaw_gap_test;

/* Clusters are drawn whole; of a single one interval and p are NAN. */
THAW_NODISCARD thaw_status thaw_gap_to_moments(const thaw_side *side, int64_t D, const double *mean,
                                               const double *var, const thaw_bootstrap *how,
                                               thaw_gap_test *out);

/* Proxy A-distance 2 (1 - 2 error), held to [0, 2]; interval from Wilson's for the error. */
typedef struct thaw_proxy_a {
    int64_t wrong, n;
    int64_t clusters; /* of both sides; n without */
    double error, distance;
    thaw_interval error_interval, interval;
} thaw_proxy_a;

/* From a domain classifier's held-out count. Source: Ben-David et al. 2007. */
thaw_proxy_a thaw_proxy_a_from_error(int64_t wrong, int64_t n, double level);
/* Trains the classifier: linear discriminant with a ridge, fitted on every other row and tested on the rest, both ways round. Uses the first
 * min(n1, n2) rows of each side (rows should be in random order). Where a side has clusters, none is in both halves, and Wilson's interval is of
 * as many rows as tell as much on their own as these do in their clusters (Kish 1965); where no row is wrong, or each, of as many as there
 * are clusters. THAW_ERR_INPUT for fewer than 4 rows or 2 clusters a side, THAW_ERR_RESOURCE. */
THAW_NODISCARD thaw_status thaw_proxy_a_features(const thaw_side *source, const thaw_side *target,
                                                 int64_t D, double level, thaw_proxy_a *out);

#define THAW_MMD_MOST 1000 /* rows of each side that are compared */

/* Squared maximum mean discrepancy of two samples, unbiased (so that it may lie below 0), with the kernel exp(-|x - y|^2 / (2 bandwidth^2)). */
typedef struct thaw_mmd {
    int64_t n1, n2;               /* rows compared */
    int64_t clusters1, clusters2; /* among them; n1, n2 without */
    double
        bandwidth; /* median distance of two rows of both sides together; where that is 0 the root mean square; 0: all rows are equal */
    double squared;
    int64_t permutations;
    double p; /* of a value so large, if it did not matter which side a row is on */
} thaw_mmd;

/* Of the first THAW_MMD_MOST rows of each side (rows should be in random order). Sides are drawn again how->resamples times, clusters whole and
 * as many of them as before; p = (1 + those that are as large) / (1 + all). Takes 12 (n1 + n2)^2 bytes and n1^2 / 2 additions a permutation.
 * THAW_ERR_INPUT for fewer than 2 rows a side, THAW_ERR_NUMERIC for a feature that is not finite, THAW_ERR_RESOURCE.
 *   Source: Gretton et al. 2012, "A kernel two-sample test", JMLR 13, eq. 3 and section 8 (median heuristic). */
THAW_NODISCARD thaw_status thaw_mmd_features(const thaw_side *source, const thaw_side *target,
                                             int64_t D, const thaw_bootstrap *how, thaw_mmd *out);

#ifdef __cplusplus
}
#endif
#endif
