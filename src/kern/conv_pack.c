/* conv_pack.c - weights in the order in which tiles read them. */
#include "kern/conv_impl.h"

void conv_pack_weights(const conv_gather *g, const int64_t *kw_of_slot, int64_t first,
                       int64_t width, const float *w, float *packed)
{
    int64_t known = g->out_channels - first < width ? g->out_channels - first : width;
    for (int64_t kh = 0; kh < g->h.taps; kh++)
        for (int64_t slot = 0; slot < g->w.taps; slot++) {
            int64_t kw = kw_of_slot[slot];
            if (!conv_tap_used(&g->h, kh) || !conv_tap_used(&g->w, kw))
                continue;
            const float *from = w + first * g->weight_out + kh * g->w.taps + kw;
            float *to = packed + (kh * g->w.taps + slot) * g->in_channels * width;
            for (int64_t c = 0; c < g->in_channels; c++) {
                for (int64_t o = 0; o < known; o++)
                    to[c * width + o] = from[o * g->weight_out + c * g->weight_in];
                for (int64_t o = known; o < width; o++)
                    to[c * width + o] = 0.0f;
            }
        }
}
