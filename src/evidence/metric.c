#include "evidence/metric_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const thaw_metric *const metrics[] = {
#define THAW_KIND(name, doc) &thaw_metric_##name,
#include "evidence/kinds.def"
#undef THAW_KIND
    NULL};

const thaw_metric *const *thaw_metrics(void)
{
    return metrics;
}

const thaw_metric *thaw_metric_find(const char *name)
{
    for (const thaw_metric *const *m = metrics; *m != NULL; m++) {
        if (strcmp((*m)->name, name) == 0)
            return *m;
    }
    return NULL;
}

const thaw_metric *thaw_metric_default(thaw_task task)
{
    static const thaw_metric *const first[] = {&thaw_metric_accuracy, &thaw_metric_auroc,
                                               &thaw_metric_rmse};
    return first[task];
}

const thaw_metric *thaw_metric_of_sample(thaw_task task)
{
    static const thaw_metric *const own[] = {&thaw_metric_accuracy, &thaw_metric_sample_f1,
                                             &thaw_metric_rmse};
    return own[task];
}

bool thaw_metric_fits(const thaw_metric *metric, thaw_task task, int64_t K)
{
    return (metric->tasks >> task & 1) != 0 && K >= metric->least_K;
}

/* ---- For the kinds ---- */

int64_t metric_count(const metric_input *in)
{
    int64_t count = 0;
    for (int64_t i = 0; i < in->judged->N; i++)
        count += metric_times(in, i);
    return count;
}

double metric_mean(const metric_input *in, double (*score)(const thaw_judged *j, int64_t i))
{
    double sum = 0;
    for (int64_t i = 0; i < in->judged->N; i++) {
        const int64_t times = metric_times(in, i);
        sum += times == 0 ? 0 : (double)times * score(in->judged, i);
    }
    return sum / (double)metric_count(in);
}

void metric_each(const metric_input *in, double (*score)(const thaw_judged *j, int64_t i),
                 float *scores)
{
    for (int64_t i = 0; i < in->judged->N; i++)
        scores[i] = metric_times(in, i) == 0 ? 0 : (float)score(in->judged, i);
}

void metric_left_out(char *why, int64_t left_out, int64_t K, const char *reason)
{
    if (why == NULL || left_out == 0)
        return;
    if (left_out == K)
        thaw_format(why, THAW_WHY, "%s of the %lld columns %s", K == 1 ? "the one" : "each",
                    (long long)K, reason);
    else
        thaw_format(why, THAW_WHY, "%lld of %lld columns left out: each %s", (long long)left_out,
                    (long long)K, reason);
}

/* ---- Orders and room ---- */

/* More are sorted again whenever they are asked for. */
#define MOST_KEPT (INT64_C(1) << 25)

struct metric_key {
    float key;
    int64_t sample;
};

/* A total order, so that the result does not depend on whose qsort it is; what is not a number, which only a sample that does not count
 * may have, comes last. */
static int by_key(const void *a, const void *b)
{
    const struct metric_key *x = a;
    const struct metric_key *y = b;
    if (isnan(x->key) != isnan(y->key))
        return isnan(x->key) ? 1 : -1;
    if (x->key != y->key && !isnan(x->key))
        return x->key < y->key ? -1 : 1;
    return (x->sample > y->sample) - (x->sample < y->sample);
}

static void sort_column(const metric_input *in, const float *values, int64_t k, int64_t *out)
{
    const thaw_judged *j = in->judged;
    for (int64_t i = 0; i < j->N; i++)
        in->keys[i] = (struct metric_key){values[i * j->K + k], i};
    qsort(in->keys, (size_t)j->N, sizeof *in->keys, by_key);
    for (int64_t i = 0; i < j->N; i++)
        out[i] = in->keys[i].sample;
}

static const int64_t *order_of(const metric_input *in, const float *values, int64_t k,
                               int64_t *orders)
{
    if (in->keeps)
        return orders + k * in->judged->N;
    sort_column(in, values, k, orders);
    return orders;
}

const int64_t *metric_output_order(const metric_input *in, int64_t k)
{
    return order_of(in, in->judged->outputs, k, in->by_output);
}

const int64_t *metric_target_order(const metric_input *in, int64_t k)
{
    return order_of(in, in->judged->targets, k, in->by_target);
}

static thaw_status make_orders(metric_input *in, const float *values, int64_t **out)
{
    const thaw_judged *j = in->judged;
    THAW_TRY(thaw_alloc(out, (in->keeps ? j->K : 1) * j->N, sizeof **out));
    for (int64_t k = 0; in->keeps && k < j->K; k++)
        sort_column(in, values, k, *out + k * j->N);
    return THAW_OK;
}

static bool is_finite_row(const float *values, int64_t K)
{
    for (int64_t k = 0; k < K; k++) {
        if (!isfinite(values[k]))
            return false;
    }
    return true;
}

/* What is not a number has no place in an order, and no distance from anything. */
static bool is_spoiled(const thaw_metric *metric, const thaw_judged *j)
{
    if (metric->code->sorts == 0 && j->task != THAW_TASK_REGRESSION)
        return false;
    for (int64_t i = 0; i < j->N; i++) {
        if (j->times != NULL && j->times[i] == 0)
            continue;
        if (!is_finite_row(j->outputs + i * j->K, j->K) ||
            (j->task == THAW_TASK_REGRESSION && !is_finite_row(j->targets + i * j->K, j->K)))
            return true;
    }
    return false;
}

