#include "thaw/base.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void exit_codes_are_the_contract(void **state)
{
    (void)state;
    static const int expected[] = {0, 1, 2, 2, 3, 4, 5, 75};
    for (int s = THAW_OK; s <= THAW_ERR_STOPPED; s++)
        assert_int_equal(thaw_status_exit_code((thaw_status)s), expected[s]);
    assert_int_equal(thaw_status_exit_code((thaw_status)99), 1);
    assert_string_equal(thaw_status_name(THAW_ERR_NUMERIC), "numeric");
    assert_string_equal(thaw_status_name((thaw_status)99), "unknown");
}

static void fail_records_words_and_place(void **state)
{
    (void)state;
    thaw_status status =
        thaw_fail(THAW_ERR_INPUT, "/somewhere/src/h5/read.c", 12, "%s has %d", "x", 3);
    const thaw_error *e = thaw_error_last();
    assert_int_equal(status, THAW_ERR_INPUT);
    assert_int_equal(e->code, THAW_ERR_INPUT);
    assert_int_equal(e->line, 12);
    assert_string_equal(e->file, "read.c");
    assert_string_equal(e->message, "x has 3");
    thaw_error_clear();
    assert_int_equal(e->code, THAW_OK);
    assert_string_equal(e->message, "");
}

static void context_goes_in_front(void **state)
{
    (void)state;
    (void)THAW_FAIL(THAW_ERR_INPUT, "no such file");
    assert_int_equal(thaw_fail_context(THAW_ERR_INPUT, "while reading %s", "x.h5"), THAW_ERR_INPUT);
    assert_string_equal(thaw_error_last()->message, "while reading x.h5: no such file");
    /* An argument may be the old message. */
    (void)THAW_FAIL(THAW_ERR_FAIL, "outer (%s)", thaw_error_last()->message);
    assert_string_equal(thaw_error_last()->message, "outer (while reading x.h5: no such file)");
}

static void long_messages_are_cut_not_overrun(void **state)
{
    (void)state;
    char big[5000];
    memset(big, 'x', sizeof big);
    big[sizeof big - 1] = 0;
    (void)THAW_FAIL(THAW_ERR_FAIL, "%s", big);
    assert_int_equal(strlen(thaw_error_last()->message), sizeof thaw_error_last()->message - 1);
    (void)thaw_fail_context(THAW_ERR_FAIL, "more");
    assert_int_equal(strlen(thaw_error_last()->message), sizeof thaw_error_last()->message - 1);
    assert_true(thaw_starts_with(thaw_error_last()->message, "more: xxx"));
    assert_true(thaw_ends_with(thaw_error_last()->message, "xxx..."));
}

static thaw_status tried(thaw_status inner)
{
    THAW_TRY(inner);
    return THAW_OK;
}

static thaw_status checked(bool good, int *cleaned)
{
    thaw_status status = THAW_OK;
    THAW_CHECK_TO(good, THAW_ERR_USAGE, "not good");
done:
    ++*cleaned;
    return status;
}

static void macros_pass_the_status_on(void **state)
{
    (void)state;
    int cleaned = 0;
    assert_int_equal(tried(THAW_OK), THAW_OK);
    assert_int_equal(tried(THAW_ERR_NUMERIC), THAW_ERR_NUMERIC);
    assert_int_equal(checked(true, &cleaned), THAW_OK);
    assert_int_equal(checked(false, &cleaned), THAW_ERR_USAGE);
    assert_int_equal(cleaned, 2);
}

static jmp_buf back;
static int seen_exit_code;

static void jump_out(int exit_code)
{
    seen_exit_code = exit_code;
    longjmp(back, 1);
}

static void assertions_reach_the_hook(void **state)
{
    (void)state;
    thaw_set_abort_hook(jump_out);
    if (setjmp(back) == 0) {
        THAW_ASSERT(1 + 1 == 3);
        fail_msg("the assertion came back");
    }
    assert_int_equal(seen_exit_code, 1);
    if (setjmp(back) == 0)
        thaw_abort(4);
    assert_int_equal(seen_exit_code, 4);
    thaw_set_abort_hook(NULL);
}

static void leave(int exit_code)
{
    (void)exit_code;
    _exit(7);
}

/* What a process ends with that calls exit(0), or whose child does. */
static int ended(bool guarded, bool again, bool by_a_child)
{
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        thaw_log_set_level(THAW_RESULT);
        (void)!freopen("/dev/null", "w", stderr);
        thaw_set_abort_hook(leave);
        thaw_guard_exit(true);
        thaw_guard_exit(guarded);
        if (again)
            thaw_guard_exit(true);
        if (by_a_child) {
            int code = 0;
            const pid_t grandchild = fork();
            if (grandchild == 0)
                exit(0);
            _exit(waitpid(grandchild, &code, 0) == grandchild && WIFEXITED(code) ? WEXITSTATUS(code)
                                                                                 : 100);
        }
        exit(0);
    }
    int code = 0;
    assert_int_equal(waitpid(child, &code, 0), child);
    return WIFEXITED(code) ? WEXITSTATUS(code) : 200;
}

static void leaving_is_guarded(void **state)
{
    (void)state;
    assert_int_equal(ended(true, false, false), 7);
    assert_int_equal(ended(false, false, false), 0);
    assert_int_equal(ended(false, true, false), 7);
    assert_int_equal(ended(true, false, true), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaving_is_guarded),
        cmocka_unit_test(exit_codes_are_the_contract),
        cmocka_unit_test(fail_records_words_and_place),
        cmocka_unit_test(context_goes_in_front),
        cmocka_unit_test(long_messages_are_cut_not_overrun),
        cmocka_unit_test(macros_pass_the_status_on),
        cmocka_unit_test(assertions_reach_the_hook),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
