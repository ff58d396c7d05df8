/* conv_int8.c - convolutions in 8 bits: weights and their scales, bytes of images; the products are the library's. */
#include "thaw/kern.h"

#include <math.h>
#include <string.h>

#include "kern/clones_impl.h"
#include "kern/conv_impl.h"
#include "kern/conv_int8_impl.h"
#include "kern/threads_impl.h"

/* ---- bytes of images ---- */

/* Rounded to nearest by the float format itself: beyond 2^23 a float has no fraction. NaN takes the lower end. */
static inline int32_t nearest_byte(float value, float low, float high)
{
    const float big = 12582912.0f;
    value = value > low ? value : low;
    value = value < high ? value : high;
    value += big;
    int32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits - 0x4B400000;
}

/* `count` channels of S pixels, which lie `stride` floats apart in x and C bytes in out. */
KERN_CLONES static void quantize_lanes(int64_t S, int64_t count, const float *x, int64_t stride,
                                       float factor, float low, float high, uint8_t *out, int64_t C)
{
    for (int64_t i = 0; i < S; i++)
        for (int64_t c = 0; c < count; c++)
            out[i * C + c] = (uint8_t)nearest_byte(x[i * stride + c] * factor, low, high);
}

KERN_CLONES static void dequantize_lanes(int64_t S, int64_t count, const uint8_t *in, int64_t C,
                                         float scale, int32_t sign, float *x, int64_t stride)
{
    for (int64_t i = 0; i < S; i++)
        for (int64_t c = 0; c < count; c++) {
            int32_t byte = in[i * C + c];
            x[i * stride + c] = scale * (float)(byte - ((byte & sign) << 1));
        }
}

static int64_t known_channels(const thaw_image *image, int64_t first)
{
    return image->C - first < image->block ? image->C - first : image->block;
}

void thaw_kern_quantize(const thaw_image *image, const float *x, float scale, bool is_signed,
                        void *bytes)
{
    int64_t S = image->H * image->W;
    int64_t each = conv_round(image->C, image->block) * S;
    uint8_t *out = bytes;
    float low = is_signed ? -128.0f : 0.0f;
    float high = is_signed ? 127.0f : 255.0f;
    KERN_EACH(image->B * each, image->B, b, {
        for (int64_t c = 0; c < image->C; c += image->block)
            quantize_lanes(S, known_channels(image, c), x + b * each + c * S, image->block,
                           1.0f / scale, low, high, out + b * S * image->C + c, image->C);
    });
}

void thaw_kern_dequantize(const thaw_image *image, const void *bytes, float scale, bool is_signed,
                          float *x)
{
    int64_t S = image->H * image->W;
    int64_t each = conv_round(image->C, image->block) * S;
    const uint8_t *in = bytes;
    KERN_EACH(image->B * each, image->B, b, {
        for (int64_t c = 0; c < image->C; c += image->block) {
            float *to = x + b * each + c * S;
            if (known_channels(image, c) < image->block)
                memset(to, 0, (size_t)(S * image->block) * sizeof(float));
            dequantize_lanes(S, known_channels(image, c), in + b * S * image->C + c, image->C,
                             scale, is_signed ? 128 : 0, to, image->block);
        }
    });
}

/* ---- convolutions ---- */

struct thaw_conv8 {
    thaw_conv8_spec spec;
    const conv_int8_library *library;
    void *conv;    /* the library's */
    float *scales; /* (O) of weights, then (O) of sums in units of y */
};

static bool well_formed(const thaw_conv8_spec *spec)
{
    thaw_conv2d shape = spec->shape;
    return thaw_conv2d_output(&shape) && shape.OH == spec->shape.OH && shape.OW == spec->shape.OW &&
           shape.B > 0 && spec->act < THAW_ACT_COUNT && spec->x_scale > 0 &&
           (spec->y_float || (spec->y_scale > 0 && (!spec->add || spec->add_scale > 0)));
}

static float largest(int64_t n, const float *w)
{
    float most = 0;
    for (int64_t i = 0; i < n; i++)
        most = fabsf(w[i]) > most ? fabsf(w[i]) : most;
    return most;
}

