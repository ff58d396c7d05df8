/* Rows, strings and attributes of an open file, also of files that others wrote. */
#define _GNU_SOURCE
#include "files_test.h"

#include <hdf5.h>

#include "thaw/h5.h"

static void rows_are_written_and_read_in_pieces(void **state)
{
    (void)state;
    int64_t live = thaw_alloc_live();
    enum { N = 50, W = 7 };
    thaw_h5 *f = NULL;
    thaw_shape shape = thaw_shape2(N, W);
    assert_ok(thaw_h5_create(in_folder("rows.h5"), &f));
    uint8_t x[N][W];
    for (int i = 0; i < N * W; i++)
        x[i / W][i % W] = (uint8_t)i;
    /* More datasets than are kept open, written in turns. */
    char name[32];
    for (int d = 0; d < 12; d++) {
        snprintf(name, sizeof name, "train/part%d/x", d);
        assert_ok(thaw_h5_make(f, name, THAW_U8, &shape, d % 3 == 0 ? 0 : d));
    }
    for (int64_t first = 0; first < N; first += 20)
        for (int d = 0; d < 12; d++) {
            snprintf(name, sizeof name, "train/part%d/x", d);
            assert_ok(thaw_h5_write_rows(f, name, first, N - first < 20 ? N - first : 20, THAW_U8,
                                         x[first]));
        }
    assert_ok(thaw_h5_commit(&f));
    assert_null(f);
    assert_ok(thaw_h5_open(in_folder("rows.h5"), &f));
    for (int d = 0; d < 12; d++) {
        snprintf(name, sizeof name, "train/part%d/x", d);
        thaw_h5_info info;
        assert_ok(thaw_h5_info_of(f, name, &info));
        assert_true(info.dtype == THAW_U8 && !info.text && thaw_shape_equal(&info.shape, &shape));
        float out[3][W];
        assert_ok(thaw_h5_read_rows(f, name, 47, 3, THAW_F32, out));
        for (int i = 0; i < 3 * W; i++)
            assert_true(out[i / W][i % W] == (float)x[47 + i / W][i % W]);
        assert_ok(thaw_h5_read_rows(f, name, 50, 0, THAW_F32, NULL));
    }
    float out[W];
    assert_refused(thaw_h5_read_rows(f, "train/part0/x", 49, 2, THAW_F32, out), THAW_ERR_INPUT,
                   "rows 49 to 51 of 'train/part0/x', which has 50");
    assert_refused(thaw_h5_read_rows(f, "train/part0/x", -1, 1, THAW_F32, out), THAW_ERR_INPUT,
                   "rows -1");
    assert_refused(thaw_h5_read_rows(f, "train/none", 0, 1, THAW_F32, out), THAW_ERR_INPUT,
                   "'train/none'");
    thaw_h5_close(&f);
    assert_int_equal(thaw_alloc_live(), live);
}

/* Of all that can be in a file. HDF5 counts time in seconds. */
static void write_all_kinds(const char *path)
{
    static const double mean[2] = {0.5, 0.25};
    static const float x[3] = {1, 2, 3};
    const thaw_shape shape = thaw_shape1(3);
    const thaw_strings names = {(char *[]){(char *)"a", (char *)"bcd"}, 2};
    thaw_h5 *f = NULL;
    assert_ok(thaw_h5_create(path, &f));
    assert_ok(thaw_h5_make_group(f, "some/where"));
    assert_ok(thaw_h5_make(f, "some/where/else/x", THAW_F32, &shape, 2));
    assert_ok(thaw_h5_write_rows(f, "some/where/else/x", 0, 3, THAW_F32, x));
    assert_ok(thaw_h5_put_strings(f, "of/names", &names));
    assert_ok(thaw_h5_set_text(f, "some", "format", "ours"));
    assert_ok(thaw_h5_set_doubles(f, "/", "mean", mean, 2));
    assert_ok(thaw_h5_commit(&f));
}

