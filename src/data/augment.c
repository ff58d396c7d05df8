#include "data/augment_impl.h"

#include <math.h>
#include <string.h>

#include "data/randaugment_impl.h"

static const char *const crop_fills[] = {"black", "reflect", NULL};

const thaw_field thaw_augment_fields[] = {
    {"crop_area_least", THAW_FIELD_DOUBLE, THAW_FIELD(thaw_augment, crop_area_least, double), "0",
     0, 1, NULL, NULL,
     "Smallest share of the picture that a random crop keeps, which is then enlarged to the whole "
     "(0.08 is usual on large pictures); 0 switches it off."},
    {"crop_aspect_most", THAW_FIELD_DOUBLE, THAW_FIELD(thaw_augment, crop_aspect_most, double),
     "1.3333333333333333", 1, 10, NULL, NULL,
     "Largest ratio of the sides of such a crop, either way."},
    {"crop_padding", THAW_FIELD_INT, THAW_FIELD(thaw_augment, crop_padding, int64_t), "0", 0, 1024,
     NULL, NULL,
     "Pixels added on each side before a random crop of the original size; 0 switches it off."},
    {"crop_fill", THAW_FIELD_ENUM, THAW_FIELD(thaw_augment, crop_fill, int), "black", 0, 0,
     crop_fills, NULL, "What the added pixels are: black (a stored 0) or the picture reflected."},
    {"flip", THAW_FIELD_BOOL, THAW_FIELD(thaw_augment, flip, bool), "false", 0, 0, NULL, NULL,
     "Mirror left to right with probability 1/2."},
    {"rand_ops", THAW_FIELD_INT, THAW_FIELD(thaw_augment, rand_ops, int64_t), "0", 0, 16, NULL,
     NULL,
     "Operations of RandAugment on each picture, as torchvision draws them from its 14 (2 is "
     "usual); needs pictures stored as bytes; 0 switches it off."},
    {"rand_magnitude", THAW_FIELD_INT, THAW_FIELD(thaw_augment, rand_magnitude, int64_t), "9", 0,
     30, NULL, NULL, "How strong they are, one of 31 bins."},
    {"brightness", THAW_FIELD_DOUBLE, THAW_FIELD(thaw_augment, brightness, double), "0", 0, 1, NULL,
     NULL, "Multiply values by a factor drawn from [1 - b, 1 + b]."},
    {"contrast", THAW_FIELD_DOUBLE, THAW_FIELD(thaw_augment, contrast, double), "0", 0, 1, NULL,
     NULL,
     "Multiply the distance from the picture's channel mean by a factor drawn from [1 - c, 1 + "
     "c]."},
    {"erase_probability", THAW_FIELD_DOUBLE, THAW_FIELD(thaw_augment, erase_probability, double),
     "0", 0, 1, NULL, NULL, "Probability that one rectangle is replaced by the mean colour."},
    {"erase_area_least", THAW_FIELD_DOUBLE, THAW_FIELD(thaw_augment, erase_area_least, double),
     "0.02", 0, 1, NULL, NULL, "Smallest erased share of the picture."},
    {"erase_area_most", THAW_FIELD_DOUBLE, THAW_FIELD(thaw_augment, erase_area_most, double),
     "0.33", 0, 1, NULL, NULL, "Largest erased share of the picture."},
    {"mixup", THAW_FIELD_DOUBLE, THAW_FIELD(thaw_augment, mixup, double), "0", 0, 1, NULL, NULL,
     "Mix each training sample and its target with another one's; shares are drawn from Beta(a, a) "
     "with this a (0.2 is usual); 0 switches it off."},
    {"cutmix", THAW_FIELD_DOUBLE, THAW_FIELD(thaw_augment, cutmix, double), "0", 0, 1, NULL, NULL,
     "Replace a rectangle by another sample's, and that share of the target; areas are drawn from "
     "Beta(a, a) with this a (1 is usual); with mixup too, each sample gets one of them by chance; "
     "0 "
     "switches it off."},
    {0},
};

/* Aspect ratio of an erased rectangle: [0.3, 1/0.3], uniform in the logarithm. Source: Zhong et al. 2017,
 * arXiv:1708.04896, and torchvision's RandomErasing. */
