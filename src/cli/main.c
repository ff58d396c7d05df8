#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli_impl.h"

/* Finds the command, parses its words, starts MPI where it is needed, prints the one error, and chooses the exit code. */

typedef struct cli_row {
    const char *name; /* "data import" */
    const cli_command *command;
} cli_row;

static const cli_row rows[] = {
#define THAW_KIND(name, words) {words, &cli_##name},
#include "cli/kinds.def"
#undef THAW_KIND
};
static const size_t row_count = sizeof rows / sizeof *rows;

/* --set comes first: commands without a config do without it. */
static const cli_option common[] = {
    {"set", 0, "KEY=VALUE",
     "overrides one key of the config, as in --set train.epochs=3; may be repeated"},
    {"quiet", 'q', NULL, "prints results, warnings and errors only"},
    {"json", 0, NULL, "prints the answer as JSON"},
    {"help", 'h', NULL, "shows this help"},
    {0}};

/* ---- Help -------------------------------------------------------------------------------------------------- */

static void print_options(const cli_option *options)
{
    for (const cli_option *o = options; o->name != NULL; o++) {
        char left[64];
        thaw_format(left, sizeof left, "%s%c%s--%s%s%s", o->letter ? "-" : "",
                    o->letter ? o->letter : ' ', o->letter ? ", " : "   ", o->name,
                    o->value ? " " : "", o->value ? o->value : "");
        printf("  %-28s %s\n", left, o->doc);
    }
}

static void print_command_help(const cli_row *row)
{
    const cli_command *c = row->command;
    printf("thaw %s %s\n\n%s\n", row->name, c->usage, c->doc);
    if (c->help != NULL)
        printf("\n%s\n", c->help);
    printf("\nOptions:\n");
    if (c->options != NULL)
        print_options(c->options);
    print_options(c->config_keys ? common : common + 1);
    if (c->config_keys) {
        thaw_str keys = {0};
        thaw_conf_help(thaw_config_fields, &keys);
        printf("\nKeys of CONFIG (YAML):\n%s", thaw_str_c(&keys));
        thaw_str_clear(&keys);
    }
}

static void print_help(void)
{
    printf("thaw: adapts a pretrained backbone over MPI and says, with evidence, how deep the "
           "adaptation has to go\n\n"
           "Commands:\n");
    for (size_t i = 0; i < row_count; i++) {
        char left[96];
        thaw_format(left, sizeof left, "thaw %s", rows[i].name);
        printf("  %-22s %s\n", left, rows[i].command->doc);
    }
    printf("\n`thaw COMMAND --help` explains a command; `thaw help config` lists every key of a "
           "config (Markdown).\n"
           "`mpirun -n 4 thaw ladder CONFIG` runs a command on four ranks.\n"
           "Everywhere:\n");
    print_options(common);
    printf("      --version                prints the version\n\n"
           "Exit codes: 0 done; 1 other failure; 2 bad usage or config; 3 bad input file; 4 memory "
           "or disk;\n"
           "5 not finite; 75 stopped on request, state saved, run again with --resume.\n");
}

/* docs/config.md is this text: the field tables say it, so that it cannot lag behind them. */
static void print_config_doc(void)
{
    thaw_str keys = {0};
    thaw_conf_doc_markdown(thaw_config_fields, &keys);
    printf("# Configuration keys\n\n"
           "<!-- Written by `thaw help config` (make docs); do not edit. -->\n\n"
           "A config is one YAML file for `thaw advise`, `thaw check`, `thaw train` and `thaw "
           "ladder`.\n"
           "A key that is not in this table is an error, with its line and a suggestion.\n"
           "On the command line `--set train.epochs=3` overrides a key; the value is YAML.\n"
           "The resolved config, with every key and its value, is written as `config.yaml` beside "
           "each result.\n\n%s",
           thaw_str_c(&keys));
    thaw_str_clear(&keys);
}

/* ---- Words ------------------------------------------------------------------------------------------------- */

const char *cli_value(const cli_args *args, const char *name)
{
    const char *value = NULL;
    for (int i = 0; i < args->given_count; i++) {
        if (strcmp(args->given[i].name, name) == 0)
            value = args->given[i].value;
    }
    return value;
}

bool cli_flag(const cli_args *args, const char *name)
{
    for (int i = 0; i < args->given_count; i++) {
        if (strcmp(args->given[i].name, name) == 0)
            return true;
    }
    return false;
}

static const cli_option *find_in(const cli_option *options, const char *word, size_t length)
{
    for (const cli_option *o = options; o != NULL && o->name != NULL; o++) {
        const bool by_letter =
            word[0] == '-' && word[1] != '-' && length == 2 && o->letter == word[1];
        const bool by_name = length > 2 && word[1] == '-' && strlen(o->name) == length - 2 &&
                             strncmp(o->name, word + 2, length - 2) == 0;
        if (by_letter || by_name)
            return o;
    }
    return NULL;
}

