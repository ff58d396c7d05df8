#ifndef THAW_DATA_RANDAUGMENT_IMPL_H
#define THAW_DATA_RANDAUGMENT_IMPL_H

#include "thaw/data.h"

/* The operations of RandAugment on pictures of whole levels 0..255. Source: Cubuk et al. 2020, arXiv:1909.13719, in the form of
 * torchvision's RandAugment: its list, its ranges, and what Pillow computes for each on 8 bits, nearest pixel and black outside. */
typedef enum thaw_rand_op {
    THAW_RAND_IDENTITY,
    THAW_RAND_SHEAR_X,
    THAW_RAND_SHEAR_Y,
    THAW_RAND_TRANSLATE_X,
    THAW_RAND_TRANSLATE_Y,
    THAW_RAND_ROTATE,
    THAW_RAND_BRIGHTNESS,
    THAW_RAND_COLOR,
    THAW_RAND_CONTRAST,
    THAW_RAND_SHARPNESS,
    THAW_RAND_POSTERIZE,
    THAW_RAND_SOLARIZE,
    THAW_RAND_AUTOCONTRAST,
    THAW_RAND_EQUALIZE,
    THAW_RAND_OPS
} thaw_rand_op;

/* Bins of magnitude, 0 is the weakest. */
#define THAW_RAND_BINS 31
/* Sides of a picture: positions are in 16 + 16 bits, as Pillow has them. */
#define THAW_RAND_SIDE_MOST 16384

/* What a bin means to an operation on pictures of H x W; without a sign, which only those that thaw_rand_signed have. Source of ranges:
 * torchvision.transforms.RandAugment._augmentation_space, in floats as there. */
double thaw_rand_magnitude(thaw_rand_op op, int64_t bin, int64_t H, int64_t W);
bool thaw_rand_signed(thaw_rand_op op);
/* levels (C, H, W), C 1 or 3, in place; spare (H * W). */
void thaw_rand_apply(thaw_rand_op op, double magnitude, int64_t C, int64_t H, int64_t W,
                     uint8_t *levels, uint8_t *spare);

/* Those that move no pixel: brightness, color, contrast and sharpness of a factor (1 is the picture itself), and the others. */
void thaw_rand_enhance(thaw_rand_op op, float factor, int64_t C, int64_t H, int64_t W,
                       uint8_t *levels, uint8_t *spare);
void thaw_rand_map(thaw_rand_op op, double magnitude, int64_t count, uint8_t *plane);

#endif
