/* Gradient sums: the same bits whoever adds what, and the words that ride along.
 * thaw-test: ranks=1,2,3,4,6,8 */
#include "reduce_test.h"

#include <float.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "comm/quantum_impl.h"

static void check_spreads(thaw_reduce_mode mode, thaw_reduce_travel travel, int64_t bucket_bytes,
                          spread how, const result alone[STEPS])
{
    static result here;
    thaw_reducer *r = make(mode, travel, bucket_bytes);
    bool equal = true;
    for (int step = 0; step < STEPS; step++) {
        run_step(r, world, how, step, &here);
        equal = equal && same(&here, &alone[step]);
    }
    assert_all(equal);
    thaw_reducer_free(&r);
}

static void bits_do_not_depend_on_the_spread(void **state)
{
    (void)state;
    static result alone[STEPS];
    for (int mode = THAW_REDUCE_EXACT; mode <= THAW_REDUCE_EXACT64; mode++) {
        run_alone((thaw_reduce_mode)mode, alone);
        assert_all(alone[0].redone == 1 && alone[1].redone == 0 && alone[2].redone == 1 &&
                   alone[4].redone == 1);
        for (spread how = CONTIGUOUS; how <= ALL_ON_LAST; how++) {
            check_spreads((thaw_reduce_mode)mode, THAW_TRAVEL_AUTO, 0, how, alone);
            check_spreads((thaw_reduce_mode)mode, THAW_TRAVEL_AT_END, 8000, how, alone);
            check_spreads((thaw_reduce_mode)mode, THAW_TRAVEL_OVERLAP, how == SCATTERED ? 200 : 0,
                          how, alone);
            /* Buckets of fewer elements than ranks, of chunks that differ by one, and more than can be under way. */
            check_spreads((thaw_reduce_mode)mode, THAW_TRAVEL_RING,
                          how == CONTIGUOUS  ? 12
                          : how == SCATTERED ? 200
                                             : 0,
                          how, alone);
        }
    }
}

/* The rounding of the result to float, and one rounding a shard to a quantum of at most 2^-24 of the bound (2^-29 in 64 bits). */
static void check_errors(int step, int tensor, bool wide, const float *out)
{
    static double truth[LARGEST];
    float data[LARGEST];
    double bound = 0;
    memset(truth, 0, sizeof truth);
    for (int s = 0; s < SHARDS; s++) {
        float peak = 0;
        make_shard(step, s, tensor, data);
        for (int64_t i = 0; i < sizes[tensor]; i++) {
            truth[i] += (double)data[i];
            peak = fmaxf(peak, fabsf(data[i]));
        }
        bound += (double)peak;
    }
    double allowed = SHARDS * 0.5 * bound * (wide ? 0x1p-29 : 0x1p-24) + 3 * 0x1p-149;
    for (int64_t i = 0; i < sizes[tensor]; i++)
        assert_true(fabs(3.0 * (double)out[i] - truth[i]) <= fabs(truth[i]) * 0x1p-23 + allowed);
}

static void errors_are_within_what_is_promised(void **state)
{
    (void)state;
    static result here;
    for (int mode = THAW_REDUCE_EXACT; mode <= THAW_REDUCE_EXACT64; mode++) {
        thaw_reducer *r = make((thaw_reduce_mode)mode, THAW_TRAVEL_AUTO, 0);
        for (int step = 0; step < STEPS; step++) {
            run_step(r, world, CONTIGUOUS, step, &here);
            const float *out = here.out;
            for (int t = 0; t < TENSORS; out += sizes[t], t++)
                check_errors(step, t, t != NARROW || mode == THAW_REDUCE_EXACT64, out);
        }
        thaw_reducer_free(&r);
    }
}

static void a_resumed_run_gives_the_same_bits(void **state)
{
    (void)state;
    static result through[STEPS], resumed;
    run_alone(THAW_REDUCE_EXACT, through);
    thaw_reducer *first = make(THAW_REDUCE_EXACT, THAW_TRAVEL_AUTO, 0);
    int32_t saved[TENSORS];
    for (int step = 0; step < 3; step++)
        run_step(first, world, CONTIGUOUS, step, &resumed);
    memcpy(saved, thaw_reducer_exponents(first), sizeof saved);
    thaw_reducer_free(&first);
    thaw_reducer *second = make(THAW_REDUCE_EXACT, THAW_TRAVEL_AUTO, 0);
    memcpy(thaw_reducer_exponents(second), saved, sizeof saved);
    for (int step = 3; step < STEPS; step++) {
        run_step(second, world, ROUND_ROBIN, step, &resumed);
        assert_all(same(&resumed, &through[step]));
    }
    thaw_reducer_free(&second);
}

