/* Every bad option and every bad source file of an import: one clear error, nothing written, nothing leaked. */
#include "data_test.h"

#include <math.h>

static char images[600], labels[600], output[600];

static int make_source(void **state)
{
    if (make_folder(state) != 0)
        return 1;
    write_idx("a", 0, 60, 5, false);
    thaw_copy(images, sizeof images, in_folder("a-images"));
    thaw_copy(labels, sizeof labels, in_folder("a-labels"));
    thaw_copy(output, sizeof output, in_folder("out.h5"));
    return 0;
}

/* `call` fails as said, and leaves no file and no memory behind. */
#define assert_refused(call, code, piece)                                                          \
    do {                                                                                           \
        int64_t live_ = thaw_alloc_live();                                                         \
        assert_fails(call, code, piece);                                                           \
        assert_int_equal(thaw_alloc_live(), live_);                                                \
        assert_false(thaw_path_exists(output));                                                    \
        assert_false(thaw_path_exists(in_folder("out.h5.tmp")));                                   \
    } while (0)

/* long: one line a bad option */
static void options_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *field, *text, *piece;
    } rows[] = {
        {"splts", "train=1", "no option --splts; did you mean --splits"},
        {"format", "png", "must be one of auto, idx, hdf5, npy, csv, tsv, images"},
        {"layout", "nchw", "must be one of chw, hwc"},
        {"seed", "x", "not a whole number"},
        {"seed", "-1", "at least 0"},
        {"std", "0", "at least 1e-12"},
        {"mean", "nan", "not a number"},
        {"names", "a,,b", "an item of the list is empty"},
        {"names", "\"a", "an item in quotes ends with a quote"},
        {"names", "\"a\"b", "an item in quotes ends with a quote"},
        {"names", "a,\"\"", "an item in quotes ends with a quote and is not empty"},
        {"names", "\"a\",", "an item of the list is empty"},
        {"mean", "0.5", "belong together"},
        {"splits", "", "an item of the list is empty"},
        {"splits", "train", "write NAME=AMOUNT"},
        {"splits", "tr ain=5", "use letters, digits"},
        {"splits", "=5", "use letters, digits"},
        {"splits", "train=0", "the amount \"0\""},
        {"splits", "train=-3", "the amount \"-3\""},
        {"splits", "train=5x", "the amount \"5x\""},
        {"splits", "train=", "the amount \"\""},
        {"splits", "train=0%", "above 0%"},
        {"splits", "train=101%", "at most 100%"},
        {"splits", "train=5@2", "the source \"2\" must be in 1..1"},
        {"splits", "train=5@", "the source \"\""},
        {"splits", "train=13", "wants 13 samples of class \"0\", but 12 are left"},
        {"splits", "train=10,val=3",
         "--splits val: wants 3 samples of class \"0\", but 2 are left"},
        {"splits", "train=60%,val=60%", "--splits val: wants 7"},
        {"splits", "train=61total", "wants 61 samples, but 60 are left"},
        {"splits", "train=rest,test=rest", "--splits test: no samples are left"},
        {"splits", "train=1,train=2", "names \"train\" twice"},
        {"splits", "train=1total", "train has no sample of class"},
        {"select", "0,1,7", "wants 5 samples of class \"7\", but 0 are left"},
        {"select", "0,0", "names label 0 twice"},
        {"select", "0,-1", "must be in 0..999999"},
        {"select", "Shoe", "neither a label nor one of the names"},
        {"select", "0=A,1=A", "two classes have the name \"A\""},
        {"select", "0=", "use 1 to 200 bytes"},
        {"names", "a,b", "source label 2 needs one"},
        {"slices", "s", "write NAME=CLASS"},
        {"slices", "s=Shirt", "there is no class \"Shirt\"; the classes are \"0\", \"1\", ..."},
        {"slices", "s=0+9", "there is no class \"9\""},
        {"slices", "s=0,s=1", "names \"s\" twice"},
        {"slices", "s=source:2", "must be in 1..1"},
        {"slices", "a/b=1", "use letters, digits"},
        {"labels", "x,y", "--labels names 3 files for 1"},
        {"clusters", "x,y", "--clusters names 2 files for 1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool own_splits = strcmp(rows[i].field, "splits") == 0;
        const char *const pairs[] = {"images",      images,       "labels",
                                     labels,        "output",     output,
                                     rows[i].field, rows[i].text, own_splits ? NULL : "splits",
                                     "train=5",     NULL};
        assert_refused(import_with(pairs), THAW_ERR_USAGE, rows[i].piece);
    }
    assert_refused(IMPORT("images", images, "output", output, "splits", "train=5"), THAW_ERR_USAGE,
                   "idx files have no labels inside");
    assert_refused(IMPORT("labels", labels, "output", output, "splits", "train=5"), THAW_ERR_USAGE,
                   "--images");
    assert_refused(IMPORT("images", images, "labels", labels, "splits", "train=5"), THAW_ERR_USAGE,
                   "--output");
    assert_refused(IMPORT("images", images, "labels", labels, "output", output), THAW_ERR_USAGE,
                   "--splits: name 1");
    assert_refused(IMPORT("images", images, "labels", labels, "output", output, "splits", "train=5",
                          "mean", "1,2", "std", "1,2"),
                   THAW_ERR_USAGE, "the samples have 1 channels");
    assert_refused(IMPORT("images", images, "labels", labels, "output", in_folder("no/such/out.h5"),
                          "splits", "train=5"),
                   THAW_ERR_RESOURCE, "no/such");
}

