#include "thaw/base.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static int64_t count(void)
{
    thaw_where where;
    thaw_beat_look(&where);
    return where.count;
}

static void *beat_elsewhere(void *unused)
{
    thaw_beat("elsewhere");
    (void)thaw_beat_wait("elsewhere");
    assert_false(thaw_beat_begin());
    return unused;
}

static void test_only_the_watched_thread(void **state)
{
    (void)state;
    thaw_where where;
    pthread_t thread;
    const int64_t before = count();
    thaw_beat("unwatched");
    assert_int_equal(count(), before);
    assert_true(thaw_beat_begin());
    assert_false(thaw_beat_begin());
    thaw_beat("here");
    assert_int_equal(pthread_create(&thread, NULL, beat_elsewhere, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    thaw_beat_look(&where);
    assert_int_equal(where.count, before + 1);
    assert_string_equal(where.what, "here");
    assert_null(where.wait);
    thaw_beat_end();
    thaw_beat("unwatched");
    assert_int_equal(count(), before + 1);
    assert_true(thaw_beat_begin());
    thaw_beat_end();
}

static void *help(void *unused)
{
    thaw_beat_help();
    thaw_beat("by a helper");
    return unused;
}

/* What helps is progress while the watched thread waits for it, and at no other time: it could hide a hang. */
static void test_a_helper(void **state)
{
    (void)state;
    thaw_where where;
    pthread_t thread;
    assert_true(thaw_beat_begin());
    for (int lent = 0; lent < 2; lent++) {
        thaw_beat("here");
        thaw_beat_lend(lent != 0);
        const int64_t before = count();
        assert_int_equal(pthread_create(&thread, NULL, help, NULL), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        thaw_beat_look(&where);
        assert_int_equal(where.count, before + lent);
        assert_string_equal(where.what, lent ? "by a helper" : "here");
        thaw_beat_lend(false);
    }
    thaw_beat_end();
}

static void test_where(void **state)
{
    (void)state;
    thaw_where where;
    assert_true(thaw_beat_begin());
    thaw_beat_look(&where);
    assert_int_equal(where.step, -1);
    assert_string_equal(thaw_beat_phase("one"), "starting");
    assert_string_equal(thaw_beat_phase("two"), "one");
    thaw_beat_position(3, 14);
    thaw_beat("conv");
    thaw_beat_patience(true);
    thaw_beat_look(&where);
    assert_string_equal(where.phase, "two");
    assert_string_equal(where.what, "conv");
    assert_int_equal(where.epoch, 3);
    assert_int_equal(where.step, 14);
    assert_true(where.patient);
    thaw_beat_end();
}

/* A loop that polls in a wait makes no progress; the end of the outer wait is some. */
static void test_waits_nest(void **state)
{
    (void)state;
    thaw_where where;
    assert_true(thaw_beat_begin());
    const int64_t before = count();
    const char *outer = thaw_beat_wait("others");
    for (int i = 0; i < 5; i++) {
        const char *inner = thaw_beat_wait("MPI_Iprobe");
        thaw_beat_look(&where);
        assert_string_equal(where.wait, "MPI_Iprobe");
        thaw_beat_go(inner);
    }
    thaw_beat_look(&where);
    assert_string_equal(where.wait, "others");
    assert_int_equal(where.count, before);
    thaw_beat_go(outer);
    thaw_beat_look(&where);
    assert_null(where.wait);
    assert_int_equal(where.count, before + 1);
    thaw_beat_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_the_watched_thread),
        cmocka_unit_test(test_a_helper),
        cmocka_unit_test(test_where),
        cmocka_unit_test(test_waits_nest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
