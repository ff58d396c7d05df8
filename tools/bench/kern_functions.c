#include "kern_bench.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Everything but convolutions and products: one line of the table below for a function and a shape. AT is the textbook formula
 * in double for element i of y, in plain layout; some elements are compared. Without it the function is compared in
 * tests/kern only. */

typedef struct call {
    int64_t n, N, D; /* elements of y; rows and their length */
    int64_t S;       /* pixels */
    thaw_image image;
    thaw_pool2d pool;
    thaw_attention attention;
    float *x, *z;     /* random, in the layout of the function */
    float *a, *b;     /* the same, plain */
    float *y, *w, *t; /* result; two more that are written */
    float *p, *q;     /* per channel or feature: random; positive */
    float *mean, *inv, *var;
    double *sums;
    int32_t *index, *labels;
    uint8_t *bytes;
    void *workspace;
    double answer;
} call;

typedef struct line {
    const char *name;
    int64_t dim[4]; /* B C H W, N D, or n */
    double floats;  /* read and written for an element of the first shape */
    double flops;   /* for an element; 0: held against memory */
    void (*run)(call *c);
    double (*at)(const call *c, int64_t i);
} line;

#define RUN(name, ...)                                                                             \
    static void run_##name(call *c)                                                                \
    {                                                                                              \
        __VA_ARGS__;                                                                               \
    }
#define AT(name, ...)                                                                              \
    static double at_##name(const call *c, int64_t i)                                              \
    {                                                                                              \
        __VA_ARGS__;                                                                               \
    }

/* ---- Element by element -------------------------------------------------------------------------------------- */

static double gelu(double x)
{
    return x / 2 * erfc(-x / sqrt(2));
}

RUN(relu, thaw_kern_act(c->n, THAW_ACT_RELU, c->x, c->y))
AT(relu, return fmax(c->a[i], 0))
RUN(relu_back, thaw_kern_act_backward(c->n, THAW_ACT_RELU, c->z, c->x, c->y, false))
AT(relu_back, return c->b[i] > 0 ? c->a[i] : 0)
RUN(relu6, thaw_kern_act(c->n, THAW_ACT_RELU6, c->x, c->y))
AT(relu6, return fmin(fmax(c->a[i], 0), 6))
RUN(add_relu, thaw_kern_add_act(c->n, c->x, 1, c->z, THAW_ACT_RELU, c->y))
AT(add_relu, return fmax((double)c->a[i] + c->b[i], 0))
RUN(add, thaw_kern_add(c->n, c->x, 0.5f, c->z, c->y))
AT(add, return c->a[i] + 0.5 * c->b[i])
RUN(multiply, thaw_kern_multiply(c->n, c->x, c->z, c->y, false))
AT(multiply, return (double)c->a[i] * c->b[i])
RUN(gelu, thaw_kern_gelu(c->n, false, c->x, c->y, NULL))
AT(gelu, return gelu(c->a[i]))
RUN(tanh, thaw_kern_tanh(c->n, c->x, c->y))
AT(tanh, return tanh(c->a[i]))
RUN(bias_gelu, thaw_kern_bias_gelu(c->N, c->D, false, c->x, c->p, c->y, c->w))
AT(bias_gelu, return gelu((double)c->a[i] + c->p[i % c->D]))
RUN(bias_gelu_back, thaw_kern_bias_gelu_backward(c->N, c->D, c->x, c->z, c->y, c->mean))
AT(bias_gelu_back, return (double)c->a[i] * c->b[i])
RUN(normalize, thaw_kern_normalize_u8(c->image.C, c->n / c->image.C, c->bytes, c->p, c->q, c->y))
AT(normalize, int64_t k = i / (c->n / c->image.C); return (c->bytes[i] / 255.0 - c->p[k]) / c->q[k])

/* ---- Images -------------------------------------------------------------------------------------------------- */

static int64_t channel(const call *c, int64_t i)
{
    return i / c->S % c->image.C;
}

/* Means over batch and pixels of f(a) g(b) of one channel: what norms need. */
static void moments(const call *c, int64_t k, double *mean, double *inv)
{
    double sum = 0;
    double squares = 0;
    int64_t count = c->image.B * c->S;
    for (int64_t b = 0; b < c->image.B; b++) {
        for (int64_t s = 0; s < c->S; s++)
            sum += c->a[(b * c->image.C + k) * c->S + s];
    }
    *mean = sum / (double)count;
    for (int64_t b = 0; b < c->image.B; b++) {
        for (int64_t s = 0; s < c->S; s++)
            squares += pow(c->a[(b * c->image.C + k) * c->S + s] - *mean, 2);
    }
    *inv = 1 / sqrt(squares / (double)count + 1e-5);
}

