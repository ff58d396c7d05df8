/* thaw-test: timeout=120 */
/* What plans make of a graph: folded, fused and laid out, it computes what the graph as built computes. */
#include "graph_test.h"

#include "graph/plan_impl.h"

/* Single precision in another order: winograd's transforms lose the most. */
#define OUTPUT_TOLERANCE   1e-4
#define GRADIENT_TOLERANCE 1e-3

static double distance(int64_t n, const float *a, const float *b)
{
    double worst = 0;
    double largest = 1e-6;
    for (int64_t i = 0; i < n; i++) {
        worst = fmax(worst, fabs((double)a[i] - b[i]));
        largest = fmax(largest, fabs((double)b[i]));
        if (isnan(a[i]))
            return 1e9;
    }
    return worst / largest;
}

static thaw_plan *new_plan(thaw_graph *g, const thaw_kern *kern, const thaw_plan_options *options,
                           bool plain)
{
    thaw_plan *plan = NULL;
    const thaw_plan_extra extra = {.plain = plain};
    assert_ok(thaw_plan_new_with(g, kern, options, &extra, &plan));
    assert_true(thaw_memory_valid(plan->spans, plan->span_count, plan->arena_bytes));
    return plan;
}

/* Values that lower to something: a norm without activation, a convolution with one, an activation that others read. */
static thaw_graph *mixture(void)
{
    thaw_graph *g = new_graph();
    thaw_value x = thaw_graph_input(g, thaw_shape_make(3, (int64_t[]){3, 10, 10}));
    thaw_graph_set_block(g, 1, "one");
    thaw_value v = thaw_graph_relu(g, conv(g, "a", x, 20, 3, 1, true));
    v = thaw_graph_max_pool(g, v, 3, 2, 1);
    thaw_value w = conv_norm(g, "b", 1, v, 20, 3, 1);
    v = thaw_graph_add(g, thaw_graph_relu(g, w), w, 0.5f);
    thaw_graph_set_block(g, 2, "two");
    w = thaw_graph_relu(g, thaw_graph_add(g, conv(g, "c", v, 20, 1, 1, false), v, 1.0f));
    w = thaw_graph_relu(g, thaw_graph_add(g, conv_norm(g, "d", 1, w, 20, 3, 1),
                                          conv_norm(g, "e", 1, v, 20, 1, 1), 1.0f));
    w = thaw_graph_add(g, w, conv(g, "f", w, 20, 1, 1, false), 0.25f);
    w = thaw_graph_avg_pool(g, thaw_graph_batch_norm(g, "g", w, 1e-5f, 0.1f), 2, 2, 0);
    thaw_graph_set_block(g, -1, "head");
    v = thaw_graph_flatten(g, thaw_graph_relu(g, w));
    thaw_graph_set_features(g, v);
    thaw_graph_set_logits(g, thaw_graph_linear(g, "fc", v, 5, true));
    assert_ok(thaw_graph_finish(g));
    return g;
}

static thaw_graph *make(int kind)
{
    thaw_graph *g = kind == 0   ? mixture()
                    : kind == 1 ? resnet(12, 16, 2, 5, true)
                    : kind == 2 ? resnet(12, 16, 1, 5, false)
                                : resnet(8, 4, 1, 5, true);
    randomize(g, 17);
    return g;
}
enum { KINDS = 4, BATCH = 5, OUTPUTS = 5 };

