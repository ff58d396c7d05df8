#include "ladder/ladder_impl.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

/* What a comparison cannot say, in sentences: a reader must not have to find out for himself. */

static void say(thaw_json *limits, const char *format, ...) THAW_PRINTF(2, 3);

static void say(thaw_json *limits, const char *format, ...)
{
    thaw_str text = {0};
    va_list args;
    va_start(args, format);
    thaw_str_vprintf(&text, format, args);
    va_end(args);
    thaw_json_add_string(limits, thaw_str_c(&text));
    thaw_str_clear(&text);
}

/* ---- What so many samples can show ---- */

/* The measured spread, but not less than what the error of the difference allows for: two models that agree on every sample seen would
 * otherwise promise that anything is found. */
static thaw_design design_of(const ladder_runs *runs, const thaw_decision *d)
{
    const thaw_ladder_config *config = &runs->runs[0].config.ladder;
    const thaw_paired *p = &d->evidence;
    thaw_design design = thaw_paired_design(p);
    const double allowed = p->se * p->se * (double)p->N / fmax(p->design_effect, 1);
    if (isfinite(allowed))
        design.discordance = fmax(design.discordance, allowed);
    design.alpha = config->alpha;
    design.power = config->power;
    design.min_effect = config->min_effect;
    design.comparisons = runs->count - 1;
    return design;
}

static void add_detectable(const ladder_runs *runs, const thaw_decision *d, thaw_json *limits,
                           thaw_json *out)
{
    const thaw_paired *p = &d->evidence;
    const thaw_design design = design_of(runs, d);
    const double found = thaw_design_detectable(&design);
    const double wanted = fmax(fabs(p->delta), 2 * design.min_effect);
    const int64_t needed = thaw_design_samples(&design, wanted);
    const bool few = p->units < d->rule.min_count;
    thaw_json *row = thaw_json_set_object(out, "detectable");
    thaw_json_set_double(row, "power", design.power);
    thaw_json_set_double(row, "difference", found);
    thaw_json_set_double(row, "wanted", wanted);
    thaw_json_set_int(row, "samples_for_wanted", needed);
    if (few)
        say(limits,
            "'%s' has %lld %s: too few for any verdict, which needs %lld, whatever they show.",
            runs->split_name, (long long)p->units, p->units < p->N ? "clusters" : "samples",
            (long long)d->rule.min_count);
    if (!few && d->verdict != THAW_DEPTH_INCONCLUSIVE)
        return;
    say(limits,
        "%lld samples show a true difference of %.1f points with %.0f%% power; one of %.1f points "
        "needs about %lld.",
        (long long)p->N, 100 * found, 100 * design.power, 100 * wanted,
        (long long)(needed > d->rule.min_count ? needed : d->rule.min_count));
}

/* ---- Predictions that say nothing ---- */

static bool is_constant(const thaw_predictions *p)
{
    if (p->predicted != NULL) {
        for (int64_t i = 1; i < p->N; i++) {
            if (p->predicted[i] != p->predicted[0])
                return false;
        }
        return true;
    }
    for (int64_t at = p->K; at < p->N * p->K; at++) {
        if (p->outputs[at] != p->outputs[at - p->K]) /* equal bits are meant */
            return false;
    }
    return true;
}

static void say_constant(const ladder_runs *runs, const ladder_run *r, const char *side,
                         thaw_json *limits)
{
    if (r->p.N < 2 || !is_constant(&r->p))
        return;
    if (r->p.predicted != NULL)
        say(limits,
            "%s predicts '%s' for every one of %lld samples: it has learned nothing that tells "
            "them apart, and its score is the share of that class.",
            side, thaw_dataset_class_names(runs->dataset)[r->p.predicted[0]], (long long)r->p.N);
    else
        say(limits,
            "%s gives the same answer for every one of %lld samples: it has learned nothing that "
            "tells them apart.",
            side, (long long)r->p.N);
}

static void say_ties(const ladder_run *a, const ladder_run *b, thaw_json *limits)
{
    for (int64_t i = 0; i < a->p.N; i++) {
        if (a->score[i] < b->score[i] || a->score[i] > b->score[i])
            return;
    }
    const bool same =
        memcmp(a->p.outputs, b->p.outputs, (size_t)(a->p.N * a->p.K) * sizeof *a->p.outputs) == 0;
    say(limits,
        "A and B score the same on every one of %lld samples%s: nothing here tells them apart, and "
        "the interval is only what so few samples allow.",
        (long long)a->p.N, same ? ", with outputs that are equal bit for bit" : "");
}

/* ---- Slices of one class ---- */

/* The class that all samples of a slice have; -1: several, or none at all. */
static int32_t only_class(const ladder_runs *runs, int64_t slice)
{
    const uint8_t *mask = thaw_dataset_slice_mask(runs->dataset, runs->split, slice);
    const int32_t *labels = runs->runs[0].p.labels;
    int32_t only = -1;
    for (int64_t i = 0; i < runs->runs[0].p.N; i++) {
        if (mask[i] == 0)
            continue;
        if (only >= 0 && labels[i] != only)
            return -1;
        only = labels[i];
    }
    return only;
}

/* Slices that are made of a class say so by their name. */
static void say_single_class(const ladder_runs *runs, thaw_json *limits)
{
    if (runs->runs[0].p.labels == NULL)
        return;
    for (int64_t s = 0; s < thaw_dataset_slice_count(runs->dataset); s++) {
        const char *name = thaw_dataset_slice_name(runs->dataset, s);
        const int32_t k = only_class(runs, s);
        if (k < 0 || strncmp(name, "class:", 6) == 0)
            continue;
        say(limits,
            "Slice '%s' holds only the class '%s': accuracy there is how often that class is "
            "found, and a model that always says it would have 100%%.",
            name, thaw_dataset_class_names(runs->dataset)[k]);
    }
}

void ladder_add_limits(const ladder_runs *runs, const ladder_run *b, const thaw_decision *decision,
                       thaw_json *out)
{
    thaw_json *limits = thaw_json_set_array(out, "limits");
    add_detectable(runs, decision, limits, out);
    say_constant(runs, &runs->runs[0], "A", limits);
    say_constant(runs, b, "B", limits);
    say_ties(&runs->runs[0], b, limits);
    say_single_class(runs, limits);
    say(limits, "One run a side: what another seed would change is in no interval here; thaw "
                "ladder compares several seeds (ladder.seeds).");
    if (!runs->by_id)
        say(limits, "The predictions have no sample ids; samples were paired by their places, and "
                    "only their labels show that they are the same.");
}