static void float_sums_are_near(void **state)
{
    (void)state;
    static result alone[STEPS], here;
    run_alone(THAW_REDUCE_EXACT, alone);
    for (int travel = THAW_TRAVEL_AUTO; travel <= THAW_TRAVEL_RING; travel++) {
        thaw_reducer *r = make(THAW_REDUCE_FLOAT, (thaw_reduce_travel)travel, 800);
        for (int step = 0; step < STEPS; step++) {
            run_step(r, world, CONTIGUOUS, step, &here);
            const float *a = here.out, *b = alone[step].out;
            bool near = here.redone == 0;
            for (int t = 0; t < TENSORS; t++) {
                float largest = 0;
                for (int64_t i = 0; i < sizes[t]; i++)
                    largest = fmaxf(largest, fabsf(b[i]));
                /* 24 terms that partly cancel. */
                for (int64_t i = 0; i < sizes[t]; i++)
                    near = near && fabsf(*a++ - *b++) <= 50 * FLT_EPSILON * largest + FLT_TRUE_MIN;
            }
            assert_all(near);
            assert_all(here.count == alone[step].count && here.sum == alone[step].sum);
        }
        thaw_reducer_free(&r);
    }
}

static void bytes_are_what_was_sent(void **state)
{
    (void)state;
    static result here;
    static const struct {
        thaw_reduce_mode mode;
        int64_t bucket_bytes, bytes, calls;
    } cases[] = {
        /* 1 failed word, 7 bounds, 2 counts, 2 sums of 3 words. */
        {THAW_REDUCE_EXACT, 0, 4 * LARGEST + 8 * SMALL + 8 * 16, 2},
        {THAW_REDUCE_EXACT, 800, 4 * LARGEST + 8 * SMALL + 8 * 16,
         (LARGEST + 199) / 200 + (SMALL + 99) / 100},
        {THAW_REDUCE_EXACT64, 0, 8 * ALL + 8 * 16, 1},
        {THAW_REDUCE_EXACT64, 800, 8 * ALL + 8 * 16, (ALL + 99) / 100},
        {THAW_REDUCE_FLOAT, 0, 4 * ALL + 8 * 16, 2},
        {THAW_REDUCE_FLOAT, 800, 4 * ALL + 8 * 16, (ALL + 199) / 200 + 1},
        /* Half of what exact sends for the large tensor. */
        {THAW_REDUCE_BF16, 0, 2 * LARGEST + 8 * SMALL + 8 * 16, 2},
        {THAW_REDUCE_BF16, 800, 2 * LARGEST + 8 * SMALL + 8 * 16,
         (LARGEST + 399) / 400 + (SMALL + 99) / 100},
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++)
        for (int travel = THAW_TRAVEL_AUTO; travel <= THAW_TRAVEL_RING; travel++) {
            thaw_reducer *r =
                make(cases[c].mode, (thaw_reduce_travel)travel, cases[c].bucket_bytes);
            run_step(r, world, CONTIGUOUS, 0, &here);
            thaw_comm_counters a = thaw_comm_count(world);
            int64_t allocations = thaw_alloc_count();
            run_step(r, world, CONTIGUOUS, 1, &here);
            assert_all(thaw_alloc_count() == allocations);
            thaw_comm_counters b = thaw_comm_count(world);
            int64_t bytes = 0, calls = 0;
            thaw_reducer_plan(r, &bytes, &calls);
            const bool shared = travel == THAW_TRAVEL_AUTO && thaw_comm_size(world) > 1;
            const int64_t expected = shared ? 1 : cases[c].calls;
            assert_all(b.gradient_bytes - a.gradient_bytes == cases[c].bytes &&
                       bytes == cases[c].bytes);
            assert_all(b.gradient_calls - a.gradient_calls == expected && calls == expected);
            assert_all(b.allreduce_calls == a.allreduce_calls);
            thaw_reducer_free(&r);
        }
}

/* One step where one shard has one bad element. */
static thaw_reduce_outcome step_with(thaw_reducer *r, int culprit, int tensor, float value)
{
    float data[LARGEST];
    int rank = thaw_comm_rank(world), size = thaw_comm_size(world);
    thaw_reducer_begin(r);
    for (int s = 0; s < SHARDS; s++) {
        if (owner(CONTIGUOUS, s, size) != rank)
            continue;
        for (int t = 0; t < TENSORS; t++) {
            make_shard(3, s, t, data);
            if (s == culprit && t == tensor)
                data[sizes[t] - 1] = value;
            thaw_reducer_add(r, t, data);
        }
    }
    thaw_reduce_outcome outcome;
    thaw_status status = thaw_reducer_finish(r, world, &outcome);
    assert_all(status == THAW_OK);
    return outcome;
}

