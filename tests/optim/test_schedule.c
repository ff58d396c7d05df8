/* Schedules by themselves: factors in range, warm-up, the slanted triangle of its paper. thaw-test: timeout=20 modules=kern */
#include "thaw/optim.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void ok(thaw_status status)
{
    if (status != THAW_OK)
        fail_msg("%s", thaw_error_last()->message);
}

static int kind_of(const char *name, const char *const *names)
{
    for (int i = 0; names[i]; i++) {
        if (strcmp(names[i], name) == 0)
            return i;
    }
    return -1;
}

static void test_every_schedule_is_a_factor(void **state)
{
    (void)state;
    const double warmups[] = {0, 0.1, 0.99, 1, 5, 1e6};
    const int64_t totals[] = {1, 2, 3, 10, 1000};
    for (int kind = 0; thaw_schedule_names()[kind]; kind++)
        for (int w = 0; w < 6; w++)
            for (int t = 0; t < 5; t++) {
                thaw_schedule schedule;
                thaw_schedule_defaults(&schedule);
                schedule.kind = kind;
                schedule.warmup = warmups[w];
                for (int64_t step = 0; step < totals[t]; step++) {
                    double factor = thaw_schedule_factor(&schedule, step, totals[t]);
                    assert_true(isfinite(factor) && factor >= 0 && factor <= 1);
                }
            }
}

static void test_warmup_rises_in_a_line(void **state)
{
    (void)state;
    thaw_schedule schedule;
    thaw_schedule_defaults(&schedule);
    schedule.kind = kind_of("constant", thaw_schedule_names());
    schedule.warmup = 4;
    for (int i = 0; i < 8; i++)
        assert_float_equal(thaw_schedule_factor(&schedule, i, 40), i < 4 ? (i + 1) / 4.0 : 1, 0);
    schedule.warmup = 0.1; /* of 40 */
    for (int i = 0; i < 8; i++)
        assert_float_equal(thaw_schedule_factor(&schedule, i, 40), i < 4 ? (i + 1) / 4.0 : 1, 0);
}

/* Howard & Ruder 2018, equation 3, as printed, where its cut is a whole number of steps; t = T is one past the last step. */
static void test_slanted_is_that_of_the_paper(void **state)
{
    (void)state;
    const double T = 200;
    thaw_schedule schedule;
    thaw_schedule_defaults(&schedule);
    schedule.kind = kind_of("slanted", thaw_schedule_names());
    for (int i = 0; i < 2; i++) {
        const double cut_frac = i == 0 ? 0.1 : 0.25;
        const double ratio = i == 0 ? 32 : 10;
        const double cut = floor(T * cut_frac);
        if (i == 1)
            schedule.cut = cut_frac, schedule.ratio = ratio;
        for (int t = 0; t < 200; t++) {
            const double p = t < cut ? t / cut : 1 - (t - cut) / (cut * (1 / cut_frac - 1));
            assert_float_equal(thaw_schedule_factor(&schedule, t, 200),
                               (1 + p * (ratio - 1)) / ratio, 1e-12);
        }
        assert_float_equal(thaw_schedule_factor(&schedule, 0, 200), 1 / ratio, 1e-12);
        assert_float_equal(thaw_schedule_factor(&schedule, (int64_t)cut, 200), 1, 0);
    }
}

/* 19 * 0.1 is cut to 1: as printed the last factors would be below zero. */
static void test_slanted_ends_low_whatever_is_rounded(void **state)
{
    (void)state;
    thaw_schedule schedule;
    thaw_schedule_defaults(&schedule);
    schedule.kind = kind_of("slanted", thaw_schedule_names());
    assert_float_equal(thaw_schedule_factor(&schedule, 1, 19), 1, 0);
    assert_float_equal(thaw_schedule_factor(&schedule, 18, 19), (1 + 31 / 18.0) / 32, 1e-12);
    schedule.cut = 0;
    assert_float_equal(thaw_schedule_factor(&schedule, 0, 19), 1, 0);
    schedule.cut = 1;
    assert_float_equal(thaw_schedule_factor(&schedule, 18, 19), (1 + 31 * 18 / 19.0) / 32, 1e-12);
    assert_true(thaw_schedule_rises(&schedule));
    ok(thaw_schedule_check(&schedule));
    schedule.warmup = 0.1;
    assert_int_equal(thaw_schedule_check(&schedule), THAW_ERR_CONFIG);
}

static void test_milestones_must_ascend(void **state)
{
    (void)state;
    double items[] = {0.5, 0.5};
    thaw_schedule schedule;
    thaw_schedule_defaults(&schedule);
    schedule.milestones = (thaw_doubles){.items = items, .count = 2};
    assert_int_equal(thaw_schedule_check(&schedule), THAW_ERR_CONFIG);
    items[1] = 0.6;
    ok(thaw_schedule_check(&schedule));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_schedule_is_a_factor),
        cmocka_unit_test(test_warmup_rises_in_a_line),
        cmocka_unit_test(test_slanted_is_that_of_the_paper),
        cmocka_unit_test(test_slanted_ends_low_whatever_is_rounded),
        cmocka_unit_test(test_milestones_must_ascend),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
