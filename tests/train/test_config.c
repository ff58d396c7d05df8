/* thaw-test: modules=h5 */
/* Every key of a config, with every kind of bad value: refused with THAW_ERR_CONFIG and a message that names the key. The field tables
 * are walked, so a key that is added is tested by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "thaw/train.h"

static const char *const least = "output: out\ndata: {file: data.h5}\n";

static thaw_status parse(const char *text, const char *override, thaw_config *out)
{
    char *items[] = {(char *) override};
    const thaw_strings overrides = {items, override != NULL};
    return thaw_config_parse("job.yaml", text, strlen(text), &overrides, out);
}

/* The message must have the piece; nothing may be left to clear. */
static void refused(const char *text, const char *override, const char *piece)
{
    thaw_config config;
    const thaw_status status = parse(text, override, &config);
    if (status != THAW_ERR_CONFIG)
        fail_msg("'%s' with '%s' gave %s: %s", text, override != NULL ? override : "nothing",
                 thaw_status_name(status), status == THAW_OK ? "" : thaw_error_last()->message);
    if (strstr(thaw_error_last()->message, piece) == NULL)
        fail_msg("no '%s' in '%s'", piece, thaw_error_last()->message);
}

static void refused_value(const char *path, const char *value)
{
    char override[300];
    thaw_format(override, sizeof override, "%s=%s", path, value);
    refused(least, override, path);
}

static void refused_number(const char *path, double value, bool list, bool integer)
{
    char text[64];
    const char *form = list ? "[%.17g]" : "%.17g";
    if (integer)
        thaw_format(text, sizeof text, list ? "[%lld]" : "%lld", (long long)value);
    else
        (void)snprintf(text, sizeof text, form, value);
    refused_value(path, text);
}

static void check_range(const thaw_field *f, const char *path)
{
    const bool list = f->type == THAW_FIELD_INTS || f->type == THAW_FIELD_DOUBLES;
    const bool integer = f->type == THAW_FIELD_INT || f->type == THAW_FIELD_INTS;
    if (f->least == f->most)
        return;
    const double step = integer ? 1 : 1e-6 + (f->least < 0 ? -f->least : f->least) * 1e-6;
    refused_number(path, f->least - step, list, integer);
    if (f->most < 1e300)
        refused_number(path, f->most + (integer ? 1 : 1e-6 * f->most + 1e-6), list, integer);
}

static void check_types(const thaw_field *f, const char *path)
{
    static const char *const bad[][5] = {
        [THAW_FIELD_BOOL] = {"maybe", "1", "[true]", "{a: 1}", NULL},
        [THAW_FIELD_INT] = {"many", "1.5", "[1]", "{a: 1}", NULL},
        [THAW_FIELD_DOUBLE] = {"fast", ".nan", "[1]", ".inf", NULL},
        [THAW_FIELD_STRING] = {"[a]", "{a: b}", NULL},
        [THAW_FIELD_ENUM] = {"nonsense", "[sgd]", "3", NULL},
        [THAW_FIELD_STRINGS] = {"{a: b}", "[[a]]", NULL},
        [THAW_FIELD_DOUBLES] = {"fast", "[fast]", "[[1]]", "{a: 1}", NULL},
        [THAW_FIELD_INTS] = {"many", "[1.5]", "[[1]]", "{a: 1}", NULL},
        [THAW_FIELD_TABLE] = {"3", "[a]", "text", NULL},
        [THAW_FIELD_TABLES] = {"3", "{a: 1}", "[3]", "[[1]]", NULL},
    };
    for (const char *const *value = bad[f->type]; *value != NULL; value++)
        refused_value(path, *value);
}

/* A key with its last letter doubled does not exist, and the right one is suggested. */
static void check_spelling(const thaw_field *f, const char *path)
{
    char override[300];
    char suggestion[120];
    thaw_format(override, sizeof override, "%s%c=1", path, path[strlen(path) - 1]);
    thaw_format(suggestion, sizeof suggestion, "did you mean '%s'?", f->name);
    refused(least, override, suggestion);
}