static float unit_of(const thaw_conv8_spec *spec)
{
    return spec->y_float ? 1.0f : spec->y_scale;
}

static int64_t window(const thaw_conv2d *s)
{
    return s->C / s->groups * s->KH * s->KW;
}

static thaw_status find_scales(thaw_conv8 *c, const float *w)
{
    int64_t O = c->spec.shape.O;
    int64_t each = window(&c->spec.shape);
    THAW_TRY(thaw_alloc(&c->scales, 2 * O, sizeof *c->scales));
    for (int64_t o = 0; o < O; o++) {
        float most = largest(each, w + o * each);
        c->scales[o] = most > 0 ? most / 127.0f : 1.0f;
        c->scales[O + o] = c->scales[o] * c->spec.x_scale / unit_of(&c->spec);
    }
    return THAW_OK;
}

thaw_status thaw_conv8_new(const thaw_kern *k, const thaw_conv8_spec *spec, const float *w,
                           thaw_conv8 **out)
{
    *out = NULL;
    THAW_CHECK(k->has_int8, THAW_ERR_FAIL,
               "backend %s (%s) has no fast convolutions in 8 bits; they need oneDNN and a CPU "
               "with AVX-512 VNNI",
               k->name, k->cpu_kernels);
    THAW_CHECK(well_formed(spec), THAW_ERR_FAIL,
               "no convolution in 8 bits: its sizes or scales are wrong");
    thaw_conv8 *c = NULL;
    thaw_status status = THAW_OK;
    THAW_TRY(thaw_alloc(&c, 1, sizeof *c));
    c->spec = *spec;
    c->library = k->backend->int8;
    THAW_TRY_TO(find_scales(c, w));
    THAW_TRY_TO(c->library->open(k, spec, c->scales + spec->shape.O, &c->conv));
    *out = c;
    return THAW_OK;
done:
    thaw_conv8_free(&c);
    return status;
}

void thaw_conv8_free(thaw_conv8 **conv)
{
    if (*conv == NULL)
        return;
    (*conv)->library->close(&(*conv)->conv);
    thaw_free(&(*conv)->scales);
    thaw_free(conv);
}

/* Packed: bias (O), then from a cache line on the weights in the library's form. */
static int64_t head_floats(const thaw_conv8 *conv)
{
    return conv_round(conv->spec.shape.O, CONV_LINE / (int64_t)sizeof(float));
}

size_t thaw_conv8_packed_bytes(const thaw_conv8 *conv)
{
    return (size_t)head_floats(conv) * sizeof(float) + conv->library->weight_bytes(conv->conv);
}

thaw_status thaw_conv8_pack(const thaw_conv8 *conv, const float *w, const float *bias, void *packed)
{
    const thaw_conv8_spec *spec = &conv->spec;
    int64_t each = window(&spec->shape);
    float *biases = packed;
    int8_t *bytes = NULL;
    THAW_TRY(thaw_alloc(&bytes, spec->shape.O * each, 1));
    for (int64_t o = 0; o < spec->shape.O; o++) {
        float scale = conv->scales[o];
        for (int64_t i = 0; i < each; i++)
            bytes[o * each + i] = (int8_t)nearest_byte(w[o * each + i] / scale, -127.0f, 127.0f);
        float unit = conv->library->bias_before_scale() ? spec->x_scale * scale : unit_of(spec);
        biases[o] = spec->bias ? bias[o] / unit : 0.0f;
    }
    conv->library->pack(conv->conv, bytes, biases + head_floats(conv));
    thaw_free(&bytes);
    return THAW_OK;
}

size_t thaw_conv8_workspace_bytes(const thaw_conv8 *conv)
{
    return conv->library->scratch_bytes(conv->conv) + 2 * CONV_LINE;
}

void thaw_conv8_run(thaw_conv8 *conv, int64_t B, const void *x, const void *packed, void *y,
                    void *workspace)
{
    THAW_ASSERT(B >= 0 && B <= conv->spec.shape.B);
    if (B == 0)
        return;
    const float *biases = packed;
    conv_scratch scratch = conv_scratch_on(workspace);
    conv->library->run(conv->conv, B, x, biases + head_floats(conv), biases, y,
                       scratch.base + scratch.used);
}
