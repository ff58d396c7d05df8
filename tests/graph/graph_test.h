/* What the tests of graph share: small networks, random parameters, comparison. Included once a program. */
#ifndef THAW_TESTS_GRAPH_TEST_H
#define THAW_TESTS_GRAPH_TEST_H

#include "thaw/graph.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define assert_ok(expression)                                                                      \
    do {                                                                                           \
        thaw_status status_ = (expression);                                                        \
        if (status_ != THAW_OK)                                                                    \
            fail_msg("%s: %s", #expression, thaw_error_last()->message);                           \
    } while (0)

/* Fails as expected, with a message that holds all the words. */
#define assert_refused(expression, ...)                                                            \
    do {                                                                                           \
        const char *const words_[] = {__VA_ARGS__};                                                \
        if ((expression) == THAW_OK)                                                               \
            fail_msg("%s succeeded", #expression);                                                 \
        for (size_t i_ = 0; i_ < sizeof words_ / sizeof words_[0]; i_++)                           \
            if (strstr(thaw_error_last()->message, words_[i_]) == NULL)                            \
                fail_msg("\"%s\" is not in: %s", words_[i_], thaw_error_last()->message);          \
    } while (0)

static inline thaw_graph *new_graph(void)
{
    thaw_graph *g = NULL;
    assert_ok(thaw_graph_new(&g));
    return g;
}

static inline thaw_value conv(thaw_graph *g, const char *name, thaw_value x, int64_t out,
                              int64_t kernel, int64_t stride, bool bias)
{
    thaw_conv2d_attr a = {.out_channels = out,
                          .kernel_h = kernel,
                          .kernel_w = kernel,
                          .stride_h = stride,
                          .stride_w = stride,
                          .pad_h = kernel / 2,
                          .pad_w = kernel / 2,
                          .dilation_h = 1,
                          .dilation_w = 1,
                          .groups = 1,
                          .bias = bias,
                          .init = THAW_INIT_KAIMING_NORMAL_FAN_OUT};
    return thaw_graph_conv2d(g, name, x, &a);
}

static inline thaw_value conv_norm(thaw_graph *g, const char *block, int index, thaw_value x,
                                   int64_t out, int64_t kernel, int64_t stride)
{
    char name[80];
    (void)snprintf(name, sizeof name, "%s.conv%d", block, index);
    thaw_value v = conv(g, name, x, out, kernel, stride, false);
    (void)snprintf(name, sizeof name, "%s.bn%d", block, index);
    return thaw_graph_batch_norm(g, name, v, 1e-5f, 0.1f);
}

static inline thaw_value basic_block(thaw_graph *g, const char *name, thaw_value x, int64_t out,
                                     int64_t stride, bool projection)
{
    thaw_value v = thaw_graph_relu(g, conv_norm(g, name, 1, x, out, 3, stride));
    v = conv_norm(g, name, 2, v, out, 3, 1);
    thaw_value shortcut = x;
    if (projection)
        shortcut = conv_norm(g, name, 3, x, out, 1, stride);
    else if (stride != 1)
        shortcut = thaw_graph_shortcut_pad(g, x, out, stride);
    return thaw_graph_relu(g, thaw_graph_add(g, v, shortcut, 1.0f));
}

/* He et al. 2016's CIFAR network: `depth` blocks a stage, three stages, K classes. Block 0 is the stem, -1 the head. */
static inline thaw_graph *resnet(int64_t size, int64_t width, int depth, int64_t K, bool projection)
{
    char name[40];
    thaw_graph *g = new_graph();
    thaw_graph_set_block(g, 0, "stem");
    thaw_value v = thaw_graph_input(g, thaw_shape_make(3, (int64_t[]){3, size, size}));
    v = thaw_graph_relu(g, conv_norm(g, "stem", 1, v, width, 3, 1));
    for (int stage = 0; stage < 3; stage++)
        for (int i = 0; i < depth; i++) {
            (void)snprintf(name, sizeof name, "layer%d.%d", stage + 1, i);
            thaw_graph_set_block(g, 1 + stage * depth + i, name);
            bool first = stage > 0 && i == 0;
            v = basic_block(g, name, v, width << stage, first ? 2 : 1, first && projection);
        }
    thaw_graph_set_block(g, -1, "head");
    v = thaw_graph_global_avg_pool(g, v);
    thaw_graph_set_features(g, v);
    thaw_graph_set_logits(g, thaw_graph_linear(g, "fc", v, K, true));
    assert_ok(thaw_graph_finish(g));
    return g;
}

/* Trains the parameters of blocks whose index is at least `first` (the head always), and analyses. */
static inline void train_from_block(thaw_graph *g, int32_t first)
{
    for (int32_t i = 0; i < thaw_graph_param_count(g); i++) {
        thaw_param *p = thaw_graph_param(g, i);
        p->trainable = p->block == -1 || p->block >= first;
    }
    assert_ok(thaw_graph_analyze(g));
}

static inline void train_all(thaw_graph *g)
{
    train_from_block(g, 0);
}

static inline void train_only(thaw_graph *g, const char *pattern)
{
    for (int32_t i = 0; i < thaw_graph_param_count(g); i++) {
        thaw_param *p = thaw_graph_param(g, i);
        p->trainable = thaw_match(pattern, p->name);
    }
    assert_ok(thaw_graph_analyze(g));
}

static inline thaw_param *find_param(const thaw_graph *g, const char *name)
{
    int32_t i = thaw_graph_find_param(g, name);
    if (i < 0)
        fail_msg("there is no parameter %s", name);
    return thaw_graph_param(g, i);
}

/* Values as after some training: norms that are not the identity, variances that are positive. */
static inline void randomize(thaw_graph *g, uint64_t seed)
{
    thaw_graph_initialize(g, seed, NULL, NULL);
    for (int32_t i = 0; i < thaw_graph_param_count(g); i++) {
        thaw_param *p = thaw_graph_param(g, i);
        thaw_rng rng = thaw_rng_make(seed, THAW_RNG_TEST, 1, (uint64_t)i);
        for (int64_t j = 0; j < thaw_shape_count(&p->shape); j++) {
            float u = (float)thaw_rng_uniform(&rng);
            if (p->role == THAW_ROLE_NORM_WEIGHT || p->role == THAW_ROLE_BUFFER_VAR)
                p->data[j] = 0.5f + u;
            else if (p->role == THAW_ROLE_NORM_BIAS || p->role == THAW_ROLE_BUFFER_MEAN)
                p->data[j] = 0.4f * u - 0.2f;
        }
    }
}

static inline float *random_floats(int64_t n, uint64_t seed)
{
    float *x = NULL;
    assert_ok(thaw_alloc(&x, n, sizeof *x));
    thaw_rng rng = thaw_rng_make(seed, THAW_RNG_TEST, 2, 0);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)thaw_rng_normal(&rng);
    return x;
}

static inline thaw_kern *open_kern(void)
{
    thaw_kern *kern = NULL;
    assert_ok(thaw_kern_open("ref", &kern));
    return kern;
}

static inline thaw_plan_options plan_options(int64_t batch, bool training)
{
    return (thaw_plan_options){
        .batch = batch, .training = training, .from = -1, .to = -1, .keep = -1};
}

static const int64_t sample_ids[] = {7,  3,  1000000007, 12, 5,  6,  44, 2,
                                     91, 17, 30,         31, 32, 33, 34, 35};

static inline thaw_run make_run(int64_t B, const float *input, bool training)
{
    return (thaw_run){.B = B,
                      .input = input,
                      .sample_ids = sample_ids,
                      .seed = 5,
                      .step = 3,
                      .training = training};
}

/* Forward, a fixed output gradient, backward. */
static inline void run_both(thaw_plan *plan, const thaw_run *run, int64_t outputs)
{
    thaw_plan_forward(plan, run);
    float *dy = thaw_plan_output_gradient(plan);
    for (int64_t i = 0; i < run->B * outputs; i++)
        dy[i] = (float)(i % 7) - 2.5f;
    thaw_plan_backward(plan, run, NULL, NULL, NULL);
}

#endif
