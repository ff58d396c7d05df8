#include "thaw/optim.h"

#include <math.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

/* Tensors that begin to train in the middle of a run. */

#define N 37

static void ok(thaw_status status)
{
    if (status != THAW_OK)
        fail_msg("%s", thaw_error_last()->message);
}

static void fill(int which, float *out)
{
    for (int i = 0; i < N; i++)
        out[i] = (float)sin(1.7 * i + 0.9 * which);
}

/* A tensor that begins to train after seven steps of others moves as one that began with them: its moments are as young. */
static void joins_as_if_new(void **state)
{
    (void)state;
    for (int kind = 0; thaw_optimizer_names()[kind]; kind++) {
        thaw_optim_config config;
        thaw_rates rates = {.head = 0.1, .adapter = -1, .layer_decay = 1};
        float first[N], late[N], gradient[N];
        const float *gradients[] = {gradient};
        float *weights[] = {first, late};
        thaw_optim_defaults(&config);
        config.kind = kind;
        config.dampening = 0.5;
        for (int i = 0; i < 2; i++) {
            thaw_optimizer *o = NULL;
            thaw_state views = {0};
            const thaw_optim_tensor t = {.name = "w",
                                         .data = weights[i],
                                         .shape = thaw_shape1(N),
                                         .part = THAW_PART_HEAD,
                                         .joined = 7 * i};
            fill(0, weights[i]);
            ok(thaw_optimizer_new(&config, &rates, &t, 1, &o));
            ok(thaw_optimizer_state(o, &views));
            *(int64_t *)thaw_state_find(&views, "optim.step")->data = 7 * i;
            for (int step = 0; step < 3; step++) {
                fill(step + 1, gradient);
                ok(thaw_optimizer_step(o, gradients, 1, 1, NULL));
            }
            assert_int_equal(thaw_optimizer_steps(o), 7 * i + 3);
            thaw_state_clear(&views);
            thaw_optimizer_free(&o);
        }
        assert_memory_equal(first, late, sizeof first);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins_as_if_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
