/* thaw-test: timeout=240
 * The same bits for every number of threads: what is shared out are outputs, and sums keep their order. */
#include "image_test.h"
#include "kern/threads_impl.h"

enum { MOST_THREADS = 3, ROOM = 1 << 22 };

/* What one run wrote, one array after another. */
typedef struct record {
    float *data;
    int64_t used;
} record;

static float *place(record *r, int64_t count)
{
    float *at = r->data + r->used;
    r->used += count;
    assert_true(r->used <= ROOM);
    return at;
}

/* A new array that holds what b holds. */
static float *place_copy(record *r, int64_t count, const float *from)
{
    float *at = place(r, count);
    memcpy(at, from, (size_t)count * sizeof *at);
    return at;
}

typedef void work(record *r, const float *x, const float *w);

/* Runs the work with 1, 2 and 3 threads. */
static void compare(work *run)
{
    float *x = test_random(ROOM / 4, 1);
    float *w = test_random(ROOM / 4, 2);
    record first = {test_floats(ROOM), 0};
    for (int32_t threads = 1; threads <= MOST_THREADS; threads++) {
        record r = {test_floats(ROOM), 0};
        thaw_threads_set(threads);
        assert_int_equal(thaw_threads(), threads);
        run(threads == 1 ? &first : &r, x, w);
        thaw_threads_set(0);
        if (threads > 1) {
            assert_int_equal(r.used, first.used);
            assert_memory_equal(r.data, first.data, (size_t)r.used * sizeof(float));
        }
        thaw_free(&r.data);
    }
    thaw_free(&first.data);
    thaw_free(&x);
    thaw_free(&w);
}

static void vectors(record *r, const float *x, const float *w)
{
    const int64_t n = 200003;
    double *sums = (double *)(void *)place(r, 16);
    sums[0] = thaw_kern_sum(n, x);
    sums[1] = thaw_kern_dot(n, x, w);
    sums[2] = thaw_kern_sum_squares(n, x);
    sums[3] = thaw_kern_distance_squared(n, x, w);
    sums[4] = thaw_kern_all_finite(n, x);
    thaw_kern_fill(n, 3, place(r, n));
    thaw_kern_scale(n, 3, place_copy(r, n, x));
    thaw_kern_axpy(n, 3, w, place_copy(r, n, x));
    thaw_kern_add(n, x, 3, w, place(r, n));
    thaw_kern_add_row(n / 101, 101, w, place_copy(r, n, x));
    thaw_kern_act(n, THAW_ACT_RELU6, x, place(r, n));
    thaw_kern_act_backward(n, THAW_ACT_RELU, x, w, place(r, n), true);
    thaw_kern_add_act(n, x, 2, w, THAW_ACT_RELU, place(r, n));
    thaw_kern_multiply(n, x, w, place(r, n), false);
    thaw_kern_gelu(n, false, x, place(r, n), place(r, n));
    thaw_sgd sgd = {.lr = 0.1f, .momentum = 0.9f, .gradient_scale = 1};
    thaw_kern_sgd(n, &sgd, x, NULL, place_copy(r, n, w), place_copy(r, n, x));
    thaw_adamw adamw = {.lr = 0.1f,
                        .beta1 = 0.9f,
                        .beta2 = 0.99f,
                        .epsilon = 1e-8f,
                        .gradient_scale = 1,
                        .step = 3};
    thaw_kern_adamw(n, &adamw, x, NULL, place_copy(r, n, w), place_copy(r, n, x), place(r, n));
    float *m = place_copy(r, n, x);
    float *v = place(r, n);
    sums[5] = thaw_kern_pulled_squares(n, 0.5f, 0.1f, x, w, w);
    sums[6] = thaw_kern_lamb_moments(n, &adamw, x, NULL, w, m, v);
    thaw_kern_lamb_apply(n, &adamw, place_copy(r, n, w), m, v);
    thaw_kern_lerp(n, 0.1f, x, m);
    thaw_kern_swap(n, m, v);
}

static void test_vectors(void **state)
{
    (void)state;
    compare(vectors);
}

static void rows(record *r, const float *x, const float *w)
{
    const int64_t N = 700;
    const int64_t D = 310;
    double *sums = (double *)(void *)place(r, 4 * D);
    float *mean = place(r, N);
    float *inv = place(r, N);
    thaw_kern_layer_norm(N, D, x, w, w + D, 1e-5f, place(r, N * D), mean, inv);
    thaw_kern_layer_norm_backward(N, D, x, w, mean, inv, w, place(r, N * D), false, place(r, D),
                                  place(r, D), sums);
    thaw_kern_bias_gelu(N, D, true, x, w, place(r, N * D), place(r, N * D));
    thaw_kern_sum_rows(N, D, x, place(r, D));
    float *ids = place(r, N);
    for (int64_t i = 0; i < N; i++)
        ids[i] = (float)(i * 7 % 100);
    thaw_kern_embedding(N, D, 100, ids, w, place(r, N * D));
}

