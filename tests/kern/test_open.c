/* Opening backends: names, suggestions, what a backend says of itself. */
#include "kern_test.h"

static void test_every_name_opens(void **state)
{
    (void)state;
    int64_t live = thaw_alloc_live();
    int opened = 0;
    for (int i = 0; thaw_kern_names()[i]; i++) {
        thaw_kern *k;
        assert_true(test_open(i, &k));
        if (k == NULL)
            continue;
        assert_string_equal(k->name, thaw_kern_names()[i]);
        assert_true(k->cpu_kernels[0] != 0);
        print_message("%s runs %s\n", k->name, k->cpu_kernels);
        thaw_kern_close(&k);
        assert_null(k);
        opened++;
    }
    assert_true(opened > 0);
    assert_int_equal(thaw_alloc_live(), live);
}

static void test_auto(void **state)
{
    (void)state;
    thaw_kern *k = NULL;
    assert_int_equal(thaw_kern_open("auto", &k), THAW_OK);
    print_message("auto takes %s\n", k->name);
    thaw_kern_close(&k);
    thaw_kern_close(&k);
}

static void test_unknown_name(void **state)
{
    (void)state;
    thaw_kern *k = NULL;
    assert_int_equal(thaw_kern_open("reff", &k), THAW_ERR_USAGE);
    assert_null(k);
    assert_non_null(strstr(thaw_error_last()->message, "did you mean \"ref\""));
    thaw_error_clear();
}

/* What OpenBLAS is asked to run: the user's setting wins, else kernels that fit the CPU; the environment is left alone. */
static void test_openblas_core(void **state)
{
    (void)state;
    thaw_kern *k = NULL;
    assert_int_equal(unsetenv("OPENBLAS_CORETYPE"), 0);
    if (thaw_kern_open("openblas", &k) != THAW_OK) {
        print_message("skipped: no usable OpenBLAS: %s\n", thaw_error_last()->message);
        skip();
    }
    assert_null(getenv("OPENBLAS_CORETYPE"));
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        assert_null(strstr(k->cpu_kernels, "Prescott"));
#endif
    thaw_kern_close(&k);
    assert_int_equal(setenv("OPENBLAS_CORETYPE", "Nehalem", 1), 0);
    assert_int_equal(thaw_kern_open("openblas", &k), THAW_OK);
    print_message("told Nehalem, runs %s\n", k->cpu_kernels);
#if defined(__x86_64__)
    assert_non_null(strstr(k->cpu_kernels, "Nehalem"));
#endif
    thaw_kern_close(&k);
    assert_int_equal(unsetenv("OPENBLAS_CORETYPE"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_name_opens),
        cmocka_unit_test(test_auto),
        cmocka_unit_test(test_unknown_name),
        cmocka_unit_test(test_openblas_core),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
