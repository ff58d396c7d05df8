#include "train/train_impl.h"

#include <string.h>

#include "thaw/ckpt.h"

/* Evaluates a finished run: its adaptation.h5 names config, backbone and rung, and holds what was trained. */

static thaw_status check_format(const char *path, const thaw_state *attributes)
{
    thaw_str format = {0};
    thaw_status status = thaw_state_get_text(attributes, "format", &format);
    if (status == THAW_OK && strcmp(thaw_str_c(&format), "thaw-adaptation") != 0)
        status = THAW_FAIL(THAW_ERR_INPUT, "%s is a %s file, not the adaptation.h5 of a run", path,
                           thaw_str_c(&format));
    thaw_str_clear(&format);
    return status;
}

static thaw_status read_config(const char *path, const thaw_state *attributes,
                               const char *dataset_file, const char *split, thaw_config *config)
{
    thaw_str text = {0};
    char lines[3][4200];
    /* The trained tensors replace any head or adapter that training began with; other data have other slices. */
    char *items[] = {(char *)"train.head_from=",
                     (char *)"train.adapter_from=",
                     (char *)"data.slices=[]",
                     lines[0],
                     lines[1],
                     lines[2]};
    thaw_strings overrides = {items, split == NULL ? 3 : 5};
    (void)thaw_format(lines[0], sizeof *lines, "data.train=%s", split == NULL ? "" : split);
    (void)thaw_format(lines[1], sizeof *lines, "data.val=%s", split == NULL ? "" : split);
    if (dataset_file != NULL)
        (void)thaw_format(items[overrides.count++], sizeof *lines, "data.file=%s", dataset_file);
    thaw_status status;
    THAW_TRY_TO(check_format(path, attributes));
    THAW_TRY_TO(thaw_state_get_text(attributes, "config", &text));
    status = thaw_config_parse(path, text.data, text.length, &overrides, config);
    if (status == THAW_ERR_CONFIG)
        status = thaw_fail_context(THAW_ERR_INPUT, "the config kept in it");
done:
    thaw_str_clear(&text);
    return status;
}

/* Tensor by tensor to where it is used: the optimizer's state and averages in the file are nothing here. */
static thaw_status load_trained(thaw_comm *comm, const thaw_setup *setup, const char *path)
{
    thaw_state into = {0};
    thaw_status status = thaw_agree(comm, thaw_setup_held_named(setup, &into));
    if (status == THAW_OK)
        status = thaw_ckpt_restore(comm, path, &into, NULL);
    thaw_state_clear(&into);
    return status;
}

static thaw_status check_backbone(const thaw_setup *setup, const char *path,
                                  const thaw_state *attributes)
{
    char hex[THAW_DIGEST_HEX];
    thaw_str made_with = {0};
    thaw_digest_hex(setup->backbone_digest, hex);
    thaw_status status = thaw_state_get_text(attributes, "backbone_digest", &made_with);
    if (status == THAW_OK && strcmp(hex, thaw_str_c(&made_with)) != 0)
        status = THAW_FAIL(THAW_ERR_INPUT, "%s was trained on the backbone %s, but %s is now %s",
                           path, thaw_str_c(&made_with), setup->config->model.backbone, hex);
    thaw_str_clear(&made_with);
    return status;
}

/* The same names may be of another task. A file without the attribute is of a classification. */
static thaw_status check_task(const thaw_setup *setup, const char *path,
                              const thaw_state *attributes)
{
    thaw_str task = {0};
    thaw_status status = THAW_OK;
    if (thaw_state_find(attributes, "task") != NULL)
        THAW_TRY_TO(thaw_state_get_text(attributes, "task", &task));
    const char *trained = task.length > 0 ? thaw_str_c(&task) : "classification";
    THAW_CHECK_TO(strcmp(trained, thaw_task_name(setup->task)) == 0, THAW_ERR_INPUT,
                  "%s: a task of %s, but %s was trained on one of %s", setup->config->data.file,
                  thaw_task_name(setup->task), path, trained);
done:
    thaw_str_clear(&task);
    return status;
}

