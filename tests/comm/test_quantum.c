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

static void a_quantum_from_a_peak_keeps_every_bit_of_it(void **state)
{
    (void)state;
    const float peaks[] = {1, 1.5F, FLT_MAX, FLT_MIN, FLT_TRUE_MIN, 3e-20F, 0.99999994F};
    for (size_t i = 0; i < sizeof peaks / sizeof peaks[0]; i++) {
        float x[3] = {peaks[i], -peaks[i], -0.0F}, out[3];
        int64_t acc[3] = {7, 7, 7};
        int32_t exponent = thaw_quantum_from_peak(bits_of(peaks[i]));
        assert_int_equal(thaw_quantum_add(acc, x, 3, exponent, true), bits_of(peaks[i]));
        assert_true(thaw_quantum_fits(bits_of(peaks[i]), exponent, 1 << 20));
        assert_true(acc[0] < INT64_C(1) << 42 && acc[0] >= INT64_C(1) << 41 && acc[1] == -acc[0]);
        uint64_t bits = thaw_quantum_get(acc, 3, exponent, 1, out);
        assert_memory_equal(out, x, 2 * sizeof *x);
        assert_int_equal(bits_of(out[2]), 0);
        /* A sum of that size keeps its quantum. */
        assert_int_equal(thaw_quantum_next(exponent, bits), exponent);
        assert_false(thaw_quantum_coarse(acc, 3, exponent));
    }
}

static void elements_much_smaller_than_the_largest_stay_exact(void **state)
{
    (void)state;
    int32_t exponent = thaw_quantum_from_peak(bits_of(1.0F));
    float x = 0x1.fffffep-18F, out = 0; /* 24 bits, up to 2^18 times smaller */
    int64_t acc = 0;
    (void)thaw_quantum_add(&acc, &x, 1, exponent, true);
    (void)thaw_quantum_get(&acc, 1, exponent, 1, &out);
    assert_int_equal(bits_of(out), bits_of(x));
}

static void what_does_not_fit_is_known(void **state)
{
    (void)state;
    /* 24 shards count as 32: 62 - 5 bits. */
    assert_true(thaw_quantum_fits(bits_of(0x1p57F), 0, 24));
    assert_false(thaw_quantum_fits(bits_of(0x1.000002p57F), 0, 24));
    assert_true(thaw_quantum_fits(bits_of(0x1p62F), 0, 1));
    assert_false(thaw_quantum_fits(bits_of(0x1p62F), 0, 2));
    /* As many as promised really fit into 63 bits. */
    float x = 0x1p57F;
    int64_t acc = 0;
    for (int s = 0; s < 32; s++)
        (void)thaw_quantum_add(&acc, &x, 1, 0, s == 0);
    assert_true(acc == INT64_C(1) << 62);
    float bad[4] = {1, NAN, 2, INFINITY};
    int64_t sums[4];
    assert_true(thaw_quantum_add(sums, bad, 4, 0, true) > 0x7f800000u);
    assert_true(thaw_quantum_add(sums, bad + 2, 2, 0, true) == 0x7f800000u);
    float none[4];
    assert_true(thaw_float_add(none, bad, 4, true) > 0x7f800000u);
}

static void quanta_follow_slowly_down_and_at_once_up(void **state)
{
    (void)state;
    assert_int_equal(thaw_quantum_next(5, 0), 5);
    assert_int_equal(thaw_quantum_next(THAW_QUANTUM_UNKNOWN, 0), THAW_QUANTUM_UNKNOWN);
    assert_int_equal(thaw_quantum_next(5, UINT64_C(1) << 41), 5);
    assert_int_equal(thaw_quantum_next(5, (UINT64_C(1) << 42) - 1), 5);
    assert_int_equal(thaw_quantum_next(5, UINT64_C(1) << 42), 6);
    assert_int_equal(thaw_quantum_next(5, UINT64_C(1) << 61), 25);
    assert_int_equal(thaw_quantum_next(5, UINT64_C(1) << 40), 4);
    assert_int_equal(thaw_quantum_next(5, 1), 5 - 8);
    assert_int_equal(thaw_quantum_next(THAW_QUANTUM_UNKNOWN, UINT64_C(1) << 41),
                     thaw_quantum_start(THAW_QUANTUM_UNKNOWN));
}

static void few_bits_are_coarse(void **state)
{
    (void)state;
    static int64_t sum[5000];
    assert_true(thaw_quantum_coarse(sum, 5000, 0));
    sum[4999] = -(INT64_C(1) << 23) - 1;
    assert_false(thaw_quantum_coarse(sum, 5000, 0));
    assert_true(thaw_quantum_coarse(sum, 5000, THAW_QUANTUM_UNKNOWN));
    assert_true(thaw_quantum_coarse(sum, 4999, 0));
    sum[0] = INT64_C(1) << 32;
    assert_false(thaw_quantum_coarse(sum, 5000, THAW_QUANTUM_UNKNOWN));
}

static void odd_lengths_are_summed_whole(void **state)
{
    (void)state;
    /* Vector and remainder loops must agree with the definition. */
    enum { N = 67 };
    float x[N], out[N], single[N];
    int64_t acc[N];
    for (int64_t n = 0; n <= N; n++) {
        for (int64_t i = 0; i < N; i++) {
            x[i] = (float)(i - 30) * 1.25F;
            acc[i] = -1;
            out[i] = -1;
        }
        (void)thaw_quantum_add(acc, x, n, -3, true);
        (void)thaw_quantum_add(acc, x, n, -3, false);
        (void)thaw_float_add(single, x, n, true);
        (void)thaw_float_add(single, x, n, false);
        uint64_t bits = thaw_quantum_get(acc, n, -3, 0.5, out);
        uint64_t expected = 0;
        for (int64_t i = 0; i < N; i++) {
            assert_true(acc[i] == (i < n ? (i - 30) * 20 : -1));
            assert_true(out[i] == (i < n ? x[i] : -1));
            if (i < n) {
                assert_true(single[i] == 2 * x[i]);
                expected |= (uint64_t)(acc[i] < 0 ? ~acc[i] : acc[i]);
            }
        }
        assert_true(bits == expected && thaw_quantum_bits(acc, n) == expected);
    }
}

int main(void)
{
    const struct CMUnitTest quantum[] = {
        cmocka_unit_test(a_quantum_from_a_peak_keeps_every_bit_of_it),
        cmocka_unit_test(elements_much_smaller_than_the_largest_stay_exact),
        cmocka_unit_test(what_does_not_fit_is_known),
        cmocka_unit_test(quanta_follow_slowly_down_and_at_once_up),
        cmocka_unit_test(few_bits_are_coarse),
        cmocka_unit_test(odd_lengths_are_summed_whole),
    };
    return cmocka_run_group_tests(quantum, NULL, NULL);
}
