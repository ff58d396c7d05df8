#include "thaw/base.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* philox4x32-10 rows of Random123's kat_vectors. */
static void philox_gives_the_known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], expected[4];
    } rows[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        thaw_rng rng = {.used = 4};
        uint32_t out[4];
        memcpy(rng.key, rows[r].key, sizeof rng.key);
        memcpy(rng.counter, rows[r].counter, sizeof rng.counter);
        thaw_rng_block(&rng, rows[r].counter[0], out);
        assert_memory_equal(out, rows[r].expected, sizeof out);
    }
}

static void a_stream_is_its_four_numbers(void **state)
{
    (void)state;
    thaw_rng base = thaw_rng_make(1, THAW_RNG_INIT, 2, 3);
    thaw_rng same = base;
    const thaw_rng others[] = {
        thaw_rng_make(2, THAW_RNG_INIT, 2, 3),
        thaw_rng_make(1, THAW_RNG_ORDER, 2, 3),
        thaw_rng_make(1, THAW_RNG_INIT, 3, 3),
        thaw_rng_make(1, THAW_RNG_INIT, 2, 4),
        thaw_rng_make(1, THAW_RNG_INIT, 2, UINT64_C(3) + (UINT64_C(1) << 32)),
    };
    uint64_t first = thaw_rng_u64(&base);
    assert_int_equal(thaw_rng_u64(&same), first);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        thaw_rng other = others[i];
        assert_true(thaw_rng_u64(&other) != first);
    }
}

/* Seeds are a promise: these must never change. */
static void streams_are_frozen(void **state)
{
    (void)state;
    thaw_rng rng = thaw_rng_make(42, THAW_RNG_AUGMENT, 7, 1000);
    uint32_t block[4];
    thaw_rng_block(&rng, 0, block);
    for (int i = 0; i < 4; i++)
        assert_int_equal(thaw_rng_u32(&rng), block[i]);
    thaw_rng_block(&rng, 1, block);
    assert_int_equal(thaw_rng_u32(&rng), block[0]);
    assert_int_equal(thaw_mix(1, 2), UINT64_C(13608149317741381227));
    rng = thaw_rng_make(42, THAW_RNG_AUGMENT, 7, 1000);
    assert_int_equal(thaw_rng_u64(&rng), UINT64_C(14716773062616651263));
    assert_int_equal(thaw_permute(42, 3, 1000003, 17), 657969);
}

/* Bounds are five standard errors of the mean of N draws: a false alarm once in a million, and the seed is fixed. */
static void moments_are_right(void **state)
{
    (void)state;
    enum { N = 200000 };
    thaw_rng rng = thaw_rng_make(5, THAW_RNG_TEST, 0, 0);
    double u1 = 0, u2 = 0, z1 = 0, z2 = 0, z4 = 0;
    for (int i = 0; i < N; i++) {
        double u = thaw_rng_uniform(&rng);
        double z = thaw_rng_normal(&rng);
        assert_true(u >= 0.0 && u < 1.0);
        u1 += u;
        u2 += u * u;
        z1 += z;
        z2 += z * z;
        z4 += z * z * z * z;
    }
    const double error = 5.0 / sqrt(N);
    assert_true(fabs(u1 / N - 0.5) < error * sqrt(1.0 / 12));
    assert_true(fabs(u2 / N - 1.0 / 3) < error * sqrt(4.0 / 45));
    assert_true(fabs(z1 / N) < error);
    assert_true(fabs(z2 / N - 1) < error * sqrt(2));
    assert_true(fabs(z4 / N - 3) < error * sqrt(96));
}

static void below_is_even(void **state)
{
    (void)state;
    enum { N = 60000, K = 6 };
    thaw_rng rng = thaw_rng_make(5, THAW_RNG_TEST, 1, 0);
    int seen[K] = {0};
    double chi2 = 0;
    for (int i = 0; i < N; i++)
        seen[thaw_rng_below(&rng, K)]++;
    for (int k = 0; k < K; k++)
        chi2 += pow(seen[k] - (double)N / K, 2) / ((double)N / K);
    assert_true(chi2 < 25.7); /* chi-square, 5 degrees of freedom, p = 1e-4 */
    assert_int_equal(thaw_rng_below(&rng, 1), 0);
    assert_true(thaw_rng_below(&rng, UINT64_MAX) < UINT64_MAX);
}

static void every_order_is_a_permutation(void **state)
{
    (void)state;
    static const int64_t sizes[] = {1, 2, 3, 4, 5, 7, 16, 17, 63, 250, 1000, 4099};
    static char hit[4099];
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        for (uint32_t epoch = 0; epoch < 3; epoch++) {
            memset(hit, 0, sizeof hit);
            for (int64_t i = 0; i < sizes[s]; i++) {
                int64_t at = thaw_permute(9, epoch, sizes[s], i);
                assert_true(at >= 0 && at < sizes[s] && !hit[at]);
                hit[at] = 1;
            }
        }
    }
    /* Too large to walk through, but must stay inside. */
    for (int64_t i = 0; i < 100; i++) {
        int64_t n = (INT64_C(1) << 40) + 12345;
        int64_t at = thaw_permute(9, 0, n, n - 1 - i);
        assert_true(at >= 0 && at < n);
    }
}

static void all_orders_of_three_are_equally_likely(void **state)
{
    (void)state;
    enum { N = 12000 };
    int seen[27] = {0};
    double chi2 = 0;
    int kinds = 0;
    for (uint64_t seed = 0; seed < N; seed++) {
        int64_t code = 0;
        for (int64_t i = 0; i < 3; i++)
            code = code * 3 + thaw_permute(seed, 0, 3, i);
        seen[code]++;
    }
    for (int c = 0; c < 27; c++) {
        if (seen[c] > 0) {
            kinds++;
            chi2 += pow(seen[c] - N / 6.0, 2) / (N / 6.0);
        }
    }
    assert_int_equal(kinds, 6);
    assert_true(chi2 < 25.7); /* chi-square, 5 degrees of freedom, p = 1e-4 */
}

/* An epoch's order should keep about one pair of neighbours together, whatever n; the previous epoch's does not help. */
static void epochs_are_shuffled_anew(void **state)
{
    (void)state;
    int together = 0;
    int unmoved = 0;
    for (int64_t i = 0; i + 1 < 1000; i++) {
        together += thaw_permute(4, 1, 1000, i) + 1 == thaw_permute(4, 1, 1000, i + 1);
        unmoved += thaw_permute(4, 1, 1000, i) == thaw_permute(4, 2, 1000, i);
    }
    assert_true(together < 10); /* Poisson with mean 1: p = 1e-7 */
    assert_true(unmoved < 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_gives_the_known_answers),
        cmocka_unit_test(a_stream_is_its_four_numbers),
        cmocka_unit_test(streams_are_frozen),
        cmocka_unit_test(moments_are_right),
        cmocka_unit_test(below_is_even),
        cmocka_unit_test(every_order_is_a_permutation),
        cmocka_unit_test(all_orders_of_three_are_equally_likely),
        cmocka_unit_test(epochs_are_shuffled_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
