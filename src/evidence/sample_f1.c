#include "evidence/metric_impl.h"

/* A sample without labels of which none is predicted is right. */
static double f1(const thaw_judged *j, int64_t i)
{
    int64_t hits = 0;
    int64_t sum = 0;
    for (int64_t k = 0; k < j->K; k++) {
        const bool is = metric_holds(j, i, k);
        const bool said = metric_says(j, i, k);
        hits += is && said;
        sum += is + said;
    }
    return sum == 0 ? 1 : 2 * (double)hits / (double)sum;
}

static double value(const metric_input *in, char *why)
{
    (void)why;
    return metric_mean(in, f1);
}

static void scores(const metric_input *in, float *out)
{
    metric_each(in, f1, out);
}

static const metric_code code = {.value = value, .scores = scores};
const thaw_metric thaw_metric_sample_f1 = {.name = "sample_f1",
                                           .title = "F1 of a sample's labels",
                                           .tasks = 1u << THAW_TASK_MULTI_LABEL,
                                           .share = true,
                                           .least_K = 1,
                                           .code = &code};
