/* Weights that others wrote: values, conversions, strides; and every way in which a file can lie. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zip.h>

#include <cmocka.h>

#include "thaw/store.h"

static char folder[] = "/tmp/thaw-weights-XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_bytes(const char *name, const void *head, size_t head_bytes, const void *body,
                        size_t body_bytes)
{
    FILE *file = fopen(in_folder(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(head, 1, head_bytes, file), head_bytes);
    assert_int_equal(fwrite(body, 1, body_bytes, file), body_bytes);
    assert_int_equal(fclose(file), 0);
}

/* A header of its own length, then `bytes` of data. */
static void write_safetensors(const char *name, const char *header, const void *data, size_t bytes)
{
    uint8_t file[4096];
    const size_t length = strlen(header);
    for (int i = 0; i < 8; i++)
        file[i] = (uint8_t)(length >> 8 * i);
    memcpy(file + 8, header, length);
    write_bytes(name, file, 8 + length, data, bytes);
}

static thaw_weights *open_good(const char *name)
{
    thaw_weights *w = NULL;
    if (thaw_weights_open(in_folder(name), &w) != THAW_OK)
        fail_msg("%s: %s", name, thaw_error_last()->message);
    return w;
}

static void refused(const char *name, const char *why)
{
    thaw_weights *w = NULL;
    thaw_status status = thaw_weights_open(in_folder(name), &w);
    for (int64_t i = 0; status == THAW_OK && i < thaw_weights_count(w); i++) {
        float *out = NULL;
        assert_int_equal(
            thaw_alloc(&out, thaw_shape_count(&thaw_weights_at(w, i)->shape), sizeof *out),
            THAW_OK);
        status = thaw_weights_read(w, i, out);
        thaw_free(&out);
    }
    thaw_weights_close(&w);
    if (status != THAW_ERR_INPUT || strstr(thaw_error_last()->message, why) == NULL)
        fail_msg("%s: no '%s' but %d: %s", name, why, (int)status,
                 status == THAW_OK ? "" : thaw_error_last()->message);
    thaw_error_clear();
}

static void all_types(void **state)
{
    (void)state;
    const float f32[] = {1.5f, -2, 0.1f};
    const uint16_t f16[] = {0x3c00, 0xc500, 0x0001}; /* 1, -5, the smallest subnormal */
    const uint16_t bf16[] = {0x3f80, 0xc0a0, 0x7f80};
    const double f64[] = {0.1, -1e30, 3};
    char data[12 + 6 + 6 + 24 + 8];
    float out[3];
    memcpy(data, f32, 12);
    memcpy(data + 12, f16, 6);
    memcpy(data + 18, bf16, 6);
    memcpy(data + 24, f64, 24);
    memset(data + 48, 0, 8);
    write_safetensors("types",
                      "{\"__metadata__\":{\"format\":\"pt\"},"
                      "\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]},"
                      "\"b\":{\"dtype\":\"F16\",\"shape\":[1,3],\"data_offsets\":[12,18]},"
                      "\"c\":{\"dtype\":\"BF16\",\"shape\":[3,1],\"data_offsets\":[18,24]},"
                      "\"d\":{\"dtype\":\"F64\",\"shape\":[3],\"data_offsets\":[24,48]},"
                      "\"n\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[48,56]}}",
                      data, sizeof data);
    thaw_weights *w = open_good("types");
    assert_int_equal(thaw_weights_count(w), 5);
    assert_int_equal(thaw_weights_read(w, 0, out), THAW_OK);
    assert_memory_equal(out, f32, sizeof f32);
    assert_int_equal(thaw_weights_read(w, 1, out), THAW_OK);
    assert_true(out[0] == 1 && out[1] == -5 && out[2] == ldexpf(1, -24));
    assert_int_equal(thaw_weights_read(w, 2, out), THAW_OK);
    assert_true(out[0] == 1 && out[1] == -5 && isinf(out[2]));
    assert_int_equal(thaw_weights_read(w, 3, out), THAW_OK);
    assert_true(out[0] == 0.1f && out[1] == -1e30f && out[2] == 3);
    assert_false(thaw_weights_at(w, 4)->readable);
    assert_int_equal(thaw_weights_read(w, 4, out), THAW_ERR_INPUT);
    assert_int_equal(thaw_weights_at(w, 1)->shape.ndim, 2);
    thaw_weights_close(&w);
}

