#include "evidence/paired_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* More are not worth sorting. */
#define MOST_CLASSES 1024

/* Units with the same differences and size are exchangeable: a resample needs only how many of
 * each class it holds. Right and wrong under three seeds makes 27 classes at most; scores that
 * all differ make each unit its own. */
typedef struct classes {
    int64_t count, units, seeds;
    double *difference; /* (count, seeds) */
    double *size;       /* (count) */
    int64_t *members;   /* (count), sums to units; most frequent first */
    int32_t *owner;     /* (units) class of each unit, in ascending order */
} classes;

static void classes_clear(classes *c)
{
    thaw_free(&c->owner);
    thaw_free(&c->members);
    thaw_free(&c->size);
    thaw_free(&c->difference);
}

static thaw_status classes_make(classes *c, int64_t capacity, const thaw_units *units)
{
    c->units = units->count;
    c->seeds = units->seeds;
    THAW_TRY(thaw_alloc(&c->difference, capacity * units->seeds, sizeof *c->difference));
    THAW_TRY(thaw_alloc(&c->size, capacity, sizeof *c->size));
    THAW_TRY(thaw_alloc(&c->members, capacity, sizeof *c->members));
    THAW_TRY(thaw_alloc(&c->owner, units->count, sizeof *c->owner));
    return THAW_OK;
}

static void class_set(classes *c, int64_t k, const thaw_units *units, int64_t unit)
{
    memcpy(c->difference + k * c->seeds, units->difference + unit * c->seeds,
           (size_t)c->seeds * sizeof *c->difference);
    c->size[k] = units->size[unit];
}

static bool class_is(const classes *c, int64_t k, const thaw_units *units, int64_t unit)
{
    if (c->size[k] != units->size[unit])
        return false;
    for (int64_t s = 0; s < c->seeds; s++) {
        if (c->difference[k * c->seeds + s] != units->difference[unit * c->seeds + s])
            return false;
    }
    return true;
}

/* Finds the classes, in order of appearance, so that swapping A and B keeps the order. *fits is
 * false when there are more than `most`. `table` has a power of two of slots, at least twice
 * `most`. */
static void classes_find(classes *c, const thaw_units *units, int64_t most, int32_t *table,
                         int64_t slots, bool *fits)
{
    size_t row = (size_t)units->seeds * sizeof *units->difference;
    *fits = true;
    for (int64_t u = 0; u < units->count; u++) {
        thaw_digest digest = thaw_hash(units->difference + u * units->seeds, row);
        int64_t slot = (int64_t)(digest.low & (uint64_t)(slots - 1));
        while (table[slot] != 0 && !class_is(c, table[slot] - 1, units, u))
            slot = (slot + 1) & (slots - 1);
        if (table[slot] == 0) {
            if (c->count == most) {
                *fits = false;
                return;
            }
            class_set(c, c->count, units, u);
            table[slot] = (int32_t)++c->count;
        }
        c->members[table[slot] - 1]++;
    }
}

static void class_swap(classes *c, int64_t i, int64_t j)
{
    for (int64_t s = 0; s < c->seeds; s++) {
        double held = c->difference[i * c->seeds + s];
        c->difference[i * c->seeds + s] = c->difference[j * c->seeds + s];
        c->difference[j * c->seeds + s] = held;
    }
    double size = c->size[i];
    c->size[i] = c->size[j];
    c->size[j] = size;
    int64_t members = c->members[i];
    c->members[i] = c->members[j];
    c->members[j] = members;
}

/* Most frequent first: each binomial then has fewer trials left. Insertion keeps ties in order
 * of appearance. */
static void classes_sort(classes *c)
{
    for (int64_t i = 1; i < c->count; i++) {
        for (int64_t j = i; j > 0 && c->members[j] > c->members[j - 1]; j--)
            class_swap(c, j, j - 1);
    }
}

static thaw_status classes_merge(classes *c, const thaw_units *units, int64_t most, bool *fits)
{
    thaw_status status = THAW_OK;
    int32_t *table = NULL;
    int64_t slots = 16;
    while (slots < 2 * most)
        slots *= 2;
    THAW_TRY_TO(classes_make(c, most, units));
    THAW_TRY_TO(thaw_alloc(&table, slots, sizeof *table));
    classes_find(c, units, most, table, slots, fits);
    classes_sort(c);
done:
    thaw_free(&table);
    return status;
}

static thaw_status classes_apart(classes *c, const thaw_units *units)
{
    THAW_TRY(classes_make(c, units->count, units));
    c->count = units->count;
    for (int64_t u = 0; u < units->count; u++) {
        class_set(c, u, units, u);
        c->members[u] = 1;
    }
    return THAW_OK;
}

