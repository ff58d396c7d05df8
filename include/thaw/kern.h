/* thaw/kern.h - the only arithmetic loops: a small table of dense float32 functions, with several backends.
 *
 * A thaw_kern is one opened backend:
 *   "ref"       plain C, sums in double where it matters: the truth that tests compare with
 *   "native"    our own tiles for convolution and product, compiled for several kinds of CPU, chosen at run time; no library
 *   "onednn"    oneDNN beside our own convolutions, in channel blocks; in builds that found the library
 *   "openblas"  products by OpenBLAS, loaded at run time, so that its kernels can be chosen before its constructor looks at
 *               the CPU; convolutions as native
 * All backends pass the same conformance tests. All functions are Local, allocate nothing, and give the same bits for the
 * same shapes and data on every call on one kind of CPU, for any number of threads (thaw_threads; onednn: for one number).
 *
 * Layout is NCHW, dense, row-major, where nothing else is said. S = H * W. "+=" in a comment means: adds into the array. */
#ifndef THAW_KERN_H
#define THAW_KERN_H

#include "thaw/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Sizes of one 2-D convolution. x (B, C, H, W), w (O, C/groups, KH, KW), y (B, O, OH, OW). */
typedef struct thaw_conv2d {
    int64_t B, C, H, W, O, KH, KW, OH, OW;
    int64_t stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, groups;
} thaw_conv2d;

/* Fills OH and OW from the others; false when the window does not fit. */
bool thaw_conv2d_output(thaw_conv2d *shape);

/* Sizes of one 2-D pooling over (B, C, H, W). */
typedef struct thaw_pool2d {
    int64_t B, C, H, W, KH, KW, OH, OW;
    int64_t stride_h, stride_w, pad_h, pad_w;
    bool count_padding; /* average: divide by KH*KW always (PyTorch's count_include_pad) */
    int32_t block;      /* layout, as in thaw_image; 0 is 1 */
} thaw_pool2d;

bool thaw_pool2d_output(thaw_pool2d *shape);

/* ---- Layouts ----------------------------------------------------------------------------------------------- */

/* An image tensor in one of two layouts. block 1: NCHW, (B, C, H, W). block 8 or 16: channel blocks, (B, ceil(C / block), H, W,
 * block); lanes beyond C are zero in all that functions read and write. Element-wise functions take either as flat arrays. */
typedef struct thaw_image {
    int64_t B, C, H, W;
    int32_t block;
} thaw_image;

/* Elements in memory, lanes beyond C included. */
int64_t thaw_image_count(const thaw_image *image);
/* Between NCHW and channel blocks, one of from->block and block is 1: y = or += (accumulate) x in the other layout. */
void thaw_kern_reorder(const thaw_image *from, const float *x, int32_t block, float *y,
                       bool accumulate);

/* What an operator may apply to its result in the same sweep. */
typedef enum thaw_act {
    THAW_ACT_NONE,
    THAW_ACT_RELU,  /* max(x, 0) */
    THAW_ACT_RELU6, /* min(max(x, 0), 6) */
    THAW_ACT_COUNT
} thaw_act;

/* y = act(x); y may be x. NaN passes through. */
void thaw_kern_act(int64_t n, thaw_act act, const float *x, float *y);
/* dx = or += dy where act is not flat, told from its result y; dx may be dy. */
void thaw_kern_act_backward(int64_t n, thaw_act act, const float *y, const float *dy, float *dx,
                            bool accumulate);
/* y = act(a + alpha b); y may be a. */
void thaw_kern_add_act(int64_t n, const float *a, float alpha, const float *b, thaw_act act,
                       float *y);

/* ---- Backends ---------------------------------------------------------------------------------------------- */

typedef struct thaw_kern thaw_kern;

