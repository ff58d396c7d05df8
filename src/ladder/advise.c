#include "thaw/ladder.h"

#include <math.h>
#include <string.h>

/* Advice before anything was trained: label count and domain gap pick a row of a table; probes by depth say which cut to look at. */

typedef enum labels_row { LABELS_FEW, LABELS_MODERATE, LABELS_MANY } labels_row;
typedef enum gap_row { GAP_LOW, GAP_MODERATE, GAP_LARGE, GAP_UNKNOWN } gap_row;

/* Labels a class and shares of the source's variance. docs/evidence.md has the problems that they were chosen on, and how little they tell. */
static const double few_labels = 50;
static const double many_labels = 1000;
static const double low_gap = 0.05;
static const double large_gap = 0.3;

/* A row speaks where so many problems with known best rungs hit it, and one rung was right in so large a share of them. */
static const int64_t enough_problems = 10;
static const double enough_right = 0.5;

static const char *const labels_words[] = {"few", "moderate", "many"};
static const char *const gap_words[] = {"low", "moderate", "large", "unknown"};

typedef struct advice {
    const char *move, *warning;
} advice;

static const advice table[3][4] = {
    [LABELS_FEW] =
        {
            [GAP_LOW] = {"the frozen backbone with a new head",
                         "so few labels can hardly show that anything deeper is better; give gate "
                         "enough of them"},
            [GAP_MODERATE] =
                {"the frozen backbone, then peft with few parameters",
                 "deeper rungs will fit the training samples; watch train against val"},
            [GAP_LARGE] = {"peft beside scratch, then full; more labels",
                           "the backbone may not help at all, least of all frozen: negative "
                           "transfer"},
            [GAP_UNKNOWN] = {"the frozen backbone beside scratch",
                             "how far the data are from the backbone's is not known"},
        },
    [LABELS_MODERATE] =
        {
            [GAP_LOW] = {"the frozen backbone, then full",
                         "a gain over frozen may be too small for the gate to show"},
            [GAP_MODERATE] = {"the frozen backbone as the baseline, then full",
                              "one change at a time: depth and rates do not move together"},
            [GAP_LARGE] = {"full beside scratch",
                           "compare with scratch, the frozen rung too: negative transfer"},
            [GAP_UNKNOWN] = {"the frozen backbone, then peft, beside scratch",
                             "how far the data are from the backbone's is not known"},
        },
    [LABELS_MANY] =
        {
            [GAP_LOW] = {"the frozen backbone as the baseline, then full",
                         "the frozen rung may already be enough: it costs nothing to know"},
            [GAP_MODERATE] = {"partial:K, then full with a backbone rate well below the head's",
                              "watch how far the backbone moves"},
            [GAP_LARGE] = {"full beside scratch",
                           "with so many labels scratch may win; the backbone must earn its place"},
            [GAP_UNKNOWN] = {"peft, then partial:K and full, beside scratch",
                             "how far the data are from the backbone's is not known"},
        },
};

/* Of the problems of tools/bench/decide that hit the row, those whose simplest rung within a point of the best was this one. */
enum { SEEN_RUNGS = 4 };
static const char *const seen_rungs[SEEN_RUNGS] = {"frozen", "peft", "partial:1", "full"};
static const int seen[3][3][SEEN_RUNGS] = {
    [LABELS_FEW] =
        {[GAP_LOW] = {7, 4, 2, 1}, [GAP_MODERATE] = {16, 14, 8, 10}, [GAP_LARGE] = {5, 18, 2, 15}},
    [LABELS_MODERATE] =
        {[GAP_LOW] = {17, 0, 2, 11}, [GAP_MODERATE] = {2, 5, 0, 18}, [GAP_LARGE] = {1, 5, 0, 29}},
    [LABELS_MANY] =
        {[GAP_LOW] = {4, 0, 0, 9}, [GAP_MODERATE] = {0, 1, 0, 2}, [GAP_LARGE] = {0, 0, 0, 0}},
};

/* In how many of them scratch was better than every rung by more than a point. */
static const int scratch_won[3][3] = {
    [LABELS_FEW] = {[GAP_LOW] = 2, [GAP_MODERATE] = 13, [GAP_LARGE] = 19},
    [LABELS_MODERATE] = {[GAP_LOW] = 2, [GAP_MODERATE] = 12, [GAP_LARGE] = 8},
    [LABELS_MANY] = {[GAP_LOW] = 1, [GAP_MODERATE] = 2, [GAP_LARGE] = 0},
};

static labels_row row_of_labels(double per_class)
{
    return per_class < few_labels ? LABELS_FEW
                                  : (per_class < many_labels ? LABELS_MODERATE : LABELS_MANY);
}

static gap_row row_of_gap(double gap)
{
    if (!isfinite(gap))
        return GAP_UNKNOWN;
    return gap < low_gap ? GAP_LOW : (gap < large_gap ? GAP_MODERATE : GAP_LARGE);
}

static void say_reasons(double per_class, double gap, thaw_json *out)
{
    thaw_str text = {0};
    const labels_row labels = row_of_labels(per_class);
    thaw_str_printf(&text, "%.4g labels a class are %s: fewer than %g are few, %g and more many",
                    per_class, labels_words[labels], few_labels, many_labels);
    thaw_json_add_string(out, thaw_str_c(&text));
    thaw_str_clear(&text);
    if (!isfinite(gap))
        return;
    thaw_str_printf(&text, "a gap of %.3f is %s: below %g is low, %g and more large", gap,
                    gap_words[row_of_gap(gap)], low_gap, large_gap);
    thaw_json_add_string(out, thaw_str_c(&text));
    thaw_str_clear(&text);
}

