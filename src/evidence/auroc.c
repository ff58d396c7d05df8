#include "evidence/metric_impl.h"

#include <math.h>

/* Mann and Whitney's count: pairs of a positive above a negative, half for equal ones, over all pairs. */
typedef struct column {
    double area_pairs; /* pairs in order; ties count half */
    double positives, negatives;
} column;

static float score_of(const thaw_judged *j, int64_t i, int64_t k)
{
    return j->outputs[i * j->K + k];
}

/* One past the last of the samples in `order` that share the score of order[first]. */
static int64_t end_of_tie(const thaw_judged *j, const int64_t *order, int64_t first, int64_t k)
{
    int64_t end = first + 1;
    while (end < j->N && score_of(j, order[end], k) == score_of(j, order[first], k))
        end++;
    return end;
}

/* Adds a tie to the column; below: negatives before it. */
static void count_tie(const metric_input *in, const int64_t *order, int64_t first, int64_t end,
                      int64_t k, double *positives, double *negatives)
{
    *positives = *negatives = 0;
    for (int64_t at = first; at < end; at++) {
        const double times = (double)metric_times(in, order[at]);
        if (metric_holds(in->judged, order[at], k))
            *positives += times;
        else
            *negatives += times;
    }
}

static column measure(const metric_input *in, int64_t k)
{
    const thaw_judged *j = in->judged;
    const int64_t *order = metric_output_order(in, k);
    column c = {0, 0, 0};
    for (int64_t first = 0; first < j->N;) {
        const int64_t end = end_of_tie(j, order, first, k);
        double positives;
        double negatives;
        count_tie(in, order, first, end, k, &positives, &negatives);
        c.area_pairs += positives * (c.negatives + 0.5 * negatives);
        c.positives += positives;
        c.negatives += negatives;
        first = end;
    }
    return c;
}

static bool is_defined(const column *c)
{
    return c->positives > 0 && c->negatives > 0;
}

static double area(const column *c)
{
    return c->area_pairs / (c->positives * c->negatives);
}

static double value(const metric_input *in, char *why)
{
    const int64_t K = in->judged->K;
    int64_t left_out = 0;
    double sum = 0;
    for (int64_t k = 0; k < K; k++) {
        const column c = measure(in, k);
        left_out += !is_defined(&c);
        sum += is_defined(&c) ? area(&c) : 0;
    }
    metric_left_out(why, left_out, K, "has samples on one side only");
    return left_out == K ? NAN : sum / (double)(K - left_out);
}

/* Without a sample: its own pairs are gone. The last of its side stays, since no area would be left. */
static double area_without(const column *c, bool positive, double pairs)
{
    const double positives = c->positives - (positive ? 1 : 0);
    const double negatives = c->negatives - (positive ? 0 : 1);
    return positives > 0 && negatives > 0 ? (c->area_pairs - pairs) / (positives * negatives)
                                          : area(c);
}

/* Adds the area of column k without each sample. */
static void add_without(const metric_input *in, int64_t k, const column *c, double *out)
{
    const thaw_judged *j = in->judged;
    const int64_t *order = metric_output_order(in, k);
    double positives_below = 0;
    double negatives_below = 0;
    for (int64_t first = 0; first < j->N;) {
        const int64_t end = end_of_tie(j, order, first, k);
        double positives;
        double negatives;
        count_tie(in, order, first, end, k, &positives, &negatives);
        for (int64_t at = first; at < end; at++) {
            const int64_t i = order[at];
            const bool positive = metric_holds(j, i, k);
            const double pairs = positive ? negatives_below + 0.5 * negatives
                                          : c->positives - positives_below - 0.5 * positives;
            if (metric_times(in, i) > 0)
                out[i] += area_without(c, positive, pairs);
        }
        positives_below += positives;
        negatives_below += negatives;
        first = end;
    }
}

static void without(const metric_input *in, double *out)
{
    const thaw_judged *j = in->judged;
    int64_t defined = 0;
    for (int64_t i = 0; i < j->N; i++)
        out[i] = 0;
    for (int64_t k = 0; k < j->K; k++) {
        const column c = measure(in, k);
        if (!is_defined(&c))
            continue;
        add_without(in, k, &c, out);
        defined++;
    }
    for (int64_t i = 0; i < j->N; i++)
        out[i] = defined == 0 ? NAN : out[i] / (double)defined;
}

static const metric_code code = {.sorts = METRIC_SORTS_OUTPUTS,
                                 .sides = METRIC_SIDE_IN | METRIC_SIDE_OUT,
                                 .value = value,
                                 .without = without};
const thaw_metric thaw_metric_auroc = {.name = "auroc",
                                       .title = "AUROC",
                                       .tasks = 1u << THAW_TASK_CLASSIFICATION |
                                                1u << THAW_TASK_MULTI_LABEL,
                                       .share = true,
                                       .sorts = true,
                                       .least_K = 1,
                                       .code = &code};
