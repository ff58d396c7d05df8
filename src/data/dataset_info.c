#include "data/dataset_impl.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static thaw_status count_clusters(const thaw_split *split, int64_t *out)
{
    int32_t *sorted = NULL;
    *out = 0;
    if (!split->cluster)
        return THAW_OK;
    THAW_TRY(thaw_alloc(&sorted, split->N, sizeof *sorted));
    memcpy(sorted, split->cluster, (size_t)split->N * sizeof *sorted);
    qsort(sorted, (size_t)split->N, sizeof *sorted, compare);
    for (int64_t i = 0; i < split->N; i++)
        *out += i == 0 || sorted[i] != sorted[i - 1];
    thaw_free(&sorted);
    return THAW_OK;
}

static thaw_status count_labels(const thaw_dataset *ds, const thaw_split *split,
                                thaw_split_info *info)
{
    const int64_t K = ds->classes.count;
    for (int64_t i = 0; split->y && i < split->N; i++)
        info->class_counts[split->y[i]]++;
    if (!split->targets)
        return THAW_OK;
    if (ds->task == THAW_TASK_REGRESSION) {
        THAW_TRY(thaw_alloc(&info->target_mean, K, sizeof *info->target_mean));
        THAW_TRY(thaw_alloc(&info->target_std, K, sizeof *info->target_std));
        thaw_dataset_target_moments(ds, split - ds->splits, info->target_mean, info->target_std);
        return THAW_OK;
    }
    for (int64_t at = 0; at < split->N * K; at++)
        info->class_counts[at % K] += split->targets[at] > 0.5f;
    return THAW_OK;
}

static thaw_status inspect_split(const thaw_dataset *ds, const thaw_split *split,
                                 thaw_split_info *info)
{
    info->name = split->name;
    info->count = split->N;
    info->bytes = split->N * ds->values * (int64_t)thaw_dtype_bytes(ds->dtype);
    info->in_memory = split->x != NULL;
    THAW_TRY(count_clusters(split, &info->cluster_count));
    THAW_TRY(thaw_alloc(&info->class_counts, ds->classes.count, sizeof *info->class_counts));
    THAW_TRY(count_labels(ds, split, info));
    THAW_TRY(thaw_alloc(&info->slice_counts, ds->slices.count, sizeof *info->slice_counts));
    for (int64_t i = 0; i < ds->slices.count; i++)
        info->slice_counts[i] = split->members[i];
    return THAW_OK;
}

thaw_status thaw_dataset_inspect(const thaw_dataset *ds, thaw_dataset_info *info)
{
    *info = (thaw_dataset_info){
        .shape = ds->shape,
        .dtype = ds->dtype,
        .task = ds->task,
        .classes = ds->classes.count,
        .class_names = thaw_dataset_class_names(ds),
        .slice_count = ds->slices.count,
        .mean = ds->mean,
        .std = ds->std,
        .origin = ds->origin,
        .licence = ds->licence,
        .created_by = ds->created_by,
        .text = thaw_dataset_text(ds),
        .digest_recorded = ds->digest_recorded,
    };
    thaw_status status = THAW_OK;
    thaw_digest_hex(ds->digest, info->digest);
    THAW_TRY_TO(thaw_alloc(&info->splits, ds->split_count, sizeof *info->splits));
    info->split_count = ds->split_count;
    for (int64_t s = 0; s < ds->split_count; s++)
        THAW_TRY_TO(inspect_split(ds, &ds->splits[s], &info->splits[s]));
done:
    if (status != THAW_OK)
        thaw_dataset_info_clear(info);
    return status;
}

void thaw_dataset_info_clear(thaw_dataset_info *info)
{
    for (int64_t s = 0; s < info->split_count; s++) {
        thaw_free(&info->splits[s].class_counts);
        thaw_free(&info->splits[s].target_mean);
        thaw_free(&info->splits[s].target_std);
        thaw_free(&info->splits[s].slice_counts);
    }
    thaw_free(&info->splits);
    *info = (thaw_dataset_info){0};
}
