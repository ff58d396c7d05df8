/* Drawing disjoint splits: every class has one shuffled queue, keyed by (seed, source label), and the splits take from its
 * front in the order in which they are written. So a larger train of the same seed contains the smaller one when train is
 * written first, and the order of classes in select changes nothing. */
#include "data/import_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Of the shuffle that serves "Ntotal", apart from those of the classes. */
#define TOTAL_STREAM UINT32_MAX
#define SPLITS_MOST  1000

static thaw_status parse_amount(const char *split, const char *text, thaw_draw *out)
{
    thaw_status status = THAW_OK;
    size_t length = strlen(text);
    thaw_str number = {0};
    double percent = 0;
    if (strcmp(text, "rest") == 0) {
        out->amount = THAW_AMOUNT_REST;
        goto done;
    }
    size_t suffix = 0;
    if (length && text[length - 1] == '%') {
        out->amount = THAW_AMOUNT_PERCENT;
        suffix = 1;
    } else if (thaw_ends_with(text, "total")) {
        out->amount = THAW_AMOUNT_TOTAL;
        suffix = 5;
    } else if (thaw_ends_with(text, "/class")) {
        suffix = 6;
    }
    thaw_str_add_bytes(&number, text, length - suffix);
    if (out->amount == THAW_AMOUNT_PERCENT) {
        THAW_CHECK_TO(
            thaw_parse_double(thaw_str_c(&number), &percent) && percent > 0 && percent <= 100,
            THAW_ERR_USAGE, "--splits \"%s\": the share %s must be above 0%% and at most 100%%",
            split, text);
        out->percent = percent;
    } else {
        THAW_CHECK_TO(
            thaw_parse_int(thaw_str_c(&number), &out->count) && out->count > 0, THAW_ERR_USAGE,
            "--splits \"%s\": the amount \"%s\" must be N (of every class), N%%, Ntotal or rest",
            split, text);
    }
done:
    thaw_str_clear(&number);
    return status;
}

/* "@2" is a source file, "@train" a split that the sources name. */
static thaw_status parse_source(const thaw_job *job, const char *text, const char *at,
                                thaw_draw *out)
{
    const thaw_words *named = &job->named.splits;
    thaw_str there = {0};
    if (named->list.count == 0) {
        THAW_CHECK(at == NULL || (thaw_parse_int(at + 1, &out->source) && out->source >= 1 &&
                                  out->source <= job->source_count),
                   THAW_ERR_USAGE,
                   "--splits \"%s\": the source \"%s\" must be in 1..%lld, a number of --images",
                   text, at + 1, (long long)job->source_count);
        return THAW_OK;
    }
    out->named = at == NULL ? 0 : thaw_words_find(named, at + 1) + 1;
    if (out->named > 0)
        return THAW_OK;
    for (int64_t i = 0; i < named->list.count && i < 10; i++)
        thaw_str_printf(&there, "%s\"%s\"", i == 0 ? "" : ", ", named->list.items[i]);
    const thaw_status status = THAW_FAIL(
        THAW_ERR_USAGE,
        "--splits \"%s\": the sources name splits themselves: %s; say which of them to draw from, "
        "NAME=AMOUNT@%s, or leave --splits out to take them as they are",
        text, thaw_str_c(&there), named->list.items[0]);
    thaw_str_clear(&there);
    return status;
}

/* "NAME=AMOUNT[@SOURCE]", the source where *at points, or NULL; the caller frees out->name. */
static thaw_status parse_draw(const char *text, thaw_draw *out, const char **at)
{
    *out = (thaw_draw){0};
    thaw_str amount = {0};
    thaw_str name = {0};
    thaw_status status = THAW_OK;
    const char *equals = strchr(text, '=');
    THAW_CHECK_TO(equals, THAW_ERR_USAGE,
                  "--splits \"%s\": write NAME=AMOUNT, for instance train=50", text);
    thaw_str_add_bytes(&name, text, (size_t)(equals - text));
    THAW_TRY_TO(thaw_import_check_name("--splits: split", thaw_str_c(&name)));
    *at = strchr(equals, '@');
    thaw_str_add_bytes(&amount, equals + 1, *at ? (size_t)(*at - equals - 1) : strlen(equals + 1));
    THAW_TRY_TO(parse_amount(text, thaw_str_c(&amount), out));
    THAW_TRY_TO(thaw_strdup(&out->name, thaw_str_c(&name)));
done:
    thaw_str_clear(&name);
    thaw_str_clear(&amount);
    return status;
}

