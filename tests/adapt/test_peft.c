/* PEFT methods: the function is unchanged at the start, counts, names, scaling, merging, refusals.
 * thaw-test: timeout=30 */
#include "thaw/adapt.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define SAMPLES 3
#define CLASSES 5

static void ok(thaw_status status)
{
    if (status != THAW_OK)
        fail_msg("%s", thaw_error_last()->message);
}

static thaw_model *make(const char *arch)
{
    thaw_model_spec spec = {.C = 3, .H = 14, .W = 13, .K = CLASSES};
    thaw_model *model = NULL;
    spec.width = strcmp(arch, "mlp") == 0 ? 0 : 4;
    ok(thaw_strdup(&spec.arch, arch));
    ok(thaw_model_new(&spec, &model));
    thaw_model_spec_clear(&spec);
    thaw_model_initialize(model, 4);
    return model;
}

static const thaw_rung peft_rung = {.kind = THAW_RUNG_PEFT};

static thaw_peft lora(int64_t rank)
{
    thaw_peft peft;
    thaw_peft_defaults(&peft);
    peft.rank = rank;
    return peft;
}

static void forward(const thaw_model *model, bool training, float out[SAMPLES * CLASSES])
{
    float input[SAMPLES * 3 * 14 * 13];
    int64_t ids[SAMPLES] = {5, 6, 7};
    thaw_kern *kern = NULL;
    thaw_plan *plan = NULL;
    thaw_plan_options options = {
        .batch = SAMPLES, .training = training, .from = -1, .to = -1, .keep = -1};
    for (size_t i = 0; i < sizeof input / sizeof *input; i++)
        input[i] = (float)sin((double)i * 0.7);
    ok(thaw_kern_open("ref", &kern));
    ok(thaw_plan_new(model->graph, kern, &options, &plan));
    thaw_run run = {.B = SAMPLES, .input = input, .sample_ids = ids, .training = training};
    thaw_plan_forward(plan, &run);
    memcpy(out, thaw_plan_value(plan, thaw_graph_logits(model->graph)),
           SAMPLES * CLASSES * sizeof *out);
    thaw_plan_free(&plan);
    thaw_kern_close(&kern);
}

static thaw_param *param(const thaw_model *model, const char *name)
{
    int32_t index = thaw_graph_find_param(model->graph, name);
    if (index < 0)
        fail_msg("no parameter %s", name);
    return thaw_graph_param(model->graph, index);
}

static void test_start_is_the_base_bit_for_bit(void **state)
{
    (void)state;
    const char *const archs[] = {"resnet20", "resnet18", "mlp"};
    for (int i = 0; i < 3; i++) {
        float before[SAMPLES * CLASSES];
        float after[SAMPLES * CLASSES];
        thaw_digest digests[2];
        thaw_model *model = make(archs[i]);
        thaw_peft peft = lora(2);
        peft.dropout = 0.3;
        forward(model, false, before);
        ok(thaw_adapt_digest_backbone(model, &digests[0]));
        ok(thaw_adapt_apply(model, &peft_rung, &peft, 1));
        ok(thaw_adapt_digest_backbone(model, &digests[1]));
        forward(model, false, after);
        assert_memory_equal(before, after, sizeof before);
        forward(model, true, after); /* frozen norms do not look at the batch, and B is zero */
        assert_memory_equal(before, after, sizeof before);
        assert_true(thaw_digest_equal(digests[0], digests[1]));
        thaw_model_free(&model);
    }
}

/* Hugging Face PEFT: a convolution gets r (C KH KW + O), a linear layer r (in + out). */
static void test_counts(void **state)
{
    (void)state;
    thaw_model *model = make("resnet20");
    thaw_adapt_counts counts;
    thaw_adapt_counts dry;
    thaw_peft peft = lora(3);
    int64_t expected = 0;
    for (int32_t i = 0; i < thaw_graph_node_count(model->graph); i++) {
        const thaw_node *node = thaw_graph_node(model->graph, i);
        if (strcmp(thaw_node_kind(node), "conv2d") != 0)
            continue;
        const int64_t *dim = thaw_graph_param(model->graph, node->params[0])->shape.dim;
        expected += 3 * (dim[1] * dim[2] * dim[3] + dim[0]);
    }
    int64_t base = thaw_graph_count_params(model->graph, false);
    ok(thaw_adapt_count_rung(&model->spec, &peft_rung, &peft, &dry));
    ok(thaw_adapt_apply(model, &peft_rung, &peft, 1));
    thaw_adapt_count(model, &counts);
    assert_int_equal(counts.adapter, expected);
    assert_int_equal(counts.head, 16 * CLASSES + CLASSES);
    assert_int_equal(counts.backbone, 0);
    assert_int_equal(counts.total, base + expected);
    assert_int_equal(counts.trainable, expected + counts.head);
    assert_int_equal(thaw_graph_count_params(model->graph, true), counts.trainable);
    assert_memory_equal(&counts, &dry, sizeof counts);
    thaw_model_free(&model);
}

