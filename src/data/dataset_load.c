/* Opening a dataset file: root, splits, slices. docs/dataset-format.md is what it reads. */
#include "data/dataset_impl.h"

#include <inttypes.h>
#include <string.h>

#include "data/pieces_impl.h"

/* A list that is an attribute, or a root dataset when it is long. */
static thaw_status read_classes(thaw_dataset *ds)
{
    if (thaw_h5_has_attribute(ds->file, "/", "classes"))
        THAW_TRY(thaw_h5_get_strings(ds->file, "/", "classes", &ds->classes));
    else if (thaw_h5_is_dataset(ds->file, "classes"))
        THAW_TRY(thaw_h5_read_strings(ds->file, "classes", &ds->classes));
    THAW_CHECK(ds->classes.count > 0, THAW_ERR_INPUT,
               "%s: no names of classes, labels or targets (attribute \"classes\" of the root)",
               ds->path);
    THAW_CHECK(ds->classes.count <= INT32_MAX, THAW_ERR_INPUT, "%s: too many classes", ds->path);
    for (int64_t i = 0; i < ds->classes.count; i++)
        THAW_CHECK(ds->classes.items[i][0] && strlen(ds->classes.items[i]) <= 200, THAW_ERR_INPUT,
                   "%s: the name of class %lld is empty or longer than 200 bytes", ds->path,
                   (long long)i);
    return THAW_OK;
}

static thaw_status read_numbers(thaw_dataset *ds, const char *name, double **out, int64_t *count)
{
    thaw_h5_info info;
    *count = 0;
    if (thaw_h5_has_attribute(ds->file, "/", name))
        return thaw_h5_get_doubles(ds->file, "/", name, out, count);
    if (!thaw_h5_is_dataset(ds->file, name))
        return THAW_OK;
    THAW_TRY(thaw_h5_info_of(ds->file, name, &info));
    THAW_CHECK(!info.text && info.shape.ndim == 1, THAW_ERR_INPUT, "%s: %s must be (C) numbers",
               ds->path, name);
    *count = info.shape.dim[0];
    THAW_TRY(thaw_alloc(out, *count, sizeof **out));
    return thaw_h5_read_rows(ds->file, name, 0, *count, THAW_F64, *out);
}

static thaw_status read_text(thaw_dataset *ds, const char *name, char **out)
{
    thaw_str text = {0};
    thaw_status status = THAW_OK;
    if (thaw_h5_has_attribute(ds->file, "/", name))
        THAW_TRY_TO(thaw_h5_get_text(ds->file, "/", name, &text));
    THAW_TRY_TO(thaw_strdup(out, thaw_str_c(&text)));
done:
    thaw_str_clear(&text);
    return status;
}

static thaw_status need_text(thaw_dataset *ds, const char *name, const char *expected)
{
    char *text = NULL;
    thaw_status status = THAW_OK;
    THAW_TRY_TO(read_text(ds, name, &text));
    THAW_CHECK_TO(strcmp(text, expected) == 0, THAW_ERR_INPUT,
                  "%s: not a dataset file of thaw: root attribute \"%s\" is \"%s\", expected "
                  "\"%s\"; make one with "
                  "thaw data import",
                  ds->path, name, text, expected);
done:
    thaw_free(&text);
    return status;
}

static thaw_status read_task(thaw_dataset *ds)
{
    char *text = NULL;
    thaw_status status = THAW_OK;
    THAW_TRY_TO(read_text(ds, "task", &text));
    THAW_CHECK_TO(thaw_task_parse(text, &ds->task), THAW_ERR_INPUT,
                  "%s: root attribute \"task\" is \"%s\"; expected classification, multi_label or "
                  "regression",
                  ds->path, text);
done:
    thaw_free(&text);
    return status;
}