struct thaw_kern {
    const char *name;     /* "onednn", "openblas", "native", "ref" */
    char cpu_kernels[64]; /* what the library says it runs: "SkylakeX", "plain C" */
    int32_t block; /* 1, or channels in a block that this backend's planned convolutions like */
    bool has_int8; /* thaw_conv8 works, and is faster than floats on this CPU */
    bool
        has_linear_int8; /* thaw_linear8 has kernels for this CPU; thaw_linear8_is_fast: faster ones than gemm */
    void *library;                      /* backend's own handle */
    const struct kern_backend *backend; /* its row in the table of backends */
    struct conv_choices *choices;       /* algorithms chosen so far */
    /* C = alpha op(A) op(B) + beta C; op(A) is (M, K), op(B) (K, N), C (M, N); row-major with leading dimensions. */
    void (*gemm)(const thaw_kern *k, bool transpose_a, bool transpose_b, int64_t M, int64_t N,
                 int64_t K, float alpha, const float *a, int64_t lda, const float *b, int64_t ldb,
                 float beta, float *c, int64_t ldc);
    /* Bytes of workspace that the three convolution functions may use for this shape (any B up to shape->B). */
    size_t (*conv2d_workspace)(const thaw_kern *k, const thaw_conv2d *shape);
    /* y = conv(x, w) + bias (bias NULL: none). */
    void (*conv2d_forward)(const thaw_kern *k, const thaw_conv2d *shape, const float *x,
                           const float *w, const float *bias, float *y, void *workspace);
    /* dx = or += (accumulate) the gradient with respect to x. */
    void (*conv2d_backward_data)(const thaw_kern *k, const thaw_conv2d *shape, const float *w,
                                 const float *dy, float *dx, bool accumulate, void *workspace);
    /* dw +=, dbias += (NULL: not wanted). */
    void (*conv2d_backward_weights)(const thaw_kern *k, const thaw_conv2d *shape, const float *x,
                                    const float *dy, float *dw, float *dbias, void *workspace);
};

/* Opens a backend: "onednn", "openblas", "native", "ref", or "auto": the first of these that can be opened; a fallback is
 * warned of. oneDNN runs thaw_threads() threads. openblas is loaded with one thread and, where its own choice of CPU kernels is known to be wrong and the user has
 * not set OPENBLAS_CORETYPE, with the right one.
 * THAW_ERR_USAGE for an unknown name (with a suggestion), THAW_ERR_FAIL when the library is not there. */
THAW_NODISCARD thaw_status thaw_kern_open(const char *name, thaw_kern **out);
void thaw_kern_close(thaw_kern **kern);
/* Names of the backends in this build, NULL-ended, fastest first. */
const char *const *thaw_kern_names(void);

/* ---- Planned convolutions ----------------------------------------------------------------------------------- */

/* A convolution whose algorithms, weight forms and scratch memory are settled once. Made for one shape, it runs any B up to
 * shape.B, and allocates nothing once each B has been seen. All backends have it: "onednn" with channel blocks and a choice of algorithms, the
 * others by their three functions above (block 1, weights as they are). */
typedef enum thaw_conv_pass {
    THAW_CONV_FORWARD,
    THAW_CONV_BACKWARD_DATA,
    THAW_CONV_BACKWARD_WEIGHTS,
    THAW_CONV_PASSES
} thaw_conv_pass;

typedef struct thaw_conv_spec {
    thaw_conv2d shape;             /* B: most samples of a run */
    int32_t block_in, block_out;   /* layout of x and dx, of y and dy: 1 or kern->block */
    bool wanted[THAW_CONV_PASSES]; /* passes that will run */
    bool bias;
    thaw_act act; /* forward: y = act(conv(x, w) + bias [+ y]) */
    bool add;     /* forward: adds to what y holds (a residual) before act */
} thaw_conv_spec;

typedef struct thaw_conv thaw_conv;

/* Algorithms come from kern's choices; what is not known there is chosen now and kept. Borrows k. THAW_ERR_RESOURCE;
 * THAW_ERR_FAIL when the backend cannot do this spec. */
THAW_NODISCARD thaw_status thaw_conv_new(const thaw_kern *k, const thaw_conv_spec *spec,
                                         thaw_conv **out);
void thaw_conv_free(thaw_conv **conv);
/* Whether the backend works in these layouts; thaw_conv_new takes others too, but then only by reordering inside. */
bool thaw_conv_fits(const thaw_kern *k, const thaw_conv_spec *spec);
/* Weights in the form that one pass (forward or backward data) wants. 0 bytes: the weights as they are; give w itself as packed. */
size_t thaw_conv_packed_bytes(const thaw_conv *conv, thaw_conv_pass pass);
void thaw_conv_pack(const thaw_conv *conv, thaw_conv_pass pass, const float *w, float *packed);
/* The workspace of a pass may start anywhere and holds nothing between runs. */
size_t thaw_conv_workspace_bytes(const thaw_conv *conv, thaw_conv_pass pass);
const char *thaw_conv_algorithm(const thaw_conv *conv,
                                thaw_conv_pass pass); /* for reports; "" for a pass not wanted */
