#include "train/train_impl.h"

/* What the splits of a run share: said before it trains. */

void thaw_leaks_to_json(const thaw_dataset *ds, const thaw_leaks *leaks, thaw_json *out)
{
    thaw_json_set_bool(out, "looked", leaks->looked);
    thaw_json *repeats = thaw_json_set_object(out, "repeats");
    for (int64_t i = 0; leaks->looked && i < thaw_dataset_split_count(ds); i++)
        thaw_json_set_int(repeats, thaw_dataset_split_name(ds, i), leaks->repeats[i]);
    thaw_json *list = thaw_json_set_array(out, "pairs");
    for (int64_t i = 0; i < leaks->count; i++) {
        const thaw_leak *leak = &leaks->pairs[i];
        thaw_json *row = thaw_json_add_object(list);
        thaw_str text = {0};
        thaw_leak_describe(ds, leak, &text);
        thaw_json_set_string(row, "a", thaw_dataset_split_name(ds, leak->a));
        thaw_json_set_string(row, "b", thaw_dataset_split_name(ds, leak->b));
        thaw_json_set_int(row, "samples_a", leak->samples_a);
        thaw_json_set_int(row, "samples_b", leak->samples_b);
        thaw_json_set_int(row, "conflicts", leak->conflicts);
        thaw_json_set_int(row, "clusters", leak->clusters);
        thaw_json_set_string(row, "text", thaw_str_c(&text));
        thaw_str_clear(&text);
    }
}

static void warn(const thaw_dataset *ds, const thaw_leaks *leaks)
{
    for (int64_t i = 0; i < leaks->count; i++) {
        thaw_str text = {0};
        thaw_leak_describe(ds, &leaks->pairs[i], &text);
        THAW_LOG(THAW_WARN, "%s: %s; what is measured there may be too good", thaw_dataset_path(ds),
                 thaw_str_c(&text));
        thaw_str_clear(&text);
    }
    if (!leaks->looked)
        THAW_LOG(THAW_INFO,
                 "%s: samples that are in two splits are not looked for in more than "
                 "data.memory_limit_gib; thaw data info --verify does",
                 thaw_dataset_path(ds));
}

thaw_status thaw_config_find_leaks(const thaw_config *config, const thaw_dataset *ds,
                                   thaw_json *out)
{
    const thaw_data_config *d = &config->data;
    const char *const names[] = {d->train, d->val, d->gate, d->test, NULL};
    const double limit = d->memory_limit_gib * 1024 * 1024 * 1024;
    thaw_leaks leaks;
    THAW_TRY(thaw_dataset_find_leaks(ds, names, (int64_t)limit, &leaks));
    warn(ds, &leaks);
    if (out != NULL)
        thaw_leaks_to_json(ds, &leaks, out);
    thaw_leaks_clear(&leaks);
    return THAW_OK;
}