static void what_is_not_finite_is_found(void **state)
{
    (void)state;
    static const float values[] = {NAN, INFINITY, -INFINITY};
    for (int mode = THAW_REDUCE_EXACT; mode <= THAW_REDUCE_BF16; mode++) {
        const bool by_messages = mode == THAW_REDUCE_EXACT64;
        thaw_reducer *r =
            make((thaw_reduce_mode)mode, by_messages ? THAW_TRAVEL_AT_END : THAW_TRAVEL_AUTO, 0);
        for (int i = 0; i < 3; i++) {
            assert_all(step_with(r, i * 11, 4, values[i]) == THAW_REDUCE_NOT_FINITE);
            assert_all(thaw_reducer_culprit(r) == 4);
            assert_all(step_with(r, i * 7, NARROW, values[i]) == THAW_REDUCE_NOT_FINITE);
            assert_all(thaw_reducer_culprit(r) == NARROW);
        }
        /* A loss that is not a number has no tensor to blame. */
        thaw_reducer_begin(r);
        thaw_reducer_add_sum(r, 0, thaw_comm_rank(world) == 0 ? NAN : 1);
        thaw_reduce_outcome outcome;
        assert_all(thaw_reducer_finish(r, world, &outcome) == THAW_OK);
        assert_all(outcome == THAW_REDUCE_NOT_FINITE && thaw_reducer_culprit(r) == -1);
        thaw_reducer_free(&r);
    }
}

static void a_finite_step_may_have_a_sum_beyond_float(void **state)
{
    (void)state;
    for (int tensor = 0; tensor <= NARROW; tensor += NARROW) {
        thaw_reducer *r = make(THAW_REDUCE_EXACT, THAW_TRAVEL_AUTO, 0);
        float data[LARGEST] = {FLT_MAX};
        thaw_reduce_outcome outcome = THAW_REDUCE_REDO;
        for (int pass = 0; pass < 2; pass++) {
            assert_all(outcome == THAW_REDUCE_REDO);
            thaw_reducer_begin(r);
            if (thaw_comm_rank(world) == 0)
                for (int s = 0; s < 2; s++)
                    thaw_reducer_add(r, tensor, data);
            assert_all(thaw_reducer_finish(r, world, &outcome) == THAW_OK);
        }
        assert_all(outcome == THAW_REDUCE_NOT_FINITE && thaw_reducer_culprit(r) == tensor);
        thaw_reducer_free(&r);
    }
}

static void one_large_element_makes_all_do_the_step_again(void **state)
{
    (void)state;
    static result here;
    float out[LARGEST];
    static const int tensors[] = {2, NARROW};
    for (int i = 0; i < 4; i++) {
        const int t = tensors[i % 2];
        thaw_reducer *r =
            make(THAW_REDUCE_EXACT, i < 2 ? THAW_TRAVEL_AUTO : THAW_TRAVEL_AT_END, 800);
        run_step(r, world, CONTIGUOUS, 3, &here);
        assert_all(step_with(r, 17, t, -3e20F) == THAW_REDUCE_REDO);
        assert_all(step_with(r, 17, t, -3e20F) == THAW_REDUCE_OK);
        thaw_reducer_get(r, t, 1, out);
        assert_all(fabsf(out[sizes[t] - 1] + 3e20F) <= 3e20F * FLT_EPSILON);
        /* Back to values that vanish in such a quantum: again a second try, then as if nothing had been. */
        assert_all(step_with(r, -1, 0, 0) == THAW_REDUCE_REDO);
        assert_all(step_with(r, -1, 0, 0) == THAW_REDUCE_OK);
        assert_all(thaw_reducer_exponents(r)[t] == here.exponents[t]);
        thaw_reducer_free(&r);
    }
}

/* Of a table of words most rows are far smaller than the largest element, and AdamW takes each by its own size. What makes the
 * step be done again is another tensor, as a transformer's biases of keys are. */
