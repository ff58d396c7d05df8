/* Samples and clusters that are in two splits: counted value for value, whatever ids say, in memory and read by rows.
 * thaw-test: modules=h5 */
#include "data_test.h"
#include "thaw/h5.h"

enum { D = 3, MOST = 8 };

typedef struct part {
    const char *name;
    int64_t rows;
    uint8_t first[MOST]; /* of the D values of a row, which the others follow */
    int32_t y[MOST], cluster[MOST];
} part;

/* Row 7 of train is in val twice, once with another label; row 9 is twice in train; 5 is in train and test. */
static const part parts[] = {
    {"test", 3, {1, 5, 2}, {0, 1, 0}, {30, 31, 32}},
    {"train", 6, {3, 7, 9, 5, 9, 4}, {0, 1, 0, 1, 0, 1}, {10, 11, 12, 13, 31, 15}},
    {"val", 4, {7, 8, 6, 7}, {1, 0, 1, 0}, {11, 15, 15, 40}},
};

static void write_part(thaw_h5 *file, const part *p)
{
    uint8_t x[MOST * D];
    char name[40];
    const thaw_shape rows = thaw_shape1(p->rows);
    const thaw_shape shape = thaw_shape2(p->rows, D);
    for (int64_t i = 0; i < p->rows * D; i++)
        x[i] = (uint8_t)(p->first[i / D] * 10 + i % D);
    thaw_format(name, sizeof name, "%s/x", p->name);
    assert_ok(thaw_h5_make(file, name, THAW_U8, &shape, 0));
    assert_ok(thaw_h5_write_rows(file, name, 0, p->rows, THAW_U8, x));
    thaw_format(name, sizeof name, "%s/y", p->name);
    assert_ok(thaw_h5_make(file, name, THAW_I32, &rows, 0));
    assert_ok(thaw_h5_write_rows(file, name, 0, p->rows, THAW_I32, p->y));
    thaw_format(name, sizeof name, "%s/cluster", p->name);
    assert_ok(thaw_h5_make(file, name, THAW_I32, &rows, 0));
    assert_ok(thaw_h5_write_rows(file, name, 0, p->rows, THAW_I32, p->cluster));
}

static const char *leaky(void)
{
    char *names[] = {"no", "yes"};
    const thaw_strings classes = {names, 2};
    const char *path = in_folder("leaky.h5");
    thaw_h5 *file = NULL;
    assert_ok(thaw_h5_create(path, &file));
    assert_ok(thaw_h5_set_text(file, "/", "format", "thaw-dataset"));
    assert_ok(thaw_h5_set_int(file, "/", "version", 1));
    assert_ok(thaw_h5_set_text(file, "/", "task", "classification"));
    assert_ok(thaw_h5_set_strings(file, "/", "classes", &classes));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        write_part(file, &parts[i]);
    assert_ok(thaw_h5_commit(&file));
    return path;
}

static thaw_dataset *open_leaky(int64_t limit)
{
    const thaw_dataset_options how = {.memory_limit_bytes = limit};
    thaw_dataset *ds = NULL;
    assert_ok(thaw_dataset_open(leaky(), &how, &ds));
    return ds;
}

/* The splits are in the order of their names: test 0, train 1, val 2. */
static void check_all(const thaw_dataset *ds)
{
    thaw_leaks leaks;
    thaw_str text = {0};
    assert_ok(thaw_dataset_find_leaks(ds, NULL, -1, &leaks));
    assert_true(leaks.looked);
    assert_int_equal(leaks.bytes, (3 + 6 + 4) * D);
    assert_int_equal(leaks.count, 2);
    const thaw_leak *first = &leaks.pairs[0];
    assert_int_equal(first->a, 0);
    assert_int_equal(first->b, 1);
    assert_int_equal(first->samples_a, 1);
    assert_int_equal(first->samples_b, 1);
    assert_int_equal(first->row_a, 1);
    assert_int_equal(first->row_b, 3);
    assert_int_equal(first->clusters, 1);
    assert_int_equal(first->cluster, 31);
    const thaw_leak *second = &leaks.pairs[1];
    assert_int_equal(second->a, 1);
    assert_int_equal(second->b, 2);
    assert_int_equal(second->samples_a, 1);
    assert_int_equal(second->samples_b, 2);
    assert_int_equal(second->conflicts, 1);
    assert_int_equal(second->clusters, 2);
    assert_int_equal(second->cluster, 11);
    assert_int_equal(second->cluster_samples_a, 2);
    assert_int_equal(second->cluster_samples_b, 3);
    assert_int_equal(leaks.repeats[0], 0);
    assert_int_equal(leaks.repeats[1], 1);
    assert_int_equal(leaks.repeats[2], 1);
    thaw_leak_describe(ds, second, &text);
    assert_string_equal(text.data,
                        "2 of 4 samples of val are 1 of train, too, value for value (row 0 of val "
                        "is row 1 of train; 1 have another label there); 2 clusters, the first 11, "
                        "have samples in train (2) and in val (3)");
    thaw_str_clear(&text);
    thaw_leaks_clear(&leaks);
}

static void test_in_memory(void **state)
{
    (void)state;
    thaw_dataset *ds = open_leaky(0);
    check_all(ds);
    thaw_dataset_free(&ds);
}

static void test_by_rows(void **state)
{
    (void)state;
    thaw_dataset *ds = open_leaky(-1);
    check_all(ds);
    thaw_dataset_free(&ds);
}

static void test_some_splits(void **state)
{
    static const char *const names[] = {"train", "", "test", NULL};
    (void)state;
    thaw_leaks leaks;
    thaw_dataset *ds = open_leaky(0);
    assert_ok(thaw_dataset_find_leaks(ds, names, -1, &leaks));
    assert_int_equal(leaks.count, 1);
    assert_int_equal(leaks.pairs[0].b, 1);
    assert_int_equal(leaks.repeats[2], 0);
    thaw_leaks_clear(&leaks);
    thaw_dataset_free(&ds);
}

/* Clusters are in memory anyway. */
static void test_too_large(void **state)
{
    (void)state;
    thaw_leaks leaks;
    thaw_dataset *ds = open_leaky(0);
    assert_ok(thaw_dataset_find_leaks(ds, NULL, (3 + 6 + 4) * D - 1, &leaks));
    assert_false(leaks.looked);
    assert_int_equal(leaks.count, 2);
    assert_int_equal(leaks.pairs[1].samples_b, 0);
    assert_int_equal(leaks.pairs[1].clusters, 2);
    thaw_leaks_clear(&leaks);
    thaw_dataset_free(&ds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_memory), cmocka_unit_test(test_by_rows),
        cmocka_unit_test(test_some_splits), cmocka_unit_test(test_too_large)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
