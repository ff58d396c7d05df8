/* openblas.c - matrix products by OpenBLAS, loaded at run time; convolutions on our own tiles.
 *
 * Why at run time: the library looks at the CPU in its constructor, and an old one takes a new CPU for a very old one
 * (SSE3 kernels on an AVX-512 machine, four to five times slower). Only OPENBLAS_CORETYPE, set before it loads, cures
 * that; so we load it, ask, and load it again with the cure where its answer is poor. The user's own setting wins. */
#include "thaw/kern.h"

#include <cblas.h>
#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "kern/kern_impl.h"
#include "kern/threads_impl.h"

static const char *const library_name = "libopenblas.so.0";

typedef struct openblas {
    kern_handle tiles; /* first: the tiled functions look for it */
    void *shared_object;
    __typeof__(cblas_sgemm) *sgemm;
    char *(*corename)(void);
    void (*set_threads)(int);
} openblas;

/* The core type whose kernels fit this CPU; NULL: we have no opinion. `good`: names of cores that are as good. */
static const char *wanted_core(const char *const **good)
{
    static const char *const wide[] = {"SkylakeX", "Cooperlake", "SapphireRapids", "Zen", NULL};
    static const char *const medium[] = {"Haswell", "Zen", NULL};
#if defined(__x86_64__)
    __builtin_cpu_init();
    bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    *good = avx512 ? wide : medium;
    if (avx512)
        return "SkylakeX";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return "Haswell";
#else
    (void)wide;
#endif
    *good = medium;
    return NULL;
}

static bool listed(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(*list, name) == 0)
            return true;
    return false;
}

static void *symbol(const openblas *b, const char *name)
{
    return dlsym(b->shared_object, name);
}

/* Loads the library with one thread; the environment is as before afterwards. core NULL: the library's own choice. */
static thaw_status load(openblas *b, const char *core)
{
    bool set_threads =
        getenv("OPENBLAS_NUM_THREADS") == NULL && setenv("OPENBLAS_NUM_THREADS", "1", 0) == 0;
    bool set_core = core && setenv("OPENBLAS_CORETYPE", core, 0) == 0;
    b->shared_object = dlopen(library_name, RTLD_NOW | RTLD_LOCAL);
    if (set_threads)
        (void)unsetenv("OPENBLAS_NUM_THREADS");
    if (set_core)
        (void)unsetenv("OPENBLAS_CORETYPE");
    THAW_CHECK(
        b->shared_object, THAW_ERR_FAIL,
        "OpenBLAS cannot be loaded (%s); install it (Debian: libopenblas0) or use backend native",
        dlerror());
    /* The detour over void * is the way POSIX gives for function pointers. */
    *(void **)&b->sgemm = symbol(b, "cblas_sgemm");
    *(void **)&b->corename = symbol(b, "openblas_get_corename");
    *(void **)&b->set_threads = symbol(b, "openblas_set_num_threads");
    if (b->sgemm && b->corename && b->set_threads)
        return THAW_OK;
    (void)dlclose(b->shared_object);
    b->shared_object = NULL;
    return THAW_FAIL(THAW_ERR_FAIL, "%s has no cblas_sgemm or is no OpenBLAS; use backend native",
                     library_name);
}

static bool loaded_already(void)
{
    void *shared_object = dlopen(library_name, RTLD_NOW | RTLD_NOLOAD);
    if (shared_object)
        (void)dlclose(shared_object);
    return shared_object != NULL;
}

static thaw_status load_best(openblas *b)
{
    const char *const *good;
    const char *core = wanted_core(&good);
    THAW_TRY(load(b, NULL));
    if (core == NULL || getenv("OPENBLAS_CORETYPE") || listed(b->corename(), good))
        return THAW_OK;
    (void)dlclose(b->shared_object);
    b->shared_object = NULL;
    if (loaded_already()) {
        /* Somebody else in this process holds it: it cannot be cured, only said. */
        THAW_TRY(load(b, NULL));
        THAW_LOG(THAW_WARN,
                 "OpenBLAS runs its %s kernels, because another library loaded it first; "
                 "set OPENBLAS_CORETYPE=%s for several times the speed",
                 b->corename(), core);
        return THAW_OK;
    }
    return load(b, core);
}

typedef struct product {
    const openblas *library;
    bool transpose_a, transpose_b;
    int64_t M, N, K, lda, ldb, ldc;
    float alpha, beta;
    const float *a, *b;
    float *c;
} product;

/* Rows and columns of C that one call of the library computes: the same for every number of threads, because the order
 * of its sums may depend on the size. */
enum { PIECE = 512 };

static void multiply_piece(const product *p, int64_t m, int64_t n)
{
    int64_t rows = p->M - m < PIECE ? p->M - m : PIECE;
    int64_t columns = p->N - n < PIECE ? p->N - n : PIECE;
    p->library->sgemm(CblasRowMajor, p->transpose_a ? CblasTrans : CblasNoTrans,
                      p->transpose_b ? CblasTrans : CblasNoTrans, (blasint)rows, (blasint)columns,
                      (blasint)p->K, p->alpha, p->a + m * (p->transpose_a ? 1 : p->lda),
                      (blasint)p->lda, p->b + n * (p->transpose_b ? p->ldb : 1), (blasint)p->ldb,
                      p->beta, p->c + m * p->ldc + n, (blasint)p->ldc);
}

static void openblas_gemm(const thaw_kern *k, bool transpose_a, bool transpose_b, int64_t M,
                          int64_t N, int64_t K, float alpha, const float *a, int64_t lda,
                          const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
    if (M > INT_MAX || N > INT_MAX || K > INT_MAX || lda > INT_MAX || ldb > INT_MAX ||
        ldc > INT_MAX) {
        kern_tiled_gemm(k, transpose_a, transpose_b, M, N, K, alpha, a, lda, b, ldb, beta, c, ldc);
        return;
    }
    const product p = {.library = k->library,
                       .transpose_a = transpose_a,
                       .transpose_b = transpose_b,
                       .M = M,
                       .N = N,
                       .K = K,
                       .lda = lda,
                       .ldb = ldb,
                       .ldc = ldc,
                       .alpha = alpha,
                       .beta = beta,
                       .a = a,
                       .b = b,
                       .c = c};
    int64_t across = (N + PIECE - 1) / PIECE;
    /* A vector's multiply and add in place of an element. */
    KERN_EACH(M * N / 16 * K, (M + PIECE - 1) / PIECE * across, i,
              multiply_piece(&p, i / across * PIECE, i % across * PIECE));
}

thaw_status kern_openblas_open(thaw_kern *k)
{
    openblas *b = NULL;
    THAW_TRY(thaw_alloc(&b, 1, sizeof *b));
    thaw_status status = load_best(b);
    if (status != THAW_OK) {
        thaw_free(&b);
        return status;
    }
    b->set_threads(1);
    kern_tiled_fill(k, &b->tiles);
    k->gemm = openblas_gemm;
    k->library = b;
    (void)thaw_format(k->cpu_kernels, sizeof k->cpu_kernels, "OpenBLAS %s, convolution %s",
                      b->corename(), b->tiles.isa->name);
    return THAW_OK;
}

void kern_openblas_close(thaw_kern *k)
{
    openblas *b = k->library;
    (void)dlclose(b->shared_object);
    thaw_free(&k->library);
}
