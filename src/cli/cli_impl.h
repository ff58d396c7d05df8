/* cli_impl.h - commands of `thaw`: one file and one line in kinds.def each. A command declares its options in a table, from which
 * parsing and help come. Errors are returned; main prints them once, from one rank, and turns them into the exit code. */
#ifndef THAW_CLI_IMPL_H
#define THAW_CLI_IMPL_H

#include "thaw/train.h"

/* An option of one command. Common ones (--set, --quiet, --json, --help) are known to main. */
typedef struct cli_option {
    const char *name; /* without the dashes; a row with NULL ends the table */
    char letter;      /* 0: none */
    /* What it takes, for help ("FILE"); NULL: nothing, it is a flag. "[FILE.h5]": it does without, too, and the next word is its value only
     * when it ends in ".h5". */
    const char *value;
    const char *doc;
} cli_option;

typedef struct cli_given {
    const char *name, *value;
} cli_given;

#define CLI_MOST_WORDS 16
#define CLI_MOST_GIVEN 256
typedef struct cli_args {
    const char *words[CLI_MOST_WORDS]; /* what is no option, after the command's name */
    int word_count;
    cli_given given[CLI_MOST_GIVEN]; /* in order */
    int given_count;
    thaw_strings sets; /* values of --set, borrowed from argv */
    char *set_items[CLI_MOST_GIVEN];
    bool quiet, json, help;
} cli_args;

typedef struct cli_command {
    const char *usage; /* after "thaw data import": "--images FILE ... -o FILE" */
    const char *doc;   /* one line */
    const char *help;  /* paragraphs below the usage; NULL: none */
    const cli_option *options;
    int least_words, most_words;
    bool config_keys; /* help ends with the keys of a config */
    /* One of the two: on all ranks, or on rank 0 alone. */
    thaw_status (*run)(thaw_comm *comm, const cli_args *args);
    thaw_status (*run_local)(const cli_args *args);
} cli_command;

#define THAW_KIND(name, words) extern const cli_command cli_##name;
#include "cli/kinds.def"
#undef THAW_KIND

/* The last value given for an option, or NULL. */
const char *cli_value(const cli_args *args, const char *name);
bool cli_flag(const cli_args *args, const char *name);
/* Reads the config on rank 0, broadcasts its text, parses it with the --set overrides on all. Collective. */
THAW_NODISCARD thaw_status cli_load_config(thaw_comm *comm, const cli_args *args, thaw_config *out);
/* THAW_ERR_USAGE when one process was started where a Slurm job has several tasks: training would leave the others idle. */
THAW_NODISCARD thaw_status cli_check_launch(const thaw_comm *comm);
/* By thaw_seconds(): when --time-limit is over, else when the Slurm job is (SLURM_JOB_END_TIME); 0: never. Ranks may differ. Local. */
THAW_NODISCARD thaw_status cli_deadline(const cli_args *args, double *out);
/* The option that it reads. */
#define CLI_TIME_LIMIT                                                                             \
    {                                                                                              \
        "time-limit", 0, "SECONDS",                                                                \
            "saves the state and ends with exit code 75 before so much time has passed; "          \
            "default: what is left of a Slurm job; 0: no limit"                                    \
    }
/* The share of --interpolate, or 1. THAW_ERR_USAGE: several of them, or no numbers in [0, 1]. */
THAW_NODISCARD thaw_status cli_share(const cli_args *args, double *out);
/* `thaw eval` with several. Collective. */
bool cli_has_shares(const cli_args *args);
THAW_NODISCARD thaw_status cli_eval_curve(thaw_comm *comm, const cli_args *args, const char *split);
/* A line of the answer, to stdout. */
void cli_print(const char *format, ...) THAW_PRINTF(1, 2);
/* The whole answer as JSON, to stdout. */
void cli_print_json(const thaw_json *json);
/* A table, to stdout. */
void cli_print_table(const thaw_table *table);
/* The table of thaw_advise's "probes", to stdout. */
void cli_print_probes(const thaw_json *advice);
/* A cell: percent, a number, or that it is undefined. */
void cli_add_metric(thaw_table *table, const thaw_metric *metric, double value);

#endif
