/* Datasets of several labels and of numbers: import, reading back, what is derived, and everything that can be wrong with them. */
#include "data_test.h"

#include "thaw/h5.h"

#include <math.h>

enum { ROWS = 12, FEATURES = 2 };

static void write_x(void)
{
    float x[ROWS * FEATURES];
    for (int i = 0; i < ROWS * FEATURES; i++)
        x[i] = (float)i;
    write_npy("x.npy", "<f4", "(12, 2)", x, sizeof x);
}

/* Imports x.npy and y.npy with train 8 and val 4, and further options "NAME", "TEXT", ..., NULL. */
static thaw_status import(const char *task, const char *const *more)
{
    thaw_import o;
    thaw_import_init(&o);
    const char *const options[] = {"task",   task,
                                   "images", in_folder("x.npy"),
                                   "labels", in_folder("y.npy"),
                                   "splits", "train=8,val=4",
                                   "output", in_folder("out.h5")};
    for (size_t i = 0; i < sizeof options / sizeof *options; i += 2)
        assert_ok(thaw_import_set(&o, options[i], options[i + 1]));
    for (; more != NULL && *more != NULL; more += 2)
        assert_ok(thaw_import_set(&o, more[0], more[1]));
    const thaw_status status = thaw_import_run(&o);
    thaw_import_clear(&o);
    return status;
}

static bool holds(int64_t id, int k)
{
    return (id + k) % 3 == 0;
}

static void write_labels(void)
{
    uint8_t y[ROWS * 3];
    for (int i = 0; i < ROWS * 3; i++)
        y[i] = holds(i / 3, i % 3);
    write_npy("y.npy", "|u1", "(12, 3)", y, sizeof y);
}

static void several_labels(void **state)
{
    (void)state;
    thaw_dataset *ds = NULL;
    thaw_dataset_info info;
    const char *const more[] = {"names", "red,round,big", "slices", "either=red+big", NULL};
    write_labels();
    assert_ok(import("multi_label", more));
    assert_ok(thaw_dataset_open(in_folder("out.h5"), NULL, &ds));
    assert_int_equal(thaw_dataset_task(ds), THAW_TASK_MULTI_LABEL);
    assert_int_equal(thaw_dataset_classes(ds), 3);
    assert_string_equal(thaw_dataset_class_names(ds)[1], "round");
    assert_ok(thaw_dataset_inspect(ds, &info));
    const int64_t either = thaw_dataset_slice_find(ds, "either");
    const int64_t round = thaw_dataset_slice_find(ds, "label:round");
    assert_true(either >= 0 && round >= 0);
    int64_t all = 0;
    for (int64_t s = 0; s < 2; s++) {
        const float *y = thaw_dataset_targets(ds, s);
        const int64_t *ids = thaw_dataset_ids(ds, s);
        int64_t count = 0;
        assert_null(thaw_dataset_labels(ds, s));
        for (int64_t n = 0; n < thaw_dataset_count(ds, s); n++, all++) {
            for (int k = 0; k < 3; k++)
                assert_true(y[n * 3 + k] == (float)holds(ids[n], k));
            assert_int_equal(thaw_dataset_slice_mask(ds, s, round)[n], holds(ids[n], 1));
            assert_int_equal(thaw_dataset_slice_mask(ds, s, either)[n],
                             holds(ids[n], 0) || holds(ids[n], 2));
            count += holds(ids[n], 1);
        }
        assert_int_equal(info.splits[s].class_counts[1], count);
    }
    assert_int_equal(all, ROWS);
    thaw_dataset_info_clear(&info);
    thaw_dataset_free(&ds);
}

static void write_numbers(double odd, int at)
{
    double y[ROWS * 2];
    for (int i = 0; i < ROWS * 2; i++)
        y[i] = i == at ? odd : i % 2 == 0 ? 100 + i : -0.25 * i;
    write_npy("y.npy", "<f8", "(12, 2)", y, sizeof y);
}

