#include "cli/cli_impl.h"

/* What is in memory anyway, by and large: more is read only when that is asked for. */
#define LEAK_BYTES (INT64_C(2) << 30)

static const cli_option options[] = {
    {"verify", 0, NULL,
     "reads everything and compares with the digest recorded at import; looks for samples that "
     "are in two splits, however large the file is"},
    {0}};

/* Samples of a class or with a label; of a target its mean and standard deviation. */
static void print_column(const thaw_dataset_info *info, const thaw_split_info *split, int64_t k,
                         thaw_table *table)
{
    if (info->task != THAW_TASK_REGRESSION)
        thaw_table_printf(table, "%lld", (long long)split->class_counts[k]);
    else if (split->target_mean != NULL)
        thaw_table_printf(table, "%.4g, std %.4g", split->target_mean[k], split->target_std[k]);
    else
        thaw_table_cell(table, "");
}

#define COLUMNS_SHOWN 12

static void print_splits(const thaw_dataset *ds, const thaw_dataset_info *info)
{
    thaw_table table = {0};
    thaw_table_column(&table, "split", THAW_LEFT);
    thaw_table_column(&table, "samples", THAW_RIGHT);
    for (int64_t k = 0; k < info->classes && k < COLUMNS_SHOWN; k++)
        thaw_table_column(&table, info->class_names[k], THAW_RIGHT);
    for (int64_t s = 0; s < info->split_count; s++) {
        thaw_table_cell(&table, info->splits[s].name);
        thaw_table_printf(&table, "%lld", (long long)info->splits[s].count);
        for (int64_t k = 0; k < info->classes && k < COLUMNS_SHOWN; k++)
            print_column(info, &info->splits[s], k, &table);
    }
    cli_print_table(&table);
    thaw_table_clear(&table);
    if (info->classes > COLUMNS_SHOWN)
        cli_print("the first %d of %lld %s; --json has all", COLUMNS_SHOWN,
                  (long long)info->classes, thaw_task_columns(info->task));
    for (int64_t i = 0; i < info->slice_count; i++) {
        thaw_str line = {0};
        for (int64_t s = 0; s < info->split_count; s++)
            thaw_str_printf(&line, "  %s %lld", info->splits[s].name,
                            (long long)info->splits[s].slice_counts[i]);
        cli_print("slice %-20s%s", thaw_dataset_slice_name(ds, i), thaw_str_c(&line));
        thaw_str_clear(&line);
    }
}

static void print_json(const thaw_dataset *ds, const thaw_dataset_info *info,
                       const thaw_leaks *leaks)
{
    thaw_json *out = thaw_json_new_object();
    thaw_json_set_string(out, "file", thaw_dataset_path(ds));
    thaw_json_set_string(out, "digest", info->digest);
    thaw_json_set_string(out, "task", thaw_task_name(info->task));
    thaw_json_set_ints(out, "shape", info->shape.dim, info->shape.ndim);
    thaw_json_set_string(out, "dtype", thaw_dtype_name(info->dtype));
    thaw_json_set_strings(out, "classes", info->class_names, info->classes);
    if (info->text != NULL) {
        thaw_json_set_string(out, "tokenizer", info->text->tokenizer);
        thaw_json_set_string(out, "vocabulary", info->text->vocabulary);
        thaw_json_set_int(out, "pieces", info->text->pieces);
    } else {
        thaw_json_set_doubles(out, "mean", info->mean, info->shape.dim[0]);
        thaw_json_set_doubles(out, "std", info->std, info->shape.dim[0]);
    }
    thaw_json *splits = thaw_json_set_object(out, "splits");
    for (int64_t s = 0; s < info->split_count; s++) {
        thaw_json *split = thaw_json_set_object(splits, info->splits[s].name);
        thaw_json_set_int(split, "samples", info->splits[s].count);
        if (info->task != THAW_TASK_REGRESSION)
            thaw_json_set_ints(split, "per_class", info->splits[s].class_counts, info->classes);
        else if (info->splits[s].target_mean != NULL) {
            thaw_json_set_doubles(split, "target_mean", info->splits[s].target_mean, info->classes);
            thaw_json_set_doubles(split, "target_std", info->splits[s].target_std, info->classes);
        }
        thaw_json *slices = thaw_json_set_object(split, "slices");
        for (int64_t i = 0; i < info->slice_count; i++)
            thaw_json_set_int(slices, thaw_dataset_slice_name(ds, i),
                              info->splits[s].slice_counts[i]);
    }
    thaw_leaks_to_json(ds, leaks, thaw_json_set_object(out, "leaks"));
    cli_print_json(out);
    thaw_json_free(&out);
}

