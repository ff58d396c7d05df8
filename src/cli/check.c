#include <string.h>

#include "cli/cli_impl.h"

/* Of the frozen part; "-" where there is none. */
static const char *precision_of(const thaw_cost *c)
{
    if (strcmp(c->boundary, "input") == 0)
        return "-";
    return c->int8 ? "int8" : "f32";
}

static void add_row(thaw_table *table, const char *rung, const thaw_cost *c)
{
    thaw_table_cell(table, rung);
    thaw_table_printf(table, "%lld", (long long)c->parameters_trainable);
    thaw_table_value(table, c->forward_flops, THAW_UNIT_COUNT);
    thaw_table_value(table, c->backward_flops, THAW_UNIT_COUNT);
    thaw_table_value(table, (double)c->arena_bytes, THAW_UNIT_BYTES);
    thaw_table_value(table, (double)c->state_bytes, THAW_UNIT_BYTES);
    thaw_table_value(table, (double)c->constant_bytes, THAW_UNIT_BYTES);
    thaw_table_value(table, (double)c->node_bytes, THAW_UNIT_BYTES);
    thaw_table_value(table, (double)c->allreduce_bytes, THAW_UNIT_BYTES);
    thaw_table_printf(table, "%d", c->plan.reorders);
    thaw_table_cell(table, c->boundary);
    thaw_table_cell(table, precision_of(c));
    if (c->cacheable)
        thaw_table_value(table, (double)c->cache_bytes, THAW_UNIT_BYTES);
    else
        thaw_table_cell(table, "-");
}

static void add_json(thaw_json *list, const char *rung, const thaw_cost *c)
{
    thaw_json *row = thaw_json_add_object(list);
    thaw_json_set_string(row, "rung", rung);
    thaw_json_set_int(row, "parameters.total", c->parameters_total);
    thaw_json_set_int(row, "parameters.trainable", c->parameters_trainable);
    thaw_json_set_double(row, "forward_flops_per_sample", c->forward_flops);
    thaw_json_set_double(row, "backward_flops_per_sample", c->backward_flops);
    thaw_json_set_int(row, "arena_bytes_per_rank", (int64_t)c->arena_bytes);
    thaw_json_set_int(row, "state_bytes_per_rank", (int64_t)c->state_bytes);
    thaw_json_set_int(row, "frozen_form_bytes", (int64_t)c->constant_bytes);
    thaw_json_set_int(row, "plan.steps", c->plan.steps);
    thaw_json_set_int(row, "plan.folded", c->plan.folded);
    thaw_json_set_int(row, "plan.fused", c->plan.fused);
    thaw_json_set_int(row, "plan.reorders", c->plan.reorders);
    thaw_json_set_int(row, "plan.recomputed", c->plan.replayed);
    thaw_json_set_int(row, "allreduce_bytes_per_step", (int64_t)c->allreduce_bytes);
    thaw_json_set_int(row, "batch_norm_meetings_per_step", c->norm_meetings);
    thaw_json_set_int(row, "batch_norm_bytes_per_step", c->norm_bytes);
    thaw_json_set_int(row, "steps_per_epoch", c->steps_per_epoch);
    thaw_json_set_int(row, "smallest_shard", c->smallest_shard);
    thaw_json_set_int(row, "shared_bytes_per_node", (int64_t)c->node_bytes);
    thaw_json_set_bool(row, "cacheable", c->cacheable);
    thaw_json_set_int(row, "cache_bytes_per_node", (int64_t)c->cache_bytes);
    thaw_json_set_string(row, "cache_place", c->cache_place);
    thaw_json_set_string(row, "boundary", c->boundary);
    thaw_json_set_string(row, "frozen_precision", c->int8 ? "int8" : "f32");
    if (c->floats_why[0] != '\0')
        thaw_json_set_string(row, "floats_reason", c->floats_why);
}