static void the_same_values_are_the_same_bytes(void **state)
{
    (void)state;
    const float x[3] = {1, 2, 3};
    thaw_state s = {0};
    const thaw_h5_write what = {.state = &s};
    assert_ok(thaw_state_add(&s, "layer/weight", THAW_F32, thaw_shape1(3), (void *)x));
    assert_ok(thaw_h5_save(in_folder("state1.h5"), &what, NULL));
    write_all_kinds(in_folder("rows1.h5"));
    sleep(1);
    assert_ok(thaw_h5_save(in_folder("state2.h5"), &what, NULL));
    write_all_kinds(in_folder("rows2.h5"));
    for (int i = 0; i < 2; i++) {
        thaw_str one = {0}, two = {0};
        read_bytes(in_folder(i == 0 ? "state1.h5" : "rows1.h5"), &one);
        read_bytes(in_folder(i == 0 ? "state2.h5" : "rows2.h5"), &two);
        assert_int_equal(one.length, two.length);
        assert_memory_equal(one.data, two.data, one.length);
        thaw_str_clear(&two);
        thaw_str_clear(&one);
    }
    thaw_state_clear(&s);
}

/* One dataset "x" with the digest that belongs to its values as `thaw_h5_save` would have left it. */
static void make_with_digest(const char *path, hid_t type, bool chunked, const float x[3])
{
    const hsize_t dim = 3;
    thaw_state s = {0};
    thaw_digest digest;
    char hex[THAW_DIGEST_HEX];
    assert_ok(thaw_state_add(&s, "x", THAW_F32, thaw_shape1(3), (void *)x));
    assert_ok(thaw_state_digest(&s, &digest));
    thaw_digest_hex(digest, hex);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t space = H5Screate_simple(1, &dim, NULL), one = H5Screate(H5S_SCALAR);
    hid_t rules = H5Pcreate(H5P_DATASET_CREATE), text = H5Tcopy(H5T_C_S1);
    assert_true(H5Tset_size(text, strlen(hex)) >= 0);
    assert_true(!chunked || H5Pset_chunk(rules, 1, &dim) >= 0);
    hid_t set = H5Dcreate2(file, "x", type, space, H5P_DEFAULT, rules, H5P_DEFAULT);
    hid_t attribute = H5Acreate2(set, "xxh3", text, one, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, x) >= 0);
    assert_true(H5Awrite(attribute, text, hex) >= 0);
    assert_true(H5Aclose(attribute) >= 0 && H5Dclose(set) >= 0 && H5Tclose(text) >= 0 &&
                H5Pclose(rules) >= 0 && H5Sclose(one) >= 0 && H5Sclose(space) >= 0 &&
                H5Fclose(file) >= 0);
    thaw_state_clear(&s);
}

/* Bytes of the file are the values only where they lie together and have our types. */
static void digests_are_of_values_not_of_bytes(void **state)
{
    (void)state;
    const float x[3] = {1.5F, -2, 1e30F};
    thaw_h5 *f = NULL;
    thaw_digest digest;
    for (int i = 0; i < 3; i++) {
        make_with_digest(in_folder("digest.h5"), i == 1 ? H5T_IEEE_F32BE : H5T_IEEE_F32LE, i == 2,
                         x);
        assert_ok(thaw_h5_open(in_folder("digest.h5"), &f));
        assert_ok(thaw_h5_read_digest(f, "x", &digest));
        thaw_h5_close(&f);
    }
}

static void numbers_convert_where_nothing_is_lost(void **state)
{
    (void)state;
    thaw_h5 *f = NULL;
    thaw_shape shape = thaw_shape1(3);
    assert_ok(thaw_h5_create(in_folder("convert.h5"), &f));
    const double d[3] = {1.25, -2.5, 1e6};
    const int64_t i[3] = {0, -3, 4000000000};
    assert_ok(thaw_h5_make(f, "f64", THAW_F64, &shape, 0));
    assert_ok(thaw_h5_write_rows(f, "f64", 0, 3, THAW_F64, d));
    assert_ok(thaw_h5_make(f, "i64", THAW_I64, &shape, 0));
    assert_ok(thaw_h5_write_rows(f, "i64", 0, 3, THAW_I64, i));
    assert_ok(thaw_h5_commit(&f));
    assert_ok(thaw_h5_open(in_folder("convert.h5"), &f));
    float s[3];
    assert_ok(thaw_h5_read_rows(f, "f64", 0, 3, THAW_F32, s));
    assert_true(s[0] == 1.25F && s[1] == -2.5F && s[2] == 1e6F);
    assert_ok(thaw_h5_read_rows(f, "i64", 0, 3, THAW_F32, s));
    assert_true(s[1] == -3 && s[2] == 4e9F);
    int32_t n[3];
    assert_ok(thaw_h5_read_rows(f, "i64", 0, 3, THAW_I32, n));
    assert_true(n[1] == -3 && n[2] == INT32_MAX);
    assert_refused(thaw_h5_read_rows(f, "f64", 0, 3, THAW_I64, n), THAW_ERR_INPUT,
                   "'f64' holds float64, where integers are needed");
    thaw_h5_close(&f);
}

