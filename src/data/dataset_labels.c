/* What a dataset says of its samples, task by task: reading, checks, slices that follow from it. */
#include "data/dataset_impl.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* ---- Reading ---- */

/* (N, K), or (N) for K = 1. */
static thaw_status check_shape(const thaw_dataset *ds, const thaw_split *split, const char *name,
                               const thaw_h5_info *info)
{
    const int64_t K = ds->classes.count;
    char shape[96];
    thaw_shape_format(&info->shape, shape, sizeof shape);
    const int64_t *dim = info->shape.dim;
    const bool fits = (info->shape.ndim == 2 && dim[0] == split->N && dim[1] == K) ||
                      (info->shape.ndim == 1 && dim[0] == split->N && K == 1);
    THAW_CHECK(fits, THAW_ERR_INPUT,
               "%s: %s has shape %s; a task of %s with %lld names needs (%lld, %lld)", ds->path,
               name, shape, thaw_task_name(ds->task), (long long)K, (long long)split->N,
               (long long)K);
    return THAW_OK;
}

static thaw_status check_value(const thaw_dataset *ds, const char *name, int64_t at, float value)
{
    const int64_t row = at / ds->classes.count;
    const int64_t k = at % ds->classes.count;
    if (ds->task == THAW_TASK_MULTI_LABEL)
        THAW_CHECK(value == 0 || value == 1, THAW_ERR_INPUT,
                   "%s: %s: row %lld has %g for label \"%s\"; it must be 0 or 1", ds->path, name,
                   (long long)row, (double)value, ds->classes.items[k]);
    else
        THAW_CHECK(isfinite(value), THAW_ERR_INPUT,
                   "%s: %s: row %lld has %g for target \"%s\"; it must be a finite float32",
                   ds->path, name, (long long)row, (double)value, ds->classes.items[k]);
    return THAW_OK;
}

static thaw_status read_targets(thaw_dataset *ds, thaw_split *split)
{
    char name[THAW_NAME_BYTES];
    thaw_h5_info info;
    const int64_t count = split->N * ds->classes.count;
    thaw_dataset_name(name, split, "y");
    if (!thaw_h5_is_dataset(ds->file, name))
        return THAW_OK;
    THAW_TRY(thaw_h5_info_of(ds->file, name, &info));
    THAW_CHECK(!info.text, THAW_ERR_INPUT, "%s: %s is text; %s needs numbers", ds->path, name,
               thaw_task_name(ds->task));
    THAW_TRY(check_shape(ds, split, name, &info));
    THAW_TRY(thaw_alloc(&split->targets, count, sizeof *split->targets));
    THAW_TRY(thaw_h5_read_rows(ds->file, name, 0, split->N, THAW_F32, split->targets));
    for (int64_t at = 0; at < count; at++)
        THAW_TRY(check_value(ds, name, at, split->targets[at]));
    return THAW_OK;
}

thaw_status thaw_dataset_read_labels(thaw_dataset *ds, thaw_split *split)
{
    if (ds->task == THAW_TASK_CLASSIFICATION)
        THAW_TRY(
            thaw_dataset_read_small_column(ds, split, "y", 0, ds->classes.count - 1, &split->y));
    else
        THAW_TRY(read_targets(ds, split));
    THAW_CHECK(split->y || split->targets || ds->options.unlabelled, THAW_ERR_INPUT,
               "%s: dataset %s/y is missing", ds->path, split->name);
    return THAW_OK;
}

/* ---- What train must have ---- */

static thaw_status check_classes(const thaw_dataset *ds, const thaw_split *train)
{
    int64_t *counts = NULL;
    thaw_status status = THAW_OK;
    THAW_TRY_TO(thaw_alloc(&counts, ds->classes.count, sizeof *counts));
    for (int64_t i = 0; i < train->N; i++)
        counts[train->y[i]]++;
    for (int64_t k = 0; k < ds->classes.count; k++)
        THAW_CHECK_TO(counts[k] > 0, THAW_ERR_INPUT,
                      "%s: class %lld (\"%s\") has no sample in train; leave it out of the classes "
                      "or add samples",
                      ds->path, (long long)k, ds->classes.items[k]);
done:
    thaw_free(&counts);
    return status;
}

/* A column without two values cannot be learned, whatever the network. */
static thaw_status check_columns(const thaw_dataset *ds, const thaw_split *train)
{
    const int64_t K = ds->classes.count;
    const bool labels = ds->task == THAW_TASK_MULTI_LABEL;
    for (int64_t k = 0; k < K; k++) {
        const float first = train->targets[k];
        int64_t i = 1;
        while (i < train->N && train->targets[i * K + k] == first)
            i++;
        THAW_CHECK(i < train->N, THAW_ERR_INPUT,
                   "%s: %s \"%s\" is %g in all %lld samples of train: there is nothing to learn; "
                   "leave it out or add samples",
                   ds->path, labels ? "label" : "target", ds->classes.items[k], (double)first,
                   (long long)train->N);
    }
    return THAW_OK;
}

thaw_status thaw_dataset_check_labels(const thaw_dataset *ds)
{
    const int64_t train = thaw_dataset_split_find(ds, "train");
    if (train < 0 || ds->options.unlabelled)
        return THAW_OK;
    const thaw_split *split = &ds->splits[train];
    return split->y ? check_classes(ds, split) : check_columns(ds, split);
}

/* ---- Slices ---- */

thaw_status thaw_dataset_add_label_slices(thaw_dataset *ds)
{
    const bool labels = ds->task == THAW_TASK_MULTI_LABEL;
    ds->stored_slices = ds->slices.count;
    if (ds->options.no_class_slices || ds->classes.count > THAW_CLASS_SLICES_MOST ||
        ds->task == THAW_TASK_REGRESSION)
        return THAW_OK;
    for (int64_t k = 0; k < ds->classes.count; k++) {
        char name[256];
        bool fits = thaw_format(name, sizeof name, "%s:%s", labels ? "label" : "class",
                                ds->classes.items[k]);
        THAW_ASSERT(fits);
        THAW_TRY(thaw_dataset_add_slice(
            ds, name, labels ? "samples with this label" : "samples of this class"));
    }
    return THAW_OK;
}

void thaw_dataset_fill_label_slices(const thaw_dataset *ds, thaw_split *split)
{
    const int64_t K = ds->classes.count;
    for (int64_t k = 0; k < ds->slices.count - ds->stored_slices; k++) {
        uint8_t *mask = split->masks[ds->stored_slices + k];
        for (int64_t n = 0; n < split->N; n++)
            mask[n] = split->y         ? split->y[n] == k
                      : split->targets ? split->targets[n * K + k] > 0.5f
                                       : 0;
    }
}

/* ---- Moments of targets ---- */

void thaw_dataset_target_moments(const thaw_dataset *ds, int64_t split, double *mean, double *std)
{
    const int64_t K = ds->classes.count;
    const int64_t N = ds->splits[split].N;
    const float *targets = ds->splits[split].targets;
    THAW_ASSERT(targets != NULL);
    for (int64_t k = 0; k < K; k++) {
        double sum = 0;
        double square = 0;
        for (int64_t i = 0; i < N; i++)
            sum += (double)targets[i * K + k];
        mean[k] = sum / (double)N;
        for (int64_t i = 0; i < N; i++) {
            const double d = (double)targets[i * K + k] - mean[k];
            square += d * d;
        }
        std[k] = sqrt(square / (double)N);
    }
}
