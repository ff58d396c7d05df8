/* A dataset file that h5py writes as documented is read, h5py reads ours, and both compute the documented digest.
 * Skipped when Python, h5py, NumPy or xxhash is missing. */
#include "data_test.h"

#include <sys/wait.h>

static int run_python(void)
{
    char command[1000];
    const char *python = getenv("THAW_PEER_PYTHON");
    thaw_format(command, sizeof command, "%s %s/data/dataset_h5py.py %s",
                python ? python : "python3", THAW_TESTS_DIR, folder);
    int code = system(command);
    return WIFEXITED(code) ? WEXITSTATUS(code) : -1;
}

static void check_digest(const char *name, const char *hex)
{
    thaw_dataset *ds = NULL;
    char ours[THAW_DIGEST_HEX];
    assert_ok(thaw_dataset_open(in_folder(name), NULL, &ds));
    thaw_digest_hex(thaw_dataset_digest(ds), ours);
    assert_memory_equal(ours, hex, 32);
    thaw_dataset_free(&ds);
}

static void python_and_we_agree(void **state)
{
    (void)state;
    thaw_str digests = {0};
    thaw_dataset *ds = NULL;
    assert_ok(thaw_file_read(in_folder("digests"), &digests));
    assert_int_equal(digests.length, 64);
    check_digest("py.h5", thaw_str_c(&digests));
    check_digest("c.h5", thaw_str_c(&digests) + 32);
    assert_ok(thaw_dataset_open(in_folder("py.h5"), NULL, &ds));
    assert_string_equal(thaw_dataset_class_names(ds)[1], "dog");
    assert_string_equal(thaw_dataset_slice_description(ds, 0), "all dogs");
    assert_int_equal(thaw_dataset_slice_members(ds, 0, 0), 6);
    thaw_dataset_free(&ds);
    thaw_str_clear(&digests);
}

int main(void)
{
    if (make_folder(NULL) != 0)
        return 1;
    write_idx("a", 0, 60, 5, false);
    if (IMPORT("images", in_folder("a-images"), "labels", in_folder("a-labels"), "splits",
               "train=5,test=rest", "slices", "s=1", "output", in_folder("c.h5")) != THAW_OK)
        return 1;
    int code = run_python();
    if (code == 77 || code == 127) {
        printf("skipped: Python with h5py, numpy and xxhash is not here\n");
        return remove_folder(NULL) ? 1 : 77;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(python_and_we_agree)};
    return cmocka_run_group_tests(tests, NULL, remove_folder);
}
