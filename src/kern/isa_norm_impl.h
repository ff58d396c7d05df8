/* isa_norm_impl.h - included by isa_*.c: batch norm's sweeps over rows and the element-wise acts. A strip of 16 floats is
 * VECTORS vectors; they are swept one after another over a run that stays in the first-level cache. Sums run in four
 * vectors of floats over at most RUN strips and go on in double: the error is that of a sum of some ten floats, at the
 * speed of memory. */
#ifndef KERN_ISA_NORM_IMPL_H
#define KERN_ISA_NORM_IMPL_H

enum { VECTORS = KERN_STRIP / LANES, WAYS = 4, RUN = 64 * WAYS };

/* NaN passes: a diverged run must not look healthy. */
INLINE lanes bounded(lanes x, const bool on, float high)
{
    const lanes zero = {0};
    if (!on)
        return x;
    x = choose(x <= zero, zero, x);
    return choose(x > zero + high, zero + high, x);
}

INLINE lanes cut(lanes y, lanes dy, float high_open)
{
    const lanes zero = {0};
    return (lanes)((ints)dy & (y > zero) & (y <= zero + high_open));
}

/* A run: `rows` rows, `strips` full strips of each and, after them, a part of one. x points at its first float. */
typedef struct norm_run {
    int64_t rows, stride, strips, part;
} norm_run;

/* Cuts rows into runs: many short rows, or a piece of a long one. `from` counts strips of a row. */
INLINE norm_run run_at(const kern_sweep *r, int64_t b, int64_t from)
{
    int64_t full = r->n / KERN_STRIP;
    int64_t together = full < RUN ? (full > 0 ? RUN / full : RUN) : 1;
    norm_run run = {.rows = together < r->B - b ? together : r->B - b,
                    .stride = r->stride,
                    .strips = full - from < RUN ? full - from : RUN};
    run.part = from + run.strips == full ? r->n % KERN_STRIP : 0;
    return run;
}

/* Where the next run begins. */
INLINE void run_next(const kern_sweep *r, const norm_run *run, int64_t *b, int64_t *from)
{
    *from += run->strips;
    if (*from == r->n / KERN_STRIP) {
        *from = 0;
        *b += run->rows;
    }
}

INLINE int64_t part_of(const norm_run *run, int v)
{
    int64_t part = run->part - v * LANES;
    return part < 0 ? 0 : part < LANES ? part : LANES;
}

/* Lanes below `count` of a difference from the centre; beyond, there is no value. */
INLINE lanes part_difference(const float *x, int64_t count, lanes center)
{
    float index[LANES];
    UNROLL
    for (int i = 0; i < LANES; i++)
        index[i] = (float)i;
    return (lanes)((load(index) < (lanes){0} + (float)count) &
                   (ints)(load_first(x, count) - center));
}

/* sum += sum (x - center), squares += sum (x - center)^2 of vector v of each strip. */
INLINE void run_moments(const norm_run *run, int v, const float *x, lanes center, lanes *sum,
                        lanes *squares)
{
    lanes s[WAYS] = {{0}, {0}, {0}, {0}};
    lanes q[WAYS] = {{0}, {0}, {0}, {0}};
    int64_t part = part_of(run, v);
    for (int64_t row = 0; row < run->rows; row++) {
        const float *from = x + row * run->stride + v * LANES;
        int64_t k = 0;
        for (; k + WAYS <= run->strips; k += WAYS, from += WAYS * KERN_STRIP)
            UNROLL
        for (int w = 0; w < WAYS; w++) {
            lanes d = load(from + w * KERN_STRIP) - center;
            s[w] += d;
            q[w] += d * d;
        }
        for (; k < run->strips; k++, from += KERN_STRIP) {
            lanes d = load(from) - center;
            s[0] += d;
            q[0] += d * d;
        }
        if (part > 0) {
            lanes d = part_difference(from, part, center);
            s[1] += d;
            q[1] += d * d;
        }
    }
    *sum = (s[0] + s[1]) + (s[2] + s[3]);
    *squares = (q[0] + q[1]) + (q[2] + q[3]);
}

