/* What a run does: batch norm's two faces, dropout's masks, the order in which gradients become ready, no samples. */
#include "graph_test.h"

#include "graph/graph_impl.h"

static thaw_plan *new_plan(thaw_graph *g, const thaw_kern *kern, int64_t batch, bool training)
{
    thaw_plan *plan = NULL;
    thaw_plan_options options = plan_options(batch, training);
    assert_ok(thaw_plan_new(g, kern, &options, &plan));
    return plan;
}

static const thaw_reduced *reduced_of(const thaw_graph *g, const thaw_plan *plan, const char *name)
{
    for (int32_t i = 0; i < thaw_plan_reduced_count(plan); i++)
        if (thaw_plan_reduced(plan, i)->param == thaw_graph_find_param(g, name))
            return thaw_plan_reduced(plan, i);
    return NULL;
}

static thaw_graph *norm_graph(int64_t C, int64_t H, int64_t W)
{
    thaw_graph *g = new_graph();
    thaw_value x = thaw_graph_input(g, thaw_shape_make(3, (int64_t[]){C, H, W}));
    thaw_graph_set_logits(g, thaw_graph_batch_norm(g, "bn", x, 1e-5f, 0.1f));
    assert_ok(thaw_graph_finish(g));
    randomize(g, 3);
    return g;
}

static void training_norms_give_their_statistics(void **state)
{
    (void)state;
    enum { B = 5, C = 2, S = 6 };
    thaw_kern *kern = open_kern();
    thaw_graph *g = norm_graph(C, 2, 3);
    train_all(g);
    thaw_plan *plan = new_plan(g, kern, 8, true);
    float *x = random_floats(B * C * S, 4);
    thaw_run run = make_run(B, x, true);
    run_both(plan, &run, C * S);
    const thaw_reduced *mean = reduced_of(g, plan, "bn.running_mean");
    const thaw_reduced *var = reduced_of(g, plan, "bn.running_var");
    assert_true(mean->statistic && var->statistic);
    assert_false(reduced_of(g, plan, "bn.weight")->statistic);
    for (int c = 0; c < C; c++) {
        double sum = 0, squares = 0;
        for (int b = 0; b < B; b++)
            for (int i = 0; i < S; i++)
                sum += x[(b * C + c) * S + i];
        for (int b = 0; b < B; b++)
            for (int i = 0; i < S; i++)
                squares += pow(x[(b * C + c) * S + i] - sum / (B * S), 2);
        /* Float32 results of sums in double: a few roundings. */
        assert_true(fabs(mean->data[c] - B * sum / (B * S)) < 1e-5);
        assert_true(fabs(var->data[c] - B * squares / (B * S - 1)) < 1e-5);
    }
    float y[B * C * S];
    memcpy(y, thaw_plan_value(plan, -1), sizeof y);
    /* Evaluation on the same plan: stored statistics, and nothing for the sum. */
    run.training = false;
    thaw_plan_forward(plan, &run);
    assert_true(memcmp(y, thaw_plan_value(plan, -1), sizeof y) != 0);
    assert_true(mean->data[0] == 0 && var->data[1] == 0);
    float expected[B * C * S];
    thaw_image image = {B, C, S, 1, 1};
    thaw_kern_batch_norm_eval(
        &image, x, find_param(g, "bn.weight")->data, find_param(g, "bn.bias")->data,
        find_param(g, "bn.running_mean")->data, find_param(g, "bn.running_var")->data, 1e-5f, NULL,
        THAW_ACT_NONE, expected);
    assert_memory_equal(expected, thaw_plan_value(plan, -1), sizeof expected);
    thaw_free(&x);
    thaw_plan_free(&plan);
    thaw_graph_free(&g);
    thaw_kern_close(&kern);
}

static void frozen_norms_never_change(void **state)
{
    (void)state;
    thaw_kern *kern = open_kern();
    thaw_graph *g = norm_graph(2, 2, 3);
    train_only(g, "bn.bias");
    thaw_digest before, after;
    thaw_state all = {0};
    assert_ok(thaw_graph_state(g, THAW_ALL, &all));
    assert_ok(thaw_state_digest(&all, &before));
    thaw_plan *plan = new_plan(g, kern, 4, true);
    assert_int_equal(thaw_plan_reduced_count(plan), 1);
    float *x = random_floats(4 * 12, 4);
    thaw_run run = make_run(4, x, true);
    run_both(plan, &run, 12);
    float y[48];
    memcpy(y, thaw_plan_value(plan, -1), sizeof y);
    run.training = false;
    thaw_plan_forward(plan, &run);
    assert_memory_equal(y, thaw_plan_value(plan, -1), sizeof y);
    assert_ok(thaw_state_digest(&all, &after));
    assert_true(thaw_digest_equal(before, after));
    thaw_state_clear(&all);
    thaw_free(&x);
    thaw_plan_free(&plan);
    thaw_graph_free(&g);
    thaw_kern_close(&kern);
}