static void test_names_shapes_and_start_values(void **state)
{
    (void)state;
    thaw_model *model = make("resnet18");
    thaw_peft peft = lora(4);
    ok(thaw_adapt_apply(model, &peft_rung, &peft, 9));
    const thaw_param *a = param(model, "layer2.0.conv1.lora_A.weight");
    const thaw_param *b = param(model, "layer2.0.conv1.lora_B.weight");
    assert_true(a->adapter && b->adapter && a->trainable && b->need_grad);
    assert_int_equal(a->block, 3);
    thaw_shape shape_a = thaw_shape4(4, 4, 3, 3);
    thaw_shape shape_b = thaw_shape4(8, 4, 1, 1);
    assert_true(thaw_shape_equal(&a->shape, &shape_a));
    assert_true(thaw_shape_equal(&b->shape, &shape_b));
    assert_true(thaw_kern_sum_squares(32, b->data) == 0);
    double bound = 1 / sqrt(4 * 3 * 3);
    double largest = 0;
    for (int i = 0; i < 144; i++)
        largest = fmax(largest, fabs(a->data[i]));
    assert_true(largest <= bound && largest > 0.9 * bound);
    assert_int_equal(thaw_graph_find_param(model->graph, "fc.lora_A.weight"), -1);
    assert_true(param(model, "fc.weight")->trainable);
    assert_false(param(model, "layer2.0.conv1.weight")->trainable);
    assert_false(param(model, "bn1.running_mean")->trainable);
    assert_string_equal(model->adapter, "lora");
    thaw_model_free(&model);
}

static void fill_b(const thaw_model *model)
{
    for (int32_t i = 0; i < thaw_graph_param_count(model->graph); i++) {
        thaw_param *p = thaw_graph_param(model->graph, i);
        for (int64_t j = 0; p->adapter && j < thaw_shape_count(&p->shape); j++)
            p->data[j] += 0.05f * (float)cos((double)j + i);
    }
}

/* Merging reorders sums: 20 layers of float32, so 1e-5 of the largest logit. */
static void test_merge_keeps_the_function(void **state)
{
    (void)state;
    const char *const archs[] = {"resnet20", "resnet18", "mlp"};
    for (int i = 0; i < 6; i++) {
        float base[SAMPLES * CLASSES], adapted[SAMPLES * CLASSES], merged[SAMPLES * CLASSES];
        thaw_model *model = make(archs[i / 2]);
        thaw_peft peft = lora(3);
        peft.rslora = i % 2 == 1;
        forward(model, false, base);
        ok(thaw_adapt_apply(model, &peft_rung, &peft, 1));
        fill_b(model);
        forward(model, false, adapted);
        ok(thaw_adapt_merge(model));
        forward(model, false, merged);
        double largest = 0;
        double moved = 0;
        double error = 0;
        for (int j = 0; j < SAMPLES * CLASSES; j++) {
            largest = fmax(largest, fabs(adapted[j]));
            moved = fmax(moved, fabs(adapted[j] - base[j]));
            error = fmax(error, fabs(adapted[j] - merged[j]));
        }
        assert_true(moved > 1e-2 * largest);
        if (error > 1e-5 * largest)
            fail_msg("%s: merging moved a logit by %.2g of %.2g", archs[i / 2], error, largest);
        ok(thaw_adapt_merge(model)); /* again: nothing is left to fold */
        forward(model, false, adapted);
        assert_memory_equal(adapted, merged, sizeof merged);
        thaw_model_free(&model);
    }
}

/* Known answer: r = 1, alpha = 2, A = (.5, -1, 2), B = (.25, -.5) gives dW = ((.25, -.5, 1), (-.5, 1, -2)). */
static void test_known_update(void **state)
{
    (void)state;
    char arch[] = "mlp";
    int64_t hidden[] = {2};
    const float expected[] = {0.25f, -0.5f, 1, -0.5f, 1, -2};
    thaw_model_spec spec = {.arch = arch, .C = 3, .H = 1, .W = 1, .K = 2};
    spec.hidden = (thaw_ints){.items = hidden, .count = 1};
    thaw_model *model = NULL;
    thaw_peft peft = lora(1);
    peft.alpha = 2;
    ok(thaw_model_new(&spec, &model));
    ok(thaw_adapt_apply(model, &peft_rung, &peft, 1));
    memcpy(param(model, "layers.0.lora_A.weight")->data, (float[]){0.5f, -1, 2}, 3 * sizeof(float));
    memcpy(param(model, "layers.0.lora_B.weight")->data, (float[]){0.25f, -0.5f},
           2 * sizeof(float));
    ok(thaw_adapt_merge(model));
    assert_memory_equal(param(model, "layers.0.weight")->data, expected, sizeof expected);
    thaw_model_free(&model);
}