static void bad_safetensors(void **state)
{
    (void)state;
    static const struct {
        const char *header, *why;
        size_t bytes;
    } rows[] = {
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", "need 12", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", "do not lie", 4},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", "behind the last", 12},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", "hole", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
         "overlap", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
         "a", 8},
        {"{\"a\":{\"dtype\":\"F33\",\"shape\":[1],\"data_offsets\":[0,4]}}", "dtype", 4},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", "impossible", 4},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4000000000,4000000000,9],\"data_offsets\":[0,4]}}",
         "impossible", 4},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}",
         "dimensions", 4},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", "two numbers", 4},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}", "'a'", 4},
        {"{\"a\":[]}", "'a'", 4},
        {"{\"a\":", "bad", 4},
        {"{\"a\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,8]}}", "too large", 8},
    };
    const double huge = 1e300;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char data[16] = {0};
        memcpy(data, &huge, sizeof huge);
        write_safetensors("bad", rows[i].header, data, rows[i].bytes);
        refused("bad", rows[i].why);
    }
    write_bytes("long", "\377\377\377\377\377\377\377\177{\"a\":1}", 15, "", 0);
    refused("long", "header is said to be");
    write_bytes("text", "hello world, this is no file of weights", 39, "", 0);
    refused("text", "neither safetensors");
    write_bytes("none", "", 0, "", 0);
    refused("none", "empty");
    refused("absent", "cannot open");
    write_bytes("old", "\200\002\212\nl\374\234F\371 j\250P\031.", 15, "",
                0); /* the magic number alone */
    refused("old", "ends in the middle");
}

static void indexes(void **state)
{
    (void)state;
    const float values[] = {1, 2};
    float out = 0;
    write_safetensors("one.safetensors",
                      "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", values,
                      4);
    write_safetensors("two.safetensors",
                      "{\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
                      values + 1, 4);
#define INDEX(name, map)                                                                           \
    write_bytes(name, "{\"weight_map\":{" map "}}", strlen("{\"weight_map\":{" map "}}"), "", 0)
    INDEX("good.json", "\"a\":\"one.safetensors\",\"b\":\"two.safetensors\"");
    INDEX("less.json", "\"a\":\"one.safetensors\",\"c\":\"two.safetensors\"");
    INDEX("more.json", "\"a\":\"one.safetensors\",\"b\":\"one.safetensors\"");
    INDEX("lost.json", "\"a\":\"three.safetensors\"");
    INDEX("away.json", "\"a\":\"../one.safetensors\"");
    thaw_weights *w = open_good("good.json");
    assert_int_equal(thaw_weights_count(w), 2);
    assert_int_equal(thaw_weights_read(w, 1, &out), THAW_OK);
    assert_true(out == 2);
    thaw_weights_close(&w);
    refused("less.json", "does not name the tensor 'b'");
    refused("more.json", "names 2 tensors");
    refused("lost.json", "cannot open");
    refused("away.json", "no file name");
    write_bytes("other.json", "{\"a\":1}", 7, "", 0);
    refused("other.json", "no index");
}

/* ---- PyTorch: pickles written by hand, as torch.save writes them ----------------------------------------------------- */

static void write_torch(const char *name, const char *pickle, size_t bytes, const void *data,
                        size_t data_bytes)
{
    int code = 0;
    zip_t *zip = zip_open(in_folder(name), ZIP_CREATE | ZIP_TRUNCATE, &code);
    assert_non_null(zip);
    zip_source_t *source = zip_source_buffer(zip, pickle, bytes, 0);
    assert_true(zip_file_add(zip, "archive/data.pkl", source, 0) >= 0);
    source = zip_source_buffer(zip, data, data_bytes, 0);
    assert_true(zip_file_add(zip, "archive/data/0", source, 0) >= 0);
    assert_int_equal(zip_close(zip), 0);
}

/* {"w": tensor (2, 3) of storage 0}; the storage's type, elements, and the strides vary. */
#define TENSOR(type, count, offset, strides)                                                       \
    "\x80\x02}q\x00X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n(("                        \
    "X\x07\x00\x00\x00storage"                                                                     \
    "ctorch\n" type "\nX\x01\x00\x00\x00"                                                          \
    "0X\x03\x00\x00\x00"                                                                           \
    "cpuK" count "tQK" offset "K\x02K\x03\x86" strides "\x89"                                      \
    "ccollections\nOrderedDict\n)RtRs."
