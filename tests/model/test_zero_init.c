/* A residual network whose blocks begin as the identity.
 * thaw-test: modules=kern */
#include "thaw/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static thaw_model *make(const char *arch)
{
    char name[32];
    thaw_model *model = NULL;
    snprintf(name, sizeof name, "%s", arch);
    const thaw_model_spec spec = {.arch = name, .C = 3, .H = 64, .W = 64, .K = 2};
    assert_int_equal(thaw_model_new(&spec, &model), THAW_OK);
    return model;
}

static float first(const thaw_model *model, const char *name)
{
    const int32_t at = thaw_graph_find_param(model->graph, name);
    assert_true(at >= 0);
    return thaw_graph_param(model->graph, at)->data[0];
}

/* torchvision's zero_init_residual: bn2 of a BasicBlock, bn3 of a Bottleneck, and nothing else. */
static void test_the_last_norm_of_a_block_begins_at_zero(void **state)
{
    (void)state;
    static const struct {
        const char *arch, *zero, *one, *other;
    } rows[] = {
        {"resnet20", "layer2.1.bn2.weight", "layer2.1.bn1.weight", "bn1.weight"},
        {"resnet18", "layer2.0.bn2.weight", "layer2.0.bn1.weight", "layer2.0.downsample.1.weight"},
        {"resnet50", "layer3.5.bn3.weight", "layer3.5.bn2.weight", "layer3.0.downsample.1.weight"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        thaw_model *model = make(rows[i].arch);
        thaw_model_initialize(model, 1);
        assert_true(first(model, rows[i].zero) == 1);
        assert_int_equal(thaw_model_zero_init_residual(model), THAW_OK);
        thaw_model_initialize(model, 1);
        assert_true(first(model, rows[i].zero) == 0);
        assert_true(first(model, rows[i].one) == 1);
        assert_true(first(model, rows[i].other) == 1);
        thaw_model_free(&model);
    }
}

static void test_other_networks_are_refused(void **state)
{
    (void)state;
    static const char *const archs[] = {"mlp", "mobilenet_v2", "vit_tiny_patch16_224"};
    for (size_t i = 0; i < sizeof archs / sizeof *archs; i++) {
        thaw_model *model = make(archs[i]);
        assert_int_equal(thaw_model_zero_init_residual(model), THAW_ERR_CONFIG);
        assert_non_null(strstr(thaw_error_last()->message, archs[i]));
        thaw_model_free(&model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_last_norm_of_a_block_begins_at_zero),
        cmocka_unit_test(test_other_networks_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
