#include "ladder/note_impl.h"
#include "ladder/search_impl.h"

#include <math.h>
#include <string.h>

/* `thaw search --range`: a range test of each group's rate, and what it says. */

enum { MOST_GROUPS = 3 };

typedef struct range_group {
    const char *name;
    char rung[THAW_RUNG_TEXT];
    double head; /* its rate meanwhile; NAN in its own test */
    thaw_rate_test test;
} range_group;

typedef struct range_study {
    const thaw_config *config;
    const thaw_range_options *options;
    int64_t samples; /* of train */
    range_group groups[MOST_GROUPS];
    int count;
    thaw_json *result;
} range_study;

/* ---- The tests ---- */

/* The deepest rung of a kind, or of both: "" when there is none. */
static thaw_status deepest(const thaw_config *config, thaw_rung_kind kind, thaw_rung_kind other,
                           char name[THAW_RUNG_TEXT])
{
    thaw_rung best = {0};
    bool found = false;
    name[0] = '\0';
    for (int64_t i = 0; i < config->ladder.rungs.count; i++) {
        thaw_rung rung;
        THAW_TRY(thaw_rung_parse(config->ladder.rungs.items[i], &rung));
        if ((rung.kind != kind && rung.kind != other) ||
            (found && thaw_rung_compare(&rung, &best) <= 0))
            continue;
        best = rung;
        found = true;
        thaw_rung_format(&rung, name);
    }
    return THAW_OK;
}

static void add_group(range_study *s, const char *name, thaw_optim_part part, const char *rung)
{
    range_group *g = &s->groups[s->count++];
    g->name = name;
    g->head = NAN;
    thaw_copy(g->rung, sizeof g->rung, rung);
    g->test = (thaw_rate_test){
        .part = part, .low = s->options->low, .high = s->options->high, .steps = s->options->steps};
}

static thaw_status list_groups(range_study *s)
{
    char adapter[THAW_RUNG_TEXT];
    char backbone[THAW_RUNG_TEXT];
    THAW_TRY(search_check_rungs(s->config));
    THAW_TRY(deepest(s->config, THAW_RUNG_PEFT, THAW_RUNG_PEFT, adapter));
    THAW_TRY(deepest(s->config, THAW_RUNG_PARTIAL, THAW_RUNG_FULL, backbone));
    add_group(s, "head", THAW_PART_HEAD, "frozen");
    if (adapter[0] != '\0')
        add_group(s, "adapter", THAW_PART_ADAPTER, adapter);
    if (backbone[0] != '\0')
        add_group(s, "backbone", THAW_PART_BACKBONE, backbone);
    return THAW_OK;
}

/* Features of all samples are not worth keeping for steps that see fewer. Gate and test are not there. */
static thaw_status run_group(range_study *s, thaw_comm *comm, range_group *g, double head)
{
    const thaw_run_options options = {.quiet = true};
    const bool own = g->test.part == THAW_PART_HEAD;
    const int64_t steps = s->options->steps * (own ? 1 : 2);
    thaw_config config = *s->config; /* borrows */
    config.rung = g->rung;
    config.rates.head = head;
    config.data.gate = config.data.test = (char *)"";
    config.train.ema = 0;
    if (steps * config.train.batch < s->samples)
        config.train.cache = 1;
    if (!own)
        g->head = head;
    if (!s->options->quiet)
        THAW_LOG(THAW_INFO, "%s: %lld steps of rung %s", g->name, (long long)steps, g->rung);
    return thaw_train_rate_test(comm, &config, own ? 0 : s->options->steps, &options, &g->test);
}

static thaw_status run_groups(range_study *s, thaw_comm *comm)
{
    double head = s->config->rates.head;
    for (int i = 0; i < s->count; i++) {
        THAW_TRY(run_group(s, comm, &s->groups[i], head));
        if (i == 0 && isfinite(s->groups[0].test.suggested))
            head = s->groups[0].test.suggested;
    }
    return THAW_OK;
}

/* ---- What they say ---- */

static void say_group(const range_group *g, thaw_str *out)
{
    const thaw_rate_test *t = &g->test;
    if (isnan(t->suggested)) {
        thaw_str_printf(out,
                        "no rate of the %s is suggested: its smoothed loss never fell clearly "
                        "below what it was over the first tenth of the steps",
                        g->name);
        return;
    }
    thaw_str_printf(out,
                    "%s %.3g, a tenth of %.3g, at which the smoothed loss is least; it falls "
                    "fastest near %.3g",
                    g->name, t->suggested, t->least, t->steepest);
    if (t->at_end)
        thaw_str_add(out, "; the least is at the last rate, so more may be possible (--high)");
}