void thaw_conv_forward(thaw_conv *conv, int64_t B, const float *x, const float *packed,
                       const float *bias, float *y, void *workspace);
/* dx = or += (accumulate) */
void thaw_conv_backward_data(thaw_conv *conv, int64_t B, const float *packed, const float *dy,
                             float *dx, bool accumulate, void *workspace);
/* dw (O, C/groups, KH, KW) += ; dbias +=, NULL: not wanted */
void thaw_conv_backward_weights(thaw_conv *conv, int64_t B, const float *x, const float *dy,
                                float *dw, float *dbias, void *workspace);

/* ---- Convolutions in 8 bits, for inference ---- */

/* A value is a byte times its array's scale. Images are NHWC: (B, H, W, C) bytes, signed or not (what follows a relu needs no
 * sign). Weights become signed bytes with one scale an output channel (largest |w| / 127); products are summed in 32 bits. */
typedef struct thaw_conv8_spec {
    thaw_conv2d shape; /* B: most samples of a run */
    bool x_signed, y_signed;
    bool y_float; /* y is NHWC floats; y_scale and add_scale do not count */
    bool bias;
    thaw_act
        act; /* y = act(conv(x, w) + bias [+ y]), then rounded to the nearest byte and cut off */
    bool add, add_signed; /* adds to what y holds: bytes of their own sign and scale, or floats */
    float x_scale, y_scale, add_scale;
} thaw_conv8_spec;

typedef struct thaw_conv8 thaw_conv8;

/* Borrows k; w (O, C/groups, KH, KW) gives the scales and is not kept. THAW_ERR_FAIL: the backend or CPU has no fast 8-bit convolution (k->has_int8), or not this one. */
THAW_NODISCARD thaw_status thaw_conv8_new(const thaw_kern *k, const thaw_conv8_spec *spec,
                                          const float *w, thaw_conv8 **out);
void thaw_conv8_free(thaw_conv8 **conv);
size_t thaw_conv8_packed_bytes(const thaw_conv8 *conv);
/* From the same w and bias (O) in floats; a pure function of them and the spec, so that ranks can share the result. THAW_ERR_RESOURCE. */
THAW_NODISCARD thaw_status thaw_conv8_pack(const thaw_conv8 *conv, const float *w,
                                           const float *bias, void *packed);
size_t thaw_conv8_workspace_bytes(const thaw_conv8 *conv);
void thaw_conv8_run(thaw_conv8 *conv, int64_t B, const void *x, const void *packed, void *y,
                    void *workspace);
/* Floats of an image in its layout to NHWC bytes, rounded to nearest, cut off at the ends; and back. NaN becomes the least byte. */
void thaw_kern_quantize(const thaw_image *image, const float *x, float scale, bool is_signed,
                        void *bytes);
void thaw_kern_dequantize(const thaw_image *image, const void *bytes, float scale, bool is_signed,
                          float *x);

/* ---- Linear layers in 8 bits, for inference ---- */

/* y (N, O) = x (N, D) w' + bias. Each row of x becomes signed bytes with a scale of its own, and so does each row of w, once (largest
 * magnitude / 127: vector-wise quantization, Dettmers et al. 2022, arXiv:2208.07339, section 3.1); sums are whole numbers. A row's bits depend
 * on nothing but the row, on any CPU and backend. A row that is not finite gives NaN. */
enum { THAW_LINEAR8_MOST_INPUTS = 65536 };
/* Whether there are kernels for this CPU (AVX-512 VNNI; AVX2, in words of 16 bits), and whether they beat floats: VNNI's do; those of AVX2 took
 * 1.1 to 1.4 times as long on a Zen 3 and save memory only. The functions below work on every CPU. */
