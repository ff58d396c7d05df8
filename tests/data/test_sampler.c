#include "data_test.h"

/* Sizes that divide nothing, more shards than samples, one sample. */
static const thaw_sampler cases[] = {
    {.count = 1000, .batch = 64, .shards = 24, .seed = 7},
    {.count = 997, .batch = 100, .shards = 7, .seed = 1},
    {.count = 5, .batch = 64, .shards = 24, .seed = 2},
    {.count = 1, .batch = 1, .shards = 1, .seed = 3},
    {.count = 128, .batch = 64, .shards = 64, .seed = 4},
};
#define CASES (sizeof cases / sizeof cases[0])

/* All shards of all steps of an epoch, in order, to seen (count). */
static void walk(const thaw_sampler *s, uint32_t epoch, int64_t *order)
{
    int64_t at = 0;
    for (int64_t step = 0; step < thaw_sampler_steps(s); step++) {
        int64_t n = thaw_sampler_batch_size(s, step), next = 0;
        assert_true(n >= 1 && n <= s->batch);
        assert_true(n == s->batch || step == thaw_sampler_steps(s) - 1);
        for (int64_t shard = 0; shard < s->shards; shard++) {
            int64_t begin, end;
            thaw_sampler_shard(s, step, shard, &begin, &end);
            assert_int_equal(begin, next);
            assert_true(end - begin >= n / s->shards && end - begin <= thaw_sampler_shard_most(s));
            assert_true(end - begin <= (n - 1) / s->shards + 1);
            thaw_sampler_fill(s, epoch, step, begin, end, order + at);
            at += end - begin;
            next = end;
        }
        assert_int_equal(next, n);
    }
    assert_int_equal(at, s->count);
}

static void every_sample_is_seen_once_an_epoch(void **state)
{
    (void)state;
    for (size_t c = 0; c < CASES; c++) {
        int64_t *order = calloc((size_t)cases[c].count, sizeof *order);
        for (uint32_t epoch = 0; epoch < 3; epoch++) {
            uint8_t *seen = calloc((size_t)cases[c].count, 1);
            walk(&cases[c], epoch, order);
            for (int64_t i = 0; i < cases[c].count; i++) {
                assert_true(order[i] >= 0 && order[i] < cases[c].count);
                assert_int_equal(seen[order[i]]++, 0);
            }
            free(seen);
        }
        free(order);
    }
}

static void shards_do_not_change_the_order(void **state)
{
    (void)state;
    int64_t one[1000], many[1000];
    thaw_sampler s = cases[0];
    walk(&s, 5, one);
    s.shards = 3;
    walk(&s, 5, many);
    assert_memory_equal(one, many, sizeof one);
}

static void epochs_and_seeds_differ_and_order_is_kept_for_evaluation(void **state)
{
    (void)state;
    int64_t a[1000], b[1000];
    thaw_sampler s = cases[0];
    walk(&s, 0, a);
    walk(&s, 1, b);
    assert_memory_not_equal(a, b, sizeof a);
    s.seed++;
    walk(&s, 0, b);
    assert_memory_not_equal(a, b, sizeof a);
    s.in_order = true;
    walk(&s, 0, b);
    for (int64_t i = 0; i < 1000; i++)
        assert_int_equal(b[i], i);
}

static void a_step_is_found_without_those_before(void **state)
{
    (void)state;
    int64_t order[1000], part[64];
    walk(&cases[0], 2, order);
    thaw_sampler_fill(&cases[0], 2, 9, 13, 40, part);
    assert_memory_equal(part, order + 9 * 64 + 13, 27 * sizeof *part);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sample_is_seen_once_an_epoch),
        cmocka_unit_test(shards_do_not_change_the_order),
        cmocka_unit_test(epochs_and_seeds_differ_and_order_is_kept_for_evaluation),
        cmocka_unit_test(a_step_is_found_without_those_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
