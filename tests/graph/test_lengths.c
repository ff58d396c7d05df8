/* Texts that a plan runs shorter than it was made for: what is left out is padding, so logits and gradients stay.
 * thaw-test: timeout=60 modules=kern */
#include <math.h>
#include <string.h>

#include "graph_test.h"

#include "graph/plan_impl.h"

enum { T = 48, SHORT = 16, D = 8, K = 3, B = 4, PIECES = 20, PROMPT = 2 };

static thaw_value encode(thaw_graph *g, thaw_value ids, thaw_value x, const char *const *names)
{
    const thaw_attention_attr attr = {.heads = 2};
    const thaw_value q = thaw_graph_linear(g, names[0], x, D, true);
    const thaw_value k = thaw_graph_linear(g, names[1], x, D, true);
    const thaw_value v = thaw_graph_linear(g, names[2], x, D, true);
    const thaw_value y = thaw_graph_attention(g, q, k, v, ids, &attr);
    x = thaw_graph_layer_norm(g, names[3], thaw_graph_add(g, y, x, 1), 1e-5f);
    const thaw_value h = thaw_graph_gelu(g, thaw_graph_linear(g, names[4], x, 2 * D, true), false);
    return thaw_graph_add(g, thaw_graph_linear(g, names[5], h, D, true), x, 1);
}

/* All that text networks are made of, with a prompt in front and lora on the table. */
static thaw_graph *make_text(int64_t planes)
{
    static const char *const one[] = {"a.q", "a.k", "a.v", "a.norm", "a.up", "a.down"};
    static const char *const two[] = {"b.q", "b.k", "b.v", "b.norm", "b.up", "b.down"};
    const thaw_embedding_attr words = {.rows = PIECES, .features = D, .rule = THAW_EMBED_IDS};
    const thaw_embedding_attr places = {.rows = T + 1, .features = D, .rule = THAW_EMBED_COUNTED};
    const thaw_embedding_attr types = {
        .rows = 2, .features = D, .pad_id = -1, .rule = THAW_EMBED_IDS};
    thaw_graph *g = NULL;
    assert_ok(thaw_graph_new(&g));
    const thaw_value input = thaw_graph_input(g, planes == 1 ? thaw_shape1(T) : thaw_shape2(2, T));
    thaw_value ids = planes == 1 ? input : thaw_graph_select_token(g, input, 0);
    thaw_value x = thaw_graph_embedding(g, "words", ids, &words);
    x = thaw_graph_low_rank_rows(g, "words", x, ids, PIECES, 0, 2, 0.5f);
    x = thaw_graph_add(g, x, thaw_graph_embedding(g, "places", ids, &places), 1);
    if (planes == 2)
        x = thaw_graph_add(
            g, x, thaw_graph_embedding(g, "types", thaw_graph_select_token(g, input, 1), &types),
            1);
    x = thaw_graph_prompt(g, "prompt", x, PROMPT);
    ids = thaw_graph_prompt_ids(g, ids, PROMPT, 1);
    x = encode(g, ids, x, one);
    x = encode(g, ids, x, two);
    x = thaw_graph_mean_token(g, x, ids, 0);
    thaw_graph_set_features(g, x);
    thaw_graph_set_logits(g, thaw_graph_linear(g, "fc", x, K, true));
    assert_ok(thaw_graph_finish(g));
    thaw_graph_initialize(g, 5, NULL, NULL);
    for (int32_t i = 0; i < thaw_graph_param_count(g); i++)
        thaw_graph_param(g, i)->trainable = true;
    assert_ok(thaw_graph_analyze(g));
    return g;
}

/* Texts of 16, 13, 10 and 7 tokens in rows of `length`; of the second plane the last three are of type 1. */
static void fill(float *x, int64_t planes, int64_t length)
{
    memset(x, 0, (size_t)(B * planes * length) * sizeof *x);
    for (int64_t b = 0; b < B; b++)
        for (int64_t t = 0; t < SHORT - 3 * b; t++) {
            x[b * planes * length + t] = (float)(2 + (7 * b + 3 * t) % (PIECES - 2));
            if (planes == 2)
                x[(b * planes + 1) * length + t] = t >= SHORT - 3 * b - 3 ? 1 : 0;
        }
}