static double norm_back(const call *c, int64_t i)
{
    int64_t k = channel(c, i);
    double mean;
    double inv;
    double sum = 0;
    double product = 0;
    double count = (double)(c->image.B * c->S);
    moments(c, k, &mean, &inv);
    for (int64_t b = 0; b < c->image.B; b++) {
        for (int64_t s = 0; s < c->S; s++) {
            int64_t at = (b * c->image.C + k) * c->S + s;
            sum += c->b[at];
            product += c->b[at] * (c->a[at] - mean) * inv;
        }
    }
    return c->p[k] * inv * (c->b[i] - sum / count - (c->a[i] - mean) * inv * product / count);
}

RUN(norm, thaw_kern_batch_norm_train(&c->image, c->x, c->p, c->q, 1e-5f, NULL, THAW_ACT_NONE, c->y,
                                     c->mean, c->inv, c->var))
AT(norm, int64_t k = channel(c, i); double mean; double inv; moments(c, k, &mean, &inv);
   return (c->a[i] - mean) * inv * c->p[k] + c->q[k])
RUN(norm_relu, thaw_kern_batch_norm_train(&c->image, c->x, c->p, c->q, 1e-5f, NULL, THAW_ACT_RELU,
                                          c->y, c->mean, c->inv, c->var))
AT(norm_relu, return fmax(at_norm(c, i), 0))
RUN(norm_add_relu, thaw_kern_batch_norm_train(&c->image, c->x, c->p, c->q, 1e-5f, c->z,
                                              THAW_ACT_RELU, c->y, c->mean, c->inv, c->var))
AT(norm_add_relu, return fmax(at_norm(c, i) + c->b[i], 0))
RUN(norm_back,
    thaw_kern_batch_norm_train_backward(&c->image, c->x, NULL, THAW_ACT_NONE, c->p, c->mean, c->inv,
                                        c->z, c->y, false, NULL, false, c->t, c->t))
RUN(norm_relu_back,
    thaw_kern_batch_norm_train_backward(&c->image, c->x, c->w, THAW_ACT_RELU, c->p, c->mean, c->inv,
                                        c->z, c->y, false, NULL, false, c->t, c->t))
RUN(norm_eval, thaw_kern_batch_norm_eval(&c->image, c->x, c->p, c->q, c->p, c->q, 1e-5f, NULL,
                                         THAW_ACT_RELU, c->y))
AT(norm_eval, int64_t k = channel(c, i);
   return fmax((c->a[i] - c->p[k]) / sqrt(c->q[k] + 1e-5) * c->p[k] + c->q[k], 0))
RUN(reorder, thaw_image plain = c->image; plain.block = 1;
    thaw_kern_reorder(&plain, c->a, c->image.block, c->y, false))
AT(reorder, return c->a[i])
RUN(max_pool, thaw_kern_max_pool(&c->pool, c->x, c->y, c->index))
RUN(max_pool_back, thaw_kern_max_pool_backward(&c->pool, c->index, c->z, c->y, false))
RUN(global_pool, thaw_kern_global_avg_pool(&c->image, c->x, c->y))
RUN(global_pool_back, thaw_kern_global_avg_pool_backward(&c->image, c->x, c->y, false))
RUN(shortcut, thaw_kern_shortcut_pad(&c->image, 2 * c->image.C, 2, c->x, c->w))
RUN(channel_sums, thaw_kern_channel_sums(&c->image, c->x, c->mean))

/* ---- Rows ---------------------------------------------------------------------------------------------------- */

static double row_norm(const call *c, int64_t i)
{
    const float *row = c->a + i / c->D * c->D;
    double mean = thaw_kern_sum(c->D, row) / (double)c->D;
    double squares = 0;
    for (int64_t d = 0; d < c->D; d++)
        squares += (row[d] - mean) * (row[d] - mean);
    return (c->a[i] - mean) / sqrt(squares / (double)c->D + 1e-12) * c->p[i % c->D] +
           c->q[i % c->D];
}

static double row_softmax(const call *c, int64_t i)
{
    const float *row = c->a + i / c->D * c->D;
    double sum = 0;
    for (int64_t d = 0; d < c->D; d++)
        sum += exp(row[d]);
    return exp(c->a[i]) / sum;
}