/* Rows in strata (classes), queue by queue: stratum k has rows[first[k]..first[k + 1]). */
typedef struct queues {
    int64_t *rows;
    int64_t *first; /* (strata + 1) */
} queues;

static void shuffle(uint64_t seed, uint32_t stream, int64_t count, int64_t *rows)
{
    thaw_rng rng = thaw_rng_make(seed, THAW_RNG_SPLIT, stream, 0);
    for (int64_t i = count - 1; i > 0; i--) {
        int64_t j = (int64_t)thaw_rng_below(&rng, (uint64_t)i + 1);
        int64_t row = rows[i];
        rows[i] = rows[j];
        rows[j] = row;
    }
}

static thaw_status fill_queues(const thaw_job *job, queues *q)
{
    THAW_TRY(thaw_alloc(&q->first, job->strata + 2, sizeof *q->first));
    THAW_TRY(thaw_alloc(&q->rows, job->N, sizeof *q->rows));
    /* first[k + 2] counts, then first[k + 1] is where class k writes next, then it is where class k + 1 starts. */
    for (int64_t i = 0; i < job->N; i++)
        if (job->labels[i] >= 0)
            q->first[job->labels[i] + 2]++;
    for (int64_t k = 0; k < job->strata; k++)
        q->first[k + 2] += q->first[k + 1];
    for (int64_t i = 0; i < job->N; i++)
        if (job->labels[i] >= 0)
            q->rows[q->first[job->labels[i] + 1]++] = i;
    for (int64_t k = 0; k < job->strata; k++)
        shuffle((uint64_t)job->options->seed, (uint32_t)job->class_sources[k],
                q->first[k + 1] - q->first[k], q->rows + q->first[k]);
    return THAW_OK;
}

static bool in_source(const thaw_job *job, const thaw_draw *split, int64_t row)
{
    if (split->named > 0)
        return job->named.rows[row].split == split->named - 1;
    if (split->source == 0)
        return true;
    const thaw_source *source = &job->sources[split->source - 1];
    return row >= source->first && row < source->first + source->count;
}

/* Rows that cannot be read stay in their queue, so that all others keep their places there. */
static bool is_there(const thaw_job *job, const thaw_draw *split, int64_t row)
{
    return in_source(job, split, row) && (job->dropped == NULL || !job->dropped[row]);
}

/* Takes up to `want` free rows of the queue; returns how many. */
static int64_t take(thaw_job *job, int64_t s, const int64_t *rows, int64_t count, int64_t want)
{
    int64_t taken = 0;
    for (int64_t i = 0; i < count && taken < want; i++) {
        if (job->split_of[rows[i]] >= 0 || !is_there(job, &job->splits[s], rows[i]))
            continue;
        job->split_of[rows[i]] = (int16_t)s;
        taken++;
    }
    job->splits[s].drawn += taken;
    return taken;
}

static thaw_status take_classes(thaw_job *job, int64_t s, const queues *q)
{
    const thaw_draw *split = &job->splits[s];
    for (int64_t k = 0; k < job->strata; k++) {
        const int64_t *rows = q->rows + q->first[k];
        int64_t count = q->first[k + 1] - q->first[k];
        int64_t want = split->count;
        if (split->amount == THAW_AMOUNT_PERCENT) {
            int64_t all = 0;
            for (int64_t i = 0; i < count; i++)
                all += is_there(job, split, rows[i]);
            want = (int64_t)llround((double)all * split->percent / 100);
        }
        int64_t taken = take(job, s, rows, count, want);
        THAW_CHECK(taken == want, THAW_ERR_USAGE,
                   "--splits %s: wants %lld samples%s%s%s, but %lld are left%s; ask for less, or "
                   "for \"rest\"",
                   split->name, (long long)want, job->targets ? "" : " of class \"",
                   job->targets ? "" : job->class_names[k], job->targets ? "" : "\"",
                   (long long)taken, split->source || split->named ? " in its source" : "");
    }
    return THAW_OK;
}

