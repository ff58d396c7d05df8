#include "train/export_impl.h"

#include <string.h>

/* transformers' classes for texts have a linear layer and an activation between the first token and the last layer of the head. A head of ours
 * that reads the first token itself may still be written as those two, with the same logits. */
static const struct reader {
    const char *family;
    int activation;            /* thaw_activation */
    const char *before, *last; /* the two layers there */
} readers[] = {{"bert", THAW_ACTIVATION_TANH, "bert.pooler.dense", "classifier"},
               {"roberta", THAW_ACTIVATION_TANH, "classifier.dense", "classifier.out_proj"},
               {"distilbert", THAW_ACTIVATION_RELU, "pre_classifier", "classifier"}};

static const struct reader *reader_of(const thaw_model *model)
{
    const thaw_model_arch *arch = NULL;
    if (thaw_model_arch_find(model->spec.arch, &arch) != THAW_OK)
        return NULL;
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++)
        if (strcmp(readers[i].family, arch->family) == 0)
            return &readers[i];
    return NULL;
}

/* Two layers are those two where their activation is the one there; one layer goes through relu as z = relu(z) - relu(-z), which is exact. */
bool thaw_export_head_as_theirs(const thaw_model *model)
{
    const thaw_model_spec *spec = &model->spec;
    const struct reader *r = reader_of(model);
    if (r == NULL || spec->pool != THAW_POOL_CLASS)
        return false;
    if (spec->head_hidden > 0)
        return spec->head_activation == r->activation && spec->head_hidden <= model->D;
    return r->activation == THAW_ACTIVATION_RELU && 2 * spec->K <= model->D;
}

static const float *values_of(const thaw_model *model, const char *name)
{
    const int32_t index = thaw_graph_find_param(model->graph, name);
    THAW_ASSERT(index >= 0);
    return thaw_graph_param(model->graph, index)->data;
}

/* A new tensor of zeros, as "<layer>.weight" or "<layer>.bias". */
static thaw_status add(thaw_state *out, const char *layer, const char *part, thaw_shape shape,
                       float **data)
{
    thaw_str name = {0};
    void *values = NULL;
    thaw_str_printf(&name, "%s.%s", layer, part);
    const thaw_status status = thaw_state_add_new(out, thaw_str_c(&name), THAW_F32, shape, &values);
    thaw_str_clear(&name);
    *data = values;
    return status;
}

typedef struct layers {
    float *w1, *b1; /* (D, D), (D) */
    float *w2, *b2; /* (K, D), (K) */
} layers;

/* What is wider there than here stays 0: both activations are 0 at 0. */
static void fill_two(const thaw_model *model, const layers *to)
{
    const int64_t D = model->D, hidden = model->spec.head_hidden, K = model->spec.K;
    const float *w2 = values_of(model, "fc.2.weight");
    memcpy(to->w1, values_of(model, "fc.0.weight"), (size_t)(hidden * D) * sizeof *to->w1);
    memcpy(to->b1, values_of(model, "fc.0.bias"), (size_t)hidden * sizeof *to->b1);
    for (int64_t k = 0; k < K; k++)
        memcpy(to->w2 + k * D, w2 + k * hidden, (size_t)hidden * sizeof *to->w2);
    memcpy(to->b2, values_of(model, "fc.2.bias"), (size_t)K * sizeof *to->b2);
}

static void fill_one(const thaw_model *model, const layers *to)
{
    const int64_t D = model->D;
    const float *w = values_of(model, "fc.weight");
    const float *b = values_of(model, "fc.bias");
    for (int64_t k = 0; k < model->spec.K; k++) {
        for (int64_t d = 0; d < D; d++) {
            to->w1[2 * k * D + d] = w[k * D + d];
            to->w1[(2 * k + 1) * D + d] = -w[k * D + d];
        }
        to->b1[2 * k] = b[k];
        to->b1[2 * k + 1] = -b[k];
        to->w2[k * D + 2 * k] = 1;
        to->w2[k * D + 2 * k + 1] = -1;
    }
}

thaw_status thaw_export_add_head(const thaw_model *model, thaw_state *out)
{
    const struct reader *r = reader_of(model);
    const int64_t D = model->D, K = model->spec.K;
    layers to;
    THAW_ASSERT(thaw_export_head_as_theirs(model));
    THAW_TRY(add(out, r->before, "weight", thaw_shape2(D, D), &to.w1));
    THAW_TRY(add(out, r->before, "bias", thaw_shape1(D), &to.b1));
    THAW_TRY(add(out, r->last, "weight", thaw_shape2(K, D), &to.w2));
    THAW_TRY(add(out, r->last, "bias", thaw_shape1(K), &to.b2));
    if (model->spec.head_hidden > 0)
        fill_two(model, &to);
    else
        fill_one(model, &to);
    THAW_LOG(THAW_INFO,
             "the head reads the first token itself; it is written as %s and %s, which give the "
             "same logits",
             r->before, r->last);
    return THAW_OK;
}