#define ERASE_ASPECT 0.3

bool thaw_augment_none(const thaw_augment *a)
{
    return a->crop_area_least == 0 && a->crop_padding == 0 && !a->flip && a->rand_ops == 0 &&
           a->brightness == 0 && a->contrast == 0 && a->erase_probability == 0 &&
           !thaw_augment_mixes(a);
}

static thaw_status check_rand(const thaw_shape *sample)
{
    const int64_t C = sample->dim[0], H = sample->dim[1], W = sample->dim[2];
    THAW_CHECK(
        C == 1 || C == 3, THAW_ERR_CONFIG,
        "rand_ops needs grey pictures or those of red, green and blue, but a sample has %lld "
        "channels; set rand_ops: 0",
        (long long)C);
    THAW_CHECK(
        H <= THAW_RAND_SIDE_MOST && W <= THAW_RAND_SIDE_MOST, THAW_ERR_CONFIG,
        "rand_ops takes pictures of at most %d pixels a side, but these are %lld x %lld; set "
        "rand_ops: 0",
        THAW_RAND_SIDE_MOST, (long long)H, (long long)W);
    return THAW_OK;
}

thaw_status thaw_augment_check(const thaw_augment *a, const thaw_shape *sample)
{
    THAW_ASSERT(sample->ndim == 3);
    if (thaw_augment_none(a))
        return THAW_OK;
    int64_t H = sample->dim[1], W = sample->dim[2];
    bool spatial = a->crop_area_least > 0 || a->crop_padding > 0 || a->flip || a->rand_ops > 0 ||
                   a->erase_probability > 0 || a->cutmix > 0;
    THAW_CHECK(
        !spatial || H * W > 1, THAW_ERR_CONFIG,
        "crop, flip, RandAugment, erase and cutmix need pictures, but a sample has %lld values "
        "without height and width; set crop_area_least: 0, crop_padding: 0, flip: false, "
        "rand_ops: 0, erase_probability: 0, cutmix: 0",
        (long long)sample->dim[0]);
    int64_t side = H < W ? H : W;
    THAW_CHECK(a->crop_padding < side, THAW_ERR_CONFIG,
               "crop_padding %lld does not fit pictures of %lld x %lld; use at most %lld",
               (long long)a->crop_padding, (long long)H, (long long)W, (long long)(side - 1));
    THAW_CHECK(a->erase_area_least <= a->erase_area_most, THAW_ERR_CONFIG,
               "erase_area_least %g is above erase_area_most %g", a->erase_area_least,
               a->erase_area_most);
    if (a->rand_ops > 0)
        return check_rand(sample);
    return THAW_OK;
}

/* All that chance decides for one sample. Every draw is made whatever is switched on: the rest keeps its values. */
typedef struct draws {
    int64_t crop_y, crop_x; /* shift in [-padding, padding] */
    bool flip;
    double brightness, contrast; /* factors */
    bool erase;
    double erase_area, erase_aspect, erase_y, erase_x;
} draws;

static int64_t shift_of(double u, int64_t padding)
{
    int64_t shift = (int64_t)(u * (double)(2 * padding + 1));
    return shift - padding;
}

static draws draw(const thaw_augment *a, uint64_t seed, uint32_t epoch, int64_t index)
{
    thaw_rng rng = thaw_rng_make(seed, THAW_RNG_AUGMENT, epoch, (uint64_t)index);
    draws d;
    d.crop_y = shift_of(thaw_rng_uniform(&rng), a->crop_padding);
    d.crop_x = shift_of(thaw_rng_uniform(&rng), a->crop_padding);
    d.flip = thaw_rng_uniform(&rng) < 0.5 && a->flip;
    d.brightness = 1 + a->brightness * (2 * thaw_rng_uniform(&rng) - 1);
    d.contrast = 1 + a->contrast * (2 * thaw_rng_uniform(&rng) - 1);
    d.erase = thaw_rng_uniform(&rng) < a->erase_probability;
    d.erase_area =
        a->erase_area_least + (a->erase_area_most - a->erase_area_least) * thaw_rng_uniform(&rng);
    d.erase_aspect = exp(log(ERASE_ASPECT) * (1 - 2 * thaw_rng_uniform(&rng)));
    d.erase_y = thaw_rng_uniform(&rng);
    d.erase_x = thaw_rng_uniform(&rng);
    return d;
}

