/* cholesky_impl.h - systems with a symmetric positive definite matrix, in double, in fixed order. */
#ifndef THAW_EVIDENCE_CHOLESKY_IMPL_H
#define THAW_EVIDENCE_CHOLESKY_IMPL_H

#include "thaw/base.h"

/* matrix (n, n), its lower half read, becomes L with L L' = matrix below and on the diagonal. False when it is not positive definite. */
bool thaw_cholesky(double *matrix, int64_t n);
/* x (n) becomes L^-1 x; then L'^-1 x. */
void thaw_cholesky_forward(const double *l, int64_t n, double *x);
void thaw_cholesky_backward(const double *l, int64_t n, double *x);

#endif
