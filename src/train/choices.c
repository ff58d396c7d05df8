/* Which algorithms the backend's convolutions use. They may differ in the last bits, so that all ranks of a run, and a run that
 * goes on later, must choose alike: rank 0 chooses, everybody takes over its choices, and the run directory records them. */

#include "thaw/train.h"

#include <string.h>
#include <unistd.h>

#include "train/train_impl.h"

#define RECORD "kernels.txt"

/* A choice that is measured now and forgotten would be measured differently tomorrow. */
static bool can_keep(const char *file)
{
    const char *slash = strrchr(file, '/');
    thaw_str directory = {0};
    if (slash == NULL)
        return false;
    thaw_str_add_bytes(&directory, file, (size_t)(slash - file));
    const bool can =
        thaw_mkdirs(thaw_str_c(&directory)) == THAW_OK && access(thaw_str_c(&directory), W_OK) == 0;
    thaw_error_clear();
    thaw_str_clear(&directory);
    return can;
}

static void load_record(thaw_setup *setup, const char *directory)
{
    thaw_str path = {0};
    if (directory != NULL && thaw_path_exists(thaw_run_path(directory, RECORD, &path)))
        thaw_kern_choices_load(setup->kern, thaw_str_c(&path));
    thaw_str_clear(&path);
}

/* The nearer a record is to the run, the more it counts: what is read later replaces what was read before. */
static void load_local(thaw_setup *setup, const char *shared, const char *own)
{
    thaw_str path = {0};
    thaw_kern_choices_path(setup->kern, &path);
    bool measure = setup->config->kernels == THAW_KERNELS_MEASURE;
    if (measure && !can_keep(thaw_str_c(&path))) {
        measure = false;
        THAW_LOG(THAW_INFO,
                 "choices of kernels cannot be kept in %s: the fixed rule chooses instead, so that "
                 "runs stay comparable",
                 path.length > 0 ? thaw_str_c(&path) : "a cache directory (no HOME)");
    }
    if (measure)
        thaw_kern_choices_load(setup->kern, thaw_str_c(&path));
    load_record(setup, shared);
    load_record(setup, own);
    thaw_kern_choices_measure(setup->kern, measure);
    thaw_str_clear(&path);
}

/* Rank 0's choices go to all ranks, when there are more of them than last time. */
static thaw_status spread(thaw_comm *comm, thaw_setup *setup)
{
    thaw_str text = {0};
    const bool first = thaw_comm_rank(comm) == 0;
    thaw_status status = first ? thaw_kern_choices_write(setup->kern, &text) : THAW_OK;
    THAW_TRY_TO(thaw_agree(comm, status));
    int64_t bytes = (int64_t)text.length == setup->choices_bytes ? 0 : (int64_t)text.length;
    thaw_bcast(comm, 0, &bytes, sizeof bytes);
    if (bytes == 0)
        goto done;
    setup->choices_bytes = bytes;
    while (!first && (int64_t)text.length < bytes)
        thaw_str_add(&text, " ");
    thaw_bcast(comm, 0, text.data, bytes);
    if (!first)
        status = thaw_kern_choices_read(setup->kern, "the choices of rank 0", thaw_str_c(&text));
    status = thaw_agree(comm, status);
done:
    thaw_str_clear(&text);
    return status;
}

thaw_status thaw_choices_begin(thaw_comm *comm, thaw_setup *setup, const char *shared,
                               const char *own)
{
    if (thaw_comm_rank(comm) == 0)
        load_local(setup, shared, own);
    return spread(comm, setup);
}

thaw_status thaw_plan_agree(thaw_comm *comm, thaw_setup *setup, const thaw_plan_options *options,
                            thaw_plan **out)
{
    thaw_graph *graph = setup->model->graph;
    const bool first = thaw_comm_rank(comm) == 0;
    *out = NULL;
    thaw_status status = first ? thaw_plan_new(graph, setup->kern, options, out) : THAW_OK;
    THAW_TRY_TO(thaw_agree(comm, status));
    THAW_TRY_TO(spread(comm, setup));
    status = first ? THAW_OK : thaw_plan_new(graph, setup->kern, options, out);
    status = thaw_agree(comm, status);
done:
    if (status != THAW_OK)
        thaw_plan_free(out);
    return status;
}

thaw_status thaw_plan_share(thaw_comm *comm, thaw_plan *plan, thaw_shared **out)
{
    const int64_t bytes = (int64_t)thaw_plan_constant_bytes(plan);
    *out = NULL;
    THAW_TRY(thaw_same_int64(comm, "the size of packed weights", bytes));
    if (bytes == 0) /* uniform */
        return THAW_OK;
    THAW_TRY(thaw_shared_new(comm, bytes, out));
    thaw_plan_set_constants(plan, thaw_shared_data(*out), thaw_shared_writer(*out));
    thaw_shared_publish(comm, *out);
    return THAW_OK;
}

