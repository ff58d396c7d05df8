#include "scale/scale_impl.h"

#include <math.h>
#include <string.h>

/* The files of a study, but for its charts. */

/* ---- The directory ---------------------------------------------------------------------------------------------- */

static thaw_status write_config(const thaw_config *config, const char *path)
{
    thaw_str text = {0};
    thaw_conf_write(thaw_config_fields, config, &text);
    const thaw_status status = thaw_file_write(path, text.data, text.length);
    thaw_str_clear(&text);
    return status;
}

thaw_status scale_directory_prepare(const thaw_config *config, const thaw_scale_options *options)
{
    thaw_str points = {0};
    thaw_str settings = {0};
    thaw_path_join(&points, config->output, "points.jsonl");
    thaw_path_join(&settings, config->output, "config.yaml");
    const bool there = thaw_path_exists(thaw_str_c(&points));
    thaw_status status = THAW_OK;
    THAW_CHECK_TO(!there || options->resume || options->overwrite, THAW_ERR_USAGE,
                  "%s already holds a study; continue it with --resume, replace it with "
                  "--overwrite, or choose another output",
                  config->output);
    THAW_CHECK_TO(there || !thaw_path_exists(thaw_str_c(&settings)) || options->overwrite,
                  THAW_ERR_USAGE,
                  "%s holds something else than a study; choose another output (--set "
                  "output=DIRECTORY)",
                  config->output);
    if (there && options->resume)
        THAW_TRY_TO(thaw_config_compare_file(thaw_str_c(&settings), config));
    else if (there)
        THAW_TRY_TO(thaw_remove_tree(thaw_str_c(&points)));
    THAW_TRY_TO(thaw_mkdirs(config->output));
    status = write_config(config, thaw_str_c(&settings));
done:
    thaw_str_clear(&settings);
    thaw_str_clear(&points);
    return status;
}

thaw_status scale_rows_read(const char *directory, thaw_json **out)
{
    thaw_str path = {0};
    thaw_status status = THAW_OK;
    thaw_path_join(&path, directory, "points.jsonl");
    if (thaw_path_exists(thaw_str_c(&path)))
        status = thaw_rows_read(thaw_str_c(&path), out);
    else
        *out = thaw_json_new_array();
    thaw_str_clear(&path);
    return status;
}

/* ---- JSON and CSV ------------------------------------------------------------------------------------------------ */

typedef struct figure {
    const char *key;
    double value;
} figure;

enum { FIGURES = 18 };

/* One list behind JSON and CSV. */
static void list_figures(const thaw_scale_point *p, figure out[FIGURES])
{
    const figure all[FIGURES] = {{"ranks", (double)p->ranks},
                                 {"nodes", (double)p->nodes},
                                 {"shards", (double)p->shards},
                                 {"batch", (double)p->batch},
                                 {"steps_timed", (double)p->steps},
                                 {"seconds_per_step", p->seconds},
                                 {"seconds_low", p->low},
                                 {"seconds_high", p->high},
                                 {"samples_per_second", (double)p->batch / p->seconds},
                                 {"strong_efficiency", p->strong_efficiency},
                                 {"weak_efficiency", p->weak_efficiency},
                                 {"karp_flatt", p->serial_fraction},
                                 {"transfer_seconds", p->transfer},
                                 {"waited_seconds", p->waited},
                                 {"communication_share", p->waited / p->seconds},
                                 {"allreduce_bytes", (double)p->bytes},
                                 {"allreduce_calls", (double)p->calls},
                                 {"predicted_seconds", p->predicted}};
    memcpy(out, all, sizeof all);
}

static void add_points(const scale_result *r, thaw_json *out)
{
    figure figures[FIGURES];
    thaw_json *list = thaw_json_set_array(out, "points");
    for (int64_t i = 0; i < r->count; i++) {
        const thaw_scale_point *p = &r->points[i];
        thaw_json *row = thaw_json_add_object(list);
        thaw_json_set_string(row, "rung", r->plan->rungs->items[p->rung]);
        thaw_json_set_bool(row, "oversubscribed", p->oversubscribed);
        list_figures(p, figures);
        for (int k = 0; k < FIGURES; k++)
            thaw_json_set_double(row, figures[k].key, figures[k].value);
        thaw_json_set_int(row, "plan_calls", p->plan_calls);
    }
}

static void add_model(const scale_result *r, thaw_json *out)
{
    const thaw_scale_model *m = &r->model;
    thaw_json *model = thaw_json_set_object(out, "model");
    thaw_json_set_string(model, "form",
                         "serial + shard * shards_per_rank + alpha * calls * log2(ranks) + "
                         "beta * bytes * 2 * (ranks - 1) / ranks");
    thaw_json_set_double(model, "alpha_seconds", m->alpha);
    thaw_json_set_double(model, "beta_seconds_per_byte", m->beta);
    thaw_json_set_int(model, "transfers_fitted", m->transfers);
    thaw_json_set_double(model, "largest_relative_residual", m->residual);
    thaw_json *list = thaw_json_set_array(model, "rungs");
    for (int32_t i = 0; i < m->rungs; i++) {
        thaw_json *row = thaw_json_add_object(list);
        thaw_json_set_string(row, "rung", r->plan->rungs->items[i]);
        thaw_json_set_double(row, "serial_seconds", m->serial[i]);
        thaw_json_set_double(row, "shard_seconds", m->shard[i]);
        thaw_json_set_int(row, "points_fitted", m->fitted[i]);
    }
}