thaw_status thaw_dataset_read_root(thaw_dataset *ds)
{
    int64_t version = 0;
    THAW_TRY(need_text(ds, "format", THAW_DATASET_FORMAT));
    THAW_CHECK(thaw_h5_has_attribute(ds->file, "/", "version"), THAW_ERR_INPUT,
               "%s: root attribute \"version\" is missing", ds->path);
    THAW_TRY(thaw_h5_get_int(ds->file, "/", "version", &version));
    THAW_CHECK(version == THAW_DATASET_VERSION, THAW_ERR_INPUT,
               "%s: dataset version %lld; this build reads %d", ds->path, (long long)version,
               THAW_DATASET_VERSION);
    THAW_TRY(read_task(ds));
    THAW_TRY(read_text(ds, "origin", &ds->origin));
    THAW_TRY(read_text(ds, "licence", &ds->licence));
    THAW_TRY(read_text(ds, "created_by", &ds->created_by));
    THAW_TRY(read_text(ds, "tokenizer", &ds->text.tokenizer));
    THAW_TRY(read_text(ds, "vocabulary", &ds->text.vocabulary));
    if (thaw_h5_has_attribute(ds->file, "/", "pieces"))
        THAW_TRY(thaw_h5_get_int(ds->file, "/", "pieces", &ds->text.pieces));
    THAW_CHECK(
        ds->text.pieces >= 0 && ds->text.pieces <= THAW_PIECES_MOST, THAW_ERR_INPUT,
        "%s: root attribute \"pieces\" is %lld; a vocabulary has 1 to %d, and 0 says that it "
        "is not known",
        ds->path, (long long)ds->text.pieces, THAW_PIECES_MOST);
    if (thaw_h5_has_attribute(ds->file, "/", "padding"))
        THAW_TRY(thaw_h5_get_int(ds->file, "/", "padding", &ds->text.pad_id));
    THAW_CHECK(ds->text.pad_id >= 0 && ds->text.pad_id < THAW_PIECES_MOST, THAW_ERR_INPUT,
               "%s: root attribute \"padding\" is %lld; it is the id of a token, from 0 to %d",
               ds->path, (long long)ds->text.pad_id, THAW_PIECES_MOST - 1);
    return read_classes(ds);
}

thaw_status thaw_dataset_read_normalisation(thaw_dataset *ds)
{
    int64_t C = ds->shape.dim[0], count[2] = {0, 0};
    THAW_TRY(read_numbers(ds, "mean", &ds->file_mean, &count[0]));
    THAW_TRY(read_numbers(ds, "std", &ds->file_std, &count[1]));
    THAW_CHECK(ds->dtype != THAW_I32 || !ds->file_mean, THAW_ERR_INPUT,
               "%s: \"mean\" and \"std\" are for pictures, and these are texts; remove them",
               ds->path);
    THAW_CHECK(!ds->file_mean == !ds->file_std, THAW_ERR_INPUT,
               "%s: has only one of \"mean\" and \"std\"", ds->path);
    for (int i = 0; i < 2; i++)
        THAW_CHECK(!ds->file_mean || count[i] == C, THAW_ERR_INPUT,
                   "%s: \"%s\" has %lld values for %lld channels", ds->path, i ? "std" : "mean",
                   (long long)count[i], (long long)C);
    return thaw_dataset_set_normalisation(ds, C, ds->file_mean, ds->file_std);
}

static thaw_status check_x(thaw_dataset *ds, const char *name, const thaw_h5_info *info)
{
    char shape[96];
    thaw_shape_format(&info->shape, shape, sizeof shape);
    bool typed = !info->text &&
                 (info->dtype == THAW_U8 || info->dtype == THAW_F32 || info->dtype == THAW_I32);
    THAW_CHECK(typed, THAW_ERR_INPUT,
               "%s: %s is %s; it must be uint8, float32, or int32 for the tokens of texts",
               ds->path, name, info->text ? "text" : thaw_dtype_name(info->dtype));
    if (info->dtype == THAW_I32)
        THAW_CHECK(info->shape.ndim == 4 && info->shape.dim[1] >= 1 && info->shape.dim[1] <= 2 &&
                       info->shape.dim[3] == 1,
                   THAW_ERR_INPUT,
                   "%s: %s has shape %s; texts of T tokens are (N, 1, T, 1), or with the types of "
                   "the tokens (N, 2, T, 1)",
                   ds->path, name, shape);
    THAW_CHECK(info->shape.ndim == 2 || info->shape.ndim == 4, THAW_ERR_INPUT,
               "%s: %s has shape %s; it must be (N, C, H, W) or (N, D)", ds->path, name, shape);
    THAW_CHECK(info->shape.dim[0] > 0, THAW_ERR_INPUT, "%s: %s is empty: shape %s", ds->path, name,
               shape);
    thaw_shape stored = {.ndim = info->shape.ndim - 1};
    for (int d = 0; d < stored.ndim; d++)
        stored.dim[d] = info->shape.dim[d + 1];
    if (ds->values == 0) {
        THAW_CHECK(thaw_shape_count(&stored) > 0, THAW_ERR_INPUT,
                   "%s: %s has samples without values: shape %s", ds->path, name, shape);
        ds->stored = stored;
        ds->dtype = info->dtype;
        ds->shape = thaw_dataset_shape_of(&stored);
        ds->values = thaw_shape_count(&stored);
        return THAW_OK;
    }
    char first[64];
    thaw_shape_format(&ds->stored, first, sizeof first);
    THAW_CHECK(thaw_shape_equal(&stored, &ds->stored) && info->dtype == ds->dtype, THAW_ERR_INPUT,
               "%s: %s has shape %s of %s, but samples of %s are %s of %s; all splits must agree",
               ds->path, name, shape, thaw_dtype_name(info->dtype), ds->splits[0].name, first,
               thaw_dtype_name(ds->dtype));
    return THAW_OK;
}

