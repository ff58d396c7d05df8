#include "thaw/evidence.h"

#include <math.h>

const char *thaw_reason_name(thaw_reason reason)
{
    switch (reason) {
    case THAW_REASON_LOW_NOT_POSITIVE:
        return "interval_reaches_zero";
    case THAW_REASON_EFFECT_SMALL:
        return "gain_below_least_effect";
    case THAW_REASON_P_LARGE:
        return "p_above_alpha";
    case THAW_REASON_SLICE_HARMED:
        return "slice_harmed";
    case THAW_REASON_SEEDS_DISAGREE:
        return "seeds_disagree";
    case THAW_REASON_TOO_FEW:
        return "too_few_samples";
    case THAW_REASON_WITHIN_MARGIN:
        return "interval_within_margin";
    case THAW_REASON_HIGH_NEGATIVE:
        return "interval_below_zero";
    }
    return NULL;
}

/* Shares are printed as percentage points, one digit; other scores as they are. */
static void add_number(const thaw_paired *paired, double value, thaw_str *out)
{
    if (paired->points)
        thaw_str_printf(out, "%+.1f", fabs(value) < 0.0005 ? 0.0 : 100 * value);
    else
        thaw_str_printf(out, "%+.4g", value);
}

static const char *unit_of(const thaw_paired *paired)
{
    return paired->points ? " points" : "";
}

void thaw_paired_format(const thaw_paired *paired, thaw_str *out)
{
    add_number(paired, paired->delta, out);
    thaw_str_printf(out, "%s [%g%% ", unit_of(paired), 100 * paired->level);
    add_number(paired, paired->low, out);
    thaw_str_add(out, ", ");
    add_number(paired, paired->high, out);
    thaw_str_add(out, "]");
}

static void add_limit(const thaw_paired *paired, double value, thaw_str *out)
{
    if (paired->points)
        thaw_str_printf(out, "%.3g point%s", 100 * value, fabs(100 * value - 1) < 1e-9 ? "" : "s");
    else
        thaw_str_printf(out, "%.4g", value);
}

/* Below these degrees of freedom Student's t reaches more than a tenth further than the normal distribution. */
#define FEW_DF 13

static void add_too_few(const thaw_paired *paired, const thaw_rule *rule, thaw_str *out)
{
    bool clusters = paired->units < paired->N;
    thaw_str_printf(out, "Too few %s: n=%lld, at least %lld are needed for a claim. ",
                    clusters ? "clusters" : "samples", (long long)paired->units,
                    (long long)rule->min_count);
}

static void add_interval(const thaw_paired *paired, uint32_t reasons, thaw_str *out)
{
    if (reasons & THAW_REASON_HIGH_NEGATIVE)
        thaw_str_add(out, "The whole interval lies below zero: ");
    else if (reasons & THAW_REASON_LOW_NOT_POSITIVE)
        thaw_str_add(out, "The interval reaches zero: ");
    else
        thaw_str_add(out, "The whole interval lies above zero: ");
    thaw_paired_format(paired, out);
    thaw_str_printf(out, " (%lld samples, %lld seed%s). ", (long long)paired->N,
                    (long long)paired->seeds, paired->seeds == 1 ? "" : "s");
    if (paired->most_df > 0 && paired->most_df < FEW_DF)
        thaw_str_printf(out,
                        "It is as wide as the rarest class or label makes it, which leaves %.1f "
                        "degrees of freedom. ",
                        paired->most_df);
}

static void add_effect(const thaw_decision *d, thaw_str *out)
{
    if (!(d->reasons & THAW_REASON_EFFECT_SMALL))
        return;
    thaw_str_add(out, "The gain ");
    add_number(&d->evidence, d->evidence.delta, out);
    thaw_str_printf(out, "%s is below the least effect %s, ", unit_of(&d->evidence),
                    d->rule.alone ? "that counts" : "worth a deeper rung");
    add_limit(&d->evidence, d->rule.min_effect, out);
    thaw_str_add(out, ". ");
}

static void add_slice(const thaw_decision *d, const char *name, thaw_str *out)
{
    if (!(d->reasons & THAW_REASON_SLICE_HARMED))
        return;
    if (name)
        thaw_str_printf(out, "Slice \"%s\" is harmed: ", name);
    else
        thaw_str_printf(out, "Slice %lld is harmed: ", (long long)d->worst_slice);
    thaw_paired_format(&d->worst, out);
    thaw_str_add(out, " lies below -");
    add_limit(&d->worst, d->rule.slice_tolerance, out);
    thaw_str_printf(out, " (n=%lld; %lld of %lld slices harmed). ", (long long)d->worst.N,
                    (long long)d->slices_harmed, (long long)d->slices);
}

static const char *correction(const thaw_decision *d)
{
    if (!d->rule.alone)
        return " corrected for the number of rungs";
    return d->rule.two_sided && d->p_adjusted > d->evidence.p_two_sided
               ? " corrected for the number of comparisons"
               : "";
}

void thaw_decision_explain(const thaw_decision *d, const char *worst_slice_name, thaw_str *out)
{
    size_t start = out->length;
    if (d->reasons & THAW_REASON_TOO_FEW)
        add_too_few(&d->evidence, &d->rule, out);
    add_interval(&d->evidence, d->reasons, out);
    add_effect(d, out);
    if (d->reasons & THAW_REASON_P_LARGE)
        thaw_str_printf(out, "The p-value%s, %.3g, is above %g. ", correction(d), d->p_adjusted,
                        d->rule.alpha);
    add_slice(d, worst_slice_name, out);
    if ((d->reasons & THAW_REASON_SEEDS_DISAGREE) && d->evidence.seeds > 1)
        thaw_str_printf(out, "Only %d of %lld seeds show a gain; at least %.0f are asked for. ",
                        (int)d->evidence.seeds_positive, (long long)d->evidence.seeds,
                        ceil(d->rule.seed_majority * (double)d->evidence.seeds - 1e-9));
    if (d->verdict == THAW_DEPTH_EQUIVALENT) {
        thaw_str_add(out, "Both ends are within the equivalence margin of ");
        add_limit(&d->evidence, d->rule.margin, out);
        thaw_str_add(out, ". ");
    }
    if (d->slices_too_few > 0)
        thaw_str_printf(out, "%lld of %lld slices have fewer than %lld samples. ",
                        (long long)d->slices_too_few, (long long)d->slices,
                        (long long)d->rule.min_count);
    /* Sentences end in a space while they are joined; the last one does not need it. */
    if (out->length > start)
        out->data[--out->length] = 0;
}

void thaw_transfer_explain(const thaw_paired *against_scratch, const thaw_rule *rule, thaw_str *out)
{
    uint32_t reasons = 0;
    thaw_transfer_verdict verdict = thaw_decide_transfer(against_scratch, rule, &reasons);
    if (reasons & THAW_REASON_TOO_FEW)
        add_too_few(against_scratch, rule, out);
    thaw_str_printf(out, "Against scratch: %s. ", thaw_transfer_verdict_name(verdict));
    add_interval(against_scratch, reasons, out);
    out->data[--out->length] = 0;
}
