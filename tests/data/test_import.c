/* Imports of files whose every pixel is known from its id. */
#include "data_test.h"

#include <math.h>

#include "thaw/h5.h"

#define FILES "images", images, "labels", labels

static char images[1100], labels[1100];

/* Two sources of 10 classes: ids 0..199 and 200..259. */
static int make_sources(void **state)
{
    if (make_folder(state) != 0)
        return 1;
    write_idx("a", 0, 200, 10, false);
    write_idx("b", 200, 60, 10, true);
    write_idx("p", 200, 60, 10, false);
    thaw_format(images, sizeof images, "%s,%s", in_folder("a-images"), in_folder("b-images"));
    thaw_format(labels, sizeof labels, "%s,%s", in_folder("a-labels"), in_folder("b-labels"));
    return 0;
}

static thaw_dataset *open_output(const char *name)
{
    thaw_dataset *ds = NULL;
    assert_ok(thaw_dataset_open(in_folder(name), NULL, &ds));
    return ds;
}

/* Pixels, labels and ids of a split agree; `map` is the source label of each class. */
static void check_samples(const thaw_dataset *ds, const char *split, int64_t count, const int *map)
{
    int64_t s = thaw_dataset_split_find(ds, split);
    assert_true(s >= 0);
    assert_int_equal(thaw_dataset_count(ds, s), count);
    double mean = thaw_dataset_mean(ds)[0], std = thaw_dataset_std(ds)[0];
    for (int64_t n = 0; n < count; n++) {
        float x[12];
        int64_t id = thaw_dataset_ids(ds, s)[n];
        assert_int_equal(map[thaw_dataset_labels(ds, s)[n]], id % 10);
        assert_ok(thaw_dataset_read(ds, s, 1, &n, x));
        /* float32 of a value below 10: 1e-6 is two units in the last place. */
        for (int i = 0; i < 12; i++)
            assert_true(fabs((double)x[i] - (pixel(id, i) / 255.0 - mean) / std) < 1e-6);
    }
}

static void classes_are_selected_relabelled_and_named(void **state)
{
    (void)state;
    const int map[] = {7, 5, 9};
    assert_ok(IMPORT(FILES, "select", "7=Sneaker,5,9=Ankle boot", "splits",
                     "train=5,val=3@1,gate=20%@1,test=rest@2", "slices",
                     "odd=Sneaker+5,second=source:2", "output", in_folder("sel.h5"), "origin",
                     "made up"));
    thaw_dataset *ds = open_output("sel.h5");
    assert_int_equal(thaw_dataset_classes(ds), 3);
    assert_string_equal(thaw_dataset_class_names(ds)[0], "Sneaker");
    assert_string_equal(thaw_dataset_class_names(ds)[1], "5");
    assert_string_equal(thaw_dataset_class_names(ds)[2], "Ankle boot");
    thaw_shape shape = thaw_dataset_shape(ds), expected = thaw_shape_make(3, (int64_t[]){1, 3, 4});
    assert_true(thaw_shape_equal(&shape, &expected));
    check_samples(ds, "train", 15, map);
    check_samples(ds, "val", 9, map);
    check_samples(ds, "gate", 12, map);
    int64_t test = thaw_dataset_split_find(ds, "test"), odd = thaw_dataset_slice_find(ds, "odd"),
            second = -1;
    check_samples(ds, "test", thaw_dataset_count(ds, test), map);
    assert_ok(thaw_dataset_slice_need(ds, "second", &second));
    assert_int_equal(thaw_dataset_slice_members(ds, test, second), thaw_dataset_count(ds, test));
    assert_string_equal(thaw_dataset_slice_description(ds, odd), "Sneaker+5");
    for (int64_t n = 0; n < thaw_dataset_count(ds, test); n++)
        assert_int_equal(thaw_dataset_slice_mask(ds, test, odd)[n],
                         thaw_dataset_labels(ds, test)[n] < 2);
    int64_t derived = thaw_dataset_slice_find(ds, "class:Ankle boot");
    assert_int_equal(thaw_dataset_slice_members(ds, thaw_dataset_split_find(ds, "train"), derived),
                     5);
    thaw_dataset_free(&ds);
}