/* One line a rung that could keep features, or that something frozen runs in every step of. */
static void say_cache(const char *rung, const thaw_cost *c)
{
    if (c->cacheable)
        THAW_LOG(THAW_INFO, "rung %s: frozen features are computed once and kept in %s", rung,
                 strcmp(c->cache_place, "memory") == 0 ? "the node's memory" : c->cache_place);
    else if (strcmp(c->boundary, "input") != 0)
        THAW_LOG(THAW_INFO, "rung %s: frozen features are computed in every epoch: %s", rung,
                 c->cache_place);
}

static void say_meetings(const char *rung, const thaw_cost *c)
{
    char text[2][32];
    if (c->norm_meetings == 0)
        return;
    thaw_format_bytes((double)c->norm_bytes, text[0], sizeof *text);
    thaw_format_bytes((double)c->allreduce_bytes, text[1], sizeof *text);
    THAW_LOG(THAW_INFO,
             "rung %s: batch norms over the whole batch: %d exchanges a step, which wait for the "
             "slowest rank each, of %s in all beside %s of gradients",
             rung, c->norm_meetings, text[0], text[1]);
}

/* Batch statistics over fewer samples than this are noise (Wu & He 2018 show the loss growing below 8). */
#define LEAST_NORM_SAMPLES 8

static void warn(const thaw_config *config, const char *rung, const thaw_cost *c)
{
    const bool meets = c->norm_meetings > 0;
    const int64_t full = meets ? config->train.batch : config->train.batch / config->train.shards;
    const int64_t least = meets ? c->smallest_batch : c->smallest_shard;
    if (!c->trains_norm || (full >= LEAST_NORM_SAMPLES && least >= LEAST_NORM_SAMPLES))
        return;
    if (meets)
        THAW_LOG(THAW_WARN,
                 "rung %s trains batch norm on batches of %lld samples (%lld in the last one); "
                 "below %d its statistics are noise: raise train.batch",
                 rung, (long long)full, (long long)least, LEAST_NORM_SAMPLES);
    else
        THAW_LOG(THAW_WARN,
                 "rung %s trains batch norm on shards of %lld samples (%lld in the last batch); "
                 "below %d its statistics are "
                 "noise: lower train.shards, raise train.batch, or set train.batch_norm: sync",
                 rung, (long long)full, (long long)least, LEAST_NORM_SAMPLES);
}

/* What a run would refuse, and a ladder for its frozen rung; its other rungs run in floats then. */
static thaw_status check_precision(const char *rung, bool ladder, const thaw_cost *c)
{
    if (c->floats_why[0] == '\0')
        return THAW_OK;
    THAW_CHECK(ladder && strcmp(rung, "frozen") != 0, THAW_ERR_CONFIG, "%s", c->floats_why);
    THAW_LOG(THAW_INFO, "rung %s: in floats in a ladder, refused alone: %s", rung, c->floats_why);
    return THAW_OK;
}

static thaw_status check_rung(thaw_comm *comm, const thaw_config *config, const char *rung,
                              thaw_table *table, thaw_json *list)
{
    thaw_cost cost;
    THAW_TRY(thaw_cost_of(comm, config, rung, &cost));
    THAW_TRY(check_precision(rung, config->model.backbone[0] != '\0', &cost)); /* uniform */
    add_row(table, rung, &cost);
    add_json(list, rung, &cost);
    warn(config, rung, &cost);
    say_cache(rung, &cost);
    say_meetings(rung, &cost);
    return THAW_OK;
}

/* Phases where there are some; else a ladder's rungs, or without a backbone the run's own. */
static int64_t count_rungs(const thaw_config *config)
{
    if (config->phases.count > 0)
        return config->phases.count;
    return config->model.backbone[0] != '\0' ? config->ladder.rungs.count : 1;
}

static const char *rung_at(const thaw_config *config, int64_t i)
{
    if (config->phases.count > 0)
        return thaw_config_phase(config, i)->rung;
    return config->model.backbone[0] != '\0' ? config->ladder.rungs.items[i] : config->rung;
}

