#include <math.h>
#include <string.h>

#include "thaw/evidence.h"

#include "cli/cli_impl.h"

static const cli_option options[] = {
    {"data", 'd', "FILE", "dataset file; default: the one the run was trained on"},
    {"split", 's', "NAME", "split to evaluate (default: val)"},
    {0}};

static void add_row(thaw_table *table, const char *name, const thaw_predictions *p,
                    const uint8_t *mask)
{
    int64_t n = 0;
    int64_t right = 0;
    for (int64_t i = 0; i < p->N; i++) {
        n += mask == NULL || mask[i] != 0;
        right += (mask == NULL || mask[i] != 0) && p->labels[i] == p->predicted[i];
    }
    const thaw_interval interval = thaw_wilson(right, n, 0.95);
    thaw_table_cell(table, name);
    thaw_table_printf(table, "%lld", (long long)n);
    thaw_table_value(table, n > 0 ? (double)right / (double)n : NAN, THAW_UNIT_PERCENT);
    thaw_table_printf(table, "[%.1f, %.1f]", 100 * interval.low, 100 * interval.high);
    thaw_table_printf(table, "%.4f", thaw_predictions_loss(p, mask));
}

/* The slices of the dataset that was evaluated. */
static thaw_status print_rows(const char *file, const char *split, const thaw_predictions *p)
{
    thaw_dataset *ds = NULL;
    thaw_table table = {0};
    int64_t index;
    const thaw_dataset_options how = {.memory_limit_bytes = -1};
    thaw_status status;
    thaw_table_column(&table, "slice", THAW_LEFT);
    thaw_table_column(&table, "n", THAW_RIGHT);
    thaw_table_column(&table, "accuracy", THAW_RIGHT);
    thaw_table_column(&table, "95% interval", THAW_LEFT);
    thaw_table_column(&table, "loss", THAW_RIGHT);
    add_row(&table, "all", p, NULL);
    THAW_TRY_TO(thaw_dataset_open(file, &how, &ds));
    THAW_TRY_TO(thaw_dataset_split_need(ds, split, &index));
    for (int64_t s = 0; s < thaw_dataset_slice_count(ds); s++)
        add_row(&table, thaw_dataset_slice_name(ds, s), p, thaw_dataset_slice_mask(ds, index, s));
    cli_print_table(&table);
done:
    thaw_table_clear(&table);
    thaw_dataset_free(&ds);
    return status;
}

static thaw_status dataset_of(const char *run_directory, thaw_str *out)
{
    thaw_str path = {0};
    thaw_config config;
    thaw_path_join(&path, run_directory, "config.yaml");
    thaw_status status = thaw_config_load(thaw_str_c(&path), NULL, &config);
    if (status == THAW_OK) {
        thaw_str_add(out, config.data.file);
        thaw_config_clear(&config);
    }
    thaw_str_clear(&path);
    return status;
}

static thaw_status print(const cli_args *args, const char *split, const thaw_predictions *p)
{
    if (args->json) {
        thaw_json *out = thaw_json_new_object();
        thaw_json_set_string(out, "split", split);
        thaw_json_set_int(out, "samples", p->N);
        thaw_json_set_double(out, "accuracy", thaw_predictions_accuracy(p, NULL));
        thaw_json_set_double(out, "loss", thaw_predictions_loss(p, NULL));
        cli_print_json(out);
        thaw_json_free(&out);
        return THAW_OK;
    }
    thaw_str file = {0};
    thaw_status status = THAW_OK;
    if (cli_value(args, "data") != NULL)
        thaw_str_add(&file, cli_value(args, "data"));
    else
        status = dataset_of(args->words[0], &file);
    if (status == THAW_OK)
        status = print_rows(thaw_str_c(&file), split, p);
    thaw_str_clear(&file);
    return status;
}

static thaw_status run(thaw_comm *comm, const cli_args *args)
{
    thaw_predictions p;
    const char *split = cli_value(args, "split") == NULL ? "val" : cli_value(args, "split");
    THAW_TRY(thaw_eval_run(comm, args->words[0], cli_value(args, "data"), split, &p));
    const thaw_status status = thaw_comm_rank(comm) == 0 ? print(args, split, &p) : THAW_OK;
    thaw_predictions_clear(&p);
    return thaw_agree(comm, status);
}

const cli_command cli_eval = {
    .usage = "RUN [--split NAME] [--data FILE]",
    .doc = "evaluates a finished run on a split, overall and per slice",
    .options = options,
    .least_words = 1,
    .most_words = 1,
    .run = run,
};
