/* Weights that others wrote: values, conversions, strides; and every way in which a file can lie. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
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
    for (int64_t i = 0; i < 4; i++) {
        float part[2];
        assert_true(thaw_weights_in_parts(w, i));
        assert_int_equal(thaw_weights_read(w, i, out), THAW_OK);
        assert_int_equal(thaw_weights_read_part(w, i, 1, 2, part), THAW_OK);
        assert_memory_equal(part, out + 1, sizeof part);
    }
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
         "two tensors are called 'a'", 8},
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
    refused(".", "Is a directory");
}

/* Shapes whose dimensions overflow in one order and not in the other. */
static void impossible_shapes(void **state)
{
    (void)state;
    static const char *const shapes[] = {"4503599627370496,4096,0", "0,4503599627370496,4096",
                                         "3037000500,3037000500,0", "0,3037000500,3037000500",
                                         "4503599627370496,0,4096"};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        char header[160];
        (void)snprintf(header, sizeof header,
                       "{\"a\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[0,0]}}",
                       shapes[i]);
        write_safetensors("shape", header, "", 0);
        refused("shape", "impossible");
    }
    write_safetensors("empty", "{\"a\":{\"dtype\":\"F32\",\"shape\":[5,0],\"data_offsets\":[0,0]}}",
                      "", 0);
    thaw_weights *w = open_good("empty");
    assert_int_equal(thaw_weights_read(w, 0, NULL), THAW_OK);
    thaw_weights_close(&w);
    write_safetensors("nothing", "{}        ", "", 0);
    w = open_good("nothing");
    assert_int_equal(thaw_weights_count(w), 0);
    thaw_weights_close(&w);
}

/* Comparing every name with every other would take minutes; so would looking each up in an index. */
static void many_names(void **state)
{
    (void)state;
    enum { MANY = 100000 };
    thaw_str header = {0};
    thaw_str map = {0};
    thaw_str_add(&header, "{");
    thaw_str_add(&map, "{\"weight_map\":{");
    for (int i = 0; i < MANY; i++) {
        const char *comma = i > 0 ? "," : "";
        thaw_str_printf(&header,
                        "%s\"a.rather.long.name.%d\":{\"dtype\":\"F32\",\"shape\":[0],"
                        "\"data_offsets\":[0,0]}",
                        comma, i);
        thaw_str_printf(&map, "%s\"a.rather.long.name.%d\":\"many\"", comma, i);
    }
    thaw_str_add(&header, "}");
    thaw_str_add(&map, "}}");
    uint8_t length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)(header.length >> 8 * i);
    write_bytes("many", length, 8, thaw_str_c(&header), header.length);
    write_bytes("many.json", thaw_str_c(&map), map.length, "", 0);
    const clock_t begun = clock();
    thaw_weights *w = open_good("many.json");
    assert_int_equal(thaw_weights_count(w), MANY);
    thaw_weights_close(&w);
    assert_true((double)(clock() - begun) / CLOCKS_PER_SEC < 10);
    thaw_str_clear(&map);
    thaw_str_clear(&header);
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

/* Stored, as torch.save does it. */
static void add_entry(zip_t *zip, const char *name, const void *bytes, size_t count)
{
    zip_source_t *source = zip_source_buffer(zip, bytes, count, 0);
    const zip_int64_t index = zip_file_add(zip, name, source, 0);
    assert_true(index >= 0);
    assert_int_equal(zip_set_file_compression(zip, (zip_uint64_t)index, ZIP_CM_STORE, 0), 0);
}

/* order: what archive/byteorder says; NULL: there is none. */
static void write_ordered(const char *name, const char *order, const char *pickle, size_t bytes,
                          const void *data, size_t data_bytes)
{
    int code = 0;
    zip_t *zip = zip_open(in_folder(name), ZIP_CREATE | ZIP_TRUNCATE, &code);
    assert_non_null(zip);
    add_entry(zip, "archive/data.pkl", pickle, bytes);
    add_entry(zip, "archive/data/0", data, data_bytes);
    if (order != NULL)
        add_entry(zip, "archive/byteorder", order, strlen(order));
    assert_int_equal(zip_close(zip), 0);
}

