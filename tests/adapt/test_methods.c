/* Every PEFT method of kinds.def on the networks it is made for: the function is unchanged at attachment, what is frozen stays
 * bit-identical in training, what trains moves, gradients are the differences', merging keeps the function.
 * thaw-test: timeout=120 */
#include "thaw/adapt.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SAMPLES 3
#define CLASSES 5
#define TOKENS  9
#define STEPS   4

static void ok(thaw_status status)
{
    if (status != THAW_OK)
        fail_msg("%s", thaw_error_last()->message);
}

typedef struct kind_case {
    const char *method, *arch;
    bool more; /* lora: dora; vpt: deep */
    bool merges;
    const char *targets; /* NULL: the method's choice */
    int64_t adapter;     /* parameters that it adds; -1: it trains the backbone's */
} kind_case;

/* Of a BERT with 2 layers of D features: PEFT's own counts, see test_peft_live.sh; of resnet20 of width 4: 20 convolutions. */
enum { D = 128, LAYERS = 2, WORDS = 30522 };
#define WIDE (LAYERS * (4 * 2 * D + 2 * 5 * D) + 2 * D) /* in + out of its linear layers */
/* Of a vision transformer: its layers and features, and the pixels of a patch. */
enum { VL = 12, VD = 192, PIXELS = 3 * 7 * 7 };
#define VIT "vit_tiny_patch16_224"
#define HF  "hf_vit_tiny_patch16_224"
static const kind_case cases[] = {
    {"lora", "bert-tiny", false, true, NULL, 3 * WIDE},
    {"lora", "bert-tiny", true, true, NULL, 3 * WIDE + LAYERS *(5 * D + 4 * D) + D},
    {"lora", "bert-tiny", false, true, "*.word_embeddings", 3 * (WORDS + D)},
    {"lora", "resnet20", true, true, NULL, 0},
    {"lora", VIT, false, true, NULL, VL * 3 * (VD + 3 * VD)},
    {"lora", VIT, true, true, NULL, VL *(3 * (VD + 3 * VD) + 3 * VD)},
    {"lora", HF, false, true, NULL, VL * 2 * 3 * 2 * VD},
    {"lora", VIT, false, true, "patch_embed.proj", 3 * (PIXELS + VD)},
    {"bitfit", VIT, false, true, NULL, -1},
    {"norm", HF, false, true, NULL, -1},
    {"ia3", VIT, false, true, NULL, VL *(3 * VD + 4 * VD)},
    {"ia3", HF, false, true, NULL, VL *(VD + VD + VD + 4 * VD)},
    {"ssf", VIT, false, true, NULL, 2 * (VD + VL * (2 * VD + 3 * VD + VD + 4 * VD + VD) + VD)},
    {"houlsby", VIT, false, false, NULL, VL * 2 * (2 * VD * 12 + 12 + VD)},
    {"houlsby", HF, false, false, NULL, VL * 2 * (2 * VD * 12 + 12 + VD)},
    {"pfeiffer", VIT, false, false, NULL, VL *(2 * VD * 12 + 12 + VD)},
    {"pfeiffer", HF, false, false, NULL, VL *(2 * VD * 12 + 12 + VD)},
    {"lora", "mlp", true, true, NULL, 0},
    {"bitfit", "bert-tiny", false, true, NULL, -1},
    {"bitfit", "resnet20", false, true, NULL, -1},
    {"norm", "bert-tiny", false, true, NULL, -1},
    {"norm", "resnet20", false, true, NULL, -1},
    {"ia3", "bert-tiny", false, true, NULL, LAYERS *(D + D + D + 4 * D)},
    {"ia3", "resnet20", false, true, NULL, 4 + 6 * (4 + 8 + 16)},
    {"ia3", "mlp", false, true, NULL, 256 + 128},
    {"ssf", "bert-tiny", false, true, NULL, 2 * (LAYERS * (5 * D + 4 * D + 2 * D) + 2 * D)},
    {"ssf", "resnet20", false, true, NULL, 2 * (4 + 6 * (4 + 8 + 16))},
    {"ssf", "mlp", false, true, NULL, 2 * (256 + 128)},
    {"houlsby", "bert-tiny", false, false, NULL, LAYERS * 2 * (2 * D * 8 + 8 + D)},
    {"houlsby", "mlp", false, false, "layers.*", 2 * 256 * 16 + 16 + 256 + 2 * 128 * 8 + 8 + 128},
    {"prompt", "bert-tiny", false, false, NULL, 20 * D},
    {"prompt", "roberta-tiny", false, false, NULL, 20 * D},
    {"prompt", "distilbert-tiny", false, false, NULL, 20 * D},
    {"prefix", "bert-tiny", false, false, NULL, 20 * LAYERS * 2 * D},
    {"prefix", "roberta-tiny", false, false, NULL, 20 * LAYERS * 2 * D},
    {"prefix", "distilbert-tiny", false, false, NULL, 20 * LAYERS * 2 * D},
    {"prefix", HF, false, false, NULL, VL * 20 * 2 * VD},
    {"vpt", VIT, false, false, NULL, 20 * VD},
    {"vpt", VIT, true, false, NULL, VL * 20 * VD},
    {"vpt", HF, false, false, NULL, 20 * VD},
    {"vpt", HF, true, false, NULL, VL * 20 * VD},
    {"pfeiffer", "bert-tiny", false, false, NULL, LAYERS *(2 * D * 8 + 8 + D)},
    {"pfeiffer", "resnet20", false, false, NULL, 3 * (9 * (4 + 8 + 16) + 3 * 4)},
};
#define CASES (sizeof cases / sizeof *cases)