/* Chan, Golub & LeVeque 1979: joins the moments of a run, taken about `center`, to those before. */
INLINE void join(const norm_run *run, int v, lanes center, lanes sum, lanes squares,
                 kern_moments *out)
{
    double *count = out->count + v * LANES;
    double *mean = out->mean + v * LANES;
    double *about = out->squares + v * LANES;
    int part = (int)part_of(run, v);
    double whole = (double)(run->rows * run->strips);
    double more = (double)run->rows;
    for (int i = 0; i < LANES; i++) {
        double n = whole + (i < part ? more : 0.0);
        double before = count[i];
        double all = before + n;
        /* Where there is no value, sums are zero and so is what they are divided by. */
        double offset = sum[i] / (n > 0 ? n : 1.0);
        double share = n / (all > 0 ? all : 1.0);
        double change = center[i] + offset - mean[i];
        about[i] += squares[i] - sum[i] * offset + change * change * (before * share);
        mean[i] += change * share;
        count[i] = all;
    }
}

/* A centre for the first run: the mean of its first few values. Its distance from the run's mean is at most what those
 * values scatter, so that it costs a few bits at most. */
INLINE lanes first_center(const norm_run *first, int v, const float *x)
{
    enum { FEW = 16 };
    norm_run few = *first;
    lanes sum, squares;
    if (few.strips > FEW) {
        few.rows = 1;
        few.strips = FEW;
        few.part = 0;
    }
    run_moments(&few, v, x, (lanes){0}, &sum, &squares);
    int64_t part = part_of(&few, v);
    for (int i = 0; i < LANES; i++) {
        int64_t n = few.rows * (few.strips + (i < part));
        sum[i] /= (float)(n > 0 ? n : 1);
    }
    return sum;
}

/* One pass: a run's moments are taken about the mean so far, which lies near. What the centre is off by costs no more
 * digits than it adds to the variance. */
static void norm_moments(const kern_sweep *r, const float *x, kern_moments *out)
{
    *out = (kern_moments){{0}, {0}, {0}};
    for (int64_t b = 0, from = 0; b < r->B;) {
        norm_run run = run_at(r, b, from);
        const float *start = x + b * r->stride + from * KERN_STRIP;
        for (int v = 0; v < VECTORS; v++) {
            lanes center, sum, squares;
            if (b == 0 && from == 0)
                center = first_center(&run, v, start);
            else
                for (int i = 0; i < LANES; i++)
                    center[i] = (float)out->mean[v * LANES + i];
            run_moments(&run, v, start, center, &sum, &squares);
            join(&run, v, center, sum, squares, out);
        }
        run_next(r, &run, &b, &from);
    }
}

static void norm_sums(const kern_sweep *r, const float *x, double total[KERN_STRIP])
{
    for (int i = 0; i < KERN_STRIP; i++)
        total[i] = 0;
    for (int64_t b = 0, from = 0; b < r->B;) {
        norm_run run = run_at(r, b, from);
        const float *start = x + b * r->stride + from * KERN_STRIP;
        for (int v = 0; v < VECTORS; v++) {
            lanes sum, squares;
            run_moments(&run, v, start, (lanes){0}, &sum, &squares);
            for (int i = 0; i < LANES; i++)
                total[v * LANES + i] += sum[i];
        }
        run_next(r, &run, &b, &from);
    }
}

/* One vector of the backward's sums; at: its place in all streams. */
INLINE void gradient_term(const kern_norm_streams *s, int64_t at, int64_t count, lanes center,
                          const bool on, const bool keep, lanes *sum, lanes *product)
{
    lanes g = load_first(s->dy + at, count);
    if (on)
        g = cut(load_first(s->y + at, count), g, s->bounds.high_open);
    if (keep)
        store_first(s->dresidual + at, g, count);
    *sum += g;
    /* Beyond count g is 0, and x - center finite. */
    *product += g * (load_first(s->x + at, count) - center);
}

