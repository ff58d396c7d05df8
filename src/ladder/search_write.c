#include "ladder/note_impl.h"
#include "ladder/search_impl.h"

#include <math.h>
#include <string.h>

/* What a search says: search.json holds all of it; the words and the table are made from that. */

static void add_value(const search *s, double value, thaw_str *out)
{
    if (s->metric->share)
        thaw_str_printf(out, "%.1f%%", 100 * value);
    else
        thaw_str_printf(out, "%.4g", value);
}

static void add_candidate(const search *s, const search_candidate *c, const char *key)
{
    thaw_json *row = thaw_json_set_object(s->result, key);
    thaw_json_set_string(row, "rung", c->name);
    thaw_json_set_double(row, "head", c->rates.head);
    thaw_json_set_double(row, "adapter", c->rung.kind == THAW_RUNG_PEFT ? c->rate : NAN);
    thaw_json_set_double(row, "backbone", c->rung.kind == THAW_RUNG_PEFT ? NAN : c->rate);
    thaw_json_set_double(row, "val", c->value);
    thaw_json_set_double(row, "val_loss", c->loss);
    thaw_json_set_string(row, "directory", c->directory);
}

/* Of what is paired, as `thaw compare` has it: winner - runner-up. */
static thaw_status add_difference(search *s, thaw_comm *comm)
{
    static const char *const keys[] = {"mean_a", "mean_b", "delta", "low", "high", "level"};
    const char *const runs[] = {s->all[1].directory, s->all[0].directory};
    thaw_json *rows = NULL;
    THAW_TRY(thaw_ladder_compare_runs(comm, runs, 2, "val", &rows));
    const thaw_json *row = thaw_json_at(rows, 0);
    thaw_json *out = thaw_json_set_object(s->result, "difference");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        thaw_json_set_double(out, keys[i], thaw_json_double_or(row, keys[i], NAN));
    thaw_json_set_int(out, "samples", thaw_json_int_or(row, "samples", 0));
    thaw_json_set_string(out, "score", thaw_json_string_or(row, "metric.score", ""));
    thaw_json_set_string(out, "text", thaw_json_string_or(row, "text", ""));
    thaw_json_free(&rows);
    return THAW_OK;
}

/* What a config and then a note quote. */
static void add_reason(search *s)
{
    const thaw_json *difference = thaw_json_find(s->result, "difference");
    thaw_str text = {0};
    thaw_str_printf(&text,
                    "successive halving over %lld candidates, %lld of %lld epochs spent, on %s: ",
                    (long long)s->count, (long long)s->spent, (long long)s->options->budget,
                    s->config->data.val);
    search_describe(&s->all[0], &text);
    thaw_str_add(&text, " got ");
    add_value(s, s->all[0].value, &text);
    if (difference != NULL) {
        thaw_str_add(&text, ", the runner-up ");
        search_describe(&s->all[1], &text);
        thaw_str_add(&text, " ");
        add_value(s, s->all[1].value, &text);
        thaw_str_printf(&text, "; difference %s",
                        thaw_json_string_or(difference, "text", "not known"));
    } else {
        thaw_str_add(&text, "; no other candidate was left in the last round");
    }
    thaw_json_set_string(s->result, "reason", thaw_str_c(&text));
    thaw_str_clear(&text);
}

/* Lines of a config, as YAML. */
static void add_config(search *s)
{
    const search_candidate *c = &s->all[0];
    thaw_str text = {0};
    thaw_str_printf(&text, "rung: '%s'\nrates:\n  head: %g\n", c->name, c->rates.head);
    if (!isnan(c->rate))
        thaw_str_printf(&text, "  %s: %g\n",
                        c->rung.kind == THAW_RUNG_PEFT ? "adapter" : "backbone", c->rate);
    thaw_str_printf(&text, "  reason: \"%s\"\n", thaw_json_string_or(s->result, "reason", ""));
    thaw_json_set_string(s->result, "config", thaw_str_c(&text));
    thaw_str_clear(&text);
}

/* At an end of its list a better rate may lie outside. */
static bool at_edge(double rate, const thaw_doubles *list)
{
    double least = INFINITY;
    double most = -INFINITY;
    for (int64_t i = 0; i < list->count; i++) {
        least = fmin(least, list->items[i]);
        most = fmax(most, list->items[i]);
    }
    return rate == least || rate == most;
}

static void add_limits(search *s)
{
    const search_candidate *c = &s->all[0];
    const thaw_json *difference = thaw_json_find(s->result, "difference");
    const double low = thaw_json_double_or(difference, "low", NAN);
    thaw_json *list = thaw_json_set_array(s->result, "limits");
    thaw_json_add_string(list, "The winner was chosen on val with one seed, so its value there is "
                               "too good; a ladder judges it on gate.");
    if (difference != NULL && !(low > 0))
        thaw_json_add_string(
            list, thaw_rung_compare(&s->all[1].rung, &c->rung) < 0
                      ? "The interval of the difference reaches zero: the runner-up, which is "
                        "simpler, may be as good, or better."
                      : "The interval of the difference reaches zero: the runner-up may be as "
                        "good, or better.");
    if (s->epochs < s->config->train.epochs) {
        thaw_str text = {0};
        thaw_str_printf(&text,
                        "The last round had %lld of train.epochs %lld: with more epochs another "
                        "candidate may lead; a larger budget would tell.",
                        (long long)s->epochs, (long long)s->config->train.epochs);
        thaw_json_add_string(list, thaw_str_c(&text));
        thaw_str_clear(&text);
    }
    if (at_edge(c->rates.head, &s->config->ladder.search_head) ||
        (!isnan(c->rate) && at_edge(c->rate, ladder_candidates(s->config, c->rung.kind))))
        thaw_json_add_string(list, "A rate of the winner lies at the edge of its list; a better "
                                   "one may lie outside.");
}

