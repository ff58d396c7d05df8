#include "cli/info_impl.h"

#include <string.h>

#include "thaw/ckpt.h"
#include "thaw/h5.h"

/* What was found of one file. */
typedef struct findings {
    const char *path;
    thaw_state shapes, attributes; /* tensors without their values */
    thaw_digest *digests;          /* of the values of each tensor, as they are now */
    bool *whole;                   /* each of them is what was written */
    int64_t damaged;
    thaw_error error; /* the first that was found; code THAW_OK: none */
    int64_t step, epoch, step_in_epoch;
    thaw_config config;
    bool has_config;             /* this version reads the config that is kept in it */
    const thaw_ckpt_found *best; /* of the run whose newest this is; NULL: a file by itself */
} findings;

static void take_error(findings *f)
{
    if (f->error.code == THAW_OK)
        f->error = *thaw_error_last();
    thaw_error_clear();
}

/* Every tensor by itself, so that all that are damaged are named. */
static thaw_status look_at_tensors(findings *f)
{
    thaw_h5 *file = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&f->digests, f->shapes.count, sizeof *f->digests));
    THAW_TRY_TO(thaw_alloc(&f->whole, f->shapes.count, sizeof *f->whole));
    THAW_TRY_TO(thaw_h5_open(f->path, &file));
    for (int64_t i = 0; i < f->shapes.count; i++) {
        f->whole[i] =
            thaw_h5_read_digest(file, f->shapes.entries[i].name, &f->digests[i]) == THAW_OK;
        f->damaged += !f->whole[i];
        if (!f->whole[i])
            take_error(f);
    }
done:
    thaw_h5_close(&file);
    return status;
}

/* The position, and what only the file as a whole can say: that no tensor is missing and none was added. */
static void look_at_whole(findings *f)
{
    thaw_state state = {0};
    const struct {
        const char *name;
        int64_t *out;
    } rows[] = {{"position/step", &f->step},
                {"position/epoch", &f->epoch},
                {"position/step_in_epoch", &f->step_in_epoch}};
    if (f->damaged == 0 && thaw_h5_load(f->path, NULL, &state, NULL) != THAW_OK)
        take_error(f);
    thaw_state_clear(&state);
    if (thaw_h5_load(f->path, "position/", &state, NULL) != THAW_OK)
        take_error(f);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        *rows[i].out = -1;
        if (thaw_state_get_int(&state, rows[i].name, rows[i].out) != THAW_OK)
            take_error(f);
    }
    thaw_state_clear(&state);
}

static void read_config(findings *f)
{
    thaw_str text = {0};
    f->has_config = thaw_state_get_text(&f->attributes, "config", &text) == THAW_OK &&
                    thaw_config_parse("the config kept in it", thaw_str_c(&text), text.length, NULL,
                                      &f->config) == THAW_OK;
    thaw_str_clear(&text);
    thaw_error_clear();
}

/* Before anything else of it is read, which another kind of file may have in another form. */
static thaw_status check_format(const char *path)
{
    thaw_str format = {0};
    thaw_h5 *file = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_h5_open(path, &file));
    THAW_CHECK_TO(thaw_h5_has_attribute(file, "/", "format") &&
                      thaw_h5_get_text(file, "/", "format", &format) == THAW_OK &&
                      strcmp(thaw_str_c(&format), "thaw-adaptation") == 0,
                  THAW_ERR_INPUT,
                  "%s is no checkpoint (its attribute format is not thaw-adaptation); thaw "
                  "backbone info and thaw data info look at other files",
                  path);
    status = THAW_OK;
done:
    thaw_h5_close(&file);
    thaw_str_clear(&format);
    return status;
}

static thaw_status look(const char *path, findings *f)
{
    f->path = path;
    THAW_TRY(check_format(path));
    THAW_TRY(thaw_h5_load_shapes(path, NULL, &f->shapes, &f->attributes));
    THAW_TRY(look_at_tensors(f));
    read_config(f);
    look_at_whole(f);
    return THAW_OK;
}

static void clear(findings *f)
{
    if (f->has_config)
        thaw_config_clear(&f->config);
    thaw_free(&f->whole);
    thaw_free(&f->digests);
    thaw_state_clear(&f->attributes);
    thaw_state_clear(&f->shapes);
}

/* ---- What is said ------------------------------------------------------------------------------------------- */

/* Attributes that are texts, in the order in which they are said. */
static const char *const texts[] = {"rung",           "task",   "backbone_digest",
                                    "dataset_digest", "digest", "written_by"};
static const size_t text_count = sizeof texts / sizeof *texts;

static void text_of(const findings *f, const char *name, thaw_str *out)
{
    thaw_str_reset(out);
    if (strcmp(name, "digest") == 0) {
        thaw_h5 *file = NULL;
        if (thaw_h5_open(f->path, &file) != THAW_OK ||
            thaw_h5_get_text(file, "/", name, out) != THAW_OK)
            thaw_str_reset(out);
        thaw_h5_close(&file);
    } else if (thaw_state_get_text(&f->attributes, name, out) != THAW_OK) {
        thaw_str_reset(out);
    }
    thaw_error_clear();
}