static thaw_status unknown_option(const cli_row *row, const char *word)
{
    const char *names[64];
    size_t count = 0;
    for (const cli_option *o = row->command->options; o != NULL && o->name != NULL && count < 60;
         o++)
        names[count++] = o->name;
    for (const cli_option *o = common; o->name != NULL; o++)
        names[count++] = o->name;
    const char *near = thaw_did_you_mean(word + strspn(word, "-"), names, count);
    return THAW_FAIL(THAW_ERR_USAGE, "thaw %s: unknown option %s%s%s%s; see thaw %s --help",
                     row->name, word, near != NULL ? "; did you mean --" : "",
                     near != NULL ? near : "", near != NULL ? "?" : "", row->name);
}

static thaw_status take(cli_args *args, const cli_row *row, const cli_option *option,
                        const char *value)
{
    THAW_CHECK(args->given_count < CLI_MOST_GIVEN, THAW_ERR_USAGE, "thaw %s: more than %d options",
               row->name, CLI_MOST_GIVEN);
    THAW_CHECK(strcmp(option->name, "set") != 0 || row->command->config_keys, THAW_ERR_USAGE,
               "thaw %s reads no config, so --set has nothing to override", row->name);
    if (strcmp(option->name, "set") == 0)
        args->set_items[args->sets.count++] = (char *)value;
    args->quiet = args->quiet || strcmp(option->name, "quiet") == 0;
    args->json = args->json || strcmp(option->name, "json") == 0;
    args->help = args->help || strcmp(option->name, "help") == 0;
    args->given[args->given_count++] = (cli_given){option->name, value == NULL ? "" : value};
    return THAW_OK;
}

/* Of an option that does without a value, too. */
static bool is_value(const cli_option *option, const char *word)
{
    char ending[16];
    const char *dot = strrchr(option->value, '.');
    thaw_format(ending, sizeof ending, "%.*s", (int)strcspn(dot, "]"), dot);
    return thaw_ends_with(word, ending);
}

static thaw_status parse_option(cli_args *args, const cli_row *row, int argc, char **argv, int *at)
{
    const char *word = argv[*at];
    const char *equals = word[1] == '-' ? strchr(word, '=') : NULL;
    const size_t length = equals != NULL ? (size_t)(equals - word) : strlen(word);
    const cli_option *option = find_in(row->command->options, word, length);
    if (option == NULL)
        option = find_in(common, word, length);
    if (option == NULL)
        return unknown_option(row, word);
    if (option->value == NULL) {
        THAW_CHECK(equals == NULL, THAW_ERR_USAGE, "thaw %s: --%s takes no value", row->name,
                   option->name);
        return take(args, row, option, NULL);
    }
    if (equals != NULL)
        return take(args, row, option, equals + 1);
    if (option->value[0] == '[' && (*at + 1 == argc || !is_value(option, argv[*at + 1])))
        return take(args, row, option, NULL);
    THAW_CHECK(*at + 1 < argc, THAW_ERR_USAGE, "thaw %s: --%s needs %s", row->name, option->name,
               option->value);
    *at += 1;
    return take(args, row, option, argv[*at]);
}

static thaw_status parse(const cli_row *row, int argc, char **argv, int first, cli_args *args)
{
    const cli_command *c = row->command;
    args->sets.items = args->set_items;
    for (int i = first; i < argc; i++) {
        if (argv[i][0] == '-' && argv[i][1] != '\0') {
            THAW_TRY(parse_option(args, row, argc, argv, &i));
        } else {
            THAW_CHECK(args->word_count < c->most_words, THAW_ERR_USAGE,
                       "thaw %s: unexpected '%s'; usage: thaw %s %s", row->name, argv[i], row->name,
                       c->usage);
            args->words[args->word_count++] = argv[i];
        }
    }
    THAW_CHECK(args->help || args->word_count >= c->least_words, THAW_ERR_USAGE,
               "thaw %s: too few arguments; usage: thaw %s %s", row->name, row->name, c->usage);
    return THAW_OK;
}

/* The row whose words begin the command line; *used gets their number. */
static const cli_row *find_command(int argc, char **argv, int *used)
{
    for (size_t i = 0; i < row_count; i++) {
        char two[128];
        thaw_format(two, sizeof two, "%s %s", argv[1], argc > 2 ? argv[2] : "");
        *used = strchr(rows[i].name, ' ') != NULL ? 2 : 1;
        if (strcmp(rows[i].name, *used == 2 ? two : argv[1]) == 0)
            return &rows[i];
    }
    return NULL;
}

