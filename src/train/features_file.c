#include "train/train_impl.h"

#include <string.h>
#include <unistd.h>

/* Features in files: where they are, who writes them, and taking up what an earlier run left. Whatever is wrong with a file costs one line and
 * the time to compute it again. */

/* Where a directory is on each node's own disk, the first rank of every node writes; where all nodes see the same, rank 0 alone. Found out
 * with a file of rank 0 that the others look for. Collective. */
bool thaw_features_writer(thaw_comm *comm, const char *directory)
{
    char name[64] = "";
    thaw_str path = {0};
    const bool first = thaw_comm_rank(comm) == 0;
    if (first)
        thaw_format(name, sizeof name, ".thaw-%ld", (long)getpid());
    thaw_bcast(comm, 0, name, sizeof name);
    thaw_path_join(&path, directory, name);
    if (first && thaw_comm_node_count(comm) > 1 &&
        (thaw_mkdirs(directory) != THAW_OK || thaw_file_write(thaw_str_c(&path), "", 0) != THAW_OK))
        thaw_error_clear(); /* whoever writes there will say so */
    thaw_barrier(comm);
    const bool sees = thaw_path_exists(thaw_str_c(&path));
    thaw_barrier(comm);
    if (first)
        (void)unlink(thaw_str_c(&path));
    thaw_str_clear(&path);
    return first || (thaw_comm_node_rank(comm) == 0 && !sees);
}

/* One that does not stay is named by the job as well. Collective. */
void thaw_features_path(thaw_comm *comm, const thaw_features *f, const thaw_config *config,
                        thaw_str *out)
{
    char hex[THAW_DIGEST_HEX];
    thaw_str directory = {0};
    thaw_str name = {0};
    int64_t job = (int64_t)getpid();
    thaw_bcast(comm, 0, &job, sizeof job);
    thaw_digest_hex(f->file_key, hex);
    thaw_str_printf(&name, "features-%s", hex);
    if (!config->train.cache_keep)
        thaw_str_printf(&name, "-%lld", (long long)job);
    thaw_str_add(&name, ".h5");
    thaw_features_directory(config, &directory);
    thaw_path_join(out, thaw_str_c(&directory), thaw_str_c(&name));
    thaw_str_clear(&name);
    thaw_str_clear(&directory);
}

/* The name of one that stays, whatever this run does with its own. */
static void kept_path(const thaw_features *f, const thaw_config *config, thaw_str *out)
{
    char hex[THAW_DIGEST_HEX];
    thaw_str directory = {0};
    thaw_str name = {0};
    thaw_digest_hex(f->file_key, hex);
    thaw_str_printf(&name, "features-%s.h5", hex);
    thaw_features_directory(config, &directory);
    thaw_path_join(out, thaw_str_c(&directory), thaw_str_c(&name));
    thaw_str_clear(&name);
    thaw_str_clear(&directory);
}

/* Into memory rank 0 reads, and hands on; from a file all ranks read. */
static thaw_status open_kept(thaw_comm *comm, thaw_features *f, const char *path)
{
    const thaw_feature_info info = {.key = f->file_key, .rows = f->rows, .width = f->width};
    const bool reads = f->memory == NULL || thaw_comm_rank(comm) == 0;
    thaw_status status = reads ? thaw_feature_open(path, &info, &f->file) : THAW_OK;
    if (status == THAW_OK && reads)
        f->core_seconds = thaw_feature_core_seconds(f->file);
    if (status == THAW_OK && reads && f->memory != NULL)
        status = thaw_feature_read_all(f->file, thaw_shared_data(f->memory));
    if (status != THAW_OK || f->memory != NULL)
        thaw_feature_close(&f->file);
    return thaw_agree(comm, status);
}

thaw_status thaw_features_load(thaw_comm *comm, thaw_features *f, const thaw_setup *s, bool *found)
{
    thaw_str path = {0};
    kept_path(f, s->config, &path);
    bool there = thaw_path_exists(thaw_str_c(&path));
    thaw_bcast(comm, 0, &there, sizeof there);
    *found = there && open_kept(comm, f, thaw_str_c(&path)) == THAW_OK;
    if (there && !*found) {
        THAW_LOG(THAW_WARN, "kept features are not used and computed again: %s",
                 thaw_error_last()->message);
        thaw_error_clear();
        thaw_feature_close(&f->file);
    }
    if (*found && f->memory != NULL)
        thaw_shared_spread(comm, f->memory, 0, thaw_features_bytes(f));
    thaw_bcast(comm, 0, &f->core_seconds, sizeof f->core_seconds);
    f->loaded = *found;
    thaw_str_clear(&path);
    return THAW_OK;
}

static thaw_status write_all(const thaw_features *f, const char *path, const char *directory)
{
    const thaw_feature_info info = {
        .key = f->file_key, .rows = f->rows, .width = f->width, .about = thaw_str_c(&f->about)};
    const float *rows = thaw_shared_data(f->memory);
    thaw_feature_file *file = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_mkdirs(directory));
    THAW_TRY_TO(thaw_feature_create(path, &info, &file));
    for (int64_t c = 0; c < f->chunks; c++)
        THAW_TRY_TO(thaw_feature_append(file, f->chunk, rows + c * f->chunk * f->width));
    status = thaw_feature_commit(&file, f->core_seconds);
done:
    thaw_feature_close(&file);
    return status;
}

void thaw_features_keep(thaw_comm *comm, thaw_features *f, const thaw_setup *s)
{
    thaw_str directory = {0};
    thaw_str path = {0};
    thaw_features_directory(s->config, &directory);
    kept_path(f, s->config, &path);
    thaw_status status = THAW_OK;
    if (thaw_features_writer(comm, thaw_str_c(&directory)))
        status = write_all(f, thaw_str_c(&path), thaw_str_c(&directory));
    if (thaw_agree(comm, status) != THAW_OK) {
        THAW_LOG(THAW_WARN, "frozen features are not kept for later runs: %s",
                 thaw_error_last()->message);
        thaw_error_clear();
    }
    thaw_str_clear(&path);
    thaw_str_clear(&directory);
}
