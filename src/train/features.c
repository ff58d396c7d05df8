#include "train/train_impl.h"

#include <stdlib.h>
#include <string.h>

/* Kept features: what is kept, where, and reading it. features_key.c says what it depends on, features_fill.c computes it, features_file.c
 * keeps it beyond the process. */

static bool augments(const thaw_setup *s)
{
    return !thaw_augment_none(&s->config->data.augment);
}

const char *thaw_features_refuse(const thaw_setup *s)
{
    if (!thaw_has_prefix(s))
        return "nothing frozen comes before what trains";
    if (s->config->train.cache != 0)
        return "train.cache is off";
    if (augments(s) && s->config->train.views == 0)
        return "training inputs are augmented at random (train.views: K would keep K fixed views "
               "of each sample)";
    return NULL;
}

static int64_t count_of(const thaw_setup *s, thaw_block_kind kind)
{
    const int64_t split = kind == THAW_BLOCK_TRAIN ? s->train
                          : kind == THAW_BLOCK_VAL ? s->val
                                                   : s->gate;
    return split < 0 ? 0 : thaw_dataset_count(s->dataset, split);
}

/* Behind the block before it, at a whole chunk. */
static void add_block(thaw_features *f, const thaw_setup *s, thaw_block_kind kind, int64_t view)
{
    const int64_t N = count_of(s, kind);
    f->blocks[f->block_count++] =
        (thaw_block){.kind = kind, .view = view, .first = f->chunks * f->chunk, .N = N};
    f->chunks += (N + f->chunk - 1) / f->chunk;
    f->samples += N;
}

thaw_status thaw_features_plan(thaw_features *f, const thaw_setup *s)
{
    const thaw_value boundary = thaw_graph_boundary(s->model->graph);
    const thaw_shape shape = thaw_graph_value_shape(s->model->graph, boundary);
    const int64_t views = augments(s) ? s->config->train.views : 0;
    THAW_TRY(thaw_prefix_kernels(s, &f->kernels));
    f->width = thaw_shape_count(&shape);
    f->chunk = thaw_prefix_batch(s);
    THAW_TRY(thaw_alloc(&f->blocks, views + 3, sizeof *f->blocks));
    for (int64_t view = -1; view < views; view++)
        add_block(f, s, THAW_BLOCK_TRAIN, view);
    add_block(f, s, THAW_BLOCK_VAL, -1);
    if (s->gate >= 0)
        add_block(f, s, THAW_BLOCK_GATE, -1);
    f->rows = f->chunks * f->chunk;
    return THAW_OK;
}

int64_t thaw_features_bytes(const thaw_features *f)
{
    return f->rows * f->width * (int64_t)sizeof(float);
}

int64_t thaw_features_block(const thaw_features *f, thaw_block_kind kind)
{
    int64_t block = 0;
    while (f->blocks[block].kind != kind)
        block++;
    return block;
}

bool thaw_features_fit(const thaw_config *config, int64_t bytes)
{
    return (double)bytes <= config->train.cache_limit_gib * 1073741824.0;
}

void thaw_features_directory(const thaw_config *config, thaw_str *out)
{
    const char *temporary = getenv("TMPDIR");
    thaw_str_reset(out);
    if (config->train.cache_dir[0] != '\0')
        thaw_str_add(out, config->train.cache_dir);
    else if (!config->train.cache_keep && temporary != NULL && temporary[0] != '\0')
        thaw_str_add(out, temporary);
    else
        thaw_path_join(out, config->output, "cache");
}

/* ---- Opening ------------------------------------------------------------------------------------------------- */

/* Shared memory when it fits; where a node has none, copies for all its ranks have to fit. */
static thaw_status take_memory(thaw_comm *comm, thaw_features *f, const thaw_config *config)
{
    const int64_t bytes = thaw_features_bytes(f);
    int64_t ranks = thaw_comm_node_size(comm);
    if (!thaw_features_fit(config, bytes))
        return THAW_OK;
    THAW_TRY(thaw_shared_try(comm, bytes, &f->memory));
    thaw_allreduce_max_int64(comm, &ranks, 1);
    if (f->memory == NULL && thaw_features_fit(config, bytes * ranks))
        THAW_TRY(thaw_shared_new(comm, bytes, &f->memory));
    return THAW_OK;
}