static void numbers(void **state)
{
    (void)state;
    thaw_dataset *ds = NULL;
    double mean[2];
    double std[2];
    const char *const more[] = {"names", "height,weight", NULL};
    write_numbers(0, -1);
    assert_ok(import("regression", more));
    assert_ok(thaw_dataset_open(in_folder("out.h5"), NULL, &ds));
    assert_int_equal(thaw_dataset_task(ds), THAW_TASK_REGRESSION);
    assert_int_equal(thaw_dataset_slice_count(ds), 0);
    const int64_t train = thaw_dataset_split_find(ds, "train");
    const float *y = thaw_dataset_targets(ds, train);
    double sum = 0;
    double square = 0;
    for (int n = 0; n < 8; n++) {
        const int64_t id = thaw_dataset_ids(ds, train)[n];
        assert_true(y[2 * n] == (float)(100 + 2 * id));
        assert_true(y[2 * n + 1] == (float)(-0.25 * (double)(2 * id + 1)));
        sum += (double)y[2 * n] / 8;
        square += (double)y[2 * n] * (double)y[2 * n] / 8;
    }
    thaw_dataset_target_moments(ds, train, mean, std);
    assert_true(fabs(mean[0] - sum) < 1e-12);
    assert_true(fabs(std[0] - sqrt(square - sum * sum)) < 1e-9);
    assert_true(fabs(std[1] - std[0] / 4) < 1e-12); /* the same numbers times -1/4 */
    thaw_dataset_free(&ds);
}

/* One target may come as (N). */
static void one_number(void **state)
{
    (void)state;
    thaw_dataset *ds = NULL;
    int32_t y[ROWS];
    for (int i = 0; i < ROWS; i++)
        y[i] = 5 * i;
    write_npy("y.npy", "<i4", "(12,)", y, sizeof y);
    assert_ok(import("regression", NULL));
    assert_ok(thaw_dataset_open(in_folder("out.h5"), NULL, &ds));
    assert_int_equal(thaw_dataset_classes(ds), 1);
    assert_string_equal(thaw_dataset_class_names(ds)[0], "target 0");
    assert_true(thaw_dataset_targets(ds, 0)[0] == (float)(5 * thaw_dataset_ids(ds, 0)[0]));
    thaw_dataset_free(&ds);
}

/* The task is part of what was trained on. */
static void the_digest_knows_the_task(void **state)
{
    (void)state;
    thaw_dataset *a = NULL;
    thaw_dataset *b = NULL;
    const char *const more[] = {"names", "a,b,c", NULL};
    write_labels();
    assert_ok(import("multi_label", more));
    assert_ok(thaw_dataset_open(in_folder("out.h5"), NULL, &a));
    assert_ok(import("regression", more));
    assert_ok(thaw_dataset_open(in_folder("out.h5"), NULL, &b));
    assert_false(thaw_digest_equal(thaw_dataset_digest(a), thaw_dataset_digest(b)));
    thaw_dataset_free(&a);
    thaw_dataset_free(&b);
}

static void bad_imports(void **state)
{
    (void)state;
    const char *const select[] = {"select", "1,2", NULL};
    const char *const names[] = {"names", "a,b", NULL};
    const char *const twice[] = {"names", "a,b,a", NULL};
    const char *const slice[] = {"slices", "s=a", NULL};
    const char *const many[] = {"splits", "test=1", NULL};
    const int64_t live = thaw_alloc_live();
    uint8_t y[ROWS * 3] = {0};
    write_labels();
    assert_fails(import("multi_label", select), THAW_ERR_USAGE, "--select chooses classes");
    assert_fails(import("multi_label", names), THAW_ERR_USAGE, "--names has 2 names for 3 labels");
    assert_fails(import("multi_label", twice), THAW_ERR_USAGE,
                 "--names: two labels have the name \"a\"");
    assert_fails(import("multi_label", many), THAW_ERR_USAGE,
                 "--splits test: wants 1 samples, but 0 are left");
    assert_fails(import("regression", slice), THAW_ERR_USAGE, "a regression has no classes");
    assert_fails(import("classification", NULL), THAW_ERR_INPUT, "one value a row is needed");
    y[7] = 2;
    write_npy("y.npy", "|u1", "(12, 3)", y, sizeof y);
    assert_fails(import("multi_label", NULL), THAW_ERR_INPUT,
                 "row 2 has 2 for label \"label 1\"; it must be 0 or 1");
    for (int i = 0; i < ROWS; i++) {
        y[3 * i] = i % 2;
        y[3 * i + 1] = 0;
        y[3 * i + 2] = 1;
    }
    write_npy("y.npy", "|u1", "(12, 3)", y, sizeof y);
    assert_fails(import("multi_label", NULL), THAW_ERR_INPUT,
                 "label \"label 1\" is 0 in all 8 samples of train");
    for (int i = 0; i < ROWS; i++)
        y[3 * i + 1] = (uint8_t)(i % 3 == 0);
    write_npy("y.npy", "|u1", "(12, 3)", y, sizeof y);
    assert_fails(import("multi_label", NULL), THAW_ERR_INPUT,
                 "label \"label 2\" is 1 in all 8 samples of train");
    write_numbers(NAN, 5);
    assert_fails(import("regression", NULL), THAW_ERR_INPUT,
                 "row 2 has nan for target \"target 1\"; it must be a finite float32");
    write_numbers(1e300, 4);
    assert_fails(import("regression", NULL), THAW_ERR_INPUT, "row 2 has 1e+300");
    double flat[ROWS];
    for (int i = 0; i < ROWS; i++)
        flat[i] = 3.5;
    write_npy("y.npy", "<f8", "(12, 1)", flat, sizeof flat);
    assert_fails(import("regression", NULL), THAW_ERR_INPUT,
                 "target \"target 0\" is 3.5 in all 8 samples of train: there is nothing to learn");
    write_npy("y.npy", "<f8", "(6, 2)", flat, sizeof flat);
    assert_fails(import("regression", NULL), THAW_ERR_INPUT, "needs (12, K)");
    assert_int_equal(thaw_alloc_live(), live);
}