static void all_samples_are_used_once_by_rest(void **state)
{
    (void)state;
    assert_ok(
        IMPORT(FILES, "splits", "train=3,val=7total,test=rest", "output", in_folder("all.h5")));
    thaw_dataset *ds = open_output("all.h5");
    uint8_t seen[260] = {0};
    for (int64_t s = 0; s < 3; s++)
        for (int64_t n = 0; n < thaw_dataset_count(ds, s); n++)
            assert_int_equal(seen[thaw_dataset_ids(ds, s)[n]]++, 0);
    for (int i = 0; i < 260; i++)
        assert_int_equal(seen[i], 1);
    thaw_dataset_free(&ds);
}

static thaw_digest digest_of(const char *name)
{
    thaw_dataset *ds = open_output(name);
    thaw_digest digest = thaw_dataset_digest(ds);
    thaw_dataset_free(&ds);
    return digest;
}

static void the_result_is_a_function_of_options_and_seed(void **state)
{
    (void)state;
    assert_ok(IMPORT(FILES, "splits", "train=4,test=rest", "output", in_folder("d1.h5")));
    assert_ok(IMPORT(FILES, "splits", "train=4,test=rest", "output", in_folder("d2.h5")));
    assert_ok(
        IMPORT(FILES, "splits", "train=4,test=rest", "output", in_folder("d3.h5"), "seed", "2"));
    assert_true(thaw_digest_equal(digest_of("d1.h5"), digest_of("d2.h5")));
    assert_false(thaw_digest_equal(digest_of("d1.h5"), digest_of("d3.h5")));
    /* Gzip or plain is no difference. */
    char other[1100], other_labels[1100];
    thaw_format(other, sizeof other, "%s,%s", in_folder("a-images"), in_folder("p-images"));
    thaw_format(other_labels, sizeof other_labels, "%s,%s", in_folder("a-labels"),
                in_folder("p-labels"));
    assert_ok(IMPORT("images", other, "labels", other_labels, "splits", "train=4,test=rest",
                     "output", in_folder("d4.h5")));
    assert_true(thaw_digest_equal(digest_of("d1.h5"), digest_of("d4.h5")));
}

static void a_larger_train_contains_the_smaller_one(void **state)
{
    (void)state;
    assert_ok(IMPORT(FILES, "splits", "train=4", "output", in_folder("t4.h5")));
    assert_ok(IMPORT(FILES, "splits", "train=9", "select", "9,8,7,6,5,4,3,2,1,0", "output",
                     in_folder("t9.h5")));
    thaw_dataset *small = open_output("t4.h5"), *large = open_output("t9.h5");
    for (int64_t i = 0; i < 40; i++) {
        bool found = false;
        for (int64_t j = 0; j < 90; j++)
            found = found || thaw_dataset_ids(small, 0)[i] == thaw_dataset_ids(large, 0)[j];
        assert_true(found);
    }
    thaw_dataset_free(&small);
    thaw_dataset_free(&large);
}

static void names_are_by_position_or_by_source_label(void **state)
{
    (void)state;
    const char *ten = "n0,n1,n2,n3,n4,n5,n6,n7,n8,n9";
    assert_ok(IMPORT(FILES, "splits", "train=4", "select", "n8,n2", "names", ten, "output",
                     in_folder("n1.h5")));
    assert_ok(IMPORT(FILES, "splits", "train=4", "select", "8,2", "names", "n8,n2", "output",
                     in_folder("n2.h5")));
    assert_ok(IMPORT(FILES, "splits", "train=4", "select", "8,2", "names", ten, "output",
                     in_folder("n3.h5")));
    assert_true(thaw_digest_equal(digest_of("n1.h5"), digest_of("n2.h5")));
    assert_true(thaw_digest_equal(digest_of("n1.h5"), digest_of("n3.h5")));
    assert_ok(IMPORT(FILES, "splits", "train=4", "names", ten, "output", in_folder("n4.h5")));
    thaw_dataset *ds = open_output("n4.h5");
    assert_string_equal(thaw_dataset_class_names(ds)[9], "n9");
    thaw_dataset_free(&ds);
}

