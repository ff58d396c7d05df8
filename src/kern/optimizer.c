/* optimizer.c - one sweep of an optimizer over one tensor, with PyTorch's formulas (torch.optim.SGD, AdamW). */
#include "thaw/kern.h"

#include <math.h>

#include "kern/clones_impl.h"
#include "kern/threads_impl.h"

/* Gradient as the update sees it: scaled, pulled to the anchor, decayed. */
static inline float effective(float gradient, float scale, float w, float anchor, float strength,
                              float decay)
{
    return gradient * scale + strength * (w - anchor) + decay * w;
}

KERN_CLONES static void sgd_plain(int64_t n, const thaw_sgd *s, const float *gradient,
                                  const float *anchor, float strength, float *w)
{
    float lr = s->lr;
    float scale = s->gradient_scale;
    float decay = s->weight_decay;
    for (int64_t i = 0; i < n; i++)
        w[i] -= lr * effective(gradient[i], scale, w[i], anchor[i], strength, decay);
}

/* keep, take: buffer = keep * buffer + take * g;  w -= lr * (direct * g + follow * buffer). */
typedef struct momentum_rule {
    float keep, take, direct, follow;
} momentum_rule;

KERN_CLONES static void sgd_momentum(int64_t n, const thaw_sgd *s, const momentum_rule *rule,
                                     const float *gradient, const float *anchor, float strength,
                                     float *w, float *momentum)
{
    float lr = s->lr;
    float scale = s->gradient_scale;
    float decay = s->weight_decay;
    momentum_rule r = *rule;
    for (int64_t i = 0; i < n; i++) {
        float g = effective(gradient[i], scale, w[i], anchor[i], strength, decay);
        float buffer = r.keep * momentum[i] + r.take * g;
        momentum[i] = buffer;
        w[i] -= lr * (r.direct * g + r.follow * buffer);
    }
}

void thaw_kern_sgd(int64_t n, const thaw_sgd *s, const float *gradient, const float *anchor,
                   float *w, float *momentum)
{
    /* Without an anchor the weight is its own: the pull is exactly zero, and one loop serves both. */
    float strength = anchor ? s->anchor_strength : 0.0f;
    const float *target = anchor ? anchor : w;
    if (momentum == NULL || s->momentum == 0.0f) {
        KERN_SPLIT(n, n, at, count,
                   sgd_plain(count, s, gradient + at, target + at, strength, w + at));
        return;
    }
    if (s->first_step)
        thaw_kern_fill(n, 0.0f, momentum);
    momentum_rule rule = {.keep = s->first_step ? 0.0f : s->momentum,
                          .take = s->first_step ? 1.0f : 1.0f - s->dampening,
                          .direct = s->nesterov ? 1.0f : 0.0f,
                          .follow = s->nesterov ? s->momentum : 1.0f};
    KERN_SPLIT(
        n, n, at, count,
        sgd_momentum(count, s, &rule, gradient + at, target + at, strength, w + at, momentum + at));
}

/* The scalars of one AdamW step, worked out in double once. */
typedef struct adamw_rule {
    float shrink, beta1_rest, beta2, beta2_rest, step_size, root_correction, epsilon, scale,
        strength;
} adamw_rule;

KERN_CLONES static void adamw_sweep(int64_t n, const adamw_rule *rule, const float *gradient,
                                    const float *anchor, float *w, float *m, float *v)
{
    adamw_rule r = *rule;
    for (int64_t i = 0; i < n; i++) {
        float g = gradient[i] * r.scale + r.strength * (w[i] - anchor[i]);
        float first = m[i] + r.beta1_rest * (g - m[i]);
        float second = r.beta2 * v[i] + r.beta2_rest * g * g;
        m[i] = first;
        v[i] = second;
        w[i] =
            w[i] * r.shrink - r.step_size * first / (sqrtf(second) / r.root_correction + r.epsilon);
    }
}

void thaw_kern_adamw(int64_t n, const thaw_adamw *s, const float *gradient, const float *anchor,
                     float *w, float *m, float *v)
{
    double correction1 = 1.0 - pow((double)s->beta1, (double)s->step);
    double correction2 = 1.0 - pow((double)s->beta2, (double)s->step);
    adamw_rule rule = {.shrink = (float)(1.0 - (double)s->lr * s->weight_decay),
                       .beta1_rest = (float)(1.0 - (double)s->beta1),
                       .beta2 = s->beta2,
                       .beta2_rest = (float)(1.0 - (double)s->beta2),
                       .step_size = (float)(s->lr / correction1),
                       .root_correction = (float)sqrt(correction2),
                       .epsilon = s->epsilon,
                       .scale = s->gradient_scale,
                       .strength = anchor ? s->anchor_strength : 0.0f};
    const float *target = anchor ? anchor : w;
    KERN_SPLIT(n, n, at, count,
               adamw_sweep(count, &rule, gradient + at, target + at, w + at, m + at, v + at));
}