static thaw_status read_x(thaw_dataset *ds, thaw_split *split)
{
    char name[THAW_NAME_BYTES];
    thaw_h5_info info;
    thaw_dataset_name(name, split, "x");
    THAW_CHECK(thaw_h5_is_dataset(ds->file, name), THAW_ERR_INPUT, "%s: dataset %s is missing",
               ds->path, name);
    THAW_TRY(thaw_h5_info_of(ds->file, name, &info));
    THAW_TRY(check_x(ds, name, &info));
    split->N = info.shape.dim[0];
    const int64_t bytes = thaw_dataset_x_bytes(ds, split - ds->splits);
    if (bytes == 0 || ds->options.place_x)
        return THAW_OK;
    THAW_TRY(thaw_alloc(&split->x, bytes, 1));
    return thaw_dataset_load_x(ds, split - ds->splits, split->x);
}

int64_t thaw_dataset_x_bytes(const thaw_dataset *ds, int64_t split)
{
    THAW_ASSERT(split >= 0 && split < ds->split_count);
    const int64_t bytes = (int64_t)thaw_dtype_bytes(ds->dtype);
    const int64_t N = ds->splits[split].N;
    return N > ds->options.memory_limit_bytes / ds->values / bytes ? 0 : N * ds->values * bytes;
}

thaw_status thaw_dataset_load_x(const thaw_dataset *ds, int64_t split, void *memory)
{
    char name[THAW_NAME_BYTES];
    thaw_dataset_name(name, &ds->splits[split], "x");
    return thaw_h5_read_rows(ds->file, name, 0, ds->splits[split].N, ds->dtype, memory);
}

void thaw_dataset_place_x(thaw_dataset *ds, int64_t split, void *memory)
{
    THAW_ASSERT(split >= 0 && split < ds->split_count && ds->splits[split].x == NULL);
    ds->splits[split].x = memory;
    ds->splits[split].borrowed = true;
}

/* A column of whole numbers in [least, most] to out (N), as int64; NULL when the file has none. */
static thaw_status read_column(thaw_dataset *ds, const thaw_split *split, const char *part,
                               int64_t least, int64_t most, int64_t **out)
{
    char name[THAW_NAME_BYTES], shape[96];
    thaw_h5_info info;
    thaw_dataset_name(name, split, part);
    if (!thaw_h5_is_dataset(ds->file, name))
        return THAW_OK;
    THAW_TRY(thaw_h5_info_of(ds->file, name, &info));
    thaw_shape_format(&info.shape, shape, sizeof shape);
    bool whole = !info.text && info.dtype != THAW_F32 && info.dtype != THAW_F64;
    THAW_CHECK(whole, THAW_ERR_INPUT, "%s: %s must have whole numbers, not %s", ds->path, name,
               info.text ? "text" : thaw_dtype_name(info.dtype));
    THAW_CHECK(info.shape.ndim == 1 && info.shape.dim[0] == split->N, THAW_ERR_INPUT,
               "%s: %s has shape %s, but %s/x has %lld rows", ds->path, name, shape, split->name,
               (long long)split->N);
    THAW_TRY(thaw_alloc(out, split->N, sizeof **out));
    THAW_TRY(thaw_h5_read_rows(ds->file, name, 0, split->N, THAW_I64, *out));
    for (int64_t i = 0; i < split->N; i++)
        THAW_CHECK((*out)[i] >= least && (*out)[i] <= most, THAW_ERR_INPUT,
                   "%s: %s: row %lld is %" PRId64 "; allowed are %" PRId64 "..%" PRId64, ds->path,
                   name, (long long)i, (*out)[i], least, most);
    return THAW_OK;
}