static int method_of(const char *name)
{
    int method = 0;
    while (thaw_peft_names()[method] && strcmp(thaw_peft_names()[method], name) != 0)
        method++;
    return method;
}

static bool is_vit(const kind_case *c)
{
    return strcmp(c->arch, VIT) == 0 || strcmp(c->arch, HF) == 0;
}

static bool is_text(const kind_case *c)
{
    return strstr(c->arch, "bert") != NULL;
}

/* A method whose start is not the network as it was. */
static bool starts_elsewhere(const kind_case *c)
{
    return strcmp(c->method, "prompt") == 0 || strcmp(c->method, "prefix") == 0 ||
           strcmp(c->method, "vpt") == 0;
}

static thaw_model *base(const kind_case *c)
{
    bool text = is_text(c);
    thaw_model_spec spec = {.K = CLASSES};
    thaw_model *model = NULL;
    ok(thaw_strdup(&spec.arch, c->arch));
    if (text) {
        spec.T = TOKENS;
    } else {
        spec.C = 3;
        spec.H = 14;
        spec.W = 13;
        spec.width = strcmp(c->arch, "mlp") == 0 ? 0 : 4;
        if (is_vit(c)) {
            spec.W = spec.patch = 7;
            spec.width = 0;
        }
    }
    ok(thaw_model_new(&spec, &model));
    thaw_model_spec_clear(&spec);
    thaw_model_initialize(model, 4);
    return model;
}

static void attach(thaw_model *model, const kind_case *c)
{
    const thaw_rung rung = {.kind = THAW_RUNG_PEFT};
    char target[64] = "";
    char *items[] = {target};
    thaw_peft peft;
    thaw_peft_defaults(&peft);
    peft.method = method_of(c->method);
    peft.rank = 3;
    peft.dora = c->more && strcmp(c->method, "lora") == 0;
    peft.deep = c->more && strcmp(c->method, "vpt") == 0;
    if (c->targets) {
        assert_true(thaw_copy(target, sizeof target, c->targets));
        peft.targets = (thaw_strings){.items = items, .count = 1};
    }
    ok(thaw_adapt_apply(model, &rung, &peft, 7));
}

