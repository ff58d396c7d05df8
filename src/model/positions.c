#include "thaw/model.h"

#include <string.h>

/* The vectors of places of a vision transformer belong to pictures of one size. For another they are resampled as timm does it when
 * weights are loaded (resample_abs_pos_embed): bicubic, without aliasing; the class token's place stays. */

int32_t thaw_model_positions(const thaw_model *model)
{
    const thaw_graph *g = model->graph;
    for (int32_t n = 0; n < thaw_graph_node_count(g); n++) {
        const thaw_node *node = thaw_graph_node(g, n);
        if (strcmp(thaw_node_kind(node), "class_token") == 0)
            return node->params[1];
    }
    return -1;
}

bool thaw_model_same_positions(const thaw_model *model, const thaw_model_spec *source)
{
    return thaw_model_positions(model) < 0 ||
           (source->H == model->spec.H && source->W == model->spec.W);
}

void thaw_model_resample_positions(const thaw_model *model, const thaw_model_spec *source,
                                   const float *in, float *out)
{
    const int64_t D = model->spec.width;
    const int64_t patch = model->spec.patch; /* the source's too: the same backbone */
    const int64_t from[2] = {source->H / patch, source->W / patch};
    const int64_t to[2] = {model->spec.H / patch, model->spec.W / patch};
    memcpy(out, in, (size_t)D * sizeof *out);
    thaw_kern_resize_bicubic(D, from, to, in + D, out + D);
    THAW_LOG(THAW_INFO,
             "the places of %lld x %lld patches are resampled to %lld x %lld (bicubic): pictures "
             "have another size than in the backbone's weights",
             (long long)from[0], (long long)from[1], (long long)to[0], (long long)to[1]);
}

thaw_status thaw_model_fit_positions(const thaw_model *model, const thaw_model_spec *source,
                                     const thaw_state *tensors, thaw_state *out)
{
    const int32_t index = thaw_model_positions(model);
    const thaw_param *p = index >= 0 ? thaw_graph_param(model->graph, index) : NULL;
    const bool same = thaw_model_same_positions(model, source);
    for (int64_t i = 0; i < tensors->count; i++) {
        const thaw_entry *e = &tensors->entries[i];
        void *data = NULL;
        if (same || strcmp(e->name, p->name) != 0) {
            THAW_TRY(
                thaw_state_add(out, e->name, e->tensor.dtype, e->tensor.shape, e->tensor.data));
            continue;
        }
        const int64_t patch = model->spec.patch;
        const int64_t patches = source->H / patch * (source->W / patch);
        THAW_CHECK(patches > 0, THAW_ERR_INPUT,
                   "says that it reads pictures of %lld x %lld, which have no patch of %lld x %lld",
                   (long long)source->H, (long long)source->W, (long long)patch, (long long)patch);
        THAW_CHECK(e->tensor.dtype == THAW_F32 &&
                       thaw_tensor_count(&e->tensor) == (1 + patches) * model->spec.width,
                   THAW_ERR_INPUT,
                   "\"%s\" has not one vector of %lld features for each of %lld patches", e->name,
                   (long long)model->spec.width, (long long)patches);
        THAW_TRY(thaw_state_add_new(out, e->name, THAW_F32, p->shape, &data));
        thaw_model_resample_positions(model, source, e->tensor.data, data);
    }
    return THAW_OK;
}
