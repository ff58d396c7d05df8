#include "data/picture_impl.h"

#include <png.h>
#include <setjmp.h>

/* Chunks beside the pixels (text, profiles) may unpack to so much, and be so many. */
#define CHUNK_BYTES_MOST ((size_t)8 << 20)
#define CHUNKS_MOST      1000

typedef struct reader {
    png_structp png;
    png_infop info;
    char *why;
    thaw_status status;
    bool no_memory; /* libpng says so in words only, and in several */
} reader;

static png_voidp on_malloc(png_structp png, png_alloc_size_t bytes)
{
    void *memory = NULL;
    if (bytes > INT64_MAX || thaw_alloc(&memory, (int64_t)bytes, 1) != THAW_OK)
        ((reader *)png_get_mem_ptr(png))->no_memory = true;
    return memory;
}

static void on_free(png_structp png, png_voidp memory)
{
    (void)png;
    thaw_free(&memory);
}

__attribute__((noreturn)) static void on_error(png_structp png, png_const_charp text)
{
    reader *r = png_get_error_ptr(png);
    (void)thaw_format(r->why, THAW_PICTURE_WHY, "%s", r->no_memory ? "no memory for libpng" : text);
    r->status = r->no_memory ? THAW_ERR_RESOURCE : THAW_ERR_INPUT;
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

/* Whatever is inside comes out as 8 bits of red, green and blue, as Pillow's convert("RGB") has it: alpha is dropped, not blended. */
static void ask_for_rgb(reader *r)
{
    const int type = png_get_color_type(r->png, r->info);
    if (type == PNG_COLOR_TYPE_PALETTE)
        png_set_palette_to_rgb(r->png);
    if (type == PNG_COLOR_TYPE_GRAY)
        png_set_expand_gray_1_2_4_to_8(r->png);
    if (type == PNG_COLOR_TYPE_GRAY || type == PNG_COLOR_TYPE_GRAY_ALPHA)
        png_set_gray_to_rgb(r->png);
    png_set_strip_16(r->png);
    png_set_strip_alpha(r->png);
}

/* Between setjmp and longjmp nothing is kept in variables that change: all is in r and out. */
static thaw_status decode(reader *r, FILE *stream, thaw_picture *out)
{
    if (setjmp(png_jmpbuf(r->png)) != 0)
        return r->status;
    png_set_user_limits(r->png, 1 << 20, 1 << 20);
    png_set_chunk_malloc_max(r->png, CHUNK_BYTES_MOST);
    png_set_chunk_cache_max(r->png, CHUNKS_MOST);
    png_init_io(r->png, stream);
    png_read_info(r->png, r->info);
    r->status = thaw_picture_make(out, png_get_image_width(r->png, r->info),
                                  png_get_image_height(r->png, r->info), r->why);
    if (r->status != THAW_OK)
        return r->status;
    ask_for_rgb(r);
    const int passes = png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
    if (png_get_rowbytes(r->png, r->info) != (size_t)out->W * 3)
        png_error(r->png, "rows do not come out as 8 bits of three colours");
    for (int pass = 0; pass < passes; pass++)
        for (int64_t row = 0; row < out->H; row++)
            png_read_row(r->png, out->pixels + row * out->W * 3, NULL);
    png_read_end(r->png, NULL);
    return THAW_OK;
}

thaw_status thaw_picture_png(FILE *stream, thaw_picture *out, char why[THAW_PICTURE_WHY])
{
    reader r = {.why = why, .status = THAW_ERR_RESOURCE};
    (void)thaw_copy(why, THAW_PICTURE_WHY, "no memory for libpng");
    r.png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &r, on_error, on_warning, &r, on_malloc,
                                     on_free);
    r.info = r.png == NULL ? NULL : png_create_info_struct(r.png);
    const thaw_status status = r.info == NULL ? THAW_ERR_RESOURCE : decode(&r, stream, out);
    png_destroy_read_struct(&r.png, &r.info, NULL);
    return status;
}
