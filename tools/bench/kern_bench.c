/* kern_bench.c - speed and residual of the convolutions of resnet20 and resnet18 at 32x32 pixels.
 *
 *   bench_kern NET BACKEND SECONDS [BATCH]   one line a shape: name count, ms and GF/s of forward, backward data, backward
 *                                            weights, largest residual against ref; then the net's totals
 *   bench_kern NET shapes [BATCH]            the shapes, for peer_conv.py */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "thaw/kern.h"

typedef struct shape_row {
    const char *name;
    int count;
    int64_t C, H, O, K, stride, pad;
} shape_row;

static const shape_row resnet20[] = {
    {"stem", 1, 3, 32, 16, 3, 1, 1},
    {"layer1", 6, 16, 32, 16, 3, 1, 1},
    {"layer2.down", 1, 16, 32, 32, 3, 2, 1},
    {"layer2", 5, 32, 16, 32, 3, 1, 1},
    {"layer3.down", 1, 32, 16, 64, 3, 2, 1},
    {"layer3", 5, 64, 8, 64, 3, 1, 1},
    {NULL, 0, 0, 0, 0, 0, 0, 0},
};
static const shape_row resnet18[] = {
    {"stem", 1, 3, 32, 64, 7, 2, 3},           {"layer1", 4, 64, 8, 64, 3, 1, 1},
    {"layer2.down", 1, 64, 8, 128, 3, 2, 1},   {"layer2.short", 1, 64, 8, 128, 1, 2, 0},
    {"layer2", 3, 128, 4, 128, 3, 1, 1},       {"layer3.down", 1, 128, 4, 256, 3, 2, 1},
    {"layer3.short", 1, 128, 4, 256, 1, 2, 0}, {"layer3", 3, 256, 2, 256, 3, 1, 1},
    {"layer4.down", 1, 256, 2, 512, 3, 2, 1},  {"layer4.short", 1, 256, 2, 512, 1, 2, 0},
    {"layer4", 3, 512, 1, 512, 3, 1, 1},       {NULL, 0, 0, 0, 0, 0, 0, 0},
};

static thaw_conv2d shape_of(const shape_row *row, int64_t batch)
{
    thaw_conv2d s = {.B = batch,
                     .C = row->C,
                     .H = row->H,
                     .W = row->H,
                     .O = row->O,
                     .KH = row->K,
                     .KW = row->K,
                     .stride_h = row->stride,
                     .stride_w = row->stride,
                     .pad_h = row->pad,
                     .pad_w = row->pad,
                     .dilation_h = 1,
                     .dilation_w = 1,
                     .groups = 1};
    THAW_ASSERT(thaw_conv2d_output(&s));
    return s;
}

typedef struct arrays {
    float *x, *w, *y, *dx, *dw, *dy;
    void *workspace;
} arrays;

static float *random_floats(int64_t count, uint64_t stream)
{
    float *data = NULL;
    if (thaw_alloc(&data, count, sizeof *data) != THAW_OK)
        thaw_abort(4);
    thaw_rng rng = thaw_rng_make(1, THAW_RNG_TEST, 0, stream);
    for (int64_t i = 0; i < count; i++)
        data[i] = (float)thaw_rng_normal(&rng);
    return data;
}

static arrays make_arrays(const thaw_kern *k, const thaw_conv2d *s)
{
    int64_t x = s->B * s->C * s->H * s->W;
    int64_t w = s->O * s->C * s->KH * s->KW;
    int64_t y = s->B * s->O * s->OH * s->OW;
    arrays a = {random_floats(x, 1),
                random_floats(w, 2),
                random_floats(y, 3),
                random_floats(x, 4),
                random_floats(w, 5),
                random_floats(y, 6),
                NULL};
    if (thaw_alloc(&a.workspace, (int64_t)k->conv2d_workspace(k, s) + 1, 1) != THAW_OK)
        thaw_abort(4);
    return a;
}

static void free_arrays(arrays *a)
{
    thaw_free(&a->x);
    thaw_free(&a->w);
    thaw_free(&a->y);
    thaw_free(&a->dx);
    thaw_free(&a->dw);
    thaw_free(&a->dy);
    thaw_free(&a->workspace);
}

static void run(const thaw_kern *k, const thaw_conv2d *s, const arrays *a, int direction)
{
    if (direction == 0)
        k->conv2d_forward(k, s, a->x, a->w, NULL, a->y, a->workspace);
    else if (direction == 1)
        k->conv2d_backward_data(k, s, a->w, a->dy, a->dx, false, a->workspace);
    else
        k->conv2d_backward_weights(k, s, a->x, a->dy, a->dw, NULL, a->workspace);
}