/* Query i / d of the first head against all keys; q, k and v are the same array. */
static double attend(const call *c, int64_t i)
{
    const thaw_attention *s = &c->attention;
    const float *query = c->a + i / s->d * s->stride;
    double sum = 0;
    double value = 0;
    for (int64_t t = 0; t < s->T; t++) {
        double score = 0;
        for (int64_t d = 0; d < s->d; d++)
            score += (double)query[d] * c->a[t * s->stride + d];
        double weight = exp(score * s->scale);
        sum += weight;
        value += weight * c->a[t * s->stride + i % s->d];
    }
    return value / sum;
}

static void run_attention(call *c)
{
    for (int64_t h = 0; h < c->N; h++) {
        int64_t at = h * c->attention.T * c->attention.d;
        thaw_kern_attention(&c->attention, c->x + at, c->x + at, c->x + at, NULL, NULL, c->y + at,
                            c->t, c->workspace);
    }
}

static void run_attention_back(call *c)
{
    static const bool accumulate[3] = {false, true, true};
    for (int64_t h = 0; h < c->N; h++) {
        int64_t at = h * c->attention.T * c->attention.d;
        float *const dx[3] = {c->y + at, c->y + at, c->y + at};
        thaw_kern_attention_backward(&c->attention, c->x + at, c->x + at, c->x + at, NULL, NULL,
                                     c->t, c->z + at, dx, accumulate, c->workspace);
    }
}

RUN(layer_norm, thaw_kern_layer_norm(c->N, c->D, c->x, c->p, c->q, 1e-12f, c->y, c->mean, c->inv))
AT(layer_norm, return row_norm(c, i))
RUN(layer_norm_back, thaw_kern_layer_norm_backward(c->N, c->D, c->x, c->p, c->mean, c->inv, c->z,
                                                   c->y, false, c->t, c->t, c->sums))
RUN(softmax, double sum = 0;
    thaw_kern_softmax_cross_entropy(c->N, c->D, c->x, c->labels, 0, NULL, c->mean, c->y, &sum))
AT(softmax, return row_softmax(c, i))
RUN(embedding, thaw_kern_embedding(c->N, c->D, 30522, c->q, c->w, c->y))
AT(embedding, return c->w[(int64_t)c->q[i / c->D] * c->D + i % c->D])
RUN(embedding_back, thaw_kern_embedding_backward(c->N, c->D, 30522, 0, c->q, c->z, c->w))
AT(attention, return attend(c, i))

/* ---- Whole tensors --------------------------------------------------------------------------------------------- */

RUN(squares, c->answer = thaw_kern_sum_squares(c->n, c->x))
RUN(sgd, thaw_sgd s = {.lr = 0.001f, .momentum = 0.9f, .gradient_scale = 1};
    thaw_kern_sgd(c->n, &s, c->x, NULL, c->y, c->w))
RUN(adamw, thaw_adamw s = {0.001f, 0.9f, 0.999f, 1e-8f, 0.01f, 1, 0, 1};
    thaw_kern_adamw(c->n, &s, c->x, NULL, c->y, c->w, c->t))

#define TEXT                                                                                       \
    {                                                                                              \
        4096, 384                                                                                  \
    }
#define TEXT_WIDE                                                                                  \
    {                                                                                              \
        4096, 1536                                                                                 \
    }
#define IMAGE(C, H)                                                                                \
    {                                                                                              \
        16, C, H, H                                                                                \
    }
