/* thaw-test: timeout=60 */
/* Where buffers lie: no two live ones overlap, reuse changes no bit, and the arena is as small as it can be. */
#include "graph_test.h"

#include "graph/plan_impl.h"

#define BATCH 3

static bool plan_valid(const thaw_plan *plan)
{
    return thaw_memory_valid(plan->spans, plan->span_count, plan->arena_bytes);
}

static void random_spans_never_overlap(void **state)
{
    (void)state;
    thaw_span spans[60];
    thaw_rng rng = thaw_rng_make(1, THAW_RNG_TEST, 0, 0);
    for (int round = 0; round < 50; round++) {
        size_t most_at_once = 0;
        size_t sum = 0;
        for (int i = 0; i < 60; i++) {
            int32_t first = (int32_t)thaw_rng_below(&rng, 40);
            spans[i] = (thaw_span){.bytes = 64 * (1 + thaw_rng_below(&rng, 50)),
                                   .first = first,
                                   .last = first + (int32_t)thaw_rng_below(&rng, 15)};
            sum += spans[i].bytes;
        }
        for (int32_t t = 0; t < 60; t++) {
            size_t live = 0;
            for (int i = 0; i < 60; i++)
                live += spans[i].first <= t && t <= spans[i].last ? spans[i].bytes : 0;
            most_at_once = live > most_at_once ? live : most_at_once;
        }
        size_t bytes = 0;
        assert_ok(thaw_memory_assign(spans, 60, true, &bytes));
        assert_true(thaw_memory_valid(spans, 60, bytes));
        /* First-fit is not optimal, but never far from what must be there at once. */
        assert_true(bytes >= most_at_once && bytes < most_at_once * 3 / 2);
        assert_ok(thaw_memory_assign(spans, 60, false, &bytes));
        assert_int_equal(bytes, sum);
    }
}

static void validity_sees_an_overlap(void **state)
{
    (void)state;
    thaw_span spans[2] = {
        {.bytes = 128, .first = 0, .last = 2, .offset = 0},
        {.bytes = 64, .first = 2, .last = 3, .offset = 64},
    };
    assert_false(thaw_memory_valid(spans, 2, 256));
    spans[1].first = 3;
    assert_true(thaw_memory_valid(spans, 2, 256));
    assert_false(thaw_memory_valid(spans, 2, 64));
}

static thaw_plan *new_plan(thaw_graph *g, const thaw_kern *kern, int64_t batch, bool training,
                           bool no_reuse)
{
    thaw_plan *plan = NULL;
    thaw_plan_options options = plan_options(batch, training);
    options.keep = thaw_graph_features(g);
    thaw_plan_extra extra = {.input_gradient = false, .no_reuse = no_reuse};
    assert_ok(thaw_plan_new_with(g, kern, &options, &extra, &plan));
    assert_true(plan_valid(plan));
    return plan;
}

/* A network with everything in it that shares memory. */
static thaw_graph *mixture(void)
{
    thaw_graph *g = new_graph();
    thaw_value x = thaw_graph_input(g, thaw_shape_make(3, (int64_t[]){3, 6, 6}));
    thaw_value v = thaw_graph_relu(g, conv_norm(g, "one", 1, x, 4, 3, 1));
    v = thaw_graph_add(g, conv_norm(g, "two", 1, v, 4, 3, 1), v, 1.0f);
    v = thaw_graph_add(g, conv(g, "three", v, 4, 1, 1, true), v, -0.5f);
    v = thaw_graph_add(g, v, v, 0.25f);
    /* Values that are read again after an operator which could work in place: a pre-activation block. */
    thaw_value w = conv(g, "four", thaw_graph_relu(g, v), 4, 3, 1, true);
    w = thaw_graph_add(g, thaw_graph_batch_norm(g, "norm", w, 1e-5f, 0.1f), w, 0.5f);
    v = thaw_graph_add(g, v, w, 1.0f);
    v = thaw_graph_add(g, v, thaw_graph_dropout(g, v, 0.3f), 1.0f);
    v = thaw_graph_dropout(g, thaw_graph_relu(g, v), 0.2f);
    v = thaw_graph_add(g, thaw_graph_avg_pool(g, v, 2, 2, 0), thaw_graph_max_pool(g, v, 2, 2, 0),
                       0.5f);
    v = thaw_graph_dropout(g, thaw_graph_flatten(g, v), 0.1f);
    thaw_graph_set_features(g, v);
    thaw_graph_set_logits(g, thaw_graph_linear(g, "fc", v, 5, true));
    assert_ok(thaw_graph_finish(g));
    return g;
}