/* Largest error of a gradient; the name of its parameter for messages. */
static double compare(thaw_graph *g, const thaw_kern *kern, const thaw_kern *ref, bool training,
                      int64_t B, const float *x, const char **where)
{
    double worst = 0;
    const thaw_plan_options options = {
        .batch = BATCH, .training = training, .from = -1, .to = -1, .keep = thaw_graph_features(g)};
    thaw_plan *plan = new_plan(g, kern, &options, false);
    thaw_plan *plain = new_plan(g, ref, &options, true);
    const thaw_run run = make_run(B, x, training);
    const thaw_shape shape = thaw_graph_value_shape(g, options.keep);
    for (int repeat = 0; repeat < 2; repeat++) {
        if (training) {
            run_both(plan, &run, OUTPUTS);
            run_both(plain, &run, OUTPUTS);
        } else {
            thaw_plan_forward(plan, &run);
            thaw_plan_forward(plain, &run);
        }
        assert_true(distance(B * OUTPUTS, thaw_plan_value(plan, -1), thaw_plan_value(plain, -1)) <
                    OUTPUT_TOLERANCE);
        assert_true(distance(B * thaw_shape_count(&shape), thaw_plan_value(plan, options.keep),
                             thaw_plan_value(plain, options.keep)) < OUTPUT_TOLERANCE);
    }
    assert_int_equal(thaw_plan_reduced_count(plan), thaw_plan_reduced_count(plain));
    for (int32_t i = 0; i < thaw_plan_reduced_count(plan); i++) {
        const thaw_reduced *r = thaw_plan_reduced(plan, i);
        const thaw_reduced *s = thaw_plan_reduced(plain, i);
        assert_int_equal(r->param, s->param);
        double d = distance(r->count, r->data, s->data);
        if (d > worst)
            *where = thaw_graph_param(g, r->param)->name;
        worst = fmax(worst, d);
    }
    thaw_plan_free(&plain);
    thaw_plan_free(&plan);
    return worst;
}

/* An element within roundings of a kink may take the other side, and its gradient with it: then another input is tried.
 * Wrong code is wrong on all of them. */
static void compare_some(thaw_graph *g, const thaw_kern *kern, const thaw_kern *ref, bool training,
                         int64_t B, const char *pattern)
{
    const char *where = "";
    double worst = 1;
    for (uint64_t seed = 3; seed < 8 && worst >= GRADIENT_TOLERANCE; seed++) {
        float *x = random_floats(BATCH * 3 * 12 * 12, seed);
        worst = compare(g, kern, ref, training, B, x, &where);
        thaw_free(&x);
    }
    if (!(worst < GRADIENT_TOLERANCE))
        fail_msg("training %s on %s: the gradient of %s is off by %g", pattern, kern->name, where,
                 worst);
}

/* What several kept values hold after one forward is what a plan that ends at each of them computes. */
static void kept_values_stay(void **state)
{
    (void)state;
    thaw_kern *kern = open_kern();
    for (int kind = 0; kind < KINDS; kind++) {
        thaw_graph *g = make(kind);
        bool *kept = NULL;
        float *x = random_floats(BATCH * 3 * 12 * 12, 5);
        const thaw_run run = make_run(BATCH, x, false);
        assert_ok(thaw_alloc(&kept, g->value_count, sizeof *kept));
        for (int32_t i = 0; i < g->node_count; i++) /* the last value of each block */
            if (i + 1 == g->node_count || g->nodes[i + 1]->block != g->nodes[i]->block)
                kept[g->nodes[i]->output] = true;
        thaw_plan_options options = {
            .batch = BATCH, .from = -1, .to = -1, .keep = -1, .kept = kept};
        thaw_plan *all = new_plan(g, kern, &options, false);
        options.kept = NULL;
        thaw_plan_forward(all, &run);
        for (thaw_value v = 0; v < g->value_count; v++) {
            if (!kept[v])
                continue;
            options.to = v;
            const thaw_shape shape = thaw_graph_value_shape(g, v);
            thaw_plan *one = new_plan(g, kern, &options, true);
            thaw_plan_forward(one, &run);
            assert_true(distance(BATCH * thaw_shape_count(&shape), thaw_plan_value(all, v),
                                 thaw_plan_value(one, v)) < OUTPUT_TOLERANCE);
            thaw_plan_free(&one);
        }
        thaw_plan_free(&all);
        thaw_free(&x);
        thaw_free(&kept);
        thaw_graph_free(&g);
    }
    thaw_kern_close(&kern);
}

