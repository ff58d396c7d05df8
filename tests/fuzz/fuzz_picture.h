/* fuzz_picture.h - a picture file through one decoder; what comes out is cut and squashed to a few pixels. */
#ifndef FUZZ_PICTURE_H
#define FUZZ_PICTURE_H

#include "fuzz_test.h"

#include "data/picture_impl.h"

static inline void fuzz_picture(thaw_status (*decode)(FILE *, thaw_picture *, char *),
                                const uint8_t *data, size_t size)
{
    static const thaw_picture_rule rules[] = {
        {.C = 3, .size = 5, .shorter = 6, .fit = THAW_FIT_CROP, .filter = THAW_BICUBIC},
        {.C = 3, .size = 7, .fit = THAW_FIT_SQUASH, .filter = THAW_BILINEAR}};
    uint8_t out[3 * 7 * 7];
    char why[THAW_PICTURE_WHY] = "";
    thaw_picture picture = {0};
    FILE *stream = fopen(fuzz_file(data, size), "rb");
    THAW_ASSERT(stream != NULL);
    if (decode(stream, &picture, why) == THAW_OK)
        for (int i = 0; i < 2; i++)
            (void)!thaw_picture_fit(&picture, &rules[i], out);
    else
        THAW_ASSERT(why[0] != '\0');
    thaw_free(&picture.pixels);
    (void)fclose(stream);
}

#endif
