#include <math.h>
#include <string.h>

#include "thaw/evidence.h"

#include "cli/cli_impl.h"

static const cli_option options[] = {
    {"data", 'd', "FILE", "dataset file; default: the one the run was trained on"},
    {"split", 's', "NAME",
     "split to evaluate (default: val, so that test is opened on purpose only)"},
    {"interpolate", 0, "SHARE,...",
     "trained weights of the backbone on the way from its start (0) to where they ended (1)"},
    {0}};

static void add_interval(thaw_table *table, const thaw_metric *metric, thaw_interval i)
{
    if (isnan(i.low))
        thaw_table_cell(table, "");
    else if (metric->share)
        thaw_table_printf(table, "[%.1f, %.1f]", 100 * i.low, 100 * i.high);
    else
        thaw_table_printf(table, "[%.5g, %.5g]", i.low, i.high);
}

static thaw_bootstrap resampling(void)
{
    thaw_bootstrap how = thaw_bootstrap_default(1);
    how.resamples = 1000;
    return how;
}

/* Of all samples, every metric of the task. */
static thaw_status print_metrics(const thaw_predictions *p)
{
    thaw_table table = {0};
    thaw_str notes = {0};
    const thaw_bootstrap how = resampling();
    thaw_status status;
    thaw_table_column(&table, "metric", THAW_LEFT);
    thaw_table_column(&table, "value", THAW_RIGHT);
    thaw_table_column(&table, "95% interval", THAW_LEFT);
    thaw_table_column(&table, "better", THAW_LEFT);
    for (const thaw_metric *const *m = thaw_metrics(); *m != NULL; m++) {
        char why[THAW_WHY] = "";
        double value;
        thaw_interval interval;
        if (!thaw_metric_fits(*m, p->task, p->K))
            continue;
        THAW_TRY_TO(thaw_predictions_metric(p, NULL, *m, &value, why));
        THAW_TRY_TO(thaw_predictions_interval(p, NULL, *m, &how, &interval));
        thaw_table_cell(&table, (*m)->title);
        cli_add_metric(&table, *m, value);
        add_interval(&table, *m, interval);
        thaw_table_cell(&table, (*m)->lower_is_better ? "lower" : "higher");
        if (why[0] != '\0')
            thaw_str_printf(&notes, "%s: %s\n", (*m)->title, why);
    }
    cli_print_table(&table);
    if (notes.length > 0)
        cli_print("%s", thaw_str_c(&notes));
    status = THAW_OK;
done:
    thaw_str_clear(&notes);
    thaw_table_clear(&table);
    return status;
}

/* The temperature that fits the run's val, where there are probabilities and labels to fit it on. */
typedef struct fitted {
    bool known, here; /* here: on the very samples that are evaluated */
    double temperature;
} fitted;

static thaw_status is_trained_on(const char *run, const char *file, bool *out)
{
    const thaw_dataset_options how = {.memory_limit_bytes = -1, .unlabelled = true};
    char hex[THAW_DIGEST_HEX];
    thaw_str path = {0};
    thaw_json *summary = NULL;
    thaw_dataset *ds = NULL;
    thaw_status status;
    thaw_path_join(&path, run, "summary.json");
    THAW_TRY_TO(thaw_json_read(thaw_str_c(&path), &summary));
    THAW_TRY_TO(thaw_dataset_open(file, &how, &ds));
    thaw_digest_hex(thaw_dataset_digest(ds), hex);
    *out = strcmp(hex, thaw_json_string_or(summary, "dataset_digest", "")) == 0;
    status = THAW_OK;
done:
    thaw_dataset_free(&ds);
    thaw_json_free(&summary);
    thaw_str_clear(&path);
    return status;
}

/* By the data and the split's name: outputs of the same samples may differ in their last bits, with other kernels or batches. */
static thaw_status is_val(const cli_args *args, const char *split, bool *out)
{
    const char *run = args->words[0];
    const char *file = cli_value(args, "data");
    thaw_str path = {0};
    thaw_config config;
    thaw_path_join(&path, run, "config.yaml");
    const thaw_status status = thaw_config_load(thaw_str_c(&path), NULL, &config);
    thaw_str_clear(&path);
    THAW_TRY(status);
    *out = strcmp(split, config.data.val) == 0;
    thaw_config_clear(&config);
    return *out && file != NULL ? is_trained_on(run, file, out) : THAW_OK;
}