/* Where row or column i of the padded picture comes from; -1: outside. */
static int64_t source_of(int64_t i, int64_t size, int fill)
{
    if (i >= 0 && i < size)
        return i;
    if (fill == THAW_CROP_BLACK)
        return -1;
    return i < 0 ? -i : 2 * (size - 1) - i;
}

/* plane (H, W) from its copy, shifted and perhaps mirrored. */
static void move_plane(const thaw_augment *a, const draws *d, int64_t H, int64_t W, float black,
                       const float *copy, float *plane)
{
    for (int64_t y = 0; y < H; y++) {
        int64_t from_y = source_of(y + d->crop_y, H, a->crop_fill);
        for (int64_t x = 0; x < W; x++) {
            int64_t before_flip = d->flip ? W - 1 - x : x;
            int64_t from_x = source_of(before_flip + d->crop_x, W, a->crop_fill);
            plane[y * W + x] = from_y < 0 || from_x < 0 ? black : copy[from_y * W + from_x];
        }
    }
}

/* Brightness scales raw values, and black is raw 0: v - black scales. */
static void tone_plane(const draws *d, int64_t count, float black, float *plane)
{
    float factor = (float)d->brightness;
    for (int64_t i = 0; i < count; i++)
        plane[i] = (plane[i] - black) * factor + black;
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)plane[i];
    float mean = (float)(sum / (double)count);
    factor = (float)d->contrast;
    for (int64_t i = 0; i < count; i++)
        plane[i] = (plane[i] - mean) * factor + mean;
}

static int64_t side_of(double length, int64_t most)
{
    int64_t side = (int64_t)(length + 0.5);
    return side < 1 ? 1 : side > most ? most : side;
}

static void erase(const draws *d, int64_t C, int64_t H, int64_t W, float *x)
{
    double area = d->erase_area * (double)H * (double)W;
    int64_t height = side_of(sqrt(area * d->erase_aspect), H);
    int64_t width = side_of(sqrt(area / d->erase_aspect), W);
    int64_t top = (int64_t)(d->erase_y * (double)(H - height + 1));
    int64_t left = (int64_t)(d->erase_x * (double)(W - width + 1));
    for (int64_t c = 0; c < C; c++)
        for (int64_t y = top; y < top + height; y++)
            memset(x + (c * H + y) * W + left, 0, (size_t)width * sizeof *x);
}

/* Planes one by one: each as it was goes to scratch. */
static void move_picture(const thaw_augment *a, const draws *d, const thaw_shape *sample,
                         const thaw_levels *levels, float *picture, float *scratch)
{
    const int64_t H = sample->dim[1], W = sample->dim[2];
    for (int64_t c = 0; c < sample->dim[0]; c++) {
        float *plane = picture + c * H * W;
        memcpy(scratch, plane, (size_t)(H * W) * sizeof *plane);
        move_plane(a, d, H, W, (float)levels->zero[c], scratch, plane);
    }
}

void thaw_augment_batch(const thaw_augment *a, uint64_t seed, uint32_t epoch, int64_t n,
                        const int64_t *indices, const thaw_shape *sample, const thaw_levels *levels,
                        float *x, float *scratch)
{
    if (thaw_augment_none(a))
        return;
    int64_t C = sample->dim[0], H = sample->dim[1], W = sample->dim[2];
    bool tone = a->brightness > 0 || a->contrast > 0;
    for (int64_t i = 0; i < n; i++) {
        float *picture = x + i * C * H * W;
        draws d = draw(a, seed, epoch, indices[i]);
        thaw_augment_resized_crop(a, seed, epoch, indices[i], sample, picture, scratch);
        if (a->crop_padding > 0 || a->flip)
            move_picture(a, &d, sample, levels, picture, scratch);
        if (a->rand_ops > 0)
            thaw_augment_rand(a, seed, epoch, indices[i], sample, levels, picture, scratch);
        for (int64_t c = 0; tone && c < C; c++)
            tone_plane(&d, H * W, (float)levels->zero[c], picture + c * H * W);
        if (d.erase)
            erase(&d, C, H, W, picture);
    }
}