static const line lines[] = {
    {"relu/resnet50.layer1", IMAGE(256, 56), 2, 0, run_relu, at_relu},
    {"relu-backward/resnet50.layer1", IMAGE(256, 56), 3, 0, run_relu_back, at_relu_back},
    {"relu6/lite0.block1", IMAGE(96, 112), 2, 0, run_relu6, at_relu6},
    {"add/resnet50.layer1", IMAGE(256, 56), 3, 0, run_add, at_add},
    {"add-relu/resnet50.layer1", IMAGE(256, 56), 3, 0, run_add_relu, at_add_relu},
    {"multiply/dropout", TEXT, 3, 0, run_multiply, at_multiply},
    {"batch_norm/resnet50.layer1", IMAGE(64, 56), 3, 0, run_norm, at_norm},
    {"batch_norm-relu/resnet50.stem", IMAGE(64, 112), 3, 0, run_norm_relu, at_norm_relu},
    {"batch_norm-relu/resnet50.layer3", IMAGE(256, 14), 3, 0, run_norm_relu, at_norm_relu},
    {"batch_norm-add-relu/resnet50.layer2", IMAGE(512, 28), 4, 0, run_norm_add_relu,
     at_norm_add_relu},
    {"batch_norm-backward/resnet50.layer1", IMAGE(64, 56), 5, 0, run_norm_back, norm_back},
    {"batch_norm-relu-backward/resnet50.stem", IMAGE(64, 112), 7, 0, run_norm_relu_back, NULL},
    {"batch_norm-eval-relu/resnet50.layer1", IMAGE(256, 56), 2, 0, run_norm_eval, at_norm_eval},
    {"max_pool/resnet50.stem", IMAGE(64, 112), 1.5, 0, run_max_pool, NULL},
    {"max_pool-backward/resnet50.stem", IMAGE(64, 112), 1.5, 0, run_max_pool_back, NULL},
    {"global_avg_pool/resnet50", IMAGE(2048, 7), 1, 0, run_global_pool, NULL},
    {"global_avg_pool-backward/resnet50", IMAGE(2048, 7), 1, 0, run_global_pool_back, NULL},
    {"shortcut_pad/resnet20.layer2", {64, 16, 32, 32}, 0.75, 0, run_shortcut, NULL},
    {"channel_sums/resnet50.layer1", IMAGE(256, 56), 1, 0, run_channel_sums, NULL},
    {"reorder/input", IMAGE(64, 112), 2, 0, run_reorder, at_reorder},
    {"normalize_u8/input", {16, 3, 224, 224}, 1.25, 0, run_normalize, at_normalize},
    {"layer_norm/minilm", TEXT, 2, 0, run_layer_norm, at_layer_norm},
    {"layer_norm-backward/minilm", TEXT, 3, 0, run_layer_norm_back, NULL},
    {"gelu/minilm", TEXT_WIDE, 2, 0, run_gelu, at_gelu},
    {"bias-gelu/minilm", TEXT_WIDE, 3, 0, run_bias_gelu, at_bias_gelu},
    {"bias-gelu-backward/minilm", TEXT_WIDE, 3, 0, run_bias_gelu_back, at_bias_gelu_back},
    {"tanh/minilm.pooler", {32, 384}, 2, 0, run_tanh, at_tanh},
    {"embedding/minilm", TEXT, 2, 0, run_embedding, at_embedding},
    {"embedding-backward/minilm", TEXT, 3, 0, run_embedding_back, NULL},
    {"attention/minilm", TEXT, 0, 4 * 128, run_attention, at_attention},
    {"attention-backward/minilm", TEXT, 0, 10 * 128, run_attention_back, NULL},
    {"softmax-cross-entropy/imagenet", {64, 1000}, 2, 0, run_softmax, at_softmax},
    {"sum_squares/resnet18", {11181642}, 1, 0, run_squares, NULL},
    {"sgd/resnet18", {11181642}, 5, 0, run_sgd, NULL},
    {"adamw/minilm", {22717066}, 7, 0, run_adamw, NULL},
};

static void *room(int64_t bytes)
{
    char *data = NULL;
    if (thaw_alloc(&data, bytes, 1) != THAW_OK)
        thaw_abort(4);
    return data;
}

static bool is_image(const line *l)
{
    return l->dim[2] > 0;
}

/* In the layout of the function: channel blocks for images. */
static float *laid_out(const call *c, float *plain)
{
    thaw_image image = c->image;
    if (image.block <= 1)
        return plain;
    float *data = room(thaw_image_count(&image) * (int64_t)sizeof *data);
    image.block = 1;
    thaw_kern_reorder(&image, plain, c->image.block, data, false);
    return data;
}

