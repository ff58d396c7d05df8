/* Choosing quanta, rounding to them and back. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "comm/quantum_impl.h"

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static const thaw_quantum_rule *const rules[] = {&thaw_quantum_narrow, &thaw_quantum_wide};

static void add(const thaw_quantum_rule *rule, int64_t *sum, float x, int exponent, bool first)
{
    uint32_t narrow = (uint32_t)*sum;
    if (rule == &thaw_quantum_wide)
        (void)thaw_wide_add(sum, &x, 1, exponent, first);
    else {
        (void)thaw_narrow_add(&narrow, &x, 1, exponent, first);
        *sum = (int32_t)narrow;
    }
}

static float get(const thaw_quantum_rule *rule, int64_t sum, int exponent)
{
    float out = 0;
    uint32_t narrow = (uint32_t)sum;
    if (rule == &thaw_quantum_wide)
        thaw_wide_get(&sum, 1, exponent, 1, &out);
    else
        thaw_narrow_get(&narrow, 1, exponent, 1, &out);
    return out;
}

static void a_quantum_from_a_peak_fits_and_is_fine(void **state)
{
    (void)state;
    const float peaks[] = {1, 1.5F, FLT_MAX, FLT_MIN, FLT_TRUE_MIN, 3e-20F, 0.99999994F};
    const int64_t shards[] = {1, 2, 24, 256};
    for (size_t r = 0; r < 2; r++)
        for (size_t i = 0; i < sizeof peaks / sizeof peaks[0]; i++)
            for (size_t s = 0; s < 4; s++) {
                int32_t exponent = thaw_quantum_from_peak(rules[r], bits_of(peaks[i]), shards[s]);
                int64_t each = thaw_quantum_bound(rules[r], bits_of(peaks[i]), exponent);
                assert_true(thaw_quantum_fits(rules[r], each * shards[s]));
                assert_false(thaw_quantum_coarse(rules[r], each));
                int64_t sum = 7;
                for (int64_t k = 0; k < shards[s]; k++)
                    add(rules[r], &sum, -peaks[i], exponent, k == 0);
                /* A quantum at most 2^-21 of the peak, of which each shard may be off by half. */
                double exact = -(double)peaks[i] * (double)shards[s];
                double unit = ldexp(1, exponent);
                assert_true(unit <= (double)peaks[i] * 0x1p-21);
                assert_true(fabs((double)sum * unit - exact) <= 0.5 * (double)shards[s] * unit);
                if (s == 0)
                    assert_int_equal(bits_of(get(rules[r], sum, exponent)), bits_of(-peaks[i]));
            }
}

static void bounds_cover_what_is_rounded(void **state)
{
    (void)state;
    const float peaks[] = {0.5F, 0.4999F, 1, 1.5F, 3.0000002F, 0x1p23F, 0x1.fffffep29F, 1e-30F};
    for (size_t i = 0; i < sizeof peaks / sizeof peaks[0]; i++) {
        int64_t sum = 0;
        add(&thaw_quantum_narrow, &sum, peaks[i], 0, true);
        assert_true(sum <= thaw_quantum_bound(&thaw_quantum_narrow, bits_of(peaks[i]), 0));
    }
    assert_int_equal(thaw_quantum_bound(&thaw_quantum_narrow, bits_of(1e-30F), 0), 1);
    assert_int_equal(thaw_quantum_bound(&thaw_quantum_narrow, 0, 0), 0);
    assert_int_equal(thaw_quantum_bound(&thaw_quantum_narrow, bits_of(2.5F), 0), 3);
    assert_int_equal(thaw_quantum_bound(&thaw_quantum_wide, bits_of(0x1.4p21F), 0), 3);
}

