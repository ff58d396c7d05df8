/* Central differences against backward, on a random linear functional of the output: loss = sum c y, in double.
 *
 * Kinks (relu, max_pool) are held on the side that the undisturbed run took: backward gives the derivative of just that
 * smooth function, so that no element has to be left out. Each float32 output carries a rounding noise of about 2^-24 |y|,
 * the loss one of noise = 2^-24 |c y|_2, and a difference over 2h one of noise / h: steps must not be tiny, and an error
 * below that floor says nothing. With steps of 2^-7 of a tensor's size the floor lies near 1e-4 of the gradient; what the
 * truncation error (h^2, curvature of batch norm) adds is taken away by Richardson's extrapolation from 2h. */
#include "graph/plan_impl.h"

#include <math.h>
#include <string.h>

#define RELATIVE_STEP   0x1p-7
#define NOISE_FACTOR    2.0 /* an output is a sum: some roundings; the extrapolation adds its share */
#define FORWARD_BUDGET  4096 /* runs in all, so that a user's model is checked in minutes */
#define MOST_ELEMENTS   64   /* of one tensor */
#define FEWEST_ELEMENTS 4

typedef struct check {
    thaw_plan *plan;
    thaw_run run;
    float *input;
    float *coefficients; /* (B, output) */
    int64_t input_count, output_count;
    int64_t elements;  /* checked in one tensor */
    int64_t ids_below; /* of an input that is tokens, which cannot be disturbed; 0: it can */
    double tolerance;
    double noise; /* of one loss */
    double worst;
    char worst_name[256];
    thaw_rng rng;
} check;

static double loss(check *c)
{
    thaw_plan_forward(c->plan, &c->run);
    return thaw_kern_dot(c->output_count, c->coefficients, thaw_plan_value(c->plan, -1));
}

/* The step that float32 really makes goes into the quotient. */
static double central_difference(check *c, float *x, double step)
{
    float center = *x;
    float above = (float)(center + step);
    float below = (float)(center - step);
    *x = above;
    double upper = loss(c);
    *x = below;
    double lower = loss(c);
    *x = center;
    return (upper - lower) / ((double)above - (double)below);
}

static double largest(int64_t n, const float *x)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++)
        most = fmax(most, fabs((double)x[i]));
    return most;
}

/* Error of one element, relative to `scale` or, where that is more, to what rounding allows. Much curvature (batch norm over
 * a handful of values) asks for a smaller step; a wrong gradient is wrong at both. */
static double element_error(check *c, float *x, double step, double scale, double gradient,
                            double *numeric)
{
    double least = INFINITY;
    for (int tries = 0; tries < 2 && !(least <= c->tolerance); tries++, step /= 4) {
        double wide = central_difference(c, x, 2 * step);
        double value = (4 * central_difference(c, x, step) - wide) / 3;
        double error = fabs(value - gradient) / fmax(scale, c->noise / step / c->tolerance);
        if (error < least) {
            least = error;
            *numeric = value;
        }
    }
    return least;
}

/* gradient: a copy of what backward gave; x: the values it belongs to, changed and restored. */
static thaw_status check_tensor(check *c, const char *name, int64_t n, float *x,
                                const float *gradient)
{
    double size = sqrt(thaw_kern_sum_squares(n, x) / (double)n);
    double step = RELATIVE_STEP * (size > 0 ? size : 1.0);
    double scale = largest(n, gradient);
    int64_t count = n < c->elements ? n : c->elements;
    THAW_CHECK(thaw_kern_all_finite(n, gradient), THAW_ERR_NUMERIC,
               "the gradient of \"%s\" is not finite", name);
    for (int64_t k = 0; k < count; k++) {
        int64_t i = count == n ? k : (int64_t)thaw_rng_below(&c->rng, (uint64_t)n);
        double numeric = NAN;
        double error = element_error(c, &x[i], step, scale, gradient[i], &numeric);
        if (error <= c->worst)
            continue;
        c->worst = error;
        (void)thaw_format(c->worst_name, sizeof c->worst_name,
                          "\"%s\" element %lld: backward says %.6g, differences %.6g", name,
                          (long long)i, (double)gradient[i], numeric);
    }
    return THAW_OK;
}

/* Tokens below this are what the graph's input must be; 0: quantities. */
static int64_t find_ids_below(const thaw_graph *g)
{
    int64_t below = 0;
    for (int32_t i = 0; i < g->node_count; i++) {
        const thaw_node *n = g->nodes[i];
        for (int32_t j = 0; n->op->ids_below != NULL && j < n->input_count; j++) {
            int64_t limit = n->inputs[j] == g->input ? n->op->ids_below(n, j) : 0;
            if (limit > 0 && (below == 0 || limit < below))
                below = limit;
        }
    }
    return below;
}

