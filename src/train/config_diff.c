#include "train/train_impl.h"

#include <string.h>

/* Does a run that goes on have the settings that it began with? Both sides are compared as structs, so that a file written in another
 * layout, or before a key existed, means what it meant. */

/* Settings that may differ without changing the result. Files are compared by digest. */
static const char *const free_to_change[] = {"name",
                                             "output",
                                             "log_seconds",
                                             "data.file",
                                             "data.memory_limit_gib",
                                             "data.prefetch",
                                             "data.slices*",
                                             "data.class_slices",
                                             "data.test",
                                             "model.backbone",
                                             "train.cache*",
                                             "train.log_every",
                                             "train.check_every",
                                             "train.checkpoint_every",
                                             "train.checkpoint_keep",
                                             "train.watchdog",
                                             "train.checkpoint_async",
                                             "train.save_backbone",
                                             "train.shard_optimizer",
                                             "rates.reason",
                                             "watch.scratch",
                                             "ladder*",
                                             "scale*",
                                             NULL};

static bool may_change(const char *path)
{
    for (const char *const *p = free_to_change; *p != NULL; p++) {
        if (thaw_match(*p, path))
            return true;
    }
    return false;
}

/* The value alone, of a row that is written as "key: value"; a list of tables goes into one line. */
static void write_value(const thaw_field *one, const void *config, thaw_str *out)
{
    thaw_str line = {0};
    thaw_conf_write(one, config, &line);
    const char *value = strchr(thaw_str_c(&line), ':');
    value = value == NULL ? "nothing" : value + 1 + strspn(value + 1, " \n");
    while (*value != '\0') {
        const size_t words = strcspn(value, "\n");
        thaw_str_add_bytes(out, value, words);
        value += words + strspn(value + words, " \n");
        thaw_str_add(out, *value != '\0' ? " " : "");
    }
    thaw_str_clear(&line);
}

static thaw_status refuse(const thaw_field *one, const char *path, const void *before,
                          const void *now)
{
    thaw_str a = {0};
    thaw_str b = {0};
    write_value(one, before, &a);
    write_value(one, now, &b);
    const thaw_status status = THAW_FAIL(
        THAW_ERR_CONFIG,
        "%s was %s when this run began and is %s now; resume with the old value, or start "
        "in another output directory",
        path, thaw_str_c(&a), thaw_str_c(&b));
    thaw_str_clear(&b);
    thaw_str_clear(&a);
    return status;
}

/* Names the first setting that differs and matters. */
static thaw_status compare(const thaw_field *table, const char *prefix, const void *before,
                           const void *now)
{
    for (const thaw_field *f = table; f->name != NULL; f++) {
        const thaw_field one[] = {*f, {.name = NULL}};
        char path[256];
        thaw_format(path, sizeof path, "%s%s%s", prefix, prefix[0] != '\0' ? "." : "", f->name);
        if (f->type == THAW_FIELD_TABLE)
            THAW_TRY(compare(f->table, path, (const char *)before + f->offset,
                             (const char *)now + f->offset));
        else if (!thaw_fields_equal(one, before, now) && !may_change(path))
            return refuse(one, path, before, now);
    }
    return THAW_OK;
}

static void list_differences(const thaw_field *table, const char *prefix, const void *a,
                             const void *b, thaw_json *list)
{
    for (const thaw_field *f = table; f->name != NULL; f++) {
        const thaw_field one[] = {*f, {.name = NULL}};
        char path[256];
        thaw_format(path, sizeof path, "%s%s%s", prefix, prefix[0] != '\0' ? "." : "", f->name);
        if (f->type == THAW_FIELD_TABLE) {
            list_differences(f->table, path, (const char *)a + f->offset,
                             (const char *)b + f->offset, list);
            continue;
        }
        if (thaw_fields_equal(one, a, b) || may_change(path))
            continue;
        thaw_str value = {0};
        thaw_json *row = thaw_json_add_object(list);
        thaw_json_set_string(row, "setting", path);
        write_value(one, a, &value);
        thaw_json_set_string(row, "a", thaw_str_c(&value));
        thaw_str_reset(&value);
        write_value(one, b, &value);
        thaw_json_set_string(row, "b", thaw_str_c(&value));
        thaw_str_clear(&value);
    }
}

void thaw_config_differences(const thaw_config *a, const thaw_config *b, thaw_json *list)
{
    list_differences(thaw_config_fields, "", a, b, list);
}

thaw_status thaw_config_compare(const char *name, const char *before, const thaw_config *now)
{
    thaw_config was;
    thaw_status status = thaw_config_parse(name, before, strlen(before), NULL, &was);
    if (status != THAW_OK)
        return status == THAW_ERR_CONFIG ? thaw_fail_context(THAW_ERR_INPUT, "%s", name) : status;
    status = compare(thaw_config_fields, "", &was, now);
    thaw_config_clear(&was);
    return status;
}

thaw_status thaw_config_compare_file(const char *path, const thaw_config *now)
{
    thaw_str before = {0};
    thaw_status status = thaw_file_read(path, &before);
    if (status == THAW_OK)
        status = thaw_config_compare(path, thaw_str_c(&before), now);
    if (status != THAW_OK)
        status = thaw_fail_context(status, "%s", path);
    thaw_str_clear(&before);
    return status;
}