/* Predictions are in the units of what was trained on, whatever this data's moments. */
static thaw_status load_moments(const thaw_setup *setup, const char *path, const thaw_state *state)
{
    thaw_state into = {0};
    thaw_status status = thaw_setup_add_moments(setup, &into);
    if (status == THAW_OK)
        status = thaw_state_copy(&into, state);
    thaw_state_clear(&into);
    return status == THAW_OK ? status : thaw_fail_context(status, "%s", path);
}

/* Labels are numbers: with other names behind them, every accuracy would be wrong in silence. */
static thaw_status check_classes(const thaw_setup *setup, const char *path, const thaw_state *state)
{
    thaw_str ours = {0};
    thaw_str theirs = {0};
    const char *file = setup->config->data.file;
    thaw_status status;
    THAW_TRY_TO(thaw_state_get_text(state, "classes", &ours));
    thaw_class_names(setup->dataset, &theirs);
    const char *a = thaw_str_c(&ours);
    const char *b = thaw_str_c(&theirs);
    for (int64_t k = 0; *a != '\0' || *b != '\0'; k++) {
        const int n = (int)strcspn(a, "\n");
        const int m = (int)strcspn(b, "\n");
        THAW_CHECK_TO(
            n == m && strncmp(a, b, (size_t)n) == 0, THAW_ERR_INPUT,
            "%s: class %lld is '%.*s', but %s was trained with '%.*s'; import the data with "
            "the same classes in the same order",
            file, (long long)k, m, b, path, n, a);
        a += n + (a[n] != '\0');
        b += m + (b[m] != '\0');
    }
done:
    thaw_str_clear(&theirs);
    thaw_str_clear(&ours);
    return status;
}

/* Forward over the split with the rebuilt model, in the parts and on the kernels that it was trained with: in 8 bits another order of a sum
 * may round to another byte. */
static thaw_status predict(thaw_comm *comm, thaw_setup *setup, thaw_predictions *out)
{
    thaw_feed feed = {0};
    thaw_prefix prefix = {0};
    thaw_plan *plan = NULL;
    float *logits = NULL;
    const thaw_graph *graph = setup->model->graph;
    thaw_plan_options options = {
        .batch = setup->config->train.eval_batch, .from = -1, .to = -1, .keep = -1};
    thaw_status status;
    THAW_TRY_TO(thaw_agree(comm, thaw_feed_open(&feed, setup->dataset, setup->val)));
    THAW_TRY_TO(thaw_agree(comm, thaw_setup_ahead(setup, 2 * setup->config->train.eval_batch)));
    if (thaw_has_prefix(setup)) { /* uniform */
        thaw_prefix_init(&prefix, setup);
        THAW_TRY_TO(thaw_prefix_open(comm, &prefix));
        feed.prefix = &prefix;
        feed.width = prefix.width;
        options.from = prefix.boundary;
    }
    THAW_TRY_TO(
        thaw_agree(comm, thaw_buckets_open(setup, feed.split, options.from, &feed.buckets)));
    THAW_TRY_TO(thaw_plan_open(comm, setup, &options, &plan));
    THAW_TRY_TO(thaw_agree(comm, thaw_buckets_fit(&feed.buckets, plan)));
    const thaw_sweep_plans plans = {&plan, 1, thaw_graph_logits(graph), setup->model->spec.K};
    THAW_TRY_TO(thaw_sweep(comm, &feed, &plans, setup->config->train.eval_batch, &logits));
    status = thaw_agree(comm, thaw_predictions_from_logits(setup, setup->val, logits, out));
    if (status != THAW_OK)
        thaw_predictions_clear(out); /* another rank may have failed */
done:
    thaw_free(&logits);
    thaw_plan_free(&plan);
    thaw_prefix_close(&prefix);
    thaw_feed_close(&feed);
    return status;
}