static void describe_group(const range_group *g, thaw_json *row)
{
    const thaw_rate_test *t = &g->test;
    thaw_str text = {0};
    thaw_json_set_string(row, "group", g->name);
    thaw_json_set_string(row, "rung", g->rung);
    thaw_json_set_double(row, "head_meanwhile", g->head);
    thaw_json_set_double(row, "low", t->low);
    thaw_json_set_double(row, "high", t->high);
    thaw_json_set_int(row, "steps", t->steps);
    thaw_json_set_int(row, "taken", t->taken);
    thaw_json_set_bool(row, "diverged", t->diverged);
    thaw_json_set_double(row, "least", t->least);
    thaw_json_set_double(row, "steepest", t->steepest);
    thaw_json_set_double(row, "suggested", t->suggested);
    thaw_json_set_bool(row, "at_end", t->at_end);
    say_group(g, &text);
    thaw_json_set_string(row, "text", thaw_str_c(&text));
    thaw_json_set_doubles(row, "rates", t->rate, t->taken);
    thaw_json_set_doubles(row, "losses", t->loss, t->taken);
    thaw_json_set_doubles(row, "smoothed", t->smooth, t->taken);
    thaw_str_clear(&text);
}

/* Lines of a config, or nothing where no rate is suggested. */
static void add_config(range_study *s)
{
    thaw_str text = {0};
    thaw_str why = {0};
    for (int i = 0; i < s->count; i++) {
        const range_group *g = &s->groups[i];
        if (isnan(g->test.suggested))
            continue;
        thaw_str_printf(&text, "%s  %s: %.3g\n", text.length == 0 ? "rates:\n" : "", g->name,
                        g->test.suggested);
        thaw_str_printf(&why, "%s%s a tenth of %.3g", why.length == 0 ? "" : ", ", g->name,
                        g->test.least);
    }
    if (text.length > 0)
        thaw_str_printf(
            &text, "  reason: \"range test of %lld steps a group, where the loss is least: %s\"\n",
            (long long)s->options->steps, thaw_str_c(&why));
    thaw_json_set_string(s->result, "config", thaw_str_c(&text));
    thaw_str_clear(&why);
    thaw_str_clear(&text);
}

static void describe(range_study *s)
{
    s->result = thaw_json_new_object();
    thaw_json_set_string(s->result, "kind", "range test");
    thaw_json_set_string(s->result, "name", s->config->name);
    thaw_json_set_int(s->result, "batch", s->config->train.batch);
    thaw_json_set_int(s->result, "seed", s->config->seed);
    thaw_json *list = thaw_json_set_array(s->result, "groups");
    for (int i = 0; i < s->count; i++)
        describe_group(&s->groups[i], thaw_json_add_object(list));
    add_config(s);
    thaw_json_set_bool(s->result, "complete", true);
}

/* ---- Files ---- */

static void write_csv(const range_study *s, thaw_str *out)
{
    static const char *const titles[] = {"group", "rung", "rate", "loss", "smoothed"};
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        thaw_csv_field(out, titles[i], i == 0);
    thaw_csv_end(out);
    for (int i = 0; i < s->count; i++) {
        const range_group *g = &s->groups[i];
        for (int64_t k = 0; k < g->test.taken; k++) {
            thaw_csv_field(out, g->name, true);
            thaw_csv_field(out, g->rung, false);
            thaw_csv_number(out, g->test.rate[k], false);
            thaw_csv_number(out, g->test.loss[k], false);
            thaw_csv_number(out, g->test.smooth[k], false);
            thaw_csv_end(out);
        }
    }
}

/* About as many rows as a reader takes in; the CSV has all. */
enum { ROWS = 12 };

static void add_rows(const range_group *g, thaw_table *table)
{
    const thaw_rate_test *t = &g->test;
    const int64_t every = (t->taken + ROWS - 1) / ROWS;
    for (int64_t i = 0; i < t->taken; i++) {
        const bool least = t->rate[i] == t->least;
        if (i % every != 0 && i != t->taken - 1 && !least)
            continue;
        thaw_table_cell(table, g->name);
        thaw_table_printf(table, "%.3g", t->rate[i]);
        thaw_table_value(table, t->loss[i], THAW_UNIT_NUMBER);
        thaw_table_value(table, t->smooth[i], THAW_UNIT_NUMBER);
        thaw_table_cell(table, least ? "least" : "");
    }
}

static void write_words(const range_study *s, thaw_str *out)
{
    const char *config = ladder_text(s->result, "config");
    thaw_table table = {0};
    thaw_str_add(out, "# Range test: ");
    thaw_markdown_escape(out, s->config->name);
    thaw_str_add(out, "\n\n");
    for (LADDER_EACH(g, s->result, "groups")) {
        thaw_str_printf(out, "- Rung `%s`: ", ladder_text(g, "rung"));
        thaw_markdown_escape(out, ladder_text(g, "text"));
        thaw_str_add(out, ".\n");
    }
    if (config[0] != '\0')
        thaw_str_printf(out, "\nTo go on with it:\n\n```yaml\n%s```\n", config);
    thaw_str_add(out, "\nThe rule is a convention: it says how far a rate may go in the first "
                      "steps, not which is best in the end; `thaw search` and `thaw ladder` "
                      "compare rates on val.\n\n");
    thaw_table_column(&table, "group", THAW_LEFT);
    thaw_table_column(&table, "rate", THAW_RIGHT);
    thaw_table_column(&table, "loss", THAW_RIGHT);
    thaw_table_column(&table, "smoothed", THAW_RIGHT);
    thaw_table_column(&table, "", THAW_LEFT);
    for (int i = 0; i < s->count; i++)
        add_rows(&s->groups[i], &table);
    thaw_table_markdown(&table, out);
    thaw_table_clear(&table);
}