/* Whether the row says more than a guess, in a sentence. */
static bool say_known(labels_row labels, gap_row gap, thaw_str *out)
{
    if (gap == GAP_UNKNOWN) {
        thaw_str_add(out, "not known: without the gap no row of the table is hit, and the first "
                          "move goes by labels alone");
        return false;
    }
    const int *found = seen[labels][gap];
    int64_t problems = 0;
    int best = 0;
    for (int i = 0; i < SEEN_RUNGS; i++) {
        problems += found[i];
        best = found[i] > found[best] ? i : best;
    }
    if (problems < enough_problems) {
        thaw_str_printf(out,
                        "not known: only %lld of the problems with a known answer were like this",
                        (long long)problems);
        return false;
    }
    const int won = scratch_won[labels][gap];
    const bool known = (double)found[best] >= enough_right * (double)problems && 2 * won < problems;
    thaw_str_printf(out, "%s: of %lld problems like this the right rung was",
                    known ? seen_rungs[best] : "not known", (long long)problems);
    for (int i = 0; i < SEEN_RUNGS; i++)
        thaw_str_printf(out, "%s %s in %d", i == 0 ? "" : ",", seen_rungs[i], found[i]);
    if (won > 0)
        thaw_str_printf(out, "; scratch beat them all in %d", won);
    return known;
}

/* What the probes say of the cut. An earlier block is named only where its interval lies above the last block's. */
static void say_cut(const thaw_probes *p, thaw_str *out)
{
    const thaw_depth_probe *last = &p->rows[p->count - 1];
    const thaw_depth_probe *best = &p->rows[p->best];
    const long long after = (long long)(p->count - 1 - p->best);
    if (best == last)
        thaw_str_printf(
            out, "The features are best at the end (%s): nothing speaks for a cut before it.",
            last->block);
    else if (best->interval.low > last->interval.high)
        thaw_str_printf(out,
                        "The features after %s tell the classes apart better than those at the "
                        "end: what comes after it "
                        "is too special to the source. partial:%lld, which trains the blocks after "
                        "%s, is the cut to try.",
                        best->block, after, best->block);
    else
        thaw_str_printf(out,
                        "The features are best after %s, but not clearly better than at the end "
                        "(intervals overlap): "
                        "no cut is shown. partial:%lld would train the blocks after it.",
                        best->block, after);
}

static void add_probes(const thaw_probes *p, thaw_json *out)
{
    thaw_json *list = thaw_json_set_array(out, "probes");
    for (int64_t i = 0; i < p->count; i++) {
        const thaw_depth_probe *row = &p->rows[i];
        thaw_json *object = thaw_json_add_object(list);
        thaw_json_set_string(object, "block", row->block);
        thaw_json_set_int(object, "features", row->D);
        /* With as many features as samples any labels fit, and the evidence says nothing. */
        thaw_json_set_double(object, "logme", row->D < p->train ? row->logme : NAN);
        thaw_json_set_double(object, "h_score", row->h_score);
        thaw_json_set_int(object, "right", row->right);
        thaw_json_set_double(object, "accuracy", row->accuracy);
        thaw_json_set_double(object, "low", row->interval.low);
        thaw_json_set_double(object, "high", row->interval.high);
    }
}

static void add_near(const thaw_near_samples *near, thaw_json *out)
{
    thaw_json_set_double(out, "cosine", THAW_NEAR_COSINE);
    thaw_json_set_int(out, "train", near->train);
    thaw_json_set_int(out, "val", near->val);
    thaw_json_set_int(out, "near_train", near->near_train);
    thaw_json_set_int(out, "near_val", near->near_val);
    thaw_json *list = thaw_json_set_array(out, "closest");
    for (int64_t i = 0; i < near->kept; i++) {
        thaw_json *row = thaw_json_add_object(list);
        thaw_json_set_int(row, "val_row", near->closest[i].row);
        thaw_json_set_int(row, "train_row", near->closest[i].nearest);
        thaw_json_set_double(row, "cosine", near->closest[i].cosine);
    }
}

thaw_status thaw_advise(thaw_comm *comm, const thaw_config *config, int64_t most, thaw_json **out)
{
    thaw_probes probes;
    thaw_str cut = {0};
    thaw_str known = {0};
    THAW_TRY(thaw_probe_depths(comm, config, most, &probes));
    const double per_class = (double)probes.all_train / (double)probes.classes;
    const labels_row labels = row_of_labels(per_class);
    const gap_row gap = row_of_gap(probes.gap);
    thaw_json *json = thaw_json_new_object();
    say_cut(&probes, &cut);
    thaw_json_set_int(json, "labels", probes.all_train);
    thaw_json_set_int(json, "classes", probes.classes);
    thaw_json_set_double(json, "labels_per_class", per_class);
    thaw_json_set_string(json, "labels_row", labels_words[labels]);
    thaw_json_set_double(json, "gap", probes.gap);
    thaw_json_set_string(json, "gap_row", gap_words[gap]);
    say_reasons(per_class, probes.gap, thaw_json_set_array(json, "reasons"));
    thaw_json_set_bool(json, "known", say_known(labels, gap, &known));
    thaw_json_set_string(json, "right_rung", thaw_str_c(&known));
    thaw_json_set_string(json, "first_move", table[labels][gap].move);
    thaw_json_set_string(json, "warning", table[labels][gap].warning);
    thaw_json_set_string(json, "cut", thaw_str_c(&cut));
    thaw_json_set_int(json, "train_samples", probes.train);
    thaw_json_set_int(json, "val_samples", probes.val);
    thaw_json_set_double(json, "seconds", probes.seconds);
    add_probes(&probes, json);
    add_near(&probes.near, thaw_json_set_object(json, "near"));
    thaw_str_clear(&known);
    thaw_str_clear(&cut);
    thaw_probes_clear(&probes);
    *out = json;
    return THAW_OK;
}