bool thaw_linear8_has_kernels(void);
bool thaw_linear8_is_fast(void);
size_t thaw_linear8_packed_bytes(int64_t O, int64_t D);
/* w (O, D), D at most THAW_LINEAR8_MOST_INPUTS; packed starts at a multiple of 4. scratch: (D + 3) / 4 floats. */
void thaw_linear8_pack(int64_t O, int64_t D, const float *w, void *packed, float *scratch);
size_t thaw_linear8_workspace_bytes(int64_t N, int64_t D);
/* bias (O), NULL: none. The workspace may start anywhere. */
void thaw_linear8_run(int64_t N, int64_t O, int64_t D, const float *x, const void *packed,
                      const float *bias, float *y, void *workspace);

/* Choices of algorithms, one for each shape and pass, and where weights train for each batch. As text: a first line that names this kind of text, the backend, the CPU and the
 * library's version, then sorted lines. Ranks whose results must agree have to make the same choices: give all of them one text. */

/* How thaw_conv_new chooses what is not known: by a measured trial (true) or by a fixed rule (false, as opened). */
void thaw_kern_choices_measure(thaw_kern *k, bool measure);
THAW_NODISCARD thaw_status thaw_kern_choices_write(const thaw_kern *k, thaw_str *out);
/* Takes over what the text says, replacing older choices; convolutions that exist keep theirs. `name` is for messages. THAW_ERR_INPUT, and
 * nothing taken: a line that does not parse, an unknown algorithm, another CPU or version. */
THAW_NODISCARD thaw_status thaw_kern_choices_read(thaw_kern *k, const char *name, const char *text);
/* The file for this CPU and version below the user's cache directory (XDG_CACHE_HOME, else ~/.cache); "" when there is no such directory. */
void thaw_kern_choices_path(const thaw_kern *k, thaw_str *out);
/* Merges a file, or writes the measured choices to it (temporary, then renamed). A file that is not there is no choice; anything
 * else that is wrong (damaged, another CPU's, directory full or gone) is one warning, and the work goes on. */
void thaw_kern_choices_load(thaw_kern *k, const char *path);
void thaw_kern_choices_save(const thaw_kern *k, const char *path);

/* ---- Functions that are the same for all backends ---------------------------------------------------------- */

/* Sums and norms: double accumulators, fixed order. */
double thaw_kern_sum(int64_t n, const float *x);
double thaw_kern_sum_squares(int64_t n, const float *x);
double thaw_kern_distance_squared(int64_t n, const float *x, const float *y);
double thaw_kern_dot(int64_t n, const float *x, const float *y);
bool thaw_kern_all_finite(int64_t n, const float *x);

void thaw_kern_fill(int64_t n, float value, float *x);
void thaw_kern_scale(int64_t n, float alpha, float *x);                /* x *= alpha */
void thaw_kern_axpy(int64_t n, float alpha, const float *x, float *y); /* y += alpha x */
void thaw_kern_lerp(int64_t n, float share, const float *x, float *y); /* y += share (x - y) */
void thaw_kern_swap(int64_t n, float *x, float *y);
void thaw_kern_add(int64_t n, const float *a, float alpha, const float *b,
                   float *y); /* y = a + alpha b; y may be a */
void thaw_kern_add_row(int64_t N, int64_t D, const float *bias,
                       float *y); /* y (N, D) += bias (D) */
void thaw_kern_sum_rows(int64_t N, int64_t D, const float *x,
                        float *out); /* out (D) += sum over rows */
void thaw_kern_normalize_u8(int64_t C, int64_t S, const uint8_t *x, const float *mean,
                            const float *std, float *y); /* ((x/255)-mean)/std */

void thaw_kern_relu(int64_t n, const float *x, float *y); /* y may be x */
/* dx = or += dy where y > 0; dx may be dy. */
void thaw_kern_relu_backward(int64_t n, const float *y, const float *dy, float *dx,
                             bool accumulate);

/* Sums over batch and pixels of each channel: out (C) += */
void thaw_kern_channel_sums(const thaw_image *s, const float *x, float *out);

/* Batch norm, Ioffe & Szegedy 2015, with what follows it in one sweep: y = act(bn(x) + residual), residual NULL: none. y may be
 * x in the eval form; y may be residual. Training: mean and inv_std (C) of this batch are written (biased variance in
 * inv_std); unbiased_var (C) is what goes into running_var. */
