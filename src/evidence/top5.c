#include "evidence/metric_impl.h"

/* As the prediction is the first of equal probabilities, the first five of equal ones count. */
static double among_five(const thaw_judged *j, int64_t i)
{
    const float *p = j->outputs + i * j->K;
    const int32_t label = j->labels[i];
    int64_t before = 0;
    for (int64_t k = 0; k < j->K; k++)
        before += p[k] > p[label] || (p[k] == p[label] && k < label);
    return before < 5;
}

static double value(const metric_input *in, char *why)
{
    (void)why;
    return metric_mean(in, among_five);
}

static void scores(const metric_input *in, float *out)
{
    metric_each(in, among_five, out);
}

static const metric_code code = {.value = value, .scores = scores};
const thaw_metric thaw_metric_top5 = {.name = "top5",
                                      .title = "top-5 accuracy",
                                      .tasks = 1u << THAW_TASK_CLASSIFICATION,
                                      .share = true,
                                      .binary = true,
                                      .least_K = 6,
                                      .code = &code};
