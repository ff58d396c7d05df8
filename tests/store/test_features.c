/* Files of features: what was written comes back, and whatever does not fit or is damaged is refused. */
#define _GNU_SOURCE
#include "files_test.h"

#include <sys/stat.h>

#include "thaw/store.h"

enum { ROWS = 70, WIDTH = 300 };

static float values[ROWS * WIDTH], back[ROWS * WIDTH];
static const thaw_feature_info info = {
    .key = {1, 2}, .rows = ROWS, .width = WIDTH, .about = "a test"};

static thaw_status write_file(const char *path)
{
    thaw_feature_file *file = NULL;
    THAW_TRY(thaw_feature_create(path, &info, &file));
    for (int64_t at = 0; at < ROWS; at += 32) {
        const int64_t n = ROWS - at < 32 ? ROWS - at : 32;
        const thaw_status status = thaw_feature_append(file, n, values + at * WIDTH);
        if (status != THAW_OK) {
            thaw_feature_close(&file);
            return status;
        }
    }
    return thaw_feature_commit(&file, 2.5);
}

static void rows_come_back(void **state)
{
    (void)state;
    const int64_t live = thaw_alloc_live();
    thaw_feature_file *file = NULL;
    for (int i = 0; i < ROWS * WIDTH; i++)
        values[i] = (float)i * 0.37f;
    assert_int_equal(write_file(in_folder("f.h5")), THAW_OK);
    assert_int_equal(thaw_feature_open(in_folder("f.h5"), &info, &file), THAW_OK);
    assert_true(thaw_feature_core_seconds(file) == 2.5);
    assert_int_equal(thaw_feature_read(file, 41, 3, back), THAW_OK);
    assert_memory_equal(back, values + 41 * WIDTH, 3 * WIDTH * sizeof *back);
    assert_int_equal(thaw_feature_read_all(file, back), THAW_OK);
    assert_memory_equal(back, values, sizeof values);
    thaw_feature_close(&file);
    assert_true(thaw_alloc_live() == live);
}

static void others_are_refused(void **state)
{
    (void)state;
    thaw_feature_info wrong[3] = {info, info, info};
    thaw_feature_file *file = NULL;
    wrong[0].key.low++;
    wrong[1].rows++;
    wrong[2].width--;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(thaw_feature_open(in_folder("f.h5"), &wrong[i], &file), THAW_ERR_INPUT);
        assert_null(file);
    }
    assert_int_equal(thaw_feature_open(in_folder("none.h5"), &info, &file), THAW_ERR_INPUT);
}

/* Given up before its end, it leaves nothing, and the older file stays. */
static void half_a_file_is_none(void **state)
{
    (void)state;
    thaw_feature_file *file = NULL;
    assert_int_equal(thaw_feature_create(in_folder("f.h5"), &info, &file), THAW_OK);
    assert_int_equal(thaw_feature_append(file, 5, values), THAW_OK);
    thaw_feature_close(&file);
    assert_int_equal(thaw_feature_open(in_folder("f.h5"), &info, &file), THAW_OK);
    thaw_feature_close(&file);
    assert_int_equal(unlink(in_folder("f.h5")), 0);
    assert_int_equal(rmdir(folder), 0); /* empty: nothing else was left */
    assert_int_equal(mkdir(folder, 0700), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_back),
        cmocka_unit_test(others_are_refused),
        cmocka_unit_test(half_a_file_is_none),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
