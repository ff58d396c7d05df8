/* An optimizer in parts: together they do what one does, and each keeps only its own state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "thaw/optim.h"

/* Sizes that cuts at multiples of 64 meet everywhere; one tensor is larger than most parts. */
enum { TENSORS = 6, ALL = 7 + 1000 + 1 + 64 + 130 + 333, STEPS = 3, MOST_PARTS = 7 };
static const int64_t sizes[TENSORS] = {7, 1000, 1, 64, 130, 333};
static const char *const names[TENSORS] = {"a", "b", "c", "d", "e", "f"};

static void ok(thaw_status status)
{
    if (status != THAW_OK)
        fail_msg("%s", thaw_error_last()->message);
}

/* Weights and gradients that are the same for everybody. */
typedef struct model {
    float w[ALL], g[ALL];
    thaw_optim_tensor tensors[TENSORS];
    const float *gradients[TENSORS];
} model;

static void make_model(model *m)
{
    thaw_rng rng = thaw_rng_make(3, THAW_RNG_TEST, 0, 0);
    int64_t at = 0;
    for (int64_t i = 0; i < ALL; i++) {
        m->w[i] = (float)thaw_rng_normal(&rng);
        m->g[i] = (float)thaw_rng_normal(&rng);
    }
    for (int t = 0; t < TENSORS; at += sizes[t], t++) {
        m->tensors[t] = (thaw_optim_tensor){.name = names[t],
                                            .data = m->w + at,
                                            .shape = thaw_shape1(sizes[t]),
                                            .part = t < 3 ? THAW_PART_BACKBONE : THAW_PART_HEAD,
                                            .is_weight = t != 2};
        m->gradients[t] = m->g + at;
    }
}

static void step(thaw_optimizer *o, const model *m, double scale)
{
    thaw_step_report report = {0};
    ok(thaw_optimizer_step(o, m->gradients, scale, 1, &report));
    assert_true(report.clip_factor < 1);
}

/* What every part has done, put together: weights, and the state under its names. */
static void check_parts(const thaw_optim_config *config, int32_t parts, const model *truth,
                        const thaw_state *state)
{
    static model m;
    static float got[ALL];
    const thaw_rates rates = {.head = 0.1, .backbone = 0.05, .adapter = -1, .layer_decay = 1};
    thaw_optimizer *o[MOST_PARTS] = {NULL};
    size_t bytes = 0;
    make_model(&m);
    for (int32_t p = 0; p < parts; p++) {
        ok(thaw_optimizer_new_part(config, &rates, m.tensors, TENSORS, p, parts, &o[p]));
        bytes += thaw_optimizer_state_bytes(o[p]);
    }
    /* All parts work on one memory here, each on its own elements, so what one does is what others receive. */
    for (int k = 0; k < STEPS; k++) {
        for (int32_t p = 0; p < parts; p++)
            step(o[p], &m, 1 + 0.5 * k);
    }
    assert_memory_equal(m.w, truth->w, sizeof m.w);
    for (int64_t e = 1; e < state->count; e++) {
        int64_t next = 0;
        int32_t tensor = -1;
        for (int32_t p = 0; p < parts; p++) {
            int64_t begin;
            int64_t end;
            const float *kept = thaw_optimizer_kept(o[p], e, &tensor);
            thaw_optimizer_range(o[0], tensor, p, &begin, &end);
            assert_int_equal(begin, next);
            if (begin < end)
                memcpy(got + begin, kept, (size_t)(end - begin) * sizeof *got);
            next = end;
        }
        assert_int_equal(next, sizes[tensor]);
        assert_memory_equal(got, state->entries[e].tensor.data, (size_t)next * sizeof *got);
        bytes -= (size_t)next * sizeof *got;
    }
    assert_int_equal(bytes, 0); /* nothing is kept twice */
    for (int32_t p = 0; p < parts; p++)
        thaw_optimizer_free(&o[p]);
}

static void parts_do_what_one_does(void **unused)
{
    (void)unused;
    static model truth;
    const thaw_rates rates = {.head = 0.1, .backbone = 0.05, .adapter = -1, .layer_decay = 1};
    for (int kind = 0; thaw_optimizer_names()[kind] != NULL; kind++) {
        thaw_optim_config config;
        thaw_optimizer *one = NULL;
        thaw_state state = {0};
        thaw_optim_defaults(&config);
        config.kind = kind;
        config.clip_norm = 1;
        config.l2sp = 0.01;
        make_model(&truth);
        ok(thaw_optimizer_new(&config, &rates, truth.tensors, TENSORS, &one));
        for (int k = 0; k < STEPS; k++)
            step(one, &truth, 1 + 0.5 * k);
        ok(thaw_optimizer_state(one, &state));
        for (int32_t parts = 1; parts <= MOST_PARTS; parts++)
            check_parts(&config, parts, &truth, &state);
        thaw_state_clear(&state);
        thaw_optimizer_free(&one);
    }
}

/* Names and shapes are those of the whole, so that a checkpoint is; values are elsewhere. */
static void a_part_names_the_whole_state(void **unused)
{
    (void)unused;
    static model m;
    const thaw_rates rates = {.head = 0.1, .adapter = -1, .layer_decay = 1};
    thaw_optim_config config;
    thaw_optimizer *o = NULL;
    thaw_state state = {0};
    thaw_optim_defaults(&config);
    make_model(&m);
    ok(thaw_optimizer_new_part(&config, &rates, m.tensors, TENSORS, 1, 3, &o));
    ok(thaw_optimizer_state(o, &state));
    assert_int_equal(state.count, 1 + TENSORS);
    const thaw_tensor *b = thaw_state_find(&state, "optim.momentum.b");
    assert_true(b != NULL && thaw_tensor_count(b) == sizes[1] && b->data == NULL);
    /* A third, but for the rounding of cuts. */
    const size_t third = ALL * sizeof(float) / 3;
    assert_true(thaw_optimizer_state_bytes(o) < third + 64 * sizeof(float));
    assert_true(thaw_optimizer_state_bytes(o) > third - 64 * sizeof(float));
    thaw_state_clear(&state);
    thaw_optimizer_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_do_what_one_does),
        cmocka_unit_test(a_part_names_the_whole_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
