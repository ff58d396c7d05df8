/* Tiny source files and dataset files for the tests of data, in a folder of their own that is removed at the end. */
#ifndef THAW_TESTS_DATA_TEST_H
#define THAW_TESTS_DATA_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "thaw/data.h"

#define UNUSED __attribute__((unused))

static char folder[256];

UNUSED static int make_folder(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    thaw_format(folder, sizeof folder, "%s/thaw-data-XXXXXX", base ? base : "/tmp");
    return mkdtemp(folder) == NULL;
}

UNUSED static int remove_folder(void **state)
{
    (void)state;
    return thaw_remove_tree(folder) != THAW_OK;
}

/* A path in the folder; eight of them are good at a time. */
UNUSED static const char *in_folder(const char *name)
{
    static char paths[8][512];
    static int next;
    char *path = paths[next++ % 8];
    thaw_format(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

UNUSED static void write_bytes(const char *path, const void *data, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

/* Fails with the message when the call did not; a piece of the message must be there. */
#define assert_fails(call, code, piece) check_failure((call), (code), (piece), #call, __LINE__)
UNUSED static void check_failure(thaw_status status, thaw_status code, const char *piece,
                                 const char *what, int line)
{
    const char *message = thaw_error_last()->message;
    if (status != code)
        fail_msg("line %d: %s gave %s (%s), expected %s", line, what, thaw_status_name(status),
                 message, thaw_status_name(code));
    if (!strstr(message, piece))
        fail_msg("line %d: \"%s\" is not in the message \"%s\"", line, piece, message);
}
#define assert_ok(call)                                                                            \
    do {                                                                                           \
        if ((call) != THAW_OK)                                                                     \
            fail_msg("line %d: %s: %s", __LINE__, #call, thaw_error_last()->message);              \
    } while (0)

/* ---- IDX ---- */

/* Appends to text; values are bytes. */
UNUSED static void idx_bytes(thaw_str *out, int ndim, const uint32_t *dim, const uint8_t *values,
                             size_t count)
{
    uint8_t head[4] = {0, 0, 8, (uint8_t)ndim};
    thaw_str_add_bytes(out, head, 4);
    for (int d = 0; d < ndim; d++) {
        uint8_t size[4] = {(uint8_t)(dim[d] >> 24), (uint8_t)(dim[d] >> 16), (uint8_t)(dim[d] >> 8),
                           (uint8_t)dim[d]};
        thaw_str_add_bytes(out, size, 4);
    }
    thaw_str_add_bytes(out, values, count);
}

/* Pixel i of the picture with origin id `id`: anything that tells pictures apart. */
UNUSED static uint8_t pixel(int64_t id, int i)
{
    return (uint8_t)(id * 37 + i * 11 + (id >> 3));
}

/* `count` pictures of 3 x 4 from `first_id` on, with label id % classes, as <stem>-images and <stem>-labels. */
UNUSED static void write_idx(const char *stem, int64_t first_id, int count, int classes, bool gzip)
{
    thaw_str images = {0}, labels = {0};
    uint8_t *pixels = malloc((size_t)count * 12), *words = malloc((size_t)count);
    for (int n = 0; n < count; n++) {
        words[n] = (uint8_t)((first_id + n) % classes);
        for (int i = 0; i < 12; i++)
            pixels[n * 12 + i] = pixel(first_id + n, i);
    }
    idx_bytes(&images, 3, (uint32_t[]){(uint32_t)count, 3, 4}, pixels, (size_t)count * 12);
    idx_bytes(&labels, 1, (uint32_t[]){(uint32_t)count}, words, (size_t)count);
    const thaw_str *texts[] = {&images, &labels};
    for (int f = 0; f < 2; f++) {
        char name[128];
        thaw_format(name, sizeof name, "%s-%s", stem, f ? "labels" : "images");
        if (gzip) {
            gzFile stream = gzopen(in_folder(name), "wb");
            assert_int_equal(gzwrite(stream, texts[f]->data, (unsigned)texts[f]->length),
                             (int)texts[f]->length);
            assert_int_equal(gzclose(stream), Z_OK);
        } else {
            write_bytes(in_folder(name), texts[f]->data, texts[f]->length);
        }
    }
    thaw_str_clear(&images);
    thaw_str_clear(&labels);
    free(pixels);
    free(words);
}

/* ---- npy ---- */

UNUSED static void npy_bytes(thaw_str *out, int version, const char *descr, const char *shape,
                             const void *values, size_t bytes)
{
    char header[256];
    thaw_format(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }\n",
                descr, shape);
    size_t length = strlen(header);
    uint8_t head[12] = {0x93,
                        'N',
                        'U',
                        'M',
                        'P',
                        'Y',
                        (uint8_t)version,
                        0,
                        (uint8_t)length,
                        (uint8_t)(length >> 8)};
    thaw_str_add_bytes(out, head, version == 1 ? 10 : 12);
    thaw_str_add_bytes(out, header, length);
    thaw_str_add_bytes(out, values, bytes);
}

UNUSED static void write_npy(const char *name, const char *descr, const char *shape,
                             const void *values, size_t bytes)
{
    thaw_str text = {0};
    npy_bytes(&text, 1, descr, shape, values, bytes);
    write_bytes(in_folder(name), text.data, text.length);
    thaw_str_clear(&text);
}

/* ---- Import ---- */

/* Options as on a command line: pairs of field and text, ended by NULL. */
UNUSED static thaw_status import_with(const char *const *pairs)
{
    thaw_import import;
    thaw_import_init(&import);
    thaw_status status = THAW_OK;
    for (int i = 0; pairs[i] && status == THAW_OK; i += 2)
        status = thaw_import_set(&import, pairs[i], pairs[i + 1]);
    if (status == THAW_OK)
        status = thaw_import_run(&import);
    thaw_import_clear(&import);
    return status;
}
#define IMPORT(...) import_with((const char *const[]){__VA_ARGS__, NULL})

#endif