/* Keeping is for inference, and of what is computed; neither is found out by reading what is not there. */
static void kept_values_are_checked(void **state)
{
    (void)state;
    thaw_kern *kern = open_kern();
    thaw_graph *g = make(0);
    bool *kept = NULL;
    thaw_plan *plan = NULL;
    assert_ok(thaw_alloc(&kept, g->value_count, sizeof *kept));
    kept[g->features] = true;
    thaw_plan_options options = {
        .batch = 1, .training = true, .from = -1, .to = -1, .keep = -1, .kept = kept};
    assert_int_equal(thaw_plan_new(g, kern, &options, &plan), THAW_ERR_FAIL);
    assert_non_null(strstr(thaw_error_last()->message, "for inference"));
    options.training = false;
    options.to = g->nodes[0]->output;
    assert_int_equal(thaw_plan_new(g, kern, &options, &plan), THAW_ERR_FAIL);
    assert_non_null(strstr(thaw_error_last()->message, "nothing between from and to computes it"));
    thaw_free(&kept);
    thaw_graph_free(&g);
    thaw_kern_close(&kern);
}

static const char *const patterns[] = {"*",    "fc.*",    "*.weight", "*.bias", "layer2.*",
                                       "*bn*", "layer3*", "d.*",      "c.*",    "a.*"};

static void lowered_plans_compute_what_the_graph_says(void **state)
{
    (void)state;
    thaw_kern *ref = open_kern();
    for (const char *const *name = thaw_kern_names(); *name != NULL; name++) {
        thaw_kern *kern = NULL;
        if (thaw_kern_open(*name, &kern) != THAW_OK) {
            print_message("backend %s is not here: %s\n", *name, thaw_error_last()->message);
            continue;
        }
        for (int kind = 0; kind < KINDS; kind++) {
            thaw_graph *g = make(kind);
            for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
                train_only(g, patterns[i]);
                compare_some(g, kern, ref, true, BATCH, patterns[i]);
                compare_some(g, kern, ref, true, 2, patterns[i]);
                compare_some(g, kern, ref, false, BATCH, patterns[i]);
            }
            thaw_graph_free(&g);
        }
        thaw_kern_close(&kern);
    }
    thaw_kern_close(&ref);
}

static void frozen_norms_are_folded_and_neighbours_fused(void **state)
{
    (void)state;
    thaw_kern *kern = open_kern();
    thaw_graph *g = resnet(12, 16, 2, 5, true);
    randomize(g, 1);
    train_only(g, "fc.*");
    thaw_plan_options options = plan_options(BATCH, false);
    thaw_plan *plan = new_plan(g, kern, &options, false);
    thaw_plan_counts counts = thaw_plan_count(plan);
    /* 1 stem, 12 in blocks, 2 projections; each block: a relu, an addition with its relu; the stem's relu. */
    assert_int_equal(counts.folded, 15);
    assert_int_equal(counts.fused, 1 + 6 * 3);
    assert_int_equal(counts.steps, 15 + 2);
    assert_int_equal(counts.reorders, 0);
    assert_true(thaw_plan_constant_bytes(plan) > 0);
    thaw_plan_free(&plan);

    train_all(g);
    options.training = true;
    plan = new_plan(g, kern, &options, false);
    counts = thaw_plan_count(plan);
    assert_int_equal(counts.folded, 0);
    assert_int_equal(counts.fused, 1 + 6 * 3);
    assert_int_equal(thaw_plan_constant_bytes(plan), 0);
    thaw_plan_free(&plan);
    thaw_graph_free(&g);
    thaw_kern_close(&kern);
}

