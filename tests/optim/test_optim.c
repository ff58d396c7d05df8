/* Optimizers and schedules against PyTorch (tests/golden/optim.txt), trust ratios, groups, clipping, decay, anchors, state.
 * thaw-test: timeout=20 modules=kern */
#include "thaw/kern.h"
#include "thaw/optim.h"

#include "golden_test.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define N     11
#define STEPS 20

static void ok(thaw_status status)
{
    if (status != THAW_OK)
        fail_msg("%s", thaw_error_last()->message);
}

static void fill(const char *name, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = (float)(2 * golden_uniform(name, (uint32_t)i) - 1);
}

static thaw_optim_tensor tensor(const char *name, float *data, int64_t n, thaw_optim_part part,
                                int32_t blocks_above, bool is_weight)
{
    return (thaw_optim_tensor){.name = name,
                               .data = data,
                               .shape = thaw_shape1(n),
                               .part = part,
                               .blocks_above = blocks_above,
                               .is_weight = is_weight};
}

/* ---- Golden values ---- */

static int kind_of(const char *name, const char *const *names)
{
    for (int i = 0; names[i]; i++) {
        if (strcmp(names[i], name) == 0)
            return i;
    }
    return -1;
}

static void run_steps(const thaw_optim_config *config, double rate, float *w, int from, int to,
                      thaw_state *saved)
{
    float gradient[N];
    const float *gradients[] = {gradient};
    thaw_optimizer *o = NULL;
    thaw_rates rates = {.head = rate, .adapter = -1, .layer_decay = 1};
    thaw_optim_tensor t = tensor("w", w, N, THAW_PART_HEAD, 0, true);
    thaw_state views = {0};
    ok(thaw_optimizer_new(config, &rates, &t, 1, &o));
    ok(thaw_optimizer_state(o, &views));
    if (from > 0)
        ok(thaw_state_copy(&views, saved));
    for (int step = from; step < to; step++) {
        char name[16];
        assert_true(thaw_format(name, sizeof name, "g%d", step));
        fill(name, N, gradient);
        /* The caller's scale is undone by the data: four samples' summed gradient. */
        thaw_kern_scale(N, 4, gradient);
        ok(thaw_optimizer_step(o, gradients, 0.25, 1, NULL));
    }
    for (int64_t i = 0; i < views.count && from == 0 && to < STEPS; i++)
        ok(thaw_state_add_new(saved, views.entries[i].name, views.entries[i].tensor.dtype,
                              views.entries[i].tensor.shape, NULL));
    if (from == 0 && to < STEPS)
        ok(thaw_state_copy(saved, &views));
    thaw_state_clear(&views);
    thaw_optimizer_free(&o);
}

/* The order of a record's settings is that of the golden file's first lines. */
static void read_settings(const char *kind, const double a[6], thaw_optim_config *config)
{
    const bool adam = strcmp(kind, "adamw") == 0 || strcmp(kind, "lamb") == 0;
    const bool lars = strcmp(kind, "lars") == 0;
    thaw_optim_defaults(config);
    config->kind = kind_of(kind, thaw_optimizer_names());
    config->decay_all = true;
    config->weight_decay = a[4];
    config->clip_norm = a[5];
    config->momentum = adam ? 0 : a[1];
    config->dampening = adam || lars ? 0 : a[2];
    config->trust_coefficient = lars ? a[2] : 0.001;
    config->nesterov = !adam && a[3] != 0;
    config->beta1 = adam ? a[1] : 0.9;
    config->beta2 = adam ? a[2] : 0.999;
    config->epsilon = adam ? a[3] : 1e-8;
}

static void compare_optimizer(const char *kind, const double a[6], const double expected[N])
{
    thaw_optim_config config;
    float w[N];
    float resumed[N];
    thaw_state saved = {0};
    read_settings(kind, a, &config);
    fill("w", N, w);
    memcpy(resumed, w, sizeof w);
    run_steps(&config, a[0], w, 0, STEPS, NULL);
    for (int i = 0; i < N; i++) {
        /* Twenty float32 steps on values around 1. */
        if (fabs(w[i] - expected[i]) > 3e-6)
            fail_msg("%s lr %g: element %d is %.9g, not %.9g", kind, a[0], i, w[i], expected[i]);
    }
    run_steps(&config, a[0], resumed, 0, 7, &saved);
    run_steps(&config, a[0], resumed, 7, STEPS, &saved);
    assert_memory_equal(w, resumed, sizeof w);
    thaw_state_clear(&saved);
}

