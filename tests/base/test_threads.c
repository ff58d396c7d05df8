/* How many threads a rank runs: OMP_NUM_THREADS, within the affinity mask. */
#include "thaw/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static int32_t threads_with(const char *text)
{
    if (text == NULL)
        assert_int_equal(unsetenv("OMP_NUM_THREADS"), 0);
    else
        assert_int_equal(setenv("OMP_NUM_THREADS", text, 1), 0);
    thaw_threads_set(0);
    return thaw_threads();
}

static void test_count(void **state)
{
    (void)state;
    int32_t cores = thaw_cores();
    assert_true(cores >= 1);
    assert_int_equal(threads_with(NULL), 1);
    assert_int_equal(threads_with("1"), 1);
    assert_int_equal(threads_with(""), 1);
    assert_int_equal(threads_with("many"), 1);
    assert_int_equal(threads_with("0"), 1);
    assert_int_equal(threads_with("-3"), 1);
#if defined(_OPENMP)
    assert_int_equal(threads_with("1000000"), cores);
    assert_int_equal(threads_with("2"), cores < 2 ? cores : 2);
    assert_int_equal(threads_with("2,4"), cores < 2 ? cores : 2);
#else
    assert_int_equal(threads_with("2"), 1);
#endif
}

/* Settled once; tests may set what they like. */
static void test_settled(void **state)
{
    (void)state;
    int32_t before = threads_with("1");
    assert_int_equal(setenv("OMP_NUM_THREADS", "2", 1), 0);
    assert_int_equal(thaw_threads(), before);
    thaw_threads_set(7);
    assert_int_equal(thaw_threads(), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_count),
                                       cmocka_unit_test(test_settled)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