static thaw_status compute(thaw_comm *comm, thaw_features *f, const thaw_setup *s,
                           thaw_prefix *prefix, bool *kept)
{
    const double start = thaw_seconds();
    if (f->memory != NULL)
        THAW_TRY(thaw_features_fill(comm, f, s, prefix));
    else
        THAW_TRY(thaw_features_spill(comm, f, s, prefix, kept));
    f->core_seconds = (thaw_seconds() - start) * thaw_comm_size(comm);
    thaw_allreduce_max_double(comm, &f->core_seconds, 1);
    if (f->memory != NULL && s->config->train.cache_keep)
        thaw_features_keep(comm, f, s);
    return THAW_OK;
}

static thaw_status plan(thaw_features *f, const thaw_setup *s)
{
    THAW_TRY(thaw_features_plan(f, s));
    return thaw_features_key(f, s);
}

/* Those of the phase before, where the boundary and all before it are as they were; else they make room. */
static bool take_spare(thaw_features *f, const thaw_setup *s)
{
    if (s->spare == NULL || s->spare->blocks == NULL)
        return false;
    if (!thaw_digest_equal(s->spare->file_key, f->file_key)) {
        thaw_features_close(s->spare);
        return false;
    }
    thaw_features_close(f);
    *f = *s->spare;
    *s->spare = (thaw_features){0};
    return true;
}

thaw_status thaw_features_open(thaw_comm *comm, thaw_features *f, thaw_setup *s, bool *kept)
{
    bool found = false;
    thaw_prefix prefix;
    thaw_status status;
    *kept = true;
    thaw_prefix_init(&prefix, s);
    THAW_TRY_TO(thaw_agree(comm, plan(f, s)));
    THAW_TRY_TO(thaw_prefix_open(comm, &prefix));
    thaw_features_file_key(f, &prefix);
    THAW_TRY_TO(thaw_same_digest(comm, "the key of the frozen features", f->file_key));
    if (take_spare(f, s)) /* uniform */
        goto done;
    THAW_TRY_TO(take_memory(comm, f, s->config));
    if (s->config->train.cache_keep || s->config->train.cache_dir[0] != '\0')
        THAW_TRY_TO(thaw_features_load(comm, f, s, &found));
    if (!found)
        status = compute(comm, f, s, &prefix, kept);
done:
    thaw_prefix_close(&prefix);
    if (status != THAW_OK || !*kept)
        thaw_features_close(f);
    return status;
}

void thaw_features_close(thaw_features *f)
{
    thaw_feature_close(&f->file);
    thaw_shared_free(&f->memory);
    thaw_free(&f->blocks);
    thaw_str_clear(&f->about);
    *f = (thaw_features){0};
}

/* ---- Reading ------------------------------------------------------------------------------------------------- */

/* Rows that follow each other are read together. */
static thaw_status read_file(const thaw_features *f, int64_t first, int64_t n,
                             const int64_t *indices, float *out)
{
    for (int64_t i = 0; i < n;) {
        int64_t run = 1;
        while (i + run < n && indices[i + run] == indices[i] + run)
            run++;
        THAW_TRY(thaw_feature_read(f->file, first + indices[i], run, out + i * f->width));
        i += run;
    }
    return THAW_OK;
}

bool thaw_features_read(thaw_features *f, int64_t block, int64_t n, const int64_t *indices,
                        float *out)
{
    const int64_t first = f->blocks[block].first;
    const size_t bytes = (size_t)f->width * sizeof *out;
    if (f->lost)
        return false;
    if (f->memory != NULL) {
        const float *rows = thaw_shared_data(f->memory);
        for (int64_t i = 0; i < n; i++)
            memcpy(out + i * f->width, rows + (first + indices[i]) * f->width, bytes);
    } else if (read_file(f, first, n, indices, out) != THAW_OK) {
        THAW_LOG_ALL(THAW_WARN, "kept features are lost (%s); this rank computes them again",
                     thaw_error_last()->message);
        thaw_error_clear();
        f->lost = true;
        return false;
    }
    f->hits += n;
    return true;
}