void thaw_kern_batch_norm_train(const thaw_image *s, const float *x, const float *weight,
                                const float *bias, float epsilon, const float *residual,
                                thaw_act act, float *y, float *mean, float *inv_std,
                                float *unbiased_var);
void thaw_kern_batch_norm_eval(const thaw_image *s, const float *x, const float *weight,
                               const float *bias, const float *running_mean,
                               const float *running_var, float epsilon, const float *residual,
                               thaw_act act, float *y);
/* y: the forward's result (needed where act is not NONE; else may be NULL). The gradient is first cut by act: g = dy where act
 * was not flat; dresidual = or += g (NULL: not wanted; may be dy), dx = or += the norm's gradient of g (NULL: not wanted; may be
 * dy unless dresidual is dy), dweight, dbias += (NULL: not wanted). The eval form looks at x for dweight only: else it may
 * be NULL. */
void thaw_kern_batch_norm_train_backward(const thaw_image *s, const float *x, const float *y,
                                         thaw_act act, const float *weight, const float *mean,
                                         const float *inv_std, const float *dy, float *dx,
                                         bool accumulate, float *dresidual,
                                         bool accumulate_residual, float *dweight, float *dbias);
void thaw_kern_batch_norm_eval_backward(const thaw_image *s, const float *x, const float *y,
                                        thaw_act act, const float *weight,
                                        const float *running_mean, const float *running_var,
                                        float epsilon, const float *dy, float *dx, bool accumulate,
                                        float *dresidual, bool accumulate_residual, float *dweight,
                                        float *dbias);

/* The halves of the training form, for statistics over more than one array: where there is one only, they give its bits. First what each array
 * brings: mean (C) and the sum of squared differences from it (C); then, with mean and inv_std over all, what the training form writes. */
void thaw_kern_batch_norm_moments(const thaw_image *s, const float *x, double *mean,
                                  double *squares);
void thaw_kern_batch_norm_given(const thaw_image *s, const float *x, const float *weight,
                                const float *bias, const double *mean, const double *inv_std,
                                const float *residual, thaw_act act, float *y);
/* What follows from `squares` over `count` values of a channel. */
typedef struct thaw_norm_moments {
    double inv_std, unbiased_var;
} thaw_norm_moments;
thaw_norm_moments thaw_kern_norm_moments(double count, double squares, float epsilon);
/* Backward: each array's sums of g, total (C), and of g (x - mean), product (C); a dresidual that only
 * takes g is written. Then, with both sums over all `count` values of a channel, dx and what is left of dresidual; same arguments. */
void thaw_kern_batch_norm_backward_sums(const thaw_image *s, const float *x, const float *y,
                                        thaw_act act, const float *mean, const float *inv_std,
                                        const float *dy, float *dresidual, bool accumulate_residual,
                                        double *total, double *product);
void thaw_kern_batch_norm_backward_given(const thaw_image *s, const float *x, const float *y,
                                         thaw_act act, const float *weight, const float *mean,
                                         const float *inv_std, double count, const double *total,
                                         const double *product, const float *dy, float *dx,
                                         bool accumulate, float *dresidual,
                                         bool accumulate_residual);

/* y = act(x scale + shift + residual), a factor and a summand for each channel; NULL: none. y may be x or residual. The gradients
 * as for the eval form of a batch norm; x is looked at for dscale only. */
void thaw_kern_scale_shift(const thaw_image *s, const float *x, const float *scale,
                           const float *shift, const float *residual, thaw_act act, float *y);
void thaw_kern_scale_shift_backward(const thaw_image *s, const float *x, const float *y,
                                    thaw_act act, const float *scale, const float *dy, float *dx,
                                    bool accumulate, float *dresidual, bool accumulate_residual,
                                    float *dscale, float *dshift);

/* Weights split into magnitude and direction, Liu et al. 2024, arXiv:2402.09353. norms (O): lengths of the rows of w (O, I). */
void thaw_kern_row_norms(int64_t O, int64_t I, const float *w, float *norms);
/* A layer's output v becomes factor v + shift: factor = magnitude / norm (1 for a row of zeros), shift = (1 - factor) bias, so
 * that the bias stays as it is; bias NULL: shift is zero. */