/* long: one line an attribute type, written and read */
static void attributes_and_strings_come_back(void **state)
{
    (void)state;
    int64_t live = thaw_alloc_live();
    thaw_h5 *f = NULL;
    char *words[] = {"Sandal", "", "Ankle boot \xc3\xa4"};
    thaw_strings list = {words, 3}, none = {NULL, 0}, back;
    assert_ok(thaw_h5_create(in_folder("attributes.h5"), &f));
    assert_ok(thaw_h5_make_group(f, "train/slices"));
    assert_ok(thaw_h5_put_strings(f, "names/classes", &list));
    assert_ok(thaw_h5_put_strings(f, "names/none", &none));
    assert_ok(thaw_h5_set_text(f, "/", "format", "first"));
    assert_ok(thaw_h5_set_text(f, "/", "format", "thaw-data"));
    assert_ok(thaw_h5_set_int(f, "train/slices", "count", -4));
    assert_ok(thaw_h5_set_double(f, "/", "rate", 0.125));
    assert_ok(thaw_h5_set_doubles(f, "/", "mean", (const double[]){1, 2, 3}, 3));
    assert_ok(thaw_h5_set_strings(f, "/", "classes", &list));
    assert_ok(thaw_h5_set_strings(f, "/", "nobody", &none));
    assert_ok(thaw_h5_commit(&f));
    assert_ok(thaw_h5_open(in_folder("attributes.h5"), &f));
    assert_true(thaw_h5_exists(f, "/") && thaw_h5_exists(f, "train") &&
                thaw_h5_exists(f, "names/classes"));
    assert_false(thaw_h5_exists(f, "nowhere/else") || thaw_h5_exists(f, ""));
    assert_true(thaw_h5_is_dataset(f, "names/classes"));
    assert_false(thaw_h5_is_dataset(f, "train") || thaw_h5_is_dataset(f, "nowhere/else"));
    assert_true(thaw_h5_has_attribute(f, "/", "rate") && !thaw_h5_has_attribute(f, "/", "rates"));
    assert_false(thaw_h5_has_attribute(f, "nowhere", "rate"));
    thaw_str text = {0};
    thaw_str_add(&text, "old");
    assert_ok(thaw_h5_get_text(f, "/", "format", &text));
    assert_string_equal(thaw_str_c(&text), "thaw-data");
    int64_t i = 0;
    double d = 0;
    assert_ok(thaw_h5_get_int(f, "train/slices", "count", &i));
    assert_ok(thaw_h5_get_double(f, "/", "rate", &d));
    assert_true(i == -4 && d == 0.125);
    assert_ok(thaw_h5_get_double(f, "train/slices", "count", &d));
    assert_true(d == -4);
    double *mean = NULL;
    int64_t count = 0;
    assert_ok(thaw_h5_get_doubles(f, "/", "mean", &mean, &count));
    assert_true(count == 3 && mean[2] == 3);
    thaw_free(&mean);
    assert_ok(thaw_h5_get_strings(f, "/", "classes", &back));
    assert_int_equal(back.count, 3);
    for (int k = 0; k < 3; k++)
        assert_string_equal(back.items[k], words[k]);
    thaw_h5_strings_free(&back);
    assert_ok(thaw_h5_read_strings(f, "names/classes", &back));
    assert_true(back.count == 3 && strcmp(back.items[2], words[2]) == 0);
    thaw_h5_strings_free(&back);
    assert_ok(thaw_h5_read_strings(f, "names/none", &back));
    assert_int_equal(back.count, 0);
    assert_ok(thaw_h5_get_strings(f, "/", "nobody", &back));
    assert_int_equal(back.count, 0);
    assert_ok(thaw_h5_list_datasets(f, "names", &back));
    assert_true(back.count == 2 && strcmp(back.items[0], "classes") == 0);
    thaw_h5_strings_free(&back);
    assert_ok(thaw_h5_list_groups(f, "/", &back));
    assert_true(back.count == 2 && strcmp(back.items[1], "train") == 0);
    thaw_h5_strings_free(&back);
    assert_refused(thaw_h5_get_int(f, "/", "format", &i), THAW_ERR_INPUT,
                   "'/@format' holds values of type string");
    assert_refused(thaw_h5_get_int(f, "/", "rate", &i), THAW_ERR_INPUT,
                   "where integers are needed");
    assert_refused(thaw_h5_get_double(f, "/", "mean", &d), THAW_ERR_INPUT,
                   "3 values instead of one");
    assert_refused(thaw_h5_get_text(f, "/", "classes", &text), THAW_ERR_INPUT,
                   "3 strings instead of one");
    assert_refused(thaw_h5_get_text(f, "/", "rate", &text), THAW_ERR_INPUT,
                   "does not hold strings");
    assert_refused(thaw_h5_get_int(f, "/", "missing", &i), THAW_ERR_INPUT,
                   "'/' has no attribute 'missing'");
    assert_refused(thaw_h5_read_strings(f, "train", &back), THAW_ERR_INPUT, "'train'");
    assert_refused(thaw_h5_list_datasets(f, "none", &back), THAW_ERR_INPUT, "'none'");
    thaw_str_clear(&text);
    thaw_h5_close(&f);
    assert_int_equal(thaw_alloc_live(), live);
}

