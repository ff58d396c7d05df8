#include "scale/scale_impl.h"

/* Joins what separate jobs measured. */

static thaw_status add_rows(const thaw_config *config, const char *directory, const char *path)
{
    thaw_json *rows = NULL;
    thaw_str settings = {0};
    thaw_status status;
    thaw_path_join(&settings, directory, "config.yaml");
    THAW_TRY_TO(thaw_config_compare_file(thaw_str_c(&settings), config));
    THAW_TRY_TO(scale_rows_read(directory, &rows));
    THAW_CHECK_TO(thaw_json_count(rows) > 0, THAW_ERR_INPUT,
                  "nothing was measured there (no points.jsonl, or an empty one)");
    for (const thaw_json *row = thaw_json_first(rows); row != NULL; row = thaw_json_next(row))
        THAW_TRY_TO(thaw_rows_append(path, row));
done:
    thaw_json_free(&rows);
    thaw_str_clear(&settings);
    return status == THAW_OK ? status : thaw_fail_context(status, "%s", directory);
}

thaw_status thaw_scale_collect(const thaw_config *config, const char *const *directories,
                               int64_t count, const thaw_scale_options *options)
{
    scale_plan plan = {0};
    thaw_str path = {0};
    thaw_scale_options fresh = *options;
    fresh.resume = false; /* joined twice, a row would count twice */
    thaw_path_join(&path, config->output, "points.jsonl");
    thaw_status status;
    THAW_TRY_TO(scale_plan_make(config, &plan));
    THAW_TRY_TO(scale_directory_prepare(config, &fresh));
    for (int64_t i = 0; i < count; i++)
        THAW_TRY_TO(add_rows(config, directories[i], thaw_str_c(&path)));
    status = scale_write(&plan);
done:
    thaw_str_clear(&path);
    scale_plan_clear(&plan);
    return status;
}