static void one_value_has_no_variance(void **state)
{
    (void)state;
    thaw_kern *kern = open_kern();
    thaw_graph *g = norm_graph(3, 1, 1);
    train_all(g);
    thaw_plan *plan = new_plan(g, kern, 4, true);
    float x[3] = {1, -2, 3};
    thaw_run run = make_run(1, x, true);
    run_both(plan, &run, 3);
    assert_true(reduced_of(g, plan, "bn.running_var")->data[2] == 0);
    assert_true(reduced_of(g, plan, "bn.running_mean")->data[2] == 3);
    for (int i = 0; i < 3; i++)
        assert_true(isfinite(thaw_plan_value(plan, -1)[i]));
    thaw_plan_free(&plan);
    thaw_graph_free(&g);
    thaw_kern_close(&kern);
}

typedef struct journal {
    const thaw_plan *plan;
    int32_t order[100];
    int32_t count, progressed;
    float first[100]; /* of each reduced tensor, when it was said to be ready */
} journal;

static void note_ready(void *context, int32_t index)
{
    journal *j = context;
    j->first[j->count] = thaw_plan_reduced(j->plan, index)->data[0];
    j->order[j->count++] = index;
}

static void note_progress(void *context)
{
    ((journal *)context)->progressed++;
}

static void gradients_become_ready_in_order(void **state)
{
    (void)state;
    thaw_kern *kern = open_kern();
    thaw_graph *g = resnet(8, 4, 1, 3, true);
    randomize(g, 3);
    train_all(g);
    thaw_plan *plan = new_plan(g, kern, 4, true);
    float *x = random_floats(4 * 3 * 8 * 8, 4);
    thaw_run run = make_run(4, x, true);
    journal j = {.plan = plan};
    thaw_plan_forward(plan, &run);
    for (int i = 0; i < 12; i++)
        thaw_plan_output_gradient(plan)[i] = (float)i - 5;
    thaw_plan_backward(plan, &run, note_ready, note_progress, &j);
    assert_int_equal(j.count, thaw_plan_reduced_count(plan));
    assert_int_equal(j.progressed, thaw_plan_count(plan).steps);
    bool gradients = false;
    int32_t node = -1;
    for (int32_t i = 0; i < j.count; i++) {
        const thaw_reduced *r = thaw_plan_reduced(plan, i);
        assert_int_equal(j.order[i], i);
        assert_true(j.first[i] == r->data[0]); /* final when it was said */
        assert_false(gradients && r->statistic);
        int32_t at = thaw_graph_param(g, r->param)->node;
        if (!r->statistic && !gradients)
            node = thaw_graph_node_count(g);
        gradients = !r->statistic;
        assert_true(gradients ? at <= node : at >= node);
        node = at;
    }
    /* Without samples everything is ready, and zero. */
    j = (journal){.plan = plan};
    run.B = 0;
    run.input = NULL;
    thaw_plan_forward(plan, &run);
    thaw_plan_backward(plan, &run, note_ready, note_progress, &j);
    assert_int_equal(j.count, thaw_plan_reduced_count(plan));
    for (int32_t i = 0; i < j.count; i++) {
        const thaw_reduced *r = thaw_plan_reduced(plan, i);
        assert_true(thaw_kern_sum_squares(r->count, r->data) == 0);
    }
    thaw_free(&x);
    thaw_plan_free(&plan);
    thaw_graph_free(&g);
    thaw_kern_close(&kern);
}