static thaw_status take_total(thaw_job *job, int64_t s)
{
    const thaw_draw *split = &job->splits[s];
    int64_t *rows = NULL;
    int64_t count = 0;
    thaw_status status = THAW_OK;
    THAW_TRY_TO(thaw_alloc(&rows, job->N, sizeof *rows));
    for (int64_t i = 0; i < job->N; i++)
        if (job->labels[i] >= 0)
            rows[count++] = i;
    shuffle((uint64_t)job->options->seed, TOTAL_STREAM, count, rows);
    int64_t taken = take(job, s, rows, count, split->count);
    THAW_CHECK_TO(taken == split->count, THAW_ERR_USAGE,
                  "--splits %s: wants %lld samples, but %lld are left%s", split->name,
                  (long long)split->count, (long long)taken,
                  split->source || split->named ? " in its source" : "");
done:
    thaw_free(&rows);
    return status;
}

static thaw_status draw_all(thaw_job *job, const queues *q)
{
    for (int64_t s = 0; s < job->split_count; s++) {
        if (job->splits[s].amount == THAW_AMOUNT_TOTAL)
            THAW_TRY(take_total(job, s));
        else if (job->splits[s].amount != THAW_AMOUNT_REST)
            THAW_TRY(take_classes(job, s, q));
    }
    for (int64_t s = 0; s < job->split_count; s++) {
        if (job->splits[s].amount == THAW_AMOUNT_REST)
            take(job, s, q->rows, q->first[job->strata], job->N);
        THAW_CHECK(job->splits[s].drawn > 0, THAW_ERR_USAGE,
                   "--splits %s: no samples are left for it", job->splits[s].name);
    }
    return THAW_OK;
}

/* The splits that the sources name, all of each. */
static thaw_status take_named(thaw_job *job)
{
    const thaw_strings *names = &job->named.splits.list;
    THAW_TRY(thaw_alloc(&job->splits, names->count, sizeof *job->splits));
    for (int64_t s = 0; s < names->count; s++) {
        job->splits[s] = (thaw_draw){.amount = THAW_AMOUNT_REST, .named = s + 1};
        THAW_TRY(thaw_strdup(&job->splits[s].name, names->items[s]));
        job->split_count = s + 1;
    }
    return THAW_OK;
}

static thaw_status parse_all(thaw_job *job)
{
    const thaw_strings *texts = &job->options->splits;
    const char *at = NULL;
    if (texts->count == 0 && job->named.splits.list.count > 0)
        return take_named(job);
    THAW_CHECK(texts->count >= 1, THAW_ERR_USAGE,
               "--splits: name 1 to %d splits, for instance train=50,val=40,gate=200,test=rest",
               SPLITS_MOST);
    THAW_TRY(thaw_alloc(&job->splits, texts->count, sizeof *job->splits));
    for (int64_t s = 0; s < texts->count; s++) {
        THAW_TRY(parse_draw(texts->items[s], &job->splits[s], &at));
        job->split_count = s + 1;
        THAW_TRY(parse_source(job, texts->items[s], at, &job->splits[s]));
    }
    return THAW_OK;
}