static void run_once(thaw_plan *plan, int64_t planes, int64_t tokens, float *logits)
{
    static float x[B * 2 * T];
    static const int64_t ids[B] = {0, 1, 2, 3};
    const thaw_run run = {
        .B = B, .tokens = tokens, .input = x, .sample_ids = ids, .training = true};
    fill(x, planes, tokens == 0 ? T : tokens);
    thaw_plan_forward(plan, &run);
    memcpy(logits, thaw_plan_value(plan, -1), B * K * sizeof *logits);
    for (int i = 0; i < B * K; i++)
        thaw_plan_output_gradient(plan)[i] = (float)(i % 5) - 2;
    thaw_plan_backward(plan, &run, NULL, NULL, NULL);
}

static double largest(const float *a, const float *b, int64_t count)
{
    double most = 0;
    for (int64_t i = 0; i < count; i++)
        most = fmax(most, fabs((double)a[i] - (double)b[i]));
    return most;
}

/* Sums over tokens have zeros fewer: float rounding at most. Afterwards the plan runs whole texts as before. */
static void check(int64_t planes, bool recompute)
{
    thaw_graph *g = make_text(planes);
    thaw_kern *kern = NULL;
    thaw_plan *plan = NULL;
    float whole[B * K], shorter[B * K], again[B * K];
    const thaw_plan_options options = {
        .batch = B, .training = true, .from = -1, .to = -1, .keep = -1, .recompute = recompute};
    assert_ok(thaw_kern_open("native", &kern));
    assert_ok(thaw_plan_new(g, kern, &options, &plan));
    assert_ok(thaw_plan_add_length(plan, 32));
    assert_ok(thaw_plan_add_length(plan, SHORT));
    const int64_t count = (int64_t)(thaw_plan_reduced_bytes(plan) / sizeof(float));
    const float *gradients = thaw_plan_reduced(plan, 0)->data;
    float *before = NULL;
    assert_ok(thaw_alloc(&before, count, sizeof *before));
    run_once(plan, planes, 0, whole);
    memcpy(before, gradients, (size_t)count * sizeof *before);
    const int64_t lengths[] = {SHORT, 32};
    for (int i = 0; i < 2; i++) {
        run_once(plan, planes, lengths[i], shorter);
        assert_true(largest(whole, shorter, B * K) < 1e-6);
        assert_true(largest(before, gradients, count) < 2e-5);
        assert_true(largest(gradients, gradients + count / 2, count / 2) > 1e-3);
    }
    run_once(plan, planes, 0, again);
    assert_memory_equal(whole, again, sizeof whole);
    assert_memory_equal(before, gradients, (size_t)count * sizeof *before);
    thaw_free(&before);
    thaw_plan_free(&plan);
    thaw_kern_close(&kern);
    thaw_graph_free(&g);
}

static void test_one_plane(void **state)
{
    (void)state;
    check(1, false);
}

static void test_types_and_recompute(void **state)
{
    (void)state;
    check(2, true);
}

/* What is made for one length says so; a plan that was refused a length goes on. */
static void test_refused(void **state)
{
    (void)state;
    thaw_graph *g = NULL;
    thaw_kern *kern = NULL;
    thaw_plan *plan = NULL;
    const thaw_embedding_attr words = {.rows = PIECES, .features = D, .rule = THAW_EMBED_IDS};
    const thaw_plan_options options = {.batch = B, .from = -1, .to = -1, .keep = -1};
    assert_ok(thaw_graph_new(&g));
    thaw_value x = thaw_graph_embedding(g, "words", thaw_graph_input(g, thaw_shape1(T)), &words);
    x = thaw_graph_flatten(g, x);
    thaw_graph_set_features(g, x);
    thaw_graph_set_logits(g, thaw_graph_linear(g, "fc", x, K, true));
    assert_ok(thaw_graph_finish(g));
    assert_ok(thaw_graph_analyze(g));
    assert_ok(thaw_kern_open("native", &kern));
    assert_ok(thaw_plan_new(g, kern, &options, &plan));
    assert_refused(thaw_plan_add_length(plan, SHORT), "fc");
    assert_refused(thaw_plan_add_length(plan, T + 1), "49 tokens");
    thaw_plan_free(&plan);
    thaw_kern_close(&kern);
    thaw_graph_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_plane),
        cmocka_unit_test(test_types_and_recompute),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