void thaw_kern_magnitude(int64_t O, const float *magnitude, const float *norms, const float *bias,
                         float *factor, float *shift);
/* dmagnitude, dbias += from the gradients of factor and shift (NULL: not wanted); norms count as constants. */
void thaw_kern_magnitude_backward(int64_t O, const float *norms, const float *bias,
                                  const float *factor, const float *dfactor, const float *dshift,
                                  float *dmagnitude, float *dbias);

/* argmax: index in H*W, at the place of its element of y. */
void thaw_kern_max_pool(const thaw_pool2d *shape, const float *x, float *y, int32_t *argmax);
void thaw_kern_max_pool_backward(const thaw_pool2d *shape, const int32_t *argmax, const float *dy,
                                 float *dx, bool accumulate);
/* y = x at the places of argmax. */
void thaw_kern_max_pool_gather(const thaw_pool2d *shape, const int32_t *argmax, const float *x,
                               float *y);
void thaw_kern_avg_pool(const thaw_pool2d *shape, const float *x, float *y);
void thaw_kern_avg_pool_backward(const thaw_pool2d *shape, const float *dy, float *dx,
                                 bool accumulate);
/* y, dy (B, C) plain; x, dx in s's layout. */
void thaw_kern_global_avg_pool(const thaw_image *s, const float *x, float *y);
void thaw_kern_global_avg_pool_backward(const thaw_image *s, const float *dy, float *dx,
                                        bool accumulate);

/* The shortcut without parameters of He et al. 2016's CIFAR networks: every stride-th pixel of every stride-th row, and
 * zero channels, half of them in front. y (B, out_channels, (H - 1) / stride + 1, (W - 1) / stride + 1) in in's layout. */
void thaw_kern_shortcut_pad(const thaw_image *in, int64_t out_channels, int64_t stride,
                            const float *x, float *y);
void thaw_kern_shortcut_pad_backward(const thaw_image *in, int64_t out_channels, int64_t stride,
                                     const float *dy, float *dx, bool accumulate);

/* Zeros around images: y (B, C, H + top + bottom, W + left + right), all in in's layout. Backward cuts them off. */
typedef struct thaw_border {
    int64_t top, bottom, left, right;
} thaw_border;
void thaw_kern_pad(const thaw_image *in, const thaw_border *border, const float *x, float *y);
void thaw_kern_pad_backward(const thaw_image *in, const thaw_border *border, const float *dy,
                            float *dx, bool accumulate);

/* Softmax cross-entropy with label smoothing e and class weights (NULL: ones), not averaged:
 *   loss_i = sum_k q_ik * class_weights[k] * -log p_ik,  q_ik = (1 - e) [k = label_i] + e / K   (PyTorch's definition).
 * loss (B), probs (B, K) may be NULL. weight_sum += sum_i class_weights[label_i], the divisor of the mean. */
void thaw_kern_softmax_cross_entropy(int64_t B, int64_t K, const float *logits,
                                     const int32_t *labels, float smoothing,
                                     const float *class_weights, float *loss, float *probs,
                                     double *weight_sum);
/* dlogits = gradient of sum_i loss_i, from probs. */
void thaw_kern_softmax_cross_entropy_backward(int64_t B, int64_t K, const float *probs,
                                              const int32_t *labels, float smoothing,
                                              const float *class_weights, float *dlogits);

/* ---- Losses: one file and one line in src/kern/kinds.def each ------------------------------------------------- */

/* B rows of K logits and what is true of them: labels (B) of a classification, else targets (B, K), of labels 0 or 1. Without targets
 * losses mean nothing and outputs are what they are. */
typedef struct thaw_loss_batch {
    int64_t B, K;
    const float *logits;
    const int32_t *labels;
    const float *targets;
    float smoothing;            /* classification: label smoothing */
    const float *class_weights; /* (K) or NULL */
} thaw_loss_batch;

/* forward: loss (B) of each row, not averaged over rows; outputs (B, K): softmax, sigmoids, or the logits themselves; each may be NULL.
 * Binary cross-entropy and squared error are averaged over K, as PyTorch's BCEWithLogitsLoss and MSELoss do over everything.
 * backward: dlogits = gradient of the sum of loss, given forward's outputs. */
