#include "train/train_impl.h"

#include <string.h>

/* WiSE-FT: between the backbone that training began with and the one it ended with. Wortsman et al. 2022, arXiv:2109.01903. */

/* Where the network has tensor `i` of `begin`: there, unless it trains. */
static float *data_of(const thaw_setup *s, int64_t i)
{
    const int32_t index = thaw_graph_find_param(s->model->graph, s->begin.entries[i].name);
    THAW_ASSERT(index >= 0);
    return thaw_graph_param(s->model->graph, index)->data;
}

static thaw_status check(const thaw_setup *s, const char *run_directory, double share)
{
    THAW_CHECK(share >= 0 && share <= 1, THAW_ERR_USAGE,
               "interpolation %g is not between 0 (the backbone as training began) and 1 (as it "
               "ended)",
               share);
    THAW_CHECK(s->rung.kind != THAW_RUNG_SCRATCH, THAW_ERR_USAGE,
               "%s was trained from scratch: there is no pretrained backbone to interpolate with",
               run_directory);
    thaw_adapt_counts counts;
    thaw_adapt_count(s->model, &counts);
    THAW_CHECK(counts.adapter == 0, THAW_ERR_USAGE,
               "%s trained an adapter (%s) beside the backbone, which has no start to interpolate "
               "with; runs of rungs partial and full have",
               run_directory, s->model->adapter);
    /* Of some phase, where there are several. */
    for (int64_t i = 0; i < s->begin.count; i++) {
        if (data_of(s, i) != s->begin.entries[i].tensor.data)
            return THAW_OK;
    }
    return THAW_FAIL(THAW_ERR_USAGE,
                     "%s trained nothing of the backbone (rung %s): all interpolations are the "
                     "same network",
                     run_directory, s->config->rung);
}

thaw_status thaw_setup_interpolate(thaw_setup *s, const char *run_directory, double share)
{
    if (share == 1)
        return THAW_OK;
    THAW_TRY(check(s, run_directory, share));
    for (int64_t i = 0; i < s->begin.count; i++) {
        const thaw_tensor *begin = &s->begin.entries[i].tensor;
        float *now = data_of(s, i);
        if (now == begin->data) /* frozen */
            continue;
        if (share == 0)
            memcpy(now, begin->data, thaw_tensor_bytes(begin));
        else
            thaw_kern_lerp(thaw_tensor_count(begin), (float)(1 - share), begin->data, now);
    }
    return THAW_OK;
}
