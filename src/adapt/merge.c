/* Folding a method into the backbone's weights, and the proof that the function stayed. */
#include "adapt/adapt_impl.h"

#include <math.h>
#include <string.h>

thaw_status thaw_adapt_merge(thaw_model *model)
{
    const adapt_method *method = adapt_method_of(model);
    return method && method->merge ? method->merge(model) : THAW_OK;
}

bool thaw_adapt_merges(const thaw_model *model)
{
    const adapt_method *method = adapt_method_of(model);
    return method == NULL || method->merge != adapt_refuse_merge;
}

static thaw_status run(const thaw_model *model, const thaw_kern *kern, const float *input,
                       int64_t B, float *logits)
{
    thaw_plan *plan = NULL;
    int64_t *ids = NULL;
    const thaw_plan_options options = {.batch = B, .from = -1, .to = -1, .keep = -1};
    thaw_status status = THAW_OK;
    THAW_TRY_TO(thaw_alloc(&ids, B, sizeof *ids));
    THAW_TRY_TO(thaw_plan_new(model->graph, kern, &options, &plan));
    thaw_plan_forward(plan, &(thaw_run){.B = B, .input = input, .sample_ids = ids});
    memcpy(logits, thaw_plan_value(plan, -1), (size_t)(B * model->spec.K) * sizeof *logits);
done:
    thaw_plan_free(&plan);
    thaw_free(&ids);
    return status;
}

/* A value that is not finite differs from everything. */
static double compare(int64_t n, const float *before, const float *after, double *largest)
{
    double difference = 0;
    *largest = 0;
    for (int64_t i = 0; i < n; i++) {
        *largest = fmax(*largest, fabs(before[i]));
        if (!isfinite(before[i]) || !isfinite(after[i]))
            return INFINITY;
        difference = fmax(difference, fabs((double)before[i] - after[i]));
    }
    return *largest > 0 ? difference / *largest : difference;
}

thaw_status thaw_adapt_merge_proved(thaw_model *model, const thaw_kern *kern, const float *input,
                                    int64_t B, thaw_merge_proof *out)
{
    const int64_t n = B * model->spec.K;
    float *before = NULL;
    float *after = NULL;
    thaw_status status = THAW_OK;
    THAW_TRY_TO(thaw_alloc(&before, n, sizeof *before));
    THAW_TRY_TO(thaw_alloc(&after, n, sizeof *after));
    THAW_TRY_TO(run(model, kern, input, B, before));
    THAW_TRY_TO(thaw_adapt_merge(model));
    THAW_TRY_TO(run(model, kern, input, B, after));
    out->difference = compare(n, before, after, &out->largest);
    THAW_CHECK_TO(out->difference <= THAW_MERGE_BOUND, THAW_ERR_NUMERIC,
                  "merging %s into the weights moved a logit by %.3g of the largest, more than %g; "
                  "keep the adapter unmerged",
                  model->adapter ? model->adapter : "nothing", out->difference, THAW_MERGE_BOUND);
done:
    thaw_free(&after);
    thaw_free(&before);
    return status;
}
