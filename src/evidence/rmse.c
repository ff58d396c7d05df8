#include "evidence/metric_impl.h"

#include <math.h>

static double error_of(const thaw_judged *j, int64_t i, int64_t k)
{
    return (double)j->outputs[i * j->K + k] - (double)j->targets[i * j->K + k];
}

static double value(const metric_input *in, char *why)
{
    const thaw_judged *j = in->judged;
    const double count = (double)metric_count(in);
    double total = 0;
    (void)why;
    for (int64_t k = 0; k < j->K; k++) {
        double sum = 0;
        for (int64_t i = 0; i < j->N; i++) {
            const double e = metric_times(in, i) == 0 ? 0 : error_of(j, i, k);
            sum += (double)metric_times(in, i) * e * e;
        }
        total += sqrt(sum / count);
    }
    return total / (double)j->K;
}

/* The share of the training targets' variance that this sample's error leaves explained: targets of any unit weigh the same, and a gain
 * of 0.01 means as much as a point of accuracy. */
static double explained(const thaw_judged *j, int64_t i)
{
    double sum = 0;
    for (int64_t k = 0; k < j->K; k++) {
        const double e = error_of(j, i, k) / (j->scale == NULL ? 1 : j->scale[k]);
        sum += e * e;
    }
    return 1 - sum / (double)j->K;
}

static void scores(const metric_input *in, float *out)
{
    metric_each(in, explained, out);
}

static const metric_code code = {.value = value, .scores = scores};
const thaw_metric thaw_metric_rmse = {.name = "rmse",
                                      .title = "RMSE",
                                      .score = "explained variance",
                                      .tasks = 1u << THAW_TASK_REGRESSION,
                                      .lower_is_better = true,
                                      .least_K = 1,
                                      .code = &code};
