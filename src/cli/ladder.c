#include "thaw/ladder.h"

#include "cli/cli_impl.h"

static const cli_option options[] = {
    {"resume", 'r', NULL, "continues; trials that are complete are kept"},
    {"overwrite", 0, NULL, "replaces a ladder that the output directory already holds"},
    CLI_TIME_LIMIT,
    {0}};

static thaw_status print_note(const thaw_config *config, bool json)
{
    thaw_str path = {0};
    thaw_str note = {0};
    thaw_path_join(&path, config->output, json ? "summary.json" : "note.md");
    const thaw_status status = thaw_file_read(thaw_str_c(&path), &note);
    if (status == THAW_OK)
        cli_print("%s", thaw_str_c(&note));
    thaw_str_clear(&note);
    thaw_str_clear(&path);
    return status;
}

static thaw_status run(thaw_comm *comm, const cli_args *args)
{
    thaw_config config;
    thaw_ladder_options how = {.resume = cli_flag(args, "resume"),
                               .overwrite = cli_flag(args, "overwrite"),
                               .quiet = args->quiet || args->json};
    THAW_TRY(thaw_agree(comm, cli_check_launch(comm)));
    THAW_TRY(thaw_agree(comm, cli_deadline(args, &how.deadline)));
    THAW_TRY(cli_load_config(comm, args, &config));
    thaw_stop_on_signals();
    thaw_status status = thaw_ladder_run(comm, &config, &how);
    if (status == THAW_OK && thaw_comm_rank(comm) == 0)
        status = print_note(&config, args->json);
    status = thaw_agree(comm, status);
    thaw_config_clear(&config);
    return status;
}

const cli_command cli_ladder = {
    .usage = "CONFIG [--resume] [--set KEY=VALUE ...]",
    .doc = "runs the whole ladder and writes the transfer note and report.html",
    .help = "Trials run side by side on sub-groups of ladder.ranks_per_trial ranks; the result "
            "does not depend on how many.",
    .options = options,
    .least_words = 1,
    .most_words = 1,
    .config_keys = true,
    .run = run,
};