static thaw_status apply_targets(const char *arch, char *first, char *second, int64_t rank,
                                 thaw_model **out)
{
    char *items[] = {first, second};
    thaw_peft peft = lora(rank);
    peft.targets = (thaw_strings){.items = items, .count = second ? 2 : 1};
    *out = make(arch);
    return thaw_adapt_apply(*out, &peft_rung, &peft, 1);
}

static void test_targets(void **state)
{
    (void)state;
    thaw_model *model = NULL;
    char glob[] = "layer3.*.conv2";
    char conv[] = "conv";
    char linear[] = "linear";
    char wrong[] = "layer3.0.conv8";
    char head[] = "fc";
    ok(apply_targets("resnet20", glob, NULL, 2, &model));
    thaw_str text = {0};
    thaw_adapt_describe(model, &text);
    assert_string_equal(thaw_str_c(&text), "head, lora in 3 modules");
    thaw_str_clear(&text);
    thaw_model_free(&model);
    ok(apply_targets("mlp", conv, linear, 2, &model));
    thaw_model_free(&model);
    assert_int_equal(apply_targets("mlp", conv, NULL, 2, &model), THAW_ERR_CONFIG);
    thaw_model_free(&model);
    assert_int_equal(apply_targets("resnet20", wrong, NULL, 2, &model), THAW_ERR_CONFIG);
    assert_non_null(strstr(thaw_error_last()->message, "did you mean \"layer3.0.conv"));
    thaw_model_free(&model);
    assert_int_equal(apply_targets("resnet20", head, NULL, 2, &model), THAW_ERR_CONFIG);
    thaw_model_free(&model);
    assert_int_equal(apply_targets("resnet20", conv, NULL, 5, &model), THAW_ERR_CONFIG);
    assert_non_null(strstr(thaw_error_last()->message, "\"conv1\" (4 x 27)"));
    thaw_model_free(&model);
}

static void test_attach_once(void **state)
{
    (void)state;
    thaw_model *model = make("resnet20");
    thaw_peft peft = lora(2);
    thaw_rung full = {.kind = THAW_RUNG_FULL};
    ok(thaw_adapt_apply(model, &peft_rung, &peft, 1));
    ok(thaw_adapt_apply(model, &full, NULL, 1));
    assert_false(param(model, "conv1.lora_A.weight")->trainable);
    assert_int_equal(thaw_adapt_apply(model, &peft_rung, &peft, 1), THAW_ERR_CONFIG);
    thaw_model_free(&model);
}

/* Backward through the adapters, on both operators, against differences. */
static void test_gradients(void **state)
{
    (void)state;
    char arch[] = "mlp";
    int64_t hidden[] = {4, 3};
    thaw_model_spec spec = {.arch = arch, .C = 2, .H = 1, .W = 2, .K = 2};
    spec.hidden = (thaw_ints){.items = hidden, .count = 2};
    thaw_model *model = NULL;
    thaw_kern *kern = NULL;
    thaw_peft peft = lora(2);
    double worst = 0;
    ok(thaw_model_new(&spec, &model));
    thaw_model_initialize(model, 3);
    ok(thaw_adapt_apply(model, &peft_rung, &peft, 1));
    fill_b(model);
    ok(thaw_kern_open("ref", &kern));
    ok(thaw_graph_check_gradients(model->graph, kern, 3, 5, 1e-2, &worst));
    thaw_kern_close(&kern);
    thaw_model_free(&model);
}

