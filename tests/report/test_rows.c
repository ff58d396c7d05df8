#include "thaw/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the standard headers that it needs */
#include <cmocka.h>

static char folder[64];
static thaw_str path;

static int set_up(void **state)
{
    (void)state;
    thaw_copy(folder, sizeof folder, "report_rows_XXXXXX");
    assert_non_null(mkdtemp(folder));
    thaw_path_join(&path, folder, "metrics.jsonl");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    thaw_str_clear(&path);
    return thaw_remove_tree(folder);
}

static void write_text(const char *text)
{
    assert_int_equal(thaw_file_write(path.data, text, strlen(text)), THAW_OK);
}

static void assert_file(const char *expected)
{
    thaw_str text = {0};
    assert_int_equal(thaw_file_read(path.data, &text), THAW_OK);
    assert_string_equal(thaw_str_c(&text), expected);
    thaw_str_clear(&text);
}

static void test_appends_and_reads(void **state)
{
    (void)state;
    for (int64_t step = 1; step <= 3; step++) {
        thaw_json *row = thaw_json_new_object();
        thaw_json_set_int(row, "step", step);
        thaw_json_set_string(row, "text", "two\nlines");
        assert_int_equal(thaw_rows_append(path.data, row), THAW_OK);
        thaw_json_free(&row);
    }
    thaw_json *rows = NULL;
    assert_int_equal(thaw_rows_read(path.data, &rows), THAW_OK);
    assert_int_equal(thaw_json_count(rows), 3);
    assert_int_equal(thaw_json_int_or(rows, "2.step", 0), 3);
    assert_string_equal(thaw_json_string_or(rows, "0.text", ""), "two\nlines");
    thaw_json_free(&rows);
}

static void test_truncates_after_a_step(void **state)
{
    (void)state;
    static const char rows[] = "{\"config\":1}\n{\"step\":10}\n\n{\"step\":20}\n{\"note\":1}\n"
                               "{\"step\":30}\n{\"note\":2}\n{\"step\":40}\n";
    int64_t kept = -1;
    write_text(rows);
    assert_int_equal(thaw_rows_truncate(path.data, "step", 20, &kept), THAW_OK);
    assert_int_equal(kept, 4);
    assert_file("{\"config\":1}\n{\"step\":10}\n\n{\"step\":20}\n{\"note\":1}\n");
    write_text(rows);
    assert_int_equal(thaw_rows_truncate(path.data, "step", 100, NULL), THAW_OK);
    assert_file(rows);
    assert_int_equal(thaw_rows_truncate(path.data, "step", 0, &kept), THAW_OK);
    assert_file("{\"config\":1}\n");
}

static void test_drops_a_torn_end(void **state)
{
    (void)state;
    static const char *const torn[] = {"{\"step\":1}\n{\"step\":2", "{\"step\":1}\n{\"st\n",
                                       "{\"step\":1}\n{"};
    for (size_t i = 0; i < 3; i++) {
        thaw_json *rows = NULL;
        int64_t kept = -1;
        write_text(torn[i]);
        assert_int_equal(thaw_rows_read(path.data, &rows), THAW_OK);
        assert_int_equal(thaw_json_count(rows), 1);
        thaw_json_free(&rows);
        assert_int_equal(thaw_rows_truncate(path.data, "step", 5, &kept), THAW_OK);
        assert_int_equal(kept, 1);
        assert_file("{\"step\":1}\n");
        assert_int_equal(thaw_error_last()->code, THAW_OK);
    }
}

/* A run that is killed after any byte and resumed leaves the file of a run that was never killed. */
static void test_resume_after_any_byte(void **state)
{
    (void)state;
    thaw_str whole = {0};
    for (int step = 1; step <= 6; step++)
        thaw_str_printf(&whole, "{\"step\":%d,\"loss\":0.%d}\n", step, step);
    for (size_t cut = 0; cut <= whole.length; cut++) {
        int64_t kept = 0;
        assert_int_equal(thaw_file_write(path.data, whole.data, cut), THAW_OK);
        assert_int_equal(thaw_rows_truncate(path.data, "step", 4, &kept), THAW_OK);
        assert_true(kept <= 4);
        size_t at = 0;
        for (int64_t i = 0; i < kept; i++)
            at = (size_t)(strchr(whole.data + at, '\n') - whole.data) + 1;
        assert_int_equal(thaw_file_append(path.data, whole.data + at, whole.length - at), THAW_OK);
        assert_file(whole.data);
    }
    thaw_str_clear(&whole);
}

static void test_damage_in_the_middle_is_an_error(void **state)
{
    (void)state;
    static const char text[] = "{\"step\":1}\n{\"step\":\n{\"step\":3}\n";
    thaw_json *rows = NULL;
    write_text(text);
    assert_int_equal(thaw_rows_read(path.data, &rows), THAW_ERR_INPUT);
    assert_null(rows);
    assert_non_null(strstr(thaw_error_last()->message, "metrics.jsonl:2:"));
    assert_int_equal(thaw_rows_truncate(path.data, "step", 1, NULL), THAW_ERR_INPUT);
    assert_file(text);
    thaw_error_clear();
}

static void test_missing_file(void **state)
{
    (void)state;
    thaw_json *rows = NULL;
    int64_t kept = 9;
    assert_int_equal(thaw_rows_truncate(path.data, "step", 1, &kept), THAW_OK);
    assert_int_equal(kept, 0);
    assert_int_equal(thaw_rows_read(path.data, &rows), THAW_ERR_INPUT);
    thaw_error_clear();
}

int main(void)
{
#define WITH_FOLDER(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(test_appends_and_reads),
        WITH_FOLDER(test_truncates_after_a_step),
        WITH_FOLDER(test_drops_a_torn_end),
        WITH_FOLDER(test_resume_after_any_byte),
        WITH_FOLDER(test_damage_in_the_middle_is_an_error),
        WITH_FOLDER(test_missing_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