/* A weight used twice is final after the lower of its two nodes, and holds the sum. */
static void shared_parameters_are_summed(void **state)
{
    (void)state;
    enum { B = 3, D = 4 };
    thaw_kern *kern = open_kern();
    thaw_graph *g = new_graph();
    thaw_value x = thaw_graph_input(g, thaw_shape1(D));
    thaw_value v = thaw_graph_linear(g, "a", x, D, true);
    v = thaw_graph_linear(g, "b", v, D, false);
    v = thaw_graph_linear(g, "c", v, D, false);
    thaw_graph_set_logits(g, v);
    assert_ok(thaw_graph_finish(g));
    randomize(g, 5);
    memcpy(find_param(g, "c.weight")->data, find_param(g, "a.weight")->data, D * D * sizeof(float));
    train_only(g, "?.weight");
    float *input = random_floats(B * D, 1);
    thaw_run run = make_run(B, input, true);
    thaw_plan *apart = new_plan(g, kern, B, true);
    run_both(apart, &run, D);
    /* Now c uses the weight of a. */
    thaw_node *c = thaw_graph_node(g, 2);
    c->params[0] = thaw_graph_find_param(g, "a.weight");
    thaw_plan *tied = new_plan(g, kern, B, true);
    run_both(tied, &run, D);
    journal j = {.plan = tied};
    thaw_plan_forward(tied, &run);
    thaw_plan_backward(tied, &run, note_ready, NULL, &j);
    assert_int_equal(thaw_plan_reduced_count(tied), 2);
    for (int32_t i = 0; i < 2; i++)
        assert_true(j.first[i] == thaw_plan_reduced(tied, i)->data[0]);
    assert_string_equal(thaw_graph_param(g, thaw_plan_reduced(tied, 0)->param)->name, "b.weight");
    for (int i = 0; i < D * D; i++) {
        float sum =
            reduced_of(g, apart, "a.weight")->data[i] + reduced_of(g, apart, "c.weight")->data[i];
        /* Two sums in another order: roundings of values of size 10. */
        assert_true(fabsf(sum - reduced_of(g, tied, "a.weight")->data[i]) < 1e-4f);
    }
    thaw_free(&input);
    thaw_plan_free(&tied);
    thaw_plan_free(&apart);
    thaw_graph_free(&g);
    thaw_kern_close(&kern);
}

/* Two convolutions with the same weight, each before a norm; the second norm takes the input in again. */
static thaw_graph *tied_graph(void)
{
    thaw_graph *g = new_graph();
    thaw_value x = thaw_graph_input(g, thaw_shape_make(3, (int64_t[]){4, 3, 3}));
    thaw_value v = thaw_graph_relu(g, conv_norm(g, "a", 1, x, 4, 3, 1));
    v = thaw_graph_add(g, conv_norm(g, "b", 1, v, 4, 3, 1), x, 1.0f);
    thaw_graph_set_logits(g, thaw_graph_relu(g, v));
    assert_ok(thaw_graph_finish(g));
    randomize(g, 7);
    train_all(g);
    return g;
}

typedef struct meeting {
    const thaw_plan *plan;
    double rows[5 * 9]; /* of the runs and of two more, that come first and last */
    double *sums[16];
    int32_t calls;
} meeting;

static void add_up(void *context, int32_t index)
{
    meeting *m = context;
    const thaw_reduced *r = thaw_plan_reduced(m->plan, index);
    for (int64_t i = 0; i < r->count; i++)
        m->sums[index][i] += (double)r->data[i];
}

/* Others who bring nothing change nothing, wherever they stand. */
static const double *meet_nobody(void *context, const double *rows, int64_t count, int64_t width,
                                 int64_t *all)
{
    meeting *m = context;
    assert_true(width == 9 || width == 8);
    memset(m->rows, 0, sizeof m->rows);
    memcpy(m->rows + width, rows, (size_t)(count * width) * sizeof *rows);
    m->calls++;
    *all = count + 2;
    return m->rows;
}

