#include "train/train_impl.h"

#include <string.h>

/* The data of a run: opened by every rank, but the samples themselves are read by one and kept once a node. */

thaw_status thaw_config_check_splits(const thaw_data_config *d, bool test)
{
    const struct {
        const char *key, *name;
    } splits[] = {{"train", d->train}, {"val", d->val}, {"gate", d->gate}, {"test", d->test}};
    const size_t count = test ? 4 : 3;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = i + 1; k < count; k++)
            THAW_CHECK(splits[i].name[0] == '\0' || strcmp(splits[i].name, splits[k].name) != 0,
                       THAW_ERR_CONFIG,
                       "data.%s and data.%s are both '%s'; weights, learning rates, rungs and the "
                       "final report each need samples that no earlier choice was made on",
                       splits[k].key, splits[i].key, splits[k].name);
    }
    return THAW_OK;
}

/* key: what names the split in the config; NULL: a command does. */
static thaw_status need_split(const thaw_dataset *ds, const char *key, const char *name,
                              int64_t *split)
{
    const thaw_status status = thaw_dataset_split_need(ds, name, split);
    return status == THAW_OK || key == NULL ? status
                                            : thaw_fail_context(THAW_ERR_CONFIG, "%s", key);
}

static thaw_status open_file(thaw_setup *s, thaw_setup_purpose purpose)
{
    const thaw_data_config *data = &s->config->data;
    const int64_t bytes = (int64_t)(data->memory_limit_gib * 1073741824.0);
    const thaw_dataset_options options = {
        .memory_limit_bytes = bytes > 0 ? bytes : -1, /* 0 would be the module's own limit */
        .no_class_slices = !data->class_slices,
        .unlabelled = purpose == THAW_SETUP_PREDICT,
        .place_x = true,
    };
    if (purpose == THAW_SETUP_TRAIN)
        THAW_TRY(thaw_config_check_splits(data, false));
    THAW_TRY(thaw_dataset_open(data->file, &options, &s->dataset));
    /* Elsewhere than in training both are the split that a command was asked for. */
    const bool named = purpose == THAW_SETUP_TRAIN;
    THAW_TRY(need_split(s->dataset, named ? "data.train" : NULL, data->train, &s->train));
    THAW_TRY(need_split(s->dataset, named ? "data.val" : NULL, data->val, &s->val));
    s->gate = -1;
    if (data->gate[0] != '\0')
        s->gate = thaw_dataset_split_find(s->dataset, data->gate);
    THAW_TRY(thaw_dataset_keep_slices(s->dataset, &data->slices));
    const thaw_shape shape = thaw_dataset_shape(s->dataset);
    THAW_CHECK(thaw_dataset_text(s->dataset) == NULL || thaw_augment_none(&data->augment),
               THAW_ERR_CONFIG, "data.augment changes pictures, but %s has texts; leave it out",
               data->file);
    THAW_CHECK(data->augment.rand_ops == 0 || thaw_dataset_dtype(s->dataset) == THAW_U8,
               THAW_ERR_CONFIG,
               "data.augment.rand_ops works on pictures stored as bytes, 256 levels, but %s has "
               "%s; set data.augment.rand_ops: 0",
               data->file, thaw_dtype_name(thaw_dataset_dtype(s->dataset)));
    return thaw_augment_check(&data->augment, &shape);
}

/* Where the samples of one split lie in the shared memory. */
typedef struct place {
    int64_t split, offset, bytes;
} place;

/* Those that the run reads; a split may have several parts in it. Returns the bytes of all. */
static int64_t plan_places(const thaw_setup *s, place places[3])
{
    const int64_t splits[3] = {s->train, s->val, s->gate};
    int64_t total = 0;
    for (int i = 0; i < 3; i++) {
        bool again = splits[i] < 0;
        for (int k = 0; k < i; k++)
            again = again || splits[k] == splits[i];
        const int64_t bytes = again ? 0 : thaw_dataset_x_bytes(s->dataset, splits[i]);
        places[i] = (place){splits[i], total, bytes};
        total += (bytes + 63) / 64 * 64;
    }
    return total;
}

static thaw_status load(const thaw_setup *s, const place places[3])
{
    char *memory = thaw_shared_data(s->samples);
    for (int i = 0; i < 3; i++) {
        if (places[i].bytes > 0)
            THAW_TRY(thaw_dataset_load_x(s->dataset, places[i].split, memory + places[i].offset));
    }
    return THAW_OK;
}

static thaw_status settle(thaw_setup *s, const place places[3])
{
    char *memory = thaw_shared_data(s->samples);
    for (int i = 0; i < 3; i++) {
        if (places[i].bytes > 0)
            thaw_dataset_place_x(s->dataset, places[i].split, memory + places[i].offset);
    }
    return thaw_dataset_settle(s->dataset);
}

thaw_status thaw_setup_ahead(const thaw_setup *s, int64_t rows)
{
    return s->config->data.prefetch == THAW_PREFETCH_OFF
               ? THAW_OK
               : thaw_dataset_start_ahead(s->dataset, rows);
}

thaw_status thaw_setup_data(thaw_comm *comm, thaw_setup *s, thaw_setup_purpose purpose)
{
    place places[3];
    THAW_TRY(thaw_agree(comm, open_file(s, purpose)));
    const int64_t bytes = plan_places(s, places);
    THAW_TRY(thaw_same_int64(comm, s->config->data.file, bytes));
    THAW_TRY(thaw_shared_new(comm, bytes, &s->samples));
    THAW_TRY(thaw_agree(comm, thaw_comm_rank(comm) == 0 ? load(s, places) : THAW_OK));
    thaw_shared_spread(comm, s->samples, 0, bytes);
    THAW_TRY(thaw_agree(comm, settle(s, places)));
    return thaw_same_digest(comm, s->config->data.file, thaw_dataset_digest(s->dataset));
}
