#include <string.h>

#include "cli/cli_impl.h"

static const cli_option options[] = {
    {"data", 'd', "FILE", "dataset file; default: the one the run was trained on"},
    {"split", 's', "NAME", "split to predict (default: test)"},
    {"output", 'o', "FILE", "CSV file to write"},
    {0}};

/* One line a sample: its row, the label where there is one, the predicted class, its probability, and all probabilities. */
static void write_csv(const thaw_predictions *p, const char *const *names, thaw_str *out)
{
    static const char *const fixed[] = {"row", "label", "predicted", "probability"};
    for (size_t i = 0; i < 4; i++)
        thaw_csv_field(out, fixed[i], i == 0);
    for (int64_t k = 0; k < p->K; k++)
        thaw_csv_field(out, names[k], false);
    thaw_csv_end(out);
    for (int64_t i = 0; i < p->N; i++) {
        thaw_csv_number(out, (double)i, true);
        thaw_csv_field(out, p->labels[i] < 0 ? "" : names[p->labels[i]], false);
        thaw_csv_field(out, names[p->predicted[i]], false);
        thaw_csv_number(out, (double)p->probs[i * p->K + p->predicted[i]], false);
        for (int64_t k = 0; k < p->K; k++)
            thaw_csv_number(out, (double)p->probs[i * p->K + k], false);
        thaw_csv_end(out);
    }
}

/* Class names are those of the data the run was trained on. */
static thaw_status write_file(const cli_args *args, const thaw_predictions *p)
{
    thaw_str path = {0};
    thaw_str text = {0};
    thaw_config config = {0};
    thaw_dataset *ds = NULL;
    const thaw_dataset_options how = {.memory_limit_bytes = -1};
    thaw_status status;
    thaw_path_join(&path, args->words[0], "config.yaml");
    THAW_TRY_TO(thaw_config_load(thaw_str_c(&path), NULL, &config));
    THAW_TRY_TO(thaw_dataset_open(config.data.file, &how, &ds));
    write_csv(p, thaw_dataset_class_names(ds), &text);
    THAW_TRY_TO(thaw_file_write(cli_value(args, "output"), text.data, text.length));
    THAW_LOG(THAW_INFO, "wrote %lld predictions to %s", (long long)p->N, cli_value(args, "output"));
done:
    thaw_dataset_free(&ds);
    thaw_config_clear(&config);
    thaw_str_clear(&text);
    thaw_str_clear(&path);
    return status;
}

static thaw_status run(thaw_comm *comm, const cli_args *args)
{
    thaw_predictions p;
    const char *split = cli_value(args, "split") == NULL ? "test" : cli_value(args, "split");
    THAW_CHECK(cli_value(args, "output") != NULL, THAW_ERR_USAGE,
               "thaw predict: -o FILE is needed"); /* uniform */
    THAW_TRY(thaw_eval_run(comm, args->words[0], cli_value(args, "data"), split, &p));
    const thaw_status status = thaw_comm_rank(comm) == 0 ? write_file(args, &p) : THAW_OK;
    thaw_predictions_clear(&p);
    return thaw_agree(comm, status);
}

const cli_command cli_predict = {
    .usage = "RUN -o FILE [--data FILE] [--split NAME]",
    .doc = "writes a finished run's predictions and probabilities as CSV",
    .options = options,
    .least_words = 1,
    .most_words = 1,
    .run = run,
};