typedef struct thaw_loss {
    const char *name;
    thaw_task task;
    void (*forward)(const thaw_loss_batch *batch, float *loss, float *outputs);
    void (*backward)(const thaw_loss_batch *batch, const float *outputs, float *dlogits);
} thaw_loss;

/* All, NULL-ended; by name, or NULL; the first of a task. */
const thaw_loss *const *thaw_losses(void);
const thaw_loss *thaw_loss_find(const char *name);
const thaw_loss *thaw_loss_default(thaw_task task);

/* ---- Transformers: rows of features ------------------------------------------------------------------------- */

/* Layer norm, Ba et al. 2016: y = (x - mean) inv_std weight + bias over each row of x (N, D), biased variance. mean and
 * inv_std (N) are written for backward. y may be x. */
void thaw_kern_layer_norm(int64_t N, int64_t D, const float *x, const float *weight,
                          const float *bias, float epsilon, float *y, float *mean, float *inv_std);
/* dx = or += (may be dy); dweight, dbias (D) += ; each NULL: not wanted. sums: (2, D) to work in. */
void thaw_kern_layer_norm_backward(int64_t N, int64_t D, const float *x, const float *weight,
                                   const float *mean, const float *inv_std, const float *dy,
                                   float *dx, bool accumulate, float *dweight, float *dbias,
                                   double *sums);
/* y = gelu(x), Hendrycks & Gimpel 2016: x F(x) with the normal distribution function F, absolute error below 3e-7 |x|, or
 * its form with tanh. slope gets the derivative (NULL: not wanted): backward is dx = dy slope. y may be x. */
void thaw_kern_gelu(int64_t n, bool tanh_form, const float *x, float *y, float *slope);
/* y = gelu(x + bias) in one sweep; x (N, D), bias (D). */
void thaw_kern_bias_gelu(int64_t N, int64_t D, bool tanh_form, const float *x, const float *bias,
                         float *y, float *slope);
/* dx = dy slope (may be dy), dbias (D) += its sum over rows (NULL: not wanted). */
void thaw_kern_bias_gelu_backward(int64_t N, int64_t D, const float *dy, const float *slope,
                                  float *dx, float *dbias);
/* y = or += a b, element by element; y may be a or b. */
void thaw_kern_multiply(int64_t n, const float *a, const float *b, float *y, bool accumulate);
void thaw_kern_tanh(int64_t n, const float *x, float *y);
/* dx = or += dy (1 - y^2); dx may be dy. */
void thaw_kern_tanh_backward(int64_t n, const float *y, const float *dy, float *dx,
                             bool accumulate);
void thaw_kern_relu6(int64_t n, const float *x, float *y); /* min(max(x, 0), 6); y may be x */
/* dx = or += dy where 0 < y < 6; dx may be dy. */
void thaw_kern_relu6_backward(int64_t n, const float *y, const float *dy, float *dx,
                              bool accumulate);

/* y (N, D) = rows of table (rows, D) at ids (N), whole numbers as floats (exact below 2^24). An id that is no row gives a row
 * of NaN, so that it cannot go unnoticed. */
void thaw_kern_embedding(int64_t N, int64_t D, int64_t rows, const float *ids, const float *table,
                         float *y);
/* dtable += dy at the rows of ids, in the order of N; row `skip` (-1: none) gets nothing. */
void thaw_kern_embedding_backward(int64_t N, int64_t D, int64_t rows, int64_t skip,
                                  const float *ids, const float *dy, float *dtable);

/* The same of a table that lies on its side: z (N, R) = columns of table (R, rows) at ids. */
void thaw_kern_columns(int64_t N, int64_t R, int64_t rows, const float *ids, const float *table,
                       float *z);
void thaw_kern_columns_backward(int64_t N, int64_t R, int64_t rows, int64_t skip, const float *ids,
                                const float *dz, float *dtable);

/* A grid of vectors in another size: x (in[0], in[1], D) to y (out[0], out[1], D), bicubic with a = -0.5 (Keys 1981), widened by
 * in / out where it shrinks; PyTorch's interpolate with mode="bicubic", antialias=True. The same size: the same bits. */
void thaw_kern_resize_bicubic(int64_t D, const int64_t in[2], const int64_t out[2], const float *x,
                              float *y);