static void compare_average(double decay, const double expected[N])
{
    float w[N];
    float average[N];
    fill("w", N, average); /* not read */
    for (int step = 0; step < STEPS; step++) {
        char name[16];
        assert_true(thaw_format(name, sizeof name, "g%d", step));
        fill(name, N, w);
        thaw_optim_average(N, decay, step, w, average);
    }
    for (int i = 0; i < N; i++)
        assert_float_equal(average[i], expected[i], 1e-6);
}

static void compare_schedule(const char *kind, int total, const double *expected)
{
    thaw_schedule schedule;
    thaw_schedule_defaults(&schedule);
    schedule.kind = kind_of(kind, thaw_schedule_names());
    schedule.final_factor = 0.1;
    for (int i = 0; i < total; i++) {
        double factor = thaw_schedule_factor(&schedule, i, total);
        if (fabs(factor - expected[i]) > 1e-8)
            fail_msg("%s: factor of step %d is %.9g, PyTorch has %.9g", kind, i, factor,
                     expected[i]);
    }
}

static void test_golden(void **state)
{
    (void)state;
    char kind[16];
    char line[256];
    int records = 0;
    FILE *f = fopen(THAW_TESTS_DIR "/golden/optim.txt", "r");
    assert_non_null(f);
    while (fscanf(f, "%15s", kind) == 1) {
        double a[6];
        double values[64];
        int total = 0;
        if (kind[0] == '#') {
            assert_non_null(fgets(line, sizeof line, f));
            continue;
        }
        records++;
        if (kind_of(kind, thaw_optimizer_names()) >= 0) {
            for (int i = 0; i < 6; i++)
                assert_int_equal(fscanf(f, "%lf", &a[i]), 1);
            for (int i = 0; i < N; i++)
                assert_int_equal(fscanf(f, "%lf", &values[i]), 1);
            compare_optimizer(kind, a, values);
            continue;
        }
        if (strcmp(kind, "ema") == 0) {
            for (int i = 0; i < N + 1; i++)
                assert_int_equal(fscanf(f, "%lf", &values[i]), 1);
            compare_average(values[0], values + 1);
            continue;
        }
        assert_true(fscanf(f, "%d", &total) == 1 && total <= 64);
        for (int i = 0; i < total; i++)
            assert_int_equal(fscanf(f, "%lf", &values[i]), 1);
        compare_schedule(kind, total, values);
    }
    (void)fclose(f);
    assert_int_equal(records, 16);
}

/* ---- Groups ---- */

static void test_rates_of_groups(void **state)
{
    (void)state;
    float w[4] = {0};
    thaw_optim_config config;
    thaw_optim_defaults(&config);
    thaw_rates rates = {.head = 0.5, .backbone = 0.1, .adapter = -1, .layer_decay = 0.5};
    thaw_optim_tensor tensors[] = {
        tensor("head", &w[0], 1, THAW_PART_HEAD, 0, true),
        tensor("top", &w[1], 1, THAW_PART_BACKBONE, 0, true),
        tensor("stem", &w[2], 1, THAW_PART_BACKBONE, 3, true),
        tensor("lora", &w[3], 1, THAW_PART_ADAPTER, 3, true),
    };
    const double expected[] = {0.5, 0.1, 0.0125, 0.5};
    thaw_optimizer *o = NULL;
    ok(thaw_optimizer_new(&config, &rates, tensors, 4, &o));
    for (int i = 0; i < 4; i++)
        assert_float_equal(thaw_optimizer_rate(o, i), expected[i], 1e-12);
    thaw_optimizer_free(&o);
    rates.adapter = 0.7;
    ok(thaw_optimizer_new(&config, &rates, tensors, 4, &o));
    assert_float_equal(thaw_optimizer_rate(o, 3), 0.7, 0);
    thaw_optimizer_free(&o);
    tensors[3].rate_factor = 16;
    ok(thaw_optimizer_new(&config, &rates, tensors, 4, &o));
    assert_float_equal(thaw_optimizer_rate(o, 3), 16 * 0.7, 1e-12);
    thaw_optimizer_free(&o);
}

