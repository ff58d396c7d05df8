#include "thaw/model.h"

#include "model/model_impl.h"

#include <string.h>

#define THAW_KIND(name) &model_family_##name,
static const model_family *const families[] = {
#include "model/kinds.def"
};
#undef THAW_KIND
#define FAMILIES    (sizeof families / sizeof *families)
#define MOST_ARCHES 64

const thaw_input_norm model_imagenet_norm = {
    "ImageNet", {0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}};
const thaw_input_norm model_half_norm = {"0.5 as", {0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}};

int32_t thaw_model_arch_count(void)
{
    int32_t count = 0;
    for (size_t i = 0; i < FAMILIES; i++)
        count += families[i]->count;
    return count;
}

const thaw_model_arch *thaw_model_arch_at(int32_t index)
{
    for (size_t i = 0; i < FAMILIES; i++) {
        if (index < families[i]->count)
            return index < 0 ? NULL : &families[i]->arches[index];
        index -= families[i]->count;
    }
    return NULL;
}

const model_family *model_family_of(const thaw_model_arch *arch)
{
    for (size_t i = 0; i < FAMILIES; i++) {
        if (strcmp(families[i]->name, arch->family) == 0)
            return families[i];
    }
    return NULL;
}

thaw_status thaw_model_arch_find(const char *name, const thaw_model_arch **out)
{
    const char *names[MOST_ARCHES];
    int32_t count = thaw_model_arch_count();
    THAW_ASSERT(count <= MOST_ARCHES);
    *out = NULL;
    for (int32_t i = 0; i < count; i++) {
        const thaw_model_arch *arch = thaw_model_arch_at(i);
        names[i] = arch->name;
        if (name && strcmp(arch->name, name) == 0)
            *out = arch;
    }
    if (*out)
        return THAW_OK;
    THAW_CHECK(name && *name, THAW_ERR_CONFIG,
               "no backbone architecture is given (arch); `thaw backbone list` shows them all");
    const char *near = thaw_did_you_mean(name, names, (size_t)count);
    return THAW_FAIL(
        THAW_ERR_CONFIG,
        "unknown backbone architecture \"%s\"%s%s%s; `thaw backbone list` shows them all", name,
        near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

thaw_status thaw_model_arch_params(const thaw_model_arch *arch, int64_t *out)
{
    thaw_model_spec spec = {.C = arch->C, .H = arch->H, .W = arch->W, .K = arch->K, .T = arch->T};
    thaw_model *model = NULL;
    THAW_TRY(thaw_strdup(&spec.arch, arch->name));
    thaw_status status = thaw_model_outline(&spec, &model);
    if (status == THAW_OK)
        *out = thaw_graph_count_params(model->graph, false);
    thaw_model_free(&model);
    thaw_model_spec_clear(&spec);
    return status;
}
