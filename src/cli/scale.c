#include "thaw/scale.h"

#include "cli/cli_impl.h"

static const cli_option options[] = {
    {"only", 0, "RANKS", "of scale.ranks measures this count alone"},
    {"collect", 0, NULL, "measures nothing: joins the points of the directories DIR"},
    {"resume", 'r', NULL, "continues; what was measured is kept"},
    {"overwrite", 0, NULL, "replaces a study that the output directory already holds"},
    {0}};

static thaw_status print_result(const thaw_config *config, bool json)
{
    thaw_str path = {0};
    thaw_str text = {0};
    thaw_path_join(&path, config->output, json ? "scale.json" : "scale.md");
    const thaw_status status = thaw_file_read(thaw_str_c(&path), &text);
    if (status == THAW_OK)
        cli_print("%s", thaw_str_c(&text));
    thaw_str_clear(&text);
    thaw_str_clear(&path);
    return status;
}

static thaw_status read_options(const cli_args *args, thaw_scale_options *out)
{
    const char *only = cli_value(args, "only");
    *out = (thaw_scale_options){.resume = cli_flag(args, "resume"),
                                .overwrite = cli_flag(args, "overwrite"),
                                .quiet = args->quiet || args->json};
    THAW_CHECK(only == NULL || (thaw_parse_int(only, &out->only) && out->only > 0), THAW_ERR_USAGE,
               "--only takes a rank count, not '%s'", only == NULL ? "" : only);
    if (!cli_flag(args, "collect")) {
        THAW_CHECK(args->word_count == 1, THAW_ERR_USAGE,
                   "'%s': directories go with --collect only", args->words[1]);
        return THAW_OK;
    }
    THAW_CHECK(args->word_count > 1, THAW_ERR_USAGE,
               "--collect needs the output directories to join: thaw scale CONFIG --collect DIR "
               "...");
    THAW_CHECK(only == NULL && !out->resume, THAW_ERR_USAGE,
               "--collect measures nothing, so --only and --resume do not go with it");
    return THAW_OK;
}

/* Files of one rank. */
static thaw_status collect(thaw_comm *comm, const cli_args *args, const thaw_config *config,
                           const thaw_scale_options *how)
{
    thaw_status status = THAW_OK;
    if (thaw_comm_rank(comm) == 0)
        status = thaw_scale_collect(config, args->words + 1, args->word_count - 1, how);
    return thaw_agree(comm, status);
}

static thaw_status run(thaw_comm *comm, const cli_args *args)
{
    thaw_config config;
    thaw_scale_options how;
    THAW_TRY(thaw_agree(comm, read_options(args, &how)));
    const bool join = cli_flag(args, "collect");
    if (!join) /* uniform */
        THAW_TRY(thaw_agree(comm, cli_check_launch(comm)));
    THAW_TRY(cli_load_config(comm, args, &config));
    thaw_stop_on_signals();
    thaw_status status =
        join ? collect(comm, args, &config, &how) : thaw_scale_run(comm, &config, &how);
    if (status == THAW_OK && thaw_comm_rank(comm) == 0)
        status = print_result(&config, args->json);
    status = thaw_agree(comm, status);
    thaw_config_clear(&config);
    return status;
}

const cli_command cli_scale = {
    .usage = "CONFIG [--only RANKS | --collect DIR ...] [--set KEY=VALUE ...]",
    .doc = "times training steps of every rung on several rank counts and fits a model",
    .help = "Rank counts of scale.ranks up to that of the job run one after another on its first "
            "ranks; the others sleep. More ranks than cores are marked: such times say nothing "
            "about scaling. Jobs of their own for each size: --only, then --collect; see "
            "slurm/scaling.sbatch.",
    .options = options,
    .least_words = 1,
    .most_words = CLI_MOST_WORDS,
    .config_keys = true,
    .run = run,
};