/* Runs of 3, 0 and 2 samples that go abreast, against one run of all 5: values, gradients and statistics. */
static void check_abreast(bool tied, bool recompute)
{
    enum { B = 5, N = 4 * 3 * 3 };
    static const int64_t begin[] = {0, 3, 3, 5};
    thaw_kern *kern = open_kern();
    thaw_graph *g = tied_graph();
    if (tied) /* node 3 is the second convolution */
        thaw_graph_node(g, 3)->params[0] = thaw_graph_find_param(g, "a.conv1.weight");
    float *x = random_floats(B * N, 3);
    thaw_run runs[3];
    thaw_plan *one = new_plan(g, kern, B, true);
    thaw_plan *abreast = NULL;
    thaw_plan_options options = plan_options(3, true);
    options.abreast = 3;
    options.recompute = recompute;
    assert_ok(thaw_plan_new(g, kern, &options, &abreast));
    meeting m = {.plan = abreast};
    for (int32_t i = 0; i < thaw_plan_reduced_count(one); i++)
        assert_ok(thaw_alloc(&m.sums[i], thaw_plan_reduced(one, i)->count, sizeof **m.sums));
    for (int k = 0; k < 3; k++)
        runs[k] = make_run(begin[k + 1] - begin[k], x + begin[k] * N, true);
    const thaw_abreast all = {.runs = runs, .count = 3, .meet = meet_nobody, .context = &m};
    assert_int_equal(thaw_plan_lanes(abreast), 3);
    assert_int_equal(thaw_plan_meetings(abreast).count, 4);
    assert_true((thaw_plan_count(abreast).replayed > 0) == recompute);
    const thaw_run whole = make_run(B, x, true);
    run_both(one, &whole, N);
    thaw_plan_forward_abreast(abreast, &all);
    for (int k = 0; k < 3; k++) {
        thaw_plan_turn_to(abreast, &all, k);
        assert_int_equal(thaw_plan_turn(abreast), k);
        float *dy = thaw_plan_output_gradient(abreast);
        for (int64_t i = begin[k] * N; i < begin[k + 1] * N; i++) {
            const double difference =
                thaw_plan_value(abreast, -1)[i - begin[k] * N] - thaw_plan_value(one, -1)[i];
            assert_true(fabs(difference) < 1e-5);
            dy[i - begin[k] * N] = (float)(i % 7) - 2.5f;
        }
    }
    thaw_plan_backward_abreast(abreast, &all, add_up, NULL, &m);
    assert_int_equal(m.calls, 4);
    for (int32_t i = 0; i < thaw_plan_reduced_count(one); i++) {
        const thaw_reduced *r = thaw_plan_reduced(one, i);
        for (int64_t k = 0; k < r->count; k++)
            assert_true(fabs(m.sums[i][k] - (double)r->data[k]) <
                        2e-5 * (1 + fabs((double)r->data[k])));
        thaw_free(&m.sums[i]);
    }
    thaw_free(&x);
    thaw_plan_free(&abreast);
    thaw_plan_free(&one);
    thaw_graph_free(&g);
    thaw_kern_close(&kern);
}

static void runs_abreast_are_one_batch(void **state)
{
    (void)state;
    check_abreast(false, false);
    check_abreast(true, false);
    check_abreast(false, true);
}

static thaw_graph *dropout_graph(float probability)
{
    thaw_graph *g = new_graph();
    thaw_value x = thaw_graph_input(g, thaw_shape1(1001));
    thaw_value v = thaw_graph_dropout(g, x, probability);
    thaw_graph_set_logits(g, thaw_graph_dropout(g, v, probability));
    assert_ok(thaw_graph_finish(g));
    assert_ok(thaw_graph_analyze(g));
    return g;
}

static void dropout_depends_on_the_sample_only(void **state)
{
    (void)state;
    enum { D = 1001 };
    thaw_kern *kern = open_kern();
    thaw_graph *g = dropout_graph(0.3f);
    thaw_plan *plan = new_plan(g, kern, 4, true);
    float *x = NULL;
    assert_ok(thaw_alloc(&x, 4 * D, sizeof *x));
    thaw_kern_fill(4 * D, 1.0f, x);
    int64_t ids[4] = {10, 11, 12, 13};
    thaw_run run = make_run(4, x, true);
    run.sample_ids = ids;
    thaw_plan_forward(plan, &run);
    float third[D];
    memcpy(third, thaw_plan_value(plan, -1) + 2 * D, sizeof third);
    int kept = 0;
    for (int i = 0; i < D; i++) {
        kept += third[i] != 0;
        assert_true(third[i] == 0 || fabsf(third[i] - 1 / 0.49f) < 1e-6f);
    }
    /* 1001 draws with p = 0.49: four standard deviations are 63. */
    assert_true(abs(kept - 490) < 63);
    /* Alone, in another place, on another plan: the same mask. */
    thaw_plan *single = new_plan(g, kern, 1, false);
    run.B = 1;
    run.sample_ids = &ids[2];
    thaw_plan_forward(single, &run);
    assert_memory_equal(third, thaw_plan_value(single, -1), sizeof third);
    /* Another sample, step or seed: another mask. */
    run.sample_ids = &ids[1];
    thaw_plan_forward(single, &run);
    assert_memory_not_equal(third, thaw_plan_value(single, -1), sizeof third);
    run.sample_ids = &ids[2];
    run.step++;
    thaw_plan_forward(single, &run);
    assert_memory_not_equal(third, thaw_plan_value(single, -1), sizeof third);
    run.step--;
    run.seed++;
    thaw_plan_forward(single, &run);
    assert_memory_not_equal(third, thaw_plan_value(single, -1), sizeof third);
    /* Evaluation passes everything. */
    run.training = false;
    thaw_plan_forward(single, &run);
    assert_memory_equal(x, thaw_plan_value(single, -1), sizeof third);
    thaw_plan_free(&single);
    thaw_plan_free(&plan);
    thaw_free(&x);
    thaw_graph_free(&g);
    thaw_kern_close(&kern);
}