static void a_second_try_measures_all_first_quanta(void **state)
{
    (void)state;
    const float tiny[] = {1e-12F, 0, 0};
    float data[LARGEST] = {1, 5e-7F};
    thaw_reducer *r = make(THAW_REDUCE_EXACT, THAW_TRAVEL_AUTO, 0);
    float out[LARGEST];
    thaw_reduce_outcome outcome = THAW_REDUCE_OK;
    for (int pass = 0; pass < 2; pass++) {
        thaw_reducer_begin(r);
        if (thaw_comm_rank(world) == 0) {
            thaw_reducer_add(r, 0, tiny);
            thaw_reducer_add(r, NARROW, data);
        }
        assert_all(thaw_reducer_finish(r, world, &outcome) == THAW_OK);
        assert_all(outcome == (pass == 0 ? THAW_REDUCE_REDO : THAW_REDUCE_OK));
    }
    thaw_reducer_get(r, NARROW, 1, out);
    /* One rounding to a quantum of 2^-24: SHARDS as large as this one would fit. */
    assert_all(out[0] == 1 && fabs((double)out[1] - 5e-7) <= ldexp(1, -25));
    assert_all(thaw_reducer_exponents(r)[2] == THAW_EXPONENT_UNKNOWN);
    thaw_reducer_free(&r);
}

/* Each shard would fit alone. */
static void many_shards_that_fit_alone_may_not_fit_together(void **state)
{
    (void)state;
    float data[LARGEST] = {0};
    thaw_reducer *r = make(THAW_REDUCE_EXACT, THAW_TRAVEL_AUTO, 0);
    float out[LARGEST];
    for (int step = 0; step < 2; step++) {
        thaw_reduce_outcome outcome = THAW_REDUCE_REDO;
        int passes = 0;
        for (; outcome == THAW_REDUCE_REDO && passes < 3; passes++) {
            thaw_reducer_begin(r);
            for (int s = 0; s < SHARDS; s++) {
                data[s] = step == 0 ? 4096 : 300 * 4096;
                if (owner(ROUND_ROBIN, s, thaw_comm_size(world)) == thaw_comm_rank(world) &&
                    (step == 1 || s == 0))
                    thaw_reducer_add(r, NARROW, data);
                data[s] = 0;
            }
            assert_all(thaw_reducer_finish(r, world, &outcome) == THAW_OK);
        }
        assert_all(outcome == THAW_REDUCE_OK && passes == step + 1);
        thaw_reducer_get(r, NARROW, 1, out);
        assert_all(out[0] == data[0] + (step == 0 ? 4096 : 300 * 4096) && out[SHARDS] == 0);
    }
    thaw_reducer_free(&r);
}

static void with_many_shards_all_are_wide(void **state)
{
    (void)state;
    const thaw_reducer_options options = {.mode = THAW_REDUCE_EXACT, .shards = 257};
    thaw_reducer *r = NULL;
    assert_all(thaw_reducer_new(sizes, TENSORS, &options, &r) == THAW_OK);
    int64_t bytes = 0, calls = 0;
    thaw_reducer_plan(r, &bytes, &calls);
    assert_all(bytes == 8 * (ALL + 1 + TENSORS) && calls == 1);
    thaw_reducer_free(&r);
}

static void terms_that_cancel_do_not_repeat_for_ever(void **state)
{
    (void)state;
    thaw_reducer *r = make(THAW_REDUCE_EXACT, THAW_TRAVEL_AUTO, 0);
    float data[LARGEST] = {1000};
    float out[3];
    for (int step = 0; step < 4; step++) {
        thaw_reduce_outcome outcome = THAW_REDUCE_REDO;
        for (int pass = 0; pass < 2 && outcome == THAW_REDUCE_REDO; pass++) {
            thaw_reducer_begin(r);
            for (int s = 0; s < SHARDS; s++) {
                data[0] = step % 2 == 0 ? (s % 2 == 0 ? 1000 : -1000) : 1000;
                if (owner(CONTIGUOUS, s, thaw_comm_size(world)) == thaw_comm_rank(world))
                    thaw_reducer_add(r, 0, data);
            }
            assert_all(thaw_reducer_finish(r, world, &outcome) == THAW_OK);
        }
        assert_all(outcome == THAW_REDUCE_OK);
        thaw_reducer_get(r, 0, 1, out);
        assert_all(out[0] == (step % 2 == 0 ? 0 : 1000 * SHARDS));
    }
    thaw_reducer_free(&r);
}

