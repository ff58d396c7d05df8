#include "data/dataset_impl.h"

#include <math.h>

thaw_status thaw_dataset_set_normalisation(thaw_dataset *ds, int64_t C, const double *mean,
                                           const double *std)
{
    THAW_CHECK(C == ds->shape.dim[0], THAW_ERR_INPUT,
               "%s: normalisation has %lld channels, the samples have %lld", ds->path, (long long)C,
               (long long)ds->shape.dim[0]);
    for (int64_t c = 0; c < C && std; c++)
        THAW_CHECK(isfinite(mean[c]) && isfinite(std[c]) && std[c] > 0, THAW_ERR_INPUT,
                   "%s: channel %lld has mean %g and std %g; both must be finite and std above 0",
                   ds->path, (long long)c, mean[c], std[c]);
    double **arrays[] = {&ds->mean, &ds->std, &ds->scale, &ds->offset};
    for (int i = 0; i < 4; i++)
        if (!*arrays[i])
            THAW_TRY(thaw_alloc(arrays[i], C, sizeof(double)));
    double unit = ds->dtype == THAW_U8 ? 255 : 1;
    for (int64_t c = 0; c < C; c++) {
        ds->mean[c] = mean ? mean[c] : 0;
        ds->std[c] = std ? std[c] : 1;
        ds->scale[c] = 1 / (unit * ds->std[c]);
        ds->offset[c] = -ds->mean[c] / ds->std[c];
    }
    return THAW_OK;
}

const double *thaw_dataset_mean(const thaw_dataset *ds)
{
    return ds->mean;
}

const double *thaw_dataset_std(const thaw_dataset *ds)
{
    return ds->std;
}

thaw_levels thaw_dataset_levels(const thaw_dataset *ds)
{
    return (thaw_levels){.zero = ds->offset, .step = ds->scale};
}

/* One stored sample to out (C, H, W). Products and sums are in double, so that a float with a large mean keeps its digits
 * and a stored 0 is exactly black. */
static void normalise(const thaw_dataset *ds, const void *stored, float *out)
{
    int64_t C = ds->shape.dim[0], plane = ds->values / C;
    for (int64_t i = 0; ds->dtype == THAW_I32 && i < ds->values; i++)
        out[i] = (float)((const int32_t *)stored)[i];
    for (int64_t c = 0; ds->dtype != THAW_I32 && c < C; c++) {
        double scale = ds->scale[c], offset = ds->offset[c];
        float *to = out + c * plane;
        if (ds->dtype == THAW_U8) {
            const uint8_t *from = (const uint8_t *)stored + c * plane;
            for (int64_t i = 0; i < plane; i++)
                to[i] = (float)(from[i] * scale + offset);
        } else {
            const float *from = (const float *)stored + c * plane;
            for (int64_t i = 0; i < plane; i++)
                to[i] = (float)((double)from[i] * scale + offset);
        }
    }
}

/* Stored rows [first, first + n), checked. */
static thaw_status read_stored(const thaw_dataset *ds, int64_t s, int64_t first, int64_t n,
                               void *out)
{
    char name[THAW_NAME_BYTES];
    thaw_dataset_name(name, &ds->splits[s], "x");
    THAW_TRY(thaw_h5_read_rows(ds->file, name, first, n, ds->dtype, out));
    int64_t bad = thaw_dataset_bad_sample(ds, n, out);
    THAW_CHECK(bad < 0, THAW_ERR_INPUT, "%s: %s: row %lld has %s", ds->path, name,
               (long long)(first + bad), thaw_dataset_bad_value(ds));
    return THAW_OK;
}

static size_t row_bytes_of(const thaw_dataset *ds)
{
    return (size_t)ds->values * thaw_dtype_bytes(ds->dtype);
}

/* Samples indices[0..n) are consecutive and fit the staging. */
static thaw_status read_run(const thaw_dataset *ds, int64_t s, int64_t first, int64_t n, float *out)
{
    if (ds->ahead != NULL)
        thaw_ahead_pause(ds->ahead);
    THAW_TRY(read_stored(ds, s, first, n, ds->rows));
    for (int64_t i = 0; i < n; i++)
        normalise(ds, (const char *)ds->rows + (size_t)i * row_bytes_of(ds), out + i * ds->values);
    return THAW_OK;
}

static bool take(const thaw_dataset *ds, int64_t s, int64_t index, float *out)
{
    const void *stored = ds->ahead != NULL ? thaw_ahead_take(ds->ahead, s, index) : NULL;
    if (stored != NULL)
        normalise(ds, stored, out);
    return stored != NULL;
}

thaw_status thaw_dataset_read(const thaw_dataset *ds, int64_t s, int64_t n, const int64_t *indices,
                              float *out)
{
    THAW_ASSERT(s >= 0 && s < ds->split_count);
    const thaw_split *split = &ds->splits[s];
    for (int64_t i = 0; i < n; i++)
        THAW_ASSERT(indices[i] >= 0 && indices[i] < split->N);
    if (split->x) {
        for (int64_t i = 0; i < n; i++)
            normalise(ds, (const char *)split->x + (size_t)indices[i] * row_bytes_of(ds),
                      out + i * ds->values);
        return THAW_OK;
    }
    for (int64_t i = 0; i < n;) {
        int64_t run = 1;
        if (take(ds, s, indices[i], out + i * ds->values)) {
            i++;
            continue;
        }
        while (i + run < n && run < ds->rows_most && indices[i + run] == indices[i] + run)
            run++;
        THAW_TRY(read_run(ds, s, indices[i], run, out + i * ds->values));
        i += run;
    }
    return THAW_OK;
}

static thaw_status read_ahead(const void *source, int64_t split, int64_t first, int64_t n,
                              void *out)
{
    return read_stored(source, split, first, n, out);
}

thaw_status thaw_dataset_start_ahead(thaw_dataset *ds, int64_t rows)
{
    bool by_rows = false;
    for (int64_t s = 0; s < ds->split_count; s++)
        by_rows = by_rows || ds->splits[s].x == NULL;
    if (!by_rows || (ds->ahead != NULL && thaw_ahead_room(ds->ahead) >= rows))
        return THAW_OK;
    thaw_ahead_stop(&ds->ahead);
    return thaw_ahead_start(read_ahead, ds, rows, row_bytes_of(ds), &ds->ahead);
}

bool thaw_dataset_reads_ahead(const thaw_dataset *ds, int64_t split)
{
    return ds->ahead != NULL && ds->splits[split].x == NULL;
}

void thaw_dataset_ask(const thaw_dataset *ds, int64_t split, int64_t n, const int64_t *indices)
{
    THAW_ASSERT(split >= 0 && split < ds->split_count);
    for (int64_t i = 0; i < n; i++)
        THAW_ASSERT(indices[i] >= 0 && indices[i] < ds->splits[split].N);
    if (thaw_dataset_reads_ahead(ds, split))
        thaw_ahead_ask(ds->ahead, split, n, indices);
}

void thaw_dataset_pause(const thaw_dataset *ds)
{
    if (ds->ahead != NULL)
        thaw_ahead_pause(ds->ahead);
}
