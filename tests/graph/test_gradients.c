/* thaw-test: timeout=60 */
/* Every operator kind against central differences on odd shapes, and the loss that training puts on top. The table is
 * walked by thaw_op_names: a kind without a case fails. */
#include "graph_test.h"

/* Tolerance: float32 differences with steps of 2^-6 of a tensor's size have truncation errors of up to about 1e-3 of the
 * largest gradient (batch norm over few values, curved) and rounding noise of 1e-4; a wrong formula is off by 1e-1. */
#define TOLERANCE 3e-3

typedef thaw_value case_builder(thaw_graph *g);

static thaw_value image(thaw_graph *g, int64_t C, int64_t H, int64_t W)
{
    return thaw_graph_input(g, thaw_shape_make(3, (int64_t[]){C, H, W}));
}

static thaw_value conv2d_odd(thaw_graph *g)
{
    thaw_conv2d_attr a = {.out_channels = 4,
                          .kernel_h = 3,
                          .kernel_w = 2,
                          .stride_h = 2,
                          .stride_w = 1,
                          .pad_h = 1,
                          .pad_w = 2,
                          .dilation_h = 1,
                          .dilation_w = 2,
                          .groups = 2,
                          .bias = true,
                          .init = THAW_INIT_KAIMING_UNIFORM};
    return thaw_graph_conv2d(g, "conv", image(g, 6, 7, 5), &a);
}

static thaw_value conv2d_depthwise(thaw_graph *g)
{
    thaw_conv2d_attr a = {.out_channels = 5,
                          .kernel_h = 3,
                          .kernel_w = 3,
                          .stride_h = 1,
                          .stride_w = 2,
                          .pad_h = 0,
                          .pad_w = 1,
                          .dilation_h = 2,
                          .dilation_w = 1,
                          .groups = 5,
                          .init = THAW_INIT_KAIMING_NORMAL_FAN_OUT};
    return thaw_graph_conv2d(g, "conv", image(g, 5, 9, 4), &a);
}

static thaw_value conv2d_plain(thaw_graph *g)
{
    return conv(g, "conv", image(g, 3, 5, 7), 7, 3, 1, true);
}

static thaw_value linear_flat(thaw_graph *g)
{
    return thaw_graph_linear(g, "fc", thaw_graph_input(g, thaw_shape1(11)), 7, true);
}

static thaw_value linear_rows(thaw_graph *g)
{
    return thaw_graph_linear(g, "fc", thaw_graph_input(g, thaw_shape2(3, 5)), 4, false);
}

static thaw_value norm_image(thaw_graph *g)
{
    return thaw_graph_batch_norm(g, "bn", image(g, 3, 3, 5), 1e-3f, 0.1f);
}

static thaw_value norm_flat(thaw_graph *g)
{
    return thaw_graph_batch_norm(g, "bn", thaw_graph_input(g, thaw_shape1(5)), 1e-2f, 0.1f);
}

static thaw_value relu(thaw_graph *g)
{
    return thaw_graph_relu(g, image(g, 2, 3, 5));
}

static thaw_value add_two(thaw_graph *g)
{
    thaw_value x = image(g, 2, 3, 3);
    return thaw_graph_add(g, conv(g, "a", x, 3, 3, 1, false), conv(g, "b", x, 3, 1, 1, false),
                          -0.75f);
}

static thaw_value add_itself(thaw_graph *g)
{
    thaw_value x = image(g, 2, 3, 3);
    return thaw_graph_add(g, x, x, 0.5f);
}

static thaw_value max_pool(thaw_graph *g)
{
    return thaw_graph_max_pool(g, image(g, 2, 7, 5), 3, 2, 1);
}

static thaw_value avg_pool(thaw_graph *g)
{
    return thaw_graph_avg_pool(g, image(g, 3, 7, 5), 3, 2, 1);
}

static thaw_value global_avg_pool(thaw_graph *g)
{
    return thaw_graph_global_avg_pool(g, image(g, 3, 5, 3));
}

static thaw_value flatten(thaw_graph *g)
{
    return thaw_graph_linear(g, "fc", thaw_graph_flatten(g, image(g, 2, 3, 5)), 4, true);
}

static thaw_value dropout(thaw_graph *g)
{
    return thaw_graph_dropout(g, image(g, 3, 5, 3), 0.4f);
}

