#include <math.h>
#include <string.h>

#include "thaw/evidence.h"

#include "cli/cli_impl.h"

/* Weights between a run's start and its end (--interpolate): one row a share, overall and on each slice. */

#define MOST_SHARES 101

typedef struct curve {
    double shares[MOST_SHARES];
    int count;
    const thaw_metric *metric; /* of the run: what a share is chosen by */
    double loss[MOST_SHARES], value[MOST_SHARES];
    thaw_interval interval[MOST_SHARES];
    double *slices; /* (count, slice_count): of each sample's metric */
    int64_t slice_count;
    thaw_dataset *dataset;
    int64_t split;
    bool is_val;
} curve;

bool cli_has_shares(const cli_args *args)
{
    const char *text = cli_value(args, "interpolate");
    return text != NULL && strchr(text, ',') != NULL;
}

static thaw_status parse_share(const char *text, size_t length, double *out)
{
    char number[64] = "";
    if (length > 0 && length < sizeof number) {
        memcpy(number, text, length);
        number[length] = '\0';
    }
    THAW_CHECK(thaw_parse_double(number, out) && *out >= 0 && *out <= 1, THAW_ERR_USAGE,
               "--interpolate: '%.*s' is not a number between 0 (the backbone as training began) "
               "and 1 (as it ended)",
               (int)length, text);
    return THAW_OK;
}

thaw_status cli_share(const cli_args *args, double *out)
{
    const char *text = cli_value(args, "interpolate");
    *out = 1;
    return text == NULL ? THAW_OK : parse_share(text, strlen(text), out);
}

static thaw_status parse_shares(const char *text, curve *out)
{
    for (;;) {
        const size_t length = strcspn(text, ",");
        THAW_CHECK(out->count < MOST_SHARES, THAW_ERR_USAGE, "--interpolate: more than %d shares",
                   MOST_SHARES);
        THAW_TRY(parse_share(text, length, &out->shares[out->count]));
        out->count++;
        if (text[length] == '\0')
            return THAW_OK;
        text += length + 1;
    }
}

/* What is chosen on a split cannot be judged on it. */
static thaw_status refuse_judges(const thaw_config *config, const char *split)
{
    const char *const judges[] = {config->data.gate, config->data.test};
    for (size_t i = 0; i < sizeof judges / sizeof *judges; i++)
        THAW_CHECK(strcmp(split, judges[i]) != 0, THAW_ERR_USAGE,
                   "'%s' judges what was chosen, so no share is chosen on it: look at the curve on "
                   "%s, then evaluate '%s' with that one share",
                   split, config->data.val, split);
    return THAW_OK;
}

static thaw_status look(const cli_args *args, const char *split, curve *out)
{
    const thaw_dataset_options how = {.memory_limit_bytes = -1, .unlabelled = true};
    thaw_str path = {0};
    thaw_config config;
    thaw_path_join(&path, args->words[0], "config.yaml");
    thaw_status status = thaw_config_load(thaw_str_c(&path), NULL, &config);
    thaw_str_clear(&path);
    if (status == THAW_ERR_CONFIG)
        status = thaw_fail_context(THAW_ERR_INPUT, "%s is not a run", args->words[0]);
    THAW_TRY(status);
    const char *file = cli_value(args, "data") != NULL ? cli_value(args, "data") : config.data.file;
    out->is_val = strcmp(split, config.data.val) == 0;
    THAW_TRY_TO(refuse_judges(&config, split));
    THAW_TRY_TO(thaw_dataset_open(file, &how, &out->dataset));
    THAW_TRY_TO(thaw_dataset_split_need(out->dataset, split, &out->split));
    THAW_TRY_TO(thaw_config_metric(&config, out->dataset, &out->metric));
    out->slice_count = thaw_dataset_slice_count(out->dataset);
    status = thaw_alloc(&out->slices, out->count * out->slice_count + 1, sizeof *out->slices);
done:
    thaw_config_clear(&config);
    return status;
}

static thaw_status judge(curve *c, int i, const thaw_predictions *p)
{
    const thaw_metric *own = thaw_metric_of_sample(p->task);
    thaw_bootstrap how = thaw_bootstrap_default(1);
    how.resamples = 1000;
    c->loss[i] = thaw_predictions_loss(p, NULL);
    THAW_TRY(thaw_predictions_metric(p, NULL, c->metric, &c->value[i], NULL));
    THAW_TRY(thaw_predictions_interval(p, NULL, c->metric, &how, &c->interval[i]));
    for (int64_t s = 0; s < c->slice_count; s++)
        THAW_TRY(thaw_predictions_metric(p, thaw_dataset_slice_mask(c->dataset, c->split, s), own,
                                         &c->slices[i * c->slice_count + s], NULL));
    return THAW_OK;
}