static int walk(const thaw_field *table, const char *prefix)
{
    int count = 0;
    for (const thaw_field *f = table; f->name != NULL; f++) {
        char path[200];
        thaw_format(path, sizeof path, "%s%s%s", prefix, prefix[0] != '\0' ? "." : "", f->name);
        check_types(f, path);
        check_spelling(f, path);
        if (f->type == THAW_FIELD_TABLE)
            count += walk(f->table, path);
        else
            check_range(f, path);
        count++;
    }
    return count;
}

static void test_every_key(void **state)
{
    (void)state;
    assert_true(walk(thaw_config_fields, "") >= 90);
}

/* What no single key can be wrong about, and where in the file it is. */
static void test_together(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", "output"},
        {"output: out\n", "data: the required key 'file' is missing"},
        {"data: {file: data.h5}\n", "the required key 'output' is missing"},
        {"output: ''\ndata: {file: data.h5}\n", "job.yaml:1:9: output"},
        {"output: out\ndata:\n  file: data.h5\ntrain:\n  batch: 20\n  shards: 24\n",
         "job.yaml:6:11: train.shards: 24 shards cannot share a batch of 20"},
        {"output: out\ndata:\n  file: data.h5\ntrain:\n  batch: 50\n  shards: 24\n",
         "job.yaml:5:10: train.batch: 50 is not divisible by train.shards 24"},
        {"output: out\ndata: {file: data.h5}\nrung: frozn\n", "job.yaml:3:7: rung"},
        {"output: out\ndata: {file: data.h5}\nrung: 'partial:0'\n", "job.yaml:3:7: rung"},
        {"output: out\ndata: {file: data.h5}\nmodel: {arch: resnet21}\n",
         "did you mean \"resnet20\""},
        {"output: out\ndata: {file: data.h5}\nbackend: cuda\n", "job.yaml:3:10: backend"},
        {"output: out\ndata: {file: data.h5}\nladder: {rungs: [frozen, ful]}\n",
         "job.yaml:3:26: ladder.rungs.1"},
        {"output: out\ndata: {file: data.h5}\nladder: {rungs: [full, full]}\n", "named twice"},
        {"output: out\ndata: {file: data.h5}\npeft: {method: ia3, dora: true}\n",
         "job.yaml:3:27: peft.dora: is a setting of lora, and peft.method ia3 does not"},
        {"output: out\ndata: {file: data.h5}\npeft: {method: norm, targets: [conv]}\n",
         "peft.targets: is a setting of lora, ia3, ssf, houlsby, pfeiffer"},
        {"output: out\ndata: {file: data.h5}\npeft: {bottleneck: 8}\n",
         "peft.bottleneck: is a setting of houlsby, pfeiffer"},
        {"output: out\ndata: {file: data.h5, augment: {rand_magnitude: 5}}\n",
         "job.yaml:2:49: data.augment.rand_magnitude: is read where data.augment.rand_ops"},
        {"output: out\ndata: {file: data.h5}\ntrain: {views: 3}\n",
         "job.yaml:3:16: train.views: is read where data.augment changes samples"},
        {"output: out\ndata: {file: data.h5}\nladder: {rungs: []}\n", "at least one rung"},
        {"output: out\ndata: {file: data.h5}\nladder: {search_head: []}\n", "at least one rate"},
        {"output: out\ndata: {file: data.h5}\nladder: {search_adapter: [0.1]}\n",
         "ladder.search_adapter: has 1 rates but search_head has 3"},
        {"output: out\ndata: {file: data.h5}\noptimizer: {momentum: 0, nesterov: true}\n",
         "job.yaml:3:"},
        {"output: out\noutput: twice\ndata: {file: data.h5}\n", "job.yaml:2:1"},
        {"output: out\n\tdata: {file: data.h5}\n", "job.yaml:2:1"},
        {"- output\n", "job.yaml:1:1"},
        {"output: [out\n", "job.yaml:"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        refused(rows[i][0], NULL, rows[i][1]);
}

static void test_least(void **state)
{
    (void)state;
    thaw_config config;
    assert_int_equal(parse(least, NULL, &config), THAW_OK);
    thaw_config_clear(&config);
    assert_int_equal(parse(least, "train.epochs=3", &config), THAW_OK);
    assert_int_equal(config.train.epochs, 3);
    thaw_config_clear(&config);
    assert_int_equal(parse(least, "train.epochs", &config), THAW_ERR_USAGE);
}

/* Phases that cannot be, each with its place; what stands before them takes two lines. */
static void test_phases_refused(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"phases: [{epochs: 2}, {rung: full}]\n",
         "job.yaml:3:10: phases.0: the required key 'rung'"},
        {"phases:\n  - rung: frozen\n    epoch: 1\n  - rung: full\n",
         "job.yaml:5:5: phases.0.epoch: unknown key; did you mean 'epochs'?"},
        {"phases: [{rung: frozn, epochs: 1}, {rung: full}]\n", "job.yaml:3:17: phases.0.rung"},
        {"phases: [{rung: scratch, epochs: 1}, {rung: full}]\n", "phases.0.rung: scratch begins"},
        {"phases: [{rung: frozen, epochs: 1}, {rung: peft}]\n", "phases.1.rung: peft is not built"},
        {"phases: [{rung: frozen}, {rung: full}]\n", "phases.0: says neither epochs nor patience"},
        {"phases: [{rung: frozen, epochs: 2, patience: 2}, {rung: full}]\n",
         "phases.0.patience: 2 is never reached in 2 epochs"},
        {"phases: [{rung: frozen, epochs: 20}, {rung: full}]\n",
         "job.yaml:3:9: phases: take at least 21 epochs, but train.epochs is 20"},
        {"phases: [{rung: frozen, epochs: 3}, {rung: full, epochs: 4}]\n",
         "phases: take 7 epochs, but train.epochs is 20"},
        {"phases: [{rung: frozen, epochs: 3, rates: {layer_decay: 0}}, {rung: full}]\n",
         "phases.0.rates.layer_decay: 0 is out of range"},
        {"phases: [{rung: frozen, epochs: 3, rates: {hed: 0.1}}, {rung: full}]\n",
         "did you mean 'head'?"},
        {"rung: frozen\nphases: [{rung: frozen, epochs: 3}, {rung: full}]\n",
         "job.yaml:3:7: rung: is frozen, but the last phase trains full"},
        {"train: {frozen_precision: int8}\nphases: [{rung: frozen, epochs: 3}, {rung: full}]\n",
         "train.frozen_precision: 8 bits are not built for a run with phases"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[400];
        thaw_format(text, sizeof text, "output: out\ndata: {file: data.h5}\n%s", rows[i][0]);
        refused(text, NULL, rows[i][1]);
    }
}