/* Tokens, some of them padding; or an image. */
static const float *probe(const thaw_model *model)
{
    static float input[SAMPLES * 3 * 14 * 13];
    int64_t T = model->spec.T;
    for (int64_t i = 0; i < (int64_t)(sizeof input / sizeof *input); i++)
        input[i] = T == 0                         ? (float)sin((double)i * 0.7)
                   : i / T % 2 == 1 && i % T >= 6 ? 0
                                                  : (float)(1 + i * 211 % 30000);
    return input;
}

static thaw_plan *plan_of(const thaw_model *model, const thaw_kern *kern, bool training)
{
    thaw_plan *plan = NULL;
    thaw_plan_options options = {
        .batch = SAMPLES, .training = training, .from = -1, .to = -1, .keep = -1};
    ok(thaw_plan_new(model->graph, kern, &options, &plan));
    return plan;
}

static void forward(const thaw_model *model, const thaw_kern *kern, bool training,
                    float out[SAMPLES * CLASSES])
{
    int64_t ids[SAMPLES] = {5, 6, 7};
    thaw_plan *plan = plan_of(model, kern, training);
    thaw_run run = {.B = SAMPLES, .input = probe(model), .sample_ids = ids, .training = training};
    thaw_plan_forward(plan, &run);
    memcpy(out, thaw_plan_value(plan, -1), SAMPLES * CLASSES * sizeof *out);
    thaw_plan_free(&plan);
}

static const float *gradient_of(const thaw_plan *plan, int32_t param)
{
    for (int32_t i = 0; i < thaw_plan_reduced_count(plan); i++) {
        const thaw_reduced *r = thaw_plan_reduced(plan, i);
        if (r->param == param && !r->statistic)
            return r->data;
    }
    fail_msg("parameter %d has no gradient", param);
    return NULL;
}

/* Plain gradient descent on what trains. */
static void step(const thaw_model *model, const thaw_plan *plan)
{
    for (int32_t i = 0; i < thaw_graph_param_count(model->graph); i++) {
        const thaw_param *p = thaw_graph_param(model->graph, i);
        if (p->need_grad)
            thaw_kern_axpy(thaw_shape_count(&p->shape), -0.01f, gradient_of(plan, i), p->data);
    }
}

static void train(const thaw_model *model, const thaw_kern *kern)
{
    int64_t ids[SAMPLES] = {0, 1, 2};
    thaw_plan *plan = plan_of(model, kern, true);
    for (int i = 0; i < STEPS; i++) {
        thaw_run run = {
            .B = SAMPLES, .input = probe(model), .sample_ids = ids, .step = i, .training = true};
        thaw_plan_forward(plan, &run);
        float *dy = thaw_plan_output_gradient(plan);
        const float *logits = thaw_plan_value(plan, -1);
        for (int k = 0; k < SAMPLES * CLASSES; k++) /* of a squared distance */
            dy[k] = (logits[k] - (float)cos(k * 1.3)) / SAMPLES;
        thaw_plan_backward(plan, &run, NULL, NULL, NULL);
        step(model, plan);
    }
    thaw_plan_free(&plan);
}

static float distance(const float *a, const float *b)
{
    float most = 0;
    for (int i = 0; i < SAMPLES * CLASSES; i++)
        most = fmaxf(most, fabsf(a[i] - b[i]));
    return most;
}

static void check_counts(const thaw_model *model, const kind_case *c)
{
    thaw_adapt_counts counts;
    thaw_adapt_count(model, &counts);
    if (c->adapter > 0)
        assert_int_equal(counts.adapter, c->adapter);
    assert_true(c->adapter < 0 ? counts.adapter == 0 : counts.backbone == 0);
    assert_true(counts.adapter + counts.backbone > 0);
}

