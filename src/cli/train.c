#include <math.h>
#include <string.h>

#include "cli/cli_impl.h"

static const cli_option options[] = {
    {"resume", 'r', "[FILE.h5]",
     "continues from the newest valid checkpoint, or from this one; a complete run is left as it "
     "is"},
    {"overwrite", 0, NULL, "replaces a run that the output directory already holds"},
    CLI_TIME_LIMIT,
    {0}};

static double val_metric(const thaw_json *summary)
{
    char path[80];
    thaw_format(path, sizeof path, "val.%s", thaw_json_string_or(summary, "metric.name", ""));
    return thaw_json_double_or(summary, path, NAN);
}

/* A ladder has scratch among its rungs; here it is this rung or none. */
static thaw_status check_rung(const thaw_config *config)
{
    THAW_CHECK(!config->model.zero_init_residual || strcmp(config->rung, "scratch") == 0,
               THAW_ERR_CONFIG,
               "model.zero_init_residual: is read where weights are random, and rung %s takes them "
               "from the backbone; leave it out",
               config->rung);
    return THAW_OK;
}

static thaw_status run(thaw_comm *comm, const cli_args *args)
{
    thaw_config config;
    const char *file = cli_value(args, "resume");
    thaw_run_options how = {.resume = file != NULL,
                            .checkpoint = file == NULL || file[0] == '\0' ? NULL : file,
                            .overwrite = cli_flag(args, "overwrite"),
                            .quiet = args->quiet || args->json};
    THAW_TRY(thaw_agree(comm, cli_check_launch(comm)));
    THAW_TRY(thaw_agree(comm, cli_deadline(args, &how.deadline)));
    THAW_TRY(cli_load_config(comm, args, &config));
    thaw_stop_on_signals();
    thaw_status status = check_rung(&config);
    if (status == THAW_OK) /* uniform */
        status = thaw_train_run(comm, &config, &how);
    if (status == THAW_OK && thaw_comm_rank(comm) == 0) {
        thaw_str path = {0};
        thaw_json *summary = NULL;
        thaw_path_join(&path, config.output, "summary.json");
        status = thaw_json_read(thaw_str_c(&path), &summary);
        if (status == THAW_OK && args->json)
            cli_print_json(summary);
        else if (status == THAW_OK)
            cli_print("%s: val %s %.4f, val loss %.4f, %lld steps, %.1f samples/s, %lld "
                      "bytes all-reduced a step -> %s",
                      config.rung, thaw_json_string_or(summary, "metric.title", ""),
                      val_metric(summary), thaw_json_double_or(summary, "val.loss", 0),
                      (long long)thaw_json_int_or(summary, "steps", 0),
                      thaw_json_double_or(summary, "samples_per_second", 0),
                      (long long)thaw_json_int_or(summary, "allreduce_bytes_per_step", 0),
                      config.output);
        thaw_json_free(&summary);
        thaw_str_clear(&path);
    }
    status = thaw_agree(comm, status);
    thaw_config_clear(&config);
    return status;
}

const cli_command cli_train = {
    .usage = "CONFIG [--resume [FILE.h5]] [--set KEY=VALUE ...]",
    .doc = "trains one rung and writes its run directory",
    .help = "Under srun or mpirun every rank takes part; the result does not depend on how many "
            "there are.\n"
            "SIGTERM, SIGINT and SIGUSR1 save the state and end with exit code 75; --resume goes "
            "on from there.\n"
            "So does a time that is nearly over: when two of the longest step so far, with its "
            "evaluation and checkpoint, and 15 seconds no longer fit.",
    .options = options,
    .least_words = 1,
    .most_words = 1,
    .config_keys = true,
    .run = run,
};
