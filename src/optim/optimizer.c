#include "thaw/optim.h"

#include "optim/optim_impl.h"
#include "thaw/kern.h"

#include <math.h>
#include <string.h>

/* Weights before the update are kept a piece at a time when update ratios are asked for. */
#define PIECE 4096

/* Cuts inside tensors lie at multiples of this, so that the loops' vectors hold the same elements whoever runs them. */
#define CUT 64

typedef struct tensor_state {
    thaw_optim_tensor tensor;
    int64_t n, start;    /* elements; of all tensors before it */
    int64_t begin, kept; /* elements [begin, begin + kept) have state here */
    double rate, weight_decay, anchor_strength;
    float *slots[OPTIM_MAX_SLOTS]; /* (kept) */
    bool anchored;
    float *anchor; /* (kept) */
} tensor_state;

struct thaw_optimizer {
    thaw_optim_config config;
    const optim_optimizer *kind;
    int slot_count;
    tensor_state *tensors;
    int32_t count, part, parts;
    int64_t total; /* elements of all tensors */
    int64_t steps;
    double backbone_factor; /* on the rates of backbone tensors */
    size_t state_bytes;
    float before[PIECE];
};

static double rate_of(const thaw_rates *rates, const thaw_optim_tensor *tensor)
{
    if (tensor->part == THAW_PART_BACKBONE)
        return rates->backbone * pow(rates->layer_decay, tensor->blocks_above);
    if (tensor->part == THAW_PART_ADAPTER && rates->adapter >= 0)
        return rates->adapter;
    return rates->head;
}

static double tensor_rate(const thaw_rates *rates, const thaw_optim_tensor *tensor)
{
    return rate_of(rates, tensor) * (tensor->rate_factor > 0 ? tensor->rate_factor : 1);
}

void thaw_optimizer_set_rates(thaw_optimizer *o, const thaw_rates *rates)
{
    for (int32_t i = 0; i < o->count; i++)
        o->tensors[i].rate = tensor_rate(rates, &o->tensors[i].tensor);
}

/* The first element of a tensor that belongs to `part` or one after it. */
static int64_t cut_at(const thaw_optimizer *o, const tensor_state *t, int32_t part)
{
    const int64_t cut = o->total / o->parts * part + o->total % o->parts * part / o->parts;
    const int64_t at = cut - t->start;
    if (at <= 0 || part == 0)
        return 0;
    if (at >= t->n || part == o->parts)
        return t->n;
    if (o->kind->prepare != NULL)
        return at > t->n / 2 ? t->n : 0;
    return at / CUT * CUT;
}

void thaw_optimizer_range(const thaw_optimizer *o, int32_t i, int32_t part, int64_t *begin,
                          int64_t *end)
{
    *begin = cut_at(o, &o->tensors[i], part);
    *end = cut_at(o, &o->tensors[i], part + 1);
}

static thaw_status tensor_init(thaw_optimizer *o, const thaw_rates *rates,
                               const thaw_optim_tensor *tensor, tensor_state *out)
{
    const thaw_optim_config *config = &o->config;
    out->begin = cut_at(o, out, o->part);
    out->kept = cut_at(o, out, o->part + 1) - out->begin;
    out->rate = tensor_rate(rates, tensor);
    out->weight_decay = tensor->is_weight || config->decay_all ? config->weight_decay : 0;
    for (int i = 0; i < o->slot_count; i++) {
        THAW_TRY(thaw_alloc(&out->slots[i], out->kept, sizeof(float)));
        o->state_bytes += (size_t)out->kept * sizeof(float);
    }
    const bool backbone = tensor->part == THAW_PART_BACKBONE;
    const bool head = tensor->part == THAW_PART_HEAD;
    const double strength = backbone ? config->l2sp : head ? config->l2sp_head : 0;
    if (strength > 0) {
        THAW_TRY(thaw_alloc(&out->anchor, out->kept, sizeof(float)));
        if (out->kept > 0 && backbone) /* the head's is 0 */
            memcpy(out->anchor, tensor->data + out->begin, (size_t)out->kept * sizeof(float));
        out->anchored = true;
        out->anchor_strength = strength;
        o->state_bytes += (size_t)out->kept * sizeof(float);
    }
    return THAW_OK;
}