static void assert_same_run(thaw_plan *a, thaw_plan *b, thaw_graph *g, const thaw_run *run,
                            int64_t outputs)
{
    thaw_shape shape = thaw_graph_value_shape(g, thaw_graph_features(g));
    size_t features = (size_t)(run->B * thaw_shape_count(&shape));
    run_both(a, run, outputs);
    run_both(b, run, outputs);
    assert_memory_equal(thaw_plan_value(a, -1), thaw_plan_value(b, -1),
                        (size_t)(run->B * outputs) * sizeof(float));
    assert_memory_equal(thaw_plan_value(a, thaw_graph_features(g)),
                        thaw_plan_value(b, thaw_graph_features(g)), features * sizeof(float));
    assert_int_equal(thaw_plan_reduced_count(a), thaw_plan_reduced_count(b));
    for (int32_t i = 0; i < thaw_plan_reduced_count(a); i++) {
        const thaw_reduced *r = thaw_plan_reduced(a, i);
        const thaw_reduced *s = thaw_plan_reduced(b, i);
        assert_int_equal(r->param, s->param);
        assert_memory_equal(r->data, s->data, (size_t)r->count * sizeof *r->data);
    }
}

static const char *const patterns[] = {"*",     "fc.*",  "*.weight",      "*.bias",
                                       "",      "two.*", "layer2.0.*",    "*conv*",
                                       "*.bn*", "one.*", "stem.bn1.bias", "layer3.0.conv2.weight"};

/* Memory reused, against memory of its own for every buffer; both start full of NaN, so that nothing may be read before it
 * is written. */
static void reuse_changes_no_bit(void **state)
{
    (void)state;
    thaw_kern *kern = open_kern();
    float *x = random_floats(BATCH * 3 * 6 * 6, 3);
    thaw_run run = make_run(BATCH, x, true);
    for (int kind = 0; kind < 3; kind++) {
        thaw_graph *g = kind == 0 ? mixture() : resnet(6, 4, 2, 5, kind == 1);
        randomize(g, 17);
        for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
            train_only(g, patterns[i]);
            thaw_plan *shared = new_plan(g, kern, BATCH, true, false);
            thaw_plan *apart = new_plan(g, kern, BATCH, true, true);
            assert_true(thaw_plan_arena_bytes(shared) < thaw_plan_arena_bytes(apart));
            memset(shared->arena, 0xff, shared->arena_bytes);
            memset(apart->arena, 0xff, apart->arena_bytes);
            assert_same_run(shared, apart, g, &run, 5);
            run.training = false;
            assert_same_run(shared, apart, g, &run, 5);
            run.training = true;
            thaw_plan_free(&apart);
            thaw_plan_free(&shared);
        }
        thaw_graph_free(&g);
    }
    thaw_free(&x);
    thaw_kern_close(&kern);
}

/* What the caller wrote stays, also where the last operator's backward works in place. */
static void output_gradient_is_the_callers(void **state)
{
    (void)state;
    thaw_kern *kern = open_kern();
    thaw_graph *g = new_graph();
    thaw_value x = thaw_graph_input(g, thaw_shape1(6));
    x = thaw_graph_relu(g, thaw_graph_linear(g, "fc", x, 6, true));
    thaw_graph_set_features(g, x);
    thaw_graph_set_logits(g, thaw_graph_relu(g, x));
    assert_ok(thaw_graph_finish(g));
    randomize(g, 2);
    train_all(g);
    thaw_plan *plan = new_plan(g, kern, 2, true, false);
    float *input = random_floats(12, 3);
    thaw_run run = make_run(2, input, true);
    run_both(plan, &run, 6);
    for (int i = 0; i < 12; i++)
        assert_true(thaw_plan_output_gradient(plan)[i] == (float)(i % 7) - 2.5f);
    thaw_free(&input);
    thaw_plan_free(&plan);
    thaw_graph_free(&g);
    thaw_kern_close(&kern);
}

static void runs_allocate_nothing_and_repeat(void **state)
{
    (void)state;
    int64_t live = thaw_alloc_live();
    thaw_kern *kern = NULL;
    assert_ok(thaw_kern_open("auto", &kern));
    thaw_graph *g = mixture();
    float *x = random_floats(16 * 3 * 6 * 6, 3);
    thaw_run run = make_run(BATCH, x, true);
    randomize(g, 17);
    train_all(g);
    thaw_plan *exact = new_plan(g, kern, BATCH, true, false);
    thaw_plan *larger = new_plan(g, kern, 16, true, false);
    assert_same_run(exact, larger, g, &run, 5);
    float logits[BATCH * 5];
    memcpy(logits, thaw_plan_value(exact, -1), sizeof logits);
    int64_t count = thaw_alloc_count();
    run.B = 16;
    run_both(larger, &run, 5);
    run.B = BATCH;
    run_both(exact, &run, 5);
    assert_int_equal(thaw_alloc_count(), count);
    assert_memory_equal(logits, thaw_plan_value(exact, -1), sizeof logits);
    assert_same_run(larger, exact, g, &run, 5);
    thaw_plan_free(&larger);
    thaw_plan_free(&exact);
    thaw_graph_free(&g);
    thaw_free(&x);
    thaw_kern_close(&kern);
    assert_int_equal(thaw_alloc_live(), live);
}

