/* ref.c - the plain backend: the definition written down, sums in double. What the others are tested against. */
#include "thaw/kern.h"

#include "kern/kern_impl.h"

static void ref_gemm(const thaw_kern *k, bool transpose_a, bool transpose_b, int64_t M, int64_t N,
                     int64_t K, float alpha, const float *a, int64_t lda, const float *b,
                     int64_t ldb, float beta, float *c, int64_t ldc)
{
    (void)k;
    for (int64_t m = 0; m < M; m++)
        for (int64_t n = 0; n < N; n++) {
            double sum = 0;
            for (int64_t i = 0; i < K; i++) {
                double left = transpose_a ? a[i * lda + m] : a[m * lda + i];
                double right = transpose_b ? b[n * ldb + i] : b[i * ldb + n];
                sum += left * right;
            }
            /* beta 0 must not read c: it may hold NaN. */
            double old = beta == 0 ? 0 : (double)beta * c[m * ldc + n];
            c[m * ldc + n] = (float)(alpha * sum + old);
        }
}

static size_t no_workspace(const thaw_kern *k, const thaw_conv2d *shape)
{
    (void)k;
    (void)shape;
    return 0;
}

/* Range of window places [*first, *last) along one axis whose element `tap` lies inside the input. */
static void valid_range(int64_t size, int64_t places, int64_t stride, int64_t offset,
                        int64_t *first, int64_t *last)
{
    int64_t low = offset < 0 ? (-offset + stride - 1) / stride : 0;
    int64_t high = size - offset > 0 ? (size - offset - 1) / stride + 1 : 0;
    *first = low;
    *last = high < places ? high : places;
}

static double forward_pixel(const thaw_conv2d *s, const float *x, const float *w, int64_t oh,
                            int64_t ow)
{
    double sum = 0;
    const int64_t left = ow * s->stride_w - s->pad_w;
    /* Apart from the loop: sanitizers check every look at the shape. */
    const int64_t W = s->W, KW = s->KW, dilation_w = s->dilation_w;
    for (int64_t c = 0; c < s->C / s->groups; c++)
        for (int64_t kh = 0; kh < s->KH; kh++) {
            int64_t ih = oh * s->stride_h - s->pad_h + kh * s->dilation_h;
            if (ih < 0 || ih >= s->H)
                continue;
            const float *row = x + (c * s->H + ih) * W;
            const float *taps = w + (c * s->KH + kh) * KW;
            for (int64_t kw = 0; kw < KW; kw++) {
                int64_t iw = left + kw * dilation_w;
                if (iw >= 0 && iw < W)
                    sum += (double)row[iw] * taps[kw];
            }
        }
    return sum;
}

static void ref_conv2d_forward(const thaw_kern *k, const thaw_conv2d *s, const float *x,
                               const float *w, const float *bias, float *y, void *workspace)
{
    (void)k;
    (void)workspace;
    int64_t group_in = s->C / s->groups;
    int64_t group_out = s->O / s->groups;
    for (int64_t b = 0; b < s->B; b++)
        for (int64_t o = 0; o < s->O; o++) {
            const float *image = x + (b * s->C + o / group_out * group_in) * s->H * s->W;
            const float *filter = w + o * group_in * s->KH * s->KW;
            float *out = y + (b * s->O + o) * s->OH * s->OW;
            for (int64_t oh = 0; oh < s->OH; oh++)
                for (int64_t ow = 0; ow < s->OW; ow++)
                    out[oh * s->OW + ow] = (float)(forward_pixel(s, image, filter, oh, ow) +
                                                   (bias ? (double)bias[o] : 0));
        }
}

/* Gradient at one input element: gathered, so that its sum has a fixed order and needs no scratch memory. */
static double backward_pixel(const thaw_conv2d *s, const float *w, const float *dy, int64_t ih,
                             int64_t iw)
{
    double sum = 0;
    const int64_t filter = s->C / s->groups * s->KH * s->KW;
    const int64_t group_out = s->O / s->groups, pixels = s->OH * s->OW;
    for (int64_t kh = 0; kh < s->KH; kh++) {
        int64_t row = ih + s->pad_h - kh * s->dilation_h;
        if (row < 0 || row % s->stride_h != 0 || row / s->stride_h >= s->OH)
            continue;
        for (int64_t kw = 0; kw < s->KW; kw++) {
            int64_t column = iw + s->pad_w - kw * s->dilation_w;
            if (column < 0 || column % s->stride_w != 0 || column / s->stride_w >= s->OW)
                continue;
            const float *place = dy + row / s->stride_h * s->OW + column / s->stride_w;
            const float *tap = w + kh * s->KW + kw;
            for (int64_t o = 0; o < group_out; o++)
                sum += (double)place[o * pixels] * tap[o * filter];
        }
    }
    return sum;
}

