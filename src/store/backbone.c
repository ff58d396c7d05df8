#include "thaw/store.h"

#include <math.h>

#include "store/backbone_impl.h"
#include "thaw/h5.h"

static thaw_status check_input(const thaw_backbone *b, const char *path, thaw_status code)
{
    THAW_CHECK(b->tokens >= 0, code, "%s: texts of %lld tokens", path, (long long)b->tokens);
    if (b->tokens > 0) {
        THAW_CHECK(b->C == 0 && b->H == 0 && b->W == 0, code,
                   "%s: the input is both text and pictures of %lld x %lld x %lld", path,
                   (long long)b->C, (long long)b->H, (long long)b->W);
        return THAW_OK;
    }
    THAW_CHECK(b->C > 0 && b->H > 0 && b->W > 0, code, "%s: the input is %lld x %lld x %lld", path,
               (long long)b->C, (long long)b->H, (long long)b->W);
    THAW_CHECK(b->mean != NULL && b->std != NULL, code, "%s: mean or std of the input is missing",
               path);
    for (int64_t c = 0; c < b->C; c++)
        THAW_CHECK(isfinite(b->mean[c]) && isfinite(b->std[c]) && b->std[c] > 0, code,
                   "%s: channel %lld has mean %g and std %g", path, (long long)c, b->mean[c],
                   b->std[c]);
    return THAW_OK;
}

static thaw_status check_features(const thaw_backbone *b, const char *path, thaw_status code)
{
    THAW_CHECK(b->D >= 0, code, "%s: %lld features", path, (long long)b->D);
    if (b->D == 0)
        return THAW_OK;
    THAW_CHECK(b->feature_mean != NULL && b->feature_variance != NULL && b->feature_samples > 0,
               code, "%s: the feature statistics are incomplete", path);
    for (int64_t d = 0; d < b->D; d++)
        THAW_CHECK(isfinite(b->feature_mean[d]) && isfinite(b->feature_variance[d]) &&
                       b->feature_variance[d] >= 0,
                   code, "%s: feature %lld has mean %g and variance %g", path, (long long)d,
                   b->feature_mean[d], b->feature_variance[d]);
    return THAW_OK;
}

/* A listing has no data. The relu of some kernels turns NaN into 0, so that nothing later would tell. */
static thaw_status check_values(const thaw_state *tensors, const char *path, thaw_status code)
{
    for (int64_t i = 0; i < tensors->count; i++) {
        const thaw_entry *e = &tensors->entries[i];
        if (e->tensor.data != NULL)
            THAW_TRY(thaw_check_finite(path, e->name, &e->tensor, code));
    }
    return THAW_OK;
}

thaw_status thaw_backbone_check(const thaw_backbone *b, const char *path, thaw_status code)
{
    THAW_CHECK(b->arch != NULL && b->arch[0] != 0, code, "%s: the architecture is missing", path);
    THAW_CHECK(b->tensors.count > 0, code, "%s: there are no weights in it", path);
    THAW_TRY(check_input(b, path, code));
    if (b->values == NULL) {
        THAW_TRY(check_values(&b->tensors, path, code));
        THAW_TRY(check_values(&b->head, path, code));
    }
    return check_features(b, path, code);
}

void thaw_backbone_clear(thaw_backbone *b)
{
    thaw_free(&b->arch);
    thaw_free(&b->tokenizer);
    thaw_free(&b->vocabulary);
    thaw_free(&b->mean);
    thaw_free(&b->std);
    thaw_free(&b->origin);
    thaw_free(&b->license);
    thaw_free(&b->feature_mean);
    thaw_free(&b->feature_variance);
    thaw_h5_strings_free(&b->blocks);
    thaw_h5_strings_free(&b->classes);
    thaw_state_clear(&b->spec);
    thaw_state_clear(&b->tensors);
    thaw_state_clear(&b->head);
    *b = (thaw_backbone){0};
}