/* A prefix that caches, and the plan that starts there, give what one plan gives. */
/* Bit for bit, in both forms; not where the linear layer's own result is wanted too, nor at the end of a plan for training. */
static void linear_layers_apply_gelu(void **state)
{
    (void)state;
    enum { D = 21, LOGITS = 6 };
    thaw_kern *kern = open_kern();
    thaw_graph *g = new_graph();
    thaw_value x = thaw_graph_input(g, thaw_shape1(D));
    thaw_value v = thaw_graph_gelu(g, thaw_graph_linear(g, "a", x, D, true), false);
    v = thaw_graph_gelu(g, thaw_graph_linear(g, "b", v, D, false), true);
    thaw_value w = thaw_graph_linear(g, "c", v, D, true);
    v = thaw_graph_add(g, thaw_graph_gelu(g, w, false), w, 1.0f);
    v = thaw_graph_linear(g, "fc", v, LOGITS, true);
    thaw_graph_set_logits(g, thaw_graph_gelu(g, v, false));
    assert_ok(thaw_graph_finish(g));
    randomize(g, 5);
    train_all(g);
    float *input = random_floats(BATCH * D, 3);
    thaw_run run = make_run(BATCH, input, true);
    thaw_plan_options options = plan_options(BATCH, true);
    thaw_plan *plans[2];
    for (int plain = 0; plain < 2; plain++) {
        plans[plain] = new_plan(g, kern, &options, plain);
        run_both(plans[plain], &run, LOGITS);
    }
    assert_int_equal(thaw_plan_count(plans[0]).fused, 2);
    assert_memory_equal(thaw_plan_value(plans[0], -1), thaw_plan_value(plans[1], -1),
                        BATCH * LOGITS * sizeof(float));
    for (int32_t i = 0; i < thaw_plan_reduced_count(plans[0]); i++) {
        const thaw_reduced *r = thaw_plan_reduced(plans[0], i);
        assert_memory_equal(r->data, thaw_plan_reduced(plans[1], i)->data,
                            (size_t)r->count * sizeof(float));
    }
    thaw_plan_free(&plans[0]);
    thaw_plan_free(&plans[1]);
    thaw_free(&input);
    thaw_graph_free(&g);
    thaw_kern_close(&kern);
}

static void the_boundary_is_never_fused_across(void **state)
{
    (void)state;
    for (const char *const *name = thaw_kern_names(); *name != NULL; name++) {
        thaw_kern *kern = NULL;
        if (thaw_kern_open(*name, &kern) != THAW_OK)
            continue;
        thaw_graph *g = resnet(12, 16, 2, 5, true);
        float *x = random_floats(BATCH * 3 * 12 * 12, 3);
        randomize(g, 5);
        train_only(g, "layer3*");
        const thaw_value boundary = thaw_graph_boundary(g);
        thaw_plan_options whole = plan_options(BATCH, true);
        thaw_plan_options prefix = plan_options(BATCH, false);
        thaw_plan_options rest = plan_options(BATCH, true);
        prefix.to = rest.from = boundary;
        thaw_plan *a = new_plan(g, kern, &whole, false);
        thaw_plan *b = new_plan(g, kern, &prefix, false);
        thaw_plan *c = new_plan(g, kern, &rest, false);
        thaw_run run = make_run(BATCH, x, true);
        run_both(a, &run, OUTPUTS);
        thaw_plan_forward(b, &run);
        run.input = thaw_plan_value(b, boundary);
        run_both(c, &run, OUTPUTS);
        assert_memory_equal(thaw_plan_value(a, -1), thaw_plan_value(c, -1),
                            BATCH * OUTPUTS * sizeof(float));
        for (int32_t i = 0; i < thaw_plan_reduced_count(a); i++)
            assert_memory_equal(thaw_plan_reduced(a, i)->data, thaw_plan_reduced(c, i)->data,
                                (size_t)thaw_plan_reduced(a, i)->count * sizeof(float));
        thaw_plan_free(&c);
        thaw_plan_free(&b);
        thaw_plan_free(&a);
        thaw_free(&x);
        thaw_graph_free(&g);
        thaw_kern_close(&kern);
    }
}

