/* image_test.h - shared by the tests on images: the same logical values in all layouts. */
#ifndef TESTS_IMAGE_TEST_H
#define TESTS_IMAGE_TEST_H

#include "kern_test.h"

static const int32_t test_layouts[] = {1, 8, 16};
enum { TEST_LAYOUTS = 3 };

/* Where (b, c, i) lies; written apart from the library's own arithmetic. */
static inline int64_t image_at(const thaw_image *s, int64_t b, int64_t c, int64_t i)
{
    int64_t S = s->H * s->W;
    if (s->block <= 1)
        return (b * s->C + c) * S + i;
    int64_t blocks = s->C / s->block + (s->C % s->block != 0);
    return ((b * blocks + c / s->block) * S + i) * s->block + c % s->block;
}

/* A copy of NCHW values in s's layout, zero beyond C. */
static inline float *image_from(const thaw_image *s, const float *plain)
{
    float *data = test_floats(thaw_image_count(s));
    int64_t S = s->H * s->W;
    for (int64_t i = 0; i < s->B * s->C * S; i++)
        data[image_at(s, i / (s->C * S), i / S % s->C, i % S)] = plain[i];
    return data;
}

/* Back to NCHW; fails when a lane beyond C is not zero. */
static inline float *image_plain(const thaw_image *s, const float *data)
{
    int64_t S = s->H * s->W;
    float *plain = test_floats(s->B * s->C * S);
    thaw_image whole = *s;
    if (s->block > 1)
        whole.C = (s->C + s->block - 1) / s->block * s->block;
    for (int64_t b = 0; b < s->B; b++)
        for (int64_t c = 0; c < whole.C; c++)
            for (int64_t i = 0; i < S; i++) {
                float value = data[image_at(&whole, b, c, i)];
                if (c < s->C)
                    plain[(b * s->C + c) * S + i] = value;
                else
                    assert_true(value == 0.0f);
            }
    return plain;
}

static inline double test_act(thaw_act act, double v)
{
    if (act == THAW_ACT_NONE)
        return v;
    v = v < 0 ? 0 : v;
    return act == THAW_ACT_RELU6 && v > 6 ? 6 : v;
}

static inline bool test_passes(thaw_act act, double y)
{
    return act == THAW_ACT_NONE || (y > 0 && (act == THAW_ACT_RELU || y < 6));
}

#endif
