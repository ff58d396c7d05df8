/* Losses: known values, gradients against central differences, PyTorch's values (tests/golden/losses.txt). */
#include "kern_test.h"

#include "golden_test.h"

#include <stdio.h>
#include <string.h>

enum { B = 5, K = 7 };
static const int32_t labels[B] = {0, 6, 3, 3, 1};
static const float class_weights[K] = {1, 0.5f, 2, 1.5f, 1, 3, 0.25f};

static double total_loss(const float *logits, float smoothing, const float *weights)
{
    float loss[B];
    double weight_sum = 0;
    thaw_kern_softmax_cross_entropy(B, K, logits, labels, smoothing, weights, loss, NULL,
                                    &weight_sum);
    return thaw_kern_sum(B, loss);
}

static void test_known_values(void **state)
{
    (void)state;
    float logits[B * K] = {0};
    float loss[B];
    float probs[B * K];
    double weight_sum = 1;
    thaw_kern_softmax_cross_entropy(B, K, logits, labels, 0, NULL, loss, probs, &weight_sum);
    assert_true(fabs(loss[0] - log(K)) < 1e-6);
    assert_true(fabs(probs[3] - 1.0 / K) < 1e-7);
    assert_true(weight_sum == 1 + B);
    weight_sum = 0;
    thaw_kern_softmax_cross_entropy(B, K, logits, labels, 0, class_weights, NULL, NULL,
                                    &weight_sum);
    assert_true(fabs(weight_sum - (1 + 0.25 + 1.5 + 1.5 + 0.5)) < 1e-6);
    /* Two classes, logits 2 and 0, smoothing 0.2: 0.9 log(1 + e^-2) + 0.1 (2 + log(1 + e^-2)). */
    float two[2] = {2, 0};
    int32_t first = 0;
    thaw_kern_softmax_cross_entropy(1, 2, two, &first, 0.2f, NULL, loss, NULL, &weight_sum);
    assert_true(fabs(loss[0] - (log1p(exp(-2)) + 0.2)) < 1e-6);
    float huge[2] = {1000, -1000};
    thaw_kern_softmax_cross_entropy(1, 2, huge, &first, 0, NULL, loss, NULL, &weight_sum);
    assert_true(loss[0] == 0);
}

static void test_gradient(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        float smoothing = i & 1 ? 0.1f : 0;
        const float *weights = i & 2 ? class_weights : NULL;
        float *logits = test_random(B * K, 1);
        float probs[B * K];
        float gradient[B * K];
        double weight_sum = 0;
        thaw_kern_softmax_cross_entropy(B, K, logits, labels, smoothing, weights, NULL, probs,
                                        &weight_sum);
        thaw_kern_softmax_cross_entropy_backward(B, K, probs, labels, smoothing, weights, gradient);
        for (int j = 0; j < B * K; j++) {
            float old = logits[j];
            logits[j] = old + 0x1p-7f;
            double up = total_loss(logits, smoothing, weights);
            logits[j] = old - 0x1p-7f;
            double down = total_loss(logits, smoothing, weights);
            logits[j] = old;
            /* Step 2^-7: truncation about 1e-5, rounding of the float losses 1e-7 / 2^-6. */
            assert_true(fabs((up - down) / 0x1p-6 - gradient[j]) < 1e-4);
        }
        thaw_free(&logits);
    }
}

/* ---- Every loss of the table ---- */

typedef struct example {
    float logits[B * K], targets[B * K];
    int32_t labels[B];
    thaw_loss_batch batch;
} example;

static void fill(example *e, const thaw_loss *loss)
{
    for (uint32_t i = 0; i < B * K; i++) {
        const double t = golden_uniform("targets", i);
        e->logits[i] = (float)(8 * golden_uniform("logits", i) - 4);
        e->targets[i] = loss->task == THAW_TASK_REGRESSION ? (float)(6 * t - 3) : (float)(t < 0.3);
    }
    for (uint32_t i = 0; i < B; i++)
        e->labels[i] = (int32_t)(golden_uniform("labels", i) * K);
    e->batch = (thaw_loss_batch){
        .B = B, .K = K, .logits = e->logits, .labels = e->labels, .targets = e->targets};
}

static double sum_of(const thaw_loss *loss, const example *e)
{
    float each[B];
    loss->forward(&e->batch, each, NULL);
    return thaw_kern_sum(B, each);
}

static void test_gradients_of_all(void **state)
{
    (void)state;
    for (const thaw_loss *const *l = thaw_losses(); *l != NULL; l++) {
        example e;
        float outputs[B * K];
        float gradient[B * K];
        fill(&e, *l);
        (*l)->forward(&e.batch, NULL, outputs);
        (*l)->backward(&e.batch, outputs, gradient);
        for (int i = 0; i < B * K; i++) {
            const float old = e.logits[i];
            e.logits[i] = old + 0x1p-7f;
            const double up = sum_of(*l, &e);
            e.logits[i] = old - 0x1p-7f;
            const double down = sum_of(*l, &e);
            e.logits[i] = old;
            assert_true(fabs((up - down) / 0x1p-6 - gradient[i]) <
                        3e-4); /* as above; losses up to 6 */
        }
    }
}

static void test_extremes(void **state)
{
    (void)state;
    const float logits[] = {200, -200, 200, -200};
    const float targets[] = {1, 0, 0, 1};
    const thaw_loss_batch batch = {.B = 2, .K = 2, .logits = logits, .targets = targets};
    float loss[2];
    float outputs[4];
    float gradient[4];
    const thaw_loss *bce = thaw_loss_default(THAW_TASK_MULTI_LABEL);
    bce->forward(&batch, loss, outputs);
    bce->backward(&batch, outputs, gradient);
    assert_true(loss[0] == 0 && loss[1] == 200);
    assert_true(gradient[0] == 0 && gradient[2] == 0.5f && gradient[3] == -0.5f);
    assert_null(thaw_loss_find("hinge"));
    assert_ptr_equal(thaw_loss_find("mse"), thaw_loss_default(THAW_TASK_REGRESSION));
}

/* Lines "NAME loss VALUES" and "NAME gradient VALUES". */
static void test_golden(void **state)
{
    (void)state;
    char name[40];
    char part[16];
    char line[256];
    int records = 0;
    FILE *f = fopen(THAW_TESTS_DIR "/golden/losses.txt", "r");
    assert_non_null(f);
    while (fscanf(f, "%39s", name) == 1) {
        if (name[0] == '#') {
            assert_non_null(fgets(line, sizeof line, f));
            continue;
        }
        example e;
        float loss[B];
        float outputs[B * K];
        float gradient[B * K];
        const thaw_loss *l = thaw_loss_find(name);
        assert_non_null(l);
        fill(&e, l);
        l->forward(&e.batch, loss, outputs);
        l->backward(&e.batch, outputs, gradient);
        assert_int_equal(fscanf(f, "%15s", part), 1);
        const bool is_loss = strcmp(part, "loss") == 0;
        for (int i = 0; i < (is_loss ? B : B * K); i++) {
            double wanted;
            assert_int_equal(fscanf(f, "%lf", &wanted), 1);
            const double got = is_loss ? loss[i] : gradient[i];
            /* Both round a handful of float operations. */
            assert_true(fabs(got - wanted) <= 1e-6 * (1 + fabs(wanted)));
        }
        records++;
    }
    fclose(f);
    int kinds = 0;
    while (thaw_losses()[kinds] != NULL)
        kinds++;
    assert_int_equal(records, 2 * kinds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_values), cmocka_unit_test(test_gradient),
        cmocka_unit_test(test_gradients_of_all), cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_golden)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