static void test_rates_scale_with_the_batch(void **state)
{
    (void)state;
    thaw_rates rates = {.head = 0.5, .backbone = 0.1, .adapter = -1, .layer_decay = 0.5};
    rates.reference_batch = 256;
    assert_true(thaw_rates_factor(&rates, 4096) == 1);
    rates.scale_with_batch = THAW_SCALE_SQRT;
    assert_true(thaw_rates_factor(&rates, 4096) == 4);
    rates.scale_with_batch = THAW_SCALE_LINEAR;
    assert_true(thaw_rates_factor(&rates, 4096) == 16);
    const thaw_rates used = thaw_rates_at(&rates, 64);
    assert_true(used.head == 0.125 && used.backbone == 0.025 && used.layer_decay == 0.5);
    assert_true(used.adapter < 0 && thaw_rates_factor(&used, 64) == 1);
}

static void test_moments_are_counted(void **state)
{
    (void)state;
    const char *const kinds[] = {"sgd", "adamw", "lars", "lamb"};
    const int moments[] = {1, 2, 1, 2};
    thaw_optim_config config;
    thaw_optim_defaults(&config);
    for (int i = 0; i < 4; i++) {
        config.kind = kind_of(kinds[i], thaw_optimizer_names());
        assert_int_equal(thaw_optim_config_moments(&config), moments[i]);
    }
    config.kind = kind_of("sgd", thaw_optimizer_names());
    config.momentum = 0;
    assert_int_equal(thaw_optim_config_moments(&config), 0);
}

static void test_biases_do_not_decay(void **state)
{
    (void)state;
    for (int all = 0; all < 2; all++) {
        float w[2] = {1, 1};
        float zero = 0;
        const float *gradients[] = {&zero, &zero};
        thaw_optim_config config;
        thaw_optim_defaults(&config);
        config.weight_decay = 0.5;
        config.decay_all = all;
        thaw_rates rates = {.head = 0.1, .adapter = -1, .layer_decay = 1};
        thaw_optim_tensor tensors[] = {tensor("fc.weight", &w[0], 1, THAW_PART_HEAD, 0, true),
                                       tensor("fc.bias", &w[1], 1, THAW_PART_HEAD, 0, false)};
        thaw_optimizer *o = NULL;
        ok(thaw_optimizer_new(&config, &rates, tensors, 2, &o));
        ok(thaw_optimizer_step(o, gradients, 1, 1, NULL));
        assert_float_equal(w[0], 0.95, 1e-6);
        assert_float_equal(w[1], all ? 0.95 : 1, 1e-6);
        thaw_optimizer_free(&o);
    }
}

/* With zero gradients L2-SP alone pulls: w - w0 shrinks by (1 - lr a) a step; only the backbone has an anchor. */
static void test_anchor_pulls_backbone_only(void **state)
{
    (void)state;
    float w[2] = {1, 1};
    float zero = 0;
    const float *gradients[] = {&zero, &zero};
    thaw_optim_config config;
    thaw_optim_defaults(&config);
    config.momentum = 0;
    config.l2sp = 2;
    thaw_rates rates = {.head = 0.1, .backbone = 0.1, .adapter = -1, .layer_decay = 1};
    thaw_optim_tensor tensors[] = {tensor("conv1", &w[0], 1, THAW_PART_BACKBONE, 0, true),
                                   tensor("fc", &w[1], 1, THAW_PART_HEAD, 0, true)};
    thaw_optimizer *o = NULL;
    thaw_state views = {0};
    ok(thaw_optimizer_new(&config, &rates, tensors, 2, &o));
    ok(thaw_optimizer_state(o, &views));
    assert_non_null(thaw_state_find(&views, "optim.anchor.conv1"));
    assert_null(thaw_state_find(&views, "optim.anchor.fc"));
    assert_int_equal(thaw_optimizer_state_bytes(o), sizeof(float));
    w[0] = w[1] = 2;
    ok(thaw_optimizer_step(o, gradients, 1, 1, NULL));
    assert_float_equal(w[0], 1.8, 1e-6);
    assert_float_equal(w[1], 2, 0);
    thaw_state_clear(&views);
    thaw_optimizer_free(&o);
}

