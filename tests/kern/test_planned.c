/* Planned convolutions: every backend, layout and pass against ref's plain functions; the same bits on every call. */
#include "kern_test.h"

#include "kern/conv_plan_impl.h"

typedef struct planned_row {
    thaw_conv2d shape; /* OH, OW filled by the test */
    bool bias, add;
    thaw_act act;
} planned_row;

/* B C H W O K stride pad dilation groups, then bias, add, act */
#define ROW(B, C, H, W, O, KH, KW, s, p, d, g, bias, add, act)                                     \
    {                                                                                              \
        {B, C, H, W, O, KH, KW, 0, 0, s, s, p, p, d, d, g}, bias, add, act                         \
    }
#define NONE  THAW_ACT_NONE
#define RELU  THAW_ACT_RELU
#define RELU6 THAW_ACT_RELU6

static const planned_row rows[] = {
    ROW(2, 16, 9, 11, 32, 3, 3, 1, 1, 1, 1, true, true, RELU),
    ROW(3, 32, 8, 8, 48, 3, 3, 1, 1, 1, 1, false, false, NONE),
    ROW(2, 64, 14, 14, 64, 3, 3, 1, 1, 1, 1, true, false, RELU6),
    ROW(5, 48, 7, 7, 80, 3, 3, 1, 1, 1, 1, false, true, RELU),
    ROW(2, 32, 12, 20, 16, 3, 3, 1, 0, 1, 1, true, true, NONE),
    ROW(2, 20, 9, 9, 24, 3, 3, 1, 1, 1, 1, true, true, RELU), /* channels that fill no block */
    ROW(1, 40, 30, 30, 56, 3, 3, 1, 1, 1, 1, true, false, RELU),
    ROW(3, 3, 23, 19, 64, 7, 7, 2, 3, 1, 1, true, false, RELU), /* stem */
    ROW(3, 3, 16, 16, 10, 3, 3, 1, 1, 1, 1, true, true, NONE),
    ROW(3, 32, 14, 14, 64, 3, 3, 2, 1, 1, 1, true, false, RELU),
    ROW(2, 64, 7, 9, 32, 3, 3, 2, 1, 1, 1, false, true, RELU6),
    ROW(3, 64, 14, 14, 32, 1, 1, 1, 0, 1, 1, true, true, RELU),
    ROW(2, 32, 15, 13, 64, 1, 1, 2, 0, 1, 1, true, true, RELU),
    ROW(17, 32, 4, 4, 64, 3, 3, 2, 1, 1, 1, true, true, RELU),
    ROW(17, 64, 2, 2, 64, 3, 3, 1, 1, 1, 1, true, true, RELU),
    ROW(19, 64, 1, 1, 48, 3, 3, 1, 1, 1, 1, true, false, RELU),
    ROW(18, 48, 2, 2, 64, 3, 3, 2, 1, 1, 1, false, false, NONE),
    ROW(9, 64, 2, 2, 128, 1, 1, 2, 0, 1, 1, true, true, NONE),
    ROW(2, 32, 11, 11, 32, 3, 3, 1, 2, 2, 1, true, false, RELU), /* dilated */
    ROW(2, 32, 10, 10, 64, 3, 3, 1, 1, 1, 2, true, true, RELU),  /* groups */
    ROW(2, 12, 10, 10, 18, 3, 3, 2, 1, 1, 3, true, false, NONE),
    ROW(2, 32, 13, 15, 32, 3, 3, 1, 1, 1, 32, true, true, RELU6), /* depthwise */
    ROW(2, 48, 14, 14, 48, 3, 3, 2, 1, 1, 48, true, false, RELU6),
    ROW(3, 32, 14, 11, 32, 5, 5, 1, 2, 1, 32, true, false, RELU6),
    ROW(2, 32, 16, 16, 32, 5, 5, 2, 2, 1, 32, false, true, RELU),
    ROW(2, 20, 9, 9, 20, 3, 3, 1, 1, 1, 20, true, true, RELU6),
    ROW(2, 16, 7, 7, 16, 7, 7, 1, 3, 1, 16, true, false, NONE),
    ROW(2, 32, 3, 3, 32, 5, 5, 1, 2, 1, 32, false, false, NONE), /* window larger than the image */
    ROW(2, 16, 9, 9, 32, 3, 3, 1, 1, 1, 16, true, false, NONE),  /* two outputs a channel */
    ROW(16, 16, 8, 8, 16, 3, 3, 1, 1, 1, 1, true, true,
        RELU), /* whole groups of images, or a rest */
    ROW(16, 16, 8, 8, 32, 3, 3, 2, 1, 1, 1, true, true, RELU),
    ROW(16, 32, 4, 4, 32, 3, 3, 1, 1, 1, 1, true, true, RELU),
    ROW(1, 16, 40, 6, 32, 5, 1, 1, 1, 1, 1, true, false, RELU),
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static int64_t image_count(const thaw_image *m)
{
    return m->B * ((m->C + m->block - 1) / m->block * m->block) * m->H * m->W;
}

/* Where element (b, c, pixel) of an image lies. */
static int64_t place(const thaw_image *m, int64_t b, int64_t c, int64_t pixel)
{
    int64_t S = m->H * m->W;
    int64_t blocks = (m->C + m->block - 1) / m->block;
    return ((b * blocks + c / m->block) * S + pixel) * m->block + c % m->block;
}

static float *convert(const thaw_image *from, const thaw_image *to, const float *data)
{
    float *result = test_floats(image_count(to));
    for (int64_t b = 0; b < from->B; b++)
        for (int64_t c = 0; c < from->C; c++)
            for (int64_t i = 0; i < from->H * from->W; i++)
                result[place(to, b, c, i)] = data[place(from, b, c, i)];
    return result;
}

/* Lanes beyond C must be zero in what functions write. */
static void assert_lanes_zero(const thaw_image *m, const float *data, const char *what)
{
    int64_t channels = (m->C + m->block - 1) / m->block * m->block;
    for (int64_t b = 0; b < m->B; b++)
        for (int64_t c = m->C; c < channels; c++)
            for (int64_t i = 0; i < m->H * m->W; i++)
                if (data[place(m, b, c, i)] != 0)
                    fail_msg("%s: channel %d of %d is not zero", what, (int)c, (int)m->C);
}

/* All arrays in plain layout. */
typedef struct problem {
    thaw_conv2d shape;
    thaw_image x_image, y_image;
    int64_t w_count;
    float *x, *w, *bias, *dy, *start_x, *start_y, *start_w, *start_b; /* given */
    float *y, *dx, *dx_added, *dw, *db;                               /* truth */
} problem;

static float apply(thaw_act act, float v)
{
    if (act == RELU || act == RELU6)
        v = v > 0 ? v : 0;
    return act == RELU6 && v > 6 ? 6 : v;
}

static problem make_problem(const planned_row *row, const thaw_kern *ref)
{
    problem p = {.shape = row->shape};
    assert_true(thaw_conv2d_output(&p.shape));
    const thaw_conv2d *s = &p.shape;
    p.x_image = (thaw_image){s->B, s->C, s->H, s->W, 1};
    p.y_image = (thaw_image){s->B, s->O, s->OH, s->OW, 1};
    int64_t x = image_count(&p.x_image);
    int64_t y = image_count(&p.y_image);
    p.w_count = s->O * (s->C / s->groups) * s->KH * s->KW;
    p.x = test_random(x, 1);
    p.w = test_random(p.w_count, 2);
    /* Results of size one, so that relu6 cuts off some and not nearly all. */
    thaw_kern_scale(p.w_count, 2 / sqrtf((float)(p.w_count / s->O)), p.w);
    p.bias = test_random(s->O, 3);
    p.dy = test_random(y, 4);
    p.start_x = test_random(x, 5);
    p.start_y = test_random(y, 6);
    p.start_w = test_random(p.w_count, 7);
    p.start_b = test_random(s->O, 8);
    p.y = test_floats(y);
    ref->conv2d_forward(ref, s, p.x, p.w, row->bias ? p.bias : NULL, p.y, NULL);
    for (int64_t i = 0; i < y; i++)
        p.y[i] = apply(row->act, p.y[i] + (row->add ? p.start_y[i] : 0));
    p.dx = test_floats(x);
    ref->conv2d_backward_data(ref, s, p.w, p.dy, p.dx, false, NULL);
    p.dx_added = test_copy(x, p.start_x);
    ref->conv2d_backward_data(ref, s, p.w, p.dy, p.dx_added, true, NULL);
    p.dw = test_copy(p.w_count, p.start_w);
    p.db = test_copy(s->O, p.start_b);
    ref->conv2d_backward_weights(ref, s, p.x, p.dy, p.dw, p.db, NULL);
    return p;
}

static void free_problem(problem *p)
{
    float **all[] = {&p->x,        &p->w,       &p->bias,    &p->dy, &p->start_x,
                     &p->start_y,  &p->start_w, &p->start_b, &p->y,  &p->dx,
                     &p->dx_added, &p->dw,      &p->db};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        thaw_free(all[i]);
}

/* As in test_conv.c: sums of up to 1e4 float products, with transforms that cost a digit. A wrong term would show as 1e-2. */
static const double tolerance = 3e-5;

typedef struct results {
    float *y, *dx, *dx_added, *dw, *db; /* in the plan's layouts */
} results;

typedef struct guarded {
    char *data;
    size_t bytes;
    char fill;
} guarded;

enum { GUARD = 64 };
static guarded make_guarded(size_t bytes, char filling)
{
    guarded g = {NULL, bytes, filling};
    assert_int_equal(thaw_alloc(&g.data, (int64_t)bytes + GUARD, 1), THAW_OK);
    memset(g.data, filling, bytes + GUARD);
    return g;
}

static void drop_guarded(guarded *g, const char *what)
{
    for (size_t i = g->bytes; i < g->bytes + GUARD; i++)
        if (g->data[i] != g->fill)
            fail_msg("%s: written past its end", what);
    thaw_free(&g->data);
}

typedef struct plan_case {
    const thaw_kern *kern;
    const planned_row *row;
    thaw_conv_spec spec;
    thaw_image x, y; /* layouts */
    char name[160];
} plan_case;

static guarded pack(const thaw_conv *conv, thaw_conv_pass pass, const float *w, char filling)
{
    guarded packed = make_guarded(thaw_conv_packed_bytes(conv, pass), filling);
    thaw_conv_pack(conv, pass, w, (float *)packed.data);
    return packed;
}

/* `fill` is what outputs and workspace hold before: nothing of it may show. */
static results run(const plan_case *c, thaw_conv *conv, const problem *p, int64_t B, char fill)
{
    guarded forward = pack(conv, THAW_CONV_FORWARD, p->w, fill);
    guarded backward = pack(conv, THAW_CONV_BACKWARD_DATA, p->w, fill);
    guarded work[THAW_CONV_PASSES];
    for (int pass = 0; pass < THAW_CONV_PASSES; pass++)
        work[pass] = make_guarded(thaw_conv_workspace_bytes(conv, pass), fill);
    float *x = convert(&p->x_image, &c->x, p->x);
    float *dy = convert(&p->y_image, &c->y, p->dy);
    results r = {convert(&p->y_image, &c->y, p->start_y), test_floats(image_count(&c->x)),
                 convert(&p->x_image, &c->x, p->start_x), test_copy(p->w_count, p->start_w),
                 test_copy(p->shape.O, p->start_b)};
    if (!c->spec.add)
        memset(r.y, fill, (size_t)image_count(&c->y) * sizeof(float));
    memset(r.dx, fill, (size_t)image_count(&c->x) * sizeof(float));
    const float *w = forward.bytes ? (float *)forward.data : p->w;
    thaw_conv_forward(conv, B, x, w, p->bias, r.y, work[0].data);
    w = backward.bytes ? (float *)backward.data : p->w;
    thaw_conv_backward_data(conv, B, w, dy, r.dx, false, work[1].data);
    thaw_conv_backward_data(conv, B, w, dy, r.dx_added, true, work[1].data);
    thaw_conv_backward_weights(conv, B, x, dy, r.dw, r.db, work[2].data);
    drop_guarded(&forward, "packed for forward");
    drop_guarded(&backward, "packed for backward data");
    for (int pass = 0; pass < THAW_CONV_PASSES; pass++)
        drop_guarded(&work[pass], thaw_conv_algorithm(conv, pass));
    thaw_free(&x);
    thaw_free(&dy);
    return r;
}

static void free_results(results *r)
{
    thaw_free(&r->y);
    thaw_free(&r->dx);
    thaw_free(&r->dx_added);
    thaw_free(&r->dw);
    thaw_free(&r->db);
}

static void check_image(const plan_case *c, const thaw_image *layout, const thaw_image *plain,
                        const float *got, const float *truth, const char *what)
{
    float *flat = convert(layout, plain, got);
    double distance = test_distance(image_count(plain), flat, truth);
    if (!(distance <= tolerance))
        fail_msg("%s: %s differs by %g", c->name, what, distance);
    assert_lanes_zero(layout, got, what);
    thaw_free(&flat);
}

static void check_run(const plan_case *c, thaw_conv *conv, const problem *p)
{
    results r = run(c, conv, p, p->shape.B, (char)0xff); /* all ones is a NaN */
    check_image(c, &c->y, &p->y_image, r.y, p->y, "y");
    check_image(c, &c->x, &p->x_image, r.dx, p->dx, "dx");
    check_image(c, &c->x, &p->x_image, r.dx_added, p->dx_added, "dx added");
    if (!(test_distance(p->w_count, r.dw, p->dw) <= tolerance))
        fail_msg("%s: dw differs by %g", c->name, test_distance(p->w_count, r.dw, p->dw));
    assert_near(p->shape.O, r.db, p->db, tolerance);
    results again = run(c, conv, p, p->shape.B, 0x40);
    assert_memory_equal(r.y, again.y, (size_t)image_count(&c->y) * sizeof(float));
    assert_memory_equal(r.dx, again.dx, (size_t)image_count(&c->x) * sizeof(float));
    assert_memory_equal(r.dx_added, again.dx_added, (size_t)image_count(&c->x) * sizeof(float));
    assert_memory_equal(r.dw, again.dw, (size_t)p->w_count * sizeof(float));
    assert_memory_equal(r.db, again.db, (size_t)p->shape.O * sizeof(float));
    free_results(&again);
    free_results(&r);
}

/* B images, fewer than planned. */
static void check_some(const plan_case *c, thaw_conv *conv, const problem *p, const thaw_kern *ref,
                       int64_t B)
{
    results r = run(c, conv, p, B, (char)0xff);
    thaw_image x = c->x;
    thaw_image y = c->y;
    thaw_image plain_x = p->x_image;
    thaw_image plain_y = p->y_image;
    x.B = y.B = plain_x.B = plain_y.B = B;
    check_image(c, &y, &plain_y, r.y, p->y, "y of fewer images");
    check_image(c, &x, &plain_x, r.dx, p->dx, "dx of fewer images");
    check_image(c, &x, &plain_x, r.dx_added, p->dx_added, "dx added of fewer images");
    thaw_conv2d shape = p->shape;
    shape.B = B;
    float *dw = test_copy(p->w_count, p->start_w);
    ref->conv2d_backward_weights(ref, &shape, p->x, p->dy, dw, NULL, NULL);
    assert_near(p->w_count, r.dw, dw, tolerance);
    free_results(&r);
    thaw_free(&dw);
}

/* The half, most, and none; the last time without an allocation. */
static void check_fewer(const plan_case *c, thaw_conv *conv, const problem *p, const thaw_kern *ref)
{
    check_some(c, conv, p, ref, (p->shape.B + 1) / 2);
    if (p->shape.B > 8) {
        check_some(c, conv, p, ref, p->shape.B - 3);
        check_some(c, conv, p, ref, 2);
    }
    results none = run(c, conv, p, 0, (char)0xff);
    assert_memory_equal(none.dw, p->start_w, (size_t)p->w_count * sizeof(float));
    assert_memory_equal(none.db, p->start_b, (size_t)p->shape.O * sizeof(float));
    free_results(&none);
    thaw_conv_backward_weights(conv, 0, NULL, NULL, NULL, NULL, NULL);
}

static plan_case make_case(const thaw_kern *k, const planned_row *row, const problem *p, int which)
{
    plan_case c = {.kern = k,
                   .row = row,
                   .spec = {.shape = p->shape,
                            .block_in = which & 1 ? k->block : 1,
                            .block_out = which & 2 ? k->block : 1,
                            .wanted = {true, true, true},
                            .bias = row->bias,
                            .act = row->act,
                            .add = row->add},
                   .x = p->x_image,
                   .y = p->y_image};
    c.x.block = c.spec.block_in;
    c.y.block = c.spec.block_out;
    return c;
}

/* Every algorithm that fits, in all three passes where it fits; `first` fits everything else. */
static void check_algorithms(plan_case *c, const problem *p, const thaw_kern *ref)
{
    for (const conv_algorithm *const *a = c->kern->backend->algorithms; *a; a++) {
        thaw_conv *conv = NULL;
        bool used = false;
        for (int pass = 0; pass < THAW_CONV_PASSES; pass++) {
            char key[CONV_KEY_BYTES];
            conv_key(&c->spec, pass, key);
            if ((*a)->fits(c->kern, &c->spec, pass)) {
                assert_int_equal(conv_choice_set(c->kern->choices, key, *a, false), THAW_OK);
                used = true;
            }
        }
        if (!used)
            continue;
        assert_int_equal(thaw_conv_new(c->kern, &c->spec, &conv), THAW_OK);
        (void)thaw_format(c->name, sizeof c->name, "%s %s (%s %s %s), row %d, blocks %d %d",
                          c->kern->name, (*a)->name, thaw_conv_algorithm(conv, 0),
                          thaw_conv_algorithm(conv, 1), thaw_conv_algorithm(conv, 2),
                          (int)(c->row - rows), c->spec.block_in, c->spec.block_out);
        check_run(c, conv, p);
        check_fewer(c, conv, p, ref);
        int64_t allocations = thaw_alloc_count();
        thaw_conv_backward_weights(conv, 0, NULL, NULL, NULL, NULL, NULL);
        assert_int_equal(thaw_alloc_count(), allocations);
        thaw_conv_free(&conv);
        assert_null(conv);
    }
}

static void check_layouts(const thaw_kern *k, const planned_row *row, const problem *p,
                          const thaw_kern *ref)
{
    for (int which = 0; which < (k->block > 1 ? 4 : 1); which++) {
        plan_case c = make_case(k, row, p, which);
        check_algorithms(&c, p, ref);
    }
}

static void check_row(const planned_row *row, const thaw_kern *ref)
{
    problem p = make_problem(row, ref);
    thaw_kern *k;
    for (int i = 0; test_open(i, &k); i++) {
        if (k == NULL)
            continue;
        check_layouts(k, row, &p, ref);
        /* Our own kernels in narrower blocks too: other CPUs have those. */
        for (int j = 0; k->block > 1 && test_isa(j); j++) {
            kern_handle *handle = k->library;
            handle->isa = test_isa(j);
            k->block = handle->isa->lanes;
            check_layouts(k, row, &p, ref);
        }
        thaw_kern_close(&k);
    }
    free_problem(&p);
}

static void test_rows(void **state)
{
    (void)state;
    thaw_kern *ref = NULL;
    assert_int_equal(thaw_kern_open("ref", &ref), THAW_OK);
    int64_t live = thaw_alloc_live();
    for (int j = 0; j < ROWS; j++)
        check_row(&rows[j], ref);
    assert_int_equal(thaw_alloc_live(), live);
    thaw_kern_close(&ref);
}

static void test_refusals(void **state)
{
    (void)state;
    thaw_kern *k = NULL;
    assert_int_equal(thaw_kern_open("ref", &k), THAW_OK);
    thaw_conv_spec spec = {.shape = {1, 4, 5, 5, 4, 3, 3, 0, 0, 1, 1, 1, 1, 1, 1, 1},
                           .block_in = 1,
                           .block_out = 1,
                           .wanted = {true}};
    thaw_conv *conv = NULL;
    assert_false(thaw_conv_fits(k, &spec)); /* OH, OW are not filled */
    assert_int_equal(thaw_conv_new(k, &spec, &conv), THAW_ERR_FAIL);
    assert_true(thaw_conv2d_output(&spec.shape));
    assert_true(thaw_conv_fits(k, &spec));
    spec.block_out = 16;
    assert_false(thaw_conv_fits(k, &spec));
    assert_int_equal(thaw_conv_new(k, &spec, &conv), THAW_ERR_FAIL);
    assert_null(conv);
    thaw_error_clear();
    spec.block_out = 1;
    assert_int_equal(thaw_conv_new(k, &spec, &conv), THAW_OK);
    assert_string_equal(thaw_conv_algorithm(conv, THAW_CONV_BACKWARD_DATA), "");
    assert_int_equal(thaw_conv_workspace_bytes(conv, THAW_CONV_BACKWARD_DATA), 0);
    thaw_conv_free(&conv);
    thaw_kern_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