/* Where cuts lie depends on all tensors. */
static void place(thaw_optimizer *o, const thaw_optim_tensor *tensors)
{
    for (int32_t i = 0; i < o->count; i++) {
        o->tensors[i].tensor = tensors[i];
        o->tensors[i].n = thaw_shape_count(&tensors[i].shape);
        o->tensors[i].start = o->total;
        o->total += o->tensors[i].n;
    }
}

thaw_status thaw_optimizer_new(const thaw_optim_config *config, const thaw_rates *rates,
                               const thaw_optim_tensor *tensors, int32_t count,
                               thaw_optimizer **out)
{
    return thaw_optimizer_new_part(config, rates, tensors, count, 0, 1, out);
}

thaw_status thaw_optimizer_new_part(const thaw_optim_config *config, const thaw_rates *rates,
                                    const thaw_optim_tensor *tensors, int32_t count, int32_t part,
                                    int32_t parts, thaw_optimizer **out)
{
    thaw_status status = THAW_OK;
    thaw_optimizer *o = NULL;
    THAW_TRY(thaw_optim_config_check(config));
    THAW_TRY(thaw_alloc(&o, 1, sizeof *o));
    o->config = *config;
    o->kind = optim_optimizer_at(config->kind);
    o->slot_count = o->kind->slot_count(config);
    o->count = count;
    o->part = part;
    o->parts = parts;
    o->backbone_factor = 1;
    THAW_TRY_TO(thaw_alloc(&o->tensors, count, sizeof *o->tensors));
    place(o, tensors);
    for (int32_t i = 0; i < count; i++)
        THAW_TRY_TO(tensor_init(o, rates, &tensors[i], &o->tensors[i]));
    *out = o;
    o = NULL;
done:
    thaw_optimizer_free(&o);
    return status;
}

void thaw_optimizer_free(thaw_optimizer **optimizer)
{
    thaw_optimizer *o = *optimizer;
    if (!o)
        return;
    for (int32_t i = 0; o->tensors && i < o->count; i++) {
        for (int s = 0; s < OPTIM_MAX_SLOTS; s++)
            thaw_free(&o->tensors[i].slots[s]);
        thaw_free(&o->tensors[i].anchor);
    }
    thaw_free(&o->tensors);
    thaw_free(optimizer);
}

static thaw_status not_finite(const thaw_optimizer *o, const float *const *gradients)
{
    const char *name = "their sum";
    for (int32_t i = 0; i < o->count; i++) {
        if (!thaw_kern_all_finite(o->tensors[i].n, gradients[i])) {
            name = o->tensors[i].tensor.name;
            break;
        }
    }
    THAW_CHECK(
        o->steps > 0, THAW_ERR_NUMERIC,
        "the gradient has NaN or infinity in %s at the first optimizer step, so learning "
        "rates are not why: samples, or the weights that training starts from, are too large",
        name);
    return THAW_FAIL(THAW_ERR_NUMERIC,
                     "the gradient has NaN or infinity in %s at optimizer step %lld; lower the "
                     "learning rate, warm up longer or clip the gradient (clip_norm)",
                     name, (long long)o->steps + 1);
}

static thaw_status global_norm(const thaw_optimizer *o, const float *const *gradients,
                               double gradient_scale, double *out)
{
    double squares = 0;
    for (int32_t i = 0; i < o->count; i++)
        squares += thaw_kern_sum_squares(o->tensors[i].n, gradients[i]);
    *out = fabs(gradient_scale) * sqrt(squares);
    return isfinite(*out) ? THAW_OK : not_finite(o, gradients);
}

double optim_trust(double weights, double update, double coefficient)
{
    return weights > 0 && update > 0 ? coefficient * weights / update : 1;
}

/* The sweep in pieces, with the norm of the weights before and of their change. */
static double measured_sweep(thaw_optimizer *o, const optim_sweep *whole)
{
    double change = 0;
    double before = 0;
    for (int64_t at = 0; at < whole->n; at += PIECE) {
        optim_sweep piece = *whole;
        piece.n = whole->n - at < PIECE ? whole->n - at : PIECE;
        piece.gradient += at;
        piece.w += at;
        piece.anchor = whole->anchor ? whole->anchor + at : NULL;
        for (int s = 0; s < OPTIM_MAX_SLOTS; s++)
            piece.slots[s] = whole->slots[s] ? whole->slots[s] + at : NULL;
        memcpy(o->before, piece.w, (size_t)piece.n * sizeof(float));
        o->kind->sweep(&piece);
        before += thaw_kern_sum_squares(piece.n, o->before);
        change += thaw_kern_distance_squared(piece.n, piece.w, o->before);
    }
    return before > 0 ? sqrt(change / before) : 0;
}