INLINE void run_gradient(const norm_run *run, int v, const kern_norm_streams *s, int64_t start,
                         lanes center, const bool on, const bool keep, lanes *sum, lanes *product)
{
    lanes a[WAYS] = {{0}, {0}, {0}, {0}};
    lanes p[WAYS] = {{0}, {0}, {0}, {0}};
    int64_t part = part_of(run, v);
    for (int64_t row = 0; row < run->rows; row++) {
        int64_t at = start + row * run->stride + v * LANES;
        int64_t k = 0;
        for (; k + WAYS <= run->strips; k += WAYS, at += WAYS * KERN_STRIP)
            UNROLL
        for (int w = 0; w < WAYS; w++)
            gradient_term(s, at + w * KERN_STRIP, LANES, center, on, keep, &a[w], &p[w]);
        for (; k < run->strips; k++, at += KERN_STRIP)
            gradient_term(s, at, LANES, center, on, keep, &a[0], &p[0]);
        if (part > 0)
            gradient_term(s, at, part, center, on, keep, &a[1], &p[1]);
    }
    *sum = (a[0] + a[1]) + (a[2] + a[3]);
    *product = (p[0] + p[1]) + (p[2] + p[3]);
}

static void norm_gradient_sums(const kern_sweep *r, const kern_norm_streams *streams,
                               const float *center, double total[KERN_STRIP],
                               double product[KERN_STRIP])
{
    kern_norm_streams s = *streams;
    for (int i = 0; i < KERN_STRIP; i++)
        total[i] = product[i] = 0;
    for (int64_t b = 0, from = 0; b < r->B;) {
        norm_run run = run_at(r, b, from);
        int64_t start = b * r->stride + from * KERN_STRIP;
        for (int v = 0; v < VECTORS; v++) {
            lanes middle = load(center + v * LANES);
            lanes sum, dot;
            if (s.dresidual != NULL)
                run_gradient(&run, v, &s, start, middle, s.bounds.on, true, &sum, &dot);
            else if (s.bounds.on)
                run_gradient(&run, v, &s, start, middle, true, false, &sum, &dot);
            else
                run_gradient(&run, v, &s, start, middle, false, false, &sum, &dot);
            for (int i = 0; i < LANES; i++) {
                total[v * LANES + i] += sum[i];
                product[v * LANES + i] += dot[i];
            }
        }
        run_next(r, &run, &b, &from);
    }
}

/* Calls body(offset in the row, floats of this vector) for vector v of every strip of a row. */
#define EACH_STRIP(n, v, at, count, body)                                                          \
    do {                                                                                           \
        int64_t at = (v)*LANES;                                                                    \
        int64_t full_ = (n) / KERN_STRIP * KERN_STRIP;                                             \
        for (; at < full_; at += KERN_STRIP) {                                                     \
            const int64_t count = LANES;                                                           \
            body;                                                                                  \
        }                                                                                          \
        if (at < (n)) {                                                                            \
            int64_t count = (n)-at < LANES ? (n)-at : LANES;                                       \
            body;                                                                                  \
        }                                                                                          \
    } while (0)

INLINE void affine_row(int64_t n, int v, const float *x, lanes scale, lanes shift,
                       const float *residual, const bool add, const bool on, float high, float *y)
{
    EACH_STRIP(n, v, at, count, {
        lanes value = load_first(x + at, count) * scale + shift;
        if (add)
            value += load_first(residual + at, count);
        store_first(y + at, bounded(value, on, high), count);
    });
}

static void norm_affine(const kern_sweep *r, const float *x, const float *scale, const float *shift,
                        const float *residual, kern_bounds bounds, float *y)
{
    for (int64_t b = r->B; b-- > 0;)
        for (int v = 0; v < VECTORS; v++) {
            const float *from = x + b * r->stride;
            const float *other = residual ? residual + b * r->stride : NULL;
            float *to = y + b * r->stride;
            lanes a = load(scale + v * LANES);
            lanes c = load(shift + v * LANES);
            if (other && bounds.on)
                affine_row(r->n, v, from, a, c, other, true, true, bounds.high, to);
            else if (other)
                affine_row(r->n, v, from, a, c, other, true, false, 0, to);
            else if (bounds.on)
                affine_row(r->n, v, from, a, c, NULL, false, true, bounds.high, to);
            else
                affine_row(r->n, v, from, a, c, NULL, false, false, 0, to);
        }
}