/* In chunks, in shards or alone: what others are in the batch changes no bit of a sample. */
static void samples_do_not_depend_on_their_neighbours(void **state)
{
    (void)state;
    for (const char *const *name = thaw_kern_names(); *name != NULL; name++) {
        thaw_kern *kern = NULL;
        if (thaw_kern_open(*name, &kern) != THAW_OK)
            continue;
        for (int kind = 0; kind < KINDS; kind++) {
            thaw_graph *g = make(kind);
            const thaw_shape shape = thaw_graph_value_shape(g, 0);
            const int64_t width = thaw_shape_count(&shape);
            float *x = random_floats(BATCH * 3 * 12 * 12, 3);
            train_only(g, "fc.*");
            thaw_plan_options options = plan_options(BATCH, false);
            options.to = thaw_graph_features(g);
            const thaw_shape out = thaw_graph_value_shape(g, options.to);
            const size_t bytes = (size_t)thaw_shape_count(&out) * sizeof(float);
            thaw_plan *together = new_plan(g, kern, &options, false);
            options.batch = 1;
            thaw_plan *alone = new_plan(g, kern, &options, false);
            thaw_run run = make_run(BATCH, x, false);
            thaw_plan_forward(together, &run);
            for (int b = 0; b < BATCH; b++) {
                run = make_run(1, x + b * width, false);
                thaw_plan_forward(alone, &run);
                assert_memory_equal(thaw_plan_value(alone, -1),
                                    (const char *)thaw_plan_value(together, -1) + (size_t)b * bytes,
                                    bytes);
            }
            thaw_plan_free(&alone);
            thaw_plan_free(&together);
            thaw_free(&x);
            thaw_graph_free(&g);
        }
        thaw_kern_close(&kern);
    }
}

static void constants_may_live_elsewhere(void **state)
{
    (void)state;
    thaw_kern *kern = open_kern();
    thaw_graph *g = resnet(12, 16, 1, 5, true);
    float *x = random_floats(BATCH * 3 * 12 * 12, 3);
    randomize(g, 5);
    train_only(g, "fc.*");
    const thaw_plan_options options = plan_options(BATCH, false);
    thaw_plan *plans[3];
    for (int i = 0; i < 3; i++)
        plans[i] = new_plan(g, kern, &options, false);
    void *memory = NULL;
    assert_ok(thaw_alloc(&memory, (int64_t)thaw_plan_constant_bytes(plans[0]), 1));
    thaw_plan_set_constants(plans[0], memory, true);
    thaw_plan_set_constants(plans[1], memory, false);
    const thaw_run run = make_run(BATCH, x, false);
    for (int i = 0; i < 3; i++)
        thaw_plan_forward(plans[i], &run);
    for (int i = 0; i < 2; i++)
        assert_memory_equal(thaw_plan_value(plans[i], -1), thaw_plan_value(plans[2], -1),
                            BATCH * OUTPUTS * sizeof(float));
    for (int i = 0; i < 3; i++)
        thaw_plan_free(&plans[i]);
    thaw_free(&memory);
    thaw_free(&x);
    thaw_graph_free(&g);
    thaw_kern_close(&kern);
}

