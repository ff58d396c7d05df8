/* Any dataset of any HDF5 file, named "FILE:DATASET". */
#include "data/array_impl.h"
#include "thaw/h5.h"

#include <string.h>

typedef struct hdf5_state {
    thaw_h5 *file;
    char *dataset;
} hdf5_state;

static const char *const default_datasets[] = {[THAW_ROLE_X] = "x",
                                               [THAW_ROLE_Y] = "y",
                                               [THAW_ROLE_CLUSTER] = "cluster",
                                               [THAW_ROLE_MASK] = "mask"};

static bool hdf5_recognise(const uint8_t *head, size_t bytes)
{
    return bytes >= 8 && memcmp(head, "\x89HDF\r\n\x1a\n", 8) == 0;
}

/* A path may have a colon of its own: a file that is there under the whole name is meant. */
static thaw_status open_parts(hdf5_state *state, const char *name, thaw_role role)
{
    const char *colon = strrchr(name, ':');
    if (!colon || thaw_path_exists(name)) {
        THAW_TRY(thaw_strdup(&state->dataset, default_datasets[role]));
        return thaw_h5_open(name, &state->file);
    }
    thaw_str file = {0};
    thaw_status status = THAW_OK;
    thaw_str_add_bytes(&file, name, (size_t)(colon - name));
    THAW_TRY_TO(thaw_strdup(&state->dataset, colon[1] == '/' ? colon + 2 : colon + 1));
    THAW_TRY_TO(thaw_h5_open(thaw_str_c(&file), &state->file));
done:
    thaw_str_clear(&file);
    return status;
}

static thaw_status no_dataset(const thaw_array *array, const hdf5_state *state)
{
    thaw_strings names = {0};
    thaw_str known = {0};
    thaw_status status = THAW_OK;
    THAW_TRY_TO(thaw_h5_list_datasets(state->file, "/", &names));
    for (int64_t i = 0; i < names.count && i < 20; i++)
        thaw_str_printf(&known, "%s%s", i ? ", " : "", names.items[i]);
    status = THAW_FAIL(THAW_ERR_INPUT,
                       "%s: no dataset \"%s\"; name it as FILE:DATASET. The root has: %s",
                       array->name, state->dataset, known.length ? thaw_str_c(&known) : "none");
done:
    thaw_h5_strings_free(&names);
    thaw_str_clear(&known);
    return status;
}

static thaw_status hdf5_open(thaw_array *array, const char *name, thaw_role role)
{
    thaw_h5_info info;
    THAW_TRY(thaw_alloc(&array->state, 1, sizeof(hdf5_state)));
    hdf5_state *state = array->state;
    THAW_TRY(open_parts(state, name, role));
    if (!thaw_h5_is_dataset(state->file, state->dataset))
        return no_dataset(array, state);
    THAW_TRY(thaw_h5_info_of(state->file, state->dataset, &info));
    THAW_CHECK(!info.text, THAW_ERR_INPUT, "%s: %s has text; numbers are needed", array->name,
               state->dataset);
    array->dtype = info.dtype;
    array->shape = info.shape;
    return THAW_OK;
}

static thaw_status hdf5_rows(thaw_array *array, int64_t first, int64_t count, void *out)
{
    const hdf5_state *state = array->state;
    return thaw_h5_read_rows(state->file, state->dataset, first, count, array->dtype, out);
}

static void hdf5_close(thaw_array *array)
{
    hdf5_state *state = array->state;
    if (state) {
        thaw_h5_close(&state->file);
        thaw_free(&state->dataset);
    }
    thaw_free(&array->state);
}

const thaw_importer thaw_importer_hdf5 = {.name = "hdf5",
                                          .recognise = hdf5_recognise,
                                          .labels_inside = true,
                                          .open = hdf5_open,
                                          .rows = hdf5_rows,
                                          .close = hdf5_close};