/* y (columns, rows) = or += x (rows, columns), turned over; not in place. */
void thaw_kern_transpose(int64_t rows, int64_t columns, const float *x, float *y, bool accumulate);

/* One head of scaled dot-product attention, Vaswani et al. 2017: y = softmax(scale q k') v for Q queries over T keys, of d
 * features; from one query or key to the next it is `stride` floats in q, k, v and their gradients, out_stride in y and dy. */
typedef struct thaw_attention {
    int64_t Q, T, d, stride, out_stride;
    float scale;
} thaw_attention;
size_t thaw_kern_attention_workspace(const thaw_attention *s, bool backward);
/* masked (T): keys that get no weight, unless all are (NULL: none). factors (Q, T): of dropout, probabilities are multiplied
 * by them (NULL: none). stats (Q, 2): for backward. */
void thaw_kern_attention(const thaw_attention *s, const float *q, const float *k, const float *v,
                         const bool *masked, const float *factors, float *y, float *stats,
                         void *workspace);
/* dx: gradients of q, k and v, = or +=, in this order, so that they may be one array; NULL: not wanted. */
void thaw_kern_attention_backward(const thaw_attention *s, const float *q, const float *k,
                                  const float *v, const bool *masked, const float *factors,
                                  const float *stats, const float *dy, float *const dx[3],
                                  const bool accumulate[3], void *workspace);

/* One optimizer sweep over one tensor; PyTorch's formulas. `gradient_scale` multiplies the gradient first (1/weight sum
 * times the clip factor). anchor NULL: none; else L2-SP: gradient += anchor_strength (w - anchor).  Xuhong et al. 2018. */
typedef struct thaw_sgd {
    float lr, momentum, dampening, weight_decay, gradient_scale, anchor_strength;
    bool nesterov, first_step; /* first step: the momentum buffer is set to the gradient */
} thaw_sgd;
void thaw_kern_sgd(int64_t n, const thaw_sgd *s, const float *gradient, const float *anchor,
                   float *w, float *momentum);
typedef struct thaw_adamw {
    float lr, beta1, beta2, epsilon, weight_decay, gradient_scale, anchor_strength;
    int64_t step; /* counts from 1 */
} thaw_adamw;
void thaw_kern_adamw(int64_t n, const thaw_adamw *s, const float *gradient, const float *anchor,
                     float *w, float *m, float *v);
/* |gradient_scale gradient + anchor_strength (w - anchor)|^2, double in fixed order: what LARS measures. */
double thaw_kern_pulled_squares(int64_t n, float gradient_scale, float anchor_strength,
                                const float *gradient, const float *anchor, const float *w);
/* LAMB in two passes, since its step depends on the norm of the whole tensor's update u = m' / (sqrt(v') + epsilon) +
 * weight_decay w, m' and v' as in adamw. The first moves m and v and returns |u|^2, double in fixed order; the second is
 * w -= lr u. You et al. 2020, arXiv:1904.00962, algorithm 2. */
double thaw_kern_lamb_moments(int64_t n, const thaw_adamw *s, const float *gradient,
                              const float *anchor, const float *w, float *m, float *v);
void thaw_kern_lamb_apply(int64_t n, const thaw_adamw *s, float *w, const float *m, const float *v);

/* Eigenvalues (D) ascending and, unless NULL, eigenvectors as columns of (D, D) of a symmetric
 * matrix (D, D), which is overwritten. Householder and implicit QL in fixed order.
 *   Source: Golub & Van Loan, Matrix Computations, 8.3. */
void thaw_symmetric_eigen(double *matrix, int64_t D, double *values, double *vectors);

/* Adds to dx (B, D) the gradient of factor times the sum of the squares of the `values` smallest of the min(B, D) singular values of x (B, D);
 * nothing where there are no more than `values`. work: thaw_kern_shrink_work doubles. In fixed order, in double.
 *   Source: Chen et al. 2019 (NeurIPS), batch spectral shrinkage; for s = ||x v|| it is 2 x v v', for s = ||x' u|| it is 2 u u' x. */
void thaw_kern_shrink(int64_t B, int64_t D, const float *x, int64_t values, double factor,
                      double *work, float *dx);
int64_t thaw_kern_shrink_work(int64_t B, int64_t D);

#ifdef __cplusplus
}
#endif
#endif