static void test_rows(void **state)
{
    (void)state;
    compare(rows);
}

static const thaw_image images[] = {{4, 37, 31, 30, 1}, {4, 37, 31, 30, 16}, {4, 37, 31, 30, 8},
                                    {900, 80, 1, 1, 1}, {70, 80, 3, 5, 1},   {2, 256, 14, 14, 16},
                                    {64, 512, 1, 2, 16}};
enum { IMAGES = sizeof images / sizeof images[0] };

static void norms(record *r, const float *x, const float *w)
{
    for (int i = 0; i < IMAGES; i++) {
        const thaw_image *s = &images[i];
        int64_t n = thaw_image_count(s);
        float *y = place(r, n);
        float *stats = place(r, 3 * s->C);
        thaw_kern_batch_norm_train(s, x, w, w + s->C, 1e-5f, w, THAW_ACT_RELU, y, stats,
                                   stats + s->C, stats + 2 * s->C);
        thaw_kern_batch_norm_train_backward(s, x, y, THAW_ACT_RELU, w, stats, stats + s->C, w,
                                            place(r, n), false, place(r, n), false, place(r, s->C),
                                            place(r, s->C));
        thaw_kern_channel_sums(s, x, place(r, s->C));
        thaw_kern_global_avg_pool(s, x, place(r, s->B * s->C));
        thaw_kern_global_avg_pool_backward(s, w, place(r, n), false);
    }
}

static void evals(record *r, const float *x, const float *w)
{
    for (int i = 0; i < 3; i++) {
        const thaw_image *s = &images[i];
        thaw_image plain = *s;
        int64_t n = thaw_image_count(s);
        float *var = place(r, s->C);
        thaw_kern_fill(s->C, 0.5f, var);
        thaw_kern_batch_norm_eval(s, x, w, w + s->C, w, var, 1e-5f, NULL, THAW_ACT_RELU6,
                                  place(r, n));
        thaw_kern_batch_norm_eval_backward(s, x, x, THAW_ACT_RELU, w, w, var, 1e-5f, w, place(r, n),
                                           false, NULL, false, place(r, s->C), NULL);
        if (s->block > 1) {
            plain.block = 1;
            thaw_kern_reorder(&plain, x, s->block, place(r, n), false);
            thaw_kern_reorder(s, x, 1, place(r, n), true);
        }
        plain = *s;
        plain.C = 64;
        thaw_kern_shortcut_pad(s, 64, 2, x, place(r, thaw_image_count(&plain)));
        thaw_kern_shortcut_pad_backward(s, 64, 2, x, place(r, n), false);
    }
}

static void pools(record *r, const float *x, const float *w)
{
    for (int i = 0; i < 2; i++) {
        thaw_pool2d s = {4, 40, 31, 30, 3, 3, 0, 0, 2, 2, 1, 1, false, i ? 16 : 1};
        assert_true(thaw_pool2d_output(&s));
        thaw_image in = {s.B, s.C, s.H, s.W, s.block};
        thaw_image out = {s.B, s.C, s.OH, s.OW, s.block};
        int64_t n = thaw_image_count(&in);
        int64_t m = thaw_image_count(&out);
        int32_t *argmax = (int32_t *)(void *)place(r, m);
        thaw_kern_max_pool(&s, x, place(r, m), argmax);
        thaw_kern_max_pool_backward(&s, argmax, w, place(r, n), false);
        thaw_kern_max_pool_gather(&s, argmax, w, place(r, m));
        thaw_kern_avg_pool(&s, x, place(r, m));
        thaw_kern_avg_pool_backward(&s, w, place(r, n), false);
    }
}

static void test_images(void **state)
{
    (void)state;
    compare(norms);
    compare(evals);
    compare(pools);
}

/* Wide, strided, with holes in backward, by minimal filtering, deep (narrow outputs of many images), grouped. */
static const thaw_conv2d convs[] = {
    {3, 20, 19, 23, 40, 3, 3, 0, 0, 2, 2, 1, 1, 1, 1, 1},
    {5, 48, 14, 14, 70, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 1},
    {3, 3, 56, 56, 32, 7, 7, 0, 0, 2, 2, 3, 3, 1, 1, 1},
    {5, 40, 16, 16, 64, 3, 3, 0, 0, 1, 1, 1, 1, 1, 1, 1},
    {1, 64, 32, 32, 64, 3, 3, 0, 0, 1, 1, 1, 1, 1, 1, 1},
    {70, 64, 4, 4, 48, 3, 3, 0, 0, 1, 1, 1, 1, 1, 1, 1},
    {4, 32, 14, 14, 64, 3, 3, 0, 0, 1, 1, 1, 1, 1, 1, 4},
};
enum { CONVS = sizeof convs / sizeof convs[0] };