thaw_status search_conclude(search *s, thaw_comm *comm)
{
    thaw_json_set_string(s->result, "kind", "search");
    thaw_json_set_string(s->result, "name", s->config->name);
    thaw_json_set_string(s->result, "split", s->config->data.val);
    thaw_json_set_string(s->result, "dataset_digest", s->data_digest);
    thaw_json_set_string(s->result, "backbone_digest", s->backbone_digest);
    thaw_metric_to_json(s->metric, thaw_json_set_object(s->result, "metric"));
    thaw_json_set_int(s->result, "candidates", s->count);
    thaw_json_set_int(s->result, "keep", s->options->keep);
    thaw_json_set_int(s->result, "budget_epochs", s->options->budget);
    thaw_json_set_int(s->result, "spent_epochs", s->spent);
    thaw_json_set_int(s->result, "seed", s->config->seed);
    add_candidate(s, &s->all[0], "winner");
    const bool paired =
        s->left > 1 && !s->all[1].diverged && !isnan(s->all[0].value) && !isnan(s->all[1].value);
    if (paired) { /* uniform: read from the same files */
        add_candidate(s, &s->all[1], "runner_up");
        THAW_TRY(add_difference(s, comm));
    }
    add_reason(s);
    add_config(s);
    add_limits(s);
    thaw_json_set_bool(s->result, "complete", true);
    return THAW_OK;
}

/* ---- Files ---- */

static void add_rate(thaw_table *table, const thaw_json *trial, const char *key)
{
    const double rate = thaw_json_double_or(trial, key, NAN);
    if (isnan(rate))
        thaw_table_cell(table, "");
    else
        thaw_table_printf(table, "%g", rate);
}

/* csv: numbers as they are, and the directory. */
static void fill(const search *s, bool csv, thaw_table *table)
{
    static const char *const titles[] = {"round", "rung", "head", "adapter", "backbone", "epochs"};
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        thaw_table_column(table, titles[i], i == 1 ? THAW_LEFT : THAW_RIGHT);
    thaw_table_column(table, csv ? s->metric->name : s->metric->title, THAW_RIGHT);
    thaw_table_column(table, "loss", THAW_RIGHT);
    thaw_table_column(table, csv ? "kept" : "goes on", THAW_LEFT);
    if (csv)
        thaw_table_column(table, "directory", THAW_LEFT);
    for (LADDER_EACH(round, s->result, "rounds")) {
        for (LADDER_EACH(t, round, "trials")) {
            const bool diverged = thaw_json_bool_or(t, "diverged", false);
            thaw_str value = {0};
            thaw_table_printf(table, "%lld", (long long)thaw_json_int_or(round, "round", 0));
            thaw_table_cell(table, thaw_json_string_or(t, "rung", ""));
            add_rate(table, t, "head");
            add_rate(table, t, "adapter");
            add_rate(table, t, "backbone");
            thaw_table_printf(table, "%lld", (long long)thaw_json_int_or(round, "epochs", 0));
            add_value(s, thaw_json_double_or(t, "val", NAN), &value);
            if (csv)
                add_rate(table, t, "val");
            else
                thaw_table_cell(table, diverged ? "diverged" : thaw_str_c(&value));
            add_rate(table, t, "val_loss");
            thaw_table_cell(table, thaw_json_bool_or(t, "kept", false) ? "yes" : "no");
            if (csv)
                thaw_table_cell(table, thaw_json_string_or(t, "directory", ""));
            thaw_str_clear(&value);
        }
    }
}

static void write_words(const search *s, thaw_str *out)
{
    thaw_table table = {0};
    thaw_str_add(out, "# Search: ");
    thaw_markdown_escape(out, s->config->name);
    thaw_str_add(out, "\n\n**");
    search_describe(&s->all[0], out);
    thaw_str_add(out, "** leads: ");
    thaw_markdown_escape(out, thaw_json_string_or(s->result, "reason", ""));
    thaw_str_printf(out, ".\n\nTo go on with it:\n\n```yaml\n%s```\n\n",
                    thaw_json_string_or(s->result, "config", ""));
    for (LADDER_EACH(limit, s->result, "limits"))
        thaw_str_printf(out, "- %s\n", thaw_json_string_or(limit, "", ""));
    thaw_str_add(out, "\n");
    fill(s, false, &table);
    thaw_table_markdown(&table, out);
    thaw_table_clear(&table);
}

static thaw_status write_text(const search *s, const char *name, const thaw_str *text)
{
    thaw_str path = {0};
    thaw_path_join(&path, s->config->output, name);
    const thaw_status status = thaw_file_write(thaw_str_c(&path), text->data, text->length);
    thaw_str_clear(&path);
    return status;
}

thaw_status search_write(const search *s)
{
    thaw_table table = {0};
    thaw_str csv = {0};
    thaw_str words = {0};
    thaw_str json = {0};
    fill(s, true, &table);
    thaw_table_csv(&table, &csv);
    write_words(s, &words);
    thaw_json_pretty(s->result, &json);
    thaw_str_add(&json, "\n");
    thaw_status status = write_text(s, "search.csv", &csv);
    if (status == THAW_OK)
        status = write_text(s, "search.md", &words);
    if (status == THAW_OK)
        status = write_text(s, "search.json", &json);
    thaw_str_clear(&json);
    thaw_str_clear(&words);
    thaw_str_clear(&csv);
    thaw_table_clear(&table);
    return status;
}