static void write_torch(const char *name, const char *pickle, size_t bytes, const void *data,
                        size_t data_bytes)
{
    write_ordered(name, NULL, pickle, bytes, data, data_bytes);
}

/* One bit of the file changes, where `bytes` of `what` stand. */
static void flip(const char *name, const void *what, size_t bytes)
{
    static char file[65536];
    FILE *f = fopen(in_folder(name), "rb");
    assert_non_null(f);
    const size_t size = fread(file, 1, sizeof file, f);
    (void)fclose(f);
    for (size_t i = 0; i + bytes <= size; i++)
        if (memcmp(file + i, what, bytes) == 0) {
            file[i + bytes - 1] ^= 1;
            write_bytes(name, file, size, "", 0);
            return;
        }
    fail_msg("%s has no such bytes", name);
}

/* What torch.save calls as rebuild: a tensor of one storage. */
#define STORAGE(type, key, count, view)                                                            \
    "(X\x07\x00\x00\x00storage"                                                                    \
    "ctorch\n" type "\nX\x01\x00\x00\x00" key "X\x03\x00\x00\x00"                                  \
    "cpuK" count view "tQ"
#define REBUILT(rebuild, storage, offset, shape, strides)                                          \
    "ctorch._utils\n" rebuild "\n(" storage offset shape strides "\x89"                            \
    "ccollections\nOrderedDict\n)RtR"
#define SIX "K\x02K\x03\x86" /* (2, 3) */
/* {"w": tensor (2, 3) of storage 0}; the storage's type, elements, and the strides vary. */
#define TENSOR(type, count, offset, strides)                                                       \
    "\x80\x02}q\x00X\x01\x00\x00\x00w" REBUILT(                                                    \
        "_rebuild_tensor_v2", STORAGE(type, "0", count, ""), "K" offset, SIX, strides) "s."
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
    assert_false(thaw_weights_in_parts(w, 0)); /* an entry's checksum is of all of it */
    thaw_weights_close(&w);
    write_torch("turned.pt", PICKLE(TENSOR("FloatStorage", "\x07", "\x01", "K\x01K\x02\x86")),
                values, sizeof values);
    w = open_good("turned.pt");
    const float turned[] = {1, 3, 5, 2, 4, 6};
    assert_int_equal(thaw_weights_read(w, 0, out), THAW_OK);
    assert_memory_equal(out, turned, sizeof out);
    thaw_weights_close(&w);
}

#define NAMED(name) "X\x01\x00\x00\x00" name
#define ROWS        "K\x03K\x01\x86"

/* Dictionaries as Python 2 writes them, with their items as the argument; and the tensors of that time. */
static void old_forms(void **state)
{
    (void)state;
    const float values[] = {9, 1, 2, 3, 4, 5, 6};
    float out[6];
    write_torch("pairs.pt",
                PICKLE("\x80\x02"
                       "ccollections\nOrderedDict\n](](" NAMED("w")
                           REBUILT("_rebuild_tensor", STORAGE("FloatStorage", "0", "\x07", ""),
                                   "K\x01", SIX, ROWS) "ee\x85R."),
                values, sizeof values);
    thaw_weights *w = open_good("pairs.pt");
    assert_int_equal(thaw_weights_count(w), 1);
    assert_int_equal(thaw_weights_read(w, 0, out), THAW_OK);
    assert_memory_equal(out, values + 1, sizeof out);
    thaw_weights_close(&w);
    write_ordered("little.pt", "little", PICKLE(TENSOR("FloatStorage", "\x07", "\x01", ROWS)),
                  values, sizeof values);
    w = open_good("little.pt");
    thaw_weights_close(&w);
}

