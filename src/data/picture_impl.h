/* One picture from a JPEG or PNG file to bytes of the size that a dataset wants.
 *
 * Nothing here records an error, so that threads can read pictures side by side: what is wrong with a file is a text. A broken file is
 * THAW_ERR_INPUT and is never half a picture; no memory, no descriptor left and a disk that cannot be read are
 * THAW_ERR_RESOURCE. */
#ifndef THAW_DATA_PICTURE_IMPL_H
#define THAW_DATA_PICTURE_IMPL_H

#include <stdio.h>

#include "thaw/data.h"

/* More pixels than this in one file are taken for damage or malice: 8192 x 8192 are 192 MiB. A side of JPEG is never longer. */
#define THAW_PICTURE_PIXELS_MOST ((int64_t)1 << 26)
#define THAW_PICTURE_SIDE_MOST   65535
#define THAW_PICTURE_WHY         256

typedef struct thaw_picture {
    int64_t W, H;
    int C;           /* 3: red, green, blue; 1: grey */
    uint8_t *pixels; /* (H, W, C) */
} thaw_picture;

/* What to make of it. Left as it is when size is 0. */
typedef struct thaw_picture_rule {
    int C;        /* 3 or 1 */
    int64_t size; /* side of the square that comes out */
    int64_t
        shorter; /* THAW_FIT_CROP: the shorter side before the middle is cut out; at least size */
    int fit;     /* thaw_fit */
    int filter;  /* thaw_filter */
} thaw_picture_rule;

/* Reads a file as (H, W, 3), whatever it holds: grey is repeated, a palette looked up, 16 bits cut to the high byte, alpha dropped, CMYK
 * converted. Orientation of EXIF is not applied. The kind is told by the first bytes. The caller frees out->pixels, also after an error. */
THAW_NODISCARD thaw_status thaw_picture_read(const char *path, thaw_picture *out,
                                             char why[THAW_PICTURE_WHY]);
/* The two kinds, from a stream at its beginning. */
THAW_NODISCARD thaw_status thaw_picture_jpeg(FILE *stream, thaw_picture *out,
                                             char why[THAW_PICTURE_WHY]);
THAW_NODISCARD thaw_status thaw_picture_png(FILE *stream, thaw_picture *out,
                                            char why[THAW_PICTURE_WHY]);
/* Checks the size and allocates (H, W, 3). */
THAW_NODISCARD thaw_status thaw_picture_make(thaw_picture *out, int64_t W, int64_t H,
                                             char why[THAW_PICTURE_WHY]);

/* To grey in place, when rule->C is 1: ITU-R 601-2 luma in 16 bits, as Pillow's convert("L"). */
void thaw_picture_to_grey(thaw_picture *picture);
/* Colours, size and order: (C, size, size) to out. The same as Pillow's resize on 8 bits with torchvision's Resize(shorter) and
 * CenterCrop(size). Fails for memory only. */
THAW_NODISCARD thaw_status thaw_picture_fit(const thaw_picture *picture,
                                            const thaw_picture_rule *rule, uint8_t *out);

/* Resamples to W x H and gives the window [left, left + w) x [top, top + h) of that as (h, w, C). Antialiased: the filter widens with the
 * reduction. Two passes with 8 bits between them, as Pillow does it. Fails for memory only. */
THAW_NODISCARD thaw_status thaw_picture_resample(const thaw_picture *picture, int filter, int64_t W,
                                                 int64_t H, int64_t left, int64_t top, int64_t w,
                                                 int64_t h, uint8_t *out);

#endif
