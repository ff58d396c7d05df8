/* Linear layers in 8 bits: the fast product against the plain one to the bit, both against floats, and odd rows. */
#include "kern_test.h"

#include "kern/linear_int8_impl.h"

typedef struct layer {
    int64_t N, O, D;
    float *x, *w, *bias, *y;
    void *packed, *workspace;
} layer;

static layer new_layer(int64_t N, int64_t O, int64_t D)
{
    layer l = {.N = N, .O = O, .D = D};
    l.x = test_random(N * D, 1);
    l.w = test_random(O * D, 2);
    l.bias = test_random(O, 3);
    l.y = test_floats(N * O);
    assert_int_equal(thaw_alloc(&l.packed, (int64_t)thaw_linear8_packed_bytes(O, D), 1), THAW_OK);
    assert_int_equal(thaw_alloc(&l.workspace, (int64_t)thaw_linear8_workspace_bytes(N, D), 1),
                     THAW_OK);
    float *scratch = test_floats((D + 3) / 4);
    thaw_linear8_pack(O, D, l.w, l.packed, scratch);
    thaw_free(&scratch);
    return l;
}

static void free_layer(layer *l)
{
    thaw_free(&l->x);
    thaw_free(&l->w);
    thaw_free(&l->bias);
    thaw_free(&l->y);
    thaw_free(&l->packed);
    thaw_free(&l->workspace);
}

static void run(layer *l, int64_t N, const float *x, bool bias, float *y)
{
    thaw_linear8_run(N, l->O, l->D, x, l->packed, bias ? l->bias : NULL, y, l->workspace);
}

/* y (N, O) in doubles, from the bytes that the contract describes. */
static double by_contract(const layer *l, int64_t i, int64_t o, bool bias)
{
    float most[2] = {0, 0};
    for (int64_t d = 0; d < l->D; d++) {
        most[0] = fmaxf(most[0], fabsf(l->x[i * l->D + d]));
        most[1] = fmaxf(most[1], fabsf(l->w[o * l->D + d]));
    }
    double sum = 0;
    for (int64_t d = 0; d < l->D; d++)
        sum += nearbyint((double)(l->x[i * l->D + d] * (127.0f / most[0]))) *
               nearbyint((double)(l->w[o * l->D + d] * (127.0f / most[1])));
    return sum * ((double)most[0] / 127) * ((double)most[1] / 127) +
           (bias ? (double)l->bias[o] : 0);
}

static const int64_t sizes[][3] = {{1, 1, 1},    {5, 7, 3},     {6, 64, 16},   {7, 65, 33},
                                   {13, 48, 64}, {200, 100, 9}, {389, 130, 36}};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static void rows_of_bytes_as_the_contract_says(void **state)
{
    (void)state;
    int64_t live = thaw_alloc_live();
    for (int k = 0; k < SIZES; k++) {
        layer l = new_layer(sizes[k][0], sizes[k][1], sizes[k][2]);
        for (int bias = 0; bias < 2; bias++) {
            run(&l, l.N, l.x, bias, l.y);
            for (int64_t i = 0; i < l.N; i++)
                for (int64_t o = 0; o < l.O; o++) {
                    double wanted = by_contract(&l, i, o, bias);
                    /* Sums are exact; three roundings of single precision follow. */
                    assert_true(fabs((double)l.y[i * l.O + o] - wanted) <=
                                1e-6 * (1 + fabs(wanted)));
                }
        }
        free_layer(&l);
    }
    assert_int_equal(thaw_alloc_live(), live);
}

/* Arrays that the products read, of any bytes; a sum of the most products is far from 2^31. */
static kern_linear8 random_arrays(const int64_t size[3])
{
    const int64_t N = size[0], O = size[1], row = kern_linear8_row(size[2]);
    const int64_t panels = (O + KERN_LINEAR8_LANES - 1) / KERN_LINEAR8_LANES;
    kern_linear8 l = {.O = O, .D = size[2], .row = row, .bias = test_random(O, 3)};
    thaw_rng rng = thaw_rng_make(7, THAW_RNG_TEST, 1, 1);
    uint8_t *w = NULL;
    assert_int_equal(thaw_alloc(&l.x, N * row, 1), THAW_OK);
    assert_int_equal(thaw_alloc(&l.wide, N * row, sizeof *l.wide), THAW_OK);
    assert_int_equal(thaw_alloc(&l.excess, N, sizeof *l.excess), THAW_OK);
    assert_int_equal(thaw_alloc(&w, panels * KERN_LINEAR8_LANES * row, 1), THAW_OK);
    for (int64_t i = 0; i < N * row; i++)
        l.x[i] = (int8_t)((int)thaw_rng_below(&rng, 255) - 127);
    for (int64_t i = 0; i < panels * KERN_LINEAR8_LANES * row; i++)
        w[i] = (uint8_t)thaw_rng_below(&rng, 256);
    for (int64_t i = 0; i < N; i++)
        l.excess[i] = (int32_t)thaw_rng_below(&rng, 100000) - 50000;
    l.w = w;
    l.row_scale = test_random(N, 5);
    l.w_scale = test_random(panels * KERN_LINEAR8_LANES, 6);
    return l;
}