static void mean_and_std_are_those_of_train(void **state)
{
    (void)state;
    assert_ok(IMPORT(FILES, "splits", "val=2,train=4", "output", in_folder("m.h5")));
    thaw_dataset *ds = open_output("m.h5");
    double sum = 0, square = 0;
    int64_t train = thaw_dataset_split_find(ds, "train"),
            count = 12 * thaw_dataset_count(ds, train);
    for (int64_t n = 0; n < count; n++) {
        double v = pixel(thaw_dataset_ids(ds, train)[n / 12], (int)(n % 12)) / 255.0;
        sum += v;
        square += v * v;
    }
    /* Two ways to add 480 doubles: far below 1e-12. */
    assert_true(fabs(thaw_dataset_mean(ds)[0] - sum / (double)count) < 1e-12);
    double variance = square / (double)count - pow(sum / (double)count, 2);
    assert_true(fabs(thaw_dataset_std(ds)[0] - sqrt(variance)) < 1e-12);
    thaw_dataset_free(&ds);
    assert_ok(IMPORT(FILES, "splits", "train=4", "output", in_folder("m.h5"), "mean", "0.25", "std",
                     "2"));
    ds = open_output("m.h5");
    assert_true(thaw_dataset_mean(ds)[0] == 0.25 && thaw_dataset_std(ds)[0] == 2);
    thaw_dataset_free(&ds);
}

/* The same floats as npy and hdf5, chw and hwc, flat, float64. */
/* long: four spellings of one dataset, compared with each other */
static void npy_and_hdf5_give_the_same_dataset(void **state)
{
    (void)state;
    enum { n = 30, c = 3, h = 2, w = 4, values = c * h * w };
    static float chw[n * values], hwc[n * values];
    static double wide[n * values];
    static int64_t y[n];
    static int32_t cluster[n];
    static uint8_t mask[n];
    for (int i = 0; i < n * values; i++) {
        int at = i % values, picture = i / values;
        wide[i] = chw[i] = (float)i * 0.37F - 20;
        hwc[picture * values + at % (h * w) * c + at / (h * w)] = chw[i];
        y[picture] = picture % 3;
        cluster[picture] = picture / 4;
        mask[picture] = picture % 2;
    }
    write_npy("x.npy", "<f4", "(30, 3, 2, 4)", chw, sizeof chw);
    write_npy("x64.npy", "<f8", "(30, 3, 2, 4)", wide, sizeof wide);
    write_npy("last.npy", "<f4", "(30, 2, 4, 3)", hwc, sizeof hwc);
    write_npy("y.npy", "<i8", "(30,)", y, sizeof y);
    write_npy("c.npy", "<i4", "(30,)", cluster, sizeof cluster);
    write_npy("mask.npy", "|b1", "(30,)", mask, sizeof mask);
    thaw_h5 *file = NULL;
    thaw_shape four = thaw_shape4(n, c, h, w), one = thaw_shape1(n);
    assert_ok(thaw_h5_create(in_folder("s.h5"), &file));
    assert_ok(thaw_h5_make(file, "deep/x", THAW_F32, &four, 0));
    assert_ok(thaw_h5_write_rows(file, "deep/x", 0, n, THAW_F32, chw));
    assert_ok(thaw_h5_make(file, "y", THAW_I64, &one, 0));
    assert_ok(thaw_h5_write_rows(file, "y", 0, n, THAW_I64, y));
    assert_ok(thaw_h5_make(file, "cluster", THAW_I32, &one, 0));
    assert_ok(thaw_h5_write_rows(file, "cluster", 0, n, THAW_I32, cluster));
    assert_ok(thaw_h5_commit(&file));
    char slice[600];
    thaw_format(slice, sizeof slice, "odd=mask:%s", in_folder("mask.npy"));
#define REST "splits", "train=5,test=rest", "slices", slice
    assert_ok(IMPORT("images", in_folder("x.npy"), "labels", in_folder("y.npy"), "clusters",
                     in_folder("c.npy"), REST, "output", in_folder("1.h5")));
    assert_ok(IMPORT("images", in_folder("x64.npy"), "labels", in_folder("y.npy"), "clusters",
                     in_folder("c.npy"), REST, "output", in_folder("2.h5")));
    assert_ok(IMPORT("images", in_folder("last.npy"), "labels", in_folder("y.npy"), "clusters",
                     in_folder("c.npy"), REST, "layout", "hwc", "output", in_folder("3.h5")));
    assert_ok(IMPORT("images", in_folder("s.h5:/deep/x"), "clusters", in_folder("s.h5:cluster"),
                     REST, "output", in_folder("4.h5")));
    const char *names[] = {"1.h5", "2.h5", "3.h5", "4.h5"};
    for (int i = 1; i < 4; i++)
        assert_true(thaw_digest_equal(digest_of(names[0]), digest_of(names[i])));
    thaw_dataset *ds = open_output("4.h5");
    int64_t train = thaw_dataset_split_find(ds, "train"), odd = thaw_dataset_slice_find(ds, "odd");
    thaw_shape shape = thaw_dataset_shape(ds), expected = thaw_shape_make(3, (int64_t[]){c, h, w});
    assert_true(thaw_shape_equal(&shape, &expected));
    for (int64_t i = 0; i < 15; i++) {
        float x[values];
        int64_t id = thaw_dataset_ids(ds, train)[i];
        assert_int_equal(thaw_dataset_clusters(ds, train)[i], id / 4);
        assert_int_equal(thaw_dataset_slice_mask(ds, train, odd)[i], id % 2);
        assert_ok(thaw_dataset_read(ds, train, 1, &i, x));
        for (int v = 0; v < values; v++) {
            double want = ((double)chw[id * values + v] - thaw_dataset_mean(ds)[v / (h * w)]) /
                          thaw_dataset_std(ds)[v / (h * w)];
            assert_true(fabs((double)x[v] - want) < 1e-6);
        }
    }
    thaw_dataset_free(&ds);
}

