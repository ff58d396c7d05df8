/* conv_pack.c - weights in the order in which tiles read them. */
#include "kern/conv_impl.h"

#include <string.h>

/* Transposed through a small block that stays in the first-level cache: (channels, taps, width). */
enum { BLOCK_COLUMNS = 144, TOGETHER = 16, LEAST_TAPS = 4, MOST_WIDTH = 2 * KERN_MOST_LANES };

typedef struct packing {
    const conv_gather *g;
    const int64_t *kw_of_slot;
    const float *w; /* of the block's first output channel */
    int64_t width, known;
    float *packed;
} packing;

/* Few taps in use, or more of them than the block holds: element by element. */
static void pack_tap(const packing *p, int64_t kh, int64_t slot)
{
    const conv_gather *g = p->g;
    const float *from = p->w + kh * g->w.taps + p->kw_of_slot[slot];
    float *to = p->packed + (kh * g->w.taps + slot) * g->in_channels * p->width;
    /* Rows of a weight array may lie a multiple of 4 KiB apart, where a cache holds only a few: one row at a time. */
    for (int64_t first = 0; first < g->in_channels; first += TOGETHER) {
        int64_t last = first + TOGETHER < g->in_channels ? first + TOGETHER : g->in_channels;
        if (g->weight_out > g->weight_in)
            for (int64_t o = 0; o < p->known; o++)
                for (int64_t c = first; c < last; c++)
                    to[c * p->width + o] = from[o * g->weight_out + c * g->weight_in];
        else
            for (int64_t c = first; c < last; c++)
                for (int64_t o = 0; o < p->known; o++)
                    to[c * p->width + o] = from[o * g->weight_out + c * g->weight_in];
        for (int64_t c = first; c < last; c++)
            for (int64_t o = p->known; o < p->width; o++)
                to[c * p->width + o] = 0.0f;
    }
}

static void pack_channels(const packing *p, const kern_isa *isa, int64_t first, int64_t channels)
{
    const conv_gather *g = p->g;
    int64_t taps = g->h.taps * g->w.taps;
    float block[BLOCK_COLUMNS * MOST_WIDTH];
    if (p->known < p->width)
        memset(block, 0, (size_t)(channels * taps * p->width) * sizeof(float));
    const float *from = p->w + first * g->weight_in;
    if (g->weight_in == taps)
        isa->transpose(p->known, channels * taps, from, g->weight_out, block, p->width,
                       channels * taps, 0);
    else
        for (int64_t c = 0; c < channels; c++)
            isa->transpose(p->known, taps, from + c * g->weight_in, g->weight_out,
                           block + c * taps * p->width, p->width, taps, 0);
    for (int64_t kh = 0; kh < g->h.taps; kh++)
        for (int64_t slot = 0; slot < g->w.taps; slot++)
            for (int64_t c = 0; c < channels; c++)
                memcpy(p->packed +
                           ((kh * g->w.taps + slot) * g->in_channels + first + c) * p->width,
                       block + (c * taps + kh * g->w.taps + p->kw_of_slot[slot]) * p->width,
                       (size_t)p->width * sizeof(float));
}

void conv_pack_weights(const kern_isa *isa, const conv_gather *g, const int64_t *kw_of_slot,
                       int64_t first, int64_t width, const float *w, float *packed)
{
    packing p = {.g = g,
                 .kw_of_slot = kw_of_slot,
                 .w = w + first * g->weight_out,
                 .width = width,
                 .known = g->out_channels - first < width ? g->out_channels - first : width,
                 .packed = packed};
    int64_t taps = g->h.taps * g->w.taps;
    int64_t together = BLOCK_COLUMNS / taps;
    bool narrow = g->weight_in != taps && taps < LEAST_TAPS;
    if (2 * conv_taps_used(g) > taps && together > 0 && !narrow) {
        for (int64_t c = 0; c < g->in_channels; c += together)
            pack_channels(&p, isa, c,
                          g->in_channels - c < together ? g->in_channels - c : together);
        return;
    }
    for (int64_t kh = 0; kh < g->h.taps; kh++)
        for (int64_t slot = 0; slot < g->w.taps; slot++)
            if (conv_tap_used(&g->h, kh) && conv_tap_used(&g->w, kw_of_slot[slot]))
                pack_tap(&p, kh, slot);
}