/* Collective. A run whose predictions of val are gone is evaluated without. */
static thaw_status fit(thaw_comm *comm, const cli_args *args, const char *split,
                       const thaw_predictions *p, fitted *out)
{
    const char *run = args->words[0];
    thaw_predictions val;
    bool here = true;
    thaw_str path = {0};
    thaw_path_join(&path, run, "predictions-val.h5");
    bool there = thaw_path_exists(thaw_str_c(&path));
    thaw_str_clear(&path);
    thaw_bcast(comm, 0, &there, sizeof there);
    if (!there || !thaw_predictions_calibrates(p)) /* uniform */
        return THAW_OK;
    const bool looks = thaw_comm_rank(comm) == 0;
    THAW_TRY(thaw_agree(comm, looks ? is_val(args, split, &here) : THAW_OK));
    thaw_bcast(comm, 0, &here, sizeof here);
    THAW_TRY(thaw_predictions_read(comm, run, "val", &val));
    if (thaw_predictions_calibrates(&val) && val.K == p->K)
        *out = (fitted){
            .known = true, .here = here, .temperature = thaw_predictions_temperature(&val)};
    thaw_predictions_clear(&val);
    return THAW_OK;
}

static void add_calibration(thaw_table *table, const char *name, const thaw_calibration *c)
{
    const struct {
        const char *title;
        double value;
        thaw_interval interval;
        bool share;
    } rows[] = {{"ECE", c->ece, c->ece_interval, true},
                {"Brier score", c->brier, c->brier_interval, false},
                {"NLL", c->nll, c->nll_interval, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const thaw_metric like = {.share = rows[i].share};
        thaw_table_printf(table, "%s%s", rows[i].title, name);
        cli_add_metric(table, &like, rows[i].value);
        add_interval(table, &like, rows[i].interval);
        thaw_table_cell(table, "lower");
    }
}

/* Whether what is said with 80 % is right in 80 % of the cases. */
static thaw_status print_calibration(const thaw_predictions *p, const fitted *f)
{
    thaw_table table = {0};
    thaw_calibration c;
    const thaw_bootstrap how = resampling();
    thaw_status status = THAW_OK;
    if (!thaw_predictions_calibrates(p))
        return THAW_OK;
    cli_print("%s", "");
    thaw_table_column(&table, "calibration", THAW_LEFT);
    thaw_table_column(&table, "value", THAW_RIGHT);
    thaw_table_column(&table, "95% interval", THAW_LEFT);
    thaw_table_column(&table, "better", THAW_LEFT);
    THAW_TRY_TO(thaw_predictions_calibrate(p, 1, &how, &c));
    add_calibration(&table, "", &c);
    if (f->known && !f->here) {
        THAW_TRY_TO(thaw_predictions_calibrate(p, f->temperature, &how, &c));
        add_calibration(&table, " with temperature", &c);
    }
    cli_print_table(&table);
    cli_print("ECE: %d bins of equal mass; of few samples it is too high, and its interval takes "
              "off what resampling adds",
              THAW_CALIBRATION_BINS);
    if (f->known)
        cli_print("temperature that fits val: %.4g%s", f->temperature,
                  f->here ? "; these are the samples it was fitted on, so it is not judged here"
                          : "; it divides the logits and changes no prediction; `thaw predict "
                            "--calibrated` applies it");
done:
    thaw_table_clear(&table);
    return status;
}

static thaw_status set_calibration(const thaw_predictions *p, const fitted *f, thaw_json *out)
{
    thaw_calibration c;
    const thaw_bootstrap how = resampling();
    if (!thaw_predictions_calibrates(p))
        return THAW_OK;
    thaw_json *calibration = thaw_json_set_object(out, "calibration");
    THAW_TRY(thaw_predictions_calibrate(p, 1, &how, &c));
    thaw_calibration_to_json(&c, calibration);
    if (!f->known)
        return THAW_OK;
    thaw_json_set_double(calibration, "temperature", f->temperature);
    if (f->here)
        return THAW_OK;
    THAW_TRY(thaw_predictions_calibrate(p, f->temperature, &how, &c));
    thaw_calibration_to_json(&c, thaw_json_set_object(calibration, "tempered"));
    return THAW_OK;
}

/* What each sample has a score of: macro metrics are mostly undefined on a slice. */
static thaw_status add_row(thaw_table *table, const char *name, const thaw_predictions *p,
                           const uint8_t *mask)
{
    const thaw_metric *metric = thaw_metric_of_sample(p->task);
    const thaw_bootstrap how = resampling();
    thaw_interval interval;
    double value;
    int64_t n = 0;
    for (int64_t i = 0; i < p->N; i++)
        n += mask == NULL || mask[i] != 0;
    THAW_TRY(thaw_predictions_metric(p, mask, metric, &value, NULL));
    THAW_TRY(thaw_predictions_interval(p, mask, metric, &how, &interval));
    thaw_table_cell(table, name);
    thaw_table_printf(table, "%lld", (long long)n);
    cli_add_metric(table, metric, value);
    add_interval(table, metric, interval);
    thaw_table_printf(table, "%.4f", thaw_predictions_loss(p, mask));
    return THAW_OK;
}

/* The slices of the dataset that was evaluated. */
static thaw_status print_rows(const char *file, const char *split, const thaw_predictions *p,
                              const fitted *f)
{
    thaw_dataset *ds = NULL;
    thaw_table table = {0};
    int64_t index;
    const thaw_dataset_options how = {.memory_limit_bytes = -1, .unlabelled = true};
    thaw_status status;
    cli_print("split %s of %s, %lld sample%s\n", split, file, (long long)p->N,
              p->N == 1 ? "" : "s");
    THAW_TRY_TO(print_metrics(p));
    THAW_TRY_TO(print_calibration(p, f));
    cli_print("%s", "");
    thaw_table_column(&table, "slice", THAW_LEFT);
    thaw_table_column(&table, "n", THAW_RIGHT);
    thaw_table_column(&table, thaw_metric_of_sample(p->task)->title, THAW_RIGHT);
    thaw_table_column(&table, "95% interval", THAW_LEFT);
    thaw_table_column(&table, "loss", THAW_RIGHT);
    THAW_TRY_TO(add_row(&table, "all", p, NULL));
    THAW_TRY_TO(thaw_dataset_open(file, &how, &ds));
    THAW_TRY_TO(thaw_dataset_split_need(ds, split, &index));
    for (int64_t s = 0; s < thaw_dataset_slice_count(ds); s++)
        THAW_TRY_TO(add_row(&table, thaw_dataset_slice_name(ds, s), p,
                            thaw_dataset_slice_mask(ds, index, s)));
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

/* {"auroc": [low, high], ...}; null for undefined ones. */
static thaw_status set_intervals(const thaw_predictions *p, thaw_json *out)
{
    const thaw_bootstrap how = resampling();
    for (const thaw_metric *const *m = thaw_metrics(); *m != NULL; m++) {
        thaw_interval interval;
        if (!thaw_metric_fits(*m, p->task, p->K))
            continue;
        THAW_TRY(thaw_predictions_interval(p, NULL, *m, &how, &interval));
        const double ends[] = {interval.low, interval.high};
        thaw_json_set_doubles(out, (*m)->name, ends, 2);
    }
    return THAW_OK;
}

static thaw_status print_json(const char *split, const thaw_predictions *p, const fitted *f)
{
    thaw_json *out = thaw_json_new_object();
    thaw_json_set_string(out, "split", split);
    thaw_json_set_string(out, "task", thaw_task_name(p->task));
    thaw_json_set_int(out, "samples", p->N);
    thaw_status status = thaw_predictions_describe(p, out);
    if (status == THAW_OK)
        status = set_intervals(p, thaw_json_set_object(out, "intervals"));
    if (status == THAW_OK)
        status = set_calibration(p, f, out);
    if (status == THAW_OK)
        cli_print_json(out);
    thaw_json_free(&out);
    return status;
}

static thaw_status print(const cli_args *args, const char *split, const thaw_predictions *p,
                         const fitted *f)
{
    if (args->json)
        return print_json(split, p, f);
    thaw_str file = {0};
    thaw_status status = THAW_OK;
    if (cli_value(args, "data") != NULL)
        thaw_str_add(&file, cli_value(args, "data"));
    else
        status = dataset_of(args->words[0], &file);
    if (status == THAW_OK)
        status = print_rows(thaw_str_c(&file), split, p, f);
    thaw_str_clear(&file);
    return status;
}

static thaw_status run(thaw_comm *comm, const cli_args *args)
{
    thaw_predictions p;
    const char *split = cli_value(args, "split") == NULL ? "val" : cli_value(args, "split");
    double share;
    if (cli_has_shares(args)) /* uniform */
        return cli_eval_curve(comm, args, split);
    THAW_TRY(cli_share(args, &share)); /* uniform */
    THAW_TRY(
        thaw_eval_interpolated(comm, args->words[0], cli_value(args, "data"), split, share, &p));
    fitted f = {0};
    /* The temperature is that of the run's own predictions. */
    thaw_status status = share == 1 ? fit(comm, args, split, &p, &f) : THAW_OK;
    if (status == THAW_OK)
        status = thaw_agree(comm, thaw_comm_rank(comm) == 0 ? print(args, split, &p, &f) : THAW_OK);
    thaw_predictions_clear(&p);
    return status;
}

const cli_command cli_eval = {
    .usage = "RUN [--split NAME] [--data FILE] [--interpolate SHARE,...]",
    .doc = "evaluates a finished run on a split, overall and per slice",
    .help = "--interpolate 0.5 is half way from the backbone that training began with to the "
            "trained one, with the trained head (WiSE-FT); several shares give a curve, on which "
            "one is chosen, so not on the run's gate or test. `thaw export` takes the same option.",
    .options = options,
    .least_words = 1,
    .most_words = 1,
    .run = run,
};