static thaw_status check_rungs(thaw_comm *comm, const thaw_config *config, const cli_args *args)
{
    static const char *const titles[] = {"rung",
                                         "trainable",
                                         "FLOPs forward",
                                         "FLOPs backward",
                                         "activations a rank",
                                         "state a rank",
                                         "frozen forms",
                                         "shared a node",
                                         "all-reduce a step",
                                         "reorders",
                                         "frozen up to",
                                         "precision",
                                         "kept features a node"};
    thaw_table table = {0};
    thaw_json *list = thaw_json_new_array();
    thaw_status status = THAW_OK;
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        thaw_table_column(&table, titles[i], i == 0 || i == 10 || i == 11 ? THAW_LEFT : THAW_RIGHT);
    for (int64_t i = 0; i < count_rungs(config) && status == THAW_OK; i++)
        status = check_rung(comm, config, rung_at(config, i), &table, list);
    if (status == THAW_OK && thaw_comm_rank(comm) == 0 && args->json)
        cli_print_json(list);
    else if (status == THAW_OK && thaw_comm_rank(comm) == 0)
        cli_print_table(&table);
    thaw_json_free(&list);
    thaw_table_clear(&table);
    return status;
}

/* One rank reads for all. */
static thaw_status check_leaks(thaw_comm *comm, const thaw_config *config)
{
    const thaw_dataset_options how = {.memory_limit_bytes = -1, .no_class_slices = true};
    thaw_dataset *dataset = NULL;
    thaw_status status = THAW_OK;
    if (thaw_comm_rank(comm) == 0) {
        status = thaw_dataset_open(config->data.file, &how, &dataset);
        if (status == THAW_OK)
            status = thaw_config_find_leaks(config, dataset, NULL);
        thaw_dataset_free(&dataset);
    }
    return thaw_agree(comm, status);
}

static void warn_equal(const char *rung, double rate)
{
    THAW_LOG(THAW_WARN,
             "rung %s trains head and backbone at one rate, %g, and rates.reason does not say why: "
             "a new head mostly wants a larger one than weights that are to be kept; say why, or "
             "see how far each may go: thaw search CONFIG --range",
             rung, rate);
}

static bool reuses_and_moves(const char *name)
{
    thaw_rung rung;
    return thaw_rung_parse(name, &rung) == THAW_OK &&
           (rung.kind == THAW_RUNG_PARTIAL || rung.kind == THAW_RUNG_FULL);
}

/* A run's own rates, and those of a ladder that has no choice. */
static void warn_rates(const thaw_config *config)
{
    const thaw_ladder_config *l = &config->ladder;
    const int64_t parts = config->phases.count > 0 ? config->phases.count : 1;
    if (config->rates.reason[0] != '\0')
        return;
    for (int64_t i = 0; i < parts; i++) {
        const char *rung =
            config->phases.count > 0 ? thaw_config_phase(config, i)->rung : config->rung;
        const thaw_rates rates = thaw_config_rates(config, i);
        if (reuses_and_moves(rung) && rates.head == rates.backbone)
            warn_equal(rung, rates.head);
    }
    for (int64_t i = 0; i < l->rungs.count && config->model.backbone[0] != '\0'; i++) {
        if (reuses_and_moves(l->rungs.items[i]) && l->search_head.count == 1 &&
            l->search_backbone.count == 1 && l->search_head.items[0] == l->search_backbone.items[0])
            warn_equal(l->rungs.items[i], l->search_head.items[0]);
    }
}

static thaw_status run(thaw_comm *comm, const cli_args *args)
{
    thaw_config config;
    THAW_TRY(cli_load_config(comm, args, &config));
    thaw_status status = check_rungs(comm, &config, args);
    if (status == THAW_OK)
        status = check_leaks(comm, &config);
    if (status == THAW_OK)
        warn_rates(&config);
    thaw_config_clear(&config);
    return status;
}

const cli_command cli_check = {
    .usage = "CONFIG [--set KEY=VALUE ...]",
    .doc = "validates a config and shows what each rung, or phase, would train, compute, store and "
           "send",
    .help = "Opens the data and the backbone and plans memory for real; trains nothing. FLOPs are "
            "per sample, a multiply-add is 2. Warns of samples and clusters that are in two "
            "splits, and of one rate for head and backbone without a reason.",
    .least_words = 1,
    .most_words = 1,
    .config_keys = true,
    .run = run,
};