/* What its backward adds is no derivative of what its forward gives: test_shrink.c looks at that. */
static thaw_value shrink(thaw_graph *g)
{
    return thaw_graph_shrink(g, thaw_graph_flatten(g, image(g, 2, 3, 5)), 0, 1);
}

static thaw_value shortcut_pad(thaw_graph *g)
{
    return thaw_graph_shortcut_pad(g, image(g, 3, 7, 5), 8, 2);
}

static thaw_value pad(thaw_graph *g)
{
    return thaw_graph_pad(g, image(g, 3, 4, 5), &(thaw_border){1, 2, 0, 3});
}

static thaw_value relu6(thaw_graph *g)
{
    return thaw_graph_relu6(g, thaw_graph_linear(g, "fc", image(g, 2, 3, 5), 40, true));
}

static thaw_value tanh_flat(thaw_graph *g)
{
    return thaw_graph_tanh(g, thaw_graph_input(g, thaw_shape1(9)));
}

static thaw_value gelu(thaw_graph *g)
{
    return thaw_graph_gelu(g, image(g, 2, 3, 5), false);
}

static thaw_value gelu_tanh(thaw_graph *g)
{
    return thaw_graph_gelu(g, image(g, 2, 3, 5), true);
}

static thaw_value linear_gelu(thaw_graph *g)
{
    return thaw_graph_linear_gelu(g, "fc", thaw_graph_input(g, thaw_shape2(3, 5)), 18, true, false);
}

static thaw_value layer_norm(thaw_graph *g)
{
    return thaw_graph_layer_norm(g, "norm", thaw_graph_input(g, thaw_shape2(3, 21)), 1e-3f);
}

static thaw_value tokens(thaw_graph *g, int64_t T)
{
    return thaw_graph_input(g, thaw_shape1(T));
}

static thaw_value embed(thaw_graph *g, const char *name, thaw_value ids, int64_t pad_id,
                        thaw_embed_rule rule)
{
    thaw_embedding_attr a = {.rows = 7, .features = 6, .pad_id = pad_id, .rule = rule};
    return thaw_graph_embedding(g, name, ids, &a);
}

static thaw_value embedding(thaw_graph *g)
{
    thaw_value ids = tokens(g, 5);
    thaw_value x = thaw_graph_add(g, embed(g, "word", ids, -1, THAW_EMBED_IDS),
                                  embed(g, "place", ids, -1, THAW_EMBED_POSITIONS), 1.0f);
    return thaw_graph_add(g, x, embed(g, "kind", ids, -1, THAW_EMBED_FIRST), 1.0f);
}

/* Behind tokens that are not in the list. No token drawn is padding, whose row would get no gradient. */
static thaw_value embedding_behind(thaw_graph *g)
{
    thaw_value ids = tokens(g, 4);
    thaw_embedding_attr places = {
        .rows = 7, .features = 6, .pad_id = -1, .rule = THAW_EMBED_POSITIONS, .skip = 3};
    thaw_embedding_attr counted = {
        .rows = 14, .features = 6, .pad_id = 7, .rule = THAW_EMBED_COUNTED, .skip = 2};
    thaw_value x = thaw_graph_add(g, embed(g, "word", ids, -1, THAW_EMBED_IDS),
                                  thaw_graph_embedding(g, "place", ids, &places), 1.0f);
    return thaw_graph_add(g, x, thaw_graph_embedding(g, "count", ids, &counted), 1.0f);
}

static thaw_value attend(thaw_graph *g, thaw_value x, thaw_value ids, float dropout)
{
    thaw_attention_attr a = {.heads = 3, .pad_id = 0, .dropout = dropout};
    thaw_value q = thaw_graph_linear(g, "q", x, 6, true);
    thaw_value k = thaw_graph_linear(g, "k", x, 6, true);
    return thaw_graph_attention(g, q, k, thaw_graph_linear(g, "v", x, 6, true), ids, &a);
}

static thaw_value attention(thaw_graph *g)
{
    return attend(g, thaw_graph_input(g, thaw_shape2(5, 6)), THAW_NO_VALUE, 0.0f);
}

static thaw_value attention_dropped(thaw_graph *g)
{
    return attend(g, thaw_graph_input(g, thaw_shape2(5, 6)), THAW_NO_VALUE, 0.3f);
}

