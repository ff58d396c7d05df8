#include "store/weights_impl.h"

#include <string.h>

#include "thaw/h5.h"

/* Datasets of any file in HDF5, ours by thaw_hdf5_write among them; groups are parts of names, as modules are in PyTorch's. */

static const char *type_of(thaw_dtype dtype)
{
    switch (dtype) {
    case THAW_F32:
        return "F32";
    case THAW_F64:
        return "F64";
    case THAW_I32:
        return "I32";
    case THAW_I64:
        return "I64";
    default:
        return "U8";
    }
}

/* What thaw export noted. Attributes of other programs may be called the same and be anything. */
static thaw_status read_words(thaw_weights *w)
{
    static const char *const keys[] = {"arch",       "classes",    "pool",     "tokenizer",
                                       "vocabulary", "input_mean", "input_std"};
    thaw_str text = {0};
    thaw_status status = THAW_OK;
    if (!thaw_h5_has_attribute(w->hdf5, "/", "format"))
        return THAW_OK;
    if (thaw_h5_get_text(w->hdf5, "/", "format", &text) != THAW_OK) { /* a number, or a list */
        thaw_error_clear();
        goto done;
    }
    if (!thaw_starts_with(thaw_str_c(&text), "thaw-"))
        goto done;
    THAW_CHECK_TO(strcmp(thaw_str_c(&text), "thaw-weights") == 0, THAW_ERR_INPUT,
                  "%s is a %s file; weights are what thaw export --format hdf5 writes, or other "
                  "programs do",
                  w->path, thaw_str_c(&text));
    w->words = thaw_json_new_object();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (!thaw_h5_has_attribute(w->hdf5, "/", keys[i]))
            continue;
        THAW_TRY_TO(thaw_h5_get_text(w->hdf5, "/", keys[i], &text));
        thaw_json_set_string(w->words, keys[i], thaw_str_c(&text));
    }
done:
    thaw_str_clear(&text);
    return status;
}

/* A dataset without storage is read as zeros. */
static thaw_status check_stored(const thaw_weights *w, const thaw_entry *e)
{
    thaw_h5_info info;
    THAW_TRY(thaw_h5_info_of(w->hdf5, e->name, &info));
    THAW_CHECK(info.bytes_stored > 0 || thaw_shape_count(&info.shape) == 0, THAW_ERR_INPUT,
               "%s: '%s' has no values", w->path, e->name);
    return THAW_OK;
}

static thaw_status add_dataset(thaw_weights *w, const thaw_entry *e)
{
    thaw_str name = {0};
    thaw_status status;
    THAW_TRY(check_stored(w, e));
    THAW_TRY(
        weights_grow((void **)&w->parts, &w->part_capacity, w->part_count + 1, sizeof *w->parts));
    weights_part *part = &w->parts[w->part_count++];
    *part = (weights_part){.fd = -1};
    THAW_TRY(thaw_strdup(&part->path, e->name));
    thaw_str_add(&name, e->name);
    for (size_t i = 0; i < name.length; i++)
        if (name.data[i] == '/')
            name.data[i] = '.';
    status = weights_add(w, thaw_str_c(&name), weights_type_named(type_of(e->tensor.dtype)),
                         &e->tensor.shape, NULL, w->part_count - 1, 0);
    thaw_str_clear(&name);
    return status;
}

thaw_status weights_open_hdf5(thaw_weights *w, const char *path)
{
    thaw_state shapes = {0};
    thaw_status status;
    THAW_TRY_TO(thaw_h5_open(path, &w->hdf5));
    THAW_TRY_TO(read_words(w));
    THAW_TRY_TO(thaw_h5_load_shapes(path, NULL, &shapes, NULL));
    for (int64_t i = 0; i < shapes.count; i++)
        THAW_TRY_TO(add_dataset(w, &shapes.entries[i]));
done:
    thaw_state_clear(&shapes);
    return status;
}

thaw_status weights_read_dataset(const thaw_weights *w, const char *name, const thaw_shape *shape,
                                 weights_type type, void *out)
{
    return thaw_h5_read_rows(w->hdf5, name, 0, thaw_shape_rows(shape),
                             type == WEIGHTS_F64 ? THAW_F64 : THAW_F32, out);
}
