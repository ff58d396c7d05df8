#include "ladder/inspect_impl.h"

#include <math.h>

/* What the frozen features say of more labels, and of labels learned by heart. */

/* Wrong labels are drawn by this seed, whatever the run's, so that runs on one data set stay comparable. */
#define WRONG_SEED UINT64_C(0x74686177686561)

static void set_interval(thaw_json *out, const char *low, const char *high, thaw_interval interval)
{
    thaw_json_set_double(out, low, interval.low);
    thaw_json_set_double(out, high, interval.high);
}

/* The deeper rung that gained most over frozen, in a ladder that compared one with it. */
static const thaw_json *best_step(const inspection *in)
{
    const thaw_json *best = NULL;
    if (!in->is_ladder)
        return NULL;
    for (LADDER_EACH(row, in->summary, "comparisons")) {
        if (!ladder_is(row, "a", ladder_text(in->rung, "name")))
            continue;
        if (best == NULL || ladder_number(row, "delta") > ladder_number(best, "delta"))
            best = row;
    }
    return best;
}

static void say_labels(const inspection *in, const thaw_label_curve *c, thaw_str *out)
{
    const double least = in->config.ladder.min_effect;
    const char *verdict = "whether more labels are worth it is not known";
    if (c->gain_interval.low > least)
        verdict = "more labels help";
    else if (c->gain_interval.high < least)
        verdict = "more labels of this kind change little";
    thaw_str_printf(out,
                    "Twice the labels (%lld): %+.1f points [%+.1f, %+.1f] by the law that fits the "
                    "curve; %s.",
                    (long long)(2 * c->now), 100 * c->gain, 100 * c->gain_interval.low,
                    100 * c->gain_interval.high, verdict);
}

static void say_depth(inspection *in, thaw_str *out)
{
    const thaw_json *step = best_step(in);
    if (step == NULL)
        thaw_str_add(out, " More depth: no deeper rung was compared with this one; `thaw ladder` "
                          "does it.");
    else
        thaw_str_printf(out, " More depth: %s, %s: %s.", ladder_text(step, "b"),
                        ladder_text(step, "text"), ladder_text(step, "verdict"));
}

static thaw_status add_curve(inspection *in, const thaw_last_features *f)
{
    const thaw_bootstrap how = ladder_bootstrap(&in->config);
    thaw_label_curve c;
    thaw_str text = {0};
    if (f->data.n < 8) {
        inspection_unknown(in,
                           "What more labels would do: train has %lld samples, and a curve "
                           "needs 8.",
                           (long long)f->data.n);
        return THAW_OK;
    }
    THAW_TRY(thaw_label_curve_fit(&f->data, f->all_train, &how, &c));
    thaw_json *out = thaw_json_set_object(in->out, "label_curve");
    thaw_json *points = thaw_json_set_array(out, "points");
    for (int k = 0; k < THAW_CURVE_POINTS; k++) {
        thaw_json *row = thaw_json_add_object(points);
        thaw_json_set_int(row, "labels", c.n[k]);
        thaw_json_set_int(row, "subsets", c.subsets[k]);
        thaw_json_set_double(row, "error", c.error[k]);
        set_interval(row, "low", "high", c.interval[k]);
    }
    thaw_json_set_double(out, "factor", c.factor);
    thaw_json_set_double(out, "exponent", c.exponent);
    set_interval(out, "exponent_low", "exponent_high", c.exponent_interval);
    thaw_json_set_int(out, "labels", c.now);
    thaw_json_set_double(out, "error_now", c.error_now);
    thaw_json_set_double(out, "error_twice", c.error_twice);
    thaw_json_set_double(out, "gain", c.gain);
    set_interval(out, "gain_low", "gain_high", c.gain_interval);
    say_labels(in, &c, &text);
    say_depth(in, &text);
    thaw_json_set_string(out, "text", thaw_str_c(&text));
    thaw_str_clear(&text);
    return THAW_OK;
}

static thaw_status add_memorised(inspection *in, const thaw_last_features *f)
{
    thaw_memorised m;
    if (f->data.n < 5 || f->data.K < 2) {
        inspection_unknown(in,
                           "Whether wrong labels are learned by heart: %lld training samples of "
                           "%lld classes are too few.",
                           (long long)f->data.n, (long long)f->data.K);
        return THAW_OK;
    }
    THAW_TRY(thaw_memorise(&f->data, WRONG_SEED, in->config.ladder.confidence, &m));
    thaw_json *out = thaw_json_set_object(in->out, "memorised");
    thaw_json_set_int(out, "wrong", m.wrong);
    thaw_json_set_int(out, "memorised", m.memorised);
    thaw_json_set_int(out, "resisted", m.resisted);
    thaw_json_set_double(out, "share", (double)m.memorised / (double)m.wrong);
    set_interval(out, "low", "high", m.interval);
    return THAW_OK;
}

thaw_status inspection_labels(inspection *in, const thaw_last_features *f)
{
    THAW_TRY(add_curve(in, f));
    return add_memorised(in, f);
}