/* Inference of a chain holds an operator's input and output, nothing else. */
static void chain_needs_its_two_largest(void **state)
{
    (void)state;
    thaw_kern *kern = open_kern();
    thaw_graph *g = new_graph();
    thaw_value v = thaw_graph_input(g, thaw_shape_make(3, (int64_t[]){3, 16, 16}));
    static const int64_t widths[] = {4, 8, 16, 16, 4, 2};
    for (size_t i = 0; i < 6; i++) {
        char name[20];
        (void)snprintf(name, sizeof name, "layer%zu", i);
        v = thaw_graph_relu(g, conv_norm(g, name, 1, v, widths[i], 3, 1));
    }
    thaw_graph_set_features(g, v);
    thaw_graph_set_logits(g, thaw_graph_flatten(g, v));
    assert_ok(thaw_graph_finish(g));
    assert_ok(thaw_graph_analyze(g));
    thaw_plan *plan = new_plan(g, kern, BATCH, false, false);
    size_t largest = BATCH * 16 * 16 * 16 * sizeof(float);
    assert_true(thaw_plan_arena_bytes(plan) >= 2 * largest);
    /* ref has no workspace; the kept output is small and may lie beside. */
    assert_true(thaw_plan_arena_bytes(plan) <= 2 * largest + largest / 4);
    assert_int_equal(thaw_plan_reduced_count(plan), 0);
    assert_null(thaw_plan_output_gradient(plan));
    thaw_plan_free(&plan);
    thaw_graph_free(&g);
    thaw_kern_close(&kern);
}

/* Frozen parts keep nothing: memory falls with every block that is frozen. */
static void freezing_saves_memory(void **state)
{
    (void)state;
    thaw_kern *kern = open_kern();
    thaw_graph *g = resnet(32, 16, 3, 10, false);
    size_t before = SIZE_MAX;
    thaw_plan *plan = NULL;
    thaw_plan_options options = plan_options(64, true);
    for (int32_t first = 0; first <= 10; first += 2) {
        train_from_block(g, first == 0 ? 0 : first);
        assert_ok(thaw_plan_new(g, kern, &options, &plan));
        print_message("resnet20, B 64, training from block %d: arena %.1f MB, reduced %.2f MB\n",
                      first, (double)thaw_plan_arena_bytes(plan) / 1e6,
                      (double)thaw_plan_reduced_bytes(plan) / 1e6);
        assert_true(thaw_plan_arena_bytes(plan) <= before);
        before = thaw_plan_arena_bytes(plan);
        thaw_plan_free(&plan);
    }
    options.training = false;
    assert_ok(thaw_plan_new(g, kern, &options, &plan));
    print_message("inference: arena %.1f MB\n", (double)thaw_plan_arena_bytes(plan) / 1e6);
    assert_true(thaw_plan_arena_bytes(plan) <= before);
    /* Block input, and input and output of a convolution inside; a line or two for the convolution's own scratch. */
    const size_t three = 3u * 64 * 16 * 32 * 32 * sizeof(float);
    assert_in_range(thaw_plan_arena_bytes(plan), three, three + 4096);
    thaw_plan_free(&plan);
    /* Frozen rungs that still send gradients through: LoRA-like, one weight at the bottom. */
    train_only(g, "stem.conv1.weight");
    options.training = true;
    assert_ok(thaw_plan_new(g, kern, &options, &plan));
    print_message("stem.conv1.weight alone: arena %.1f MB\n",
                  (double)thaw_plan_arena_bytes(plan) / 1e6);
    thaw_plan_free(&plan);
    thaw_graph_free(&g);
    thaw_kern_close(&kern);
}

static void impossible_batches_are_refused(void **state)
{
    (void)state;
    thaw_kern *kern = open_kern();
    thaw_graph *g = resnet(32, 16, 1, 10, false);
    thaw_plan *plan = NULL;
    train_all(g);
    thaw_plan_options options = plan_options(INT64_C(1) << 50, true);
    assert_int_equal(thaw_plan_new(g, kern, &options, &plan), THAW_ERR_RESOURCE);
    assert_non_null(strstr(thaw_error_last()->message, "smaller batch"));
    assert_null(plan);
    options.batch = 0;
    assert_refused(thaw_plan_new(g, kern, &options, &plan), "0 samples");
    thaw_graph_free(&g);
    thaw_kern_close(&kern);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_spans_never_overlap),
        cmocka_unit_test(validity_sees_an_overlap),
        cmocka_unit_test(reuse_changes_no_bit),
        cmocka_unit_test(output_gradient_is_the_callers),
        cmocka_unit_test(runs_allocate_nothing_and_repeat),
        cmocka_unit_test(chain_needs_its_two_largest),
        cmocka_unit_test(freezing_saves_memory),
        cmocka_unit_test(impossible_batches_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