static void print_json(const findings *f)
{
    thaw_str text = {0};
    thaw_json *out = thaw_json_new_object();
    thaw_json_set_string(out, "file", f->path);
    if (f->has_config) {
        thaw_json_set_string(out, "run", f->config.output);
        thaw_json_set_string(out, "name", f->config.name);
        thaw_json_set_int(out, "seed", f->config.seed);
    }
    thaw_json_set_int(out, "step", f->step);
    thaw_json_set_int(out, "epoch", f->epoch);
    thaw_json_set_int(out, "step_in_epoch", f->step_in_epoch);
    thaw_json_set_bool(out, "whole", f->error.code == THAW_OK);
    if (f->best != NULL)
        thaw_json_set_string(out, "best", f->best->path);
    for (size_t i = 0; i < text_count; i++) {
        text_of(f, texts[i], &text);
        thaw_json_set_string(out, texts[i], thaw_str_c(&text));
    }
    thaw_json *list = thaw_json_set_array(out, "tensors");
    for (int64_t i = 0; i < f->shapes.count; i++) {
        const thaw_entry *e = &f->shapes.entries[i];
        thaw_json *row = thaw_json_add_object(list);
        thaw_json_set_string(row, "name", e->name);
        thaw_json_set_string(row, "dtype", thaw_dtype_name(e->tensor.dtype));
        thaw_json_set_ints(row, "shape", e->tensor.shape.dim, e->tensor.shape.ndim);
        thaw_json_set_bool(row, "whole", f->whole[i]);
        if (f->whole[i])
            thaw_json_set_digest(row, "digest", f->digests[i]);
    }
    cli_print_json(out);
    thaw_json_free(&out);
    thaw_str_clear(&text);
}

static void print_tensors(const findings *f)
{
    thaw_table table = {0};
    thaw_table_column(&table, "tensor", THAW_LEFT);
    thaw_table_column(&table, "type", THAW_LEFT);
    thaw_table_column(&table, "shape", THAW_LEFT);
    thaw_table_column(&table, "digest", THAW_LEFT);
    for (int64_t i = 0; i < f->shapes.count; i++) {
        const thaw_entry *e = &f->shapes.entries[i];
        char shape[128];
        char hex[THAW_DIGEST_HEX];
        thaw_shape_format(&e->tensor.shape, shape, sizeof shape);
        thaw_digest_hex(f->digests[i], hex);
        thaw_table_cell(&table, e->name);
        thaw_table_cell(&table, thaw_dtype_name(e->tensor.dtype));
        thaw_table_cell(&table, shape);
        thaw_table_cell(&table, f->whole[i] ? hex : "DAMAGED");
    }
    cli_print_table(&table);
    thaw_table_clear(&table);
}

static void print(const findings *f)
{
    thaw_str text = {0};
    cli_print("%s: step %lld, %lld epochs and %lld steps, %s", f->path, (long long)f->step,
              (long long)f->epoch, (long long)f->step_in_epoch,
              f->error.code == THAW_OK ? "whole" : "DAMAGED");
    if (f->has_config)
        cli_print("%-16s%s in %s, seed %lld", "run", f->config.name, f->config.output,
                  (long long)f->config.seed);
    for (size_t i = 0; i < text_count; i++) {
        text_of(f, texts[i], &text);
        cli_print("%-16s%s", texts[i], text.length > 0 ? thaw_str_c(&text) : "unknown");
    }
    if (f->best != NULL && f->best->found)
        cli_print("%-16sthat of step %lld: %s", "best on val", (long long)f->best->step,
                  f->best->step == f->step ? "this one" : f->best->path);
    else if (f->best != NULL)
        cli_print("%-16sno checkpoint is of the best epoch so far", "best on val");
    print_tensors(f);
    thaw_str_clear(&text);
}

static thaw_status inform(const char *path, const thaw_ckpt_found *best, bool json)
{
    findings f;
    memset(&f, 0, sizeof f);
    f.best = best;
    thaw_status status = look(path, &f);
    if (status == THAW_OK && json)
        print_json(&f);
    else if (status == THAW_OK)
        print(&f);
    if (status == THAW_OK && f.error.code != THAW_OK) {
        *thaw_error_last() = f.error;
        status = (thaw_status)f.error.code;
    }
    clear(&f);
    return status;
}

/* A run directory has them in one of its own; the directory of checkpoints itself is taken too. */
static thaw_status find_newest(thaw_comm *comm, const char *path, thaw_ckpt_found *out,
                               thaw_ckpt_found *best)
{
    thaw_str inner = {0};
    thaw_path_join(&inner, path, "checkpoints");
    const char *directory = thaw_str_c(&inner);
    thaw_status status = thaw_ckpt_latest(comm, directory, out);
    if (status == THAW_OK && !out->found && out->damaged == 0) { /* uniform */
        directory = path;
        status = thaw_ckpt_latest(comm, directory, out);
    }
    if (status == THAW_OK) /* uniform */
        status = thaw_ckpt_best(comm, directory, best);
    thaw_str_clear(&inner);
    THAW_TRY(status); /* uniform */
    THAW_CHECK(
        out->found, THAW_ERR_INPUT, /* uniform */
        "%s holds no whole checkpoint (%lld damaged); give a file, or the directory of a run", path,
        (long long)out->damaged);
    return THAW_OK;
}

thaw_status cli_info_checkpoint(thaw_comm *comm, const char *path, bool json)
{
    thaw_ckpt_found found = {0};
    thaw_ckpt_found best = {0};
    int64_t directory = thaw_comm_rank(comm) == 0 && thaw_path_is_dir(path);
    thaw_bcast(comm, 0, &directory, (int64_t)sizeof directory);
    if (directory) /* uniform */
        THAW_TRY(find_newest(comm, path, &found, &best));
    thaw_status status = THAW_OK;
    if (thaw_comm_rank(comm) == 0)
        status = inform(directory ? found.path : path, directory ? &best : NULL, json);
    return thaw_agree(comm, status);
}
