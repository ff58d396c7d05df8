#include "cli/cli_impl.h"

static thaw_status add_row(const thaw_model_arch *arch, thaw_table *table, thaw_json *list)
{
    int64_t params = 0;
    THAW_TRY(thaw_model_arch_params(arch, &params));
    thaw_table_cell(table, arch->name);
    thaw_table_printf(table, "%lld", (long long)params);
    thaw_table_printf(table, "%d", arch->blocks);
    if (arch->T > 0)
        thaw_table_printf(table, "%lld tokens, %lld classes", (long long)arch->T,
                          (long long)arch->K);
    else
        thaw_table_printf(table, "%lld x %lld x %lld, %lld classes", (long long)arch->C,
                          (long long)arch->H, (long long)arch->W, (long long)arch->K);
    thaw_table_cell(table, arch->doc);
    thaw_json *row = thaw_json_add_object(list);
    thaw_json_set_string(row, "name", arch->name);
    thaw_json_set_string(row, "family", arch->family);
    thaw_json_set_int(row, "parameters", params);
    thaw_json_set_int(row, "blocks", arch->blocks);
    thaw_json_set_string(row, "doc", arch->doc);
    return THAW_OK;
}

static thaw_status run(const cli_args *args)
{
    thaw_table table = {0};
    thaw_json *list = thaw_json_new_array();
    thaw_status status = THAW_OK;
    thaw_table_column(&table, "architecture", THAW_LEFT);
    thaw_table_column(&table, "parameters", THAW_RIGHT);
    thaw_table_column(&table, "blocks", THAW_RIGHT);
    thaw_table_column(&table, "counted for", THAW_LEFT);
    thaw_table_column(&table, "what it is", THAW_LEFT);
    for (int32_t i = 0; i < thaw_model_arch_count() && status == THAW_OK; i++)
        status = add_row(thaw_model_arch_at(i), &table, list);
    if (status == THAW_OK && args->json)
        cli_print_json(list);
    else if (status == THAW_OK)
        cli_print_table(&table);
    thaw_json_free(&list);
    thaw_table_clear(&table);
    return status;
}

const cli_command cli_backbone_list = {
    .usage = "",
    .doc = "lists the architectures",
    .run_local = run,
};
