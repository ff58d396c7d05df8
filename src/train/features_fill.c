#include "train/train_impl.h"

#include <string.h>
#include <unistd.h>

/* Computing the features that are kept: every chunk once, shared out over all ranks. A chunk holds the same samples on any number of ranks. */

/* The feed that gives a chunk, with its view and its n samples; the caller closes it in any case. */
static thaw_status open_chunk(const thaw_features *f, const thaw_setup *s, int64_t chunk,
                              thaw_feed *feed, uint32_t *view, int64_t *n, int64_t *indices)
{
    const int64_t splits[] = {s->train, s->val, s->gate};
    int64_t b = 0;
    while (b + 1 < f->block_count && f->blocks[b + 1].first <= chunk * f->chunk)
        b++;
    const thaw_block *block = &f->blocks[b];
    const int64_t begin = chunk * f->chunk - block->first;
    *n = block->N - begin < f->chunk ? block->N - begin : f->chunk;
    *view = block->view < 0 ? 0 : (uint32_t)block->view;
    for (int64_t i = 0; i < *n; i++)
        indices[i] = begin + i;
    THAW_TRY(thaw_feed_open(feed, s->dataset, splits[block->kind]));
    feed->views = s->config->train.views;
    feed->augment = block->view < 0 ? NULL : &s->config->data.augment;
    return THAW_OK;
}

/* What comes next is read from the file while this one is computed. */
static thaw_status ask_chunk(const thaw_features *f, const thaw_setup *s, int64_t chunk,
                             int64_t *indices)
{
    thaw_feed feed;
    uint32_t view;
    int64_t n;
    const thaw_status status = open_chunk(f, s, chunk, &feed, &view, &n, indices);
    if (status == THAW_OK)
        thaw_feed_ask(&feed, view, n, indices);
    thaw_feed_close(&feed);
    return status;
}

static thaw_status compute_chunk(const thaw_features *f, const thaw_setup *s, thaw_prefix *prefix,
                                 int64_t chunk, int64_t *indices, float *out)
{
    thaw_feed feed;
    uint32_t view;
    int64_t n;
    thaw_status status = open_chunk(f, s, chunk, &feed, &view, &n, indices);
    feed.prefix = prefix;
    if (status == THAW_OK)
        status = thaw_feed_read(&feed, view, n, indices, out);
    thaw_feed_close(&feed);
    return status;
}

/* Chunks [begin, end), the first of them to `out`. */
static thaw_status compute_chunks(const thaw_features *f, const thaw_setup *s, thaw_prefix *prefix,
                                  int64_t begin, int64_t end, float *out)
{
    int64_t *indices = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&indices, f->chunk, sizeof *indices));
    for (int64_t c = begin; c < end; c++) {
        if (c + 1 < end)
            THAW_TRY_TO(ask_chunk(f, s, c + 1, indices));
        THAW_TRY_TO(
            compute_chunk(f, s, prefix, c, indices, out + (c - begin) * f->chunk * f->width));
    }
    status = THAW_OK;
done:
    thaw_dataset_pause(s->dataset);
    thaw_free(&indices);
    return status;
}

static int64_t chunk_bytes(const thaw_features *f)
{
    return f->chunk * f->width * (int64_t)sizeof(float);
}

thaw_status thaw_features_fill(thaw_comm *comm, thaw_features *f, const thaw_setup *s,
                               thaw_prefix *prefix)
{
    int64_t begin;
    int64_t end;
    const char *phase = thaw_beat_phase("keeping features of the frozen part");
    thaw_shared_part(comm, f->chunks, &begin, &end);
    float *out = (float *)thaw_shared_data(f->memory) + begin * f->chunk * f->width;
    THAW_TRY(thaw_agree(comm, thaw_setup_ahead(s, 2 * f->chunk)));
    THAW_TRY(thaw_agree(comm, compute_chunks(f, s, prefix, begin, end, out)));
    thaw_shared_join(comm, f->memory, f->chunks, chunk_bytes(f), thaw_features_bytes(f));
    thaw_beat_phase(phase);
    return THAW_OK;
}

