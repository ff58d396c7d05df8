/* kern_impl.h - what the backends of kern share: the table of backends and the functions that they borrow. */
#ifndef KERN_KERN_IMPL_H
#define KERN_KERN_IMPL_H

#include "kern/isa_impl.h"

/* One backend: fills the function pointers of a zeroed thaw_kern. */
typedef struct kern_backend {
    const char *name;
    thaw_status (*open)(thaw_kern *k);
    void (*close)(thaw_kern *k); /* NULL: nothing to release */
} kern_backend;

thaw_status kern_ref_open(thaw_kern *k);
thaw_status kern_native_open(thaw_kern *k);
void kern_native_close(thaw_kern *k);
thaw_status kern_openblas_open(thaw_kern *k);
void kern_openblas_close(thaw_kern *k);

/* thaw_kern.library of the backends built on tiles. */
typedef void kern_sgemm(int order, int transpose_a, int transpose_b, int M, int N, int K,
                        float alpha, const float *a, int lda, const float *b, int ldb, float beta,
                        float *c, int ldc);
typedef struct kern_handle {
    const kern_isa *isa;
    void *shared_object; /* openblas */
    kern_sgemm *sgemm;
} kern_handle;

static inline const kern_isa *kern_isa_of(const thaw_kern *k)
{
    return ((const kern_handle *)k->library)->isa;
}

/* Tiled convolutions and product (conv.c, gemm.c); k->library is a kern_handle. kern_tiled_fill sets the pointers. */
THAW_NODISCARD thaw_status kern_tiled_open(thaw_kern *k);
void kern_tiled_gemm(const thaw_kern *k, bool transpose_a, bool transpose_b, int64_t M, int64_t N,
                     int64_t K, float alpha, const float *a, int64_t lda, const float *b,
                     int64_t ldb, float beta, float *c, int64_t ldc);

#endif
