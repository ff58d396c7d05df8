/* Freeze, need_grad and boundary: what stays as it is, what backward reaches, where the frozen prefix ends. */
#include "graph_test.h"

#include "graph/plan_impl.h"

static const thaw_node *node_of(const thaw_graph *g, const char *param)
{
    return thaw_graph_node(g, find_param(g, param)->node);
}

static void norms_follow_their_weight(void **state)
{
    (void)state;
    thaw_graph *g = resnet(8, 4, 1, 3, false);
    train_all(g);
    assert_false(node_of(g, "stem.bn1.weight")->frozen_stats);
    assert_true(find_param(g, "stem.bn1.running_var")->trainable);
    assert_false(find_param(g, "stem.bn1.running_var")->need_grad);
    train_only(g, "*.bias");
    assert_true(node_of(g, "stem.bn1.weight")->frozen_stats);
    assert_false(find_param(g, "stem.bn1.running_var")->trainable);
    assert_true(find_param(g, "stem.bn1.bias")->need_grad);
    train_only(g, "layer2.*");
    assert_true(node_of(g, "stem.bn1.weight")->frozen_stats);
    assert_false(node_of(g, "layer2.0.bn1.weight")->frozen_stats);
    /* A buffer cannot be made trainable alone. */
    train_only(g, "*.running_mean");
    assert_false(find_param(g, "stem.bn1.running_mean")->trainable);
    thaw_graph_free(&g);
}

static void backward_stops_at_the_lowest_trainable(void **state)
{
    (void)state;
    thaw_graph *g = resnet(8, 4, 1, 3, false);
    train_only(g, "layer2.0.conv2.weight");
    assert_false(node_of(g, "layer2.0.conv1.weight")->active);
    const thaw_node *lowest = node_of(g, "layer2.0.conv2.weight");
    assert_true(lowest->active);
    assert_false(lowest->need_input_grad); /* only dw */
    const thaw_node *above = node_of(g, "layer3.0.conv1.weight");
    assert_true(above->active && above->need_input_grad);
    assert_false(find_param(g, "layer3.0.conv1.weight")->need_grad); /* only dx */
    train_only(g, "");
    for (int32_t i = 0; i < thaw_graph_node_count(g); i++)
        assert_false(thaw_graph_node(g, i)->active);
    thaw_graph_free(&g);
}

/* A branch that does not lead to the logits gets neither buffers nor calls, even if it could train. */
static void dead_branches_are_inactive(void **state)
{
    (void)state;
    thaw_kern *kern = open_kern();
    thaw_graph *g = new_graph();
    thaw_value x = thaw_graph_input(g, thaw_shape1(4));
    thaw_value v = thaw_graph_linear(g, "used", x, 4, true);
    (void)thaw_graph_linear(g, "dead", v, 4, true);
    thaw_graph_set_logits(g, thaw_graph_linear(g, "fc", v, 3, true));
    assert_ok(thaw_graph_finish(g));
    train_all(g);
    assert_false(node_of(g, "dead.weight")->active);
    assert_false(node_of(g, "dead.weight")->need_input_grad);
    assert_false(find_param(g, "dead.weight")->need_grad);
    thaw_plan *plan = NULL;
    thaw_plan_options options = plan_options(2, true);
    assert_ok(thaw_plan_new(g, kern, &options, &plan));
    assert_int_equal(plan->step_count, 2);
    assert_int_equal(thaw_plan_reduced_count(plan), 4);
    thaw_plan_free(&plan);
    thaw_graph_free(&g);
    thaw_kern_close(&kern);
}

/* The kernel's functions are replaced by ones that count. */
static int64_t data_calls, weight_calls;

static void count_data(const thaw_kern *k, const thaw_conv2d *s, const float *w, const float *dy,
                       float *dx, bool accumulate, void *workspace)
{
    (void)k, (void)w, (void)dy, (void)accumulate, (void)workspace;
    memset(dx, 0, (size_t)(s->B * s->C * s->H * s->W) * sizeof *dx);
    data_calls++;
}

