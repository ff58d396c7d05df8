#include "evidence/metric_impl.h"

#include <math.h>
#include <string.h>

static void count_cells(const metric_input *in)
{
    const thaw_judged *j = in->judged;
    const size_t bytes = (size_t)j->K * sizeof *in->hits;
    memset(in->hits, 0, bytes);
    memset(in->actual, 0, bytes);
    memset(in->predicted, 0, bytes);
    for (int64_t i = 0; i < j->N; i++) {
        const int64_t times = metric_times(in, i);
        for (int64_t k = 0; times > 0 && k < j->K; k++) {
            const bool is = metric_holds(j, i, k);
            const bool said = metric_says(j, i, k);
            in->hits[k] += is && said ? times : 0;
            in->actual[k] += is ? times : 0;
            in->predicted[k] += said ? times : 0;
        }
    }
}

/* Mean over columns that occur or are predicted; NAN when none does. */
static double mean_f1(const metric_input *in, int64_t *left_out)
{
    const int64_t K = in->judged->K;
    double sum = 0;
    *left_out = 0;
    for (int64_t k = 0; k < K; k++) {
        const int64_t both = in->actual[k] + in->predicted[k];
        sum += both == 0 ? 0 : 2 * (double)in->hits[k] / (double)both;
        *left_out += both == 0;
    }
    return *left_out == K ? NAN : sum / (double)(K - *left_out);
}

static double value(const metric_input *in, char *why)
{
    int64_t left_out;
    count_cells(in);
    const double mean = mean_f1(in, &left_out);
    metric_left_out(why, left_out, in->judged->K, "neither occurs nor is predicted");
    return mean;
}

static void move_cells(const metric_input *in, int64_t i, int64_t by)
{
    const thaw_judged *j = in->judged;
    for (int64_t k = 0; k < j->K; k++) {
        const bool is = metric_holds(j, i, k);
        const bool said = metric_says(j, i, k);
        in->hits[k] += is && said ? by : 0;
        in->actual[k] += is ? by : 0;
        in->predicted[k] += said ? by : 0;
    }
}

static void without(const metric_input *in, double *out)
{
    int64_t left_out;
    count_cells(in);
    for (int64_t i = 0; i < in->judged->N; i++) {
        if (metric_times(in, i) == 0)
            continue;
        move_cells(in, i, -1);
        out[i] = mean_f1(in, &left_out);
        move_cells(in, i, 1);
    }
}

static const metric_code code = {.sides = METRIC_SIDE_IN, .value = value, .without = without};
const thaw_metric thaw_metric_macro_f1 = {.name = "macro_f1",
                                          .title = "macro F1",
                                          .tasks = 1u << THAW_TASK_CLASSIFICATION |
                                                   1u << THAW_TASK_MULTI_LABEL,
                                          .share = true,
                                          .least_K = 1,
                                          .code = &code};