static void free_arrays(kern_linear8 *l)
{
    thaw_free(&l->x);
    thaw_free(&l->wide);
    thaw_free(&l->excess);
    thaw_free(&l->w);
    thaw_free(&l->row_scale);
    thaw_free(&l->w_scale);
    thaw_free(&l->bias);
}

static void every_cpu_computes_the_same_bits(void **state)
{
    (void)state;
    for (int k = 0; k < SIZES; k++) {
        const int64_t N = sizes[k][0];
        const int64_t count = N * sizes[k][1];
        kern_linear8 l = random_arrays(sizes[k]);
        float *plain = test_floats(count);
        float *fast = test_floats(count);
        l.y = plain;
        kern_linear8_plain.rows(&l, 0, N);
        l.y = fast;
        for (int i = 0; kern_linear8_kinds[i] != &kern_linear8_plain; i++) {
            if (!kern_linear8_kinds[i]->fits()) {
                if (k == 0)
                    print_message("not compared: this CPU has no %s\n",
                                  kern_linear8_kinds[i]->name);
                continue;
            }
            memset(fast, 0, (size_t)count * sizeof *fast);
            kern_linear8_kinds[i]->rows(&l, 0, N);
            assert_memory_equal(fast, plain, (size_t)count * sizeof *fast);
        }
        thaw_free(&plain);
        thaw_free(&fast);
        free_arrays(&l);
    }
}

static void a_row_depends_on_itself_alone(void **state)
{
    (void)state;
    layer l = new_layer(201, 70, 37);
    float *alone = test_floats(l.O);
    run(&l, l.N, l.x, true, l.y);
    for (int64_t i = 0; i < l.N; i += 10) {
        run(&l, 1, l.x + i * l.D, true, alone);
        assert_memory_equal(alone, l.y + i * l.O, (size_t)l.O * sizeof(float));
    }
    thaw_free(&alone);
    free_layer(&l);
}

/* Rounding to 1 / 127 of the largest of some hundred values errs by about 0.6 % of their size, twice. */
static void close_to_floats(void **state)
{
    (void)state;
    layer l = new_layer(50, 90, 384);
    thaw_kern *k = NULL;
    float *truth = test_floats(l.N * l.O);
    assert_int_equal(thaw_kern_open("ref", &k), THAW_OK);
    assert_false(k->has_linear_int8);
    k->gemm(k, false, true, l.N, l.O, l.D, 1, l.x, l.D, l.w, l.D, 0, truth, l.O);
    run(&l, l.N, l.x, false, l.y);
    const double error = sqrt(thaw_kern_distance_squared(l.N * l.O, l.y, truth) /
                              thaw_kern_sum_squares(l.N * l.O, truth));
    print_message("relative rms error of one linear layer in 8 bits: %.4f\n", error);
    assert_true(error < 0.02);
    assert_true(error > 1e-4); /* or it was not done in bytes */
    thaw_free(&truth);
    thaw_kern_close(&k);
    free_layer(&l);
}

static void odd_rows(void **state)
{
    (void)state;
    layer l = new_layer(5, 20, 10);
    memset(l.x, 0, 10 * sizeof *l.x);
    l.x[10] = NAN;
    l.x[25] = -INFINITY;
    for (int d = 30; d < 40; d++)
        l.x[d] = 1e-44f; /* a magnitude without an inverse */
    run(&l, l.N, l.x, true, l.y);
    for (int64_t o = 0; o < l.O; o++) {
        assert_true(l.y[o] == l.bias[o]);
        assert_true(isnan(l.y[l.O + o]) && isnan(l.y[2 * l.O + o]));
        assert_true(l.y[3 * l.O + o] == l.bias[o]);
        assert_true(isfinite(l.y[4 * l.O + o]));
    }
    free_layer(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_bytes_as_the_contract_says),
        cmocka_unit_test(every_cpu_computes_the_same_bits),
        cmocka_unit_test(a_row_depends_on_itself_alone),
        cmocka_unit_test(close_to_floats),
        cmocka_unit_test(odd_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
