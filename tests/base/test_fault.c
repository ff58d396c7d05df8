#include "thaw/base.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void leave(int exit_code)
{
    _exit(exit_code);
}

/* The variable is read once a process, so each case runs in its own. Gives the passes that failed, as bits. */
static int passes(const char *variable, const char *site, int rank)
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (variable != NULL)
            setenv("THAW_FAULT", variable, 1);
        else
            unsetenv("THAW_FAULT");
        close(STDERR_FILENO);
        thaw_set_abort_hook(leave);
        thaw_log_set_rank(rank, 4);
        int bits = 0;
        for (int i = 0; i < 6; i++)
            bits |= thaw_fault(site) << i;
        _exit(bits + 100);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void the_nth_pass_of_the_rank_fails_once(void **state)
{
    (void)state;
    assert_int_equal(passes(NULL, "step", 0), 100);
    assert_int_equal(passes("", "step", 0), 100);
    assert_int_equal(passes("step:0:1", "step", 0), 101);
    assert_int_equal(passes("step:2:3", "step", 2), 104);
    assert_int_equal(passes("step:2:3", "step", 1), 100);
    assert_int_equal(passes("step:2:3", "reduce", 2), 100);
    assert_int_equal(passes("step:0:99", "step", 0), 100);
}

static void a_wrong_variable_ends_the_program(void **state)
{
    (void)state;
    static const char *const wrong[] = {"stepp:0:1", "step",      "step:0", "step:x:1",
                                        "step:0:0",  "step:-1:1", ":0:1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(passes(wrong[i], "step", 0), 2);
}

static void allocation_is_a_site(void **state)
{
    (void)state;
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char *p = NULL;
        setenv("THAW_FAULT", "alloc:0:2", 1);
        bool first = thaw_alloc(&p, 1, 1) == THAW_OK;
        bool second = thaw_alloc(&p, 1, 1) == THAW_ERR_RESOURCE;
        _exit(first && second && p == NULL ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void sites_are_listed(void **state)
{
    (void)state;
    bool found = false;
    for (const char *const *site = thaw_fault_sites(); *site != NULL; site++)
        found = found || strcmp(*site, "ckpt_write") == 0;
    assert_true(found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nth_pass_of_the_rank_fails_once),
        cmocka_unit_test(a_wrong_variable_ends_the_program),
        cmocka_unit_test(allocation_is_a_site),
        cmocka_unit_test(sites_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