static void what_does_not_fit_is_known(void **state)
{
    (void)state;
    assert_true(thaw_quantum_fits(&thaw_quantum_narrow, INT32_MAX));
    assert_false(thaw_quantum_fits(&thaw_quantum_narrow, INT64_C(1) << 31));
    assert_false(thaw_quantum_fits(&thaw_quantum_wide, INT64_C(1) << 42));
    const float large[] = {0x1p31F, 0x1p62F, FLT_MAX, INFINITY, -NAN, NAN};
    for (size_t r = 0; r < 2; r++)
        for (size_t i = r; i < sizeof large / sizeof large[0]; i++) {
            uint32_t peak = bits_of(large[i]) & 0x7fffffff;
            int64_t bound = thaw_quantum_bound(rules[r], peak, 0);
            assert_false(thaw_quantum_fits(rules[r], bound));
            /* As many as there may be: the sum of bounds itself does not overflow. */
            assert_true(bound <= INT64_MAX >> 20);
            int64_t sum = 1;
            add(rules[r], &sum, large[i], 0, false);
        }
    /* As much as fits is summed right. */
    int64_t sum = 0;
    add(&thaw_quantum_narrow, &sum, -0x1p30F, 0, true);
    add(&thaw_quantum_narrow, &sum, -0x1.fffffep29F, 0, false);
    assert_true(sum == -INT64_C(0x7fffffc0));
    float bad[4] = {1, NAN, 2, INFINITY}, none[4];
    uint32_t narrow[4];
    int64_t wide[4];
    assert_true(thaw_narrow_add(narrow, bad, 4, 0, true) > THAW_INFINITY_BITS);
    assert_true(thaw_narrow_add(narrow, bad + 2, 2, 0, true) == THAW_INFINITY_BITS);
    assert_true(thaw_wide_add(wide, bad, 4, 0, true) > THAW_INFINITY_BITS);
    assert_true(thaw_wide_add(wide, bad + 2, 2, 0, true) == THAW_INFINITY_BITS);
    assert_true(thaw_float_add(none, bad, 4, true) > THAW_INFINITY_BITS);
}

static void quanta_follow_slowly_down_and_at_once_up(void **state)
{
    (void)state;
    const thaw_quantum_rule *n = &thaw_quantum_narrow, *w = &thaw_quantum_wide;
    for (size_t r = 0; r < 2; r++) {
        assert_int_equal(thaw_quantum_next(rules[r], 5, 0), 5);
        assert_int_equal(thaw_quantum_next(rules[r], THAW_QUANTUM_UNKNOWN, 0),
                         THAW_QUANTUM_UNKNOWN);
        assert_int_equal(thaw_quantum_next(rules[r], 5, 1), 5 - rules[r]->most_fall);
    }
    assert_int_equal(thaw_quantum_next(n, 5, INT64_C(1) << 26), 5);
    assert_int_equal(thaw_quantum_next(n, 5, (INT64_C(1) << 27) - 1), 5);
    assert_int_equal(thaw_quantum_next(n, 5, INT64_C(1) << 27), 6);
    assert_int_equal(thaw_quantum_next(n, 5, INT64_C(1) << 30), 9);
    assert_int_equal(thaw_quantum_next(n, 5, INT64_C(1) << 20), 4);
    assert_int_equal(thaw_quantum_next(w, 5, INT64_C(1) << 25), 5);
    assert_int_equal(thaw_quantum_next(w, 5, INT64_C(1) << 41), 21);
    assert_int_equal(thaw_quantum_next(w, 5, INT64_C(1) << 20), 0);
    assert_int_equal(thaw_quantum_next(n, THAW_QUANTUM_UNKNOWN, INT64_C(1) << 26),
                     thaw_quantum_start(n, THAW_QUANTUM_UNKNOWN));
}

static void few_bits_are_coarse(void **state)
{
    (void)state;
    /* All zero is as fine as can be. */
    assert_false(thaw_quantum_coarse(&thaw_quantum_narrow, 0));
    assert_true(thaw_quantum_coarse(&thaw_quantum_narrow, 1));
    assert_true(thaw_quantum_coarse(&thaw_quantum_narrow, (1 << 15) - 1));
    assert_false(thaw_quantum_coarse(&thaw_quantum_narrow, 1 << 15));
    assert_true(thaw_quantum_coarse(&thaw_quantum_wide, (1 << 9) - 1));
    assert_false(thaw_quantum_coarse(&thaw_quantum_wide, 1 << 9));
}

static void halves_go_to_even_and_ends_of_the_range_are_scaled(void **state)
{
    (void)state;
    const float x[] = {0.5F, 1.5F, -0.5F, -2.5F, 0.50000006F, -0.0F};
    const int expected[] = {0, 2, 0, -2, 1, 0};
    for (size_t r = 0; r < 2; r++)
        for (size_t i = 0; i < sizeof x / sizeof x[0]; i++) {
            int64_t sum = 9;
            add(rules[r], &sum, x[i], 0, true);
            assert_int_equal(sum, expected[i]);
            add(rules[r], &sum, x[i] * 0x1p-100F, -100, true);
            assert_int_equal(sum, expected[i]);
            add(rules[r], &sum, x[i] * 0x1p100F, 100, true);
            assert_int_equal(sum, expected[i]);
        }
    int64_t sum = 0;
    add(&thaw_quantum_narrow, &sum, FLT_TRUE_MIN, -149 - 30, true);
    assert_int_equal(sum, 1 << 30);
    assert_int_equal(bits_of(get(&thaw_quantum_narrow, sum, -149 - 30)), 1);
}