static void flat_samples_have_a_channel_each_feature(void **state)
{
    (void)state;
    float x[8] = {1, 2, 3, 4, 5, 6, 5, 5};
    int32_t y[4] = {0, 1, 0, 1};
    write_npy("flat.npy", "<f4", "(4, 2)", x, sizeof x);
    write_npy("flat-y.npy", "<i4", "(4, 1)", y, sizeof y);
    assert_ok(IMPORT("images", in_folder("flat.npy"), "labels", in_folder("flat-y.npy"), "splits",
                     "train=rest", "output", in_folder("flat.h5")));
    thaw_dataset *ds = open_output("flat.h5");
    thaw_shape shape = thaw_dataset_shape(ds), expected = thaw_shape_make(3, (int64_t[]){2, 1, 1});
    assert_true(thaw_shape_equal(&shape, &expected));
    assert_true(fabs(thaw_dataset_mean(ds)[0] - 3.5) < 1e-12 &&
                fabs(thaw_dataset_mean(ds)[1] - 4.25) < 1e-12);
    thaw_dataset_free(&ds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_are_selected_relabelled_and_named),
        cmocka_unit_test(all_samples_are_used_once_by_rest),
        cmocka_unit_test(the_result_is_a_function_of_options_and_seed),
        cmocka_unit_test(a_larger_train_contains_the_smaller_one),
        cmocka_unit_test(names_are_by_position_or_by_source_label),
        cmocka_unit_test(mean_and_std_are_those_of_train),
        cmocka_unit_test(npy_and_hdf5_give_the_same_dataset),
        cmocka_unit_test(flat_samples_have_a_channel_each_feature),
    };
    return cmocka_run_group_tests(tests, make_sources, remove_folder);
}
