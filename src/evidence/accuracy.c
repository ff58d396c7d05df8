#include "evidence/metric_impl.h"

static double right(const thaw_judged *j, int64_t i)
{
    return j->labels[i] == j->predicted[i];
}

static double value(const metric_input *in, char *why)
{
    (void)why;
    return metric_mean(in, right);
}

static void scores(const metric_input *in, float *out)
{
    metric_each(in, right, out);
}

static const metric_code code = {.value = value, .scores = scores};
const thaw_metric thaw_metric_accuracy = {.name = "accuracy",
                                          .title = "accuracy",
                                          .tasks = 1u << THAW_TASK_CLASSIFICATION,
                                          .share = true,
                                          .binary = true,
                                          .least_K = 1,
                                          .code = &code};