static void run_convs(record *r, const char *backend, const float *x, const float *w)
{
    thaw_kern *k = NULL;
    if (thaw_kern_open(backend, &k) != THAW_OK) {
        print_message("backend %s is not here\n", backend);
        return;
    }
    for (int i = 0; i < CONVS; i++) {
        thaw_conv2d s = convs[i];
        assert_true(thaw_conv2d_output(&s));
        void *workspace = NULL;
        assert_int_equal(thaw_alloc(&workspace, (int64_t)k->conv2d_workspace(k, &s), 1), THAW_OK);
        int64_t out = s.B * s.O * s.OH * s.OW;
        int64_t in = s.B * s.C * s.H * s.W;
        /* Also fewer images than the workspace was asked for. */
        for (int64_t B = s.B; B > 0; B -= s.B > 1 ? s.B - 1 : 1) {
            thaw_conv2d part = s;
            part.B = B;
            k->conv2d_forward(k, &part, x, w, w, place(r, out), workspace);
            k->conv2d_backward_data(k, &part, w, x, place(r, in), true, workspace);
            k->conv2d_backward_weights(k, &part, x, w, place(r, s.O * s.C * s.KH * s.KW),
                                       place(r, s.O), workspace);
        }
        thaw_free(&workspace);
    }
    thaw_kern_close(&k);
}

static void native_convs(record *r, const float *x, const float *w)
{
    run_convs(r, "native", x, w);
}

static void openblas_convs(record *r, const float *x, const float *w)
{
    run_convs(r, "openblas", x, w);
}

static void test_convs(void **state)
{
    (void)state;
    compare(native_convs);
    compare(openblas_convs);
}

static void products(record *r, const char *backend, const float *x, const float *w)
{
    thaw_kern *k = NULL;
    if (thaw_kern_open(backend, &k) != THAW_OK) {
        print_message("backend %s is not here\n", backend);
        return;
    }
    for (int i = 0; i < 4; i++) {
        bool ta = i & 1;
        bool tb = i & 2;
        k->gemm(k, ta, tb, 517, 600, 300, 1, x, ta ? 517 : 300, w, tb ? 300 : 600, 0,
                place(r, 517 * 600), 600);
        k->gemm(k, ta, tb, 16, 1000, 700, 0.5f, x, ta ? 16 : 700, w, tb ? 700 : 1000, 1,
                place(r, 16 * 1000), 1000);
    }
    thaw_kern_close(&k);
}

static void native_products(record *r, const float *x, const float *w)
{
    products(r, "native", x, w);
}

static void openblas_products(record *r, const float *x, const float *w)
{
    products(r, "openblas", x, w);
}

static void test_products(void **state)
{
    (void)state;
    compare(native_products);
    compare(openblas_products);
}

/* One planned convolution in channel blocks, all passes; the algorithm of the forward pass, "" without oneDNN. */
static const char *planned(record *r, const thaw_conv2d *shape, const float *x, const float *w)
{
    static const char *const known[] = {"winograd", "taps", "depthwise", "onednn",
                                        "onednn-winograd"};
    const char *name = "";
    thaw_kern *k = NULL;
    thaw_conv *conv = NULL;
    void *workspace = NULL;
    if (thaw_kern_open("onednn", &k) != THAW_OK)
        return "";
    thaw_conv_spec spec = {.shape = *shape,
                           .block_in = k->block,
                           .block_out = k->block,
                           .wanted = {true, true, true},
                           .act = THAW_ACT_RELU};
    assert_true(thaw_conv2d_output(&spec.shape));
    const thaw_conv2d *s = &spec.shape;
    assert_int_equal(thaw_conv_new(k, &spec, &conv), THAW_OK);
    size_t bytes = 0;
    for (int pass = 0; pass < THAW_CONV_PASSES; pass++) {
        size_t own = thaw_conv_workspace_bytes(conv, (thaw_conv_pass)pass);
        bytes = own > bytes ? own : bytes;
    }
    assert_int_equal(thaw_alloc(&workspace, (int64_t)bytes, 1), THAW_OK);
    for (int pass = 0; pass < 2; pass++) {
        size_t packed_bytes = thaw_conv_packed_bytes(conv, (thaw_conv_pass)pass);
        float *packed = test_floats((int64_t)(packed_bytes / sizeof *packed));
        const float *form = packed_bytes > 0 ? packed : w;
        if (packed_bytes > 0)
            thaw_conv_pack(conv, (thaw_conv_pass)pass, w, packed);
        if (pass == 0)
            thaw_conv_forward(conv, s->B, x, form, NULL, place(r, s->B * s->O * s->OH * s->OW),
                              workspace);
        else
            thaw_conv_backward_data(conv, s->B, form, x, place(r, s->B * s->C * s->H * s->W), true,
                                    workspace);
        thaw_free(&packed);
    }
    thaw_conv_backward_weights(conv, s->B, x, w, place(r, s->O * s->C * s->KH * s->KW),
                               place(r, s->O), workspace);
    for (int i = 0; i < 5; i++)
        if (strcmp(thaw_conv_algorithm(conv, THAW_CONV_FORWARD), known[i]) == 0)
            name = known[i];
    thaw_free(&workspace);
    thaw_conv_free(&conv);
    thaw_kern_close(&k);
    return name;
}