thaw_status metric_prepare(const thaw_metric *metric, const thaw_judged *judged, bool keep,
                           metric_input *in)
{
    const unsigned sorts = metric->code->sorts;
    THAW_ASSERT(thaw_metric_fits(metric, judged->task, judged->K));
    *in = (metric_input){.judged = judged,
                         .times = judged->times,
                         .spoiled = is_spoiled(metric, judged),
                         .keeps = keep && judged->K <= MOST_KEPT / (judged->N + 1)};
    THAW_TRY(thaw_alloc(&in->hits, judged->K, sizeof *in->hits));
    THAW_TRY(thaw_alloc(&in->actual, judged->K, sizeof *in->actual));
    THAW_TRY(thaw_alloc(&in->predicted, judged->K, sizeof *in->predicted));
    if (in->spoiled)
        return THAW_OK; /* nothing will be asked of it */
    if (sorts != 0)
        THAW_TRY(thaw_alloc(&in->keys, judged->N, sizeof *in->keys));
    if ((sorts & METRIC_SORTS_OUTPUTS) != 0)
        THAW_TRY(make_orders(in, judged->outputs, &in->by_output));
    if ((sorts & METRIC_SORTS_TARGETS) != 0) {
        THAW_TRY(make_orders(in, judged->targets, &in->by_target));
        THAW_TRY(thaw_alloc(&in->rank_output, judged->N, sizeof *in->rank_output));
        THAW_TRY(thaw_alloc(&in->rank_target, judged->N, sizeof *in->rank_target));
    }
    return THAW_OK;
}

void metric_release(metric_input *in)
{
    thaw_free(&in->rank_target);
    thaw_free(&in->rank_output);
    thaw_free(&in->by_target);
    thaw_free(&in->by_output);
    thaw_free(&in->keys);
    thaw_free(&in->predicted);
    thaw_free(&in->actual);
    thaw_free(&in->hits);
}

double metric_value_of(const thaw_metric *metric, const metric_input *in, char *why)
{
    if (metric_count(in) > 0 && !in->spoiled)
        return metric->code->value(in, why);
    if (why != NULL)
        thaw_format(why, THAW_WHY,
                    in->spoiled ? "a prediction or target is not finite" : "there are no samples");
    return NAN;
}

thaw_status thaw_metric_value(const thaw_metric *metric, const thaw_judged *judged, double *value,
                              char *why)
{
    metric_input in;
    *value = NAN;
    if (why != NULL)
        why[0] = '\0';
    const thaw_status status = metric_prepare(metric, judged, false, &in);
    if (status == THAW_OK)
        *value = metric_value_of(metric, &in, why);
    metric_release(&in);
    return status;
}

/* ---- Scores ---- */

/* The metric without each sample, one after another. */
static thaw_status leave_out(const thaw_metric *metric, metric_input *in, double *without)
{
    const int64_t N = in->judged->N;
    int32_t *times = NULL;
    THAW_TRY(thaw_alloc(&times, N, sizeof *times));
    for (int64_t i = 0; i < N; i++)
        times[i] = (int32_t)metric_times(in, i);
    const int32_t *own = in->times;
    in->times = times;
    for (int64_t i = 0; i < N; i++) {
        if (times[i] == 0)
            continue;
        times[i]--;
        without[i] = metric_value_of(metric, in, NULL);
        times[i]++;
    }
    in->times = own;
    thaw_free(&times);
    return THAW_OK;
}

/* all + (n - 1) * (mean of without - without): Quenouille's pseudo-values, shifted to have the metric as their mean. */
static void pseudo_values(const metric_input *in, double all, double *without, float *scores)
{
    const double n = (double)metric_count(in);
    double sum = 0;
    for (int64_t i = 0; i < in->judged->N; i++) {
        without[i] = isnan(without[i]) ? all : without[i];
        sum += (double)metric_times(in, i) * without[i];
    }
    for (int64_t i = 0; i < in->judged->N; i++)
        scores[i] = metric_times(in, i) == 0 ? 0 : (float)(all + (n - 1) * (sum / n - without[i]));
}

static thaw_status score_by_jackknife(const thaw_metric *metric, metric_input *in, float *scores)
{
    char why[THAW_WHY] = "";
    double *without = NULL;
    const double all = metric_value_of(metric, in, why);
    thaw_status status;
    THAW_CHECK_TO(!isnan(all), THAW_ERR_INPUT, "%s is undefined: %s", metric->title, why);
    THAW_TRY_TO(thaw_alloc(&without, in->judged->N, sizeof *without));
    if (metric->code->without != NULL)
        metric->code->without(in, without);
    else
        THAW_TRY_TO(leave_out(metric, in, without));
    pseudo_values(in, all, without, scores);
    status = THAW_OK;
done:
    thaw_free(&without);
    return status;
}

thaw_status thaw_metric_scores(const thaw_metric *metric, const thaw_judged *judged, float *scores)
{
    metric_input in;
    thaw_status status = metric_prepare(metric, judged, metric->code->without == NULL, &in);
    if (status == THAW_OK && metric->code->scores != NULL)
        metric->code->scores(&in, scores);
    else if (status == THAW_OK)
        status = score_by_jackknife(metric, &in, scores);
    metric_release(&in);
    return status;
}