/* ---- Larger than memory --------------------------------------------------------------------------------------- */

/* A chunk a rank at a time, through memory that the node shares; then its first rank writes. *soft says why writing failed. */
static thaw_status write_rounds(thaw_comm *comm, thaw_features *f, const thaw_setup *s,
                                thaw_prefix *prefix, thaw_feature_file *file, thaw_status *soft)
{
    const int64_t size = thaw_comm_size(comm);
    thaw_shared *staging = NULL;
    const char *phase = thaw_beat_phase("writing features of the frozen part");
    thaw_status status;
    THAW_TRY_TO(thaw_shared_new(comm, size * chunk_bytes(f), &staging));
    float *rows = thaw_shared_data(staging);
    for (int64_t base = 0; base < f->chunks && *soft == THAW_OK; base += size) {
        const int64_t count = f->chunks - base < size ? f->chunks - base : size;
        int64_t begin;
        int64_t end;
        thaw_shared_part(comm, count, &begin, &end);
        float *out = rows + begin * f->chunk * f->width;
        status = compute_chunks(f, s, prefix, base + begin, base + end, out);
        THAW_TRY_TO(thaw_agree(comm, status));
        thaw_shared_join(comm, staging, count, chunk_bytes(f), count * chunk_bytes(f));
        if (file != NULL)
            *soft = thaw_feature_append(file, count * f->chunk, rows);
        *soft = thaw_agree(comm, *soft);
    }
done:
    thaw_beat_phase(phase);
    thaw_shared_free(&staging);
    return status;
}

/* The file is there on every node: all open it, and one that need not stay loses its name, so that nothing is left however the job ends. */
static thaw_status open_written(thaw_comm *comm, thaw_features *f, const thaw_setup *s,
                                const char *path, bool writes)
{
    const thaw_feature_info info = {.key = f->file_key, .rows = f->rows, .width = f->width};
    const thaw_status status = thaw_agree(comm, thaw_feature_open(path, &info, &f->file));
    if (writes && !s->config->train.cache_keep)
        (void)unlink(path);
    return status;
}

static thaw_status create(const thaw_features *f, const char *path, const char *directory,
                          thaw_feature_file **file)
{
    const thaw_feature_info info = {
        .key = f->file_key, .rows = f->rows, .width = f->width, .about = thaw_str_c(&f->about)};
    THAW_TRY(thaw_mkdirs(directory));
    return thaw_feature_create(path, &info, file);
}

thaw_status thaw_features_spill(thaw_comm *comm, thaw_features *f, const thaw_setup *s,
                                thaw_prefix *prefix, bool *kept)
{
    thaw_str directory = {0};
    thaw_str path = {0};
    thaw_feature_file *file = NULL;
    const double start = thaw_seconds();
    thaw_features_directory(s->config, &directory);
    const bool writes = thaw_features_writer(comm, thaw_str_c(&directory));
    thaw_features_path(comm, f, s->config, &path);
    thaw_status status = THAW_OK;
    thaw_status soft =
        writes ? create(f, thaw_str_c(&path), thaw_str_c(&directory), &file) : THAW_OK;
    soft = thaw_agree(comm, soft);
    if (soft == THAW_OK)
        status = write_rounds(comm, f, s, prefix, file, &soft);
    if (status == THAW_OK && soft == THAW_OK) {
        const double seconds = (thaw_seconds() - start) * thaw_comm_size(comm);
        soft = thaw_agree(comm, file != NULL ? thaw_feature_commit(&file, seconds) : THAW_OK);
    }
    if (status == THAW_OK && soft == THAW_OK)
        soft = open_written(comm, f, s, thaw_str_c(&path), writes);
    *kept = soft == THAW_OK;
    if (status == THAW_OK && !*kept) {
        THAW_LOG(THAW_WARN, "frozen features are not kept, but computed in every epoch: %s",
                 thaw_error_last()->message);
        thaw_error_clear();
    }
    thaw_feature_close(&file);
    thaw_str_clear(&path);
    thaw_str_clear(&directory);
    return status;
}