static void open_call(const bench_context *b, const line *l, call *c)
{
    const int64_t *d = l->dim;
    bool plain = strncmp(l->name, "normalize", 9) == 0;
    *c = (call){.N = d[0], .D = d[1] > 0 ? d[1] : 1};
    c->n = d[0] * c->D * (is_image(l) ? d[2] * d[3] : 1);
    c->S = is_image(l) ? d[2] * d[3] : 1;
    c->image = (thaw_image){d[0], c->D, 1, 1, 1};
    if (is_image(l))
        c->image = (thaw_image){d[0], d[1], d[2], d[3], plain ? 1 : b->kern->block};
    c->pool = (thaw_pool2d){.B = d[0],
                            .C = c->D,
                            .H = c->image.H,
                            .W = c->image.W,
                            .KH = 3,
                            .KW = 3,
                            .stride_h = 2,
                            .stride_w = 2,
                            .pad_h = 1,
                            .pad_w = 1,
                            .block = c->image.block};
    THAW_ASSERT(thaw_pool2d_output(&c->pool));
    c->attention = (thaw_attention){
        .T = 128, .Q = 128, .d = 32, .stride = 32, .out_stride = 32, .scale = 0.17678f};
    c->a = bench_floats(c->n, 1);
    c->b = bench_floats(c->n, 2);
    c->x = is_image(l) ? laid_out(c, c->a) : c->a;
    c->z = is_image(l) ? laid_out(c, c->b) : c->b;
    int64_t most = thaw_image_count(&c->image) + c->n;
    bool table = strncmp(l->name, "embedding", 9) == 0;
    int64_t across = (c->D > c->N ? c->D : c->N) + 64;
    c->y = room(most * (int64_t)sizeof(float));
    c->w = room((table ? 30522 * c->D : most) * (int64_t)sizeof(float));
    c->t = room((most + 256) * (int64_t)sizeof(float));
    c->p = bench_floats(across, 5);
    c->q = bench_floats(across, 6);
    for (int64_t i = 0; i < across; i++)
        c->q[i] = table ? (float)(1 + i * 7919 % 30521) : fabsf(c->q[i]) + 0.5f;
    c->mean = room(across * (int64_t)sizeof(float));
    c->inv = room(across * (int64_t)sizeof(float));
    c->var = room(across * (int64_t)sizeof(float));
    c->sums = room(2 * across * (int64_t)sizeof(double));
    c->index = room(most * (int64_t)sizeof(int32_t));
    c->labels = room(across * (int64_t)sizeof(int32_t));
    c->bytes = room(most);
    for (int64_t i = 0; i < c->n; i++)
        c->bytes[i] = (uint8_t)(i * 7919 % 256);
    c->workspace = room((int64_t)thaw_kern_attention_workspace(&c->attention, true) + 1);
    /* Attention's rows are (heads, T, d). */
    if (strncmp(l->name, "attention", 9) == 0)
        c->N = c->n / (c->attention.T * c->attention.d);
}

static void close_call(call *c)
{
    if (c->x != c->a)
        thaw_free(&c->x);
    if (c->z != c->b)
        thaw_free(&c->z);
    float **floats[] = {&c->a, &c->b, &c->y,    &c->w,   &c->t,
                        &c->p, &c->q, &c->mean, &c->inv, &c->var};
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++)
        thaw_free(floats[i]);
    thaw_free(&c->sums);
    thaw_free(&c->index);
    thaw_free(&c->labels);
    thaw_free(&c->bytes);
    thaw_free(&c->workspace);
}

/* Some elements in all parts of the array. */
static double residual_of(const line *l, const call *c)
{
    enum { PICKED = 61 };
    float got[PICKED];
    double right[PICKED];
    float *plain = c->y;
    if (c->image.block > 1) {
        plain = room(c->n * (int64_t)sizeof *plain);
        thaw_kern_reorder(&c->image, c->y, 1, plain, false);
    }
    for (int i = 0; i < PICKED; i++) {
        int64_t at = c->n / PICKED * i + i % 7;
        if (strncmp(l->name, "attention", 9) == 0)
            at %= c->attention.T * c->attention.d;
        got[i] = plain[at];
        right[i] = l->at(c, at);
    }
    if (plain != c->y)
        thaw_free(&plain);
    return bench_residual(PICKED, got, right);
}

static void call_line(void *context)
{
    void **pair = context;
    ((const line *)pair[0])->run(pair[1]);
}

void bench_functions(const bench_context *b, const char *part)
{
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const line *l = &lines[i];
        call c;
        char row[96];
        if (strstr(l->name, part) == NULL)
            continue;
        open_call(b, l, &c);
        /* A backward pass needs what its forward left. */
        if (strstr(l->name, "batch_norm") && strstr(l->name, "backward"))
            run_norm(&c);
        memcpy(c.w, c.y, (size_t)c.n * sizeof *c.w * (strstr(l->name, "norm-relu-back") != NULL));
        if (strstr(l->name, "layer_norm-back"))
            run_layer_norm(&c);
        if (strstr(l->name, "max_pool-back"))
            run_max_pool(&c);
        if (strstr(l->name, "attention-back"))
            run_attention(&c);
        void *pair[] = {(void *)l, &c};
        double seconds = bench_time(call_line, pair, b->seconds);
        double bytes = l->floats * (double)c.n * sizeof(float);
        double residual = l->at ? residual_of(l, &c) : -1;
        thaw_format(row, sizeof row, "function/%s", l->name);
        bench_print(row, seconds, l->flops * (double)c.n, bytes,
                    l->flops > 0 ? b->peak : bench_triad((int64_t)bytes), residual, "");
        close_call(&c);
    }
}