static void check_merge(thaw_model *model, const thaw_kern *kern, const kind_case *c)
{
    thaw_merge_proof proof = {0};
    float merged[2][SAMPLES * CLASSES];
    thaw_status status = thaw_adapt_merge_proved(model, kern, probe(model), SAMPLES, &proof);
    if (!c->merges) {
        assert_int_equal(status, THAW_ERR_CONFIG);
        assert_non_null(strstr(thaw_error_last()->message, c->method));
        return;
    }
    ok(status);
    assert_true(proof.largest > 0 && proof.difference <= 2e-5);
    forward(model, kern, false, merged[0]);
    ok(thaw_adapt_merge(model)); /* again: nothing is left to fold */
    forward(model, kern, false, merged[1]);
    assert_memory_equal(merged[0], merged[1], sizeof merged[0]);
}

static void check_case(const kind_case *c, const thaw_kern *kern)
{
    float before[SAMPLES * CLASSES], after[SAMPLES * CLASSES];
    thaw_digest frozen[2];
    thaw_model *model = base(c);
    forward(model, kern, false, before);
    attach(model, c);
    check_counts(model, c);
    forward(model, kern, false, after);
    /* To the last bit where the plan computes the same sums; of images, a norm's sum is fused with fewer neighbours. */
    if (starts_elsewhere(c))
        assert_true(distance(before, after) > 0);
    else if (distance(before, after) > (strcmp(c->arch, "resnet20") == 0 ? 2e-6f : 0))
        fail_msg("%s on %s changes a logit by %g when it is attached", c->method, c->arch,
                 (double)distance(before, after));
    ok(thaw_adapt_digest_frozen(model, &frozen[0]));
    train(model, kern);
    ok(thaw_adapt_digest_frozen(model, &frozen[1]));
    if (!thaw_digest_equal(frozen[0], frozen[1]))
        fail_msg("%s on %s changes what is frozen", c->method, c->arch);
    forward(model, kern, false, after);
    assert_true(distance(before, after) > 1e-3f);
    check_merge(model, kern, c);
    thaw_model_free(&model);
}

static void test_every_method(void **state)
{
    (void)state;
    thaw_kern *kern = NULL;
    ok(thaw_kern_open("auto", &kern));
    for (int method = 0; thaw_peft_names()[method]; method++) {
        int found = 0;
        for (size_t i = 0; i < CASES; i++) {
            if (strcmp(cases[i].method, thaw_peft_names()[method]) != 0)
                continue;
            check_case(&cases[i], kern);
            found++;
        }
        if (found < 2)
            fail_msg("method %s needs a case of text and one of another network",
                     thaw_peft_names()[method]);
    }
    thaw_kern_close(&kern);
}

/* Weights that others share are left as they are. */
static void test_merge_into_memory_of_others(void **state)
{
    (void)state;
    static float shared[16 * 4096];
    static float copy[16 * 4096];
    thaw_kern *kern = NULL;
    thaw_merge_proof proof;
    thaw_model *model = base(&cases[3]);
    int32_t index = thaw_graph_find_param(model->graph, "layer1.0.conv1.weight");
    thaw_param *p = thaw_graph_param(model->graph, index);
    size_t bytes = (size_t)thaw_shape_count(&p->shape) * sizeof(float);
    ok(thaw_kern_open("ref", &kern));
    memcpy(shared, p->data, bytes);
    thaw_graph_set_data(model->graph, index, shared);
    attach(model, &cases[3]);
    memcpy(copy, shared, bytes);
    train(model, kern);
    ok(thaw_adapt_merge_proved(model, kern, probe(model), SAMPLES, &proof));
    assert_memory_equal(copy, shared, bytes);
    assert_false(p->borrowed);
    assert_memory_not_equal(copy, p->data, bytes);
    thaw_model_free(&model);
    thaw_kern_close(&kern);
}