static thaw_value attention_masked(thaw_graph *g)
{
    thaw_value ids = tokens(g, 9);
    return attend(g, embed(g, "word", ids, -1, THAW_EMBED_IDS), ids, 0.0f);
}

static thaw_value attention_of_one(thaw_graph *g)
{
    thaw_attention_attr a = {.heads = 2, .pad_id = 0, .dropout = 0.2f};
    thaw_value ids = tokens(g, 7);
    thaw_value x = embed(g, "word", ids, -1, THAW_EMBED_IDS);
    thaw_value q = thaw_graph_linear(g, "q", thaw_graph_select_token(g, x, 3), 6, true);
    return thaw_graph_attention(g, q, x, thaw_graph_linear(g, "v", x, 6, true), ids, &a);
}

static thaw_value attention_to_itself(thaw_graph *g)
{
    thaw_attention_attr a = {.heads = 2, .pad_id = 0};
    thaw_value x = thaw_graph_input(g, thaw_shape2(4, 6));
    return thaw_graph_attention(g, x, x, x, THAW_NO_VALUE, &a);
}

static thaw_value attention_joined(thaw_graph *g)
{
    thaw_attention_attr a = {.heads = 2, .pad_id = 0, .dropout = 0.2f};
    thaw_value x = thaw_graph_input(g, thaw_shape2(5, 6));
    thaw_value qkv = thaw_graph_linear(g, "qkv", x, 18, true);
    x = thaw_graph_attention_joined(g, qkv, &a);
    return thaw_graph_linear(
        g, "fc", thaw_graph_add(g, x, thaw_graph_linear(g, "two", qkv, 6, true), 1.0f), 4, true);
}

static thaw_value class_token(thaw_graph *g)
{
    thaw_value x = image(g, 3, 4, 6);
    x = thaw_graph_add(g, conv(g, "one.conv1", x, 17, 2, 2, true),
                       conv(g, "two", x, 17, 2, 2, true), 1.0f);
    return thaw_graph_class_token(g, "fc", x, "places");
}

static thaw_value class_token_beside_others(thaw_graph *g)
{
    thaw_value x = image(g, 5, 2, 3);
    thaw_value y = thaw_graph_flatten(g, thaw_graph_class_token(g, "", x, "places"));
    return thaw_graph_add(g, thaw_graph_linear(g, "fc", y, 3, true),
                          thaw_graph_linear(g, "one", thaw_graph_flatten(g, x), 3, true), 1.0f);
}

static thaw_value mean_patch(thaw_graph *g)
{
    return thaw_graph_mean_patch(g, thaw_graph_input(g, thaw_shape2(4, 6)));
}

static thaw_value low_rank(thaw_graph *g)
{
    thaw_value x = thaw_graph_input(g, thaw_shape2(3, 5));
    thaw_value base = thaw_graph_linear(g, "fc", x, 4, true);
    return thaw_graph_low_rank(g, "fc", base, x, 2, -0.7f);
}

/* base and x are one value, and others need it too. */
static thaw_value low_rank_of_itself(thaw_graph *g)
{
    thaw_value x = thaw_graph_input(g, thaw_shape1(5));
    return thaw_graph_add(g, thaw_graph_low_rank(g, "fc", x, x, 2, 1.5f), x, 1.0f);
}

static thaw_value low_rank_rows(thaw_graph *g)
{
    thaw_value ids = tokens(g, 5);
    thaw_value x = embed(g, "word", ids, -1, THAW_EMBED_IDS);
    return thaw_graph_low_rank_rows(g, "word", x, ids, 7, -1, 2, 0.8f);
}

static thaw_value magnitude_rows(thaw_graph *g)
{
    return thaw_graph_magnitude(g, "fc", low_rank(g), -0.7f);
}

static thaw_value magnitude_image(thaw_graph *g)
{
    thaw_value x = image(g, 3, 5, 6);
    thaw_value base = conv(g, "conv", x, 5, 3, 1, false);
    thaw_value a = conv(g, "conv.lora_A", x, 2, 3, 1, false);
    thaw_value b = conv(g, "conv.lora_B", a, 5, 1, 1, false);
    return thaw_graph_magnitude(g, "conv", thaw_graph_add(g, base, b, 1.5f), 1.5f);
}