/* A bit of the values, of those behind what is read, and of the description. */
static void damaged_entries(void **state)
{
    (void)state;
    const float values[] = {9, 1, 2, 3, 4, 5, 6};
    for (size_t i = 0; i < 7; i++) {
        write_torch("flip.pt", PICKLE(TENSOR("FloatStorage", "\x07", "\x00", ROWS)), values,
                    sizeof values);
        flip("flip.pt", &values[i], sizeof values[i]);
        refused("flip.pt", "archive/data/0 is damaged: CRC error");
    }
    write_torch("name.pt", PICKLE(TENSOR("FloatStorage", "\x07", "\x01", ROWS)), values,
                sizeof values);
    flip("name.pt", "X\x01\x00\x00\x00w", 6);
    refused("name.pt", "archive/data.pkl is damaged: CRC error");
}

/* The pickles before the storages. {"w": tensor of storage 1, "o": {0: tensor of storage 0}}: that one belongs to an optimizer. */
#define MAGIC "\x80\x02\x8a\nl\xfc\x9c\x46\xf9 j\xa8P\x19."
#define FACTS(little)                                                                              \
    "\x80\x02M\xe9\x03.\x80\x02}(X\x10\x00\x00\x00protocol_versionM\xe9\x03X\x0d\x00\x00\x00"      \
    "little_endian" little "u."
#define LEGACY_STORAGE(type, key, count) STORAGE(type, key, count, "N")
#define DICTIONARY(count)                                                                          \
    "\x80\x02}(" NAMED("w")                                                                        \
        REBUILT("_rebuild_tensor_v2", LEGACY_STORAGE("FloatStorage", "1", count), "K\x01", SIX,    \
                ROWS) NAMED("o") "}K\x00" REBUILT("_rebuild_tensor_v2",                            \
                                                  LEGACY_STORAGE("DoubleStorage", "0", "\x02"),    \
                                                  "K\x00", "K\x02\x85", "K\x01\x85") "su."
#define KEYS(list) "\x80\x02](" list "e."

static void write_legacy(const char *name, const char *pickles, size_t bytes)
{
    const double unused[] = {1, 2};
    const float values[] = {9, 1, 2, 3, 4, 5, 6};
    char data[8 + sizeof unused + 8 + sizeof values] = {2};
    memcpy(data + 8, unused, sizeof unused);
    data[8 + sizeof unused] = 7;
    memcpy(data + 16 + sizeof unused, values, sizeof values);
    write_bytes(name, pickles, bytes, data, sizeof data);
}