static void ref_conv2d_backward_data(const thaw_kern *k, const thaw_conv2d *s, const float *w,
                                     const float *dy, float *dx, bool accumulate, void *workspace)
{
    (void)k;
    (void)workspace;
    int64_t group_in = s->C / s->groups;
    int64_t group_out = s->O / s->groups;
    for (int64_t b = 0; b < s->B; b++)
        for (int64_t c = 0; c < s->C; c++) {
            int64_t first_out = c / group_in * group_out;
            const float *filter = w + (first_out * group_in + c % group_in) * s->KH * s->KW;
            const float *gradient = dy + (b * s->O + first_out) * s->OH * s->OW;
            float *out = dx + (b * s->C + c) * s->H * s->W;
            for (int64_t ih = 0; ih < s->H; ih++)
                for (int64_t iw = 0; iw < s->W; iw++) {
                    double sum = backward_pixel(s, filter, gradient, ih, iw);
                    out[ih * s->W + iw] = (float)(accumulate ? out[ih * s->W + iw] + sum : sum);
                }
        }
}

/* Gradient of one weight: over the batch, x and dy at the first image's channel. */
static double weight_gradient(const thaw_conv2d *s, const float *x, const float *dy, int64_t kh,
                              int64_t kw)
{
    int64_t first_row, last_row, first_column, last_column;
    valid_range(s->H, s->OH, s->stride_h, kh * s->dilation_h - s->pad_h, &first_row, &last_row);
    valid_range(s->W, s->OW, s->stride_w, kw * s->dilation_w - s->pad_w, &first_column,
                &last_column);
    double sum = 0;
    for (int64_t b = 0; b < s->B; b++)
        for (int64_t oh = first_row; oh < last_row; oh++) {
            int64_t ih = oh * s->stride_h - s->pad_h + kh * s->dilation_h;
            const float *image = x + b * s->C * s->H * s->W;
            int64_t offset = ih * s->W - s->pad_w + kw * s->dilation_w;
            const float *gradient = dy + b * s->O * s->OH * s->OW + oh * s->OW;
            const int64_t step = s->stride_w;
            for (int64_t ow = first_column; ow < last_column; ow++)
                sum += (double)image[offset + ow * step] * gradient[ow];
        }
    return sum;
}

static void ref_conv2d_backward_weights(const thaw_kern *k, const thaw_conv2d *s, const float *x,
                                        const float *dy, float *dw, float *dbias, void *workspace)
{
    (void)k;
    (void)workspace;
    int64_t group_in = s->C / s->groups;
    int64_t group_out = s->O / s->groups;
    int64_t S = s->OH * s->OW;
    for (int64_t o = 0; o < s->O; o++) {
        for (int64_t c = 0; c < group_in; c++) {
            const float *image = x + (o / group_out * group_in + c) * s->H * s->W;
            for (int64_t kh = 0; kh < s->KH; kh++)
                for (int64_t kw = 0; kw < s->KW; kw++) {
                    float *out = &dw[((o * group_in + c) * s->KH + kh) * s->KW + kw];
                    *out = (float)(*out + weight_gradient(s, image, dy + o * S, kh, kw));
                }
        }
        if (dbias) {
            double sum = 0;
            for (int64_t b = 0; b < s->B; b++)
                for (int64_t i = 0; i < S; i++)
                    sum += dy[(b * s->O + o) * S + i];
            dbias[o] = (float)(dbias[o] + sum);
        }
    }
}

thaw_status kern_ref_open(thaw_kern *k)
{
    k->gemm = ref_gemm;
    k->conv2d_workspace = no_workspace;
    k->conv2d_forward = ref_conv2d_forward;
    k->conv2d_backward_data = ref_conv2d_backward_data;
    k->conv2d_backward_weights = ref_conv2d_backward_weights;
    (void)thaw_copy(k->cpu_kernels, sizeof k->cpu_kernels, "plain C");
    return THAW_OK;
}