static thaw_status import_bytes(const thaw_str *x, const thaw_str *y)
{
    write_bytes(in_folder("x"), x->data, x->length);
    write_bytes(in_folder("y"), y->data, y->length);
    return IMPORT("images", in_folder("x"), "labels", in_folder("y"), "output", output, "splits",
                  "train=rest");
}

static void read_source(thaw_str *x, thaw_str *y)
{
    thaw_str_reset(x);
    thaw_str_reset(y);
    assert_ok(thaw_file_read(images, x));
    assert_ok(thaw_file_read(labels, y));
}

static void idx_files_are_checked(void **state)
{
    (void)state;
    static const struct {
        int offset; /* in images; beyond 1000: labels */
        uint8_t value;
        const char *piece;
    } rows[] = {
        {0, 1, "neither IDX, HDF5 nor npy"},
        {2, 7, "neither IDX, HDF5 nor npy"},
        {2, 0x0a, "unknown IDX type 0x0a"},
        {3, 0, "neither IDX, HDF5 nor npy"},
        {3, 5, "offset 3: 5 dimensions"},
        {3, 1, "goes on after offset 68"},
        {6, 1, "truncated: ends at offset 736, needs 3808 bytes"},
        {4, 255, "promises more than a file of 736 bytes can hold"},
        {7, 59, "goes on after offset 724"},
        {7, 61, "truncated: ends at offset 736, needs 748 bytes"},
        {11, 0, "offset 8: dimension 1 is 0"},
        {1000, 1, "not an IDX file: starts with 01 00 08 01"},
        {1007, 59, "goes on after offset 67"},
        {1002, 0x0c, "truncated"},
    };
    thaw_str x = {0}, y = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        read_source(&x, &y);
        thaw_str *changed = rows[i].offset >= 1000 ? &y : &x;
        changed->data[rows[i].offset % 1000] = (char)rows[i].value;
        assert_refused(import_bytes(&x, &y), THAW_ERR_INPUT, rows[i].piece);
    }
    read_source(&x, &y);
    y.length--;
    y.data[7] = 59;
    assert_refused(import_bytes(&x, &y), THAW_ERR_INPUT, "has 59 rows, but");
    assert_refused(import_bytes(&x, &x), THAW_ERR_INPUT, "one value a row is needed");
    x.length = 3;
    assert_refused(import_bytes(&x, &y), THAW_ERR_INPUT, "neither IDX");
    assert_refused(IMPORT("images", in_folder("nothing"), "labels", labels, "output", output,
                          "splits", "train=1"),
                   THAW_ERR_INPUT, "nothing: cannot open");
    assert_refused(IMPORT("images", folder, "format", "idx", "labels", labels, "output", output,
                          "splits", "train=1"),
                   THAW_ERR_INPUT, "not a file");
    thaw_str_clear(&x);
    thaw_str_clear(&y);
}

static void damaged_gzip_is_refused(void **state)
{
    (void)state;
    write_idx("z", 0, 60, 5, true);
    thaw_str packed = {0}, y = {0};
    assert_ok(thaw_file_read(in_folder("z-images"), &packed));
    assert_ok(thaw_file_read(labels, &y));
    thaw_str cut = packed;
    cut.length /= 2;
    assert_refused(import_bytes(&cut, &y), THAW_ERR_INPUT, "truncated");
    packed.data[packed.length - 6] ^= 1; /* of the checksum */
    assert_refused(import_bytes(&packed, &y), THAW_ERR_INPUT, "cannot decompress");
    thaw_str_clear(&packed);
    thaw_str_clear(&y);
}