static void test_bitfit_and_norm(void **state)
{
    (void)state;
    for (int method = 0; thaw_peft_names()[method]; method++) {
        bool bitfit = strcmp(thaw_peft_names()[method], "bitfit") == 0;
        bool norm = strcmp(thaw_peft_names()[method], "norm") == 0;
        assert_true(strlen(thaw_peft_doc(method)) > 10);
        if (!bitfit && !norm)
            continue;
        thaw_model *model = make("resnet20");
        thaw_peft peft = lora(1);
        thaw_adapt_counts counts;
        peft.method = method;
        ok(thaw_adapt_apply(model, &peft_rung, &peft, 1));
        thaw_adapt_count(model, &counts);
        int64_t channels = 4 + 6 * (4 + 8 + 16);
        assert_int_equal(counts.backbone, bitfit ? channels : 2 * channels);
        assert_int_equal(counts.head, 16 * CLASSES + CLASSES);
        assert_int_equal(param(model, "bn1.running_mean")->trainable, norm);
        ok(thaw_adapt_merge(model));
        thaw_model_free(&model);
    }
}

static void test_presets(void **state)
{
    (void)state;
    thaw_peft peft;
    thaw_peft_defaults(&peft);
    for (const thaw_field *f = thaw_peft_fields; f->name; f++) {
        const char *at = (const char *)&peft + f->offset;
        double number = 0;
        int64_t integer = 0;
        assert_non_null(f->doc);
        if (f->type == THAW_FIELD_DOUBLE) {
            assert_true(thaw_parse_double(f->preset, &number));
            assert_true(number == *(const double *)(const void *)at);
        } else if (f->type == THAW_FIELD_INT) {
            assert_true(thaw_parse_int(f->preset, &integer));
            assert_int_equal(integer, *(const int64_t *)(const void *)at);
        }
    }
}

/* Without targets every linear layer of a BERT outside the head gets one; tables and norms stay as they are. */
static void test_text(void **state)
{
    (void)state;
    char arch[] = "bert-tiny";
    thaw_model_spec spec = {.arch = arch, .T = 9, .K = CLASSES};
    thaw_model *model = NULL;
    thaw_peft peft = lora(4);
    thaw_adapt_counts counts;
    thaw_str words = {0};
    ok(thaw_model_new(&spec, &model));
    thaw_model_initialize(model, 4);
    ok(thaw_adapt_apply(model, &peft_rung, &peft, 1));
    thaw_adapt_count(model, &counts);
    /* 2 layers of four 128 x 128, one 128 x 512, one 512 x 128; the pooler */
    assert_int_equal(counts.adapter, 4 * (2 * (4 * 256 + 2 * 640) + 256));
    assert_int_equal(counts.backbone, 0);
    thaw_adapt_describe(model, &words);
    assert_non_null(strstr(thaw_str_c(&words), "lora in 13 modules"));
    assert_int_equal(param(model, "encoder.layer.1.attention.self.value.lora_B.weight")->block, 2);
    thaw_str_clear(&words);
    thaw_model_free(&model);
    /* query and value alone, as Hugging Face's default for BERT */
    char query[] = "*.query";
    char value[] = "*.value";
    char *targets[] = {query, value};
    peft.targets = (thaw_strings){.items = targets, .count = 2};
    ok(thaw_model_new(&spec, &model));
    ok(thaw_adapt_apply(model, &peft_rung, &peft, 1));
    thaw_adapt_count(model, &counts);
    assert_int_equal(counts.adapter, 4 * 2 * 2 * 256);
    thaw_model_free(&model);
}

/* Depthwise convolutions have no lora; without targets they are left alone, named they are refused. */
static void test_depthwise_is_left_alone(void **state)
{
    (void)state;
    char arch[] = "efficientnet_lite0";
    thaw_model_spec spec = {.arch = arch, .C = 3, .H = 14, .W = 13, .K = CLASSES};
    thaw_model *model = NULL;
    thaw_peft peft = lora(2);
    ok(thaw_model_new(&spec, &model));
    ok(thaw_adapt_apply(model, &peft_rung, &peft, 1));
    assert_true(thaw_graph_find_param(model->graph, "blocks.1.0.conv_pw.lora_A.weight") >= 0);
    assert_true(thaw_graph_find_param(model->graph, "blocks.1.0.conv_dw.lora_A.weight") < 0);
    thaw_model_free(&model);
    char depthwise[] = "*.conv_dw";
    char *targets[] = {depthwise};
    peft.targets = (thaw_strings){.items = targets, .count = 1};
    ok(thaw_model_new(&spec, &model));
    assert_int_equal(thaw_adapt_apply(model, &peft_rung, &peft, 1), THAW_ERR_CONFIG);
    assert_non_null(strstr(thaw_error_last()->message, "groups"));
    thaw_model_free(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start_is_the_base_bit_for_bit),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_names_shapes_and_start_values),
        cmocka_unit_test(test_merge_keeps_the_function),
        cmocka_unit_test(test_known_update),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_attach_once),
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_bitfit_and_norm),
        cmocka_unit_test(test_presets),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_depthwise_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
