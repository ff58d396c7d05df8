#include <string.h>

#include "cli/cli_impl.h"

static const cli_option options[] = {{"format", 'f', "NAME", "safetensors, peft or hdf5"},
                                     {"merge", 0, NULL, "folds the adapter into the weights"},
                                     {"interpolate", 0, "SHARE",
                                      "trained weights of the backbone on the way from its start "
                                      "(0) to where they ended (1)"},
                                     {"names", 0, "WHOSE",
                                      "files, as transformers names weights in files (the usual), "
                                      "or memory, as transformers 5 does in memory: of adapters of "
                                      "vision transformers, for PEFT on it"},
                                     {"overwrite", 0, NULL, "replaces what PATH already is"},
                                     {"output", 'o', "PATH", "file to write; for peft a directory"},
                                     {0}};

static thaw_status find_format(const char *name, thaw_export_format *out)
{
    const char *const *names = thaw_export_names();
    for (int i = 0; i < THAW_EXPORT_COUNT; i++) {
        *out = (thaw_export_format)i;
        if (strcmp(names[i], name) == 0)
            return THAW_OK;
    }
    const char *near = thaw_did_you_mean(name, names, THAW_EXPORT_COUNT);
    thaw_str all = {0};
    for (int i = 0; i < THAW_EXPORT_COUNT; i++)
        thaw_str_printf(&all, "%s%s",
                        i == 0                      ? ""
                        : i + 1 < THAW_EXPORT_COUNT ? ", "
                                                    : " or ",
                        names[i]);
    const thaw_status status = THAW_FAIL(
        THAW_ERR_USAGE, "thaw export: --format '%s' is not %s%s%s%s", name, thaw_str_c(&all),
        near != NULL ? "; did you mean " : "", near != NULL ? near : "", near != NULL ? "?" : "");
    thaw_str_clear(&all);
    return status;
}

static thaw_status find_names(const cli_args *args, bool *in_memory)
{
    const char *names = cli_value(args, "names");
    *in_memory = names != NULL && strcmp(names, "memory") == 0;
    THAW_CHECK(names == NULL || *in_memory || strcmp(names, "files") == 0, THAW_ERR_USAGE,
               "thaw export: --names '%s' is not files or memory", names);
    return THAW_OK;
}

static void print_json(const cli_args *args, double share)
{
    thaw_json *out = thaw_json_new_object();
    thaw_json_set_string(out, "run", args->words[0]);
    thaw_json_set_string(out, "format", cli_value(args, "format"));
    thaw_json_set_bool(out, "merged", cli_flag(args, "merge"));
    thaw_json_set_double(out, "interpolate", share);
    thaw_json_set_string(out, "path", cli_value(args, "output"));
    cli_print_json(out);
    thaw_json_free(&out);
}

static thaw_status run(thaw_comm *comm, const cli_args *args)
{
    const char *name = cli_value(args, "format");
    thaw_export_options how = {.path = cli_value(args, "output"),
                               .merge = cli_flag(args, "merge"),
                               .overwrite = cli_flag(args, "overwrite")};
    THAW_CHECK(name != NULL && how.path != NULL, THAW_ERR_USAGE,
               "thaw export: --format NAME and -o PATH are needed"); /* uniform */
    THAW_TRY(find_format(name, &how.format));                        /* uniform */
    THAW_TRY(find_names(args, &how.in_memory));                      /* uniform */
    THAW_TRY(cli_share(args, &how.share));                           /* uniform */
    THAW_TRY(thaw_export_run(comm, args->words[0], &how));
    if (args->json && thaw_comm_rank(comm) == 0)
        print_json(args, how.share);
    return THAW_OK;
}

const cli_command cli_export = {
    .usage =
        "RUN --format safetensors|peft|hdf5 [--merge] [--interpolate SHARE] [--overwrite] -o PATH",
    .doc = "writes a finished run as PyTorch, Hugging Face PEFT or h5py read it",
    .help = "safetensors  backbone and head under the names of their origin, for "
            "load_state_dict(strict=True)\n"
            "peft         a directory for PeftModel.from_pretrained: adapter and head\n"
            "hdf5         backbone, head and adapter, whatever was trained\n"
            "--merge is checked on samples of val, so the run's data must be there.\n"
            "--interpolate: see thaw eval, which shows on val what share is good.",
    .options = options,
    .least_words = 1,
    .most_words = 1,
    .run = run,
};