/* A convolution network has no attention to put a bottleneck after. */
static void test_houlsby_wants_a_transformer(void **state)
{
    (void)state;
    const thaw_rung rung = {.kind = THAW_RUNG_PEFT};
    const kind_case images = {.arch = "resnet20"};
    thaw_model *model = base(&images);
    thaw_peft peft;
    thaw_peft_defaults(&peft);
    peft.method = method_of("houlsby");
    assert_int_equal(thaw_adapt_apply(model, &rung, &peft, 1), THAW_ERR_CONFIG);
    assert_non_null(strstr(thaw_error_last()->message, "pfeiffer puts"));
    thaw_model_free(&model);
}

/* Words to stand in front of, and places for all. */
static void test_prompt_that_does_not_fit(void **state)
{
    (void)state;
    const thaw_rung rung = {.kind = THAW_RUNG_PEFT};
    static const struct {
        const char *method, *arch, *why;
        int64_t tokens;
    } rows[] = {
        {"vpt", "resnet20", "a vision transformer, which resnet20 is not", 3},
        {"vpt", "bert-tiny", "a vision transformer, which bert-tiny is not", 3},
        {"prompt", VIT, "which " VIT " does not read", 3},
        {"prompt", "resnet20", "which resnet20 does not read", 3},
        {"prompt", "bert-tiny", "504 virtual tokens and 9 of a text are more than the 512 places",
         504},
        {"prompt", "roberta-tiny",
         "504 virtual tokens and 9 of a text are more than the 512 places", 504},
        {"prefix", "resnet20", "attention, which resnet20 has not", 3},
        {"prefix", VIT, "(hf_" VIT ")", 3},
        {"prefix", "bert-tiny", "504 virtual tokens and 9 of a text are more than the 512 places",
         504},
        {"prefix", "roberta-tiny",
         "504 virtual tokens and 9 of a text are more than the 512 places", 504},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const kind_case network = {.arch = rows[i].arch};
        thaw_peft peft;
        thaw_peft_defaults(&peft);
        peft.method = method_of(rows[i].method);
        peft.virtual_tokens = rows[i].tokens;
        thaw_model *model = base(&network);
        assert_int_equal(thaw_adapt_apply(model, &rung, &peft, 1), THAW_ERR_CONFIG);
        if (!strstr(thaw_error_last()->message, rows[i].why))
            fail_msg("row %zu: %s", i, thaw_error_last()->message);
        thaw_model_free(&model);
    }
    static const char *const fits[][2] = {
        {"prompt", "bert-tiny"}, {"prefix", "bert-tiny"}, {"prefix", "roberta-tiny"}};
    for (size_t i = 0; i < sizeof fits / sizeof *fits; i++) {
        const kind_case text = {.arch = fits[i][1]};
        thaw_peft peft;
        thaw_peft_defaults(&peft);
        peft.method = method_of(fits[i][0]);
        peft.virtual_tokens = 503;
        thaw_model *model = base(&text);
        ok(thaw_adapt_apply(model, &rung, &peft, 1));
        thaw_model_free(&model);
    }
}

