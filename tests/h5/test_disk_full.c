/* A disk that fills up while a file is written: an error, the old file kept, nothing left over. Needs the right to mount. */
#define _GNU_SOURCE
#include "files_test.h"

#include "thaw/h5.h"

static float block[64 * 1024];

static void add(thaw_state *s, int count)
{
    char name[16];
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "t%d", i);
        assert_ok(thaw_state_add(s, name, THAW_F32, thaw_shape1(64 * 1024), block));
    }
}

static void the_old_file_survives(void **state)
{
    (void)state;
    thaw_state small = {0}, large = {0}, back = {0};
    add(&small, 2);
    thaw_h5_write what = {.state = &small};
    thaw_digest kept, found;
    assert_ok(thaw_h5_save(in_folder("x.h5"), &what, &kept));
    /* From one that only just does not fit to one far too large: the failure comes in another place each time. */
    for (int count = 5; count <= 24; count++) {
        add(&large, count);
        what.state = &large;
        thaw_status status = thaw_h5_save(in_folder("x.h5"), &what, NULL);
        if (status == THAW_OK) {
            what.state = &small;
            assert_ok(thaw_h5_save(in_folder("x.h5"), &what, &kept));
        } else {
            assert_int_equal(status, THAW_ERR_RESOURCE);
            assert_non_null(strstr(thaw_error_last()->message, "No space left on device"));
        }
        assert_true(status != THAW_OK || count < 8);
        assert_false(thaw_path_exists(in_folder("x.h5.tmp")));
        assert_ok(thaw_h5_load(in_folder("x.h5"), NULL, &back, NULL));
        assert_ok(thaw_state_digest(&back, &found));
        assert_true(thaw_digest_equal(kept, found));
        thaw_state_clear(&back);
        thaw_state_clear(&large);
    }
    thaw_state_clear(&small);
}

static void rows_fail_too(void **state)
{
    (void)state;
    thaw_h5 *f = NULL;
    thaw_shape shape = thaw_shape2(64, 64 * 1024);
    thaw_status status = THAW_OK;
    assert_ok(thaw_h5_create(in_folder("rows.h5"), &f));
    assert_ok(thaw_h5_make(f, "x", THAW_F32, &shape, 1));
    for (int64_t i = 0; i < 64 && status == THAW_OK; i++)
        status = thaw_h5_write_rows(f, "x", i, 1, THAW_F32, block);
    if (status == THAW_OK)
        status = thaw_h5_commit(&f);
    else
        assert_int_equal(thaw_h5_commit(&f), THAW_ERR_RESOURCE);
    assert_int_equal(status, THAW_ERR_RESOURCE);
    assert_false(thaw_path_exists(in_folder("rows.h5")) ||
                 thaw_path_exists(in_folder("rows.h5.tmp")));
}

/* Nothing that HDF5 holds can be written any more, and the process still ends as it should. */
static void no_room_at_all(void **state)
{
    (void)state;
    thaw_h5 *f = NULL;
    thaw_shape shape = thaw_shape2(64, 256);
    thaw_status status;
    const char *disk = in_folder("none");
    assert_ok(thaw_mkdirs(disk));
    assert_true(small_disk(disk, 8192));
    assert_ok(thaw_h5_create(in_folder("none/rows.h5"), &f));
    assert_ok(thaw_h5_make(f, "x", THAW_F32, &shape, 4));
    status = thaw_h5_write_rows(f, "x", 0, 64, THAW_F32, block);
    if (status == THAW_OK)
        status = thaw_h5_commit(&f);
    else
        thaw_h5_close(&f);
    assert_int_equal(status, THAW_ERR_RESOURCE);
    assert_false(thaw_path_exists(in_folder("none/rows.h5.tmp")));
    assert_int_equal(umount(in_folder("none")), 0);
}

int main(void)
{
    if (folder_make(NULL) != 0 || !small_disk(folder, 2 << 20)) {
        fprintf(stderr, "skipped: cannot mount a small disk (not root?)\n");
        rmdir(folder);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_old_file_survives),
        cmocka_unit_test(rows_fail_too),
        cmocka_unit_test(no_room_at_all),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    umount(folder);
    rmdir(folder);
    return failed;
}
