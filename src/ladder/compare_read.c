#include "ladder/ladder_impl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Finished runs, the predictions they left and the data they were judged on: brought into one order, or refused. */

bool ladder_has_predictions(const char *run, const char *split)
{
    thaw_str path = {0};
    thaw_str name = {0};
    thaw_str_printf(&name, "predictions-%s.h5", split);
    thaw_path_join(&path, run, thaw_str_c(&name));
    const bool there = thaw_path_exists(thaw_str_c(&path));
    thaw_str_clear(&name);
    thaw_str_clear(&path);
    return there;
}

/* Rank 0's view of the directories decides for all. */
static const char *settle_split(thaw_comm *comm, const char *const *paths, int64_t count)
{
    int64_t gate = 1;
    for (int64_t i = 0; i < count; i++)
        gate = gate && ladder_has_predictions(paths[i], "gate");
    thaw_bcast(comm, 0, &gate, sizeof gate);
    return gate != 0 ? "gate" : "val";
}

thaw_status ladder_read_config(const char *run, thaw_config *out)
{
    thaw_str path = {0};
    thaw_path_join(&path, run, "config.yaml");
    thaw_status status = thaw_config_load(thaw_str_c(&path), NULL, out);
    if (status == THAW_ERR_CONFIG)
        status = thaw_fail_context(THAW_ERR_INPUT, "%s is not a run directory", run);
    thaw_str_clear(&path);
    return status;
}

static thaw_status read_run(ladder_run *r)
{
    thaw_str path = {0};
    thaw_status status = ladder_read_config(r->path, &r->config);
    thaw_path_join(&path, r->path, "summary.json");
    if (status == THAW_OK)
        status = thaw_json_read(thaw_str_c(&path), &r->summary);
    thaw_str_clear(&path);
    return status;
}

/* ---- Ids ---- */

typedef struct sample_id {
    int64_t id, row;
} sample_id;

