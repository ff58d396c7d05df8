#include "thaw/report.h"

#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* after the standard headers that it needs */
#include <cmocka.h>

/* As if it had run for 10 s at 20 steps and 640 samples a second. */
static thaw_progress example(void)
{
    thaw_progress progress = {0};
    thaw_progress_start(&progress, "train partial:1", 0, 1000, 0);
    progress.recent_time[0] = progress.start = 100;
    progress.step = 200;
    progress.samples = 6400;
    progress.loss = 0.4321;
    return progress;
}

static void test_line(void **state)
{
    (void)state;
    thaw_progress progress = example();
    char line[256];
    thaw_progress_format(&progress, 110, 0, line, sizeof line);
    assert_string_equal(
        line, "train partial:1  20%  step 200/1000  loss 0.4321  640 samples/s  eta 0:40");
    thaw_progress_format(&progress, 110, 80, line, sizeof line);
    assert_string_equal(
        line, "train partial:1  20% [===>              ]  loss 0.4321  640 samples/s  eta 0:40");
    progress.step = 1000;
    thaw_progress_format(&progress, 110, 200, line, sizeof line);
    assert_non_null(strstr(line, "100% [========================================]"));
    assert_non_null(strstr(line, "took 0:10"));
    progress.loss = NAN;
    thaw_progress_format(&progress, 110, 0, line, sizeof line);
    assert_null(strstr(line, "loss"));
}

static void test_fits_any_width(void **state)
{
    (void)state;
    thaw_progress progress = example();
    char line[256];
    for (int columns = 2; columns < 250; columns++) {
        thaw_progress_format(&progress, 110, columns, line, sizeof line);
        assert_true(strlen(line) < (size_t)columns);
    }
}

static void test_no_steps_is_no_division(void **state)
{
    (void)state;
    thaw_progress progress = {0};
    char line[256];
    thaw_progress_start(&progress, "empty", 0, 0, 1);
    thaw_progress_format(&progress, progress.start, 80, line, sizeof line);
    assert_null(strstr(line, "nan"));
    assert_null(strstr(line, "inf"));
    thaw_progress_finish(&progress);
}

static void test_bar_is_drawn_without_allocating(void **state)
{
    (void)state;
    char path[] = "report_progress_XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    thaw_progress progress = {0};
    thaw_progress_start(&progress, "train", 0, 500, 0);
    progress.fd = file;
    progress.bar = true;
    progress.columns = 80;
    int64_t before = thaw_alloc_count();
    for (int64_t step = 1; step <= 500; step++) {
        progress.last -= 1; /* as if a second had passed */
        thaw_progress_update(&progress, step, step * 64, 1.0 / (double)step);
    }
    thaw_progress_hide(&progress);
    thaw_progress_finish(&progress);
    assert_int_equal(thaw_alloc_count(), before);
    thaw_progress_update(&progress, 500, 1, 0); /* after the end: nothing */
    close(file);
    thaw_str text = {0};
    assert_int_equal(thaw_file_read(path, &text), THAW_OK);
    int draws = 0;
    for (const char *at = text.data; (at = strchr(at, '\r')) != NULL; at++)
        draws++;
    assert_int_equal(draws, 502);
    assert_true(thaw_ends_with(text.data, "\033[K\n"));
    assert_non_null(strstr(text.data, "100% ["));
    thaw_str_clear(&text);
    unlink(path);
}

static void test_environment_and_quiet(void **state)
{
    (void)state;
    thaw_progress progress = {0};
    thaw_progress_update(&progress, 1, 1, 1); /* {0} does nothing */
    assert_int_equal(setenv("THAW_PROGRESS", "2.5", 1), 0);
    thaw_progress_start(&progress, "x", 0, 1, 60);
    assert_true(progress.interval == 2.5 && !progress.bar && progress.active);
    assert_int_equal(setenv("THAW_PROGRESS", "bar", 1), 0);
    thaw_progress_start(&progress, "x", 0, 1, 60);
    assert_true(progress.bar && progress.interval == 60);
    assert_int_equal(setenv("THAW_PROGRESS", "off", 1), 0);
    thaw_progress_start(&progress, "x", 0, 1, 60);
    assert_false(progress.active);
    unsetenv("THAW_PROGRESS");
    thaw_log_set_level(THAW_RESULT);
    thaw_progress_start(&progress, "x", 0, 1, 60);
    assert_false(progress.active);
    thaw_log_set_level(THAW_INFO);
}

int main(void)
{
    unsetenv("THAW_PROGRESS");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_fits_any_width),
        cmocka_unit_test(test_no_steps_is_no_division),
        cmocka_unit_test(test_bar_is_drawn_without_allocating),
        cmocka_unit_test(test_environment_and_quiet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