/* A file as another program would write it: train and val of four samples, y (4, K) of this type. */
static const char *write_file(const char *task, thaw_dtype dtype, int64_t K, const void *y)
{
    static const float x[8];
    thaw_h5 *file = NULL;
    char *items[] = {(char *)"a", (char *)"b"};
    const thaw_strings names = {items, 2};
    const thaw_shape shape_x = thaw_shape2(4, 2);
    const thaw_shape shape_y = thaw_shape2(4, K);
    assert_ok(thaw_h5_create(in_folder("own.h5"), &file));
    assert_ok(thaw_h5_set_text(file, "/", "format", "thaw-dataset"));
    assert_ok(thaw_h5_set_int(file, "/", "version", 1));
    assert_ok(thaw_h5_set_text(file, "/", "task", task));
    assert_ok(thaw_h5_set_strings(file, "/", "classes", &names));
    assert_ok(thaw_h5_make(file, "train/x", THAW_F32, &shape_x, 0));
    assert_ok(thaw_h5_write_rows(file, "train/x", 0, 4, THAW_F32, x));
    assert_ok(thaw_h5_make(file, "train/y", dtype, &shape_y, 0));
    assert_ok(thaw_h5_write_rows(file, "train/y", 0, 4, dtype, y));
    assert_ok(thaw_h5_commit(&file));
    return in_folder("own.h5");
}

static void bad_files(void **state)
{
    (void)state;
    thaw_dataset *ds = NULL;
    const int64_t live = thaw_alloc_live();
    float y[12] = {0, 1, 1, 0, 0, 1, 1, 1};
    assert_ok(thaw_dataset_open(write_file("multi_label", THAW_F32, 2, y), NULL, &ds));
    assert_true(thaw_dataset_targets(ds, 0)[2] == 1);
    thaw_dataset_free(&ds);
    assert_fails(thaw_dataset_open(write_file("ranking", THAW_F32, 2, y), NULL, &ds),
                 THAW_ERR_INPUT,
                 "\"task\" is \"ranking\"; expected classification, multi_label or regression");
    assert_fails(thaw_dataset_open(write_file("multi_label", THAW_F32, 3, y), NULL, &ds),
                 THAW_ERR_INPUT, "train/y has shape (4, 3); a task of multi_label with 2 names");
    y[5] = 0.5f;
    assert_fails(thaw_dataset_open(write_file("multi_label", THAW_F32, 2, y), NULL, &ds),
                 THAW_ERR_INPUT, "train/y: row 2 has 0.5 for label \"b\"");
    y[5] = INFINITY;
    assert_fails(thaw_dataset_open(write_file("regression", THAW_F32, 2, y), NULL, &ds),
                 THAW_ERR_INPUT, "train/y: row 2 has inf for target \"b\"");
    y[1] = y[3] = y[5] = y[7] = 9;
    assert_fails(thaw_dataset_open(write_file("regression", THAW_F32, 2, y), NULL, &ds),
                 THAW_ERR_INPUT, "target \"b\" is 9 in all 4 samples of train");
    assert_int_equal(thaw_alloc_live(), live);
}

static int start(void **state)
{
    if (make_folder(state) != 0)
        return 1;
    write_x();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_labels), cmocka_unit_test(numbers),
        cmocka_unit_test(one_number),     cmocka_unit_test(the_digest_knows_the_task),
        cmocka_unit_test(bad_imports),    cmocka_unit_test(bad_files),
    };
    return cmocka_run_group_tests(tests, start, remove_folder);
}
