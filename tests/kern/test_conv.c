/* Convolution: every backend against independent naive loops, adjoint identities, and the same bits on every call. */
#include "kern_test.h"

typedef struct shapes_row {
    thaw_conv2d shape; /* OH, OW filled by the test */
    bool bias;
} shapes_row;

/* B C H W O KH KW . . stride pad dilation groups */
#define ROW(B, C, H, W, O, KH, KW, sh, sw, ph, pw, dh, dw, g, bias)                                \
    {                                                                                              \
        {B, C, H, W, O, KH, KW, 0, 0, sh, sw, ph, pw, dh, dw, g}, bias                             \
    }

static const shapes_row rows[] = {
    ROW(1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, true),
    ROW(2, 3, 7, 5, 4, 3, 3, 1, 1, 1, 1, 1, 1, 1, true),
    ROW(3, 5, 9, 11, 7, 3, 5, 1, 1, 0, 2, 1, 1, 1, false),
    ROW(1, 4, 8, 8, 6, 3, 3, 2, 2, 1, 1, 1, 1, 1, false),
    ROW(2, 4, 7, 9, 6, 3, 2, 2, 3, 1, 0, 1, 1, 2, true),
    ROW(2, 6, 9, 9, 6, 3, 3, 1, 1, 2, 2, 2, 2, 6, false), /* depthwise, dilated */
    ROW(2, 4, 10, 8, 12, 3, 3, 2, 1, 3, 2, 2, 3, 4, true),
    ROW(5, 7, 4, 6, 9, 1, 1, 1, 1, 0, 0, 1, 1, 1, true),
    ROW(3, 8, 5, 5, 8, 1, 1, 2, 2, 0, 0, 1, 1, 1, false),
    ROW(2, 3, 6, 6, 5, 1, 1, 1, 1, 1, 1, 1, 1, 1, false), /* 1x1 with padding */
    ROW(2, 3, 23, 19, 64, 7, 7, 2, 2, 3, 3, 1, 1, 1, false),
    ROW(4, 16, 16, 16, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, false),
    ROW(3, 16, 17, 17, 32, 3, 3, 2, 2, 1, 1, 1, 1, 1, false),
    ROW(3, 32, 8, 8, 32, 3, 3, 1, 1, 1, 1, 1, 1, 1, true),
    ROW(9, 64, 8, 8, 64, 3, 3, 1, 1, 1, 1, 1, 1, 1, false),
    ROW(9, 64, 8, 8, 128, 1, 1, 2, 2, 0, 0, 1, 1, 1, false),
    ROW(17, 128, 4, 4, 96, 3, 3, 1, 1, 1, 1, 1, 1, 1, false),
    ROW(16, 96, 4, 4, 48, 3, 3, 2, 2, 1, 1, 1, 1, 1, false),
    ROW(19, 48, 2, 2, 80, 3, 3, 1, 1, 1, 1, 1, 1, 1, false),
    ROW(18, 80, 2, 2, 64, 3, 3, 2, 2, 1, 1, 1, 1, 1, false),
    ROW(21, 96, 1, 1, 112, 3, 3, 1, 1, 1, 1, 1, 1, 1, true),
    ROW(2, 20, 33, 31, 24, 3, 3, 1, 1, 1, 1, 1, 1, 1, true), /* channels that fit no vector */
    ROW(1, 40, 56, 3, 17, 5, 3, 1, 1, 2, 1, 1, 1, 1, false),
    ROW(2, 32, 12, 12, 32, 3, 3, 1, 1, 1, 1, 1, 1, 2, true), /* groups of 16 */
    ROW(2, 16, 12, 12, 32, 3, 3, 2, 2, 2, 2, 2, 2, 1, false),
    ROW(2, 16, 5, 40, 16, 1, 7, 1, 1, 0, 3, 1, 1, 1, false),
    ROW(2, 16, 40, 5, 16, 7, 1, 1, 1, 3, 0, 1, 1, 1, false),
    /* Several pieces of work: images one by one, and bands of rows of one image. */
    ROW(3, 16, 64, 64, 16, 3, 3, 2, 2, 1, 1, 1, 1, 1, false),
    ROW(2, 16, 150, 110, 8, 3, 3, 2, 2, 1, 1, 1, 1, 1, false),
    ROW(2, 16, 150, 90, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1, false),
    ROW(2, 16, 42, 66, 24, 3, 3, 1, 1, 1, 1, 1, 1, 1, true),
    ROW(3, 16, 28, 28, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, false),
    ROW(8, 1, 28, 28, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, false),
    ROW(1, 16, 3, 3, 16, 3, 3, 1, 1, 4, 4, 1, 1, 1, false), /* outputs that see padding only */
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static int64_t x_count(const thaw_conv2d *s)
{
    return s->B * s->C * s->H * s->W;
}
static int64_t w_count(const thaw_conv2d *s)
{
    return s->O * (s->C / s->groups) * s->KH * s->KW;
}
static int64_t y_count(const thaw_conv2d *s)
{
    return s->B * s->O * s->OH * s->OW;
}

/* Calls visit(x index, w index, y index) for every product of the convolution: the definition, scattered. */
typedef void visitor(void *context, int64_t x, int64_t w, int64_t y);
static void visit_taps(const thaw_conv2d *s, int64_t b, int64_t o, visitor *visit, void *context)
{
    int64_t in = s->C / s->groups;
    int64_t first = o / (s->O / s->groups) * in;
    for (int64_t oh = 0; oh < s->OH; oh++)
        for (int64_t ow = 0; ow < s->OW; ow++)
            for (int64_t c = 0; c < in; c++)
                for (int64_t kh = 0; kh < s->KH; kh++)
                    for (int64_t kw = 0; kw < s->KW; kw++) {
                        int64_t ih = oh * s->stride_h + kh * s->dilation_h - s->pad_h;
                        int64_t iw = ow * s->stride_w + kw * s->dilation_w - s->pad_w;
                        if (ih >= 0 && ih < s->H && iw >= 0 && iw < s->W)
                            visit(context, ((b * s->C + first + c) * s->H + ih) * s->W + iw,
                                  ((o * in + c) * s->KH + kh) * s->KW + kw,
                                  ((b * s->O + o) * s->OH + oh) * s->OW + ow);
                    }
}

typedef struct naive {
    const float *x, *w, *dy;
    double *y, *dx, *dw;
} naive;

static void add_products(void *context, int64_t x, int64_t w, int64_t y)
{
    naive *n = context;
    n->y[y] += (double)n->x[x] * n->w[w];
    n->dx[x] += (double)n->dy[y] * n->w[w];
    n->dw[w] += (double)n->dy[y] * n->x[x];
}

typedef struct problem {
    thaw_conv2d shape;
    bool bias;
    float *x, *w, *b, *dy;              /* input */
    float *y, *dx, *dw, *db;            /* truth; dx and dw and db without what was there before */
    float *start_x, *start_w, *start_b; /* what was there before */
} problem;

static float *narrow(int64_t count, double *from)
{
    float *to = test_floats(count);
    for (int64_t i = 0; i < count; i++)
        to[i] = (float)from[i];
    thaw_free(&from);
    return to;
}

static double *test_doubles(int64_t count)
{
    double *data = NULL;
    assert_int_equal(thaw_alloc(&data, count, sizeof *data), THAW_OK);
    return data;
}

static problem make_problem(const shapes_row *row)
{
    problem p = {.shape = row->shape, .bias = row->bias};
    assert_true(thaw_conv2d_output(&p.shape));
    const thaw_conv2d *s = &p.shape;
    p.x = test_random(x_count(s), 1);
    p.w = test_random(w_count(s), 2);
    p.b = test_random(s->O, 3);
    p.dy = test_random(y_count(s), 4);
    p.start_x = test_random(x_count(s), 5);
    p.start_w = test_random(w_count(s), 6);
    p.start_b = test_random(s->O, 7);
    naive n = {p.x,
               p.w,
               p.dy,
               test_doubles(y_count(s)),
               test_doubles(x_count(s)),
               test_doubles(w_count(s))};
    p.db = test_floats(s->O);
    for (int64_t b = 0; b < s->B; b++)
        for (int64_t o = 0; o < s->O; o++) {
            visit_taps(s, b, o, add_products, &n);
            for (int64_t i = (b * s->O + o) * s->OH * s->OW; i < (b * s->O + o + 1) * s->OH * s->OW;
                 i++) {
                p.db[o] += p.dy[i];
                n.y[i] += p.bias ? p.b[o] : 0.0f;
            }
        }
    p.y = narrow(y_count(s), n.y);
    p.dx = narrow(x_count(s), n.dx);
    p.dw = narrow(w_count(s), n.dw);
    return p;
}

static void free_problem(problem *p)
{
    float **all[] = {&p->x,  &p->w,  &p->b,       &p->dy,      &p->y,      &p->dx,
                     &p->dw, &p->db, &p->start_x, &p->start_w, &p->start_b};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        thaw_free(all[i]);
}

/* Sums of n float products of unit-sized terms err by about sqrt(n) 6e-8 of their size; the longest here have some
 * 1e4 terms in float, and Winograd-like transforms cost a digit. A wrong term would be of size 1e-2 or more. */
static const double tolerance = 2e-5;

typedef struct results {
    float *y, *dx, *dx_added, *dw, *db;
} results;

static void add_start(int64_t count, float *truth, const float *start)
{
    for (int64_t i = 0; i < count; i++)
        truth[i] += start[i];
}

/* `fill` is what outputs and workspace hold before: nothing of it may show. */
static results run(const thaw_kern *k, const problem *p, float fill)
{
    const thaw_conv2d *s = &p->shape;
    size_t bytes = k->conv2d_workspace(k, s);
    float *workspace = test_floats((int64_t)(bytes / sizeof(float)) + 16);
    for (size_t i = 0; i < bytes / sizeof(float) + 16; i++)
        workspace[i] = fill;
    results r = {test_floats(y_count(s)), test_floats(x_count(s)),
                 test_copy(x_count(s), p->start_x), test_copy(w_count(s), p->start_w),
                 test_copy(s->O, p->start_b)};
    thaw_kern_fill(y_count(s), fill, r.y);
    thaw_kern_fill(x_count(s), fill, r.dx);
    k->conv2d_forward(k, s, p->x, p->w, p->bias ? p->b : NULL, r.y, workspace);
    k->conv2d_backward_data(k, s, p->w, p->dy, r.dx, false, workspace);
    k->conv2d_backward_data(k, s, p->w, p->dy, r.dx_added, true, workspace);
    k->conv2d_backward_weights(k, s, p->x, p->dy, r.dw, p->bias ? r.db : NULL, workspace);
    for (size_t i = bytes / sizeof(float); i < bytes / sizeof(float) + 16; i++)
        if (memcmp(&workspace[i], &fill, sizeof fill) != 0)
            fail_msg("%s wrote past its workspace", k->name);
    thaw_free(&workspace);
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

static void check_against_naive(const thaw_kern *k, const problem *p, int index)
{
    const thaw_conv2d *s = &p->shape;
    results r = run(k, p, NAN);
    print_message("%s, row %d: y %.1e, dx %.1e\n", k->name, index,
                  test_distance(y_count(s), r.y, p->y), test_distance(x_count(s), r.dx, p->dx));
    assert_near(y_count(s), r.y, p->y, tolerance);
    assert_near(x_count(s), r.dx, p->dx, tolerance);
    results again = run(k, p, 3.0f);
    assert_memory_equal(r.y, again.y, (size_t)y_count(s) * sizeof(float));
    assert_memory_equal(r.dx, again.dx, (size_t)x_count(s) * sizeof(float));
    assert_memory_equal(r.dx_added, again.dx_added, (size_t)x_count(s) * sizeof(float));
    assert_memory_equal(r.dw, again.dw, (size_t)w_count(s) * sizeof(float));
    assert_memory_equal(r.db, again.db, (size_t)s->O * sizeof(float));
    float *dx = test_copy(x_count(s), p->dx);
    float *dw = test_copy(w_count(s), p->dw);
    float *db = test_copy(s->O, p->start_b);
    add_start(x_count(s), dx, p->start_x);
    add_start(w_count(s), dw, p->start_w);
    if (p->bias)
        add_start(s->O, db, p->db);
    assert_near(x_count(s), r.dx_added, dx, tolerance);
    assert_near(w_count(s), r.dw, dw, tolerance);
    assert_near(s->O, r.db, db, tolerance);
    thaw_free(&dx);
    thaw_free(&dw);
    thaw_free(&db);
    free_results(&again);
    free_results(&r);
}

/* <conv(x, w), g> = <x, backward_data(g)> = <w, backward_weights(x, g)>: holds whatever the truth is. */
static void check_adjoint(const thaw_kern *k, const problem *given)
{
    problem p = *given;
    const thaw_conv2d *s = &p.shape;
    p.bias = false;
    p.start_w = test_floats(w_count(s));
    results r = run(k, &p, NAN);
    double left = thaw_kern_dot(y_count(s), r.y, p.dy);
    double scale =
        sqrt(thaw_kern_sum_squares(y_count(s), r.y) * thaw_kern_sum_squares(y_count(s), p.dy));
    assert_true(fabs(left - thaw_kern_dot(x_count(s), p.x, r.dx)) <= 1e-5 * scale);
    assert_true(fabs(left - thaw_kern_dot(w_count(s), p.w, r.dw)) <= 1e-5 * scale);
    free_results(&r);
    thaw_free(&p.start_w);
}

/* A run with fewer images than planned works in the workspace that was planned. */
static void check_smaller_batch(const thaw_kern *k, const problem *planned)
{
    problem p = *planned;
    size_t bytes = k->conv2d_workspace(k, &p.shape);
    p.shape.B = (p.shape.B + 1) / 2;
    if (k->conv2d_workspace(k, &p.shape) > bytes)
        fail_msg("%s wants more workspace for fewer images", k->name);
    results r = run(k, &p, NAN);
    assert_near(y_count(&p.shape), r.y, p.y, tolerance);
    assert_near(x_count(&p.shape), r.dx, p.dx, tolerance);
    free_results(&r);
}

/* No images: weight gradients stay. */
static void check_no_images(const thaw_kern *k, const problem *planned)
{
    problem p = *planned;
    p.shape.B = 0;
    results r = run(k, &p, NAN);
    assert_memory_equal(r.dw, p.start_w, (size_t)w_count(&p.shape) * sizeof(float));
    assert_memory_equal(r.db, p.start_b, (size_t)p.shape.O * sizeof(float));
    free_results(&r);
}

static void test_rows(void **state)
{
    (void)state;
    for (int j = 0; j < ROWS; j++) {
        problem p = make_problem(&rows[j]);
        thaw_kern *k;
        for (int i = 0; test_open(i, &k); i++) {
            if (k == NULL)
                continue;
            check_against_naive(k, &p, j);
            check_adjoint(k, &p);
            check_smaller_batch(k, &p);
            check_no_images(k, &p);
            thaw_kern_close(&k);
        }
        free_problem(&p);
    }
}

static void test_output_size(void **state)
{
    (void)state;
    thaw_conv2d s = {1, 3, 32, 32, 64, 7, 7, 0, 0, 2, 2, 3, 3, 1, 1, 1};
    assert_true(thaw_conv2d_output(&s));
    assert_int_equal(s.OH, 16);
    assert_int_equal(s.OW, 16);
    s.H = s.W = 2;
    s.pad_h = s.pad_w = 0;
    assert_false(thaw_conv2d_output(&s));
    thaw_conv2d grouped = {1, 6, 4, 4, 4, 3, 3, 0, 0, 1, 1, 1, 1, 1, 1, 3};
    assert_false(thaw_conv2d_output(&grouped));
    grouped.O = 9;
    assert_true(thaw_conv2d_output(&grouped));
}

/* A plan for some images runs fewer in the last batch: then the workspace must do as well. */
static void test_fewer_images_need_no_more(void **state)
{
    (void)state;
    static const char *const names[] = {"native", "openblas"};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        thaw_kern *k = NULL;
        if (thaw_kern_open(names[n], &k) != THAW_OK)
            continue;
        for (int r = 0; r < ROWS; r++) {
            thaw_conv2d s = rows[r].shape;
            assert_true(thaw_conv2d_output(&s));
            s.B = 24;
            const size_t room = k->conv2d_workspace(k, &s);
            for (s.B = 23; s.B > 0; s.B--)
                if (k->conv2d_workspace(k, &s) > room)
                    fail_msg("%s, row %d: %d images need %zu bytes, 24 have %zu", k->name, r,
                             (int)s.B, k->conv2d_workspace(k, &s), room);
        }
        thaw_kern_close(&k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_size),
        cmocka_unit_test(test_fewer_images_need_no_more),
        cmocka_unit_test(test_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
