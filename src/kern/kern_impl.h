/* kern_impl.h - what the backends of kern share: the table of backends and the functions that they borrow. */
#ifndef KERN_KERN_IMPL_H
#define KERN_KERN_IMPL_H

#include "kern/isa_impl.h"

/* One backend: fills the function pointers of a zeroed thaw_kern. */
typedef struct kern_backend {
    const char *name;
    thaw_status (*open)(thaw_kern *k);
    void (*close)(thaw_kern *k); /* NULL: nothing to release */
    /* Of planned convolutions: NULL-ended, the default rule's order. The last takes every spec. */
    const struct conv_algorithm *const *algorithms;
    const struct conv_int8_library *int8; /* NULL: none; for CPUs where thaw_kern.has_int8 */
} kern_backend;

thaw_status kern_ref_open(thaw_kern *k);
thaw_status kern_native_open(thaw_kern *k);
void kern_native_close(thaw_kern *k);
/* In builds with oneDNN (THAW_WITH_ONEDNN). */
thaw_status kern_onednn_open(thaw_kern *k);
void kern_onednn_close(thaw_kern *k);
thaw_status kern_openblas_open(thaw_kern *k);
void kern_openblas_close(thaw_kern *k);

/* thaw_kern.library of the backends built on tiles starts with this. */
typedef struct kern_handle {
    const kern_isa *isa;
} kern_handle;

static inline const kern_isa *kern_isa_of(const thaw_kern *k)
{
    return ((const kern_handle *)k->library)->isa;
}

/* Convolutions and product on tiles (conv.c, gemm.c): sets k's functions and its library to the handle. */
void kern_tiled_fill(thaw_kern *k, kern_handle *handle);
void kern_tiled_gemm(const thaw_kern *k, bool transpose_a, bool transpose_b, int64_t M, int64_t N,
                     int64_t K, float alpha, const float *a, int64_t lda, const float *b,
                     int64_t ldb, float beta, float *c, int64_t ldc);

#endif