static void count_weights(const thaw_kern *k, const thaw_conv2d *s, const float *x, const float *dy,
                          float *dw, float *dbias, void *workspace)
{
    (void)k, (void)s, (void)x, (void)dy, (void)dw, (void)dbias, (void)workspace;
    weight_calls++;
}

static void count_calls(thaw_graph *g, thaw_kern *kern, const char *pattern, int64_t data,
                        int64_t weights)
{
    thaw_plan *plan = NULL;
    thaw_plan_options options = plan_options(2, true);
    float *x = random_floats(2 * 3 * 8 * 8, 1);
    thaw_run run = make_run(2, x, true);
    train_only(g, pattern);
    assert_ok(thaw_plan_new(g, kern, &options, &plan));
    data_calls = weight_calls = 0;
    run_both(plan, &run, 3);
    assert_int_equal(data_calls, data);
    assert_int_equal(weight_calls, weights);
    thaw_plan_free(&plan);
    thaw_free(&x);
}

/* Seven convolutions: stem and two in each of three blocks. */
static void frozen_costs_no_calls(void **state)
{
    (void)state;
    thaw_kern *kern = open_kern();
    thaw_graph *g = resnet(8, 4, 1, 3, false);
    kern->conv2d_backward_data = count_data;
    kern->conv2d_backward_weights = count_weights;
    count_calls(g, kern, "*", 6, 7);
    count_calls(g, kern, "fc.*", 0, 0);
    count_calls(g, kern, "stem.conv1.weight", 6, 1);
    count_calls(g, kern, "stem.bn1.weight", 6, 0);
    count_calls(g, kern, "layer3.*", 1, 2);
    count_calls(g, kern, "layer2.0.conv2.weight", 2, 1);
    count_calls(g, kern, "", 0, 0);
    thaw_graph_free(&g);
    thaw_kern_close(&kern);
}

/* Output of the relu that ends a block, found as the input of the next one's first convolution. */
static thaw_value block_input(const thaw_graph *g, const char *conv_weight)
{
    return node_of(g, conv_weight)->inputs[0];
}

static void boundary_lies_below_the_lowest_trainable(void **state)
{
    (void)state;
    thaw_graph *g = resnet(8, 4, 2, 3, false);
    train_all(g);
    assert_int_equal(thaw_graph_boundary(g), 0);
    train_only(g, "fc.*");
    assert_int_equal(thaw_graph_boundary(g), thaw_graph_features(g));
    train_only(g, "");
    assert_int_equal(thaw_graph_boundary(g), thaw_graph_features(g));
    train_from_block(g, 5);
    assert_int_equal(thaw_graph_boundary(g), block_input(g, "layer3.0.conv1.weight"));
    train_from_block(g, 1);
    assert_int_equal(thaw_graph_boundary(g), block_input(g, "layer1.0.conv1.weight"));
    /* The second half of a block trains: the shortcut crosses any cut inside, so the cut lies before the block. */
    train_only(g, "layer3.1.conv2.weight");
    assert_int_equal(thaw_graph_boundary(g), block_input(g, "layer3.1.conv1.weight"));
    train_only(g, "layer2.0.bn2.bias");
    assert_int_equal(thaw_graph_boundary(g), block_input(g, "layer2.0.conv1.weight"));
    train_only(g, "stem.bn1.weight");
    assert_int_equal(thaw_graph_boundary(g), node_of(g, "stem.conv1.weight")->output);
    thaw_graph_free(&g);
}

static void boundary_stops_at_chance_and_features(void **state)
{
    (void)state;
    thaw_graph *g = new_graph();
    thaw_value x = thaw_graph_input(g, thaw_shape_make(3, (int64_t[]){2, 4, 4}));
    thaw_value a = conv(g, "a", x, 3, 3, 1, true);
    thaw_value none = thaw_graph_dropout(g, a, 0.0f);
    thaw_value some = thaw_graph_dropout(g, none, 0.5f);
    thaw_value f = thaw_graph_flatten(g, some);
    thaw_graph_set_logits(g, thaw_graph_linear(g, "fc", f, 2, true));
    assert_ok(thaw_graph_finish(g));
    train_only(g, "fc.*");
    assert_int_equal(thaw_graph_boundary(g), none);
    thaw_graph_set_features(g, a);
    assert_ok(thaw_graph_analyze(g));
    assert_int_equal(thaw_graph_boundary(g), a);
    thaw_graph_free(&g);
}

