/* thaw-test: timeout=60 */
/* Attention of one head against the definition in double: odd sizes, masks, dropout factors, gradients. */
#include "kern_test.h"

typedef struct attention_case {
    int64_t Q, T, d, stride, out_stride;
    bool mask, factors;
} attention_case;

static const attention_case cases[] = {
    {1, 1, 1, 1, 1, false, false},      {5, 5, 3, 7, 7, false, false},
    {16, 16, 16, 32, 32, false, false}, {17, 17, 32, 96, 96, true, false},
    {33, 33, 20, 40, 40, false, true},  {128, 128, 32, 384, 384, true, true},
    {40, 40, 64, 64, 64, true, false},  {15, 15, 8, 8, 8, true, true},
    {1, 128, 32, 384, 384, true, true}, {1, 19, 20, 40, 40, true, false},
    {35, 3, 5, 9, 9, false, true},      {9, 50, 16, 48, 48, false, false},
    {17, 17, 16, 96, 32, false, false}, {7, 7, 5, 30, 10, true, true},
};
enum { CASES = sizeof cases / sizeof cases[0] };

typedef struct problem {
    thaw_attention s;
    float *q, *k, *v, *dy, *factors;
    bool masked[128];
    double *p; /* (Q, T) probabilities, without factors */
} problem;

static problem make_problem(const attention_case *c)
{
    problem p = {.s = {.Q = c->Q,
                       .T = c->T,
                       .d = c->d,
                       .stride = c->stride,
                       .out_stride = c->out_stride,
                       .scale = 0.3f}};
    int64_t count = (c->Q > c->T ? c->Q : c->T) * c->stride;
    p.q = test_random(count, 1);
    p.k = test_random(count, 2);
    p.v = test_random(count, 3);
    p.dy = test_random(c->Q * c->out_stride, 4);
    p.factors = test_random(c->Q * c->T, 5);
    for (int64_t j = 0; j < c->T; j++)
        p.masked[j] = c->mask && j % 3 == 1;
    assert_int_equal(thaw_alloc(&p.p, c->Q * c->T, sizeof *p.p), THAW_OK);
    for (int64_t i = 0; i < c->Q; i++) {
        double sum = 0;
        for (int64_t j = 0; j < c->T; j++) {
            double dot = 0;
            for (int64_t d = 0; d < c->d; d++)
                dot += (double)p.q[i * c->stride + d] * p.k[j * c->stride + d];
            p.p[i * c->T + j] = p.masked[j] ? 0 : exp(p.s.scale * dot);
            sum += p.p[i * c->T + j];
        }
        for (int64_t j = 0; j < c->T; j++)
            p.p[i * c->T + j] /= sum;
    }
    return p;
}

static void free_problem(problem *p)
{
    thaw_free(&p->q);
    thaw_free(&p->k);
    thaw_free(&p->v);
    thaw_free(&p->dy);
    thaw_free(&p->factors);
    thaw_free(&p->p);
}

static double factor(const problem *p, bool factors, int64_t i, int64_t j)
{
    return factors ? p->factors[i * p->s.T + j] : 1;
}

static void true_output(const problem *p, bool factors, float *y)
{
    for (int64_t i = 0; i < p->s.Q; i++)
        for (int64_t d = 0; d < p->s.d; d++) {
            double sum = 0;
            for (int64_t j = 0; j < p->s.T; j++)
                sum += p->p[i * p->s.T + j] * factor(p, factors, i, j) * p->v[j * p->s.stride + d];
            y[i * p->s.out_stride + d] = (float)sum;
        }
}

