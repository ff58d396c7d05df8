#include "thaw/ladder.h"

#include "cli/cli_impl.h"

static const cli_option options[] = {
    {"budget", 'b', "EPOCHS", "epochs that all runs of the search may take together"},
    {"keep", 0, "N", "one of N candidates goes on into the next round: 2 to 100, default 2"},
    {"resume", 'r', NULL, "continues; runs that are complete are kept"},
    {"overwrite", 0, NULL, "replaces a search that the output directory already holds"},
    CLI_TIME_LIMIT,
    {0}};

static thaw_status read_number(const cli_args *args, const char *name, int64_t least, int64_t most,
                               int64_t *out)
{
    const char *given = cli_value(args, name);
    THAW_CHECK(given == NULL || (thaw_parse_int(given, out) && *out >= least && *out <= most),
               THAW_ERR_USAGE, "--%s %s: a whole number from %lld to %lld is wanted", name, given,
               (long long)least, (long long)most);
    return THAW_OK;
}

static thaw_status read_options(const cli_args *args, thaw_search_options *out)
{
    *out = (thaw_search_options){.keep = 2,
                                 .resume = cli_flag(args, "resume"),
                                 .overwrite = cli_flag(args, "overwrite"),
                                 .quiet = args->quiet || args->json};
    THAW_CHECK(cli_value(args, "budget") != NULL, THAW_ERR_USAGE,
               "say how many epochs the search may take in all: --budget EPOCHS");
    THAW_TRY(read_number(args, "budget", 1, 1000000000, &out->budget));
    THAW_TRY(read_number(args, "keep", 2, 100, &out->keep));
    return cli_deadline(args, &out->deadline);
}

static thaw_status print_result(const thaw_config *config, bool json)
{
    thaw_str path = {0};
    thaw_str text = {0};
    thaw_path_join(&path, config->output, json ? "search.json" : "search.md");
    const thaw_status status = thaw_file_read(thaw_str_c(&path), &text);
    if (status == THAW_OK)
        cli_print("%s", thaw_str_c(&text));
    thaw_str_clear(&text);
    thaw_str_clear(&path);
    return status;
}

static thaw_status run(thaw_comm *comm, const cli_args *args)
{
    thaw_config config;
    thaw_search_options how;
    THAW_TRY(thaw_agree(comm, read_options(args, &how)));
    THAW_TRY(thaw_agree(comm, cli_check_launch(comm)));
    THAW_TRY(cli_load_config(comm, args, &config));
    thaw_stop_on_signals();
    thaw_status status = thaw_search_run(comm, &config, &how);
    if (status == THAW_OK && thaw_comm_rank(comm) == 0)
        status = print_result(&config, args->json);
    status = thaw_agree(comm, status);
    thaw_config_clear(&config);
    return status;
}

const cli_command cli_search = {
    .usage = "CONFIG --budget EPOCHS [--keep N] [--resume] [--set KEY=VALUE ...]",
    .doc = "finds rung and learning rates within a budget of epochs, by successive halving",
    .help = "Candidates are ladder.rungs but scratch, with each rate of ladder.search_head and of "
            "search_adapter or search_backbone. Each round trains those that are left afresh, with "
            "an equal part of the budget; the best on val go on. What gate and test hold is not "
            "looked at. Prints the lines of a config to go on with.",
    .options = options,
    .least_words = 1,
    .most_words = 1,
    .config_keys = true,
    .run = run,
};