thaw_status thaw_dataset_read_small_column(thaw_dataset *ds, const thaw_split *split,
                                           const char *part, int64_t least, int64_t most,
                                           int32_t **out)
{
    int64_t *wide = NULL;
    thaw_status status = THAW_OK;
    THAW_TRY_TO(read_column(ds, split, part, least, most, &wide));
    if (wide) {
        THAW_TRY_TO(thaw_alloc(out, split->N, sizeof **out));
        for (int64_t i = 0; i < split->N; i++)
            (*out)[i] = (int32_t)wide[i];
    }
done:
    thaw_free(&wide);
    return status;
}

thaw_status thaw_dataset_read_split(thaw_dataset *ds, thaw_split *split)
{
    THAW_TRY(read_x(ds, split));
    THAW_TRY(thaw_dataset_read_labels(ds, split));
    THAW_TRY(thaw_dataset_read_small_column(ds, split, "cluster", INT32_MIN, INT32_MAX,
                                            &split->cluster));
    return read_column(ds, split, "id", INT64_MIN, INT64_MAX, &split->id);
}

/* Name and description of one stored slice, once. */
static thaw_status register_slice(thaw_dataset *ds, const thaw_split *split, const char *slice)
{
    char part[THAW_NAME_BYTES], name[THAW_NAME_BYTES];
    thaw_str description = {0};
    thaw_status status = THAW_OK;
    if (thaw_dataset_slice_find(ds, slice) >= 0)
        return THAW_OK;
    THAW_CHECK(thaw_format(part, sizeof part / 2, "slices/%s", slice), THAW_ERR_INPUT,
               "%s: a slice of split %s has a name longer than 200 bytes", ds->path, split->name);
    thaw_dataset_name(name, split, part);
    if (thaw_h5_has_attribute(ds->file, name, "description"))
        THAW_TRY_TO(thaw_h5_get_text(ds->file, name, "description", &description));
    THAW_TRY_TO(thaw_dataset_add_slice(ds, slice, thaw_str_c(&description)));
done:
    thaw_str_clear(&description);
    return status;
}

static thaw_status list_slices(thaw_dataset *ds)
{
    for (int64_t s = 0; s < ds->split_count; s++) {
        char group[THAW_NAME_BYTES];
        thaw_strings names = {0};
        thaw_status status = THAW_OK;
        thaw_dataset_name(group, &ds->splits[s], "slices");
        if (!thaw_h5_exists(ds->file, group))
            continue;
        THAW_TRY_TO(thaw_h5_list_datasets(ds->file, group, &names));
        for (int64_t i = 0; i < names.count; i++)
            THAW_TRY_TO(register_slice(ds, &ds->splits[s], names.items[i]));
    done:
        thaw_h5_strings_free(&names);
        THAW_TRY(status);
    }
    return THAW_OK;
}

/* Splits name different slices in any order; the list of all is in the order of names, whichever came first. */
void thaw_dataset_sort_slices(thaw_dataset *ds)
{
    for (int64_t i = 1; i < ds->slices.count; i++) {
        for (int64_t j = i; j > 0 && strcmp(ds->slices.items[j - 1], ds->slices.items[j]) > 0;
             j--) {
            thaw_strings *lists[] = {&ds->slices, &ds->descriptions};
            for (int l = 0; l < 2; l++) {
                char *item = lists[l]->items[j];
                lists[l]->items[j] = lists[l]->items[j - 1];
                lists[l]->items[j - 1] = item;
            }
        }
    }
}

static thaw_status read_masks(thaw_dataset *ds, thaw_split *split)
{
    for (int64_t i = 0; i < ds->stored_slices; i++) {
        char part[THAW_NAME_BYTES / 2];
        int64_t *member = NULL;
        bool fits = thaw_format(part, sizeof part, "slices/%s", ds->slices.items[i]);
        THAW_ASSERT(fits);
        thaw_status status = read_column(ds, split, part, 0, 1, &member);
        for (int64_t n = 0; status == THAW_OK && member && n < split->N; n++)
            split->masks[i][n] = (uint8_t)member[n];
        thaw_free(&member);
        THAW_TRY(status);
    }
    thaw_dataset_fill_label_slices(ds, split);
    return THAW_OK;
}

thaw_status thaw_dataset_read_slices(thaw_dataset *ds)
{
    THAW_TRY(list_slices(ds));
    thaw_dataset_sort_slices(ds);
    THAW_TRY(thaw_dataset_add_label_slices(ds));
    THAW_TRY(thaw_dataset_make_masks(ds));
    for (int64_t s = 0; s < ds->split_count; s++)
        THAW_TRY(read_masks(ds, &ds->splits[s]));
    thaw_dataset_count_members(ds);
    return THAW_OK;
}
