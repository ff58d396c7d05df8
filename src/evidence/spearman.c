#include "evidence/metric_impl.h"

#include <math.h>

/* Mean ranks of ties, for a column whose order is known; a sample that counts n times takes n ranks. */
static void set_ranks(const metric_input *in, const float *column, const int64_t *order,
                      double *rank)
{
    const int64_t N = in->judged->N;
    const int64_t K = in->judged->K;
    double below = 0;
    for (int64_t first = 0; first < N;) {
        int64_t end = first + 1;
        double times = (double)metric_times(in, order[first]);
        for (; end < N && column[order[end] * K] == column[order[first] * K]; end++)
            times += (double)metric_times(in, order[end]);
        for (int64_t at = first; at < end; at++)
            rank[order[at]] = below + 0.5 * (times + 1);
        below += times;
        first = end;
    }
}

/* Pearson's correlation of the ranks; NAN when one side has a single rank. */
static double correlate(const metric_input *in)
{
    const double middle = 0.5 * ((double)metric_count(in) + 1);
    double xy = 0;
    double xx = 0;
    double yy = 0;
    for (int64_t i = 0; i < in->judged->N; i++) {
        const double times = (double)metric_times(in, i);
        const double x = in->rank_output[i] - middle;
        const double y = in->rank_target[i] - middle;
        xy += times * x * y;
        xx += times * x * x;
        yy += times * y * y;
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : NAN;
}

static double value(const metric_input *in, char *why)
{
    const thaw_judged *j = in->judged;
    int64_t left_out = 0;
    double sum = 0;
    for (int64_t k = 0; k < j->K; k++) {
        set_ranks(in, j->outputs + k, metric_output_order(in, k), in->rank_output);
        set_ranks(in, j->targets + k, metric_target_order(in, k), in->rank_target);
        const double r = correlate(in);
        left_out += isnan(r);
        sum += isnan(r) ? 0 : r;
    }
    metric_left_out(why, left_out, j->K, "is constant, or predicted as a constant");
    return left_out == j->K ? NAN : sum / (double)(j->K - left_out);
}

static const metric_code code = {.sorts = METRIC_SORTS_OUTPUTS | METRIC_SORTS_TARGETS,
                                 .value = value};
const thaw_metric thaw_metric_spearman = {.name = "spearman",
                                          .title = "Spearman correlation",
                                          .tasks = 1u << THAW_TASK_REGRESSION,
                                          .sorts = true,
                                          .least_K = 1,
                                          .code = &code};