static thaw_value scale_shift_image(thaw_graph *g)
{
    return thaw_graph_scale_shift(g, "fc", image(g, 3, 2, 5), THAW_SCALE_AND_SHIFT);
}

static thaw_value scale_rows(thaw_graph *g)
{
    thaw_value x = thaw_graph_input(g, thaw_shape2(3, 7));
    x = thaw_graph_scale_shift(g, "in", x, THAW_SCALE_INPUT);
    return thaw_graph_scale_shift(g, "fc", thaw_graph_linear(g, "one", x, 19, true),
                                  THAW_SCALE_OUTPUT);
}

static thaw_value select_token(thaw_graph *g)
{
    return thaw_graph_select_token(g, thaw_graph_input(g, thaw_shape2(4, 6)), 2);
}

static thaw_value mean_token(thaw_graph *g)
{
    thaw_value ids = tokens(g, 6);
    return thaw_graph_mean_token(g, embed(g, "word", ids, -1, THAW_EMBED_IDS), ids, 3);
}

static thaw_value prompt(thaw_graph *g)
{
    thaw_value x = thaw_graph_input(g, thaw_shape2(4, 6));
    thaw_value y = thaw_graph_prompt(g, "fc", thaw_graph_linear(g, "one", x, 6, true), 3);
    thaw_attention_attr a = {.heads = 2, .pad_id = 0};
    return thaw_graph_attention(g, x, y, y, THAW_NO_VALUE, &a);
}

/* x has two users, and the longer list masks: the prompt's rows are seen, padding is not. */
static thaw_value prompt_of_tokens(thaw_graph *g)
{
    thaw_value ids = tokens(g, 5);
    thaw_value x = embed(g, "word", ids, -1, THAW_EMBED_IDS);
    thaw_value y = thaw_graph_prompt(g, "fc", x, 2);
    thaw_attention_attr a = {.heads = 3, .pad_id = 0};
    return thaw_graph_attention(g, x, y, y, thaw_graph_prompt_ids(g, ids, 2, 1), &a);
}

static thaw_value prompt_in_between(thaw_graph *g)
{
    thaw_value x = thaw_graph_input(g, thaw_shape2(4, 6));
    x = thaw_graph_prompt_at(g, "fc", thaw_graph_linear(g, "one", x, 6, true), 2, 1, false);
    x = thaw_graph_linear(g, "two", x, 6, true);
    thaw_value y = thaw_graph_prompt_at(g, "q", x, 2, 1, true);
    return thaw_graph_add(g, thaw_graph_linear(g, "three", y, 6, true), x, 0.5f);
}

/* Everything in place that can be: views, relu and add over their inputs, gradients that take over buffers, a value that
 * three nodes use. */
static thaw_value mixture(thaw_graph *g)
{
    thaw_value x = image(g, 3, 6, 6);
    thaw_value v = thaw_graph_relu(g, conv_norm(g, "one", 1, x, 4, 3, 1));
    thaw_value w = conv_norm(g, "two", 1, v, 4, 3, 1);
    v = thaw_graph_add(g, w, v, 1.0f);
    v = thaw_graph_add(g, conv(g, "three", v, 4, 1, 1, true), v, -0.5f);
    v = thaw_graph_dropout(g, thaw_graph_relu(g, v), 0.2f);
    v = thaw_graph_add(g, thaw_graph_avg_pool(g, v, 2, 2, 0), thaw_graph_max_pool(g, v, 2, 2, 0),
                       0.5f);
    return thaw_graph_linear(g, "fc", thaw_graph_flatten(g, v), 5, true);
}