static void test_head_is_pulled_to_zero(void **state)
{
    (void)state;
    float w[2] = {1, 1};
    const float zero = 0;
    const float *gradients[] = {&zero, &zero};
    thaw_optim_config config;
    thaw_optim_defaults(&config);
    config.momentum = 0;
    config.l2sp_head = 2;
    thaw_rates rates = {.head = 0.1, .backbone = 0.1, .adapter = -1, .layer_decay = 1};
    thaw_optim_tensor tensors[] = {tensor("conv1", &w[0], 1, THAW_PART_BACKBONE, 0, true),
                                   tensor("fc", &w[1], 1, THAW_PART_HEAD, 0, false)};
    thaw_optimizer *o = NULL;
    ok(thaw_optimizer_new(&config, &rates, tensors, 2, &o));
    ok(thaw_optimizer_step(o, gradients, 1, 1, NULL));
    assert_float_equal(w[0], 1, 0);
    assert_float_equal(w[1], 0.8, 1e-6);
    thaw_optimizer_free(&o);
}

static void test_slow_is_for_the_backbone(void **state)
{
    (void)state;
    float w[2] = {1, 1};
    const float one = 1;
    const float *gradients[] = {&one, &one};
    thaw_optim_config config;
    thaw_optim_defaults(&config);
    config.momentum = 0;
    thaw_rates rates = {.head = 0.1, .backbone = 0.1, .adapter = -1, .layer_decay = 1};
    thaw_optim_tensor tensors[] = {tensor("conv1", &w[0], 1, THAW_PART_BACKBONE, 0, true),
                                   tensor("fc", &w[1], 1, THAW_PART_HEAD, 0, true)};
    thaw_optimizer *o = NULL;
    ok(thaw_optimizer_new(&config, &rates, tensors, 2, &o));
    thaw_optimizer_slow(o, 0.5);
    ok(thaw_optimizer_step(o, gradients, 1, 1, NULL));
    assert_float_equal(w[0], 0.95, 1e-6);
    assert_float_equal(w[1], 0.9, 1e-6);
    thaw_optimizer_slow(o, 1);
    ok(thaw_optimizer_step(o, gradients, 1, 1, NULL));
    assert_float_equal(w[0], 0.85, 1e-6);
    thaw_optimizer_free(&o);
}

/* ---- Trust ratios ---- */

enum { LARS_WEIGHT, LARS_BIAS, LARS_ZERO, LARS_COUNT };

/* One step of a kind on a weight, a bias and a weight of zeros, all with gradient (3, 4). */
static void trusted_step(const char *kind, bool all, float w[LARS_COUNT][2])
{
    float g[2] = {3, 4};
    const float *gradients[] = {g, g, g};
    thaw_optim_config config;
    thaw_optim_defaults(&config);
    config.kind = kind_of(kind, thaw_optimizer_names());
    config.momentum = 0;
    config.trust_coefficient = 0.1;
    config.trust_all = all;
    thaw_rates rates = {.head = 0.5, .adapter = -1, .layer_decay = 1};
    thaw_optim_tensor tensors[] = {tensor("weight", w[LARS_WEIGHT], 2, THAW_PART_HEAD, 0, true),
                                   tensor("bias", w[LARS_BIAS], 2, THAW_PART_HEAD, 0, false),
                                   tensor("zero", w[LARS_ZERO], 2, THAW_PART_HEAD, 0, true)};
    thaw_optimizer *o = NULL;
    for (int i = 0; i < LARS_COUNT; i++)
        w[i][0] = w[i][1] = i == LARS_ZERO ? 0.0f : 6.0f;
    ok(thaw_optimizer_new(&config, &rates, tensors, LARS_COUNT, &o));
    ok(thaw_optimizer_step(o, gradients, 1, 1, NULL));
    thaw_optimizer_free(&o);
}

