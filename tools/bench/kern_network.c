#include "kern_bench.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "thaw/model.h"

/* Convolutions and products of a network, read off its graph: shapes are never written down twice. */

enum { MOST_SHAPES = 128 };

typedef struct conv_case {
    thaw_conv2d shape;
    const char *name; /* of the first layer that has it */
    int count;
    bool first; /* on the input: no backward data */
} conv_case;

typedef struct gemm_case {
    int64_t N, in, out; /* y (N, out) = x (N, in) w' */
    const char *name;
    int count;
} gemm_case;

typedef struct net_cases {
    conv_case conv[MOST_SHAPES];
    gemm_case gemm[MOST_SHAPES];
    int convs, gemms;
} net_cases;

static void add_conv(net_cases *n, const thaw_graph *g, const thaw_node *node, int64_t batch)
{
    thaw_shape in = thaw_graph_value_shape(g, node->inputs[0]);
    const thaw_conv2d_attr *a = &node->attr.conv2d;
    thaw_conv2d s = {.B = batch,
                     .C = in.dim[0],
                     .H = in.dim[1],
                     .W = in.dim[2],
                     .O = a->out_channels,
                     .KH = a->kernel_h,
                     .KW = a->kernel_w,
                     .stride_h = a->stride_h,
                     .stride_w = a->stride_w,
                     .pad_h = a->pad_h,
                     .pad_w = a->pad_w,
                     .dilation_h = a->dilation_h,
                     .dilation_w = a->dilation_w,
                     .groups = a->groups};
    THAW_ASSERT(thaw_conv2d_output(&s));
    for (int i = 0; i < n->convs; i++) {
        if (memcmp(&n->conv[i].shape, &s, sizeof s) == 0) {
            n->conv[i].count++;
            return;
        }
    }
    THAW_ASSERT(n->convs < MOST_SHAPES);
    n->conv[n->convs++] = (conv_case){s, node->name, 1, node->inputs[0] == 0};
}

static void add_linear(net_cases *n, const thaw_graph *g, const thaw_node *node, int64_t batch)
{
    thaw_shape in = thaw_graph_value_shape(g, node->inputs[0]);
    int64_t D = in.dim[in.ndim - 1];
    gemm_case c = {batch * thaw_shape_count(&in) / D, D, node->attr.linear.out_features, node->name,
                   1};
    for (int i = 0; i < n->gemms; i++) {
        if (n->gemm[i].N == c.N && n->gemm[i].in == c.in && n->gemm[i].out == c.out) {
            n->gemm[i].count++;
            return;
        }
    }
    THAW_ASSERT(n->gemms < MOST_SHAPES);
    n->gemm[n->gemms++] = c;
}

/* ---- One convolution ------------------------------------------------------------------------------------- */

typedef struct conv_bench {
    thaw_conv *conv;
    thaw_conv_spec spec;
    int pass;
    float *x, *w, *y, *packed, *dw;
    void *workspace;
} conv_bench;

static void call_conv(void *context)
{
    conv_bench *b = context;
    int64_t B = b->spec.shape.B;
    if (b->pass == THAW_CONV_FORWARD)
        thaw_conv_forward(b->conv, B, b->x, b->packed, NULL, b->y, b->workspace);
    else if (b->pass == THAW_CONV_BACKWARD_DATA)
        thaw_conv_backward_data(b->conv, B, b->packed, b->y, b->x, false, b->workspace);
    else
        thaw_conv_backward_weights(b->conv, B, b->x, b->y, b->dw, NULL, b->workspace);
}

static int64_t floats_of(int64_t B, int64_t C, int64_t H, int64_t W, int32_t block)
{
    thaw_image image = {B, C, H, W, block};
    return thaw_image_count(&image);
}