static double best_seconds(const thaw_kern *k, const thaw_conv2d *s, const arrays *a, int direction,
                           double seconds)
{
    run(k, s, a, direction);
    double best = INFINITY;
    double end = thaw_seconds() + seconds;
    while (thaw_seconds() < end) {
        double start = thaw_seconds();
        run(k, s, a, direction);
        double took = thaw_seconds() - start;
        best = took < best ? took : best;
    }
    return best;
}

/* Largest difference from the reference over the largest value. */
static double residual(int64_t count, const float *a, const float *b)
{
    double worst = 0;
    double largest = 0;
    for (int64_t i = 0; i < count; i++) {
        worst = fmax(worst, fabs((double)a[i] - b[i]));
        largest = fmax(largest, fabs((double)b[i]));
    }
    return worst / largest;
}

static double worst_residual(const thaw_kern *k, const thaw_kern *ref, thaw_conv2d s)
{
    s.B = s.B < 8 ? s.B : 8;
    arrays ours = make_arrays(k, &s);
    arrays truth = make_arrays(ref, &s);
    for (int direction = 0; direction < 3; direction++) {
        run(k, &s, &ours, direction);
        run(ref, &s, &truth, direction);
    }
    double worst = residual(s.B * s.O * s.OH * s.OW, ours.y, truth.y);
    worst = fmax(worst, residual(s.B * s.C * s.H * s.W, ours.dx, truth.dx));
    worst = fmax(worst, residual(s.O * s.C * s.KH * s.KW, ours.dw, truth.dw));
    free_arrays(&ours);
    free_arrays(&truth);
    return worst;
}

static void bench_net(const thaw_kern *k, const thaw_kern *ref, const shape_row *rows,
                      double seconds, int64_t batch)
{
    double total[3] = {0};
    for (const shape_row *row = rows; row->name; row++) {
        thaw_conv2d s = shape_of(row, batch);
        arrays a = make_arrays(k, &s);
        double flops = 2.0 * (double)(s.B * s.O * s.OH * s.OW * s.C * s.KH * s.KW);
        printf("%-13s %d", row->name, row->count);
        for (int direction = 0; direction < 3; direction++) {
            double took = best_seconds(k, &s, &a, direction, seconds);
            total[direction] += took * row->count;
            printf("  %8.4f ms %6.1f GF/s", took * 1e3, flops / took * 1e-9);
        }
        printf("  residual %.1e\n", ref ? worst_residual(k, ref, s) : NAN);
        free_arrays(&a);
    }
    printf("total           %8.3f ms %22.3f ms %22.3f ms = %.3f ms\n", total[0] * 1e3,
           total[1] * 1e3, total[2] * 1e3, (total[0] + total[1] + total[2]) * 1e3);
}

static void print_shapes(const shape_row *rows, int64_t batch)
{
    for (const shape_row *row = rows; row->name; row++)
        printf("%s %d %d %d %d %d %d %d %d %d %d 1\n", row->name, row->count, (int)batch,
               (int)row->C, (int)row->H, (int)row->H, (int)row->O, (int)row->K, (int)row->K,
               (int)row->stride, (int)row->pad);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        printf(
            "usage: bench_kern resnet20|resnet18 BACKEND SECONDS [BATCH] | NET shapes [BATCH]\n");
        return 2;
    }
    const shape_row *rows = strcmp(argv[1], "resnet18") == 0 ? resnet18 : resnet20;
    double seconds = 0.1;
    int64_t batch = 64;
    if (strcmp(argv[2], "shapes") == 0) {
        if (argc > 3)
            (void)thaw_parse_int(argv[3], &batch);
        print_shapes(rows, batch);
        return 0;
    }
    if (argc > 3)
        (void)thaw_parse_double(argv[3], &seconds);
    if (argc > 4)
        (void)thaw_parse_int(argv[4], &batch);
    thaw_kern *k = NULL;
    thaw_kern *ref = NULL;
    if (thaw_kern_open(argv[2], &k) != THAW_OK || thaw_kern_open("ref", &ref) != THAW_OK) {
        printf("%s\n", thaw_error_last()->message);
        return thaw_status_exit_code(thaw_error_last()->code);
    }
    printf("%s, batch %d, backend %s (%s)\n", argv[1], (int)batch, k->name, k->cpu_kernels);
    bench_net(k, seconds < 0.5 ? NULL : ref, rows, seconds, batch);
    thaw_kern_close(&k);
    thaw_kern_close(&ref);
    return 0;
}
