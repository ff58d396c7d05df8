/* Private to evidence: what a metric is made of. */
#ifndef EVIDENCE_METRIC_IMPL_H
#define EVIDENCE_METRIC_IMPL_H

#include "thaw/evidence.h"

/* Orders a metric asks for, worked out once for all resamples. */
enum { METRIC_SORTS_OUTPUTS = 1, METRIC_SORTS_TARGETS = 2 };

/* What is judged, and room. Every function below sees the samples that `times` counts. */
typedef struct metric_input {
    const thaw_judged *judged;
    const int32_t *times; /* (N) or NULL: judged->times, or those of a resample */
    bool
        spoiled; /* an output or target that counts is not finite, and the metric needs them to be */
    bool keeps;  /* orders of all columns, for many resamples */
    int64_t *by_output, *by_target;     /* (K or 1, N) samples in ascending order of a column */
    struct metric_key *keys;            /* (N) to sort with */
    double *rank_output, *rank_target;  /* (N) for metrics that sort targets */
    int64_t *hits, *actual, *predicted; /* (K) */
} metric_input;

/* Of a mean over columns: whether one needs samples that it holds, and others. */
enum { METRIC_SIDE_IN = 1, METRIC_SIDE_OUT = 2 };

typedef struct thaw_metric_code {
    unsigned sorts;
    unsigned sides; /* METRIC_SIDE bits; 0: no mean over columns of samples */
    double (*value)(const metric_input *in,
                    char *why); /* NAN: undefined; why: THAW_WHY bytes, "" */
    /* Of a mean: what it is the mean of. NULL: pseudo-values, from the metric without each sample in turn. */
    void (*scores)(const metric_input *in, float *scores);
    /* (N) the metric without each sample that counts, all of them in one go; NULL: one after another. */
    void (*without)(const metric_input *in, double *values);
} metric_code;

#define THAW_KIND(name, doc) extern const thaw_metric thaw_metric_##name;
#include "evidence/kinds.def"
#undef THAW_KIND

static inline int64_t metric_times(const metric_input *in, int64_t i)
{
    return in->times == NULL ? 1 : in->times[i];
}

/* Column k of sample i, as a two-class question. */
static inline bool metric_holds(const thaw_judged *j, int64_t i, int64_t k)
{
    return j->task == THAW_TASK_CLASSIFICATION ? j->labels[i] == k
                                               : j->targets[i * j->K + k] > 0.5f;
}

static inline bool metric_says(const thaw_judged *j, int64_t i, int64_t k)
{
    return j->task == THAW_TASK_CLASSIFICATION ? j->predicted[i] == k
                                               : j->outputs[i * j->K + k] >= 0.5f;
}

/* Samples that count, each as often as it does. */
int64_t metric_count(const metric_input *in);
/* Mean of score(sample) over them; NAN when there are none. */
double metric_mean(const metric_input *in, double (*score)(const thaw_judged *j, int64_t i));
void metric_each(const metric_input *in, double (*score)(const thaw_judged *j, int64_t i),
                 float *scores);
/* "1 of 3 left out: ..." into why, unless it is NULL. */
void metric_left_out(char *why, int64_t left_out, int64_t K, const char *reason);

/* Samples in ascending order of column k of outputs or targets; good until the next call for the same array. */
const int64_t *metric_output_order(const metric_input *in, int64_t k);
const int64_t *metric_target_order(const metric_input *in, int64_t k);

/* What a bootstrap draws, samples or whole clusters: samples[first[u] .. first[u + 1]) belong to unit u. */
typedef struct metric_units {
    int64_t count;
    int64_t *samples; /* (N) */
    int64_t *first;   /* (N + 1) */
} metric_units;

/* Of the samples that count; *out good for clear whatever comes out, and zero before. */
THAW_NODISCARD thaw_status metric_units_make(const thaw_judged *j, const int32_t *cluster,
                                             metric_units *out);
void metric_units_clear(metric_units *units);
/* One resample: how often each sample counts, times (N). */
void metric_units_draw(const metric_units *units, const thaw_judged *j, uint64_t seed,
                       int64_t replicate, int32_t *times);
/* Quantile q of n values, linear between the two nearest; sorts them. */
double metric_quantile(double *values, int64_t n, double q);

/* *in good for release whatever comes out. keep: orders are worked out once, for many resamples, where there is room for them. */
THAW_NODISCARD thaw_status metric_prepare(const thaw_metric *metric, const thaw_judged *judged,
                                          bool keep, metric_input *in);
void metric_release(metric_input *in);
double metric_value_of(const thaw_metric *metric, const metric_input *in, char *why);

#endif