/* Types that we never write, as other programs do. */
static void write_foreign(const char *path)
{
    hid_t f = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hsize_t two = 2, seven[7] = {1, 1, 1, 1, 1, 1, 2};
    hid_t pair = H5Screate_simple(1, &two, NULL), deep = H5Screate_simple(7, seven, NULL);
    hid_t fixed = H5Tcopy(H5T_C_S1), spaces = H5Tcopy(H5T_C_S1),
          boolean = H5Tenum_create(H5T_STD_I8LE);
    H5Tset_size(fixed, 4);
    H5Tset_size(spaces, 4);
    H5Tset_strpad(spaces, H5T_STR_SPACEPAD);
    int8_t no = 0, yes = 1;
    H5Tenum_insert(boolean, "FALSE", &no);
    H5Tenum_insert(boolean, "TRUE", &yes);
    hid_t compound = H5Tcreate(H5T_COMPOUND, 8);
    H5Tinsert(compound, "re", 0, H5T_IEEE_F32LE);
    H5Tinsert(compound, "im", 4, H5T_IEEE_F32LE);
    const struct {
        const char *name;
        hid_t type, space;
        const void *data;
    } all[] = {
        {"big16", H5T_STD_U16BE, pair, "\x01\x02\xff\xff"},
        {"u32", H5T_STD_U32LE, pair, "\xff\xff\xff\xff\x01\0\0\0"},
        {"bool", boolean, pair, "\0\1"},
        {"fixed", fixed, pair, "ab\0\0abcd"},
        {"spaces", spaces, pair, "a b  cd "},
        {"compound", compound, pair, "12345678abcdefgh"},
        {"deep", H5T_STD_U8LE, deep, "ab"},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        hid_t d = H5Dcreate2(f, all[i].name, all[i].type, all[i].space, H5P_DEFAULT, H5P_DEFAULT,
                             H5P_DEFAULT);
        assert_true(H5Dwrite(d, all[i].type, H5S_ALL, H5S_ALL, H5P_DEFAULT, all[i].data) >= 0);
        H5Dclose(d);
    }
    hid_t null = H5Screate(H5S_NULL);
    H5Dclose(H5Dcreate2(f, "null", H5T_STD_U8LE, null, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Lcreate_soft("/nowhere", f, "dangling", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("/", f, "circle", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_external("/etc/passwd", "/x", f, "outside", H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Fclose(f) >= 0);
}

static void files_of_others_are_read(void **state)
{
    (void)state;
    thaw_h5 *f = NULL;
    thaw_h5_info info;
    thaw_strings names;
    write_foreign(in_folder("foreign.h5"));
    assert_ok(thaw_h5_open(in_folder("foreign.h5"), &f));
    int64_t v[2];
    assert_ok(thaw_h5_read_rows(f, "big16", 0, 2, THAW_I64, v));
    assert_true(v[0] == 0x0102 && v[1] == 65535);
    assert_ok(thaw_h5_info_of(f, "big16", &info));
    assert_int_equal(info.dtype, THAW_I32);
    assert_ok(thaw_h5_read_rows(f, "u32", 0, 2, THAW_I64, v));
    assert_true(v[0] == 4294967295 && v[1] == 1);
    assert_ok(thaw_h5_info_of(f, "u32", &info));
    assert_int_equal(info.dtype, THAW_I64);
    assert_ok(thaw_h5_read_rows(f, "bool", 0, 2, THAW_I64, v));
    assert_true(v[0] == 0 && v[1] == 1);
    assert_ok(thaw_h5_info_of(f, "fixed", &info));
    assert_true(info.text && info.shape.dim[0] == 2);
    assert_ok(thaw_h5_read_strings(f, "fixed", &names));
    assert_true(strcmp(names.items[0], "ab") == 0 && strcmp(names.items[1], "abcd") == 0);
    thaw_h5_strings_free(&names);
    assert_ok(thaw_h5_read_strings(f, "spaces", &names));
    assert_true(strcmp(names.items[0], "a b") == 0 && strcmp(names.items[1], " cd") == 0);
    thaw_h5_strings_free(&names);
    assert_refused(thaw_h5_info_of(f, "compound", &info), THAW_ERR_INPUT,
                   "type compound (8 bytes)");
    assert_refused(thaw_h5_info_of(f, "deep", &info), THAW_ERR_INPUT, "7 dimensions");
    assert_refused(thaw_h5_info_of(f, "null", &info), THAW_ERR_INPUT, "holds nothing");
    assert_refused(thaw_h5_info_of(f, "dangling", &info), THAW_ERR_INPUT, "'dangling'");
    assert_false(thaw_h5_exists(f, "dangling"));
    assert_ok(thaw_h5_list_datasets(f, "/", &names));
    assert_int_equal(names.count, 8);
    thaw_h5_strings_free(&names);
    thaw_h5_close(&f);
    /* It has no digests, so it is not taken for one of our states. */
    thaw_state s = {0};
    assert_int_equal(thaw_h5_load(in_folder("foreign.h5"), NULL, &s, NULL), THAW_ERR_INPUT);
    assert_int_equal(s.count, 0);
}

static void a_file_that_was_given_up_leaves_nothing(void **state)
{
    (void)state;
    thaw_h5 *f = NULL;
    thaw_shape shape = thaw_shape1(3);
    assert_ok(thaw_h5_create(in_folder("gone.h5"), &f));
    assert_ok(thaw_h5_make(f, "x", THAW_F32, &shape, 0));
    thaw_h5_close(&f);
    assert_false(thaw_path_exists(in_folder("gone.h5")) ||
                 thaw_path_exists(in_folder("gone.h5.tmp")));
    /* After a failed write there is nothing to commit, whatever HDF5 says. */
    assert_ok(thaw_h5_create(in_folder("gone.h5"), &f));
    float x[4] = {0};
    assert_ok(thaw_h5_make(f, "x", THAW_F32, &shape, 0));
    assert_int_equal(thaw_h5_make(f, "x", THAW_F32, &shape, 0), THAW_ERR_RESOURCE);
    assert_int_equal(thaw_h5_write_rows(f, "x", 0, 4, THAW_F32, x), THAW_ERR_INPUT);
    assert_int_equal(thaw_h5_commit(&f), THAW_ERR_RESOURCE);
    assert_null(f);
    assert_false(thaw_path_exists(in_folder("gone.h5")) ||
                 thaw_path_exists(in_folder("gone.h5.tmp")));
}

static void what_is_no_hdf5_file_is_named(void **state)
{
    (void)state;
    thaw_h5 *f = NULL;
    assert_refused(thaw_h5_open(in_folder("missing.h5"), &f), THAW_ERR_INPUT, "No such file");
    assert_refused(thaw_h5_open(folder, &f), THAW_ERR_INPUT, "directory");
    write_bytes(in_folder("text.h5"), "hello", 5);
    assert_refused(thaw_h5_open(in_folder("text.h5"), &f), THAW_ERR_INPUT, "not an HDF5 file");
    write_bytes(in_folder("text.h5"), "", 0);
    assert_refused(thaw_h5_open(in_folder("text.h5"), &f), THAW_ERR_INPUT, "is empty");
    assert_null(f);
    thaw_h5_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_written_and_read_in_pieces),
        cmocka_unit_test(the_same_values_are_the_same_bytes),
        cmocka_unit_test(digests_are_of_values_not_of_bytes),
        cmocka_unit_test(numbers_convert_where_nothing_is_lost),
        cmocka_unit_test(attributes_and_strings_come_back),
        cmocka_unit_test(files_of_others_are_read),
        cmocka_unit_test(a_file_that_was_given_up_leaves_nothing),
        cmocka_unit_test(what_is_no_hdf5_file_is_named),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
