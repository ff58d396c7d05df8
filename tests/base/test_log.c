#include "thaw/base.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* What thaw_log writes to stderr while `speak` runs. */
static void heard(void (*speak)(void), char *out, size_t bytes)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stderr);
    int kept = dup(STDERR_FILENO);
    assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
    speak();
    fflush(stderr);
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    close(kept);
    rewind(file);
    out[fread(out, 1, bytes - 1, file)] = 0;
    fclose(file);
}

static void every_level(void)
{
    THAW_LOG(THAW_DEBUG, "a debug line");
    THAW_LOG(THAW_INFO, "an info line %d", 7);
    THAW_LOG(THAW_WARN, "careful");
    THAW_LOG_ALL(THAW_ERROR, "broken\n");
}

static void one_long_line(void)
{
    char big[6000];
    memset(big, 'y', sizeof big);
    big[sizeof big - 1] = 0;
    THAW_LOG(THAW_WARN, "%s", big);
}

static void only_trouble_has_a_prefix(void **state)
{
    (void)state;
    char text[9000];
    heard(every_level, text, sizeof text);
    assert_string_equal(text, "an info line 7\nthaw: warning: careful\nthaw: error: broken\n");
    heard(one_long_line, text, sizeof text);
    assert_int_equal(strlen(text), strlen("thaw: warning: ") + 5999 + 1);
}

static void other_ranks_are_quiet_and_numbered(void **state)
{
    (void)state;
    char text[500];
    thaw_log_set_rank(2, 3);
    heard(every_level, text, sizeof text);
    assert_string_equal(text, "thaw: error: [rank 2 of 3] broken\n");
    thaw_log_set_rank(0, 1);
}

static void levels_filter(void **state)
{
    (void)state;
    char text[500];
    assert_int_equal(thaw_log_get_level(), THAW_INFO);
    thaw_log_set_level(THAW_RESULT);
    heard(every_level, text, sizeof text);
    assert_string_equal(text, "thaw: warning: careful\nthaw: error: broken\n");
    thaw_log_set_level(THAW_INFO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_trouble_has_a_prefix),
        cmocka_unit_test(other_ranks_are_quiet_and_numbered),
        cmocka_unit_test(levels_filter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