static const struct {
    const char *kind;
    case_builder *build;
} cases[] = {
    {"conv2d", conv2d_odd},
    {"conv2d", conv2d_depthwise},
    {"conv2d", conv2d_plain},
    {"linear", linear_flat},
    {"linear", linear_rows},
    {"batch_norm", norm_image},
    {"batch_norm", norm_flat},
    {"relu", relu},
    {"add", add_two},
    {"add", add_itself},
    {"max_pool", max_pool},
    {"avg_pool", avg_pool},
    {"global_avg_pool", global_avg_pool},
    {"flatten", flatten},
    {"shrink", shrink},
    {"dropout", dropout},
    {"pad", pad},
    {"shortcut_pad", shortcut_pad},
    {"dropout", mixture},
    {"relu6", relu6},
    {"tanh", tanh_flat},
    {"gelu", gelu},
    {"gelu", gelu_tanh},
    {"linear", linear_gelu},
    {"layer_norm", layer_norm},
    {"embedding", embedding},
    {"embedding", embedding_behind},
    {"attention", attention},
    {"attention", attention_dropped},
    {"attention", attention_masked},
    {"attention", attention_to_itself},
    {"attention", attention_of_one},
    {"attention", attention_joined},
    {"class_token", class_token},
    {"class_token", class_token_beside_others},
    {"mean_patch", mean_patch},
    {"low_rank", low_rank},
    {"low_rank", low_rank_of_itself},
    {"low_rank_rows", low_rank_rows},
    {"magnitude", magnitude_rows},
    {"magnitude", magnitude_image},
    {"scale_shift", scale_shift_image},
    {"scale_shift", scale_rows},
    {"select_token", select_token},
    {"mean_token", mean_token},
    {"prompt", prompt},
    {"prompt", prompt_of_tokens},
    {"prompt", prompt_in_between},
};
#define CASES (sizeof cases / sizeof cases[0])

/* Which parameters train changes what is computed, kept and overwritten. */
static const char *const patterns[] = {"*",
                                       "",
                                       "*.weight",
                                       "*.bias",
                                       "fc.*",
                                       "one.conv1.weight",
                                       "*.lora_magnitude_vector",
                                       "*_A",
                                       "*.ssf_shift",
                                       "*cls_token",
                                       "*places"};

static void check_case(size_t index, const thaw_kern *kern, const char *pattern)
{
    thaw_graph *g = new_graph();
    double worst = 0;
    thaw_graph_set_logits(g, cases[index].build(g));
    assert_ok(thaw_graph_finish(g));
    randomize(g, 11 + index);
    train_only(g, pattern);
    thaw_status status = thaw_graph_check_gradients(g, kern, 3, 21 + index, TOLERANCE, &worst);
    if (status != THAW_OK)
        fail_msg("case %zu (%s), backend %s, training \"%s\": %s", index, cases[index].kind,
                 kern->name, pattern, thaw_error_last()->message);
    thaw_graph_free(&g);
}

static void every_kind_has_a_case(void **state)
{
    (void)state;
    for (const char *const *name = thaw_op_names(); *name != NULL; name++) {
        bool found = false;
        for (size_t i = 0; i < CASES; i++)
            found = found || strcmp(cases[i].kind, *name) == 0;
        if (!found)
            fail_msg("operator kind %s has no gradient check", *name);
        assert_non_null(thaw_op_doc(*name));
    }
    assert_null(thaw_op_doc("no such kind"));
}

static void gradients_agree_with_differences(void **state)
{
    (void)state;
    for (const char *const *name = thaw_kern_names(); *name != NULL; name++) {
        thaw_kern *kern = NULL;
        if (thaw_kern_open(*name, &kern) != THAW_OK) {
            print_message("backend %s cannot be opened: skipped\n", *name);
            continue;
        }
        for (size_t i = 0; i < CASES; i++)
            for (size_t j = 0; j < sizeof patterns / sizeof patterns[0]; j++)
                check_case(i, kern, patterns[j]);
        thaw_kern_close(&kern);
    }
}

/* Trains the stem's convolution alone, through frozen norms, and everything. */
static void residual_network_agrees(void **state)
{
    (void)state;
    thaw_kern *kern = open_kern();
    for (int projection = 0; projection < 2; projection++) {
        thaw_graph *g = resnet(6, 2, 1, 3, projection);
        randomize(g, 4);
        double worst = 0;
        train_all(g);
        assert_ok(thaw_graph_check_gradients(g, kern, 4, 8, TOLERANCE, &worst));
        train_only(g, "stem.conv1.weight");
        assert_ok(thaw_graph_check_gradients(g, kern, 4, 8, TOLERANCE, &worst));
        thaw_graph_free(&g);
    }
    thaw_kern_close(&kern);
}

