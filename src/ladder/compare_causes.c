#include "ladder/ladder_impl.h"

#include <math.h>
#include <string.h>

/* What two runs differ in besides their results: settings, code, data, backbone; and what they cost. */

static void add_row(const char *setting, const char *a, const char *b, thaw_json *list)
{
    thaw_json *row = thaw_json_add_object(list);
    thaw_json_set_string(row, "setting", setting);
    thaw_json_set_string(row, "a", a);
    thaw_json_set_string(row, "b", b);
}

static void compare_text(const ladder_run *a, const ladder_run *b, const char *key,
                         const char *setting, thaw_json *list)
{
    const char *of_a = thaw_json_string_or(a->summary, key, "not recorded");
    const char *of_b = thaw_json_string_or(b->summary, key, "not recorded");
    if (strcmp(of_a, of_b) != 0)
        add_row(setting, of_a, of_b, list);
}

static bool reuses(const ladder_run *r)
{
    return r->config.model.backbone[0] != '\0' &&
           strcmp(thaw_json_string_or(r->summary, "rung", ""), "scratch") != 0;
}

/* Sums in floats depend on how many ranks took part; all others do not. */
static void compare_ranks(const ladder_run *a, const ladder_run *b, thaw_json *list)
{
    const int64_t of_a = thaw_json_int_or(a->summary, "ranks", 0);
    const int64_t of_b = thaw_json_int_or(b->summary, "ranks", 0);
    const bool any = thaw_json_bool_or(a->summary, "any_ranks", true) &&
                     thaw_json_bool_or(b->summary, "any_ranks", true);
    char text[2][32];
    if (any || of_a == of_b)
        return;
    thaw_format(text[0], sizeof text[0], "%lld", (long long)of_a);
    thaw_format(text[1], sizeof text[1], "%lld", (long long)of_b);
    add_row("ranks", text[0], text[1], list);
}

static void add_credit(const thaw_json *list, thaw_json *out)
{
    thaw_str text = {0};
    const long long count = (long long)thaw_json_count(list);
    if (count == 0)
        thaw_str_add(&text, "No setting differs, and neither do code, data and backbone: what "
                            "differs between A and B has no recorded cause.");
    else if (count == 1)
        thaw_str_printf(&text,
                        "One setting differs, %s: what differs between A and B may be "
                        "credited to it.",
                        thaw_json_string_or(thaw_json_first(list), "setting", ""));
    else {
        thaw_str_printf(&text, "%lld settings differ (", count);
        for (const thaw_json *r = thaw_json_first(list); r != NULL; r = thaw_json_next(r))
            thaw_str_printf(&text, "%s%s", thaw_json_string_or(r, "setting", ""),
                            thaw_json_next(r) != NULL ? ", " : "");
        thaw_str_add(&text, "): the difference cannot be credited to any one of them. Change one "
                            "at a time.");
    }
    thaw_json_set_bool(out, "one_cause", count == 1);
    thaw_json_set_string(out, "credit", thaw_str_c(&text));
    thaw_str_clear(&text);
}

static void add_cost(const char *name, double a, double b, thaw_json *list)
{
    thaw_json *row = thaw_json_add_object(list);
    thaw_json_set_string(row, "name", name);
    thaw_json_set_double(row, "a", a);
    thaw_json_set_double(row, "b", b);
    thaw_json_set_double(row, "ratio", a > 0 ? b / a : NAN);
}

static double figure(const ladder_run *r, const char *key)
{
    return thaw_json_double_or(r->summary, key, NAN);
}

static double sent_bytes(const ladder_run *r)
{
    return figure(r, "allreduce_bytes_per_step") * figure(r, "steps");
}

static void add_costs(const ladder_run *a, const ladder_run *b, thaw_json *out)
{
    thaw_json *list = thaw_json_set_array(out, "cost");
    add_cost("core hours", figure(a, "core_seconds") / 3600, figure(b, "core_seconds") / 3600,
             list);
    add_cost("bytes of gradients a rank", sent_bytes(a), sent_bytes(b), list);
    add_cost("bytes of memory a rank", figure(a, "planned_bytes_per_rank"),
             figure(b, "planned_bytes_per_rank"), list);
    add_cost("trained parameters", figure(a, "parameters.trainable"),
             figure(b, "parameters.trainable"), list);
}

void ladder_add_causes(const ladder_run *a, const ladder_run *b, thaw_json *out)
{
    thaw_json *list = thaw_json_set_array(out, "differences");
    thaw_config_differences(&a->config, &b->config, list);
    compare_text(a, b, "version", "version of thaw", list);
    compare_text(a, b, "commit", "commit of thaw", list);
    compare_text(a, b, "dataset_digest", "content of the data", list);
    if (reuses(a) && reuses(b))
        compare_text(a, b, "backbone_digest", "weights of the backbone", list);
    compare_text(a, b, "cpu_kernels", "kernels that ran", list);
    compare_ranks(a, b, list);
    add_credit(list, out);
    add_costs(a, b, out);
}