static void a_failed_rank_stays_present(void **state)
{
    (void)state;
    float data[LARGEST] = {1};
    int rank = thaw_comm_rank(world), size = thaw_comm_size(world);
    for (int travel = THAW_TRAVEL_AUTO; travel <= THAW_TRAVEL_RING; travel++)
        for (int after = 0; after <= TENSORS; after++) {
            thaw_reducer *r = make(THAW_REDUCE_EXACT, (thaw_reduce_travel)travel, 400);
            thaw_reducer_begin(r);
            for (int t = 0; t < TENSORS; t++) {
                if (rank == size - 1 && t == after)
                    break;
                thaw_reducer_add(r, t, data);
                thaw_reducer_ready(r, world, t);
            }
            if (rank == size - 1)
                thaw_reducer_fail(r, THAW_FAIL(THAW_ERR_INPUT, "sample 12 cannot be read"));
            thaw_reduce_outcome outcome;
            thaw_status status = thaw_reducer_finish(r, world, &outcome);
            assert_all(status == THAW_ERR_INPUT);
            assert_all(strstr(thaw_error_last()->message, "sample 12 cannot be read") != NULL);
            thaw_reducer_free(&r);
        }
}

/* A rank that is ahead must not overwrite sums that another one still reads. */
static void slow_readers_get_their_sums(void **state)
{
    (void)state;
    static float data[LARGEST], out[LARGEST];
    const int rank = thaw_comm_rank(world), size = thaw_comm_size(world);
    thaw_reducer *r = make(THAW_REDUCE_EXACT, THAW_TRAVEL_AUTO, 0);
    bool right = true;
    for (int step = 0; step < 40; step++) {
        thaw_reduce_outcome outcome = THAW_REDUCE_REDO;
        while (outcome == THAW_REDUCE_REDO) {
            thaw_reducer_begin(r);
            for (int64_t i = 0; i < LARGEST; i++)
                data[i] = (float)(step + 1);
            if (step % 3 != 2 || rank != 0)
                thaw_reducer_add(r, NARROW, data);
            if (thaw_reducer_finish(r, world, &outcome) != THAW_OK)
                fail_msg("%s", thaw_error_last()->message);
        }
        if (step % size == rank)
            (void)nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
        thaw_reducer_get(r, NARROW, 1, out);
        const int shards = step % 3 != 2 ? size : size - 1;
        for (int64_t i = 0; i < LARGEST; i++)
            right = right && out[i] == (float)((step + 1) * shards);
    }
    assert_all(right);
    thaw_reducer_free(&r);
}

static void nothing_trainable_is_one_small_message(void **state)
{
    (void)state;
    for (int mode = THAW_REDUCE_EXACT; mode <= THAW_REDUCE_BF16; mode++) {
        thaw_reducer *r = NULL;
        thaw_reducer_options options = {.mode = (thaw_reduce_mode)mode, .shards = 1, .counts = 1};
        assert_all(thaw_reducer_new(NULL, 0, &options, &r) == THAW_OK);
        int64_t bytes = 0, calls = 0;
        thaw_reducer_plan(r, &bytes, &calls);
        assert_all(bytes == 16 && calls == 1);
        thaw_reducer_begin(r);
        thaw_reducer_add_count(r, 0, 1);
        thaw_reduce_outcome outcome;
        assert_all(thaw_reducer_finish(r, world, &outcome) == THAW_OK && outcome == THAW_REDUCE_OK);
        assert_all(thaw_reducer_count(r, 0) == thaw_comm_size(world));
        thaw_reducer_free(&r);
    }
    thaw_reducer *r = NULL;
    thaw_reducer_options none = {.shards = 0};
    assert_all(thaw_reducer_new(NULL, 0, &none, &r) == THAW_ERR_FAIL && r == NULL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest reduce[] = {
        cmocka_unit_test(bits_do_not_depend_on_the_spread),
        cmocka_unit_test(errors_are_within_what_is_promised),
        cmocka_unit_test(a_resumed_run_gives_the_same_bits),
        cmocka_unit_test(float_sums_are_near),
        cmocka_unit_test(bytes_are_what_was_sent),
        cmocka_unit_test(what_is_not_finite_is_found),
        cmocka_unit_test(a_finite_step_may_have_a_sum_beyond_float),
        cmocka_unit_test(one_large_element_makes_all_do_the_step_again),
        cmocka_unit_test(a_second_try_measures_all_first_quanta),
        cmocka_unit_test(many_shards_that_fit_alone_may_not_fit_together),
        cmocka_unit_test(with_many_shards_all_are_wide),
        cmocka_unit_test(terms_that_cancel_do_not_repeat_for_ever),
        cmocka_unit_test(a_failed_rank_stays_present),
        cmocka_unit_test(slow_readers_get_their_sums),
        cmocka_unit_test(nothing_trainable_is_one_small_message),
    };
    return mpi_test_main(argc, argv, reduce);
}