static void legacy_files(void **state)
{
    (void)state;
    const float values[] = {1, 2, 3, 4, 5, 6};
    float out[6];
    write_legacy("legacy.pt",
                 PICKLE(MAGIC FACTS("\x88") DICTIONARY("\x07") KEYS(NAMED("0") NAMED("1"))));
    thaw_weights *w = open_good("legacy.pt");
    assert_int_equal(thaw_weights_count(w), 1);
    assert_string_equal(thaw_weights_at(w, 0)->name, "w");
    assert_int_equal(thaw_weights_read(w, 0, out), THAW_OK);
    assert_memory_equal(out, values, sizeof out);
    thaw_weights_close(&w);
    static const struct {
        const char *pickles;
        size_t bytes;
        const char *why;
    } rows[] = {
        {PICKLE(MAGIC FACTS("\x89") DICTIONARY("\x07") KEYS(NAMED("0") NAMED("1"))), "big-endian"},
        {PICKLE(MAGIC FACTS("\x88") DICTIONARY("\x06") KEYS(NAMED("0") NAMED("1"))),
         "beyond its storage"},
        {PICKLE(MAGIC FACTS("\x88") DICTIONARY("\x08") KEYS(NAMED("0") NAMED("1"))),
         "has 7 elements, its tensors say 8"},
        {PICKLE(MAGIC FACTS("\x88") DICTIONARY("\x07") KEYS(NAMED("0"))), "is not in the file"},
        {PICKLE(MAGIC FACTS("\x88") DICTIONARY("\x07") KEYS(NAMED("0") NAMED("0"))), "there twice"},
        {PICKLE(MAGIC FACTS("\x88") DICTIONARY("\x07") KEYS(NAMED("2"))), "nowhere"},
        {PICKLE(MAGIC FACTS("\x88") DICTIONARY("\x07") KEYS("K\x01")), "something else"},
        {PICKLE(MAGIC FACTS("\x88") DICTIONARY("\x07") "\x80\x02}."), "are no list"},
        {PICKLE(MAGIC FACTS("\x88") "\x80\x02}\xff"), "opcode 0xff at byte 73"},
        {PICKLE("\x80\x02}."), "whose magic number it lacks"},
        {PICKLE("\x80\x04\x95\x0d\x00\x00\x00\x00\x00\x00\x00\x8a\nl\xfc\x9c\x46\xf9 j\xa8P\x19."
                "\x80\x02}\xff"),
         "opcode 0xff"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        write_legacy("bad.pt", rows[i].pickles, rows[i].bytes);
        refused("bad.pt", rows[i].why);
    }
    write_bytes("cut.pt", MAGIC FACTS("\x88") DICTIONARY("\x07") KEYS(NAMED("0")),
                sizeof(MAGIC FACTS("\x88") DICTIONARY("\x07") KEYS(NAMED("0"))) - 1,
                "\x02\x00\x00\x00\x00\x00\x00\x00half", 12);
    refused("cut.pt", "ends in the middle of the storage 0");
}

/* long: a table of files */
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
        {PICKLE("\x80\x02}q\x00(X\x01\x00\x00\x00"
                "a}q\x01X\x01\x00\x00\x00"
                "bh\x01u."),
         "dictionary 'b' is there already"},
        {PICKLE("\x80\x02"
                "ccollections\nOrderedDict\nK\x01\x85R."),
         "OrderedDict with unusual"},
        {PICKLE("\x80\x02"
                "ccollections\nOrderedDict\n](K\x01"
                "e\x85R."),
         "that is no pair"},
        {PICKLE("\x80\x02}q\x00X\x01\x00\x00\x00w" REBUILT(
             "_rebuild_tensor_v2", STORAGE("FloatStorage", "0", "\x07", ""),
             "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", "K\x00\x85", "K\x01\x85") "s."),
         "beyond its storage"},
        {PICKLE("\x80\x02}q\x00X\x01\x00\x00\x00w" REBUILT(
             "_rebuild_tensor_v2", STORAGE("FloatStorage", "0", "\x07", ""), "K\x00",
             "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7fK\x7fK\x00\x87", "K\x7fK\x7fK\x01\x87") "s."),
         "impossible shape"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        write_torch("bad.pt", rows[i].pickle, rows[i].bytes, values, sizeof values);
        refused("bad.pt", rows[i].why);
    }
    write_bytes("cut.pt", "PK\003\004 and no more", 16, "", 0);
    refused("cut.pt", "not a whole zip");
    write_ordered("big.pt", "big", PICKLE(TENSOR("FloatStorage", "\x07", "\x01", ROWS)), values,
                  sizeof values);
    refused("big.pt", "archive/byteorder is 'big'");
}

/* A key of two thousand bytes before each of many others would make a list that is far larger than the file. */
static void long_names(void **state)
{
    (void)state;
    char pickle[4096] = "\x80\x02}X\xd0\x07\x00\x00";
    static const char rest[] = "}" NAMED("w") "}ss.";
    memset(pickle + 8, 'n', 2000);
    memcpy(pickle + 2008, rest, sizeof rest - 1);
    write_torch("name.pt", pickle, 2008 + sizeof rest - 1, "", 0);
    refused("name.pt", "a name of 2000 bytes");
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
        cmocka_unit_test(all_types),         cmocka_unit_test(bad_safetensors),
        cmocka_unit_test(impossible_shapes), cmocka_unit_test(many_names),
        cmocka_unit_test(indexes),           cmocka_unit_test(torch_files),
        cmocka_unit_test(old_forms),         cmocka_unit_test(damaged_entries),
        cmocka_unit_test(legacy_files),      cmocka_unit_test(bad_torch_files),
        cmocka_unit_test(long_names),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
