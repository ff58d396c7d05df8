#include "data/dataset_impl.h"

#include <string.h>

#define MEMORY_LIMIT_PRESET ((int64_t)2 << 30)
#define STAGING_BYTES       ((int64_t)1 << 20)

thaw_shape thaw_dataset_shape_of(const thaw_shape *stored)
{
    if (stored->ndim == 3)
        return *stored;
    return (thaw_shape){.ndim = 3, .dim = {stored->dim[0], 1, 1}};
}

void thaw_dataset_name(char out[THAW_NAME_BYTES], const thaw_split *split, const char *part)
{
    bool fits = thaw_format(out, THAW_NAME_BYTES, "%s/%s", split->name, part);
    THAW_ASSERT(fits);
}

thaw_status thaw_strings_add(thaw_strings *list, const char *text)
{
    THAW_TRY(thaw_realloc(&list->items, list->count, list->count + 1, sizeof *list->items));
    THAW_TRY(thaw_strdup(&list->items[list->count], text));
    list->count++;
    return THAW_OK;
}

void thaw_strings_clear(thaw_strings *list)
{
    for (int64_t i = 0; i < list->count; i++)
        thaw_free(&list->items[i]);
    thaw_free(&list->items);
    list->count = 0;
}

thaw_status thaw_dataset_add_slice(thaw_dataset *ds, const char *name, const char *description)
{
    THAW_TRY(thaw_strings_add(&ds->slices, name));
    return thaw_strings_add(&ds->descriptions, description);
}

thaw_status thaw_dataset_make_masks(thaw_dataset *ds)
{
    for (int64_t s = 0; s < ds->split_count; s++) {
        thaw_split *split = &ds->splits[s];
        THAW_TRY(thaw_alloc(&split->masks, ds->slices.count, sizeof *split->masks));
        THAW_TRY(thaw_alloc(&split->members, ds->slices.count, sizeof *split->members));
        for (int64_t i = 0; i < ds->slices.count; i++)
            THAW_TRY(thaw_alloc(&split->masks[i], split->N, 1));
    }
    return THAW_OK;
}

void thaw_dataset_count_members(thaw_dataset *ds)
{
    for (int64_t s = 0; s < ds->split_count; s++) {
        thaw_split *split = &ds->splits[s];
        for (int64_t i = 0; i < ds->slices.count; i++) {
            split->members[i] = 0;
            for (int64_t n = 0; n < split->N; n++)
                split->members[i] += split->masks[i][n];
        }
    }
}

/* Reading by rows stages one row, or as many consecutive ones as fit. */
static thaw_status prepare_rows(thaw_dataset *ds)
{
    bool by_rows = false;
    for (int64_t s = 0; s < ds->split_count; s++)
        by_rows = by_rows || !ds->splits[s].x;
    if (!by_rows) {
        thaw_h5_close(&ds->file);
        return THAW_OK;
    }
    int64_t row_bytes = ds->values * (int64_t)thaw_dtype_bytes(ds->dtype);
    ds->rows_most = row_bytes < STAGING_BYTES ? STAGING_BYTES / row_bytes : 1;
    return thaw_alloc(&ds->rows, ds->rows_most, (size_t)row_bytes);
}

thaw_status thaw_dataset_settle(thaw_dataset *ds)
{
    THAW_TRY(thaw_dataset_check_digest(ds));
    return prepare_rows(ds);
}

static thaw_status open_splits(thaw_dataset *ds)
{
    thaw_strings names = {0};
    thaw_status status = THAW_OK;
    THAW_TRY_TO(thaw_h5_list_groups(ds->file, "/", &names));
    THAW_CHECK_TO(names.count > 0, THAW_ERR_INPUT,
                  "%s: the file has no split (a root group with x and y)", ds->path);
    THAW_TRY_TO(thaw_alloc(&ds->splits, names.count, sizeof *ds->splits));
    for (int64_t s = 0; s < names.count; s++) {
        thaw_split *split = &ds->splits[s];
        THAW_CHECK_TO(strlen(names.items[s]) <= 100, THAW_ERR_INPUT,
                      "%s: the split name \"%s\" is longer than 100 bytes", ds->path,
                      names.items[s]);
        ds->split_count = s + 1;
        THAW_TRY_TO(thaw_strdup(&split->name, names.items[s]));
        THAW_TRY_TO(thaw_dataset_read_split(ds, split));
    }
done:
    thaw_h5_strings_free(&names);
    return status;
}

