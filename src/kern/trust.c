/* trust.c - what optimizers with a trust ratio for each tensor need: norms of what is applied, before it is. */
#include "thaw/kern.h"

#include <math.h>

#include "kern/clones_impl.h"
#include "kern/pieces_impl.h"

KERN_CLONES static double pulled_piece(int64_t n, float scale, float strength,
                                       const float *gradient, const float *anchor, const float *w)
{
    double lane[LANES] = {0};
    for (int64_t i = 0; i < n; i++) {
        double g = gradient[i] * scale + strength * (w[i] - anchor[i]);
        lane[i % LANES] += g * g;
    }
    return kern_sum_lanes(lane);
}

double thaw_kern_pulled_squares(int64_t n, float gradient_scale, float anchor_strength,
                                const float *gradient, const float *anchor, const float *w)
{
    const float *target = anchor ? anchor : w;
    const float strength = anchor ? anchor_strength : 0.0f;
    EACH_PIECE(n, at, count,
               pulled_piece(count, gradient_scale, strength, gradient + at, target + at, w + at));
    return kern_sum_pieces(n, piece, part);
}

/* The scalars of one LAMB step, worked out in double once. */
typedef struct lamb_rule {
    float lr, beta1_rest, beta2, beta2_rest, first_correction, root_correction, epsilon, decay,
        scale, strength;
} lamb_rule;

static lamb_rule rule_of(const thaw_adamw *s, const float *anchor)
{
    const double correction1 = 1.0 - pow((double)s->beta1, (double)s->step);
    const double correction2 = 1.0 - pow((double)s->beta2, (double)s->step);
    return (lamb_rule){.lr = s->lr,
                       .beta1_rest = (float)(1.0 - (double)s->beta1),
                       .beta2 = s->beta2,
                       .beta2_rest = (float)(1.0 - (double)s->beta2),
                       .first_correction = (float)(1.0 / correction1),
                       .root_correction = (float)(1.0 / sqrt(correction2)),
                       .epsilon = s->epsilon,
                       .decay = s->weight_decay,
                       .scale = s->gradient_scale,
                       .strength = anchor ? s->anchor_strength : 0.0f};
}

/* Both passes use it, so that the step has the norm that was measured. */
static inline float update_of(const lamb_rule *r, float w, float m, float v)
{
    return m * r->first_correction / (sqrtf(v) * r->root_correction + r->epsilon) + r->decay * w;
}

KERN_CLONES static double moments_piece(int64_t n, const lamb_rule *rule, const float *gradient,
                                        const float *anchor, const float *w, float *m, float *v)
{
    const lamb_rule r = *rule;
    double lane[LANES] = {0};
    for (int64_t i = 0; i < n; i++) {
        const float g = gradient[i] * r.scale + r.strength * (w[i] - anchor[i]);
        m[i] += r.beta1_rest * (g - m[i]);
        v[i] = r.beta2 * v[i] + r.beta2_rest * g * g;
        const double u = update_of(&r, w[i], m[i], v[i]);
        lane[i % LANES] += u * u;
    }
    return kern_sum_lanes(lane);
}

double thaw_kern_lamb_moments(int64_t n, const thaw_adamw *s, const float *gradient,
                              const float *anchor, const float *w, float *m, float *v)
{
    const lamb_rule rule = rule_of(s, anchor);
    const float *target = anchor ? anchor : w;
    EACH_PIECE(n, at, count,
               moments_piece(count, &rule, gradient + at, target + at, w + at, m + at, v + at));
    return kern_sum_pieces(n, piece, part);
}

KERN_CLONES static void apply_part(int64_t n, const lamb_rule *rule, float *w, const float *m,
                                   const float *v)
{
    const lamb_rule r = *rule;
    for (int64_t i = 0; i < n; i++)
        w[i] -= r.lr * update_of(&r, w[i], m[i], v[i]);
}

void thaw_kern_lamb_apply(int64_t n, const thaw_adamw *s, float *w, const float *m, const float *v)
{
    const lamb_rule rule = rule_of(s, NULL);
    KERN_SPLIT(n, n, at, count, apply_part(count, &rule, w + at, m + at, v + at));
}
