#include "thaw/ladder.h"

#include "cli/cli_impl.h"

static const cli_option options[] = {
    {"budget", 'b', "EPOCHS", "epochs that all runs of the search may take together"},
    {"keep", 0, "N", "one of N candidates goes on into the next round: 2 to 100, default 2"},
    {"range", 0, NULL,
     "a range test of each group's rate instead: a few steps with a rate that grows"},
    {"steps", 0, "N", "with --range: steps of each group, 20 to 100000, default 100"},
    {"low", 0, "RATE", "with --range: the first rate, default 1e-6"},
    {"high", 0, "RATE", "with --range: the last rate, default 10"},
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

/* Words of the one do not go with the other. */
static thaw_status refuse(const cli_args *args, const char *const *names, const char *why)
{
    for (; *names != NULL; names++)
        THAW_CHECK(cli_value(args, *names) == NULL && !cli_flag(args, *names), THAW_ERR_USAGE,
                   "--%s %s", *names, why);
    return THAW_OK;
}

static thaw_status read_options(const cli_args *args, thaw_search_options *out)
{
    static const char *const others[] = {"steps", "low", "high", NULL};
    *out = (thaw_search_options){.keep = 2,
                                 .resume = cli_flag(args, "resume"),
                                 .overwrite = cli_flag(args, "overwrite"),
                                 .quiet = args->quiet || args->json};
    THAW_TRY(refuse(args, others, "goes with --range only"));
    THAW_CHECK(cli_value(args, "budget") != NULL, THAW_ERR_USAGE,
               "say how many epochs the search may take in all: --budget EPOCHS; or --range for a "
               "test of each group's rate");
    THAW_TRY(read_number(args, "budget", 1, 1000000000, &out->budget));
    THAW_TRY(read_number(args, "keep", 2, 100, &out->keep));
    return cli_deadline(args, &out->deadline);
}

static thaw_status read_rate(const cli_args *args, const char *name, double *out)
{
    const char *given = cli_value(args, name);
    THAW_CHECK(given == NULL || (thaw_parse_double(given, out) && *out > 0 && *out <= 1e6),
               THAW_ERR_USAGE, "--%s %s: a rate above 0 and up to 1e6 is wanted", name, given);
    return THAW_OK;
}

static thaw_status read_range(const cli_args *args, thaw_range_options *out)
{
    static const char *const others[] = {"budget", "keep", "resume", "time-limit", NULL};
    *out = (thaw_range_options){.steps = 100,
                                .low = 1e-6,
                                .high = 10,
                                .overwrite = cli_flag(args, "overwrite"),
                                .quiet = args->quiet || args->json};
    THAW_TRY(refuse(args, others, "does not go with --range"));
    THAW_TRY(read_number(args, "steps", 20, 100000, &out->steps));
    THAW_TRY(read_rate(args, "low", &out->low));
    THAW_TRY(read_rate(args, "high", &out->high));
    THAW_CHECK(out->low < out->high, THAW_ERR_USAGE,
               "--low %g is not below --high %g, but the rate has to grow", out->low, out->high);
    return THAW_OK;
}

static thaw_status print_file(const thaw_config *config, const char *name)
{
    thaw_str path = {0};
    thaw_str text = {0};
    thaw_path_join(&path, config->output, name);
    const thaw_status status = thaw_file_read(thaw_str_c(&path), &text);
    if (status == THAW_OK)
        cli_print("%s", thaw_str_c(&text));
    thaw_str_clear(&text);
    thaw_str_clear(&path);
    return status;
}

static thaw_status read_both(const cli_args *args, bool range, thaw_range_options *ranges,
                             thaw_search_options *search)
{
    return range ? read_range(args, ranges) : read_options(args, search);
}

static thaw_status run(thaw_comm *comm, const cli_args *args)
{
    thaw_config config;
    thaw_search_options search;
    thaw_range_options ranges;
    const bool range = cli_flag(args, "range");
    THAW_TRY(thaw_agree(comm, read_both(args, range, &ranges, &search)));
    THAW_TRY(thaw_agree(comm, cli_check_launch(comm)));
    THAW_TRY(cli_load_config(comm, args, &config));
    thaw_stop_on_signals();
    thaw_status status =
        range ? thaw_search_range(comm, &config, &ranges) : thaw_search_run(comm, &config, &search);
    if (status == THAW_OK && thaw_comm_rank(comm) == 0 && range)
        status = print_file(&config, args->json ? "range/range.json" : "range/range.md");
    else if (status == THAW_OK && thaw_comm_rank(comm) == 0)
        status = print_file(&config, args->json ? "search.json" : "search.md");
    status = thaw_agree(comm, status);
    thaw_config_clear(&config);
    return status;
}

const cli_command cli_search = {
    .usage = "CONFIG --budget EPOCHS [--keep N] [--resume] | --range [--steps N] [--set KEY=VALUE "
             "...]",
    .doc = "finds rung and learning rates within a budget of epochs, by successive halving",
    .help =
        "Candidates are ladder.rungs but scratch, with each rate of ladder.search_head and of "
        "search_adapter or search_backbone. Each round trains those that are left afresh, with "
        "an equal part of the budget; the best on val go on. What gate and test hold is not "
        "looked at. Prints the lines of a config to go on with. With --range the rates of head, "
        "adapter and backbone grow in turn over some steps, and a tenth of where the smoothed "
        "loss is least is suggested.",
    .options = options,
    .least_words = 1,
    .most_words = 1,
    .config_keys = true,
    .run = run,
};