static void npy_headers_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *header, *piece;
    } rows[] = {
        {"{'fortran_order': False, 'shape': (4, 2)}", "no 'descr'"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (4, 2)}", "not a plain type"},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': (4, 2)}",
         "element type '<c8' is not supported"},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (4, 2)}", "little-endian"},
        {"{'descr': '<f4', 'shape': (4, 2)}", "no 'fortran_order'"},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (4, 2)}", "not in C order"},
        {"{'descr': '<f4', 'fortran_order': False}", "no 'shape'"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': 8}", "no 'shape'"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': ()}",
         "promises 4 bytes of values, but 32 follow"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (0, 2)}",
         "dimension 0 of 'shape' is \"0, 2)"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4, 3)}",
         "promises 3, but only 32 bytes"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4, 1)}",
         "promises 16 bytes of values, but 32 follow"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4, -2)}", "cannot be read at \"-2"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 2)}",
         "dimension 0 of 'shape' is"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}",
         "truncated: dimension 0"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4, 2", "cannot be read"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,4,2)}", "at most 6"},
    };
    float values[8] = {0};
    int32_t y[4] = {0, 1, 0, 1};
    write_npy("y.npy", "<i4", "(4,)", y, sizeof y);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        thaw_str text = {0};
        size_t length = strlen(rows[i].header);
        uint8_t head[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (uint8_t)length, 0};
        thaw_str_add_bytes(&text, head, sizeof head);
        thaw_str_add(&text, rows[i].header);
        thaw_str_add_bytes(&text, values, sizeof values);
        write_bytes(in_folder("bad.npy"), text.data, text.length);
        assert_refused(IMPORT("images", in_folder("bad.npy"), "labels", in_folder("y.npy"),
                              "output", output, "splits", "train=rest"),
                       THAW_ERR_INPUT, rows[i].piece);
        thaw_str_clear(&text);
    }
}

static thaw_status import_npy(const char *descr, const void *x, size_t bytes, const char *y_descr,
                              const void *y, size_t y_bytes)
{
    write_npy("vx.npy", descr, "(4, 2)", x, bytes);
    write_npy("vy.npy", y_descr, "(4,)", y, y_bytes);
    return IMPORT("images", in_folder("vx.npy"), "labels", in_folder("vy.npy"), "output", output,
                  "splits", "train=rest");
}

static void values_are_checked(void **state)
{
    (void)state;
    float x[8] = {0}, half[4] = {0, 1, 0.5F, 1};
    double wide[8] = {0};
    int32_t y[4] = {0, 1, 0, 1};
    x[5] = NAN;
    assert_refused(import_npy("<f4", x, sizeof x, "<i4", y, sizeof y), THAW_ERR_INPUT,
                   "vx.npy: row 2 has the value nan");
    x[5] = -INFINITY;
    assert_refused(import_npy("<f4", x, sizeof x, "<i4", y, sizeof y), THAW_ERR_INPUT,
                   "row 2 has the value -inf");
    x[5] = 0;
    wide[7] = 1e39;
    assert_refused(import_npy("<f8", wide, sizeof wide, "<i4", y, sizeof y), THAW_ERR_INPUT,
                   "row 3 has the value 1e+39");
    assert_refused(import_npy("<f4", x, sizeof x, "<f4", half, sizeof half), THAW_ERR_INPUT,
                   "row 2 is not a whole number");
    y[3] = -1;
    assert_refused(import_npy("<f4", x, sizeof x, "<i4", y, sizeof y), THAW_ERR_INPUT,
                   "row 3 has the label -1");
    y[3] = 3;
    assert_refused(import_npy("<f4", x, sizeof x, "<i4", y, sizeof y), THAW_ERR_USAGE,
                   "train has no sample of class \"2\"");
}