thaw_status thaw_splits_check(const thaw_strings *splits)
{
    thaw_status status = THAW_OK;
    thaw_words names = {0};
    int64_t number = 0;
    THAW_CHECK_TO(splits->count <= SPLITS_MOST, THAW_ERR_USAGE,
                  "--splits: %lld splits; at most %d are supported", (long long)splits->count,
                  SPLITS_MOST);
    for (int64_t s = 0; s < splits->count; s++) {
        thaw_draw draw = {0};
        const char *at = NULL;
        status = parse_draw(splits->items[s], &draw, &at);
        if (status == THAW_OK)
            status = thaw_words_add(&names, draw.name, &number);
        if (status == THAW_OK && number < s)
            status = THAW_FAIL(THAW_ERR_USAGE, "--splits names \"%s\" twice", draw.name);
        thaw_free(&draw.name);
        if (status != THAW_OK)
            goto done;
    }
done:
    thaw_words_clear(&names);
    return status;
}

static thaw_status check_train(const thaw_job *job)
{
    int64_t train = 0;
    while (train < job->split_count && strcmp(job->splits[train].name, "train") != 0)
        train++;
    if (train == job->split_count || job->targets)
        return THAW_OK; /* columns are looked at before the file is written */
    bool *seen = NULL;
    thaw_status status = THAW_OK;
    THAW_TRY_TO(thaw_alloc(&seen, job->K, sizeof *seen));
    for (int64_t i = 0; i < job->N; i++)
        if (job->split_of[i] == train)
            seen[job->labels[i]] = true;
    for (int64_t k = 0; k < job->K; k++)
        THAW_CHECK_TO(seen[k], THAW_ERR_USAGE,
                      "--splits train has no sample of class \"%s\" (source label %lld); leave the "
                      "class out with "
                      "--select, or give train more",
                      job->class_names[k], (long long)job->class_sources[k]);
done:
    thaw_free(&seen);
    return status;
}

typedef struct membership {
    int32_t cluster;
    int16_t split;
} membership;

static int compare_memberships(const void *a, const void *b)
{
    const membership *x = a, *y = b;
    int by_cluster = (x->cluster > y->cluster) - (x->cluster < y->cluster);
    return by_cluster ? by_cluster : x->split - y->split;
}

/* Samples of one patient in train and in test are a leak that ids do not show. */
thaw_status thaw_job_warn_of_clusters(const thaw_job *job)
{
    if (!job->clusters)
        return THAW_OK;
    membership *all = NULL;
    int64_t count = 0, shared = 0;
    THAW_TRY(thaw_alloc(&all, job->N, sizeof *all));
    for (int64_t i = 0; i < job->N; i++)
        if (job->split_of[i] >= 0)
            all[count++] = (membership){job->clusters[i], job->split_of[i]};
    qsort(all, (size_t)count, sizeof *all, compare_memberships);
    for (int64_t i = 0; i < count;) {
        int64_t end = i + 1;
        while (end < count && all[end].cluster == all[i].cluster)
            end++;
        shared += all[end - 1].split != all[i].split;
        i = end;
    }
    if (shared)
        THAW_LOG(THAW_WARN,
                 "%lld clusters have samples in more than one split: what is measured may be too "
                 "good; draw splits from "
                 "different source files (NAME=AMOUNT@SOURCE), or write them by cluster "
                 "(docs/dataset-format.md)",
                 (long long)shared);
    thaw_free(&all);
    return THAW_OK;
}

thaw_status thaw_job_draw(thaw_job *job)
{
    queues q = {0};
    thaw_status status = THAW_OK;
    for (int64_t i = 0; i < job->N; i++)
        job->split_of[i] = -1;
    for (int64_t s = 0; s < job->split_count; s++)
        job->splits[s].drawn = 0;
    THAW_TRY_TO(fill_queues(job, &q));
    THAW_TRY_TO(draw_all(job, &q));
    THAW_TRY_TO(check_train(job));
done:
    thaw_free(&q.rows);
    thaw_free(&q.first);
    return status;
}

thaw_status thaw_job_splits(thaw_job *job)
{
    THAW_TRY(parse_all(job));
    THAW_TRY(thaw_alloc(&job->split_of, job->N, sizeof *job->split_of));
    return thaw_job_draw(job);
}
