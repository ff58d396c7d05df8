#include "thaw/evidence.h"

#include <math.h>
#include <string.h>

thaw_rule thaw_rule_default(void)
{
    thaw_rule rule = {.min_effect = 0.01,
                      .margin = 0.01,
                      .alpha = 0.05,
                      .slice_tolerance = 0.02,
                      .min_count = 30,
                      .seed_majority = 2.0 / 3};
    return rule;
}

const char *thaw_depth_verdict_name(thaw_depth_verdict v)
{
    static const char *const names[] = {"inconclusive", "clear gain", "equivalent", "worse"};
    return (unsigned)v < sizeof names / sizeof *names ? names[v] : "unknown";
}

const char *thaw_transfer_verdict_name(thaw_transfer_verdict v)
{
    static const char *const names[] = {"no evidence", "helps", "negative transfer"};
    return (unsigned)v < sizeof names / sizeof *names ? names[v] : "unknown";
}

static bool too_few(const thaw_paired *paired, const thaw_rule *rule)
{
    /* Clusters, not examples, are what repeats; ten of them carry no tail of a distribution. */
    return paired->units < rule->min_count || paired->N < 1;
}

/* Conditions on one comparison alone. */
static uint32_t reasons_of(const thaw_paired *paired, const thaw_rule *rule)
{
    uint32_t reasons = 0;
    /* The seeds' share is compared with rounding room, so that 2 of 3 meets 2/3. */
    double needed = rule->seed_majority * (double)paired->seeds - 1e-9;
    if (!(paired->low > 0))
        reasons |= THAW_REASON_LOW_NOT_POSITIVE;
    if (!(paired->delta >= rule->min_effect))
        reasons |= THAW_REASON_EFFECT_SMALL;
    if (paired->seeds_positive < needed)
        reasons |= THAW_REASON_SEEDS_DISAGREE;
    if (too_few(paired, rule))
        reasons |= THAW_REASON_TOO_FEW;
    if (paired->low > -rule->margin && paired->high < rule->margin)
        reasons |= THAW_REASON_WITHIN_MARGIN;
    if (paired->high < 0)
        reasons |= THAW_REASON_HIGH_NEGATIVE;
    return reasons;
}

static thaw_depth_verdict verdict_of(uint32_t reasons, const thaw_rule *rule)
{
    const uint32_t against_gain = THAW_REASON_LOW_NOT_POSITIVE | THAW_REASON_EFFECT_SMALL |
                                  THAW_REASON_P_LARGE | THAW_REASON_SLICE_HARMED |
                                  THAW_REASON_SEEDS_DISAGREE;
    if (reasons & THAW_REASON_TOO_FEW)
        return THAW_DEPTH_INCONCLUSIVE;
    if (!(reasons & against_gain))
        return THAW_DEPTH_CLEAR_GAIN;
    if (reasons & THAW_REASON_WITHIN_MARGIN)
        return THAW_DEPTH_EQUIVALENT;
    if ((reasons & THAW_REASON_HIGH_NEGATIVE) &&
        !(rule->two_sided && (reasons & THAW_REASON_P_LARGE)))
        return THAW_DEPTH_WORSE;
    return THAW_DEPTH_INCONCLUSIVE;
}

static void judge_slices(const thaw_paired *slices, int64_t slice_count, thaw_decision *decision)
{
    decision->slices = slice_count;
    decision->worst_slice = -1;
    for (int64_t i = 0; i < slice_count; i++) {
        if (slices[i].high < -decision->rule.slice_tolerance)
            decision->slices_harmed++;
        if (too_few(&slices[i], &decision->rule))
            decision->slices_too_few++;
        if (decision->worst_slice < 0 || slices[i].high < decision->worst.high) {
            decision->worst_slice = i;
            decision->worst = slices[i];
        }
    }
    if (decision->slices_harmed > 0)
        decision->reasons |= THAW_REASON_SLICE_HARMED;
}

thaw_decision thaw_decide_depth(const thaw_paired *overall, double p_adjusted,
                                const thaw_paired *slices, int64_t slice_count,
                                const thaw_rule *rule)
{
    thaw_decision decision;
    memset(&decision, 0, sizeof decision);
    decision.evidence = *overall;
    decision.rule = *rule;
    decision.p_adjusted = p_adjusted;
    decision.reasons = reasons_of(overall, rule);
    if (!(p_adjusted <= rule->alpha))
        decision.reasons |= THAW_REASON_P_LARGE;
    judge_slices(slices, slice_count, &decision);
    decision.verdict = verdict_of(decision.reasons, rule);
    return decision;
}

thaw_decision thaw_decide_slice(const thaw_paired *slice, const thaw_rule *rule)
{
    thaw_decision decision;
    memset(&decision, 0, sizeof decision);
    decision.evidence = *slice;
    decision.rule = *rule;
    decision.p_adjusted = slice->p_greater;
    decision.worst_slice = -1;
    decision.reasons = reasons_of(slice, rule);
    decision.verdict = verdict_of(decision.reasons, rule);
    return decision;
}

void thaw_decision_adjust(thaw_decision *decision, double p_adjusted)
{
    decision->p_adjusted = p_adjusted;
    decision->reasons &= ~(uint32_t)THAW_REASON_P_LARGE;
    if (!(p_adjusted <= decision->rule.alpha))
        decision->reasons |= THAW_REASON_P_LARGE;
    decision->verdict = verdict_of(decision->reasons, &decision->rule);
}

thaw_transfer_verdict thaw_decide_transfer(const thaw_paired *against_scratch,
                                           const thaw_rule *rule, uint32_t *reasons)
{
    uint32_t found = 0;
    if (too_few(against_scratch, rule))
        found |= THAW_REASON_TOO_FEW;
    if (!(against_scratch->low > 0))
        found |= THAW_REASON_LOW_NOT_POSITIVE;
    if (against_scratch->high < 0)
        found |= THAW_REASON_HIGH_NEGATIVE;
    if (reasons)
        *reasons = found;
    if (found & THAW_REASON_TOO_FEW)
        return THAW_TRANSFER_NO_EVIDENCE;
    if (found & THAW_REASON_HIGH_NEGATIVE)
        return THAW_TRANSFER_NEGATIVE;
    return found & THAW_REASON_LOW_NOT_POSITIVE ? THAW_TRANSFER_NO_EVIDENCE : THAW_TRANSFER_HELPS;
}
