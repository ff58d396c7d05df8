#include "thaw/base.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void blocks_are_zeroed_aligned_and_counted(void **state)
{
    (void)state;
    int64_t made = thaw_alloc_count();
    int64_t live = thaw_alloc_live();
    float *x = NULL;
    for (int64_t count = 1; count < 2000; count = count * 3 + 1) {
        assert_int_equal(thaw_alloc(&x, count, sizeof *x), THAW_OK);
        assert_int_equal((uintptr_t)x % 64, 0);
        for (int64_t i = 0; i < count; i++)
            assert_true(x[i] == 0.0f);
        memset(x, 0xff, (size_t)count * sizeof *x);
        assert_int_equal(thaw_alloc_live(), live + 1);
        thaw_free(&x);
        assert_null(x);
    }
    assert_int_equal(thaw_alloc_live(), live);
    assert_true(thaw_alloc_count() > made);
}

static void nothing_is_null(void **state)
{
    (void)state;
    int64_t live = thaw_alloc_live();
    char *p = (char *)&live;
    assert_int_equal(thaw_alloc(&p, 0, 8), THAW_OK);
    assert_null(p);
    thaw_free(&p);
    thaw_free(NULL);
    assert_int_equal(thaw_strdup(&p, NULL), THAW_OK);
    assert_null(p);
    assert_int_equal(thaw_alloc_live(), live);
}

static void growing_keeps_the_old_and_zeroes_the_new(void **state)
{
    (void)state;
    int64_t live = thaw_alloc_live();
    int64_t *x = NULL;
    assert_int_equal(thaw_realloc(&x, 0, 3, sizeof *x), THAW_OK);
    for (int i = 0; i < 3; i++)
        x[i] = i + 1;
    assert_int_equal(thaw_realloc(&x, 3, 100, sizeof *x), THAW_OK);
    for (int i = 0; i < 100; i++)
        assert_int_equal(x[i], i < 3 ? i + 1 : 0);
    assert_int_equal(thaw_realloc(&x, 100, 2, sizeof *x), THAW_OK);
    assert_int_equal(x[1], 2);
    assert_int_equal(thaw_realloc(&x, 2, 0, sizeof *x), THAW_OK);
    assert_null(x);
    assert_int_equal(thaw_alloc_live(), live);
}

static void impossible_sizes_are_errors_that_name_the_size(void **state)
{
    (void)state;
    char *p = NULL;
    assert_int_equal(thaw_alloc(&p, INT64_MAX, 1 << 20), THAW_ERR_RESOURCE);
    assert_null(p);
    assert_non_null(strstr(thaw_error_last()->message, "9223372036854775807"));
    char *kept = NULL;
    assert_int_equal(thaw_strdup(&kept, "kept"), THAW_OK);
    assert_int_equal(thaw_realloc(&kept, 5, INT64_MAX, 16), THAW_ERR_RESOURCE);
    assert_string_equal(kept, "kept");
    thaw_free(&kept);
}

static void peak_memory_is_plausible(void **state)
{
    (void)state;
    size_t before = thaw_peak_rss_bytes();
    char *p = NULL;
    assert_int_equal(thaw_alloc(&p, 64 << 20, 1), THAW_OK);
    assert_true(thaw_peak_rss_bytes() >= (size_t)64 << 20);
    assert_true(before > 0);
    thaw_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_zeroed_aligned_and_counted),
        cmocka_unit_test(nothing_is_null),
        cmocka_unit_test(growing_keeps_the_old_and_zeroes_the_new),
        cmocka_unit_test(impossible_sizes_are_errors_that_name_the_size),
        cmocka_unit_test(peak_memory_is_plausible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
