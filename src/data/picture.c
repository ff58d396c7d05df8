#include "data/picture_impl.h"

#include <errno.h>
#include <string.h>

thaw_status thaw_picture_make(thaw_picture *out, int64_t W, int64_t H, char why[THAW_PICTURE_WHY])
{
    if (W <= 0 || H <= 0 || W > THAW_PICTURE_SIDE_MOST || H > THAW_PICTURE_SIDE_MOST ||
        W * H > THAW_PICTURE_PIXELS_MOST) {
        (void)thaw_format(why, THAW_PICTURE_WHY,
                          "%lld x %lld pixels; at most %lld are read, and %d a side", (long long)W,
                          (long long)H, (long long)THAW_PICTURE_PIXELS_MOST,
                          THAW_PICTURE_SIDE_MOST);
        return THAW_ERR_INPUT;
    }
    *out = (thaw_picture){.W = W, .H = H, .C = 3};
    if (thaw_alloc(&out->pixels, W * H * 3, 1) != THAW_OK) {
        (void)thaw_copy(why, THAW_PICTURE_WHY, "no memory for its pixels");
        return THAW_ERR_RESOURCE;
    }
    return THAW_OK;
}

/* Is it this machine that fails here, and not the file? */
static bool of_machine(int code)
{
    return code == EMFILE || code == ENFILE || code == ENOMEM || code == EIO;
}

static thaw_status failed(const char *what, int code, char why[THAW_PICTURE_WHY])
{
    (void)thaw_format(why, THAW_PICTURE_WHY, "%s: %s", what, strerror(code));
    return of_machine(code) ? THAW_ERR_RESOURCE : THAW_ERR_INPUT;
}

thaw_status thaw_picture_read(const char *path, thaw_picture *out, char why[THAW_PICTURE_WHY])
{
    uint8_t head[8] = {0};
    thaw_status status = THAW_ERR_INPUT;
    *out = (thaw_picture){0};
    FILE *stream = fopen(path, "rb");
    if (stream == NULL)
        return failed("cannot open", errno, why);
    const size_t bytes = fread(head, 1, sizeof head, stream);
    if (ferror(stream)) {
        status = failed("cannot read", errno, why);
        goto done;
    }
    rewind(stream);
    if (bytes == 0)
        (void)thaw_copy(why, THAW_PICTURE_WHY, "the file is empty");
    else if (bytes >= 3 && memcmp(head, "\xff\xd8\xff", 3) == 0)
        status = thaw_picture_jpeg(stream, out, why);
    else if (bytes == 8 && memcmp(head, "\x89PNG\r\n\x1a\n", 8) == 0)
        status = thaw_picture_png(stream, out, why);
    else
        (void)thaw_format(why, THAW_PICTURE_WHY,
                          "neither JPEG nor PNG by its first bytes (%02x %02x %02x %02x)", head[0],
                          head[1], head[2], head[3]);
    if (status != THAW_OK && ferror(stream)) {
        (void)thaw_copy(why, THAW_PICTURE_WHY, "cannot read to its end");
        status = THAW_ERR_RESOURCE;
    }
done:
    (void)fclose(stream);
    return status;
}

void thaw_picture_to_grey(thaw_picture *picture)
{
    const int64_t count = picture->C == 3 ? picture->W * picture->H : 0;
    for (int64_t i = 0; i < count; i++) {
        const uint8_t *rgb = picture->pixels + 3 * i;
        const uint32_t luma = 19595u * rgb[0] + 38470u * rgb[1] + 7471u * rgb[2] + 0x8000u;
        picture->pixels[i] = (uint8_t)(luma >> 16);
    }
    picture->C = 1;
}

/* Half of an even or odd rest, where a half goes to the even number: Python's round, which CenterCrop uses. */
static int64_t middle(int64_t whole, int64_t part)
{
    const int64_t rest = whole - part, half = rest / 2;
    return half + (rest % 2 != 0 && half % 2 != 0);
}

static void to_planes(const uint8_t *pixels, int64_t count, int C, uint8_t *out)
{
    for (int c = 0; c < C; c++)
        for (int64_t i = 0; i < count; i++)
            out[c * count + i] = pixels[i * C + c];
}

thaw_status thaw_picture_fit(const thaw_picture *picture, const thaw_picture_rule *rule,
                             uint8_t *out)
{
    const int64_t S = rule->size;
    int64_t W = S, H = S;
    uint8_t *window = NULL;
    if (S == 0) {
        to_planes(picture->pixels, picture->W * picture->H, picture->C, out);
        return THAW_OK;
    }
    if (rule->fit == THAW_FIT_CROP && picture->W <= picture->H) {
        W = rule->shorter;
        H = rule->shorter * picture->H / picture->W;
    } else if (rule->fit == THAW_FIT_CROP) {
        W = rule->shorter * picture->W / picture->H;
        H = rule->shorter;
    }
    thaw_status status = THAW_OK;
    THAW_TRY_TO(thaw_alloc(&window, S * S * picture->C, 1));
    THAW_TRY_TO(thaw_picture_resample(picture, rule->filter, W, H, middle(W, S), middle(H, S), S, S,
                                      window));
    to_planes(window, S * S, picture->C, out);
done:
    thaw_free(&window);
    return status;
}
