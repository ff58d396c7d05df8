/* Building, rewriting, initialising and listing a graph; what is refused, and in which words. */
#include "graph_test.h"

#include "graph/graph_impl.h"

static void names_are_those_of_pytorch(void **state)
{
    (void)state;
    thaw_graph *g = resnet(8, 4, 1, 3, true);
    static const char *const names[] = {"stem.conv1.weight",     "stem.bn1.weight", "stem.bn1.bias",
                                        "stem.bn1.running_mean", "fc.weight",       "fc.bias"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_true(thaw_graph_find_param(g, names[i]) >= 0);
    assert_int_equal(thaw_graph_find_param(g, "stem.conv1.bias"), -1);
    assert_int_equal(thaw_graph_block_count(g), 4);
    assert_string_equal(thaw_graph_block_name(g, 2), "layer2.0");
    assert_string_equal(thaw_graph_block_name(g, -1), "head");
    assert_string_equal(thaw_graph_block_name(g, 40), "");
    assert_int_equal(find_param(g, "layer3.0.conv2.weight")->block, 3);
    assert_int_equal(find_param(g, "fc.bias")->block, -1);
    assert_string_equal(thaw_node_kind(thaw_graph_node(g, 0)), "conv2d");
    assert_int_equal(find_param(g, "stem.bn1.weight")->node, 1);
    assert_true(thaw_graph_valid(g));
    thaw_graph_free(&g);
    thaw_graph_free(&g);
    thaw_graph_free(NULL);
}

/* 3 x 3 x 3 x 16 and so on: the count that papers give for ResNet-20, 0.27 million. */
static void resnet20_has_its_size(void **state)
{
    (void)state;
    thaw_graph *g = resnet(32, 16, 3, 10, false);
    assert_int_equal(thaw_graph_count_params(g, false), 269722);
    assert_int_equal(thaw_graph_count_params(g, true), 0);
    train_from_block(g, 100);
    assert_int_equal(thaw_graph_count_params(g, true), 650);
    /* 40.55 million multiply-adds in convolutions and head, and little else. */
    assert_true(fabs(thaw_graph_forward_flops(g) / (2 * 40.55e6) - 1) < 0.03);
    assert_true(thaw_graph_backward_flops(g) == 2 * 640);
    train_all(g);
    double ratio = thaw_graph_backward_flops(g) / thaw_graph_forward_flops(g);
    assert_true(ratio > 1.9 && ratio < 2.0);
    thaw_graph_free(&g);
}

static void duplicate_names_are_refused(void **state)
{
    (void)state;
    thaw_graph *g = new_graph();
    thaw_value x = thaw_graph_input(g, thaw_shape1(4));
    x = thaw_graph_linear(g, "fc", x, 4, true);
    x = thaw_graph_linear(g, "fc", x, 4, true);
    assert_true(x < 0);
    /* Whatever follows is quiet, and the first error stays. */
    x = thaw_graph_linear(g, "other", thaw_graph_relu(g, x), 4, true);
    thaw_graph_set_logits(g, x);
    assert_refused(thaw_graph_finish(g), "linear \"fc\"", "\"fc.weight\"");
    assert_refused(thaw_graph_analyze(g), "\"fc.weight\"");
    thaw_graph_free(&g);
}

typedef void breaker(thaw_graph *g, thaw_value image, thaw_value row);

static void kernel_too_large(thaw_graph *g, thaw_value image, thaw_value row)
{
    (void)row;
    thaw_conv2d_attr a = {.out_channels = 4,
                          .kernel_h = 9,
                          .kernel_w = 3,
                          .stride_h = 1,
                          .stride_w = 1,
                          .dilation_h = 1,
                          .dilation_w = 1,
                          .groups = 1};
    (void)thaw_graph_conv2d(g, "layer1.0.conv1", image, &a);
}

static void groups_do_not_divide(thaw_graph *g, thaw_value image, thaw_value row)
{
    (void)row;
    thaw_conv2d_attr a = {.out_channels = 4,
                          .kernel_h = 1,
                          .kernel_w = 1,
                          .stride_h = 1,
                          .stride_w = 1,
                          .dilation_h = 1,
                          .dilation_w = 1,
                          .groups = 2};
    (void)thaw_graph_conv2d(g, "grouped", image, &a);
}

static void no_stride(thaw_graph *g, thaw_value image, thaw_value row)
{
    (void)row;
    thaw_conv2d_attr a = {.out_channels = 4, .kernel_h = 1, .kernel_w = 1};
    (void)thaw_graph_conv2d(g, "c", image, &a);
}

static void row_into_convolution(thaw_graph *g, thaw_value image, thaw_value row)
{
    (void)image;
    (void)conv(g, "c", row, 3, 3, 1, false);
}

static void shapes_differ(thaw_graph *g, thaw_value image, thaw_value row)
{
    (void)thaw_graph_add(g, image, row, 1.0f);
}

static void pool_too_large(thaw_graph *g, thaw_value image, thaw_value row)
{
    (void)row;
    (void)thaw_graph_max_pool(g, image, 8, 2, 0);
}

static void pool_pad_too_large(thaw_graph *g, thaw_value image, thaw_value row)
{
    (void)row;
    (void)thaw_graph_avg_pool(g, image, 2, 2, 2);
}

static void dropout_of_everything(thaw_graph *g, thaw_value image, thaw_value row)
{
    (void)image;
    (void)thaw_graph_dropout(g, row, 1.0f);
}

static void fewer_channels(thaw_graph *g, thaw_value image, thaw_value row)
{
    (void)row;
    (void)thaw_graph_shortcut_pad(g, image, 2, 2);
}

static void no_features(thaw_graph *g, thaw_value image, thaw_value row)
{
    (void)image;
    (void)thaw_graph_linear(g, "empty", row, 0, true);
}

static void no_such_value(thaw_graph *g, thaw_value image, thaw_value row)
{
    (void)image;
    (void)row;
    (void)thaw_graph_relu(g, 99);
}

static void second_input(thaw_graph *g, thaw_value image, thaw_value row)
{
    (void)image;
    (void)row;
    (void)thaw_graph_input(g, thaw_shape1(3));
}

static void norm_of_a_table(thaw_graph *g, thaw_value image, thaw_value row)
{
    (void)row;
    thaw_value v = thaw_graph_global_avg_pool(g, image);
    (void)thaw_graph_batch_norm(g, "fine", v, 1e-5f, 0.1f);
    (void)thaw_graph_batch_norm(g, "bad", v, 0.0f, 0.1f);
}

static void too_much(thaw_graph *g, thaw_value image, thaw_value row)
{
    (void)image;
    (void)thaw_graph_linear(g, "huge", row, INT64_C(1) << 39, true);
}

static void marks_nothing(thaw_graph *g, thaw_value image, thaw_value row)
{
    (void)image;
    (void)row;
    thaw_graph_set_features(g, 77);
}

static void wrong_shapes_are_named(void **state)
{
    (void)state;
    static const struct {
        breaker *breaks;
        const char *words[3];
    } cases[] = {
        {kernel_too_large, {"conv2d \"layer1.0.conv1\"", "9 x 3", "(3, 6, 5)"}},
        {groups_do_not_divide, {"conv2d \"grouped\"", "groups 2", "(3, 6, 5)"}},
        {no_stride, {"conv2d \"c\"", "stride_h 0", "1.."}},
        {row_into_convolution, {"conv2d \"c\"", "(90)", "(C, H, W)"}},
        {shapes_differ, {"add (node 1)", "(3, 6, 5)", "(90)"}},
        {pool_too_large, {"max_pool", "kernel 8", "(3, 6, 5)"}},
        {pool_pad_too_large, {"avg_pool", "pad 2", "kernel 2"}},
        {dropout_of_everything, {"dropout", "probability 1", "0 <= p < 1"}},
        {fewer_channels, {"shortcut_pad", "out_channels 2", "(3, 6, 5)"}},
        {no_features, {"linear \"empty\"", "out_features 0", "positive"}},
        {no_such_value, {"relu", "value 99", "2"}},
        {second_input, {"already has an input", "", ""}},
        {norm_of_a_table, {"batch_norm \"bad\"", "epsilon 0", "positive"}},
        {too_much, {"linear \"huge\"", "2^40", "549755813888"}},
        {marks_nothing, {"features", "value 77", "not in the graph"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        thaw_graph *g = new_graph();
        thaw_value image = thaw_graph_input(g, thaw_shape_make(3, (int64_t[]){3, 6, 5}));
        thaw_value row = thaw_graph_flatten(g, image);
        cases[i].breaks(g, image, row);
        thaw_graph_set_logits(g, row);
        assert_refused(thaw_graph_finish(g), cases[i].words[0], cases[i].words[1],
                       cases[i].words[2]);
        thaw_graph_free(&g);
    }
}

static void unfinished_graphs_are_refused(void **state)
{
    (void)state;
    thaw_graph *g = new_graph();
    assert_refused(thaw_graph_finish(g), "no input");
    thaw_value x = thaw_graph_input(g, thaw_shape1(3));
    assert_refused(thaw_graph_finish(g), "no logits");
    thaw_graph_set_logits(g, thaw_graph_linear(g, "fc", x, 2, true));
    assert_refused(thaw_graph_analyze(g), "not finished");
    assert_ok(thaw_graph_finish(g));
    assert_ok(thaw_graph_analyze(g));
    thaw_graph_free(&g);
}

/* What an adapter does: y = conv(x) + alpha up(down(x)), all later users see the sum. */
static void rewriting_keeps_the_order(void **state)
{
    (void)state;
    thaw_graph *g = resnet(8, 4, 1, 3, false);
    const thaw_param *weight = find_param(g, "layer1.0.conv2.weight");
    const thaw_node *node = thaw_graph_node(g, weight->node);
    thaw_value x = node->inputs[0];
    thaw_value y = node->output;
    int32_t count = thaw_graph_node_count(g);
    thaw_value down = conv(g, "layer1.0.conv2.lora_A", x, 2, 3, 1, false);
    thaw_value up = conv(g, "layer1.0.conv2.lora_B", down, 4, 1, 1, false);
    thaw_value sum = thaw_graph_add(g, y, up, 2.0f);
    thaw_graph_replace_uses(g, y, sum, thaw_graph_node_count(g) - 1);
    assert_int_equal(thaw_graph_node_count(g), count + 3);
    assert_false(thaw_graph_valid(g));
    assert_ok(thaw_graph_finish(g));
    assert_true(thaw_graph_valid(g));
    const thaw_node *norm = thaw_graph_node(g, find_param(g, "layer1.0.bn2.weight")->node);
    assert_int_equal(norm->inputs[0], sum);
    assert_ptr_equal(thaw_graph_node(g, weight->node), node);
    /* A sorted list is left as it is. */
    int32_t at = find_param(g, "layer1.0.conv2.lora_B.weight")->node;
    assert_ok(thaw_graph_sort(g));
    assert_int_equal(find_param(g, "layer1.0.conv2.lora_B.weight")->node, at);
    /* Marks follow, too. */
    thaw_value logits = thaw_graph_logits(g);
    thaw_value twice = thaw_graph_add(g, logits, logits, 1.0f);
    thaw_graph_replace_uses(g, logits, twice, thaw_graph_node_count(g) - 1);
    assert_int_equal(thaw_graph_logits(g), twice);
    thaw_graph_replace_uses(g, twice, x, -1);
    assert_refused(thaw_graph_finish(g), "add", "(3)", "(4, 8, 8)");
    thaw_graph_free(&g);
}

static void cycles_are_refused(void **state)
{
    (void)state;
    thaw_graph *g = new_graph();
    thaw_value x = thaw_graph_input(g, thaw_shape1(3));
    thaw_value a = thaw_graph_linear(g, "a", x, 3, true);
    thaw_value b = thaw_graph_relu(g, a);
    thaw_graph_set_logits(g, b);
    thaw_graph_replace_uses(g, x, b, -1);
    assert_refused(thaw_graph_finish(g), "cycle", "linear \"a\"");
    thaw_graph_free(&g);
}

static double std_of(const thaw_param *p, double *mean)
{
    int64_t n = thaw_shape_count(&p->shape);
    *mean = thaw_kern_sum(n, p->data) / (double)n;
    return sqrt(thaw_kern_sum_squares(n, p->data) / (double)n - *mean * *mean);
}

static bool is_head(const thaw_param *p, const void *context)
{
    return p->block == *(const int32_t *)context;
}

static void initial_values_depend_on_names_only(void **state)
{
    (void)state;
    thaw_graph *small = resnet(8, 16, 1, 10, false);
    thaw_graph *large = resnet(8, 16, 2, 10, true);
    thaw_graph_initialize(small, 42, NULL, NULL);
    thaw_graph_initialize(large, 42, NULL, NULL);
    for (int32_t i = 0; i < thaw_graph_param_count(small); i++) {
        const thaw_param *p = thaw_graph_param(small, i);
        const thaw_param *q = find_param(large, p->name);
        assert_memory_equal(p->data, q->data,
                            (size_t)thaw_shape_count(&p->shape) * sizeof *p->data);
    }
    double mean;
    /* std = sqrt(2 / fan_out), 64 x 64 x 9 samples: 1 % is three standard errors and more. */
    const thaw_param *w = find_param(small, "layer3.0.conv2.weight");
    assert_true(fabs(std_of(w, &mean) / sqrt(2.0 / (64 * 9)) - 1) < 0.02);
    assert_true(fabs(mean) < 0.002);
    w = find_param(small, "fc.weight");
    assert_true(fabs(std_of(w, &mean) / sqrt(1.0 / 64 / 3) - 1) < 0.1);
    for (int64_t i = 0; i < 640; i++)
        assert_true(fabsf(w->data[i]) <= 0.125f);
    assert_true(find_param(small, "stem.bn1.weight")->data[3] == 1.0f);
    assert_true(find_param(small, "stem.bn1.running_mean")->data[3] == 0.0f);
    /* The filter spares the backbone. */
    float stem = find_param(small, "stem.conv1.weight")->data[0];
    float head = w->data[0];
    int32_t block = -1;
    thaw_graph_initialize(small, 43, is_head, &block);
    assert_true(find_param(small, "stem.conv1.weight")->data[0] == stem);
    assert_true(w->data[0] != head);
    thaw_graph_free(&large);
    thaw_graph_free(&small);
}

static int64_t count_state(const thaw_graph *g, thaw_which which)
{
    thaw_state s = {0};
    assert_ok(thaw_graph_state(g, which, &s));
    int64_t count = s.count;
    thaw_state_clear(&s);
    return count;
}

static void states_list_what_they_say(void **state)
{
    (void)state;
    thaw_graph *g = resnet(8, 4, 1, 3, false);
    find_param(g, "stem.conv1.weight")->adapter = true;
    train_from_block(g, 3);
    /* Seven norms of five tensors with their convolution, and the head. */
    assert_int_equal(count_state(g, THAW_ALL), 7 * 5 + 2);
    /* Two norms train, so their buffers are state. */
    assert_int_equal(count_state(g, THAW_TRAINABLE), 2 * 5 + 2);
    assert_int_equal(count_state(g, THAW_FROZEN), 5 * 5);
    assert_int_equal(count_state(g, THAW_BACKBONE), 7 * 5 - 1);
    thaw_state s = {0};
    assert_ok(thaw_graph_state(g, THAW_TRAINABLE, &s));
    assert_ptr_equal(thaw_state_find(&s, "fc.weight")->data, find_param(g, "fc.weight")->data);
    thaw_state_clear(&s);
    thaw_graph_free(&g);
}

static void shared_memory_is_borrowed(void **state)
{
    (void)state;
    int64_t live = thaw_alloc_live();
    thaw_graph *g = resnet(8, 4, 1, 3, false);
    float node_memory[12];
    int32_t index = thaw_graph_find_param(g, "fc.weight");
    assert_int_equal(thaw_shape_count(&thaw_graph_param(g, index)->shape), 3 * 16);
    index = thaw_graph_find_param(g, "fc.bias");
    thaw_graph_set_data(g, index, node_memory);
    assert_ok(thaw_graph_finish(g));
    thaw_graph_initialize(g, 1, NULL, NULL);
    assert_ptr_equal(thaw_graph_param(g, index)->data, node_memory);
    thaw_graph_set_data(g, index, NULL);
    assert_ok(thaw_graph_finish(g));
    assert_ptr_not_equal(thaw_graph_param(g, index)->data, node_memory);
    thaw_graph_free(&g);
    assert_int_equal(thaw_alloc_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_those_of_pytorch),
        cmocka_unit_test(resnet20_has_its_size),
        cmocka_unit_test(duplicate_names_are_refused),
        cmocka_unit_test(wrong_shapes_are_named),
        cmocka_unit_test(unfinished_graphs_are_refused),
        cmocka_unit_test(rewriting_keeps_the_order),
        cmocka_unit_test(cycles_are_refused),
        cmocka_unit_test(initial_values_depend_on_names_only),
        cmocka_unit_test(states_list_what_they_say),
        cmocka_unit_test(shared_memory_is_borrowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