/* Shapes for which our own algorithms are chosen, at least for the gradients of the last, a depthwise one. */
static void own_planned(record *r, const float *x, const float *w)
{
    static const struct {
        thaw_conv2d shape;
        const char
            *forward; /* NULL: may be oneDNN's, which computes each output in one thread here */
    } cases[] = {{{5, 64, 14, 14, 64, 3, 3, 0, 0, 1, 1, 1, 1, 1, 1, 1}, "winograd"},
                 {{2, 48, 28, 28, 80, 3, 3, 0, 0, 1, 1, 1, 1, 1, 1, 1}, "winograd"},
                 {{40, 64, 2, 2, 96, 3, 3, 0, 0, 1, 1, 1, 1, 1, 1, 1}, "taps"},
                 {{3, 64, 4, 4, 96, 3, 3, 0, 0, 2, 2, 1, 1, 1, 1, 1}, "taps"},
                 {{3, 80, 29, 30, 80, 5, 5, 0, 0, 2, 2, 2, 2, 1, 1, 80}, NULL}};
    for (int i = 0; i < 5; i++) {
        int64_t before = r->used;
        const char *name = planned(r, &cases[i].shape, x, w);
        if (cases[i].forward == NULL || strcmp(name, cases[i].forward) == 0)
            continue;
        print_message("not our own algorithm here but \"%s\"\n", name);
        r->used = before;
    }
}

/* What oneDNN computes may depend on the number of threads, but not on anything else. */
static void test_planned(void **state)
{
    (void)state;
    static const thaw_conv2d shape = {4, 64, 15, 15, 96, 3, 3, 0, 0, 2, 2, 1, 1, 1, 1, 1};
    compare(own_planned);
    float *x = test_random(ROOM / 4, 1);
    float *w = test_random(ROOM / 4, 2);
    for (int32_t threads = 1; threads <= MOST_THREADS; threads++) {
        record r[2] = {{test_floats(ROOM), 0}, {test_floats(ROOM), 0}};
        thaw_threads_set(threads);
        for (int i = 0; i < 2; i++)
            (void)planned(&r[i], &shape, x, w);
        thaw_threads_set(0);
        assert_memory_equal(r[0].data, r[1].data, (size_t)r[0].used * sizeof(float));
        thaw_free(&r[0].data);
        thaw_free(&r[1].data);
    }
    thaw_free(&x);
    thaw_free(&w);
}

/* Shares cover everything once, in order. */
static void test_shares(void **state)
{
    (void)state;
    for (int64_t n = 0; n < 400; n += 13)
        for (int shares = 1; shares < 9; shares++) {
            assert_int_equal(kern_share(n, shares, 0), 0);
            assert_int_equal(kern_share(n, shares, shares), n);
            for (int i = 0; i < shares; i++)
                assert_true(kern_share(n, shares, i) <= kern_share(n, shares, i + 1));
        }
    thaw_threads_set(1);
    assert_int_equal(thaw_threads_for(INT64_MAX), 1);
    thaw_threads_set(4);
    assert_int_equal(thaw_threads_for(1), 1);
#if defined(_OPENMP)
    assert_int_equal(thaw_threads_for(INT64_MAX), 4);
    assert_int_equal(thaw_threads_for(3 * 32768), 3);
#endif
    thaw_threads_set(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares),  cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_rows),    cmocka_unit_test(test_images),
        cmocka_unit_test(test_convs),   cmocka_unit_test(test_products),
        cmocka_unit_test(test_planned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