thaw_status thaw_dataset_open(const char *path, const thaw_dataset_options *options,
                              thaw_dataset **out)
{
    *out = NULL;
    thaw_dataset *ds = NULL;
    thaw_status status = THAW_OK;
    THAW_TRY_TO(thaw_alloc(&ds, 1, sizeof *ds));
    if (options)
        ds->options = *options;
    if (ds->options.memory_limit_bytes == 0)
        ds->options.memory_limit_bytes = MEMORY_LIMIT_PRESET;
    THAW_TRY_TO(thaw_strdup(&ds->path, path));
    THAW_TRY_TO(thaw_h5_open(path, &ds->file));
    THAW_TRY_TO(thaw_dataset_read_root(ds));
    THAW_TRY_TO(open_splits(ds));
    THAW_TRY_TO(thaw_dataset_read_normalisation(ds));
    THAW_TRY_TO(thaw_dataset_read_slices(ds));
    THAW_TRY_TO(thaw_dataset_check(ds));
    if (!ds->options.place_x)
        THAW_TRY_TO(thaw_dataset_settle(ds));
    *out = ds;
    ds = NULL;
done:
    thaw_dataset_free(&ds);
    return status;
}

static void free_split(thaw_split *split, int64_t slice_count)
{
    for (int64_t i = 0; split->masks && i < slice_count; i++)
        thaw_free(&split->masks[i]);
    thaw_free(&split->masks);
    thaw_free(&split->members);
    thaw_free(&split->name);
    if (!split->borrowed)
        thaw_free(&split->x);
    thaw_free(&split->y);
    thaw_free(&split->targets);
    thaw_free(&split->cluster);
    thaw_free(&split->id);
}

void thaw_dataset_free(thaw_dataset **address)
{
    thaw_dataset *ds = *address;
    if (!ds)
        return;
    thaw_ahead_stop(&ds->ahead); /* it reads from the file */
    thaw_h5_close(&ds->file);
    for (int64_t s = 0; s < ds->split_count; s++)
        free_split(&ds->splits[s], ds->slices.count);
    thaw_free(&ds->splits);
    thaw_strings_clear(&ds->classes);
    thaw_strings_clear(&ds->slices);
    thaw_strings_clear(&ds->descriptions);
    char **texts[] = {&ds->path,       &ds->origin,         &ds->licence,
                      &ds->created_by, &ds->text.tokenizer, &ds->text.vocabulary};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        thaw_free(texts[i]);
    double **numbers[] = {&ds->mean,     &ds->std,   &ds->file_mean,
                          &ds->file_std, &ds->scale, &ds->offset};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        thaw_free(numbers[i]);
    thaw_free(&ds->shown);
    thaw_free(&ds->rows);
    thaw_free(address);
}

/* ---- Accessors ---- */

const char *thaw_dataset_path(const thaw_dataset *ds)
{
    return ds->path;
}

thaw_shape thaw_dataset_shape(const thaw_dataset *ds)
{
    return ds->shape;
}

int64_t thaw_dataset_values(const thaw_dataset *ds)
{
    return ds->values;
}

const thaw_text_info *thaw_dataset_text(const thaw_dataset *ds)
{
    return ds->dtype == THAW_I32 ? &ds->text : NULL;
}

thaw_dtype thaw_dataset_dtype(const thaw_dataset *ds)
{
    return ds->dtype;
}

thaw_task thaw_dataset_task(const thaw_dataset *ds)
{
    return ds->task;
}

int64_t thaw_dataset_classes(const thaw_dataset *ds)
{
    return ds->classes.count;
}

const char *const *thaw_dataset_class_names(const thaw_dataset *ds)
{
    return (const char *const *)ds->classes.items;
}

thaw_digest thaw_dataset_digest(const thaw_dataset *ds)
{
    return ds->digest;
}

int64_t thaw_dataset_split_count(const thaw_dataset *ds)
{
    return ds->split_count;
}

static const thaw_split *split_at(const thaw_dataset *ds, int64_t split)
{
    THAW_ASSERT(split >= 0 && split < ds->split_count);
    return &ds->splits[split];
}

const char *thaw_dataset_split_name(const thaw_dataset *ds, int64_t split)
{
    return split_at(ds, split)->name;
}

int64_t thaw_dataset_split_find(const thaw_dataset *ds, const char *name)
{
    for (int64_t s = 0; s < ds->split_count; s++)
        if (strcmp(ds->splits[s].name, name) == 0)
            return s;
    return -1;
}

