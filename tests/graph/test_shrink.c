/* The operator of batch spectral shrinkage: nothing in forward, and in backward B strength times the penalty's gradient, down to the weights.
 * thaw-test: timeout=20 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* after the standard headers that it needs */
#include <cmocka.h>

#include "graph_test.h"

enum { B = 6, IN = 5, D = 4, K = 3 };

static thaw_graph *network(double strength)
{
    thaw_graph *g = new_graph();
    thaw_graph_set_block(g, 0, "stem");
    thaw_value x = thaw_graph_input(g, thaw_shape1(IN));
    x = thaw_graph_relu(g, thaw_graph_linear(g, "one", x, 8, true));
    x = thaw_graph_linear(g, "two", x, D, true);
    if (strength >= 0)
        x = thaw_graph_shrink(g, x, strength, 1);
    thaw_graph_set_block(g, -1, "head");
    thaw_graph_set_features(g, x);
    thaw_graph_set_logits(g, thaw_graph_linear(g, "fc", x, K, true));
    assert_ok(thaw_graph_finish(g));
    train_all(g);
    randomize(g, 11);
    return g;
}

typedef struct ran {
    float logits[B * K], features[B * D];
    float gradient[8 * IN]; /* of one.weight */
} ran;

static void run(thaw_graph *g, const thaw_kern *kern, const float *input, bool pull, ran *out)
{
    thaw_plan *plan = NULL;
    thaw_plan_options options = plan_options(B, true);
    options.keep = thaw_graph_features(g);
    assert_ok(thaw_plan_new(g, kern, &options, &plan));
    const thaw_run r = make_run(B, input, true);
    thaw_plan_forward(plan, &r);
    memcpy(out->logits, thaw_plan_value(plan, thaw_graph_logits(g)), sizeof out->logits);
    memcpy(out->features, thaw_plan_value(plan, thaw_graph_features(g)), sizeof out->features);
    float *dy = thaw_plan_output_gradient(plan);
    for (int i = 0; i < B * K; i++)
        dy[i] = pull ? 0.1f * (float)(i % 5) - 0.2f : 0.0f;
    thaw_plan_backward(plan, &r, NULL, NULL, NULL);
    for (int32_t i = 0; i < thaw_plan_reduced_count(plan); i++) {
        const thaw_reduced *p = thaw_plan_reduced(plan, i);
        if (strcmp(thaw_graph_param(g, p->param)->name, "one.weight") == 0)
            memcpy(out->gradient, p->data, sizeof out->gradient);
    }
    thaw_plan_free(&plan);
}

static double penalty(const ran *r)
{
    double matrix[D * D] = {0};
    double squares[D];
    for (int i = 0; i < D * D; i++) {
        for (int b = 0; b < B; b++)
            matrix[i] += (double)r->features[b * D + i / D] * (double)r->features[b * D + i % D];
    }
    thaw_symmetric_eigen(matrix, D, squares, NULL);
    return squares[0];
}

static void test_backward_adds_the_penalty(void **state)
{
    (void)state;
    const double strength = 0.5;
    thaw_kern *kern = open_kern();
    float *input = random_floats(B * IN, 3);
    thaw_graph *with = network(strength);
    thaw_graph *without = network(-1);
    ran a;
    ran b;
    ran moved;
    run(without, kern, input, true, &a);
    run(with, kern, input, true, &b);
    assert_memory_equal(a.logits, b.logits, sizeof a.logits);
    float *w = find_param(with, "one.weight")->data;
    double most = 0;
    for (int i = 0; i < 8 * IN; i++) {
        const float kept = w[i];
        const float h = 1e-3f;
        w[i] = kept + h;
        run(with, kern, input, true, &moved);
        const double more = penalty(&moved);
        w[i] = kept - h;
        run(with, kern, input, true, &moved);
        w[i] = kept;
        const double slope = strength * B * (more - penalty(&moved)) / (2 * (double)h);
        const double added = (double)b.gradient[i] - (double)a.gradient[i];
        most = fmax(most, fabs(slope));
        /* Features in single precision, differences of 2e-3: their squares are good to some 1e-6, the slope to 1e-3. */
        if (fabs(slope - added) > 5e-3)
            fail_msg("one.weight %d: %.6g was added, differences give %.6g", i, added, slope);
    }
    assert_true(most > 0.1); /* there was something to see */
    run(with, kern, input, false, &b);
    run(without, kern, input, false, &a);
    for (int i = 0; i < 8 * IN; i++)
        assert_float_equal(a.gradient[i], 0, 0);
    thaw_graph_free(&without);
    thaw_graph_free(&with);
    thaw_free(&input);
    thaw_kern_close(&kern);
}

static void test_refused(void **state)
{
    (void)state;
    thaw_graph *g = new_graph();
    thaw_value x = thaw_graph_input(g, thaw_shape_make(3, (int64_t[]){2, 3, 3}));
    (void)thaw_graph_shrink(g, x, 1, 1);
    assert_refused(thaw_graph_finish(g), "3 dimensions");
    thaw_graph_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backward_adds_the_penalty),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