static double factor_of(const thaw_optimizer *o, const tensor_state *t)
{
    return t->tensor.part == THAW_PART_BACKBONE ? o->backbone_factor : 1;
}

thaw_status thaw_optimizer_step(thaw_optimizer *o, const float *const *gradients,
                                double gradient_scale, double schedule_factor,
                                thaw_step_report *report)
{
    double norm = 0;
    double clip = 1;
    THAW_TRY(global_norm(o, gradients, gradient_scale, &norm));
    if (o->config.clip_norm > 0 && o->config.clip_norm < norm + 1e-6)
        clip = o->config.clip_norm / (norm + 1e-6);
    o->steps++;
    for (int32_t i = 0; i < o->count; i++) {
        tensor_state *t = &o->tensors[i];
        if (report && report->update_ratio)
            report->update_ratio[i] = 0;
        if (t->kept == 0)
            continue;
        optim_sweep sweep = {
            .config = &o->config,
            .rate = t->rate * factor_of(o, t) * schedule_factor,
            .weight_decay = t->weight_decay,
            .gradient_scale = gradient_scale * clip,
            .anchor_strength = t->anchor_strength,
            .trust = 1,
            .trusting = t->tensor.is_weight || o->config.trust_all,
            .step = o->steps - t->tensor.joined,
            .n = t->kept,
            .gradient = gradients[i] + t->begin,
            .anchor = t->anchor,
            .w = t->tensor.data + t->begin,
            .slots = {t->slots[0], t->slots[1]},
        };
        if (o->kind->prepare)
            sweep.trust = o->kind->prepare(&sweep);
        if (report && report->update_ratio)
            report->update_ratio[i] = measured_sweep(o, &sweep);
        else
            o->kind->sweep(&sweep);
    }
    if (report) {
        report->gradient_norm = norm;
        report->clip_factor = clip;
    }
    return THAW_OK;
}

void thaw_optimizer_slow(thaw_optimizer *optimizer, double factor)
{
    optimizer->backbone_factor = factor;
}

int32_t thaw_optimizer_count(const thaw_optimizer *optimizer)
{
    return optimizer->count;
}

float *thaw_optimizer_tensor(const thaw_optimizer *o, int32_t i)
{
    return o->tensors[i].tensor.data;
}

double thaw_optimizer_rate(const thaw_optimizer *optimizer, int32_t i)
{
    return optimizer->tensors[i].rate;
}

int64_t thaw_optimizer_steps(const thaw_optimizer *optimizer)
{
    return optimizer->steps;
}

size_t thaw_optimizer_state_bytes(const thaw_optimizer *optimizer)
{
    return optimizer->state_bytes;
}

static thaw_status add_view(thaw_state *out, const char *slot, tensor_state *t, float *data)
{
    thaw_str name = {0};
    thaw_str_printf(&name, "optim.%s.%s", slot, t->tensor.name);
    thaw_status status = thaw_state_add(out, thaw_str_c(&name), THAW_F32, t->tensor.shape, data);
    thaw_str_clear(&name);
    return status;
}

thaw_status thaw_optimizer_state(thaw_optimizer *o, thaw_state *out)
{
    thaw_shape scalar = {0};
    const bool whole = o->parts == 1;
    THAW_TRY(thaw_state_add(out, "optim.step", THAW_I64, scalar, &o->steps));
    for (int32_t i = 0; i < o->count; i++) {
        tensor_state *t = &o->tensors[i];
        for (int s = 0; s < o->slot_count; s++)
            THAW_TRY(add_view(out, o->kind->slots[s], t, whole ? t->slots[s] : NULL));
        if (t->anchored)
            THAW_TRY(add_view(out, "anchor", t, whole ? t->anchor : NULL));
    }
    return THAW_OK;
}

float *thaw_optimizer_kept(const thaw_optimizer *o, int64_t entry, int32_t *tensor)
{
    for (int32_t i = 0; i < o->count; i++) {
        const tensor_state *t = &o->tensors[i];
        const int64_t entries = o->slot_count + (t->anchored ? 1 : 0);
        if (entry <= entries) {
            *tensor = i;
            return entry <= o->slot_count ? t->slots[entry - 1] : t->anchor;
        }
        entry -= entries;
    }
    return NULL;
}