static int by_id(const void *a, const void *b)
{
    const sample_id *x = a;
    const sample_id *y = b;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

/* In ascending order. THAW_ERR_INPUT: one is there twice. */
static thaw_status sort_ids(const char *whose, const char *split, const int64_t *ids, int64_t N,
                            sample_id **out)
{
    THAW_TRY(thaw_alloc(out, N, sizeof **out));
    for (int64_t i = 0; i < N; i++)
        (*out)[i] = (sample_id){ids[i], i};
    if (N > 1)
        qsort(*out, (size_t)N, sizeof **out, by_id);
    for (int64_t i = 1; i < N; i++)
        THAW_CHECK((*out)[i - 1].id != (*out)[i].id, THAW_ERR_INPUT,
                   "%s: the sample with id %" PRId64
                   " is there twice in '%s' (rows %lld and %lld); pairing needs each id once",
                   whose, (*out)[i].id, split, (long long)(*out)[i - 1].row,
                   (long long)(*out)[i].row);
    return THAW_OK;
}

static void digest_of_ids(const sample_id *ids, int64_t N, char out[THAW_DIGEST_HEX])
{
    thaw_str text = {0};
    for (int64_t i = 0; i < N; i++)
        thaw_str_printf(&text, "%" PRId64 "\n", ids[i].id);
    thaw_digest_hex(thaw_hash(thaw_str_c(&text), text.length), out);
    thaw_str_clear(&text);
}

/* Two sides of a comparison, each with its ids in ascending order. */
typedef struct id_sides {
    const char *name_a, *name_b, *split;
    sample_id *a, *b;
    int64_t N_a, N_b;
} id_sides;

static thaw_status refuse_ids(const id_sides *s)
{
    char digest_a[THAW_DIGEST_HEX];
    char digest_b[THAW_DIGEST_HEX];
    int64_t both = 0;
    int64_t i = 0;
    int64_t j = 0;
    int64_t odd = -1; /* an id that only one has */
    bool in_a = true;
    while (i < s->N_a || j < s->N_b) {
        const bool first = j >= s->N_b || (i < s->N_a && s->a[i].id < s->b[j].id);
        const bool same = i < s->N_a && j < s->N_b && s->a[i].id == s->b[j].id;
        if (!same && odd < 0) {
            in_a = first;
            odd = first ? s->a[i].id : s->b[j].id;
        }
        both += same;
        i += same || first;
        j += same || !first;
    }
    digest_of_ids(s->a, s->N_a, digest_a);
    digest_of_ids(s->b, s->N_b, digest_b);
    return THAW_FAIL(THAW_ERR_INPUT,
                     "'%s' of %s (%lld samples, digest of ids %s) and of %s (%lld samples, %s) are "
                     "different splits: %lld ids are in both, and id %" PRId64
                     " is in %s only; compare runs that were judged on the same samples",
                     s->split, s->name_a, (long long)s->N_a, digest_a, s->name_b, (long long)s->N_b,
                     digest_b, (long long)both, odd, in_a ? s->name_a : s->name_b);
}

/* from[i]: the row of b whose id is that of row i of a. */
static thaw_status match_ids(const id_sides *s, int64_t *from)
{
    if (s->N_a != s->N_b)
        return refuse_ids(s);
    for (int64_t i = 0; i < s->N_a; i++) {
        if (s->a[i].id != s->b[i].id)
            return refuse_ids(s);
        from[s->a[i].row] = s->b[i].row;
    }
    return THAW_OK;
}

/* Brings a run's predictions into the order of these ids. */
static thaw_status take_order(const char *name, const char *split, const int64_t *ids, int64_t N,
                              ladder_run *r)
{
    id_sides s = {.name_a = name, .name_b = r->path, .split = split, .N_a = N, .N_b = r->p.N};
    int64_t *from = NULL;
    thaw_status status;
    THAW_TRY_TO(sort_ids(name, split, ids, N, &s.a));
    THAW_TRY_TO(sort_ids(r->path, split, r->p.ids, r->p.N, &s.b));
    THAW_TRY_TO(thaw_alloc(&from, N, sizeof *from));
    THAW_TRY_TO(match_ids(&s, from));
    status = thaw_predictions_reorder(&r->p, from);
done:
    thaw_free(&from);
    thaw_free(&s.b);
    thaw_free(&s.a);
    return status;
}

/* ---- What must be alike ---- */

static thaw_status check_one(const ladder_run *r, const char *split)
{
    THAW_CHECK(r->p.N > 0 && r->p.labelled, THAW_ERR_INPUT,
               "%s: '%s' has no labels, so nothing there can be right or wrong", r->path, split);
    return THAW_OK;
}

static thaw_status check_pair(const ladder_runs *all, const ladder_run *a, ladder_run *b)
{
    THAW_CHECK(a->p.task == b->p.task, THAW_ERR_INPUT, "%s is of a task of %s and %s of %s",
               a->path, thaw_task_name(a->p.task), b->path, thaw_task_name(b->p.task));
    THAW_CHECK(a->p.K == b->p.K, THAW_ERR_INPUT,
               "%s predicts %lld %s and %s %lld; a paired comparison needs the same", a->path,
               (long long)a->p.K, thaw_task_columns(a->p.task), b->path, (long long)b->p.K);
    if (all->by_id)
        THAW_TRY(take_order(a->path, all->split_name, a->p.ids, a->p.N, b));
    THAW_CHECK(a->p.N == b->p.N, THAW_ERR_INPUT,
               "%s has %lld predictions of '%s' and %s has %lld; a paired comparison needs the "
               "same samples",
               a->path, (long long)a->p.N, all->split_name, b->path, (long long)b->p.N);
    THAW_CHECK(thaw_digest_equal(ladder_truth(&a->p), ladder_truth(&b->p)), THAW_ERR_INPUT,
               "%s and %s were judged on different samples of '%s' (their labels differ)", a->path,
               b->path, all->split_name);
    return THAW_OK;
}

static const char *split_name(const thaw_config *config, const char *split)
{
    if (strcmp(split, "gate") == 0)
        return config->data.gate;
    return strcmp(split, "val") == 0 ? config->data.val : config->data.test;
}

/* Slices come from the file as it is today: it must still hold what was predicted. */
static thaw_status open_dataset(ladder_runs *all)
{
    ladder_run *first = &all->runs[0];
    const thaw_data_config *data = &first->config.data;
    const thaw_dataset_options how = {.memory_limit_bytes = -1,
                                      .no_class_slices = !data->class_slices};
    THAW_TRY(thaw_dataset_open(data->file, &how, &all->dataset));
    THAW_TRY(thaw_dataset_keep_slices(all->dataset, &data->slices));
    THAW_TRY(thaw_dataset_split_need(all->dataset, split_name(&first->config, all->split_name),
                                     &all->split));
    const int64_t N = thaw_dataset_count(all->dataset, all->split);
    THAW_CHECK(N == first->p.N, THAW_ERR_INPUT,
               "%s: split '%s' has %lld samples now, but the runs predicted %lld", data->file,
               all->split_name, (long long)N, (long long)first->p.N);
    const int64_t *ids = thaw_dataset_ids(all->dataset, all->split);
    if (first->p.ids != NULL && ids != NULL)
        THAW_TRY(take_order(data->file, all->split_name, ids, N, first));
    return THAW_OK;
}

/* Of two metrics there is no difference to speak of. */
static thaw_status same_metric(ladder_runs *all)
{
    for (int64_t i = 0; i < all->count; i++) {
        const thaw_metric *metric;
        THAW_TRY(thaw_config_metric(&all->runs[i].config, all->dataset, &metric));
        all->metric = i == 0 ? metric : all->metric;
        THAW_CHECK(metric == all->metric, THAW_ERR_INPUT,
                   "%s is judged by %s and %s by %s (train.metric); a paired comparison needs one "
                   "metric. thaw eval shows all metrics of each run",
                   all->runs[0].path, all->metric->name, all->runs[i].path, metric->name);
    }
    return THAW_OK;
}

static thaw_status take_scores(ladder_run *r, const thaw_metric *metric)
{
    THAW_TRY(thaw_alloc(&r->score, r->p.N, sizeof *r->score));
    THAW_TRY(thaw_alloc(&r->each, r->p.N, sizeof *r->each));
    const thaw_status status = ladder_take_scores(&r->p, metric, r->score, r->each);
    return status == THAW_OK ? status : thaw_fail_context(status, "%s", r->path);
}

static thaw_status bring_together(ladder_runs *all)
{
    all->by_id = true;
    for (int64_t i = 0; i < all->count; i++) {
        THAW_TRY(check_one(&all->runs[i], all->split_name));
        all->by_id = all->by_id && all->runs[i].p.ids != NULL;
    }
    /* What the first is compared with is refused before the dataset is opened, which may have gone. */
    for (int64_t i = 1; i < all->count; i++)
        THAW_TRY(check_pair(all, &all->runs[0], &all->runs[i]));
    THAW_TRY(open_dataset(all));
    for (int64_t i = 1; i < all->count && all->by_id; i++)
        THAW_TRY(check_pair(all, &all->runs[0], &all->runs[i]));
    THAW_TRY(same_metric(all));
    for (int64_t i = 0; i < all->count; i++)
        THAW_TRY(take_scores(&all->runs[i], all->metric));
    return thaw_predictions_df(&all->runs[0].p, all->metric, &all->df);
}

thaw_status ladder_runs_read(thaw_comm *comm, const char *const *paths, int64_t count,
                             const char *split, ladder_runs *out)
{
    memset(out, 0, sizeof *out);
    out->split_name = split != NULL ? split : settle_split(comm, paths, count);
    THAW_TRY(thaw_agree(comm, thaw_alloc(&out->runs, count, sizeof *out->runs)));
    out->count = count;
    for (int64_t i = 0; i < count; i++)
        out->runs[i].path = paths[i];
    for (int64_t i = 0; i < count; i++) {
        THAW_TRY(thaw_agree(comm, read_run(&out->runs[i])));
        THAW_TRY(thaw_predictions_read(comm, paths[i], out->split_name, &out->runs[i].p));
    }
    return thaw_agree(comm, bring_together(out));
}

void ladder_runs_clear(ladder_runs *runs)
{
    for (int64_t i = 0; i < runs->count; i++) {
        ladder_run *r = &runs->runs[i];
        thaw_free(&r->score);
        thaw_free(&r->each);
        thaw_predictions_clear(&r->p);
        thaw_json_free(&r->summary);
        thaw_config_clear(&r->config);
    }
    thaw_dataset_free(&runs->dataset);
    thaw_free(&runs->runs);
    runs->count = 0;
}