/* As epochs are: by the metric, then by the loss; of equal ones the one nearest to the start. -1: undefined everywhere. */
static int best_of(const curve *c)
{
    int best = -1;
    for (int i = 0; i < c->count; i++) {
        const double sign = c->metric->lower_is_better ? -1 : 1;
        if (isnan(c->value[i]))
            continue;
        const double gain = best < 0 ? 1 : sign * (c->value[i] - c->value[best]);
        if (gain > 0 || (gain == 0 && c->loss[i] < c->loss[best]))
            best = i;
    }
    return best;
}

static void print_table(const curve *c, const char *split, const thaw_metric *own)
{
    thaw_table table = {0};
    const int best = best_of(c);
    const double scale = c->metric->share ? 100 : 1;
    thaw_table_column(&table, "share", THAW_RIGHT);
    thaw_table_column(&table, c->metric->title, THAW_RIGHT);
    thaw_table_column(&table, "95% interval", THAW_LEFT);
    thaw_table_column(&table, "loss", THAW_RIGHT);
    for (int64_t s = 0; s < c->slice_count; s++)
        thaw_table_column(&table, thaw_dataset_slice_name(c->dataset, s), THAW_RIGHT);
    for (int i = 0; i < c->count; i++) {
        thaw_table_printf(&table, "%g", c->shares[i]);
        cli_add_metric(&table, c->metric, c->value[i]);
        if (isnan(c->interval[i].low))
            thaw_table_cell(&table, "");
        else
            thaw_table_printf(&table, "[%.4g, %.4g]", scale * c->interval[i].low,
                              scale * c->interval[i].high);
        thaw_table_printf(&table, "%.4f", c->loss[i]);
        for (int64_t s = 0; s < c->slice_count; s++)
            cli_add_metric(&table, own, c->slices[i * c->slice_count + s]);
    }
    cli_print_table(&table);
    thaw_table_clear(&table);
    if (c->slice_count > 0)
        cli_print("slices: %s", own->title);
    if (best >= 0 && c->is_val)
        cli_print("best on %s: %g; `thaw export --interpolate %g` writes it", split,
                  c->shares[best], c->shares[best]);
}

static void print_json(const curve *c, const char *split)
{
    thaw_json *out = thaw_json_new_object();
    const int best = best_of(c);
    thaw_json_set_string(out, "split", split);
    thaw_json_set_string(out, "metric", c->metric->name);
    thaw_json *rows = thaw_json_set_array(out, "curve");
    for (int i = 0; i < c->count; i++) {
        thaw_json *row = thaw_json_add_object(rows);
        const double ends[] = {c->interval[i].low, c->interval[i].high};
        thaw_json_set_double(row, "interpolate", c->shares[i]);
        thaw_json_set_double(row, c->metric->name, c->value[i]);
        thaw_json_set_doubles(row, "interval", ends, 2);
        thaw_json_set_double(row, "loss", c->loss[i]);
        thaw_json *slices = thaw_json_set_array(row, "slices");
        for (int64_t s = 0; s < c->slice_count; s++) {
            thaw_json *slice = thaw_json_add_object(slices);
            thaw_json_set_string(slice, "name", thaw_dataset_slice_name(c->dataset, s));
            thaw_json_set_double(slice, "score", c->slices[i * c->slice_count + s]);
        }
    }
    if (best >= 0 && c->is_val)
        thaw_json_set_double(out, "best", c->shares[best]);
    cli_print_json(out);
    thaw_json_free(&out);
}

thaw_status cli_eval_curve(thaw_comm *comm, const cli_args *args, const char *split)
{
    curve c = {0};
    const thaw_metric *own = NULL;
    const bool judges = thaw_comm_rank(comm) == 0;
    thaw_status status;
    THAW_TRY_TO(parse_shares(cli_value(args, "interpolate"), &c)); /* uniform */
    THAW_TRY_TO(thaw_agree(comm, judges ? look(args, split, &c) : THAW_OK));
    for (int i = 0; i < c.count; i++) {
        thaw_predictions p;
        THAW_TRY_TO(thaw_eval_interpolated(comm, args->words[0], cli_value(args, "data"), split,
                                           c.shares[i], &p));
        own = thaw_metric_of_sample(p.task);
        status = thaw_agree(comm, judges ? judge(&c, i, &p) : THAW_OK);
        thaw_predictions_clear(&p);
        THAW_TRY_TO(status); /* uniform */
    }
    if (judges && args->json)
        print_json(&c, split);
    else if (judges)
        print_table(&c, split, own);
done:
    thaw_free(&c.slices);
    thaw_dataset_free(&c.dataset);
    return status;
}
