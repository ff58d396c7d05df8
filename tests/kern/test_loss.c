/* Softmax cross-entropy: known values, and its gradient against central differences. */
#include "kern_test.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_known_values),
                                       cmocka_unit_test(test_gradient)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
