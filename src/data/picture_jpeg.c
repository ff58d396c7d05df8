/* JPEG through the classic interface of libjpeg, which every version of the library has and which tells a warning's number: what it would
 * paint grey (a file cut off, damaged codes) is a broken file here. Settings are the library's own, as Pillow uses it. */
#include "data/picture_impl.h"

#include <jerror.h>
#include <jpeglib.h>
#include <setjmp.h>

/* A file of some kilobytes can ask for thousands of passes over millions of pixels; encoders write about ten. */
#define SCANS_MOST 100
/* A progressive picture of the most pixels has its coefficients, of four inks, in 512 MiB. */
#define MEMORY_MOST ((long)768 << 20)

/* What the library's callbacks find through their argument. */
typedef struct reader {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf back;
    char *why;
    thaw_status status;
} reader;

/* jpeg_error_mgr and jpeg_progress_mgr have no place for us; client_data has. */
static reader *reader_of(j_common_ptr jpeg)
{
    return jpeg->client_data;
}

__attribute__((noreturn)) static void on_error(j_common_ptr jpeg)
{
    reader *r = reader_of(jpeg);
    char text[JMSG_LENGTH_MAX];
    jpeg->err->format_message(jpeg, text);
    if (jpeg->err->msg_code == JERR_NO_BACKING_STORE)
        (void)thaw_format(text, sizeof text, "wants more than %ld MiB", MEMORY_MOST >> 20);
    (void)thaw_format(r->why, THAW_PICTURE_WHY, "%s", text);
    r->status = jpeg->err->msg_code == JERR_OUT_OF_MEMORY ? THAW_ERR_RESOURCE : THAW_ERR_INPUT;
    longjmp(r->back, 1);
}

static void on_message(j_common_ptr jpeg, int level)
{
    if (level >= 0)
        return;
    switch (jpeg->err->msg_code) {
    case JWRN_ADOBE_XFORM:
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_JFIF_MAJOR:
    case JWRN_TOO_MUCH_DATA:
        return; /* stray bytes and odd markers change no pixel */
    default:
        on_error(jpeg);
    }
}

static void on_output(j_common_ptr jpeg)
{
    (void)jpeg;
}

static void on_progress(j_common_ptr jpeg)
{
    reader *r = reader_of(jpeg);
    if (r->jpeg.input_scan_number > SCANS_MOST) {
        (void)thaw_format(r->why, THAW_PICTURE_WHY, "more than %d scans", SCANS_MOST);
        r->status = THAW_ERR_INPUT;
        longjmp(r->back, 1);
    }
}

/* (W, 4) of an Adobe file, which has its inks inverted, to (W, 3); the rounding is Pillow's. */
static void from_cmyk(const uint8_t *in, int64_t W, uint8_t *out)
{
    for (int64_t i = 0; i < W; i++)
        for (int c = 0; c < 3; c++) {
            const uint32_t light = in[4 * i + 3];
            const uint32_t product = (255u - in[4 * i + c]) * light + 128;
            out[3 * i + c] = (uint8_t)(light - (((product >> 8) + product) >> 8));
        }
}

static void read_rows(reader *r, thaw_picture *out)
{
    struct jpeg_decompress_struct *jpeg = &r->jpeg;
    JSAMPARRAY inks = NULL;
    if (jpeg->out_color_space == JCS_CMYK)
        inks = jpeg->mem->alloc_sarray((j_common_ptr)jpeg, JPOOL_IMAGE, 4 * jpeg->output_width, 1);
    while (jpeg->output_scanline < jpeg->output_height) {
        JSAMPROW row = out->pixels + (int64_t)jpeg->output_scanline * out->W * 3;
        (void)jpeg_read_scanlines(jpeg, inks != NULL ? inks : &row, 1);
        if (inks != NULL)
            from_cmyk(inks[0], out->W, row);
    }
}

/* Between setjmp and longjmp nothing is kept in variables: all is in r and out. */
static thaw_status decode(reader *r, FILE *stream, thaw_picture *out)
{
    if (setjmp(r->back) != 0)
        return r->status;
    jpeg_create_decompress(&r->jpeg);
    r->jpeg.mem->max_memory_to_use = MEMORY_MOST;
    r->jpeg.progress = &r->progress;
    jpeg_stdio_src(&r->jpeg, stream);
    (void)jpeg_read_header(&r->jpeg, TRUE);
    r->status = thaw_picture_make(out, r->jpeg.image_width, r->jpeg.image_height, r->why);
    if (r->status != THAW_OK)
        return r->status;
    const bool inks = r->jpeg.jpeg_color_space == JCS_CMYK || r->jpeg.jpeg_color_space == JCS_YCCK;
    r->jpeg.out_color_space = inks ? JCS_CMYK : JCS_RGB;
    (void)jpeg_start_decompress(&r->jpeg);
    read_rows(r, out);
    (void)jpeg_finish_decompress(&r->jpeg);
    return THAW_OK;
}

thaw_status thaw_picture_jpeg(FILE *stream, thaw_picture *out, char why[THAW_PICTURE_WHY])
{
    reader r = {.why = why, .status = THAW_ERR_INPUT};
    r.jpeg.err = jpeg_std_error(&r.errors);
    r.errors.error_exit = on_error;
    r.errors.emit_message = on_message;
    r.errors.output_message = on_output;
    r.progress.progress_monitor = on_progress;
    r.jpeg.client_data = &r;
    const thaw_status status = decode(&r, stream, out);
    jpeg_destroy_decompress(&r.jpeg);
    return status;
}
