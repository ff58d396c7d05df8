/* Verdicts: each condition alone decides, reasons name it, sentences quote it. */
#include "thaw/evidence.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Evidence with the figures a verdict reads; everything else as a comparison of 1000 examples
 * under 3 seeds. */
static thaw_paired evidence(double low, double delta, double high)
{
    thaw_paired p;
    memset(&p, 0, sizeof p);
    p.N = p.units = 1000;
    p.seeds = 3;
    p.level = 0.95;
    p.bounded = p.points = true;
    p.low = low;
    p.delta = delta;
    p.high = high;
    p.seeds_positive = delta > 0 ? 3 : 0;
    p.seeds_negative = delta < 0 ? 3 : 0;
    p.p_greater = low > 0 ? 0.001 : 0.3;
    return p;
}

static thaw_decision decide(thaw_paired p, double p_adjusted)
{
    thaw_rule rule = thaw_rule_default();
    return thaw_decide_depth(&p, p_adjusted, NULL, 0, &rule);
}

static void clear_gain(void **state)
{
    (void)state;
    thaw_decision d = decide(evidence(0.01, 0.03, 0.05), 0.01);
    assert_int_equal(d.verdict, THAW_DEPTH_CLEAR_GAIN);
    assert_int_equal(d.reasons, 0);
    assert_int_equal(d.worst_slice, -1);
    /* The limits themselves pass: gain equal to min_effect, p equal to alpha, 2 seeds of 3. */
    thaw_paired p = evidence(0.001, 0.01, 0.05);
    p.seeds_positive = 2;
    assert_int_equal(decide(p, 0.05).verdict, THAW_DEPTH_CLEAR_GAIN);
}

static void one_condition_fails(void **state)
{
    (void)state;
    thaw_decision d = decide(evidence(0, 0.03, 0.05), 0.01);
    assert_int_equal(d.verdict, THAW_DEPTH_INCONCLUSIVE);
    assert_int_equal(d.reasons, THAW_REASON_LOW_NOT_POSITIVE);
    d = decide(evidence(0.001, 0.008, 0.015), 0.01);
    assert_int_equal(d.verdict, THAW_DEPTH_INCONCLUSIVE);
    assert_int_equal(d.reasons, THAW_REASON_EFFECT_SMALL);
    d = decide(evidence(0.01, 0.03, 0.05), 0.051);
    assert_int_equal(d.reasons, THAW_REASON_P_LARGE);
    assert_int_equal(d.verdict, THAW_DEPTH_INCONCLUSIVE);
    assert_int_equal(decide(evidence(0.01, 0.03, 0.05), NAN).reasons, THAW_REASON_P_LARGE);
    thaw_paired p = evidence(0.01, 0.03, 0.05);
    p.seeds_positive = 1;
    d = decide(p, 0.01);
    assert_int_equal(d.reasons, THAW_REASON_SEEDS_DISAGREE);
    assert_int_equal(d.verdict, THAW_DEPTH_INCONCLUSIVE);
    p = evidence(0.01, 0.03, 0.05);
    p.units = 29; /* few clusters, many examples */
    d = decide(p, 0.01);
    assert_int_equal(d.reasons, THAW_REASON_TOO_FEW);
    assert_int_equal(d.verdict, THAW_DEPTH_INCONCLUSIVE);
}

static void seeds_of_five(void **state)
{
    (void)state;
    thaw_paired p = evidence(0.01, 0.03, 0.05);
    p.seeds = 5;
    p.seeds_positive = 4;
    assert_int_equal(decide(p, 0.01).verdict, THAW_DEPTH_CLEAR_GAIN);
    p.seeds_positive = 3;
    assert_int_equal(decide(p, 0.01).verdict, THAW_DEPTH_INCONCLUSIVE);
    p.seeds = p.seeds_positive = 1;
    assert_int_equal(decide(p, 0.01).verdict, THAW_DEPTH_CLEAR_GAIN);
}

