#include "thaw/base.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[] = "thaw-file-XXXXXX";
static thaw_str path;

static const char *in_root(const char *name)
{
    thaw_path_join(&path, root, name);
    return thaw_str_c(&path);
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(root) == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    thaw_status status = thaw_remove_tree(root);
    thaw_str_clear(&path);
    return status != THAW_OK;
}

static void paths_join(void **state)
{
    (void)state;
    thaw_str s = {0};
    thaw_path_join(&s, "a", "b");
    assert_string_equal(thaw_str_c(&s), "a/b");
    thaw_path_join(&s, "a/", "b");
    assert_string_equal(thaw_str_c(&s), "a/b");
    thaw_path_join(&s, "", "b");
    assert_string_equal(thaw_str_c(&s), "b");
    thaw_str_clear(&s);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    thaw_str text = {0};
    assert_int_equal(thaw_file_write(in_root("x"), "one\0two", 7), THAW_OK);
    assert_false(thaw_path_exists(in_root("x.tmp")));
    assert_int_equal(thaw_file_read(in_root("x"), &text), THAW_OK);
    assert_int_equal(text.length, 7);
    assert_memory_equal(text.data, "one\0two", 7);
    assert_int_equal(thaw_file_append(in_root("x"), "!", 1), THAW_OK);
    assert_int_equal(thaw_file_append(in_root("new"), "abc", 3), THAW_OK);
    thaw_digest digest;
    int64_t bytes;
    assert_int_equal(thaw_file_digest(in_root("x"), &digest, &bytes), THAW_OK);
    assert_int_equal(bytes, 8);
    assert_true(thaw_digest_equal(digest, thaw_hash("one\0two!", 8)));
    assert_int_equal(thaw_file_digest(in_root("new"), &digest, NULL), THAW_OK);
    thaw_str_clear(&text);
}

static void a_failed_write_leaves_the_old_file(void **state)
{
    (void)state;
    thaw_str text = {0};
    assert_int_equal(thaw_file_write(in_root("kept"), "old", 3), THAW_OK);
    assert_int_equal(mkdir(in_root("kept.tmp"), 0777), 0);
    assert_int_equal(thaw_file_write(in_root("kept"), "new", 3), THAW_ERR_RESOURCE);
    assert_non_null(strstr(thaw_error_last()->message, "kept.tmp"));
    assert_int_equal(thaw_file_read(in_root("kept"), &text), THAW_OK);
    assert_string_equal(thaw_str_c(&text), "old");
    thaw_str_clear(&text);
}

static void a_full_disk_is_an_error(void **state)
{
    (void)state;
    if (access("/dev/full", W_OK) != 0) {
        print_message("skipped: no writable /dev/full\n");
        skip();
    }
    assert_int_equal(thaw_file_append("/dev/full", "x", 1), THAW_ERR_RESOURCE);
    assert_non_null(strstr(thaw_error_last()->message, "/dev/full"));
}

static void absent_files_are_named(void **state)
{
    (void)state;
    thaw_str text = {0};
    thaw_digest digest;
    assert_int_equal(thaw_file_read(in_root("nothing"), &text), THAW_ERR_INPUT);
    assert_non_null(strstr(thaw_error_last()->message, "/nothing"));
    assert_int_equal(thaw_file_read(root, &text), THAW_ERR_INPUT);
    assert_int_equal(thaw_file_digest(in_root("nothing"), &digest, NULL), THAW_ERR_INPUT);
    assert_int_equal(thaw_file_write(in_root("no/such/dir"), "x", 1), THAW_ERR_RESOURCE);
    thaw_str_clear(&text);
}

static void directories_come_with_their_parents(void **state)
{
    (void)state;
    assert_int_equal(thaw_mkdirs(in_root("a/b//c/")), THAW_OK);
    assert_int_equal(thaw_mkdirs(in_root("a/b/c")), THAW_OK);
    assert_true(thaw_path_is_dir(in_root("a/b/c")));
    assert_int_equal(thaw_file_write(in_root("a/file"), "x", 1), THAW_OK);
    assert_int_equal(thaw_mkdirs(in_root("a/file/d")), THAW_ERR_RESOURCE);
    assert_int_equal(thaw_mkdirs(""), THAW_ERR_RESOURCE);
}

static void removal_stays_inside_the_tree(void **state)
{
    (void)state;
    thaw_str target = {0};
    assert_int_equal(thaw_mkdirs(in_root("t/u")), THAW_OK);
    assert_int_equal(thaw_file_write(in_root("t/u/f"), "x", 1), THAW_OK);
    assert_int_equal(thaw_mkdirs(in_root("outside")), THAW_OK);
    assert_int_equal(thaw_file_write(in_root("outside/f"), "x", 1), THAW_OK);
    assert_int_equal(symlink("../outside", in_root("t/link")), 0);
    assert_int_equal(thaw_remove_tree(in_root("t")), THAW_OK);
    assert_false(thaw_path_exists(in_root("t")));
    assert_true(thaw_path_exists(in_root("outside/f")));
    assert_int_equal(thaw_remove_tree(in_root("t")), THAW_OK);
    static const char *const refused[] = {"", "/", "//", ".", ".."};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        assert_int_equal(thaw_remove_tree(refused[i]), THAW_ERR_FAIL);
    thaw_str_clear(&target);
}

static void outputs_are_checked_before_they_are_made(void **state)
{
    (void)state;
    const thaw_status ok = thaw_output_check(in_root("there.csv"), false);
    assert_int_equal(ok, THAW_OK);
    assert_int_equal(thaw_output_check("bare-name.csv", false), THAW_OK);
    assert_int_equal(thaw_output_check(in_root("no/such/there.csv"), true), THAW_OK);
    assert_false(thaw_path_exists(in_root("no")));
    assert_int_equal(thaw_output_check(in_root("no/such/there.csv"), false), THAW_ERR_RESOURCE);
    assert_non_null(strstr(thaw_error_last()->message, "there is no directory"));
    assert_int_equal(thaw_output_check(root, true), THAW_ERR_RESOURCE);
    assert_non_null(strstr(thaw_error_last()->message, "a directory of this name exists"));
    assert_int_equal(thaw_file_write(in_root("plain"), "x", 1), THAW_OK);
    assert_int_equal(thaw_output_check(in_root("plain"), false), THAW_OK);
    assert_int_equal(thaw_output_check(in_root("plain/deep/x"), true), THAW_ERR_RESOURCE);
    assert_non_null(strstr(thaw_error_last()->message, "a file of this name exists"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outputs_are_checked_before_they_are_made),
        cmocka_unit_test(paths_join),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(a_failed_write_leaves_the_old_file),
        cmocka_unit_test(a_full_disk_is_an_error),
        cmocka_unit_test(absent_files_are_named),
        cmocka_unit_test(directories_come_with_their_parents),
        cmocka_unit_test(removal_stays_inside_the_tree),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