static thaw_status classes_of(const thaw_units *units, thaw_draw draw, classes *c)
{
    bool merged = false;
    int64_t most = units->count < MOST_CLASSES ? units->count : MOST_CLASSES;
    if (draw == THAW_DRAW_AUTO)
        THAW_TRY(classes_merge(c, units, most, &merged));
    if (!merged) {
        classes_clear(c);
        memset(c, 0, sizeof *c);
        THAW_TRY(classes_apart(c, units));
    }
    int64_t unit = 0;
    for (int64_t k = 0; k < c->count; k++) {
        for (int64_t i = 0; i < c->members[k]; i++)
            c->owner[unit++] = (int32_t)k;
    }
    return THAW_OK;
}

/* Exact multinomial counts: large classes one binomial each, and the rest by indices once that
 * is less work (a binomial costs about as much as eight index draws). */
static void draw_counts(const classes *c, thaw_words *words, int64_t *drawn)
{
    int64_t draws = c->units;
    int64_t others = c->units;
    int64_t k = 0;
    for (; k < c->count && draws > 8 * (c->count - k); k++) {
        drawn[k] = thaw_words_binomial(words, draws, c->members[k], others);
        draws -= drawn[k];
        others -= c->members[k];
    }
    if (k == c->count)
        return;
    memset(drawn + k, 0, (size_t)(c->count - k) * sizeof *drawn);
    const int32_t *owner = c->owner + (c->units - others);
    for (int64_t i = 0; i < draws; i++)
        drawn[owner[thaw_words_below(words, (uint32_t)others)]]++;
}

/* One replicate: seeds are drawn, units are drawn, and the drawn seeds share the drawn units. */
static double replicate(const classes *c, uint64_t seed, uint32_t r, int64_t *drawn)
{
    thaw_words words = thaw_words_make(seed, r);
    double weight[THAW_MAX_SEEDS] = {0};
    for (int64_t s = 0; s < c->seeds; s++)
        weight[thaw_words_below(&words, (uint32_t)c->seeds)] += 1;
    draw_counts(c, &words, drawn);
    double total[THAW_MAX_SEEDS] = {0};
    double size = 0;
    for (int64_t k = 0; k < c->count; k++) {
        double times = (double)drawn[k];
        const double *difference = c->difference + k * c->seeds;
        for (int64_t s = 0; s < c->seeds; s++)
            total[s] += times * difference[s];
        size += times * c->size[k];
    }
    double sum = 0;
    for (int64_t s = 0; s < c->seeds; s++)
        sum += weight[s] * total[s];
    return sum / ((double)c->seeds * size);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sums around delta and from both ends of the sorted replicates, so that swapping A and B gives
 * the same bits. */
static void summarise(const double *sorted, int64_t R, thaw_paired *out)
{
    int64_t not_above = 0;
    int64_t not_below = 0;
    double sum = 0;
    double square = 0;
    for (int64_t r = 0; r < R; r++) {
        not_above += sorted[r] <= 0;
        not_below += sorted[r] >= 0;
        double lower = sorted[r] - out->delta;
        double upper = sorted[R - 1 - r] - out->delta;
        sum += lower + upper;
        square += lower * lower + upper * upper;
    }
    double mean = sum / (2 * (double)R);
    out->boot_se =
        sqrt(fmax(0, square / (2 * (double)R) - mean * mean) * (double)R / fmax(1, (double)R - 1));
    /* Order statistics k and R + 1 - k (Davison & Hinkley 1997, 5.2): symmetric under a change
     * of sign. */
    int64_t k = (int64_t)((double)(R + 1) * 0.5 * (1 - out->level));
    k = k < 1 ? 1 : k;
    out->boot_low = sorted[k - 1];
    out->boot_high = sorted[R - k];
    out->boot_p_greater = (double)(1 + not_above) / (double)(R + 1);
    out->boot_p_less = (double)(1 + not_below) / (double)(R + 1);
}

thaw_status thaw_crossed_bootstrap(const thaw_units *units, const thaw_bootstrap *how,
                                   thaw_draw draw, thaw_paired *out)
{
    thaw_status status = THAW_OK;
    classes c = {0};
    int64_t *drawn = NULL;
    double *delta = NULL;
    THAW_CHECK_TO(units->count < INT32_MAX, THAW_ERR_FAIL,
                  "%lld gate examples are too many to resample; at most %d are supported",
                  (long long)units->count, INT32_MAX - 1);
    THAW_TRY_TO(classes_of(units, draw, &c));
    THAW_TRY_TO(thaw_alloc(&drawn, c.count, sizeof *drawn));
    THAW_TRY_TO(thaw_alloc(&delta, how->resamples, sizeof *delta));
    for (int64_t r = 0; r < how->resamples; r++) {
        thaw_beat("a bootstrap");
        delta[r] = replicate(&c, how->seed, (uint32_t)r, drawn);
    }
    qsort(delta, (size_t)how->resamples, sizeof *delta, ascending);
    summarise(delta, how->resamples, out);
done:
    thaw_free(&delta);
    thaw_free(&drawn);
    classes_clear(&c);
    return status;
}