static void test_phases(void **state)
{
    (void)state;
    thaw_config config;
    thaw_config back;
    thaw_str text = {0};
    const char *given =
        "phases=[{rung: frozen, patience: 2}, {rung: 'partial:1', epochs: 3, rates: {head: 0.5}}, "
        "{rung: full}]";
    assert_int_equal(parse(least, given, &config), THAW_OK);
    assert_int_equal(config.phases.count, 3);
    assert_string_equal(config.rung, "full");
    assert_int_equal(thaw_config_phase(&config, 0)->patience, 2);
    assert_true(thaw_config_rates(&config, 1).head == 0.5);
    assert_true(thaw_config_rates(&config, 1).backbone == config.rates.backbone);
    assert_true(thaw_config_rates(&config, 2).head == config.rates.head);
    thaw_conf_write(thaw_config_fields, &config, &text);
    assert_int_equal(parse(thaw_str_c(&text), NULL, &back), THAW_OK);
    assert_true(thaw_fields_equal(thaw_config_fields, &config, &back));
    thaw_config_clear(&back);
    thaw_config_clear(&config);
    thaw_str_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key), cmocka_unit_test(test_together),
        cmocka_unit_test(test_least),     cmocka_unit_test(test_phases_refused),
        cmocka_unit_test(test_phases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