#define PICKLE(text) (text), sizeof(text) - 1

static void torch_files(void **state)
{
    (void)state;
    const float values[] = {9, 1, 2, 3, 4, 5, 6};
    float out[6];
    write_torch("dense.pt", PICKLE(TENSOR("FloatStorage", "\x07", "\x01", "K\x03K\x01\x86")),
                values, sizeof values);
    thaw_weights *w = open_good("dense.pt");
    assert_int_equal(thaw_weights_count(w), 1);
    assert_string_equal(thaw_weights_at(w, 0)->name, "w");
    assert_int_equal(thaw_weights_read(w, 0, out), THAW_OK);
    assert_memory_equal(out, values + 1, sizeof out);
    thaw_weights_close(&w);
    write_torch("turned.pt", PICKLE(TENSOR("FloatStorage", "\x07", "\x01", "K\x01K\x02\x86")),
                values, sizeof values);
    w = open_good("turned.pt");
    const float turned[] = {1, 3, 5, 2, 4, 6};
    assert_int_equal(thaw_weights_read(w, 0, out), THAW_OK);
    assert_memory_equal(out, turned, sizeof out);
    thaw_weights_close(&w);
}

static void bad_torch_files(void **state)
{
    (void)state;
    const float values[7] = {0};
    static const struct {
        const char *pickle;
        size_t bytes;
        const char *why;
    } rows[] = {
        {PICKLE("\x80\x02"
                "cos\nsystem\nX\x04\x00\x00\x00trueR\x85R."),
         "needs os.system"},
        {PICKLE("\x80\x02"
                "cbuiltins\neval\n."),
         "builtins.eval"},
        {PICKLE("\x80\x04\x8c\x05posix\x8c\x06system\x93."), "posix.system"},
        {PICKLE("\x80\x02"
                "ctorch\nload\n."),
         "torch.load"},
        {PICKLE("\x80\x02}\x81."), "opcode 0x81"},
        {PICKLE("\x80\x02"
                "I1\n."),
         "opcode 0x49"},
        {PICKLE("\x80\x02K\x01."), "no dictionary"},
        {PICKLE("\x80\x02}"), "ends in the middle"},
        {PICKLE("\x80\x02."), "empty stack"},
        {PICKLE("\x80\x02h\x05."), "was not remembered"},
        {PICKLE("\x80\x02}X\xff\xff\xff\x7fw"), "a text of"},
        {PICKLE("\x80\x02t."), "no mark"},
        {PICKLE("\x80\x02}K\x01K\x02(u."), "takes none"},
        {PICKLE("\x80\x02}(K\x01u."), "takes none"},
        {PICKLE(TENSOR("FloatStorage", "\x08", "\x01", "K\x03K\x01\x86")), "is said to have"},
        {PICKLE(TENSOR("HalfStorage", "\x07", "\x01", "K\x03K\x01\x86")), "is said to have"},
        {PICKLE(TENSOR("FloatStorage", "\x07", "\x02", "K\x03K\x01\x86")), "beyond its storage"},
        {PICKLE(TENSOR("FloatStorage", "\x07", "\x01", "K\x04K\x01\x86")), "beyond its storage"},
        {PICKLE(TENSOR("FloatStorage", "\x07", "\x01", "K\x01\x85")), "strides"},
        {PICKLE(TENSOR("QUInt8Storage", "\x07", "\x01", "K\x03K\x01\x86")), "torch.QUInt8Storage"},
        {PICKLE("\x80\x02}q\x00(X\x01\x00\x00\x00"
                "ah\x00X\x01\x00\x00\x00"
                "bh\x00u."),
         "each other"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        write_torch("bad.pt", rows[i].pickle, rows[i].bytes, values, sizeof values);
        refused("bad.pt", rows[i].why);
    }
    write_bytes("cut.pt", "PK\003\004 and no more", 16, "", 0);
    refused("cut.pt", "not a whole zip");
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    return thaw_remove_tree(folder) != THAW_OK;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_types),   cmocka_unit_test(bad_safetensors), cmocka_unit_test(indexes),
        cmocka_unit_test(torch_files), cmocka_unit_test(bad_torch_files),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