static void draw(const range_study *s, thaw_str *out)
{
    thaw_series series[2 * MOST_GROUPS];
    thaw_str svg = {0};
    thaw_str finding = {0};
    for (int i = 0; i < s->count; i++) {
        const range_group *g = &s->groups[i];
        series[2 * i] = (thaw_series){.name = g->name,
                                      .x = g->test.rate,
                                      .y = g->test.smooth,
                                      .count = g->test.taken,
                                      .colour = i};
        series[2 * i + 1] = series[2 * i];
        series[2 * i + 1].name = NULL;
        series[2 * i + 1].y = g->test.loss;
        series[2 * i + 1].thin = true;
        if (i > 0)
            thaw_str_add(&finding, ". ");
        say_group(g, &finding);
    }
    const thaw_line_chart chart = {.chart = {.title = "Loss while a rate grows",
                                             .description = thaw_str_c(&finding),
                                             .axis_label = "training loss"},
                                   .count = 2 * s->count,
                                   .series = series,
                                   .x_label = "learning rate",
                                   .x_unit = THAW_UNIT_NUMBER,
                                   .log_x = true};
    thaw_chart_line(&chart, &svg);
    thaw_chart_standalone(&svg, out);
    thaw_str_clear(&finding);
    thaw_str_clear(&svg);
}

static thaw_status write_file(const char *directory, const char *name, thaw_str *text)
{
    thaw_str path = {0};
    thaw_path_join(&path, directory, name);
    const thaw_status status = thaw_file_write(thaw_str_c(&path), text->data, text->length);
    thaw_str_clear(&path);
    thaw_str_clear(text);
    return status;
}

static thaw_status write_all(const range_study *s, const char *directory)
{
    thaw_str text = {0};
    THAW_TRY(thaw_mkdirs(directory));
    write_csv(s, &text);
    THAW_TRY(write_file(directory, "range.csv", &text));
    write_words(s, &text);
    THAW_TRY(write_file(directory, "range.md", &text));
    draw(s, &text);
    THAW_TRY(write_file(directory, "range.svg", &text));
    thaw_json_pretty(s->result, &text);
    thaw_str_add(&text, "\n");
    return write_file(directory, "range.json", &text); /* last: what is there is whole */
}

static thaw_status check_place(const thaw_config *config, const thaw_range_options *options,
                               const char *directory)
{
    thaw_str path = {0};
    thaw_path_join(&path, directory, "range.json");
    thaw_status status = THAW_OK;
    if (!options->overwrite && thaw_path_exists(thaw_str_c(&path)))
        status = THAW_FAIL(THAW_ERR_USAGE,
                           "%s already holds a range test; replace it with --overwrite, or choose "
                           "another output than %s",
                           directory, config->output);
    if (status == THAW_OK)
        status = thaw_output_check(thaw_str_c(&path), true);
    thaw_str_clear(&path);
    return status;
}

static thaw_status open_study(range_study *s)
{
    const thaw_dataset_options how = {.memory_limit_bytes = -1, .no_class_slices = true};
    const thaw_config *config = s->config;
    thaw_dataset *dataset = NULL;
    int64_t train;
    THAW_TRY(ladder_check_rungs(config, "a range test"));
    THAW_TRY(list_groups(s));
    THAW_TRY(thaw_dataset_open(config->data.file, &how, &dataset));
    const thaw_status status = thaw_dataset_split_need(dataset, config->data.train, &train);
    if (status == THAW_OK)
        s->samples = thaw_dataset_count(dataset, train);
    thaw_dataset_free(&dataset);
    return status;
}

thaw_status thaw_search_range(thaw_comm *comm, const thaw_config *config,
                              const thaw_range_options *options)
{
    range_study s = {.config = config, .options = options};
    thaw_str directory = {0};
    const bool first = thaw_comm_rank(comm) == 0;
    thaw_status status;
    thaw_path_join(&directory, config->output, "range");
    THAW_TRY_TO(
        thaw_agree(comm, first ? check_place(config, options, thaw_str_c(&directory)) : THAW_OK));
    THAW_TRY_TO(thaw_agree(comm, open_study(&s)));
    THAW_TRY_TO(run_groups(&s, comm));
    describe(&s);
    status = thaw_agree(comm, first ? write_all(&s, thaw_str_c(&directory)) : THAW_OK);
done:
    for (int i = 0; i < s.count; i++)
        thaw_rate_test_clear(&s.groups[i].test);
    thaw_json_free(&s.result);
    thaw_str_clear(&directory);
    return status;
}