static void sources_must_agree(void **state)
{
    (void)state;
    float x[24] = {0};
    int32_t y[4] = {0, 1, 0, 1};
    char both[1100], twice[1100], mask[600];
    write_npy("p.npy", "<f4", "(4, 2, 3)", x, sizeof x);
    write_npy("q.npy", "<f4", "(4, 3, 2)", x, sizeof x);
    write_npy("py.npy", "<i4", "(4,)", y, sizeof y);
    write_npy("deep.npy", "<f4", "(4, 1, 1, 3, 2)", x, sizeof x);
    thaw_format(both, sizeof both, "%s,%s", in_folder("p.npy"), in_folder("q.npy"));
    thaw_format(twice, sizeof twice, "%s,%s", in_folder("py.npy"), in_folder("py.npy"));
    thaw_format(mask, sizeof mask, "s=mask:%s", in_folder("y.npy"));
    assert_refused(
        IMPORT("images", both, "labels", twice, "output", output, "splits", "train=rest"),
        THAW_ERR_INPUT, "q.npy: samples are (1, 3, 2) of float32, but those of");
    assert_refused(IMPORT("images", in_folder("deep.npy"), "labels", in_folder("py.npy"), "output",
                          output, "splits", "train=rest"),
                   THAW_ERR_INPUT, "samples have shape (4, 1, 1, 3, 2)");
    assert_refused(IMPORT("images", images, "labels", labels, "output", output, "splits",
                          "train=rest", "slices", mask),
                   THAW_ERR_INPUT, "4 rows, but the sources of slice");
    assert_refused(IMPORT("images", in_folder("p.npy"), "labels", in_folder("nothing.npy"),
                          "output", output, "splits", "train=rest"),
                   THAW_ERR_INPUT, "nothing.npy: cannot open");
    assert_refused(IMPORT("images", in_folder("p.npy"), "labels", in_folder("py.npy"), "format",
                          "hdf5", "output", output, "splits", "train=rest"),
                   THAW_ERR_INPUT, "p.npy");
}

/* Deterministic damage of headers: any outcome but a crash, a leak, or an error of the wrong kind. */
static void damaged_headers_never_crash(void **state)
{
    (void)state;
    thaw_str good[4] = {0}, packed = {0};
    uint8_t pixels[48] = {0};
    int32_t y[4] = {0, 1, 0, 1};
    read_source(&good[0], &good[1]);
    npy_bytes(&good[2], 2, "|u1", "(4, 3, 4)", pixels, sizeof pixels);
    npy_bytes(&good[3], 1, "<i4", "(4,)", y, sizeof y);
    int accepted = 0;
    for (uint64_t round = 0; round < 600; round++) {
        thaw_rng rng = thaw_rng_make(1, THAW_RNG_TEST, 0, round);
        int64_t live = thaw_alloc_live();
        int victim = (int)(round % 4), pair = victim / 2 * 2;
        thaw_str bad[2] = {0};
        for (int i = 0; i < 2; i++)
            thaw_str_add_bytes(&bad[i], good[pair + i].data, good[pair + i].length);
        thaw_str *text = &bad[victim % 2];
        uint64_t head = text->length < 90 ? text->length : 90;
        for (uint64_t edits = 1 + thaw_rng_below(&rng, 3); edits > 0; edits--)
            text->data[thaw_rng_below(&rng, head)] = (char)thaw_rng_below(&rng, 256);
        if (thaw_rng_below(&rng, 4) == 0)
            text->length = thaw_rng_below(&rng, text->length + 1);
        write_bytes(in_folder("x"), bad[0].data, bad[0].length);
        write_bytes(in_folder("y"), bad[1].data, bad[1].length);
        thaw_status status = IMPORT("images", in_folder("x"), "labels", in_folder("y"), "format",
                                    pair ? "npy" : "idx", "output", output, "splits", "train=rest");
        if (status != THAW_OK && status != THAW_ERR_INPUT && status != THAW_ERR_USAGE)
            fail_msg("round %d: %s: %s", (int)round, thaw_status_name(status),
                     thaw_error_last()->message);
        accepted += status == THAW_OK;
        if (status == THAW_OK)
            assert_int_equal(remove(output), 0);
        assert_false(thaw_path_exists(in_folder("out.h5.tmp")));
        for (int i = 0; i < 2; i++)
            thaw_str_clear(&bad[i]);
        assert_int_equal(thaw_alloc_live(), live);
    }
    /* A changed pixel or label is still a file; a changed header hardly ever. */
    assert_in_range(accepted, 1, 400);
    for (int i = 0; i < 4; i++)
        thaw_str_clear(&good[i]);
    thaw_str_clear(&packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_checked),         cmocka_unit_test(idx_files_are_checked),
        cmocka_unit_test(damaged_gzip_is_refused),     cmocka_unit_test(npy_headers_are_checked),
        cmocka_unit_test(values_are_checked),          cmocka_unit_test(sources_must_agree),
        cmocka_unit_test(damaged_headers_never_crash),
    };
    return cmocka_run_group_tests(tests, make_source, remove_folder);
}