/* The ratio is 0.1 * |(6, 6)| / |(3, 4)| for lars and |(6, 6)| / |(1, 1)| for lamb, whose first update is the gradient's sign. */
static void test_trust_is_for_weights(void **state)
{
    (void)state;
    const double lars = 0.1 * 6 * sqrt(2) / 5;
    for (int all = 0; all < 2; all++) {
        float w[LARS_COUNT][2];
        trusted_step("lars", all, w);
        assert_float_equal(w[LARS_WEIGHT][0], 6 - 0.5 * lars * 3, 1e-5);
        assert_float_equal(w[LARS_BIAS][0], 6 - 0.5 * (all ? lars : 1) * 3, 1e-5);
        assert_float_equal(w[LARS_ZERO][0], -0.5 * 3, 1e-5);
        trusted_step("lamb", all, w);
        assert_float_equal(w[LARS_WEIGHT][1], 6 - 0.5 * 6, 1e-5);
        assert_float_equal(w[LARS_BIAS][1], 6 - 0.5 * (all ? 6 : 1), 1e-5);
        assert_float_equal(w[LARS_ZERO][1], -0.5, 1e-5);
    }
}

/* Twice the gradient is the same step: what lets the batch grow without a new rate for each layer. */
static void test_lars_has_no_scale(void **state)
{
    (void)state;
    float w[2][N];
    thaw_optim_config config;
    thaw_optim_defaults(&config);
    config.kind = kind_of("lars", thaw_optimizer_names());
    thaw_rates rates = {.head = 0.5, .adapter = -1, .layer_decay = 1};
    for (int twice = 0; twice < 2; twice++) {
        float g[N];
        const float *gradients[] = {g};
        thaw_optim_tensor t = tensor("w", w[twice], N, THAW_PART_HEAD, 0, true);
        thaw_optimizer *o = NULL;
        fill("w", N, w[twice]);
        fill("g", N, g);
        ok(thaw_optimizer_new(&config, &rates, &t, 1, &o));
        ok(thaw_optimizer_step(o, gradients, twice + 1, 1, NULL));
        thaw_optimizer_free(&o);
    }
    for (int i = 0; i < N; i++)
        assert_float_equal(w[0][i], w[1][i], 1e-7);
}

/* ---- The step ---- */

static void test_clip_reports_norm_and_factor(void **state)
{
    (void)state;
    float w[2] = {0, 0};
    float g[2] = {6, 8};
    const float *gradients[] = {&g[0], &g[1]};
    thaw_optim_config config;
    thaw_optim_defaults(&config);
    config.momentum = 0;
    config.clip_norm = 1;
    thaw_rates rates = {.head = 1, .adapter = -1, .layer_decay = 1};
    thaw_optim_tensor tensors[] = {tensor("a", &w[0], 1, THAW_PART_HEAD, 0, true),
                                   tensor("b", &w[1], 1, THAW_PART_HEAD, 0, true)};
    thaw_optimizer *o = NULL;
    thaw_step_report report = {0};
    ok(thaw_optimizer_new(&config, &rates, tensors, 2, &o));
    ok(thaw_optimizer_step(o, gradients, 0.5, 1, &report));
    assert_float_equal(report.gradient_norm, 5, 1e-12);
    assert_float_equal(report.clip_factor, 0.2, 1e-6);
    assert_float_equal(w[0], -0.6, 1e-6);
    assert_float_equal(w[1], -0.8, 1e-6);
    thaw_optimizer_free(&o);
}

static void test_bad_gradient_changes_nothing(void **state)
{
    (void)state;
    float w[2] = {1, 2};
    float g[2] = {1, NAN};
    const float *gradients[] = {&g[0], &g[1]};
    thaw_optim_config config;
    thaw_optim_defaults(&config);
    thaw_rates rates = {.head = 1, .adapter = -1, .layer_decay = 1};
    thaw_optim_tensor tensors[] = {tensor("a", &w[0], 1, THAW_PART_HEAD, 0, true),
                                   tensor("fc.bias", &w[1], 1, THAW_PART_HEAD, 0, true)};
    thaw_optimizer *o = NULL;
    ok(thaw_optimizer_new(&config, &rates, tensors, 2, &o));
    assert_int_equal(thaw_optimizer_step(o, gradients, 1, 1, NULL), THAW_ERR_NUMERIC);
    assert_non_null(strstr(thaw_error_last()->message, "fc.bias"));
    assert_true(w[0] == 1 && w[1] == 2 && thaw_optimizer_steps(o) == 0);
    thaw_optimizer_free(&o);
}

#define LONG 10007 /* several pieces and a rest */