/* Adds the gradients to dq, dk, dv. */
static void true_gradients(const problem *p, bool factors, float *const dx[3])
{
    int64_t T = p->s.T;
    int64_t stride = p->s.stride;
    for (int64_t i = 0; i < p->s.Q; i++) {
        double dp[128];
        double mean = 0;
        for (int64_t j = 0; j < T; j++) {
            dp[j] = 0;
            for (int64_t d = 0; d < p->s.d; d++)
                dp[j] += (double)p->dy[i * p->s.out_stride + d] * p->v[j * stride + d];
            dp[j] *= factor(p, factors, i, j);
            mean += dp[j] * p->p[i * T + j];
        }
        for (int64_t j = 0; j < T; j++) {
            double probability = p->p[i * T + j];
            double ds = probability * (dp[j] - mean) * p->s.scale;
            for (int64_t d = 0; d < p->s.d; d++) {
                dx[0][i * stride + d] += (float)(ds * p->k[j * stride + d]);
                dx[1][j * stride + d] += (float)(ds * p->q[i * stride + d]);
                dx[2][j * stride + d] += (float)(probability * factor(p, factors, i, j) *
                                                 p->dy[i * p->s.out_stride + d]);
            }
        }
    }
}

static void check_case(const attention_case *c)
{
    problem p = make_problem(c);
    int64_t count = (c->Q > c->T ? c->Q : c->T) * c->stride;
    const float *factors = c->factors ? p.factors : NULL;
    const bool *masked = c->mask ? p.masked : NULL;
    int64_t written = c->Q * c->out_stride;
    float *y = test_random(written, 6); /* what lies between heads must stay as it is */
    float *truth = test_copy(written, y);
    float *stats = test_floats(2 * c->Q);
    char *workspace = NULL;
    size_t bytes = thaw_kern_attention_workspace(&p.s, true);
    assert_int_equal(thaw_alloc(&workspace, (int64_t)bytes, 1), THAW_OK);
    memset(workspace, 0xff, bytes); /* NaN */
    thaw_kern_attention(&p.s, p.q, p.k, p.v, masked, factors, y, stats, workspace);
    true_output(&p, c->factors, truth);
    assert_near(written, y, truth, 1e-5);
    for (int only = -1; only < 3; only++) {
        float *dx[3], *want[3], *mine[3];
        bool accumulate[3];
        for (int i = 0; i < 3; i++) {
            accumulate[i] = i != 1;
            dx[i] = test_random(count, (uint64_t)(7 + i));
            want[i] = test_copy(count, dx[i]);
            for (int64_t t = 0; t < c->T && !accumulate[i]; t++)
                memset(want[i] + t * c->stride, 0, (size_t)c->d * sizeof(float));
            mine[i] = only >= 0 && only != i ? NULL : dx[i];
        }
        true_gradients(&p, c->factors, want);
        thaw_kern_attention_backward(&p.s, p.q, p.k, p.v, masked, factors, stats, p.dy, mine,
                                     accumulate, workspace);
        for (int i = 0; i < 3; i++) {
            if (mine[i])
                assert_near(count, mine[i], want[i], 1e-5);
            thaw_free(&dx[i]);
            thaw_free(&want[i]);
        }
    }
    thaw_free(&workspace);
    thaw_free(&stats);
    thaw_free(&truth);
    thaw_free(&y);
    free_problem(&p);
}

static void test_attention(void **state)
{
    (void)state;
    for (int i = 0; i < CASES; i++)
        check_case(&cases[i]);
}

/* Padding alone: equal weights, as PyTorch's models give with their finite mask. */
static void test_all_masked(void **state)
{
    (void)state;
    enum { T = 5, D = 4 };
    thaw_attention s = {.Q = T, .T = T, .d = D, .stride = D, .out_stride = D, .scale = 1};
    bool masked[T] = {true, true, true, true, true};
    float *q = test_random(T * D, 1);
    float *y = test_floats(T * D);
    float stats[2 * T];
    char *workspace = NULL;
    assert_int_equal(thaw_alloc(&workspace, (int64_t)thaw_kern_attention_workspace(&s, false), 1),
                     THAW_OK);
    thaw_kern_attention(&s, q, q, q, masked, NULL, y, stats, workspace);
    for (int d = 0; d < D; d++) {
        double mean = 0;
        for (int t = 0; t < T; t++)
            mean += q[t * D + d] / (double)T;
        assert_true(fabs(y[d] - mean) < 1e-6);
    }
    q[3] = NAN;
    thaw_kern_attention(&s, q, q, q, NULL, NULL, y, stats, workspace);
    assert_true(isnan(y[0]));
    thaw_free(&workspace);
    thaw_free(&y);
    thaw_free(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_attention),
                                       cmocka_unit_test(test_all_masked)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