/* Opens one pass of a shape in the layouts that training would have: channel blocks wherever the backend works in them. */
static thaw_status open_conv(const thaw_kern *k, const thaw_conv2d *s, int pass, conv_bench *b)
{
    *b = (conv_bench){.pass = pass};
    b->spec = (thaw_conv_spec){.shape = *s, .block_in = k->block, .block_out = k->block};
    b->spec.wanted[pass] = true;
    if (!thaw_conv_fits(k, &b->spec))
        b->spec.block_in = 1;
    if (!thaw_conv_fits(k, &b->spec))
        b->spec.block_out = 1;
    THAW_TRY(thaw_conv_new(k, &b->spec, &b->conv));
    size_t packed = thaw_conv_packed_bytes(b->conv, (thaw_conv_pass)pass);
    int64_t weights = s->O * s->C / s->groups * s->KH * s->KW;
    b->w = bench_floats(weights, 2);
    b->dw = bench_floats(weights, 3);
    THAW_TRY(thaw_alloc(&b->packed, (int64_t)packed + 1, 1));
    if (packed > 0) {
        thaw_conv_pack(b->conv, (thaw_conv_pass)pass, b->w, b->packed);
    } else {
        thaw_free(&b->packed);
        b->packed = b->w;
    }
    thaw_image in = {s->B, s->C, s->H, s->W, 1};
    thaw_image out = {s->B, s->O, s->OH, s->OW, 1};
    float *x = bench_floats(thaw_image_count(&in), 1);
    float *y = bench_floats(thaw_image_count(&out), 4);
    THAW_TRY(thaw_alloc(&b->x, floats_of(s->B, s->C, s->H, s->W, b->spec.block_in), sizeof(float)));
    THAW_TRY(
        thaw_alloc(&b->y, floats_of(s->B, s->O, s->OH, s->OW, b->spec.block_out), sizeof(float)));
    if (b->spec.block_in > 1)
        thaw_kern_reorder(&in, x, b->spec.block_in, b->x, false);
    else
        memcpy(b->x, x, (size_t)thaw_image_count(&in) * sizeof *x);
    if (b->spec.block_out > 1)
        thaw_kern_reorder(&out, y, b->spec.block_out, b->y, false);
    else
        memcpy(b->y, y, (size_t)thaw_image_count(&out) * sizeof *y);
    thaw_free(&x);
    thaw_free(&y);
    return thaw_alloc(&b->workspace,
                      (int64_t)thaw_conv_workspace_bytes(b->conv, (thaw_conv_pass)pass) + 1, 1);
}

static void close_conv(conv_bench *b)
{
    thaw_conv_free(&b->conv);
    if (b->packed != b->w)
        thaw_free(&b->packed);
    thaw_free(&b->w);
    thaw_free(&b->dw);
    thaw_free(&b->x);
    thaw_free(&b->y);
    thaw_free(&b->workspace);
}

/* What the pass wrote, in plain layout and double. */
static double *result_of(const conv_bench *b, int64_t *count)
{
    const thaw_conv2d *s = &b->spec.shape;
    thaw_image in = {s->B, s->C, s->H, s->W, b->spec.block_in};
    thaw_image out = {s->B, s->O, s->OH, s->OW, b->spec.block_out};
    const thaw_image *image = b->pass == THAW_CONV_FORWARD ? &out : &in;
    const float *from = b->pass == THAW_CONV_FORWARD ? b->y : b->x;
    float *plain = NULL;
    double *result = NULL;
    *count = b->pass == THAW_CONV_BACKWARD_WEIGHTS
                 ? s->O * s->C / s->groups * s->KH * s->KW
                 : floats_of(s->B, image->C, image->H, image->W, 1);
    if (thaw_alloc(&plain, *count, sizeof *plain) != THAW_OK ||
        thaw_alloc(&result, *count, sizeof *result) != THAW_OK)
        thaw_abort(4);
    if (b->pass == THAW_CONV_BACKWARD_WEIGHTS)
        from = b->dw;
    else if (image->block > 1)
        thaw_kern_reorder(image, from, 1, plain, false);
    const float *data = b->pass != THAW_CONV_BACKWARD_WEIGHTS && image->block > 1 ? plain : from;
    for (int64_t i = 0; i < *count; i++)
        result[i] = data[i];
    thaw_free(&plain);
    return result;
}