thaw_status thaw_dataset_split_need(const thaw_dataset *ds, const char *name, int64_t *split)
{
    *split = thaw_dataset_split_find(ds, name);
    if (*split >= 0)
        return THAW_OK;
    thaw_str known = {0};
    for (int64_t s = 0; s < ds->split_count; s++)
        thaw_str_printf(&known, "%s%s", s ? ", " : "", ds->splits[s].name);
    thaw_status status = THAW_FAIL(THAW_ERR_USAGE, "%s: no split \"%s\"; there are %s", ds->path,
                                   name, thaw_str_c(&known));
    thaw_str_clear(&known);
    return status;
}

int64_t thaw_dataset_count(const thaw_dataset *ds, int64_t split)
{
    return split_at(ds, split)->N;
}

const int32_t *thaw_dataset_labels(const thaw_dataset *ds, int64_t split)
{
    return split_at(ds, split)->y;
}

const float *thaw_dataset_targets(const thaw_dataset *ds, int64_t split)
{
    return split_at(ds, split)->targets;
}

const int32_t *thaw_dataset_clusters(const thaw_dataset *ds, int64_t split)
{
    return split_at(ds, split)->cluster;
}

const int64_t *thaw_dataset_ids(const thaw_dataset *ds, int64_t split)
{
    return split_at(ds, split)->id;
}

int64_t thaw_dataset_slice_count(const thaw_dataset *ds)
{
    return ds->shown ? ds->shown_count : ds->slices.count;
}

/* Index in the lists of the slice that callers know by `slice`. */
static int64_t slice_at(const thaw_dataset *ds, int64_t slice)
{
    THAW_ASSERT(slice >= 0 && slice < thaw_dataset_slice_count(ds));
    return ds->shown ? ds->shown[slice] : slice;
}

thaw_status thaw_dataset_keep_slices(thaw_dataset *ds, const thaw_strings *names)
{
    int64_t slice;
    for (int64_t i = 0; i < names->count; i++)
        THAW_TRY(thaw_dataset_slice_need(ds, names->items[i], &slice));
    if (names->count == 0 || ds->slices.count == 0)
        return THAW_OK;
    int64_t *shown = NULL;
    int64_t count = 0;
    THAW_TRY(thaw_alloc(&shown, ds->slices.count, sizeof *shown));
    for (int64_t s = 0; s < ds->slices.count; s++) {
        bool keep = s >= ds->stored_slices;
        for (int64_t i = 0; i < names->count; i++)
            keep = keep || strcmp(names->items[i], ds->slices.items[s]) == 0;
        if (keep)
            shown[count++] = s;
    }
    thaw_free(&ds->shown);
    ds->shown = shown;
    ds->shown_count = count;
    return THAW_OK;
}

const char *thaw_dataset_slice_name(const thaw_dataset *ds, int64_t slice)
{
    return ds->slices.items[slice_at(ds, slice)];
}

const char *thaw_dataset_slice_description(const thaw_dataset *ds, int64_t slice)
{
    return ds->descriptions.items[slice_at(ds, slice)];
}

int64_t thaw_dataset_slice_find(const thaw_dataset *ds, const char *name)
{
    for (int64_t i = 0; i < thaw_dataset_slice_count(ds); i++)
        if (strcmp(thaw_dataset_slice_name(ds, i), name) == 0)
            return i;
    return -1;
}

thaw_status thaw_dataset_slice_need(const thaw_dataset *ds, const char *name, int64_t *slice)
{
    *slice = thaw_dataset_slice_find(ds, name);
    if (*slice >= 0)
        return THAW_OK;
    thaw_str known = {0};
    for (int64_t i = 0; i < ds->slices.count; i++)
        thaw_str_printf(&known, "%s%s", i ? ", " : "", ds->slices.items[i]);
    const char *near =
        thaw_did_you_mean(name, (const char *const *)ds->slices.items, (size_t)ds->slices.count);
    thaw_status status =
        THAW_FAIL(THAW_ERR_INPUT, "%s: no slice \"%s\"%s%s%s; there are: %s", ds->path, name,
                  near ? "; did you mean \"" : "", near ? near : "", near ? "\"" : "",
                  ds->slices.count ? thaw_str_c(&known) : "none");
    thaw_str_clear(&known);
    return status;
}

const uint8_t *thaw_dataset_slice_mask(const thaw_dataset *ds, int64_t split, int64_t slice)
{
    return split_at(ds, split)->masks[slice_at(ds, slice)];
}

int64_t thaw_dataset_slice_members(const thaw_dataset *ds, int64_t split, int64_t slice)
{
    return split_at(ds, split)->members[slice_at(ds, slice)];
}
