#include "data/dataset_impl.h"

#include <stdlib.h>
#include <string.h>

/* Samples that are in two splits, whatever their ids say, and clusters that two splits share. */

/* A sample by the digest of its values, or by its cluster. */
typedef struct member {
    thaw_digest key;
    int32_t split;
    int64_t row;
} member;

static int by_key(const void *a, const void *b)
{
    const member *x = a;
    const member *y = b;
    const int order = memcmp(&x->key, &y->key, sizeof x->key);
    if (order != 0)
        return order;
    if (x->split != y->split)
        return x->split < y->split ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

/* What is found, while it is counted. */
typedef struct search {
    const thaw_dataset *ds;
    const int32_t *taken; /* (count) splits that are looked at, in the order of the file */
    int64_t count;
    member *members;
    int64_t n;
    thaw_leak *table; /* (S, S), the upper half */
    int64_t *repeats; /* (S) */
} search;

static bool is_wanted(const char *name, const char *const *names)
{
    for (const char *const *n = names; n != NULL && *n != NULL; n++) {
        if (strcmp(*n, name) == 0)
            return true;
    }
    return names == NULL;
}

static bool same_truth(const thaw_dataset *ds, const member *a, const member *b)
{
    const thaw_split *of_a = &ds->splits[a->split];
    const thaw_split *of_b = &ds->splits[b->split];
    const size_t K = (size_t)ds->classes.count;
    if (of_a->y != NULL && of_b->y != NULL)
        return of_a->y[a->row] == of_b->y[b->row];
    if (of_a->targets != NULL && of_b->targets != NULL)
        return memcmp(of_a->targets + (size_t)a->row * K, of_b->targets + (size_t)b->row * K,
                      K * sizeof *of_a->targets) == 0;
    return true;
}

/* ---- Groups of equals ---- */

static int64_t end_of_split(const member *m, int64_t begin, int64_t end)
{
    int64_t at = begin;
    while (at < end && m[at].split == m[begin].split)
        at++;
    return at;
}

/* a[0 .. n_a) of one split and b[0 .. n_b) of another are equal. */
static void count_samples(const search *s, const member *a, int64_t n_a, const member *b,
                          int64_t n_b)
{
    thaw_leak *leak = &s->table[a->split * s->ds->split_count + b->split];
    if (leak->samples_b == 0 || b->row < leak->row_b) {
        leak->row_a = a->row;
        leak->row_b = b->row;
    }
    leak->samples_a += n_a;
    leak->samples_b += n_b;
    for (int64_t i = 0; i < n_b; i++)
        leak->conflicts += !same_truth(s->ds, a, &b[i]);
}

static void count_clusters(const search *s, const member *a, int64_t n_a, const member *b,
                           int64_t n_b)
{
    thaw_leak *leak = &s->table[a->split * s->ds->split_count + b->split];
    const int32_t cluster = s->ds->splits[a->split].cluster[a->row];
    if (leak->clusters == 0 || cluster < leak->cluster)
        leak->cluster = cluster;
    leak->clusters++;
    leak->cluster_samples_a += n_a;
    leak->cluster_samples_b += n_b;
}

typedef void found(const search *s, const member *a, int64_t n_a, const member *b, int64_t n_b);

/* Every pair of splits within one group of equals. */
static void take_group(const search *s, int64_t begin, int64_t end, found *count)
{
    const member *m = s->members;
    for (int64_t a = begin; a < end; a = end_of_split(m, a, end)) {
        const int64_t end_a = end_of_split(m, a, end);
        for (int64_t b = end_a; b < end; b = end_of_split(m, b, end))
            count(s, &m[a], end_a - a, &m[b], end_of_split(m, b, end) - b);
    }
}

static void take_groups(const search *s, found *count)
{
    const member *m = s->members;
    int64_t end;
    if (s->n > 1)
        qsort(s->members, (size_t)s->n, sizeof *s->members, by_key);
    for (int64_t begin = 0; begin < s->n; begin = end) {
        end = begin + 1;
        while (end < s->n && memcmp(&m[begin].key, &m[end].key, sizeof m->key) == 0) {
            if (count == count_samples && m[end].split == m[end - 1].split)
                s->repeats[m[end].split]++;
            end++;
        }
        take_group(s, begin, end, count);
    }
}

/* ---- Samples ---- */

static void add_rows(search *s, int32_t split, int64_t first, int64_t n, const void *x)
{
    const size_t row_bytes = (size_t)s->ds->values * thaw_dtype_bytes(s->ds->dtype);
    for (int64_t i = 0; i < n; i++)
        s->members[s->n++] =
            (member){.key = thaw_hash((const char *)x + (size_t)i * row_bytes, row_bytes),
                     .split = split,
                     .row = first + i};
}

static thaw_status add_split(search *s, int32_t index)
{
    const thaw_dataset *ds = s->ds;
    const thaw_split *split = &ds->splits[index];
    const size_t row_bytes = (size_t)ds->values * thaw_dtype_bytes(ds->dtype);
    const int64_t most = row_bytes < (4u << 20) ? (int64_t)((4u << 20) / row_bytes) : 1;
    void *block = NULL;
    char name[THAW_NAME_BYTES];
    thaw_status status = THAW_OK;
    if (split->x != NULL) {
        add_rows(s, index, 0, split->N, split->x);
        return THAW_OK;
    }
    thaw_dataset_name(name, split, "x");
    THAW_TRY_TO(thaw_alloc(&block, most, row_bytes));
    for (int64_t first = 0; first < split->N; first += most) {
        const int64_t n = split->N - first < most ? split->N - first : most;
        thaw_beat("looking for samples that are in two splits");
        THAW_TRY_TO(thaw_h5_read_rows(ds->file, name, first, n, ds->dtype, block));
        add_rows(s, index, first, n, block);
    }
done:
    thaw_free(&block);
    return status;
}

static thaw_status find_samples(search *s)
{
    s->n = 0;
    for (int64_t i = 0; i < s->count; i++)
        THAW_TRY(add_split(s, s->taken[i]));
    take_groups(s, count_samples);
    return THAW_OK;
}

static void find_clusters(search *s)
{
    s->n = 0;
    for (int64_t i = 0; i < s->count; i++) {
        const thaw_split *split = &s->ds->splits[s->taken[i]];
        for (int64_t row = 0; split->cluster != NULL && row < split->N; row++) {
            member *m = &s->members[s->n++];
            memset(m, 0, sizeof *m);
            memcpy(&m->key, &split->cluster[row], sizeof split->cluster[row]);
            m->split = s->taken[i];
            m->row = row;
        }
    }
    take_groups(s, count_clusters);
}

/* ---- The answer ---- */

static thaw_status gather(const search *s, thaw_leaks *out)
{
    const int64_t S = s->ds->split_count;
    THAW_TRY(thaw_alloc(&out->pairs, S * S, sizeof *out->pairs));
    for (int64_t at = 0; at < S * S; at++) {
        if (s->table[at].samples_b == 0 && s->table[at].clusters == 0)
            continue;
        thaw_leak *leak = &out->pairs[out->count++];
        *leak = s->table[at];
        leak->a = at / S;
        leak->b = at % S;
    }
    return THAW_OK;
}

thaw_status thaw_dataset_find_leaks(const thaw_dataset *ds, const char *const *names,
                                    int64_t most_bytes, thaw_leaks *out)
{
    search s = {.ds = ds};
    int32_t *taken = NULL;
    int64_t rows = 0;
    thaw_status status;
    *out = (thaw_leaks){0};
    THAW_TRY_TO(thaw_alloc(&taken, ds->split_count, sizeof *taken));
    for (int32_t i = 0; i < ds->split_count; i++) {
        if (!is_wanted(ds->splits[i].name, names))
            continue;
        taken[s.count++] = i;
        rows += ds->splits[i].N;
    }
    s.taken = taken;
    out->bytes = rows * ds->values * (int64_t)thaw_dtype_bytes(ds->dtype);
    out->looked = most_bytes < 0 || out->bytes <= most_bytes;
    THAW_TRY_TO(thaw_alloc(&s.members, rows, sizeof *s.members));
    THAW_TRY_TO(thaw_alloc(&s.table, ds->split_count * ds->split_count, sizeof *s.table));
    THAW_TRY_TO(thaw_alloc(&out->repeats, ds->split_count, sizeof *out->repeats));
    s.repeats = out->repeats;
    find_clusters(&s);
    if (out->looked)
        THAW_TRY_TO(find_samples(&s));
    status = gather(&s, out);
done:
    thaw_free(&s.table);
    thaw_free(&s.members);
    thaw_free(&taken);
    if (status != THAW_OK)
        thaw_leaks_clear(out);
    return status;
}

void thaw_leaks_clear(thaw_leaks *leaks)
{
    thaw_free(&leaks->repeats);
    thaw_free(&leaks->pairs);
    leaks->count = 0;
}

void thaw_leak_describe(const thaw_dataset *ds, const thaw_leak *leak, thaw_str *out)
{
    const char *a = ds->splits[leak->a].name;
    const char *b = ds->splits[leak->b].name;
    if (leak->samples_b > 0) {
        thaw_str_printf(out,
                        "%lld of %lld samples of %s are %lld of %s, too, value for value (row "
                        "%lld of %s is row %lld of %s",
                        (long long)leak->samples_b, (long long)ds->splits[leak->b].N, b,
                        (long long)leak->samples_a, a, (long long)leak->row_b, b,
                        (long long)leak->row_a, a);
        if (leak->conflicts > 0)
            thaw_str_printf(out, "; %lld have another label there", (long long)leak->conflicts);
        thaw_str_add(out, ")");
    }
    if (leak->samples_b > 0 && leak->clusters > 0)
        thaw_str_add(out, "; ");
    if (leak->clusters > 0)
        thaw_str_printf(out,
                        "%lld clusters, the first %d, have samples in %s (%lld) and in %s (%lld)",
                        (long long)leak->clusters, (int)leak->cluster, a,
                        (long long)leak->cluster_samples_a, b, (long long)leak->cluster_samples_b);
}