/* Those who joined a set-up open the same plans in the same order. */
static void take_over(thaw_plan *plan, const thaw_shared *constants)
{
    const int64_t bytes = constants == NULL ? 0 : thaw_shared_bytes(constants);
    THAW_ASSERT((int64_t)thaw_plan_constant_bytes(plan) == bytes);
    if (bytes > 0)
        thaw_plan_set_constants(plan, thaw_shared_data(constants), false);
}

thaw_status thaw_plan_keep_constants(thaw_comm *comm, thaw_setup *setup, thaw_plan *plan)
{
    const int index = setup->constant_count++;
    THAW_ASSERT(index < THAW_MOST_PLANS);
    if (setup->lead == NULL) /* uniform */
        return thaw_plan_share(comm, plan, &setup->constants[index]);
    take_over(plan, setup->lead->constants[index]);
    return THAW_OK;
}

thaw_status thaw_plan_open(thaw_comm *comm, thaw_setup *setup, const thaw_plan_options *options,
                           thaw_plan **out)
{
    THAW_TRY(thaw_plan_agree(comm, setup, options, out));
    const thaw_status status = thaw_plan_keep_constants(comm, setup, *out);
    if (status != THAW_OK)
        thaw_plan_free(out);
    return status;
}

void thaw_choices_keep(const thaw_setup *setup)
{
    thaw_str path = {0};
    thaw_kern_choices_path(setup->kern, &path);
    if (setup->config->kernels == THAW_KERNELS_MEASURE && can_keep(thaw_str_c(&path)))
        thaw_kern_choices_save(setup->kern, thaw_str_c(&path));
    thaw_str_clear(&path);
}

void thaw_choices_record(const thaw_setup *setup, const char *directory)
{
    thaw_str path = {0};
    thaw_str text = {0};
    thaw_status status = thaw_kern_choices_write(setup->kern, &text);
    if (status == THAW_OK)
        status = thaw_file_write(thaw_run_path(directory, RECORD, &path), text.data, text.length);
    if (status != THAW_OK) {
        THAW_LOG(THAW_WARN, "choices of kernels are not recorded: %s", thaw_error_last()->message);
        thaw_error_clear();
    }
    thaw_str_clear(&text);
    thaw_str_clear(&path);
}

/* The plans that a trial of this rung will open. */
static thaw_status open_plans(thaw_comm *comm, thaw_setup *setup)
{
    const thaw_config *config = setup->config;
    const thaw_sampler sampler = {.count = thaw_dataset_count(setup->dataset, setup->train),
                                  .batch = config->train.batch,
                                  .shards = config->train.shards};
    const thaw_value from = thaw_has_prefix(setup) ? thaw_graph_boundary(setup->model->graph) : -1;
    const thaw_plan_options train = {.batch = thaw_sampler_shard_most(&sampler),
                                     .training = true,
                                     .from = from,
                                     .to = -1,
                                     .keep = -1,
                                     .abreast = thaw_train_abreast(comm, config)};
    const thaw_plan_options eval = {.batch = config->train.eval_batch,
                                    .from = from,
                                    .to = -1,
                                    .keep = thaw_graph_features(setup->model->graph)};
    thaw_plan *plans[2] = {NULL, NULL};
    thaw_status status;
    THAW_TRY_TO(thaw_train_plan_open(comm, setup, &train, &plans[0]));
    status = thaw_plan_open(comm, setup, &eval, &plans[1]);
done:
    thaw_plan_free(&plans[1]);
    thaw_plan_free(&plans[0]);
    return status;
}

thaw_status thaw_train_prepare(thaw_comm *comm, const thaw_config *config, const char *rung,
                               const char *directory, thaw_pool *pool, bool quiet)
{
    thaw_setup setup;
    THAW_TRY(thaw_setup_open(comm, config, rung, THAW_SETUP_TRAIN, &setup));
    thaw_status status;
    THAW_TRY_TO(thaw_choices_begin(comm, &setup, directory, NULL));
    THAW_TRY_TO(thaw_ranges_open(comm, &setup, pool));
    THAW_TRY_TO(open_plans(comm, &setup));
    if (pool != NULL)
        THAW_TRY_TO(thaw_pool_prepare(comm, pool, &setup, quiet));
    if (thaw_comm_rank(comm) == 0) {
        thaw_choices_keep(&setup);
        thaw_choices_record(&setup, directory);
    }
done:
    thaw_setup_close(&setup);
    return status;
}