/* What is wrong with a method's targets names them, and what there is. */
static void test_targets_that_reach_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *method, *arch;
        const char *targets[2], *feedforward, *why;
    } rows[] = {
        {"lora", "resnet20", {"norm", NULL}, NULL, "lora cannot go to \"norm\" in resnet20"},
        {"lora", "resnet20", {"linear", NULL}, NULL, "there are conv (19 modules)"},
        {"ia3", "resnet20", {"linear", NULL}, NULL, "peft.targets of ia3 reaches nothing"},
        {"ia3", "mlp", {"conv", NULL}, NULL, "there are linear (2 modules)"},
        {"ssf", "resnet20", {"conv", "linear"}, NULL, "ssf cannot go to \"conv\" in resnet20"},
        {"ssf", "resnet20", {"norm", "*.conv1"}, NULL, "ssf cannot go to \"*.conv1\""},
        {"ssf", "resnet20", {"linear", NULL}, NULL, "there are norm (19 modules)"},
        {"pfeiffer", "resnet20", {"linear", NULL}, NULL, "peft.targets of pfeiffer"},
        {"pfeiffer", "resnet20", {"*.bn1", NULL}, NULL, "cannot go to \"*.bn1\""},
        {"houlsby", "resnet20", {"linear", NULL}, NULL, "peft.targets of houlsby"},
        {"ssf", "resnet20", {"layer9.*", NULL}, NULL, "names nothing in resnet20"},
        {"ia3", "resnet20", {"layer1.*", NULL}, "layer2.0.conv1", "peft.feedforward names"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const thaw_rung rung = {.kind = THAW_RUNG_PEFT};
        const kind_case network = {.arch = rows[i].arch};
        thaw_model *model = base(&network);
        char *feedforward = (char *)rows[i].feedforward;
        thaw_peft peft;
        thaw_peft_defaults(&peft);
        peft.rank = 2;
        peft.method = method_of(rows[i].method);
        peft.targets = (thaw_strings){(char **)rows[i].targets, rows[i].targets[1] ? 2 : 1};
        peft.feedforward = (thaw_strings){&feedforward, feedforward ? 1 : 0};
        assert_int_equal(thaw_adapt_apply(model, &rung, &peft, 1), THAW_ERR_CONFIG);
        if (!strstr(thaw_error_last()->message, rows[i].why))
            fail_msg("row %zu: %s", i, thaw_error_last()->message);
        thaw_model_free(&model);
    }
}

static void test_rate_factors(void **state)
{
    (void)state;
    thaw_peft peft;
    int with = 0;
    thaw_model *model = base(&cases[1]);
    thaw_peft_defaults(&peft);
    assert_true(peft.lora_plus == 1);
    peft.lora_plus = 16;
    attach(model, &cases[1]);
    for (int32_t i = 0; i < thaw_graph_param_count(model->graph); i++) {
        const thaw_param *p = thaw_graph_param(model->graph, i);
        bool expected = thaw_ends_with(p->name, ".lora_B.weight") ||
                        thaw_ends_with(p->name, ".lora_magnitude_vector");
        assert_true(thaw_adapt_rate_factor(&peft, p) == (expected ? 16 : 1));
        with += expected;
    }
    assert_int_equal(with, 2 * (LAYERS * 6 + 1));
    thaw_model_free(&model);
}

/* "case name shape" of what trains outside the head, for test_peft_live.sh. */
static void list(const char *name, const kind_case *c)
{
    thaw_model *model = base(c);
    attach(model, c);
    for (int32_t i = 0; i < thaw_graph_param_count(model->graph); i++) {
        const thaw_param *p = thaw_graph_param(model->graph, i);
        if (!p->trainable || p->block < 0)
            continue;
        printf("%s %s ", name, p->name);
        for (int32_t d = 0; d < p->shape.ndim; d++)
            printf("%s%lld", d > 0 ? "x" : "", (long long)p->shape.dim[d]);
        printf("\n");
    }
    thaw_model_free(&model);
}

int main(int count, char **arguments)
{
    (void)arguments;
    if (count == 2) {
        const char *const names[] = {"lora", "dora", "table", "ia3", "norm"};
        const kind_case listed[] = {{"lora", "bert-tiny", false, true, NULL, 0},
                                    {"lora", "bert-tiny", true, true, NULL, 0},
                                    {"lora", "bert-tiny", false, true, "*.word_embeddings", 0},
                                    {"ia3", "bert-tiny", false, true, NULL, 0},
                                    {"norm", "bert-tiny", false, true, NULL, 0}};
        for (int i = 0; i < 5; i++)
            list(names[i], &listed[i]);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_method),
        cmocka_unit_test(test_merge_into_memory_of_others),
        cmocka_unit_test(test_houlsby_wants_a_transformer),
        cmocka_unit_test(test_prompt_that_does_not_fit),
        cmocka_unit_test(test_targets_that_reach_nothing),
        cmocka_unit_test(test_rate_factors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