static void fill_input(check *c)
{
    for (int64_t i = 0; i < c->input_count; i++)
        c->input[i] = c->ids_below > 0 ? (float)thaw_rng_below(&c->rng, (uint64_t)c->ids_below)
                                       : (float)thaw_rng_normal(&c->rng);
    for (int64_t i = 0; i < c->output_count; i++)
        c->coefficients[i] = (float)thaw_rng_normal(&c->rng);
}

static double noise_of_loss(const check *c)
{
    const float *y = thaw_plan_value(c->plan, -1);
    double squares = 0;
    for (int64_t i = 0; i < c->output_count; i++) {
        double term = (double)c->coefficients[i] * y[i];
        squares += term * term;
    }
    return NOISE_FACTOR * 0x1p-24 * sqrt(squares);
}

/* All analytic gradients: input first, then the reduced tensors, one after another. */
static thaw_status run_backward(check *c, float *gradients)
{
    thaw_plan_forward(c->plan, &c->run);
    THAW_TRY(thaw_plan_hold(c->plan, &c->run));
    c->noise = noise_of_loss(c);
    memcpy(thaw_plan_output_gradient(c->plan), c->coefficients,
           (size_t)c->output_count * sizeof *c->coefficients);
    thaw_plan_backward(c->plan, &c->run, NULL, NULL, NULL);
    memcpy(gradients, thaw_plan_input_gradient(c->plan), (size_t)c->input_count * sizeof(float));
    gradients += c->input_count;
    for (int32_t i = 0; i < c->plan->reduced_count; i++) {
        const thaw_reduced *r = &c->plan->reduced[i];
        memcpy(gradients, r->data, (size_t)r->count * sizeof *gradients);
        gradients += r->count;
    }
    return THAW_OK;
}

static thaw_status check_all(check *c, const float *gradients)
{
    if (c->ids_below == 0)
        THAW_TRY(check_tensor(c, "input", c->input_count, c->input, gradients));
    gradients += c->input_count;
    for (int32_t i = 0; i < c->plan->reduced_count; i++) {
        const thaw_reduced *r = &c->plan->reduced[i];
        thaw_param *p = c->plan->graph->params[r->param];
        if (!r->statistic)
            THAW_TRY(check_tensor(c, p->name, r->count, p->data, gradients));
        gradients += r->count;
    }
    THAW_CHECK(c->worst <= c->tolerance, THAW_ERR_NUMERIC,
               "gradient check failed with relative error %.3g (tolerance %.3g) at %s", c->worst,
               c->tolerance, c->worst_name);
    return THAW_OK;
}

static int64_t elements_per_tensor(const thaw_plan *plan)
{
    int64_t each = FORWARD_BUDGET / (4 * (plan->reduced_count + 1));
    return each > MOST_ELEMENTS ? MOST_ELEMENTS : each < FEWEST_ELEMENTS ? FEWEST_ELEMENTS : each;
}

thaw_status thaw_graph_check_gradients(thaw_graph *g, const thaw_kern *kern, int64_t batch,
                                       uint64_t seed, double tolerance, double *worst)
{
    thaw_status status = THAW_OK;
    check c = {.tolerance = tolerance};
    int64_t *ids = NULL;
    float *gradients = NULL;
    thaw_plan_options options = {
        .batch = batch, .training = true, .from = -1, .to = -1, .keep = -1};

    *worst = 0;
    THAW_TRY_TO(thaw_plan_new_with(
        g, kern, &options, &(thaw_plan_extra){.input_gradient = true, .plain = true}, &c.plan));
    c.input_count = batch * thaw_shape_count(&g->values[g->input].shape);
    c.output_count = batch * thaw_shape_count(&g->values[g->logits].shape);
    c.elements = elements_per_tensor(c.plan);
    c.ids_below = find_ids_below(g);
    c.rng = thaw_rng_make(seed, THAW_RNG_TEST, 0, 0);
    THAW_TRY_TO(thaw_alloc(&c.input, c.input_count, sizeof *c.input));
    THAW_TRY_TO(thaw_alloc(&c.coefficients, c.output_count, sizeof *c.coefficients));
    THAW_TRY_TO(thaw_alloc(&ids, batch, sizeof *ids));
    THAW_TRY_TO(
        thaw_alloc(&gradients, c.input_count + c.plan->reduced_elements, sizeof *gradients));
    for (int64_t b = 0; b < batch; b++)
        ids[b] = b;
    fill_input(&c);
    c.run = (thaw_run){
        .B = batch, .input = c.input, .sample_ids = ids, .seed = seed, .step = 1, .training = true};
    THAW_TRY_TO(run_backward(&c, gradients));
    status = check_all(&c, gradients);
    *worst = c.worst;
done:
    thaw_free(&gradients);
    thaw_free(&ids);
    thaw_free(&c.coefficients);
    thaw_free(&c.input);
    thaw_plan_free(&c.plan);
    return status;
}