INLINE void combine_row(int64_t n, int v, int64_t start, const kern_norm_streams *s, lanes p,
                        lanes q, lanes r, const bool on, const bool use_x)
{
    float *dx = s->dx;
    float *dresidual = s->dresidual;
    bool add = s->accumulate;
    bool add_residual = s->accumulate_residual;
    float high = s->bounds.high_open;
    EACH_STRIP(n, v, i, count, {
        int64_t at = start + i;
        lanes g = load_first(s->dy + at, count);
        if (on)
            g = cut(load_first(s->y + at, count), g, high);
        if (dresidual)
            store_first(dresidual + at, add_residual ? load_first(dresidual + at, count) + g : g,
                        count);
        if (dx) {
            lanes value = g * p;
            if (use_x)
                value += load_first(s->x + at, count) * q + r;
            store_first(dx + at, add ? load_first(dx + at, count) + value : value, count);
        }
    });
}

static void norm_combine(const kern_sweep *r, const kern_norm_streams *streams,
                         const float *coefficients[3])
{
    kern_norm_streams s = *streams;
    for (int64_t b = r->B; b-- > 0;)
        for (int v = 0; v < VECTORS; v++) {
            lanes p = load(coefficients[0] + v * LANES);
            lanes q = load(coefficients[1] + v * LANES);
            lanes c = load(coefficients[2] + v * LANES);
            int64_t at = b * r->stride;
            if (s.bounds.on && s.x)
                combine_row(r->n, v, at, &s, p, q, c, true, true);
            else if (s.bounds.on)
                combine_row(r->n, v, at, &s, p, q, c, true, false);
            else if (s.x)
                combine_row(r->n, v, at, &s, p, q, c, false, true);
            else
                combine_row(r->n, v, at, &s, p, q, c, false, false);
        }
}

static void norm_spread(const kern_sweep *r, const float *value, float *y, bool accumulate)
{
    for (int64_t b = 0; b < r->B; b++)
        for (int v = 0; v < VECTORS; v++) {
            lanes add = load(value + v * LANES);
            float *to = y + b * r->stride;
            EACH_STRIP(
                r->n, v, at, count,
                store_first(to + at, accumulate ? load_first(to + at, count) + add : add, count));
        }
}

/* Calls body for each vector of flat arrays. */
#define EACH_VECTOR(n, at, count, body)                                                            \
    do {                                                                                           \
        int64_t at = 0;                                                                            \
        for (; at + LANES <= (n); at += LANES) {                                                   \
            const int64_t count = LANES;                                                           \
            body;                                                                                  \
        }                                                                                          \
        if (at < (n)) {                                                                            \
            int64_t count = (n)-at;                                                                \
            body;                                                                                  \
        }                                                                                          \
    } while (0)

static void act_forward(int64_t n, kern_bounds bounds, const float *x, float *y)
{
    EACH_VECTOR(n, at, count,
                store_first(y + at, bounded(load_first(x + at, count), true, bounds.high), count));
}

static void act_backward(int64_t n, kern_bounds bounds, const float *y, const float *dy, float *dx,
                         bool accumulate)
{
    EACH_VECTOR(n, at, count, {
        lanes g = cut(load_first(y + at, count), load_first(dy + at, count), bounds.high_open);
        store_first(dx + at, accumulate ? load_first(dx + at, count) + g : g, count);
    });
}

static void add_act(int64_t n, const float *a, float alpha, const float *b, kern_bounds bounds,
                    float *y)
{
    bool on = bounds.on;
    EACH_VECTOR(n, at, count, {
        lanes value = load_first(a + at, count) + alpha * load_first(b + at, count);
        store_first(y + at, bounded(value, on, bounds.high), count);
    });
}

#endif