/* A check that cannot fail shows nothing: a weight that forward and backward see differently must be found. */
static void broken_data(const thaw_kern *k, const thaw_conv2d *s, const float *w, const float *dy,
                        float *dx, bool accumulate, void *workspace)
{
    thaw_kern *ref = open_kern();
    (void)k;
    ref->conv2d_backward_data(ref, s, w, dy, dx, accumulate, workspace);
    dx[0] += 0.1f;
    thaw_kern_close(&ref);
}

static void wrong_gradient_is_found(void **state)
{
    (void)state;
    thaw_kern *kern = open_kern();
    kern->conv2d_backward_data = broken_data;
    thaw_graph *g = new_graph();
    thaw_graph_set_logits(g, conv(g, "conv", image(g, 1, 3, 3), 2, 3, 1, false));
    assert_ok(thaw_graph_finish(g));
    randomize(g, 1);
    train_all(g);
    double worst = 0;
    assert_int_equal(thaw_graph_check_gradients(g, kern, 2, 3, 3e-3, &worst), THAW_ERR_NUMERIC);
    assert_true(worst > 3e-3);
    assert_non_null(strstr(thaw_error_last()->message, "\"input\" element 0"));
    thaw_graph_free(&g);
    thaw_kern_close(&kern);
}

static double cross_entropy(thaw_plan *plan, const thaw_run *run, int64_t K, const int32_t *labels,
                            const float *class_weights, float *probs)
{
    float losses[8];
    double weight_sum = 0;
    double sum = 0;
    thaw_plan_forward(plan, run);
    thaw_kern_softmax_cross_entropy(run->B, K, thaw_plan_value(plan, -1), labels, 0.1f,
                                    class_weights, losses, probs, &weight_sum);
    for (int64_t b = 0; b < run->B; b++)
        sum += losses[b];
    return sum;
}

/* The loss of training, softmax cross-entropy with smoothing and class weights, on a linear layer: every weight. */
static void cross_entropy_on_top_agrees(void **state)
{
    (void)state;
    enum { B = 5, D = 7, K = 4 };
    static const int32_t labels[B] = {2, 0, 3, 3, 1};
    static const float class_weights[K] = {0.5f, 1.0f, 2.0f, 1.5f};
    thaw_kern *kern = open_kern();
    thaw_graph *g = new_graph();
    thaw_graph_set_logits(g,
                          thaw_graph_linear(g, "fc", thaw_graph_input(g, thaw_shape1(D)), K, true));
    assert_ok(thaw_graph_finish(g));
    randomize(g, 2);
    train_all(g);
    thaw_plan *plan = NULL;
    thaw_plan_options options = plan_options(B, true);
    assert_ok(thaw_plan_new(g, kern, &options, &plan));
    float *x = random_floats(B * D, 9);
    thaw_run run = make_run(B, x, true);
    float probs[B * K];
    (void)cross_entropy(plan, &run, K, labels, class_weights, probs);
    thaw_kern_softmax_cross_entropy_backward(B, K, probs, labels, 0.1f, class_weights,
                                             thaw_plan_output_gradient(plan));
    thaw_plan_backward(plan, &run, NULL, NULL, NULL);
    for (int32_t r = 0; r < thaw_plan_reduced_count(plan); r++) {
        const thaw_reduced *reduced = thaw_plan_reduced(plan, r);
        float *w = thaw_graph_param(g, reduced->param)->data;
        for (int64_t i = 0; i < reduced->count; i++) {
            float center = w[i];
            float above = center + 0x1p-7f;
            float below = center - 0x1p-7f;
            w[i] = above;
            double upper = cross_entropy(plan, &run, K, labels, class_weights, probs);
            w[i] = below;
            double lower = cross_entropy(plan, &run, K, labels, class_weights, probs);
            w[i] = center;
            double numeric = (upper - lower) / ((double)above - (double)below);
            /* Gradients are of size 1; truncation h^2 = 6e-5, noise 1e-6 / h = 1e-4. */
            assert_true(fabs(numeric - reduced->data[i]) < 5e-4);
        }
    }
    thaw_free(&x);
    thaw_plan_free(&plan);
    thaw_graph_free(&g);
    thaw_kern_close(&kern);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_has_a_case),
        cmocka_unit_test(gradients_agree_with_differences),
        cmocka_unit_test(residual_network_agrees),
        cmocka_unit_test(wrong_gradient_is_found),
        cmocka_unit_test(cross_entropy_on_top_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
