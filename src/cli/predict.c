#include <math.h>
#include <string.h>

#include "thaw/evidence.h"

#include "cli/cli_impl.h"

static const cli_option options[] = {
    {"data", 'd', "FILE", "dataset file; default: the one the run was trained on"},
    {"split", 's', "NAME", "split to predict (default: test, whose labels it does not need)"},
    {"output", 'o', "FILE", "CSV file to write"},
    {"calibrated", 0, NULL,
     "probabilities at the temperature that fits the run's val; predicted classes stay"},
    {0}};

/* The label where there is one, the predicted class, its probability. */
static void write_class(const thaw_predictions *p, const char *const *names, int64_t i,
                        thaw_str *out)
{
    thaw_csv_field(out, p->labels[i] < 0 ? "" : names[p->labels[i]], false);
    thaw_csv_field(out, names[p->predicted[i]], false);
    thaw_csv_number(out, (double)p->outputs[i * p->K + p->predicted[i]], false);
}

/* What is true of each label or target, where it is known. */
static void write_targets(const thaw_predictions *p, int64_t i, thaw_str *out)
{
    for (int64_t k = 0; k < p->K; k++) {
        if (p->labelled)
            thaw_csv_number(out, (double)p->targets[i * p->K + k], false);
        else
            thaw_csv_field(out, "", false);
    }
}

static void write_titles(const thaw_predictions *p, const char *const *names, thaw_str *out)
{
    static const char *const fixed[] = {"label", "predicted", "probability"};
    thaw_csv_field(out, "row", true);
    for (size_t i = 0; p->targets == NULL && i < 3; i++)
        thaw_csv_field(out, fixed[i], false);
    for (int64_t k = 0; p->targets != NULL && k < p->K; k++) {
        thaw_str title = {0};
        thaw_str_printf(&title, "true %s", names[k]);
        thaw_csv_field(out, thaw_str_c(&title), false);
        thaw_str_clear(&title);
    }
    for (int64_t k = 0; k < p->K; k++)
        thaw_csv_field(out, names[k], false);
    thaw_csv_end(out);
}

/* One line a sample: its row, what is true and what is said, and all probabilities or values. */
static void write_csv(const thaw_predictions *p, const char *const *names, thaw_str *out)
{
    write_titles(p, names, out);
    for (int64_t i = 0; i < p->N; i++) {
        thaw_csv_number(out, (double)i, true);
        if (p->targets == NULL)
            write_class(p, names, i, out);
        else
            write_targets(p, i, out);
        for (int64_t k = 0; k < p->K; k++)
            thaw_csv_number(out, (double)p->outputs[i * p->K + k], false);
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

static void print_json(const cli_args *args, const char *split, const thaw_predictions *p,
                       double temperature)
{
    thaw_json *out = thaw_json_new_object();
    thaw_json_set_string(out, "run", args->words[0]);
    thaw_json_set_string(out, "file", cli_value(args, "output"));
    thaw_json_set_string(out, "split", split);
    thaw_json_set_string(out, "task", thaw_task_name(p->task));
    thaw_json_set_int(out, "samples", p->N);
    if (cli_flag(args, "calibrated"))
        thaw_json_set_double(out, "temperature", temperature);
    cli_print_json(out);
    thaw_json_free(&out);
}

/* Where val leaves no error, or nothing but errors, its best temperature is an end of what is tried. */
static void say_temperature(double temperature)
{
    const double most = THAW_TEMPERATURE_MOST;
    THAW_LOG(THAW_INFO, "probabilities at the temperature %.4g, fitted on val", temperature);
    if (temperature >= most || temperature <= 1 / most)
        THAW_LOG(THAW_WARN,
                 "the temperature is an end of its range (%g to %g): val has too few samples, or "
                 "too few errors, to calibrate on",
                 1 / most, most);
}

static thaw_status calibrate(thaw_comm *comm, const cli_args *args, thaw_predictions *p,
                             double *temperature)
{
    if (!cli_flag(args, "calibrated")) /* uniform */
        return THAW_OK;
    THAW_TRY(thaw_run_temperature(comm, args->words[0], p->K, temperature));
    THAW_CHECK(p->task == THAW_TASK_CLASSIFICATION && isfinite(*temperature), THAW_ERR_INPUT,
               "%s: probabilities on val are not finite, and no temperature mends that",
               args->words[0]); /* uniform */
    thaw_predictions_temper(p, *temperature);
    say_temperature(*temperature);
    return THAW_OK;
}

static thaw_status run(thaw_comm *comm, const cli_args *args)
{
    thaw_predictions p;
    double temperature = 1;
    const char *split = cli_value(args, "split") == NULL ? "test" : cli_value(args, "split");
    THAW_CHECK(cli_value(args, "output") != NULL, THAW_ERR_USAGE,
               "thaw predict: -o FILE is needed"); /* uniform */
    THAW_TRY(thaw_agree(comm, thaw_comm_rank(comm) == 0
                                  ? thaw_output_check(cli_value(args, "output"), false)
                                  : THAW_OK));
    THAW_TRY(thaw_eval_run(comm, args->words[0], cli_value(args, "data"), split, &p));
    thaw_status status = calibrate(comm, args, &p, &temperature);
    if (status == THAW_OK && thaw_comm_rank(comm) == 0)
        status = write_file(args, &p);
    if (status == THAW_OK && args->json && thaw_comm_rank(comm) == 0)
        print_json(args, split, &p, temperature);
    thaw_predictions_clear(&p);
    return thaw_agree(comm, status);
}

const cli_command cli_predict = {
    .usage = "RUN -o FILE [--data FILE] [--split NAME] [--calibrated]",
    .doc = "writes a finished run's predictions, probabilities or values, as CSV",
    .options = options,
    .least_words = 1,
    .most_words = 1,
    .run = run,
};