/* Bytes have 8 bits: features lie within a few percent of those of floats, on inputs that the ranges were not taken from. */
static void frozen_prefixes_run_in_eight_bits(void **state)
{
    (void)state;
    for (const char *const *name = thaw_kern_names(); *name != NULL; name++) {
        thaw_kern *kern = NULL;
        if (thaw_kern_open(*name, &kern) != THAW_OK)
            continue;
        if (!kern->has_int8) {
            print_message("backend %s has no convolutions in 8 bits here\n", *name);
            thaw_kern_close(&kern);
            continue;
        }
        for (int kind = 0; kind < KINDS; kind++) {
            thaw_graph *g = make(kind);
            float *seen = random_floats(BATCH * 3 * 12 * 12, 3);
            float *x = random_floats(BATCH * 3 * 12 * 12, 4);
            train_only(g, "fc.*");
            thaw_plan_options options = plan_options(BATCH, false);
            options.to = thaw_graph_features(g);
            const thaw_shape shape = thaw_graph_value_shape(g, options.to);
            const int64_t n = BATCH * thaw_shape_count(&shape);
            thaw_plan *floats = new_plan(g, kern, &options, false);
            options.observe = true;
            thaw_plan *watching = new_plan(g, kern, &options, false);
            thaw_run run = make_run(BATCH, seen, false);
            thaw_plan_forward(watching, &run);
            options.observe = false;
            options.ranges = thaw_plan_ranges(watching);
            thaw_plan *bytes = new_plan(g, kern, &options, false);
            run = make_run(BATCH, x, false);
            thaw_plan_forward(floats, &run);
            thaw_plan_forward(bytes, &run);
            double error = thaw_kern_distance_squared(n, thaw_plan_value(bytes, -1),
                                                      thaw_plan_value(floats, -1));
            double size = thaw_kern_sum_squares(n, thaw_plan_value(floats, -1));
            print_message("net %d: %d convolutions in 8 bits, features off by %.2f %%\n", kind,
                          thaw_plan_count(bytes).eight_bits, 100 * sqrt(error / size));
            assert_true(kind == 3 || thaw_plan_count(bytes).eight_bits > 2);
            assert_true(error < 0.1 * 0.1 * size && (kind == 3 || error > 0));
            thaw_plan_free(&bytes);
            thaw_plan_free(&watching);
            thaw_plan_free(&floats);
            thaw_free(&x);
            thaw_free(&seen);
            thaw_graph_free(&g);
        }
        thaw_kern_close(&kern);
    }
}

/* Rows find their scales themselves: no ranges are seen, one row's bits do not depend on others. */
static void frozen_linear_layers_run_in_eight_bits(void **state)
{
    (void)state;
    enum { T = 3, D = 24, WIDE = 40 };
    for (const char *const *name = thaw_kern_names(); *name != NULL; name++) {
        thaw_kern *kern = NULL;
        if (thaw_kern_open(*name, &kern) != THAW_OK)
            continue;
        thaw_graph *g = new_graph();
        thaw_value x = thaw_graph_input(g, thaw_shape_make(2, (int64_t[]){T, D}));
        thaw_value v = thaw_graph_linear_gelu(g, "a", x, WIDE, true, false);
        v = thaw_graph_add(g, thaw_graph_linear(g, "b", v, D, false), x, 1.0f);
        v = thaw_graph_gelu(g, thaw_graph_linear(g, "c", v, WIDE, true), true);
        v = thaw_graph_flatten(g, v);
        thaw_graph_set_features(g, v);
        thaw_graph_set_logits(g, thaw_graph_linear(g, "fc", v, OUTPUTS, true));
        assert_ok(thaw_graph_finish(g));
        randomize(g, 5);
        train_only(g, "fc.*");
        float *input = random_floats(BATCH * T * D, 3);
        float *ranges = NULL;
        assert_ok(thaw_alloc(&ranges, thaw_graph_value_count(g), sizeof *ranges));
        thaw_plan_options options = plan_options(BATCH, false);
        options.to = v;
        options.ranges = ranges; /* zeros: nothing is asked for */
        thaw_plan *floats = new_plan(g, kern, &options, false);
        assert_int_equal(thaw_plan_count(floats).eight_bits, 0);
        for (thaw_value i = 0; i < thaw_graph_value_count(g); i++)
            ranges[i] = 1;
        thaw_plan *bytes = new_plan(g, kern, &options, false);
        options.to = thaw_graph_logits(g);
        thaw_plan *whole = new_plan(g, kern, &options, false);
        assert_int_equal(thaw_plan_count(bytes).eight_bits, kern->has_linear_int8 ? 3 : 0);
        assert_int_equal(thaw_plan_count(whole).eight_bits, kern->has_linear_int8 ? 3 : 0);
        thaw_run run = make_run(BATCH, input, false);
        thaw_plan_forward(floats, &run);
        thaw_plan_forward(bytes, &run);
        const float *all = thaw_plan_value(bytes, -1);
        const int64_t n = (int64_t)BATCH * T * WIDE;
        const double error = thaw_kern_distance_squared(n, all, thaw_plan_value(floats, -1));
        const double size = thaw_kern_sum_squares(n, thaw_plan_value(floats, -1));
        print_message("%s: %d linear layers in 8 bits, features off by %.2f %%\n", *name,
                      thaw_plan_count(bytes).eight_bits, 100 * sqrt(error / size));
        assert_true(error < 0.03 * 0.03 * size && (error > 0) == kern->has_linear_int8);
        float last[T * WIDE];
        memcpy(last, all + (BATCH - 1) * T * WIDE, sizeof last);
        run = make_run(1, input + (BATCH - 1) * T * D, false);
        thaw_plan_forward(bytes, &run);
        if (kern->has_linear_int8)
            assert_memory_equal(thaw_plan_value(bytes, -1), last, sizeof last);
        thaw_plan_free(&whole);
        thaw_plan_free(&bytes);
        thaw_plan_free(&floats);
        thaw_free(&ranges);
        thaw_free(&input);
        thaw_graph_free(&g);
        thaw_kern_close(&kern);
    }
}

