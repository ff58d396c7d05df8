/* Labels and numbers of tasks other than a classification, on their way from the sources into the file. */
#include "data/import_impl.h"

#include <math.h>
#include <string.h>

#define TARGETS_MOST 100000

thaw_status thaw_job_new_targets(thaw_job *job, int64_t K, const thaw_strings *usual)
{
    const thaw_strings *names = &job->options->names;
    const char *what = job->task == THAW_TASK_REGRESSION ? "target" : "label";
    THAW_CHECK(K >= 1 && K <= TARGETS_MOST, THAW_ERR_INPUT,
               "%lld %ss a sample; supported are 1..%d", (long long)K, what, TARGETS_MOST);
    THAW_CHECK(names->count == 0 || names->count == K, THAW_ERR_USAGE,
               "--names has %lld names for %lld %ss", (long long)names->count, (long long)K, what);
    job->K = K;
    job->strata = 1;
    THAW_TRY(thaw_alloc(&job->targets, job->N * K, sizeof *job->targets));
    THAW_TRY(thaw_alloc(&job->labels, job->N, sizeof *job->labels)); /* one stratum: all zero */
    THAW_TRY(thaw_alloc(&job->class_sources, 1, sizeof *job->class_sources));
    THAW_TRY(thaw_alloc(&job->class_names, K, sizeof *job->class_names));
    for (int64_t k = 0; k < K; k++) {
        char number[40];
        thaw_format(number, sizeof number, "%s %lld", what, (long long)k);
        const char *name = names->count > 0 ? names->items[k] : usual ? usual->items[k] : number;
        THAW_CHECK(*name && strlen(name) <= 200, THAW_ERR_USAGE,
                   "--names: %s %lld has the name \"%s\"; use 1 to 200 bytes", what, (long long)k,
                   name);
        THAW_CHECK(thaw_text_is_plain(name), THAW_ERR_USAGE,
                   "--names: the name of %s %lld is not UTF-8, or has a newline or another control "
                   "character",
                   what, (long long)k);
        for (int64_t i = 0; i < k && K <= 10000; i++)
            THAW_CHECK(strcmp(job->class_names[i], name) != 0, THAW_ERR_USAGE,
                       "--names: two %ss have the name \"%s\"", what, name);
        THAW_TRY(thaw_strdup(&job->class_names[k], name));
    }
    return THAW_OK;
}

thaw_status thaw_job_set_target(thaw_job *job, const char *file, int64_t row, int64_t k,
                                double value)
{
    const float stored = (float)value;
    if (job->task == THAW_TASK_MULTI_LABEL)
        THAW_CHECK(stored == 0 || stored == 1, THAW_ERR_INPUT,
                   "%s: row %lld has %g for label \"%s\"; it must be 0 or 1", file, (long long)row,
                   value, job->class_names[k]);
    else
        THAW_CHECK(isfinite(stored), THAW_ERR_INPUT,
                   "%s: row %lld has %g for target \"%s\"; it must be a finite float32", file,
                   (long long)row, value, job->class_names[k]);
    job->targets[row * job->K + k] = stored;
    return THAW_OK;
}

/* (N, K), or (N) for K = 1. */
static thaw_status check_array(const thaw_job *job, const thaw_source *source,
                               const thaw_array *array)
{
    char shape[96];
    thaw_shape_format(&array->shape, shape, sizeof shape);
    THAW_CHECK(array->shape.ndim <= 2 && array->shape.dim[0] == source->count, THAW_ERR_INPUT,
               "%s: shape %s; a task of %s needs (%lld, K), a row for each sample of %s",
               array->name, shape, thaw_task_name(job->task), (long long)source->count,
               source->x.name);
    THAW_CHECK(job->targets == NULL || thaw_array_row_values(array) == job->K, THAW_ERR_INPUT,
               "%s: shape %s, but the first file has %lld columns", array->name, shape,
               (long long)job->K);
    return THAW_OK;
}

static thaw_status take_rows(thaw_job *job, const thaw_source *source, thaw_array *array)
{
    const int64_t K = thaw_array_row_values(array);
    const int64_t bytes = K * (int64_t)thaw_dtype_bytes(array->dtype);
    void *raw = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&raw, bytes, 1));
    for (int64_t row = 0; row < source->count; row++) {
        THAW_TRY_TO(array->kind->rows(array, row, 1, raw));
        for (int64_t k = 0; k < K; k++) {
            const double value = thaw_array_value(array->dtype, raw, k);
            status = thaw_job_set_target(job, array->name, source->first + row, k, value);
            if (status != THAW_OK)
                goto done;
        }
    }
    status = THAW_OK;
done:
    thaw_free(&raw);
    return status;
}

thaw_status thaw_job_read_targets(thaw_job *job, int64_t source, const char *file)
{
    thaw_array array = {0};
    thaw_status status;
    THAW_TRY_TO(thaw_array_open(job->kind, file, THAW_ROLE_Y, &array));
    THAW_TRY_TO(check_array(job, &job->sources[source], &array));
    if (job->targets == NULL)
        THAW_TRY_TO(thaw_job_new_targets(job, thaw_array_row_values(&array), NULL));
    THAW_TRY_TO(take_rows(job, &job->sources[source], &array));
done:
    thaw_array_close(&array);
    return status;
}