static void other_verdicts(void **state)
{
    (void)state;
    assert_int_equal(decide(evidence(-0.009, 0.001, 0.0099), 0.4).verdict, THAW_DEPTH_EQUIVALENT);
    assert_int_equal(decide(evidence(-0.01, 0, 0.009), 0.4).verdict, THAW_DEPTH_INCONCLUSIVE);
    /* Significant but too small either way is equivalence, not gain and not harm. */
    assert_int_equal(decide(evidence(0.001, 0.004, 0.008), 0.01).verdict, THAW_DEPTH_EQUIVALENT);
    assert_int_equal(decide(evidence(-0.008, -0.004, -0.001), 1).verdict, THAW_DEPTH_EQUIVALENT);
    assert_int_equal(decide(evidence(-0.03, -0.02, -0.001), 1).verdict, THAW_DEPTH_WORSE);
    assert_int_equal(decide(evidence(-0.03, -0.01, 0), 1).verdict, THAW_DEPTH_INCONCLUSIVE);
    thaw_paired p = evidence(-0.03, -0.02, -0.001);
    p.N = p.units = 12;
    assert_int_equal(decide(p, 1).verdict, THAW_DEPTH_INCONCLUSIVE);
}

static void slices_veto(void **state)
{
    (void)state;
    thaw_rule rule = thaw_rule_default();
    thaw_paired overall = evidence(0.01, 0.03, 0.05);
    thaw_paired slices[3] = {evidence(0.02, 0.05, 0.08), evidence(-0.1, -0.05, -0.02),
                             evidence(-0.05, 0, 0.05)};
    slices[2].N = slices[2].units = 12;
    thaw_decision d = thaw_decide_depth(&overall, 0.01, slices, 3, &rule);
    assert_int_equal(d.verdict, THAW_DEPTH_CLEAR_GAIN); /* -0.02 is not below -0.02 */
    assert_int_equal(d.worst_slice, 1);
    assert_int_equal(d.slices_too_few, 1);
    slices[1].high = -0.021;
    d = thaw_decide_depth(&overall, 0.01, slices, 3, &rule);
    assert_int_equal(d.verdict, THAW_DEPTH_INCONCLUSIVE);
    assert_int_equal(d.reasons, THAW_REASON_SLICE_HARMED);
    assert_int_equal(d.slices_harmed, 1);
    /* Few examples may veto, though they support nothing. */
    slices[1].N = slices[1].units = 12;
    d = thaw_decide_depth(&overall, 0.01, slices, 3, &rule);
    assert_int_equal(d.reasons, THAW_REASON_SLICE_HARMED);
    assert_int_equal(thaw_decide_slice(&slices[1], &rule).verdict, THAW_DEPTH_INCONCLUSIVE);
    assert_int_equal(thaw_decide_slice(&slices[0], &rule).verdict, THAW_DEPTH_CLEAR_GAIN);
}

static void transfer(void **state)
{
    (void)state;
    thaw_rule rule = thaw_rule_default();
    uint32_t reasons;
    thaw_paired p = evidence(0.001, 0.02, 0.04);
    assert_int_equal(thaw_decide_transfer(&p, &rule, &reasons), THAW_TRANSFER_HELPS);
    assert_int_equal(reasons, 0);
    p = evidence(-0.001, 0.02, 0.04);
    assert_int_equal(thaw_decide_transfer(&p, &rule, &reasons), THAW_TRANSFER_NO_EVIDENCE);
    p = evidence(-0.04, -0.02, -0.0001);
    assert_int_equal(thaw_decide_transfer(&p, &rule, &reasons), THAW_TRANSFER_NEGATIVE);
    assert_true(reasons & THAW_REASON_HIGH_NEGATIVE);
    p.N = p.units = 10;
    assert_int_equal(thaw_decide_transfer(&p, &rule, NULL), THAW_TRANSFER_NO_EVIDENCE);
    assert_string_equal(thaw_transfer_verdict_name(THAW_TRANSFER_NEGATIVE), "negative transfer");
    assert_string_equal(thaw_depth_verdict_name(THAW_DEPTH_CLEAR_GAIN), "clear gain");
}

static void expect_text(thaw_str *got, const char *wanted)
{
    assert_string_equal(thaw_str_c(got), wanted);
    thaw_str_reset(got);
}