/* Says what a directory without adaptation.h5 is, as far as it can be told. */
static thaw_status explain_missing(const char *run_directory, const char *file)
{
    thaw_str path = {0};
    thaw_json *summary = NULL;
    thaw_status status = THAW_OK;
    if (thaw_path_exists(file))
        return THAW_OK;
    if (thaw_path_exists(thaw_run_path(run_directory, "summary.json", &path)) &&
        thaw_json_read(thaw_str_c(&path), &summary) == THAW_OK &&
        strcmp(thaw_json_string_or(summary, "kind", ""), "ladder") == 0)
        status = THAW_FAIL(THAW_ERR_INPUT, "%s is a ladder, not a run; its chosen run is %s",
                           run_directory,
                           thaw_json_string_or(summary, "chosen_directory", "named in note.md"));
    else if (thaw_path_exists(thaw_run_path(run_directory, "config.yaml", &path)))
        status = THAW_FAIL(
            THAW_ERR_INPUT,
            "%s is not there: %s holds a run that is not finished; continue it with --resume", file,
            run_directory);
    thaw_json_free(&summary);
    thaw_str_clear(&path);
    return status;
}

thaw_status thaw_reopen(thaw_comm *comm, const char *run_directory, const char *dataset_file,
                        const char *split, thaw_reopened *out)
{
    static const char *const names[] = {"classes", "target_mean", "target_std", THAW_RANGES_ENTRY,
                                        NULL};
    thaw_str path = {0};
    thaw_state state = {0};
    thaw_state attributes = {0};
    memset(out, 0, sizeof *out);
    const char *file = thaw_run_path(run_directory, "adaptation.h5", &path);
    thaw_setup *setup = &out->setup;
    thaw_status status;
    status = thaw_comm_rank(comm) == 0 ? explain_missing(run_directory, file) : THAW_OK;
    THAW_TRY_TO(thaw_agree(comm, status));
    THAW_TRY_TO(thaw_ckpt_read_named(comm, file, names, &state, &attributes));
    THAW_TRY_TO(
        thaw_agree(comm, read_config(file, &attributes, dataset_file, split, &out->config)));
    THAW_TRY_TO(thaw_watchdog_start(comm, out->config.train.watchdog, &out->watchdog));
    thaw_beat_phase("opening a run");
    THAW_TRY_TO(thaw_setup_open(comm, &out->config, out->config.rung, THAW_SETUP_PREDICT, setup));
    status = check_backbone(setup, file, &attributes);
    if (status == THAW_OK)
        status = check_task(setup, file, &attributes);
    if (status == THAW_OK)
        status = check_classes(setup, file, &state);
    if (status == THAW_OK)
        status = load_moments(setup, file, &state);
    if (status == THAW_OK)
        status = thaw_ranges_load(setup, file, &state);
    THAW_TRY_TO(thaw_agree(comm, status));
    status = load_trained(comm, setup, file);
done:
    thaw_state_clear(&attributes);
    thaw_state_clear(&state);
    thaw_str_clear(&path);
    return status;
}

void thaw_reopened_close(thaw_reopened *run)
{
    thaw_watchdog_stop(&run->watchdog);
    thaw_setup_close(&run->setup);
    thaw_config_clear(&run->config);
}

thaw_status thaw_eval_run(thaw_comm *comm, const char *run_directory, const char *dataset_file,
                          const char *split, thaw_predictions *out)
{
    return thaw_eval_interpolated(comm, run_directory, dataset_file, split, 1, out);
}

thaw_status thaw_eval_interpolated(thaw_comm *comm, const char *run_directory,
                                   const char *dataset_file, const char *split, double share,
                                   thaw_predictions *out)
{
    thaw_reopened run;
    memset(out, 0, sizeof *out);
    thaw_status status;
    THAW_TRY_TO(thaw_reopen(comm, run_directory, dataset_file, split, &run));
    THAW_TRY_TO(thaw_agree(comm, thaw_setup_interpolate(&run.setup, run_directory, share)));
    THAW_TRY_TO(thaw_choices_begin(comm, &run.setup, NULL, run_directory));
    thaw_beat_phase("evaluating");
    status = predict(comm, &run.setup, out);
done:
    thaw_reopened_close(&run);
    return status;
}