static void add_machine(const scale_result *r, thaw_json *out)
{
    const thaw_machine_config *c = &r->plan->config->scale.machine;
    if (c->ranks.count == 0)
        return;
    thaw_json *machine = thaw_json_set_object(out, "machine");
    thaw_json_set_double(machine, "alpha_seconds", c->alpha > 0 ? c->alpha : r->model.alpha);
    thaw_json_set_double(machine, "beta_seconds_per_byte", c->beta > 0 ? c->beta : r->model.beta);
    thaw_json_set_int(machine, "ranks_per_node", c->ranks_per_node);
    thaw_json *list = thaw_json_set_array(machine, "points");
    for (int32_t rung = 0; rung < r->model.rungs; rung++) {
        for (int64_t i = 0; i < c->ranks.count; i++) {
            const int64_t ranks = c->ranks.items[i];
            thaw_json *row = thaw_json_add_object(list);
            thaw_json_set_string(row, "rung", r->plan->rungs->items[rung]);
            thaw_json_set_int(row, "ranks", ranks);
            thaw_json_set_double(row, "strong_seconds",
                                 scale_machine_seconds(r, rung, ranks, false));
            thaw_json_set_double(row, "weak_seconds", scale_machine_seconds(r, rung, ranks, true));
            thaw_json_set_double(row, "weak_efficiency",
                                 scale_machine_seconds(r, rung, 1, true) /
                                     scale_machine_seconds(r, rung, ranks, true));
        }
    }
}

static thaw_status write_json(const scale_result *r, const char *path)
{
    thaw_json *out = thaw_json_new_object();
    const thaw_config *c = r->plan->config;
    thaw_json_set_string(out, "name", c->name);
    thaw_json_set_string(out, "version", thaw_version());
    thaw_json_set_string(out, "commit", thaw_commit());
    thaw_json_set_int(out, "shards", c->train.shards);
    thaw_json_set_int(out, "batch", c->train.batch);
    thaw_json_set_ints(out, "ranks", c->scale.ranks.items, c->scale.ranks.count);
    add_points(r, out);
    add_model(r, out);
    add_machine(r, out);
    const thaw_status status = thaw_json_write(path, out);
    thaw_json_free(&out);
    return status;
}

static thaw_status write_csv(const scale_result *r, const char *path)
{
    figure figures[FIGURES];
    thaw_str out = {0};
    for (int64_t i = -1; i < r->count; i++) { /* -1: the header */
        const thaw_scale_point empty = {.seconds = 1};
        const thaw_scale_point *p = i < 0 ? &empty : &r->points[i];
        list_figures(p, figures);
        thaw_csv_field(&out, i < 0 ? "rung" : r->plan->rungs->items[p->rung], true);
        thaw_csv_field(&out,
                       i < 0               ? "oversubscribed"
                       : p->oversubscribed ? "true"
                                           : "false",
                       false);
        for (int k = 0; k < FIGURES; k++) {
            if (i < 0)
                thaw_csv_field(&out, figures[k].key, false);
            else
                thaw_csv_number(&out, figures[k].value, false);
        }
        thaw_csv_end(&out);
    }
    const thaw_status status = thaw_file_write(path, out.data, out.length);
    thaw_str_clear(&out);
    return status;
}

/* ---- All of it --------------------------------------------------------------------------------------------------- */

static thaw_status write_markdown(const scale_result *r, const char *path)
{
    thaw_str out = {0};
    scale_write_markdown(r, &out);
    const thaw_status status = thaw_file_write(path, out.data, out.length);
    thaw_str_clear(&out);
    return status;
}

static thaw_status write_all(const scale_result *r)
{
    const char *directory = r->plan->config->output;
    thaw_str path = {0};
    thaw_status status = scale_write_charts(r);
    thaw_path_join(&path, directory, "scale.csv");
    if (status == THAW_OK)
        status = write_csv(r, thaw_str_c(&path));
    thaw_path_join(&path, directory, "scale.md");
    if (status == THAW_OK)
        status = write_markdown(r, thaw_str_c(&path));
    thaw_path_join(&path, directory, "scale.json");
    if (status == THAW_OK)
        status = write_json(r, thaw_str_c(&path));
    thaw_str_clear(&path);
    return status;
}

thaw_status scale_write(const scale_plan *plan)
{
    thaw_json *rows = NULL;
    scale_result result = {0};
    thaw_status status = scale_rows_read(plan->config->output, &rows);
    if (status == THAW_OK)
        status = scale_result_make(plan, rows, &result);
    if (status == THAW_OK)
        status = write_all(&result);
    scale_result_clear(&result);
    thaw_json_free(&rows);
    return status;
}