static void sentences(void **state)
{
    (void)state;
    thaw_str text = {0};
    thaw_paired p = evidence(-0.003, 0.012, 0.027);
    thaw_paired_format(&p, &text);
    expect_text(&text, "+1.2 points [95% -0.3, +2.7]");
    thaw_decision d = decide(p, 0.12);
    thaw_decision_explain(&d, NULL, &text);
    expect_text(&text,
                "The interval reaches zero: +1.2 points [95% -0.3, +2.7] (1000 samples, 3 seeds). "
                "The p-value corrected for the number of rungs, 0.12, is above 0.05.");
    thaw_rule rule = thaw_rule_default();
    thaw_paired overall = evidence(0.01, 0.03, 0.05);
    thaw_paired slice = evidence(-0.1, -0.06, -0.03);
    slice.N = slice.units = 40;
    d = thaw_decide_depth(&overall, 0.01, &slice, 1, &rule);
    thaw_decision_explain(&d, "Shirt", &text);
    expect_text(
        &text,
        "The whole interval lies above zero: +3.0 points [95% +1.0, +5.0] (1000 samples, 3 seeds). "
        "Slice \"Shirt\" is harmed: -6.0 points [95% -10.0, -3.0] lies below -2 points (n=40; 1 of "
        "1 "
        "slices harmed).");
    p = evidence(-0.1, 0.05, 0.2);
    p.N = p.units = 12;
    d = thaw_decide_slice(&p, &rule);
    thaw_decision_explain(&d, NULL, &text);
    assert_non_null(strstr(thaw_str_c(&text), "Too few samples: n=12, at least 30"));
    thaw_str_reset(&text);
    p = evidence(-0.08, -0.05, -0.02);
    thaw_transfer_explain(&p, &rule, &text);
    expect_text(&text, "Against scratch: negative transfer. The whole interval lies below zero: "
                       "-5.0 points [95% -8.0, -2.0] (1000 samples, 3 seeds).");
    thaw_str_clear(&text);
}

/* Every failed condition has a word for JSON and a sentence of its own. */
static void every_reason_speaks(void **state)
{
    (void)state;
    int words = 0;
    for (uint32_t bit = 1; bit != 0; bit <<= 1)
        words += thaw_reason_name((thaw_reason)bit) != NULL;
    assert_int_equal(words, 8);
    thaw_paired overall = evidence(-0.5, -0.004, 0.3);
    overall.units = 20;
    overall.bounded = overall.points = false;
    thaw_paired slice = evidence(-0.1, -0.06, -0.03);
    thaw_rule rule = thaw_rule_default();
    thaw_decision d = thaw_decide_depth(&overall, 1, &slice, 1, &rule);
    thaw_str text = {0};
    thaw_decision_explain(&d, NULL, &text);
    const char *const parts[] = {
        "Too few clusters: n=20", "reaches zero",      "below the least effect",
        "corrected for",          "Slice 0 is harmed", "Only 0 of 3 seeds show a gain; at least 2"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        assert_non_null(strstr(thaw_str_c(&text), parts[i]));
    thaw_str_clear(&text);
}

/* Two runs are no ladder: the same figures in words that fit. */
static void explained_alone(void **state)
{
    (void)state;
    thaw_rule rule = thaw_rule_default();
    thaw_paired paired = {.N = 100,
                          .units = 100,
                          .seeds = 1,
                          .level = 0.95,
                          .delta = 0.002,
                          .low = -0.02,
                          .high = 0.024,
                          .points = true};
    thaw_str text = {0};
    rule.alone = true;
    const thaw_decision alone = thaw_decide_depth(&paired, 0.4, NULL, 0, &rule);
    thaw_decision_explain(&alone, NULL, &text);
    assert_non_null(strstr(text.data, "is below the least effect that counts, 1 point."));
    assert_non_null(strstr(text.data, "The p-value, 0.4, is above 0.05."));
    assert_null(strstr(text.data, "rung"));
    assert_null(strstr(text.data, "of 1 seeds"));
    rule.alone = false;
    const thaw_decision step = thaw_decide_depth(&paired, 0.4, NULL, 0, &rule);
    thaw_str_reset(&text);
    thaw_decision_explain(&step, NULL, &text);
    assert_non_null(strstr(text.data, "worth a deeper rung"));
    assert_non_null(strstr(text.data, "corrected for the number of rungs"));
    assert_int_equal(step.verdict, alone.verdict);
    thaw_str_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clear_gain),      cmocka_unit_test(one_condition_fails),
        cmocka_unit_test(seeds_of_five),   cmocka_unit_test(other_verdicts),
        cmocka_unit_test(slices_veto),     cmocka_unit_test(transfer),
        cmocka_unit_test(sentences),       cmocka_unit_test(every_reason_speaks),
        cmocka_unit_test(explained_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