static void recomputed_blocks_give_the_same_bits_in_less_memory(void **state)
{
    (void)state;
    thaw_kern *kern = open_kern();
    float *x = random_floats(BATCH * 3 * 12 * 12, 3);
    const thaw_run run = make_run(BATCH, x, true);
    for (int kind = 0; kind < KINDS; kind++) {
        thaw_graph *g = make(kind);
        for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
            train_only(g, patterns[i]);
            thaw_plan_options options = plan_options(BATCH, true);
            thaw_plan *keeping = new_plan(g, kern, &options, false);
            options.recompute = true;
            thaw_plan *replaying = new_plan(g, kern, &options, false);
            run_both(keeping, &run, OUTPUTS);
            run_both(replaying, &run, OUTPUTS);
            for (int32_t r = 0; r < thaw_plan_reduced_count(keeping); r++)
                assert_memory_equal(thaw_plan_reduced(keeping, r)->data,
                                    thaw_plan_reduced(replaying, r)->data,
                                    (size_t)thaw_plan_reduced(keeping, r)->count * sizeof(float));
            if (i == 0) {
                assert_true(thaw_plan_count(replaying).replayed > 0);
                assert_true(kind == 0 || thaw_plan_arena_bytes(replaying) <
                                             thaw_plan_arena_bytes(keeping) * 3 / 4);
            }
            thaw_plan_free(&replaying);
            thaw_plan_free(&keeping);
        }
        thaw_graph_free(&g);
    }
    thaw_free(&x);
    thaw_kern_close(&kern);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_values_stay),
        cmocka_unit_test(kept_values_are_checked),
        cmocka_unit_test(lowered_plans_compute_what_the_graph_says),
        cmocka_unit_test(frozen_norms_are_folded_and_neighbours_fused),
        cmocka_unit_test(linear_layers_apply_gelu),
        cmocka_unit_test(the_boundary_is_never_fused_across),
        cmocka_unit_test(samples_do_not_depend_on_their_neighbours),
        cmocka_unit_test(constants_may_live_elsewhere),
        cmocka_unit_test(frozen_prefixes_run_in_eight_bits),
        cmocka_unit_test(frozen_linear_layers_run_in_eight_bits),
        cmocka_unit_test(recomputed_blocks_give_the_same_bits_in_less_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
