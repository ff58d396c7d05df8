/* RandAugment: what is drawn for a sample, the way from normalised values to levels and back, and the operations that move pixels. */
#include "data/augment_impl.h"

#include <math.h>
#include <string.h>

#include "data/randaugment_impl.h"

#define STREAM UINT64_C(0x72616e64)
#define PI     3.14159265358979323846

bool thaw_rand_signed(thaw_rand_op op)
{
    return op >= THAW_RAND_SHEAR_X && op <= THAW_RAND_SHARPNESS;
}

/* torch.linspace(first, last, THAW_RAND_BINS)[bin] in floats, from the nearer end, and rounded once as PyTorch's fused multiply-add does: a
 * factor that is one bit off moves levels, because Pillow cuts them off. */
static double spaced(double first, double last, int64_t bin)
{
    const float begin = (float)first, end = (float)last;
    const float step = (end - begin) / (THAW_RAND_BINS - 1);
    if (bin < THAW_RAND_BINS / 2)
        return (double)(float)((double)begin + (double)step * (double)bin);
    return (double)(float)((double)end - (double)step * (double)(THAW_RAND_BINS - 1 - bin));
}

double thaw_rand_magnitude(thaw_rand_op op, int64_t bin, int64_t H, int64_t W)
{
    switch (op) {
    case THAW_RAND_SHEAR_X:
    case THAW_RAND_SHEAR_Y:
        return spaced(0, 0.3, bin);
    case THAW_RAND_TRANSLATE_X:
        return spaced(0, 150.0 / 331 * (double)W, bin);
    case THAW_RAND_TRANSLATE_Y:
        return spaced(0, 150.0 / 331 * (double)H, bin);
    case THAW_RAND_ROTATE:
        return spaced(0, 30, bin);
    case THAW_RAND_BRIGHTNESS:
    case THAW_RAND_COLOR:
    case THAW_RAND_CONTRAST:
    case THAW_RAND_SHARPNESS:
        return spaced(0, 0.9, bin);
    case THAW_RAND_POSTERIZE:
        return 8 - nearbyint((double)bin / ((THAW_RAND_BINS - 1) / 4.0));
    case THAW_RAND_SOLARIZE:
        return spaced(255, 0, bin);
    default:
        return 0;
    }
}

/* Output (x, y) is input (m[0] x + m[1] y + m[2], m[3] x + m[4] y + m[5]), from the middle of a pixel to the pixel it falls in. */
static void move_plane(const double m[6], int64_t H, int64_t W, const uint8_t *from, uint8_t *to)
{
    const double half[6] = {m[0], m[1], m[2] + m[0] * 0.5 + m[1] * 0.5,
                            m[3], m[4], m[5] + m[3] * 0.5 + m[4] * 0.5};
    int64_t fixed[6];
    for (int i = 0; i < 6; i++)
        fixed[i] = (int64_t)floor(half[i] * 65536 + 0.5);
    for (int64_t y = 0; y < H; y++) {
        int64_t at_x = fixed[2] + y * fixed[1], at_y = fixed[5] + y * fixed[4];
        for (int64_t x = 0; x < W; x++, at_x += fixed[0], at_y += fixed[3]) {
            const bool inside =
                at_x >= 0 && at_y >= 0 && at_x < W * INT64_C(65536) && at_y < H * INT64_C(65536);
            to[y * W + x] = inside ? from[at_y / 65536 * W + at_x / 65536] : 0;
        }
    }
}

/* The way back from an output pixel. Shears keep the upper left corner, a rotation the middle. */
static void matrix_of(thaw_rand_op op, double magnitude, int64_t H, int64_t W, double m[6])
{
    const double cosine = cos(magnitude * (PI / 180)), sine = sin(magnitude * (PI / 180));
    const double middle_x = (double)W / 2, middle_y = (double)H / 2;
    memcpy(m, (const double[6]){1, 0, 0, 0, 1, 0}, 6 * sizeof *m);
    if (op == THAW_RAND_SHEAR_X)
        m[1] = magnitude;
    else if (op == THAW_RAND_SHEAR_Y)
        m[3] = magnitude;
    else if (op == THAW_RAND_TRANSLATE_X)
        m[2] = -trunc(magnitude);
    else if (op == THAW_RAND_TRANSLATE_Y)
        m[5] = -trunc(magnitude);
    else {
        m[0] = m[4] = cosine;
        m[1] = -sine;
        m[3] = sine;
        m[2] = middle_x - cosine * middle_x + sine * middle_y;
        m[5] = middle_y - sine * middle_x - cosine * middle_y;
    }
}

static void move(thaw_rand_op op, double magnitude, int64_t C, int64_t H, int64_t W,
                 uint8_t *levels, uint8_t *spare)
{
    double m[6];
    matrix_of(op, magnitude, H, W, m);
    for (int64_t c = 0; c < C; c++) {
        memcpy(spare, levels + c * H * W, (size_t)(H * W));
        move_plane(m, H, W, spare, levels + c * H * W);
    }
}

void thaw_rand_apply(thaw_rand_op op, double magnitude, int64_t C, int64_t H, int64_t W,
                     uint8_t *levels, uint8_t *spare)
{
    if (op == THAW_RAND_IDENTITY)
        return;
    if (op <= THAW_RAND_ROTATE)
        move(op, magnitude, C, H, W, levels, spare);
    else if (op <= THAW_RAND_SHARPNESS)
        thaw_rand_enhance(op, (float)(1 + magnitude), C, H, W, levels, spare);
    else
        for (int64_t c = 0; c < C; c++)
            thaw_rand_map(op, magnitude, H * W, levels + c * H * W);
}

static void to_levels(const thaw_levels *l, int64_t c, int64_t count, const float *from,
                      uint8_t *to)
{
    const double zero = l->zero[c], factor = 1 / l->step[c];
    for (int64_t i = 0; i < count; i++) {
        const double level = ((double)from[i] - zero) * factor + 0.5;
        to[i] = level <= 0 ? 0 : level >= 255 ? 255 : (uint8_t)level;
    }
}

void thaw_augment_rand(const thaw_augment *a, uint64_t seed, uint32_t epoch, int64_t index,
                       const thaw_shape *sample, const thaw_levels *l, float *picture,
                       float *scratch)
{
    const int64_t C = sample->dim[0], H = sample->dim[1], W = sample->dim[2], plane = H * W;
    /* Up to three planes of bytes and one to spare fill what is a plane of floats. */
    uint8_t *levels = (uint8_t *)scratch, *spare = levels + 3 * plane;
    thaw_rng rng = thaw_rng_make(thaw_mix(seed, STREAM), THAW_RNG_AUGMENT, epoch, (uint64_t)index);
    for (int64_t c = 0; c < C; c++)
        to_levels(l, c, plane, picture + c * plane, levels + c * plane);
    for (int64_t i = 0; i < a->rand_ops; i++) {
        const thaw_rand_op op = (thaw_rand_op)thaw_rng_below(&rng, THAW_RAND_OPS);
        const bool negative = thaw_rng_uniform(&rng) < 0.5 && thaw_rand_signed(op);
        const double magnitude = thaw_rand_magnitude(op, a->rand_magnitude, H, W);
        thaw_rand_apply(op, negative ? -magnitude : magnitude, C, H, W, levels, spare);
    }
    for (int64_t c = 0; c < C; c++)
        for (int64_t i = 0; i < plane; i++)
            picture[c * plane + i] = (float)(levels[c * plane + i] * l->step[c] + l->zero[c]);
}
