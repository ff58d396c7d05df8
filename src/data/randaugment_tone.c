/* The operations of RandAugment that leave pixels where they are, with the roundings of Pillow. */
#include "data/randaugment_impl.h"

#include <math.h>
#include <string.h>

/* Image.blend(other, own, factor): in floats, cut off to whole levels, beyond both ends clipped. */
static uint8_t blended(int other, int own, float factor)
{
    const float v = (float)other + factor * (float)(own - other);
    return v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)v;
}

/* Image.convert("L"): the luma of ITU-R BT.601 in 16 bits after the point. */
static void luma(int64_t C, int64_t count, const uint8_t *levels, uint8_t *out)
{
    const uint8_t *green = levels + count, *blue = green + count;
    for (int64_t i = 0; i < count; i++)
        out[i] =
            C == 1
                ? levels[i]
                : (uint8_t)((levels[i] * 19595 + green[i] * 38470 + blue[i] * 7471 + 32768) >> 16);
}

static int mean_level(int64_t count, const uint8_t *plane)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += plane[i];
    return (int)((double)sum / (double)count + 0.5);
}

/* ImageFilter.SMOOTH: a weighted mean of 3 x 3, the middle five times; the border stays. Its weights end in 13, so the halves that its
 * floats could round either way do not occur. */
static void smooth(int64_t H, int64_t W, const uint8_t *from, uint8_t *to)
{
    memcpy(to, from, (size_t)(H * W));
    for (int64_t y = 1; y < H - 1; y++)
        for (int64_t x = 1; x < W - 1; x++) {
            int sum = 4 * from[y * W + x];
            for (int64_t row = y - 1; row <= y + 1; row++)
                for (int64_t column = x - 1; column <= x + 1; column++)
                    sum += from[row * W + column];
            to[y * W + x] = (uint8_t)((2 * sum + 13) / 26);
        }
}

void thaw_rand_enhance(thaw_rand_op op, float factor, int64_t C, int64_t H, int64_t W,
                       uint8_t *levels, uint8_t *spare)
{
    const int64_t count = H * W;
    if (op == THAW_RAND_BRIGHTNESS)
        memset(spare, 0, (size_t)count);
    if (op == THAW_RAND_COLOR || op == THAW_RAND_CONTRAST)
        luma(C, count, levels, spare);
    if (op == THAW_RAND_CONTRAST)
        memset(spare, mean_level(count, spare), (size_t)count);
    for (int64_t c = 0; c < C; c++) {
        uint8_t *plane = levels + c * count;
        if (op == THAW_RAND_SHARPNESS)
            smooth(H, W, plane, spare);
        for (int64_t i = 0; i < count; i++)
            plane[i] = blended(spare[i], plane[i], factor);
    }
}

static void stretch(const int64_t histogram[256], uint8_t map[256])
{
    int low = 0, high = 255;
    while (low < 255 && histogram[low] == 0)
        low++;
    while (high > 0 && histogram[high] == 0)
        high--;
    const double scale = high > low ? 255.0 / (high - low) : 1,
                 offset = high > low ? -low * scale : 0;
    for (int i = 0; i < 256; i++) {
        const double v = i * scale + offset;
        map[i] = v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)v;
    }
}

/* Levels keep their place where the picture has one level, or too few pixels for a step. */
static void equalize(const int64_t histogram[256], int64_t count, uint8_t map[256])
{
    int last = 255;
    while (last > 0 && histogram[last] == 0)
        last--;
    const int64_t step = (count - histogram[last]) / 255;
    int64_t below = step / 2;
    for (int i = 0; i < 256; i++) {
        const int64_t level = step == 0 ? i : below / step;
        map[i] = (uint8_t)(level > 255 ? 255 : level);
        below += histogram[i];
    }
}

static void posterize(int bits, uint8_t map[256])
{
    const int dropped = (1 << (8 - bits)) - 1;
    for (int i = 0; i < 256; i++)
        map[i] = (uint8_t)(i & ~dropped);
}

static void solarize(double threshold, uint8_t map[256])
{
    for (int i = 0; i < 256; i++)
        map[i] = (uint8_t)(i < threshold ? i : 255 - i);
}

void thaw_rand_map(thaw_rand_op op, double magnitude, int64_t count, uint8_t *plane)
{
    int64_t histogram[256] = {0};
    uint8_t map[256];
    for (int64_t i = 0; i < count; i++)
        histogram[plane[i]]++;
    if (op == THAW_RAND_AUTOCONTRAST)
        stretch(histogram, map);
    if (op == THAW_RAND_EQUALIZE)
        equalize(histogram, count, map);
    if (op == THAW_RAND_POSTERIZE)
        posterize((int)magnitude, map);
    if (op == THAW_RAND_SOLARIZE)
        solarize(magnitude, map);
    for (int64_t i = 0; i < count; i++)
        plane[i] = map[plane[i]];
}
