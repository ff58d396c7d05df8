/* Central differences against backward, on a random linear functional of the output: loss = sum c y, in double.
 *
 * Float32 outputs carry rounding noise of about 2^-24 |c y| each, so the loss of about noise = 2^-24 |c . y|_2, and a
 * difference over 2h of noise / h: steps must not be small, and an error below that floor says nothing. With steps of
 * 2^-6 of a tensor's size the floor lies near 1e-5 and the truncation error (h^2) near 1e-4 of the gradient.
 * Two step sizes a factor 4 apart must agree: where they do not, a kink (relu, max_pool) lies between, and smaller steps
 * are tried; an element that stays undecided is left out, and too many of those are an error. */
#include "graph/plan_impl.h"

#include <math.h>
#include <string.h>

#define NOISE_FACTOR                                                                               \
    16.0 /* of the floor: outputs are sums, their noise is some multiple of one rounding */
#define FORWARD_BUDGET  4096 /* runs in all, so that a user's model is checked in minutes */
#define MOST_ELEMENTS   64   /* of one tensor */
#define FEWEST_ELEMENTS 4
#define MOST_UNDECIDED  0.5

typedef struct check {
    thaw_plan *plan;
    thaw_run run;
    float *input;
    float *coefficients; /* (B, output) */
    int64_t input_count, output_count;
    int64_t elements; /* checked in one tensor */
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

/* *difference: what two step sizes agree on; false when none do. */
static bool difference(check *c, float *x, double step, double scale, double *result)
{
    double wide = central_difference(c, x, step);
    for (int tries = 0; tries < 3; tries++) {
        step /= 4;
        double narrow = central_difference(c, x, step);
        double allowed = fmax(0.5 * c->tolerance * scale, c->noise / step);
        *result = wide;
        if (fabs(wide - narrow) <= allowed)
            return true;
        wide = narrow;
    }
    return false;
}

static double largest(int64_t n, const float *x)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++)
        most = fmax(most, fabs((double)x[i]));
    return most;
}

/* gradient: a copy of what backward gave; x: the values it belongs to, changed and restored. */
static thaw_status check_tensor(check *c, const char *name, int64_t n, float *x,
                                const float *gradient)
{
    double size = sqrt(thaw_kern_sum_squares(n, x) / (double)n);
    double step = 0x1p-6 * (size > 0 ? size : 1.0);
    double scale = largest(n, gradient);
    int64_t count = n < c->elements ? n : c->elements;
    int64_t undecided = 0;
    THAW_CHECK(thaw_kern_all_finite(n, gradient), THAW_ERR_NUMERIC,
               "the gradient of \"%s\" is not finite", name);
    for (int64_t k = 0; k < count; k++) {
        int64_t i = count == n ? k : (int64_t)thaw_rng_below(&c->rng, (uint64_t)n);
        double numeric = 0;
        if (!difference(c, &x[i], step, scale, &numeric)) {
            undecided++;
            continue;
        }
        double floor = c->noise / step / c->tolerance;
        double error = fabs(numeric - gradient[i]) / fmax(scale, floor);
        if (!(error <= c->worst)) { /* also NaN */
            c->worst = error;
            (void)thaw_format(c->worst_name, sizeof c->worst_name,
                              "\"%s\" element %lld: backward says %.6g, differences %.6g", name,
                              (long long)i, (double)gradient[i], numeric);
        }
    }
    THAW_CHECK((double)undecided <= MOST_UNDECIDED * (double)count, THAW_ERR_NUMERIC,
               "the gradient of \"%s\" cannot be judged: %lld of %lld elements lie at kinks", name,
               (long long)undecided, (long long)count);
    return THAW_OK;
}

/* Away from 0, where relu has its kink. */
static void fill_input(check *c)
{
    for (int64_t i = 0; i < c->input_count; i++) {
        double size = 0.2 + thaw_rng_uniform(&c->rng);
        c->input[i] = (float)(thaw_rng_u32(&c->rng) & 1 ? size : -size);
    }
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
static void run_backward(check *c, float *gradients)
{
    thaw_plan_forward(c->plan, &c->run);
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
}

static thaw_status check_all(check *c, const float *gradients)
{
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
    THAW_TRY_TO(
        thaw_plan_new_with(g, kern, &options, &(thaw_plan_extra){.input_gradient = true}, &c.plan));
    c.input_count = batch * thaw_shape_count(&g->values[g->input].shape);
    c.output_count = batch * thaw_shape_count(&g->values[g->logits].shape);
    c.elements = elements_per_tensor(c.plan);
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
    run_backward(&c, gradients);
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