/* Adapters elsewhere must not change the masks of a backbone: frozen and adapted runs are compared. */
static void rewriting_leaves_masks_alone(void **state)
{
    (void)state;
    enum { D = 50 };
    thaw_kern *kern = open_kern();
    float *x = random_floats(D, 1);
    float before[D];
    thaw_run run = make_run(1, x, true);
    thaw_graph *g = new_graph();
    thaw_value v = thaw_graph_input(g, thaw_shape1(D));
    thaw_value a = thaw_graph_linear(g, "a", v, D, false);
    thaw_graph_set_logits(g, thaw_graph_dropout(g, a, 0.5f));
    assert_ok(thaw_graph_finish(g));
    randomize(g, 1);
    thaw_plan *plan = new_plan(g, kern, 1, false);
    thaw_plan_forward(plan, &run);
    memcpy(before, thaw_plan_value(plan, -1), sizeof before);
    thaw_plan_free(&plan);
    thaw_value b = thaw_graph_linear(g, "a.lora", v, D, false); /* zero: changes nothing */
    thaw_value sum = thaw_graph_add(g, a, b, 1.0f);
    thaw_graph_replace_uses(g, a, sum, thaw_graph_node_count(g) - 1);
    assert_ok(thaw_graph_finish(g));
    plan = new_plan(g, kern, 1, false);
    thaw_plan_forward(plan, &run);
    assert_memory_equal(before, thaw_plan_value(plan, -1), sizeof before);
    thaw_plan_free(&plan);
    thaw_free(&x);
    thaw_graph_free(&g);
    thaw_kern_close(&kern);
}

/* Gradients of what trains do not depend on what else trains, where norms are frozen either way. */
static void partial_gradients_are_those_of_full(void **state)
{
    (void)state;
    thaw_kern *kern = open_kern();
    thaw_graph *g = resnet(8, 4, 1, 3, true);
    randomize(g, 3);
    float *x = random_floats(4 * 3 * 8 * 8, 4);
    thaw_run run = make_run(4, x, true);
    train_only(g, "*conv*");
    thaw_plan *full = new_plan(g, kern, 4, true);
    run_both(full, &run, 3);
    train_only(g, "layer2.0.conv?.weight");
    thaw_plan *part = new_plan(g, kern, 4, true);
    run_both(part, &run, 3);
    assert_int_equal(thaw_plan_reduced_count(part), 3);
    for (int32_t i = 0; i < 3; i++) {
        const thaw_reduced *r = thaw_plan_reduced(part, i);
        const thaw_reduced *s = reduced_of(g, full, thaw_graph_param(g, r->param)->name);
        /* Frozen norms are folded where the convolution before them is frozen too: other roundings. */
        double size = thaw_kern_sum_squares(r->count, s->data);
        assert_true(thaw_kern_distance_squared(r->count, r->data, s->data) < 1e-10 * size);
        assert_true(size > 0);
    }
    thaw_free(&x);
    thaw_plan_free(&part);
    thaw_plan_free(&full);
    thaw_graph_free(&g);
    thaw_kern_close(&kern);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training_norms_give_their_statistics),
        cmocka_unit_test(frozen_norms_never_change),
        cmocka_unit_test(one_value_has_no_variance),
        cmocka_unit_test(gradients_become_ready_in_order),
        cmocka_unit_test(shared_parameters_are_summed),
        cmocka_unit_test(runs_abreast_are_one_batch),
        cmocka_unit_test(dropout_depends_on_the_sample_only),
        cmocka_unit_test(rewriting_leaves_masks_alone),
        cmocka_unit_test(partial_gradients_are_those_of_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
