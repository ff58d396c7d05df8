/* Private to evidence: what the bootstrap and the analysis of variance work on. */
#ifndef EVIDENCE_PAIRED_IMPL_H
#define EVIDENCE_PAIRED_IMPL_H

#include "thaw/evidence.h"

/* A sample and its cluster; sorted, clusters lie together and their samples are in order. */
typedef struct thaw_member {
    int32_t cluster;
    int64_t sample;
} thaw_member;

void thaw_members_sort(thaw_member *members, int64_t count);

/* A unit is what is drawn: a cluster, or an example on its own. */
typedef struct thaw_units {
    int64_t count, seeds;
    double *difference; /* (count, seeds) sums of B - A over the unit's examples */
    double *size;       /* (count) examples */
} thaw_units;

THAW_NODISCARD thaw_status thaw_units_make(const thaw_scores *scores, thaw_units *out);
void thaw_units_clear(thaw_units *units);

/* Fills se, df, var_*, seed_correlation, seed_sd, t_* of *out from its delta, level and bounded; most_df as thaw_scores.df. */
THAW_NODISCARD thaw_status thaw_crossed_analysis(const thaw_units *units, double most_df,
                                                 thaw_paired *out);

/* How the counts of a resample are drawn; both are exact multinomial draws. */
typedef enum thaw_draw {
    THAW_DRAW_AUTO,   /* units that are alike are counted together, where there are such */
    THAW_DRAW_INDICES /* one index a unit: the plain way, to test the other against */
} thaw_draw;

/* Fills boot_* of *out. */
THAW_NODISCARD thaw_status thaw_crossed_bootstrap(const thaw_units *units,
                                                  const thaw_bootstrap *how, thaw_draw draw,
                                                  thaw_paired *out);

/* Random 32-bit words of one stream, a block of four at a time. */
typedef struct thaw_words {
    thaw_rng stream;
    uint32_t block, used;
    uint32_t buffer[4];
    uint64_t spare; /* fair bits not used yet */
    int64_t spare_count;
} thaw_words;

thaw_words thaw_words_make(uint64_t seed, uint32_t resample);
/* Exact draw from Binomial(n, numerator / denominator), by integers only: the same on every
 * platform. */
int64_t thaw_words_binomial(thaw_words *words, int64_t n, int64_t numerator, int64_t denominator);

static inline uint32_t thaw_words_next(thaw_words *words)
{
    if (words->used == 4) {
        thaw_rng_block(&words->stream, words->block++, words->buffer);
        words->used = 0;
    }
    return words->buffer[words->used++];
}

/* Unbiased index below n, 0 < n < 2^32.  Source: Lemire 2019, "Fast random integer generation in
 * an interval". */
static inline uint32_t thaw_words_below(thaw_words *words, uint32_t n)
{
    uint64_t product = (uint64_t)thaw_words_next(words) * n;
    if ((uint32_t)product < n) {
        uint32_t unfair = -n % n;
        while ((uint32_t)product < unfair)
            product = (uint64_t)thaw_words_next(words) * n;
    }
    return (uint32_t)(product >> 32);
}

#endif