static thaw_status unknown_command(int argc, char **argv)
{
    const char *names[64];
    char words[128];
    for (size_t i = 0; i < row_count; i++)
        names[i] = rows[i].name;
    thaw_format(words, sizeof words, "%s%s%s", argv[1], argc > 2 && argv[2][0] != '-' ? " " : "",
                argc > 2 && argv[2][0] != '-' ? argv[2] : "");
    const char *near = thaw_did_you_mean(words, names, row_count);
    if (near == NULL)
        near = thaw_did_you_mean(argv[1], names, row_count);
    return THAW_FAIL(THAW_ERR_USAGE, "unknown command '%s'%s%s%s; see thaw --help", words,
                     near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* ---- Running ----------------------------------------------------------------------------------------------- */

/* Which of its launcher's processes this is, as far as that is known before MPI runs: what is said until then, one process says. */
static int launcher_rank(void)
{
    static const char *const variables[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK",
                                            "SLURM_PROCID"};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        const char *text = getenv(variables[i]);
        int64_t rank;
        if (text != NULL && thaw_parse_int(text, &rank) && rank >= 0 && rank < INT32_MAX)
            return (int)rank;
    }
    return 0;
}

/* A local command needs MPI only to know that it is not the only one. */
static bool under_launcher(void)
{
    const char *tasks = getenv("SLURM_STEP_NUM_TASKS");
    int64_t count = 1;
    return getenv("OMPI_COMM_WORLD_SIZE") != NULL || getenv("PMI_RANK") != NULL ||
           getenv("PMIX_RANK") != NULL ||
           (tasks != NULL && thaw_parse_int(tasks, &count) && count > 1);
}

static thaw_status run_in(thaw_comm *comm, const cli_row *row, const cli_args *args)
{
    if (row->command->run != NULL)
        return row->command->run(comm, args);
    return thaw_agree(comm, thaw_comm_rank(comm) == 0 ? row->command->run_local(args) : THAW_OK);
}

/* Ranks that were started with another program or other words would part company at some collective, hours later or never. */
static thaw_status check_alike(thaw_comm *comm, int argc, char **argv)
{
    thaw_str program = {0};
    thaw_str words = {0};
    thaw_str_printf(&program, "%s (%s)", thaw_version(), thaw_commit());
    for (int i = 1; i < argc; i++)
        thaw_str_printf(&words, "%s%s", i > 1 ? " " : "", argv[i]);
    thaw_status status = thaw_same_text(comm, "the version of thaw", thaw_str_c(&program));
    if (status == THAW_OK)
        status = thaw_same_text(comm, "the command line", thaw_str_c(&words));
    thaw_str_clear(&words);
    thaw_str_clear(&program);
    return status;
}

/* Starts MPI and runs the command, unless the command line was wrong already: then all ranks meet before any of them exits, since a
 * launcher kills the others when one ends with an error, and the one message must be out by then. */
static thaw_status run_everywhere(const cli_row *row, const cli_args *args, thaw_status parsed,
                                  int *argc, char ***argv)
{
    thaw_comm *comm = NULL;
    thaw_status status = thaw_comm_start(argc, argv, &comm);
    if (status == THAW_OK)
        status = thaw_agree(comm, parsed);
    if (status == THAW_OK)
        status = check_alike(comm, *argc, *argv);
    if (status == THAW_OK)
        status = run_in(comm, row, args);
    if (status != THAW_OK)
        THAW_LOG(THAW_ERROR, "%s", thaw_error_last()->message);
    thaw_comm_stop(&comm);
    return status;
}

static int run(const cli_row *row, int argc, char **argv, int used)
{
    cli_args args;
    memset(&args, 0, sizeof args);
    thaw_status status = parse(row, argc, argv, 1 + used, &args);
    if (status == THAW_OK && args.help) {
        if (launcher_rank() == 0)
            print_command_help(row);
        return 0;
    }
    if (args.quiet || args.json)
        thaw_log_set_level(THAW_RESULT);
    if (under_launcher() || (status == THAW_OK && row->command->run != NULL))
        return thaw_status_exit_code(run_everywhere(row, &args, status, &argc, &argv));
    if (status == THAW_OK)
        status = row->command->run_local(&args);
    if (status != THAW_OK)
        THAW_LOG(THAW_ERROR, "%s", thaw_error_last()->message);
    return thaw_status_exit_code(status);
}

/* What is asked for instead of a command: help or the version. False when it is a command. */
static bool print_about(int argc, char **argv)
{
    const bool help = argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
                      strcmp(argv[1], "help") == 0;
    const bool version = argc > 1 && strcmp(argv[1], "--version") == 0;
    if ((help || version) && launcher_rank() > 0)
        return true;
    if (help && argc == 3 && strcmp(argv[2], "config") == 0)
        print_config_doc();
    else if (help)
        print_help();
    else if (version)
        printf("thaw %s (%s)\n", thaw_version(), thaw_commit());
    return help || version;
}

int main(int argc, char **argv)
{
    int used = 0;
    thaw_log_set_rank(launcher_rank(), 1);
    /* `thaw help check` is `thaw check --help`. */
    const cli_row *asked =
        argc > 2 && strcmp(argv[1], "help") == 0 ? find_command(argc - 1, argv + 1, &used) : NULL;
    if (asked != NULL) {
        if (launcher_rank() == 0)
            print_command_help(asked);
        return 0;
    }
    if (print_about(argc, argv))
        return argc < 2 ? thaw_status_exit_code(THAW_ERR_USAGE) : 0;
    const cli_row *row = find_command(argc, argv, &used);
    if (row != NULL)
        return run(row, argc, argv, used);
    const thaw_status status = unknown_command(argc, argv);
    if (under_launcher())
        return thaw_status_exit_code(run_everywhere(NULL, NULL, status, &argc, &argv));
    THAW_LOG(THAW_ERROR, "%s", thaw_error_last()->message);
    return thaw_status_exit_code(status);
}