/* Against ref on one sample: ref is slow. */
static thaw_status compare_conv(const bench_context *c, thaw_conv2d s, int pass, double *residual)
{
    conv_bench ours;
    conv_bench truth;
    int64_t count;
    s.B = 1;
    THAW_TRY(open_conv(c->kern, &s, pass, &ours));
    THAW_TRY(open_conv(c->ref, &s, pass, &truth));
    call_conv(&ours);
    call_conv(&truth);
    double *a = result_of(&ours, &count);
    double *b = result_of(&truth, &count);
    double worst = 0;
    double largest = 0;
    for (int64_t i = 0; i < count; i++) {
        worst = fmax(worst, fabs(a[i] - b[i]));
        largest = fmax(largest, fabs(b[i]));
    }
    *residual = worst / largest;
    thaw_free(&a);
    thaw_free(&b);
    close_conv(&ours);
    close_conv(&truth);
    return THAW_OK;
}

static thaw_status bench_conv(const bench_context *c, const char *net, const conv_case *one)
{
    static const char *const passes[] = {"forward", "data", "weights"};
    const thaw_conv2d *s = &one->shape;
    double flops =
        2.0 * (double)(s->B * s->O * s->OH * s->OW) * (double)(s->C / s->groups * s->KH * s->KW);
    for (int pass = 0; pass < THAW_CONV_PASSES; pass++) {
        char row[160];
        char words[160];
        double residual = -1;
        conv_bench b;
        if (pass == THAW_CONV_BACKWARD_DATA && one->first)
            continue;
        THAW_TRY(open_conv(c->kern, s, pass, &b));
        double seconds = bench_time(call_conv, &b, c->seconds);
        if (c->residuals)
            THAW_TRY(compare_conv(c, *s, pass, &residual));
        thaw_format(row, sizeof row, "%s/conv/%s/%s", net, one->name, passes[pass]);
        thaw_format(words, sizeof words, "%s x%d",
                    thaw_conv_algorithm(b.conv, (thaw_conv_pass)pass), one->count);
        bench_print(row, seconds, flops, 0, c->peak, residual, words);
        close_conv(&b);
    }
    return THAW_OK;
}

/* ---- One linear layer -------------------------------------------------------------------------------------- */

typedef struct gemm_bench {
    const thaw_kern *kern;
    const gemm_case *one;
    int pass;
    float *x, *w, *y;
} gemm_bench;

static void call_gemm(void *context)
{
    gemm_bench *b = context;
    const thaw_kern *k = b->kern;
    int64_t N = b->one->N;
    int64_t in = b->one->in;
    int64_t out = b->one->out;
    if (b->pass == 0)
        k->gemm(k, false, true, N, out, in, 1, b->x, in, b->w, in, 0, b->y, out);
    else if (b->pass == 1)
        k->gemm(k, false, false, N, in, out, 1, b->y, out, b->w, in, 0, b->x, in);
    else
        k->gemm(k, true, false, out, in, N, 1, b->y, out, b->x, in, 0, b->w, in);
}

static void open_gemm(const thaw_kern *k, const gemm_case *one, int pass, gemm_bench *b)
{
    *b = (gemm_bench){k,
                      one,
                      pass,
                      bench_floats(one->N * one->in, 1),
                      bench_floats(one->out * one->in, 2),
                      bench_floats(one->N * one->out, 3)};
}

static void close_gemm(gemm_bench *b)
{
    thaw_free(&b->x);
    thaw_free(&b->w);
    thaw_free(&b->y);
}

