/* The thread that reads rows ahead, on a source that notes what it was asked for. Run it under ThreadSanitizer after a change. */
#include "data_test.h"

#include <stdatomic.h>

#include "data/ahead_impl.h"

/* Row i of split s is the number 1000 s + i; `bad` cannot be read, and a read waits while `held`. */
typedef struct source {
    atomic_int reads, rows;
    atomic_bool held;
    int64_t bad;
} source;

static thaw_status read_numbers(const void *context, int64_t split, int64_t first, int64_t n,
                                void *out)
{
    source *s = (source *)context;
    int64_t *numbers = out;
    atomic_fetch_add(&s->reads, 1);
    while (atomic_load(&s->held)) {
    }
    for (int64_t i = 0; i < n; i++) {
        if (first + i == s->bad)
            return THAW_FAIL(THAW_ERR_INPUT, "row %lld is bad", (long long)s->bad);
        numbers[i] = 1000 * split + first + i;
    }
    atomic_fetch_add(&s->rows, (int)n);
    return THAW_OK;
}

static thaw_ahead *start(source *s, int64_t room)
{
    thaw_ahead *a = NULL;
    assert_ok(thaw_ahead_start(read_numbers, s, room, sizeof(int64_t), &a));
    assert_int_equal(thaw_ahead_room(a), room);
    return a;
}

/* -1: it was not there. */
static int64_t take(thaw_ahead *a, int64_t split, int64_t index)
{
    const int64_t *row = thaw_ahead_take(a, split, index);
    return row != NULL ? *row : -1;
}

static void rows_are_there_in_any_order(void **state)
{
    (void)state;
    const int64_t live = thaw_alloc_live();
    source s = {.bad = -1};
    thaw_ahead *a = start(&s, 8);
    thaw_ahead_ask(a, 2, 5, (const int64_t[]){7, 8, 3, 4, 7});
    thaw_ahead_ask(a, 1, 1, (const int64_t[]){7});
    assert_int_equal(take(a, 2, 3), 2003);
    assert_int_equal(take(a, 1, 7), 1007);
    assert_int_equal(take(a, 2, 7), 2007);
    assert_int_equal(take(a, 2, 8), 2008);
    assert_int_equal(take(a, 2, 4), 2004);
    assert_int_equal(take(a, 2, 7), 2007); /* asked for twice */
    assert_int_equal(take(a, 2, 7), -1);
    assert_int_equal(take(a, 2, 9), -1);
    assert_int_equal(atomic_load(&s.rows), 6);
    thaw_ahead_stop(&a);
    assert_null(a);
    thaw_ahead_stop(&a);
    assert_int_equal(thaw_alloc_live(), live);
}

/* As in training: the rows of the next round are asked for, then those of this one taken. */
static void many_rounds_find_every_row(void **state)
{
    (void)state;
    source s = {.bad = -1};
    thaw_ahead *a = start(&s, 10);
    int64_t now[5], next[5];
    for (uint32_t round = 0; round <= 2000; round++) {
        for (int64_t i = 0; i < 5; i++) {
            now[i] = thaw_permute(1, round, 100, i);
            next[i] = thaw_permute(1, round + 1, 100, i);
        }
        thaw_ahead_ask(a, 0, 5, next);
        for (int64_t i = 0; i < 5; i++)
            assert_int_equal(take(a, 0, now[i]), round > 0 ? now[i] : -1);
        if (round % 7 != 0)
            continue;
        thaw_ahead_pause(a);
        const int reads = atomic_load(&s.reads);
        for (volatile int spin = 0; spin < 1000; spin++) {
        }
        assert_int_equal(atomic_load(&s.reads), reads);
    }
    thaw_ahead_stop(&a);
}

static void a_paused_thread_leaves_rows_to_the_caller(void **state)
{
    (void)state;
    source s = {.bad = -1, .held = true};
    thaw_ahead *a = start(&s, 8);
    thaw_ahead_ask(a, 0, 1, (const int64_t[]){1});
    while (atomic_load(&s.reads) == 0) {
    }
    thaw_ahead_ask(a, 0, 2, (const int64_t[]){5, 7}); /* wait behind row 1 */
    atomic_store(&s.held, false);
    assert_int_equal(take(a, 0, 1), 1);
    thaw_ahead_pause(a);
    (void)take(a, 0, 5); /* there or not, as the thread was quick or slow */
    (void)take(a, 0, 7);
    const int reads = atomic_load(&s.reads);
    thaw_ahead_ask(a, 0, 1, (const int64_t[]){9});
    assert_int_equal(take(a, 0, 9), 9);
    assert_int_equal(atomic_load(&s.reads),
                     reads + 1); /* what the caller had read is not read again */
    thaw_ahead_stop(&a);
}

static void without_room_the_oldest_go_or_none_are_asked(void **state)
{
    (void)state;
    source s = {.bad = -1};
    thaw_ahead *a = start(&s, 3);
    thaw_ahead_ask(a, 0, 3, (const int64_t[]){1, 3, 5});
    assert_int_equal(take(a, 0, 5), 5); /* so the others are read, too */
    thaw_ahead_ask(a, 0, 1, (const int64_t[]){9});
    assert_int_equal(take(a, 0, 9), 9);
    assert_int_equal(take(a, 0, 1), -1);
    assert_int_equal(take(a, 0, 3), 3);
    atomic_store(&s.held, true);
    thaw_ahead_ask(a, 0, 5, (const int64_t[]){11, 13, 15, 17, 19});
    atomic_store(&s.held, false);
    assert_int_equal(take(a, 0, 19), -1);
    assert_int_equal(take(a, 0, 15), 15);
    thaw_ahead_stop(&a);
}

static void a_row_that_cannot_be_read_is_the_callers(void **state)
{
    (void)state;
    source s = {.bad = 4};
    thaw_ahead *a = start(&s, 8);
    thaw_ahead_ask(a, 0, 3, (const int64_t[]){2, 4, 6});
    assert_int_equal(take(a, 0, 2), 2);
    assert_int_equal(take(a, 0, 4), -1);
    assert_int_equal(take(a, 0, 6), 6);
    thaw_ahead_stop(&a);
}

static void it_stops_with_rows_unread(void **state)
{
    (void)state;
    source s = {.bad = -1};
    for (int64_t round = 0; round < 50; round++) {
        thaw_ahead *a = start(&s, 64);
        int64_t indices[64];
        for (int64_t i = 0; i < 64; i++)
            indices[i] = 2 * i;
        thaw_ahead_ask(a, 0, 64, indices);
        thaw_ahead_stop(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_there_in_any_order),
        cmocka_unit_test(many_rounds_find_every_row),
        cmocka_unit_test(a_paused_thread_leaves_rows_to_the_caller),
        cmocka_unit_test(without_room_the_oldest_go_or_none_are_asked),
        cmocka_unit_test(a_row_that_cannot_be_read_is_the_callers),
        cmocka_unit_test(it_stops_with_rows_unread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
