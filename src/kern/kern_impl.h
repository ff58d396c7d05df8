/* kern_impl.h - what the backends of kern share: the table of backends and the plain functions a backend may borrow. */
#ifndef KERN_KERN_IMPL_H
#define KERN_KERN_IMPL_H

#include "thaw/kern.h"

/* One backend: fills the function pointers of a zeroed thaw_kern. */
typedef struct kern_backend {
    const char *name;
    thaw_status (*open)(thaw_kern *k);
    void (*close)(thaw_kern *k); /* NULL: nothing to release */
} kern_backend;

thaw_status kern_ref_open(thaw_kern *k);

void kern_ref_gemm(const thaw_kern *k, bool transpose_a, bool transpose_b, int64_t M, int64_t N,
                   int64_t K, float alpha, const float *a, int64_t lda, const float *b, int64_t ldb,
                   float beta, float *c, int64_t ldc);
void kern_ref_conv2d_forward(const thaw_kern *k, const thaw_conv2d *shape, const float *x,
                             const float *w, const float *bias, float *y, void *workspace);
void kern_ref_conv2d_backward_data(const thaw_kern *k, const thaw_conv2d *shape, const float *w,
                                   const float *dy, float *dx, bool accumulate, void *workspace);
void kern_ref_conv2d_backward_weights(const thaw_kern *k, const thaw_conv2d *shape, const float *x,
                                      const float *dy, float *dw, float *dbias, void *workspace);

#endif
