/* onednn.c - the backend on oneDNN: its convolutions beside our own, in channel blocks; its matrix product. */
#include "kern/onednn_impl.h"

#include "kern/conv_impl.h"

typedef struct onednn {
    kern_handle tiles; /* first: the tiled functions look for it */
    onednn_library *library;
} onednn;

onednn_library *onednn_library_of(const thaw_kern *k)
{
    return ((const onednn *)k->library)->library;
}

/* ---- the library's convolutions as algorithms ---- */

static bool unit_fits(const thaw_kern *k, const thaw_conv_spec *spec, thaw_conv_pass pass)
{
    return onednn_conv_fits(onednn_library_of(k), spec, pass);
}

/* Memory beside the library's own: dx before it is added, or the weights' gradient in the library's form. */
static int64_t extra_floats(const conv_unit *unit)
{
    if (unit->pass == THAW_CONV_FORWARD)
        return 0;
    const onednn_form *form = onednn_conv_form(unit->state);
    thaw_image x = conv_input_image(&unit->spec);
    return unit->pass == THAW_CONV_BACKWARD_DATA ? thaw_image_count(&x)
                                                 : (int64_t)(form->bytes / sizeof(float));
}

static thaw_status open_unit(conv_unit *unit)
{
    onednn_conv *conv = NULL;
    THAW_TRY(onednn_conv_new(onednn_library_of(unit->kern), &unit->spec, unit->pass, NULL, &conv));
    unit->state = conv;
    const onednn_form *form = onednn_conv_form(conv);
    if (unit->pass != THAW_CONV_BACKWARD_WEIGHTS && !form->plain)
        unit->packed_bytes = form->bytes;
    unit->workspace_bytes = onednn_conv_scratch_bytes(conv) +
                            (size_t)extra_floats(unit) * sizeof(float) + 4 * CONV_LINE;
    return THAW_OK;
}

static void close_unit(conv_unit *unit)
{
    onednn_conv *conv = unit->state;
    onednn_conv_free(&conv);
}

/* Whether our own transposes, which are faster, know the form. */
static bool in_squares(const conv_unit *unit)
{
    const onednn_form *form = onednn_conv_form(unit->state);
    return form->in_squares &&
           conv_squares_fit(kern_isa_of(unit->kern), &form->squares, &unit->spec.shape);
}

static void pack(const conv_unit *unit, const float *w, float *packed)
{
    if (in_squares(unit))
        conv_squares_pack(kern_isa_of(unit->kern), &onednn_conv_form(unit->state)->squares,
                          &unit->spec.shape, w, packed);
    else
        onednn_conv_pack(unit->state, w, packed);
}

static void run_data(conv_unit *unit, const conv_run *run, conv_scratch *scratch)
{
    thaw_image x = conv_input_image(&unit->spec);
    x.B = run->B;
    float *fresh = run->accumulate ? conv_take_floats(scratch, thaw_image_count(&x)) : run->dx;
    onednn_arrays arrays = {.data = fresh,
                            .weights = run->w,
                            .result = run->dy,
                            .scratch = run->workspace + scratch->used};
    onednn_conv_run(unit->state, run->B, &arrays);
    if (run->accumulate)
        thaw_kern_add(thaw_image_count(&x), run->dx, 1, fresh, run->dx);
}

static void run_weights(conv_unit *unit, const conv_run *run, conv_scratch *scratch)
{
    float *packed = conv_take_floats(scratch, extra_floats(unit));
    onednn_arrays arrays = {.data = run->x,
                            .weights = packed,
                            .result = run->dy,
                            .scratch = run->workspace + scratch->used};
    onednn_conv_run(unit->state, run->B, &arrays);
    if (in_squares(unit))
        conv_squares_add(kern_isa_of(unit->kern), &onednn_conv_form(unit->state)->squares,
                         &unit->spec.shape, packed, run->dw);
    else
        onednn_conv_unpack_add(unit->state, packed, run->dw);
}

static void run_unit(conv_unit *unit, const conv_run *run)
{
    conv_scratch scratch = conv_scratch_on(run->workspace);
    if (unit->pass == THAW_CONV_BACKWARD_DATA) {
        run_data(unit, run, &scratch);
    } else if (unit->pass == THAW_CONV_BACKWARD_WEIGHTS) {
        run_weights(unit, run, &scratch);
    } else {
        onednn_arrays arrays = {.data = run->x,
                                .weights = run->w,
                                .bias = run->bias,
                                .result = run->y,
                                .scratch = run->workspace + scratch.used};
        onednn_conv_run(unit->state, run->B, &arrays);
    }
}

static const conv_algorithm direct = {.name = "onednn",
                                      .fits = unit_fits,
                                      .open = open_unit,
                                      .close = close_unit,
                                      .pack = pack,
                                      .run = run_unit};
const conv_algorithm *const kern_onednn_algorithms[] = {
    &direct,         &conv_taps, &conv_winograd_blocks, &conv_depthwise, &conv_plain,
    &conv_reordered, NULL};

/* ---- backend ---- */

/* The library's first product makes all its kernels, 30 ms of a core: a small head alone, which ours take a few microseconds more for in
 * backward, is not worth that. Of the weights, which transpose_a tells from the batch, so that no batch's size decides; a limit of 1024 leaves
 * thin adapters to the library. */
static bool is_small(bool transpose_a, int64_t M, int64_t N, int64_t K)
{
    return (transpose_a ? M : K) * N <= 1024;
}

static void library_gemm(const thaw_kern *k, bool transpose_a, bool transpose_b, int64_t M,
                         int64_t N, int64_t K, float alpha, const float *a, int64_t lda,
                         const float *b, int64_t ldb, float beta, float *c, int64_t ldc)
{
    /* The library leaves C as it is when a dimension is 0; a few rows against a large transposed matrix it copies first. */
    bool own = K == 0 || is_small(transpose_a, M, N, K) ||
               (M <= 16 && transpose_b && !transpose_a && K >= 128);
    if (own || !onednn_library_gemm(transpose_a, transpose_b, M, N, K, alpha, a, lda, b, ldb, beta,
                                    c, ldc))
        kern_tiled_gemm(k, transpose_a, transpose_b, M, N, K, alpha, a, lda, b, ldb, beta, c, ldc);
}

thaw_status kern_onednn_open(thaw_kern *k)
{
    onednn *handle = NULL;
    THAW_TRY(thaw_alloc(&handle, 1, sizeof *handle));
    thaw_status status = onednn_library_open(&handle->library);
    if (status != THAW_OK) {
        thaw_free(&handle);
        return status;
    }
    kern_tiled_fill(k, &handle->tiles);
    k->gemm = library_gemm;
    k->library = handle;
    char title[48];
    onednn_library_title(title, sizeof title);
    /* The library's sums may depend on its threads: choices and records are of one number of them. */
    char threads[24] = "";
    if (thaw_threads() > 1)
        (void)thaw_format(threads, sizeof threads, ", %d threads", (int)thaw_threads());
    (void)thaw_format(k->cpu_kernels, sizeof k->cpu_kernels, "%s, own %s%s", title,
                      handle->tiles.isa->name, threads);
    int32_t block = onednn_library_block();
    k->block = block <= handle->tiles.isa->lanes ? block : 1;
    k->has_int8 = onednn_library_has_int8();
    return THAW_OK;
}

void kern_onednn_close(thaw_kern *k)
{
    onednn *handle = k->library;
    onednn_library_close(&handle->library);
    thaw_free(&k->library);
}