/* Asking for ratios must not change a bit, and a step allocates nothing. */
static void test_update_ratio(void **state)
{
    (void)state;
    static float w[2][LONG], g[LONG];
    for (int kind = 0; thaw_optimizer_names()[kind]; kind++) {
        double ratio = -1;
        const float *gradients[] = {g};
        fill("w", LONG, w[0]);
        fill("w", LONG, w[1]);
        fill("g", LONG, g);
        for (int measured = 0; measured < 2; measured++) {
            thaw_optim_config config;
            thaw_optim_defaults(&config);
            config.kind = kind;
            config.l2sp = 0.1;
            config.trust_coefficient = 1;
            thaw_rates rates = {.backbone = 0.01, .adapter = -1, .layer_decay = 1};
            thaw_optim_tensor t = tensor("w", w[measured], LONG, THAW_PART_BACKBONE, 0, true);
            thaw_step_report report = {.update_ratio = measured ? &ratio : NULL};
            thaw_optimizer *o = NULL;
            ok(thaw_optimizer_new(&config, &rates, &t, 1, &o));
            int64_t allocations = thaw_alloc_count();
            for (int step = 0; step < 3; step++)
                ok(thaw_optimizer_step(o, gradients, 1, 1, &report));
            assert_int_equal(thaw_alloc_count(), allocations);
            thaw_optimizer_free(&o);
        }
        assert_memory_equal(w[0], w[1], sizeof w[0]);
        assert_true(ratio > 1e-3 && ratio < 0.1);
    }
}

static void test_nesterov_needs_momentum(void **state)
{
    (void)state;
    thaw_optim_config config;
    thaw_optim_defaults(&config);
    config.nesterov = true;
    ok(thaw_optim_config_check(&config));
    config.momentum = 0;
    assert_int_equal(thaw_optim_config_check(&config), THAW_ERR_CONFIG);
    assert_non_null(strstr(thaw_error_last()->message, "nesterov"));
}

/* ---- Presets: the table and the function say the same ---- */

static void check_presets(const thaw_field *fields, const void *filled)
{
    for (const thaw_field *f = fields; f->name; f++) {
        const char *at = (const char *)filled + f->offset;
        double number = 0;
        assert_non_null(f->doc);
        if (f->type == THAW_FIELD_DOUBLE) {
            assert_true(thaw_parse_double(f->preset, &number));
            assert_true(number == *(const double *)(const void *)at);
            assert_true(number >= f->least && number <= f->most);
        } else if (f->type == THAW_FIELD_INT) {
            assert_true(thaw_parse_double(f->preset, &number));
            assert_true(number == (double)*(const int64_t *)(const void *)at);
        } else if (f->type == THAW_FIELD_BOOL) {
            assert_int_equal(strcmp(f->preset, "true") == 0, *(const bool *)at);
        } else if (f->type == THAW_FIELD_ENUM) {
            assert_string_equal(f->preset, f->choices[*(const int *)(const void *)at]);
        }
    }
}

static void test_presets(void **state)
{
    (void)state;
    thaw_optim_config config;
    thaw_rates rates;
    thaw_schedule schedule;
    thaw_optim_defaults(&config);
    thaw_rates_defaults(&rates);
    thaw_schedule_defaults(&schedule);
    check_presets(thaw_optim_fields, &config);
    check_presets(thaw_rates_fields, &rates);
    check_presets(thaw_schedule_fields, &schedule);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_rates_of_groups),
        cmocka_unit_test(test_rates_scale_with_the_batch),
        cmocka_unit_test(test_moments_are_counted),
        cmocka_unit_test(test_biases_do_not_decay),
        cmocka_unit_test(test_anchor_pulls_backbone_only),
        cmocka_unit_test(test_head_is_pulled_to_zero),
        cmocka_unit_test(test_slow_is_for_the_backbone),
        cmocka_unit_test(test_trust_is_for_weights),
        cmocka_unit_test(test_lars_has_no_scale),
        cmocka_unit_test(test_clip_reports_norm_and_factor),
        cmocka_unit_test(test_bad_gradient_changes_nothing),
        cmocka_unit_test(test_update_ratio),
        cmocka_unit_test(test_nesterov_needs_momentum),
        cmocka_unit_test(test_presets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