/* The cached prefix gives what the whole network gives, bit by bit, also where a residual crosses below the cut. */
static void prefix_and_rest_give_the_same_bits(void **state)
{
    (void)state;
    static const char *const patterns[] = {"fc.*", "layer3.*", "layer2.0.conv2.weight",
                                           "stem.bn1.weight"};
    thaw_kern *kern = open_kern();
    thaw_graph *g = resnet(8, 4, 1, 3, true);
    randomize(g, 6);
    float *x = random_floats(4 * 3 * 8 * 8, 1);
    thaw_run run = make_run(4, x, true);
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        thaw_plan *whole = NULL, *prefix = NULL, *rest = NULL;
        train_only(g, patterns[i]);
        thaw_plan_options options = plan_options(4, true);
        assert_ok(thaw_plan_new(g, kern, &options, &whole));
        options.training = false;
        options.to = thaw_graph_boundary(g);
        assert_ok(thaw_plan_new(g, kern, &options, &prefix));
        options = plan_options(4, true);
        options.from = thaw_graph_boundary(g);
        options.keep = thaw_graph_features(g);
        assert_ok(thaw_plan_new(g, kern, &options, &rest));
        assert_true(thaw_plan_arena_bytes(rest) < thaw_plan_arena_bytes(whole));
        run_both(whole, &run, 3);
        thaw_plan_forward(prefix, &run);
        thaw_run second = run;
        second.input = thaw_plan_value(prefix, -1);
        run_both(rest, &second, 3);
        assert_memory_equal(thaw_plan_value(whole, -1), thaw_plan_value(rest, -1),
                            12 * sizeof(float));
        assert_non_null(thaw_plan_value(rest, thaw_graph_features(g)));
        assert_int_equal(thaw_plan_reduced_count(whole), thaw_plan_reduced_count(rest));
        for (int32_t r = 0; r < thaw_plan_reduced_count(whole); r++)
            assert_memory_equal(thaw_plan_reduced(whole, r)->data, thaw_plan_reduced(rest, r)->data,
                                (size_t)thaw_plan_reduced(whole, r)->count * sizeof(float));
        thaw_plan_free(&rest);
        thaw_plan_free(&prefix);
        thaw_plan_free(&whole);
    }
    thaw_free(&x);
    thaw_graph_free(&g);
    thaw_kern_close(&kern);
}

static void paths_around_the_start_are_refused(void **state)
{
    (void)state;
    thaw_kern *kern = open_kern();
    thaw_graph *g = resnet(8, 4, 1, 3, false);
    train_all(g);
    thaw_plan *plan = NULL;
    thaw_plan_options options = plan_options(2, true);
    options.from = node_of(g, "layer2.0.conv2.weight")->inputs[0];
    assert_refused(thaw_plan_new(g, kern, &options, &plan), "linear \"fc\"", "relu (node",
                   "a path leads around it");
    options.from = -1;
    options.keep = 12345;
    assert_refused(thaw_plan_new(g, kern, &options, &plan), "12345");
    /* Nothing to do is a plan, too: the input itself. */
    float x[2 * 3 * 8 * 8] = {7};
    thaw_run run = make_run(2, x, false);
    options = plan_options(2, false);
    options.to = 0;
    assert_ok(thaw_plan_new(g, kern, &options, &plan));
    thaw_plan_forward(plan, &run);
    assert_ptr_equal(thaw_plan_value(plan, -1), x);
    thaw_plan_free(&plan);
    thaw_graph_free(&g);
    thaw_kern_close(&kern);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norms_follow_their_weight),
        cmocka_unit_test(backward_stops_at_the_lowest_trainable),
        cmocka_unit_test(dead_branches_are_inactive),
        cmocka_unit_test(frozen_costs_no_calls),
        cmocka_unit_test(boundary_lies_below_the_lowest_trainable),
        cmocka_unit_test(boundary_stops_at_chance_and_features),
        cmocka_unit_test(prefix_and_rest_give_the_same_bits),
        cmocka_unit_test(paths_around_the_start_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