static double compare_gemm(const bench_context *c, gemm_case one, int pass)
{
    gemm_bench ours;
    gemm_bench truth;
    one.N = one.N < 64 ? one.N : 64;
    open_gemm(c->kern, &one, pass, &ours);
    open_gemm(c->ref, &one, pass, &truth);
    call_gemm(&ours);
    call_gemm(&truth);
    float *const mine[] = {ours.y, ours.x, ours.w};
    float *const right[] = {truth.y, truth.x, truth.w};
    const int64_t counts[] = {one.N * one.out, one.N * one.in, one.out * one.in};
    double *exact = NULL;
    if (thaw_alloc(&exact, counts[pass], sizeof *exact) != THAW_OK)
        thaw_abort(4);
    for (int64_t i = 0; i < counts[pass]; i++)
        exact[i] = right[pass][i];
    double residual = bench_residual(counts[pass], mine[pass], exact);
    thaw_free(&exact);
    close_gemm(&ours);
    close_gemm(&truth);
    return residual;
}

static void bench_gemm(const bench_context *c, const char *net, const gemm_case *one)
{
    static const char *const passes[] = {"forward", "data", "weights"};
    for (int pass = 0; pass < 3; pass++) {
        char row[160];
        char words[32];
        gemm_bench b;
        open_gemm(c->kern, one, pass, &b);
        double seconds = bench_time(call_gemm, &b, c->seconds);
        thaw_format(row, sizeof row, "%s/linear/%s/%s", net, one->name, passes[pass]);
        thaw_format(words, sizeof words, "x%d", one->count);
        bench_print(row, seconds, 2.0 * (double)(one->N * one->in * one->out), 0, c->peak,
                    c->residuals ? compare_gemm(c, *one, pass) : -1, words);
        close_gemm(&b);
    }
}

/* ---- A network --------------------------------------------------------------------------------------------- */

static void print_shape(const char *net, const conv_case *one)
{
    const thaw_conv2d *s = &one->shape;
    printf("%s/conv/%s %d %lld %lld %lld %lld %lld %lld %lld %lld %lld %lld\n", net, one->name,
           one->first ? -one->count : one->count, (long long)s->B, (long long)s->C, (long long)s->H,
           (long long)s->W, (long long)s->O, (long long)s->KH, (long long)s->KW,
           (long long)s->stride_h, (long long)s->pad_h, (long long)s->groups);
}

thaw_status bench_network(const bench_context *c, const char *arch, int64_t side, int64_t batch,
                          bool shapes_only)
{
    static net_cases cases;
    char name[64];
    char net[96];
    const thaw_model_arch *row = NULL;
    thaw_model *model = NULL;
    thaw_status status;
    thaw_copy(name, sizeof name, arch);
    thaw_format(net, sizeof net, "%s@%lld", arch, (long long)side);
    thaw_model_spec image = {.arch = name, .C = 3, .H = side, .W = side, .K = 10};
    thaw_model_spec text = {.arch = name, .T = side, .K = 10};
    THAW_TRY_TO(thaw_model_arch_find(arch, &row));
    THAW_TRY_TO(thaw_model_new(row->T > 0 ? &text : &image, &model));
    for (int32_t i = 0; i < thaw_graph_node_count(model->graph); i++) {
        const thaw_node *node = thaw_graph_node(model->graph, i);
        if (strcmp(thaw_node_kind(node), "conv2d") == 0)
            add_conv(&cases, model->graph, node, batch);
        else if (strcmp(thaw_node_kind(node), "linear") == 0)
            add_linear(&cases, model->graph, node, batch);
    }
    for (int i = 0; i < cases.convs; i++) {
        if (shapes_only)
            print_shape(net, &cases.conv[i]);
        else
            THAW_TRY_TO(bench_conv(c, net, &cases.conv[i]));
    }
    for (int i = 0; i < cases.gemms && !shapes_only; i++)
        bench_gemm(c, net, &cases.gemm[i]);
    status = THAW_OK;
done:
    thaw_model_free(&model);
    return status;
}