static void odd_lengths_are_summed_whole(void **state)
{
    (void)state;
    /* Vector and remainder loops must agree with the definition. */
    enum { N = 67 };
    float x[N], out[N], out_wide[N], single[N];
    uint32_t narrow[N];
    int64_t wide[N];
    for (int64_t n = 0; n <= N; n++) {
        for (int64_t i = 0; i < N; i++) {
            x[i] = (float)(i - 30) * 1.25F;
            narrow[i] = UINT32_MAX;
            wide[i] = -1;
            out[i] = out_wide[i] = -1;
        }
        for (int pass = 0; pass < 2; pass++) {
            (void)thaw_narrow_add(narrow, x, n, -3, pass == 0);
            (void)thaw_wide_add(wide, x, n, -3, pass == 0);
            (void)thaw_float_add(single, x, n, pass == 0);
        }
        thaw_narrow_get(narrow, n, -3, 0.5, out);
        thaw_wide_get(wide, n, -3, 0.5, out_wide);
        uint64_t expected = 0;
        for (int64_t i = 0; i < N; i++) {
            assert_true(wide[i] == (i < n ? (i - 30) * 20 : -1));
            assert_true((int32_t)narrow[i] == wide[i]);
            assert_true(out[i] == (i < n ? x[i] : -1) && out_wide[i] == out[i]);
            if (i < n) {
                assert_true(single[i] == 2 * x[i]);
                expected |= (uint64_t)(wide[i] < 0 ? ~wide[i] : wide[i]);
            }
        }
        assert_true(thaw_wide_bits(wide, n) == expected && thaw_narrow_bits(narrow, n) == expected);
    }
}

/* All upper halves, with lower ones on both sides of every half and on it. */
static void bf16_is_the_nearest_and_ties_go_to_even(void **state)
{
    (void)state;
    static const uint32_t lower[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff};
    for (uint32_t upper = 0; upper < 0x10000; upper++)
        for (size_t k = 0; k < sizeof lower / sizeof *lower; k++) {
            const uint32_t bits = upper << 16 | lower[k];
            float x;
            uint16_t half;
            float back = -1;
            memcpy(&x, &bits, sizeof x);
            thaw_bf16_round(&x, 1, &half);
            thaw_bf16_get(&half, 1, 1, &back);
            if (isnan(x)) {
                assert_true(isnan(back) && !thaw_bf16_finite(&half, 1));
                continue;
            }
            const bool up = lower[k] > 0x8000 || (lower[k] == 0x8000 && upper % 2 == 1);
            assert_int_equal(half, upper + up);
            assert_true(thaw_bf16_finite(&half, 1) == (isfinite(back) != 0));
        }
}

static void bf16_loops_agree_with_the_definition(void **state)
{
    (void)state;
    enum { N = 67 };
    float x[N], sum[N], out[N];
    uint16_t half[N], joined[N];
    for (int64_t n = 0; n <= N; n++) {
        for (int64_t i = 0; i < N; i++) {
            x[i] = (float)(i - 30) * 1.25F;
            half[i] = joined[i] = 0xffff;
            sum[i] = 1;
            out[i] = -1;
        }
        thaw_bf16_round(x, n, half);
        thaw_bf16_round(x, n, joined);
        thaw_bf16_join(joined, half, n);
        thaw_bf16_add(sum, half, n);
        thaw_bf16_get(joined, n, 0.5, out);
        for (int64_t i = 0; i < N; i++) {
            assert_true(out[i] == (i < n ? x[i] : -1) && sum[i] == (i < n ? 1 + x[i] : 1));
            assert_true(i < n || half[i] == 0xffff);
        }
        assert_true(thaw_bf16_finite(half, n));
    }
}

int main(void)
{
    const struct CMUnitTest quantum[] = {
        cmocka_unit_test(a_quantum_from_a_peak_fits_and_is_fine),
        cmocka_unit_test(bounds_cover_what_is_rounded),
        cmocka_unit_test(what_does_not_fit_is_known),
        cmocka_unit_test(quanta_follow_slowly_down_and_at_once_up),
        cmocka_unit_test(few_bits_are_coarse),
        cmocka_unit_test(halves_go_to_even_and_ends_of_the_range_are_scaled),
        cmocka_unit_test(odd_lengths_are_summed_whole),
        cmocka_unit_test(bf16_is_the_nearest_and_ties_go_to_even),
        cmocka_unit_test(bf16_loops_agree_with_the_definition),
    };
    return cmocka_run_group_tests(quantum, NULL, NULL);
}