static void print_leaks(const thaw_dataset *ds, const thaw_leaks *leaks)
{
    for (int64_t i = 0; i < leaks->count; i++) {
        thaw_str text = {0};
        thaw_leak_describe(ds, &leaks->pairs[i], &text);
        cli_print("leak: %s", thaw_str_c(&text));
        thaw_str_clear(&text);
    }
    for (int64_t s = 0; s < thaw_dataset_split_count(ds); s++) {
        if (leaks->repeats[s] > 0)
            cli_print(
                "repeated: %lld samples of %s are equal to another one of it, value for value",
                (long long)leaks->repeats[s], thaw_dataset_split_name(ds, s));
    }
    if (!leaks->looked)
        cli_print("samples that are in two splits were not looked for in so large a file; "
                  "--verify does");
    else if (leaks->count == 0)
        cli_print("no sample is in two splits");
}

static void print_text(const thaw_dataset_info *info)
{
    const thaw_text_info *text = info->text;
    const bool known = text->tokenizer[0] != '\0';
    cli_print("texts: %lld tokens%s, %s%s", (long long)info->shape.dim[1],
              info->shape.dim[0] > 1 ? " with their types" : "",
              known ? "by " : "tokenizer unknown", text->tokenizer);
    if (text->vocabulary[0] != '\0')
        cli_print("vocabulary: %lld pieces, digest %s", (long long)text->pieces, text->vocabulary);
}

static void print(const thaw_dataset *ds, const thaw_dataset_info *info, const thaw_leaks *leaks)
{
    char shape[64];
    thaw_shape_format(&info->shape, shape, sizeof shape);
    cli_print("%s: samples %s %s, %s of %lld %s, digest %s%s", thaw_dataset_path(ds), shape,
              thaw_dtype_name(info->dtype), thaw_task_name(info->task), (long long)info->classes,
              thaw_task_columns(info->task), info->digest,
              info->digest_recorded ? "" : " (not recorded in the file)");
    if (info->origin[0] != '\0')
        cli_print("origin: %s", info->origin);
    if (info->licence[0] != '\0')
        cli_print("licence: %s", info->licence);
    if (info->text != NULL)
        print_text(info);
    for (int64_t c = 0; info->text == NULL && c < info->shape.dim[0] && c < 4; c++)
        cli_print("channel %lld: mean %.6g, std %.6g", (long long)c, info->mean[c], info->std[c]);
    print_splits(ds, info);
    print_leaks(ds, leaks);
}

static thaw_status run(const cli_args *args)
{
    thaw_dataset *ds = NULL;
    thaw_dataset_info info = {0};
    thaw_leaks leaks = {0};
    bool recorded = false;
    thaw_status status;
    THAW_TRY_TO(thaw_dataset_open(args->words[0], NULL, &ds));
    if (cli_flag(args, "verify"))
        THAW_TRY_TO(thaw_dataset_verify(ds, &recorded));
    THAW_TRY_TO(thaw_dataset_inspect(ds, &info));
    THAW_TRY_TO(
        thaw_dataset_find_leaks(ds, NULL, cli_flag(args, "verify") ? -1 : LEAK_BYTES, &leaks));
    if (args->json)
        print_json(ds, &info, &leaks);
    else
        print(ds, &info, &leaks);
    if (cli_flag(args, "verify") && !args->json)
        cli_print("%s", recorded ? "verified: content matches the digest recorded at import"
                                 : "not verified: the file records no digest to compare with");
done:
    thaw_leaks_clear(&leaks);
    thaw_dataset_info_clear(&info);
    thaw_dataset_free(&ds);
    return status;
}

const cli_command cli_data_info = {
    .usage = "FILE [--verify]",
    .doc = "shows splits, classes, slices and the digest of a dataset file",
    .options = options,
    .least_words = 1,
    .most_words = 1,
    .run_local = run,
};
