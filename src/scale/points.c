#include "scale/scale_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* From rows to points. */

bool scale_rows_have(const thaw_json *rows, const char *rung, const scale_size *size,
                     int64_t repeat)
{
    for (const thaw_json *row = thaw_json_first(rows); row != NULL; row = thaw_json_next(row)) {
        if (strcmp(thaw_json_string_or(row, "rung", ""), rung) == 0 &&
            thaw_json_int_or(row, "ranks", 0) == size->ranks &&
            thaw_json_int_or(row, "shards", 0) == size->shards &&
            thaw_json_int_or(row, "repeat", -1) == repeat)
            return true;
    }
    return false;
}

static thaw_status find_rung(const thaw_strings *rungs, const thaw_json *row, int32_t *out)
{
    const char *name;
    THAW_TRY(thaw_json_get_string(row, "rung", &name));
    for (*out = 0; *out < rungs->count; (*out)++) {
        if (strcmp(rungs->items[*out], name) == 0)
            return THAW_OK;
    }
    return THAW_FAIL(THAW_ERR_INPUT,
                     "a point is of rung '%s', which scale.rungs does not name; add it, or leave "
                     "that directory out",
                     name);
}

/* Without the times. */
static thaw_status read_point(const thaw_strings *rungs, const thaw_json *row,
                              thaw_scale_point *out)
{
    const struct {
        const char *key;
        int64_t *value;
    } fields[] = {{"ranks", &out->ranks},           {"nodes", &out->nodes},
                  {"shards", &out->shards},         {"batch", &out->batch},
                  {"bytes", &out->bytes},           {"calls", &out->calls},
                  {"plan_calls", &out->plan_calls}, {"steps", &out->steps}};
    *out = (thaw_scale_point){0};
    THAW_TRY(find_rung(rungs, row, &out->rung));
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        THAW_TRY(thaw_json_get_int(row, fields[i].key, fields[i].value));
        THAW_CHECK(*fields[i].value > 0 && *fields[i].value < (int64_t)1 << 48, THAW_ERR_INPUT,
                   "%s is %lld in a point", fields[i].key, (long long)*fields[i].value);
    }
    return thaw_json_get_bool(row, "oversubscribed", &out->oversubscribed);
}

static bool same_point(const thaw_scale_point *a, const thaw_scale_point *b)
{
    return a->rung == b->rung && a->ranks == b->ranks && a->shards == b->shards;
}

static int by_place(const void *left, const void *right)
{
    const thaw_scale_point *a = left;
    const thaw_scale_point *b = right;
    if (a->rung != b->rung)
        return a->rung < b->rung ? -1 : 1;
    if (a->ranks != b->ranks)
        return a->ranks < b->ranks ? -1 : 1;
    return (a->shards < b->shards) - (a->shards > b->shards);
}

/* One a row at first; steps of rows that are the same point are added up. */
static thaw_status list_points(const thaw_json *rows, scale_result *out)
{
    THAW_TRY(thaw_alloc(&out->points, thaw_json_count(rows), sizeof *out->points));
    for (const thaw_json *row = thaw_json_first(rows); row != NULL; row = thaw_json_next(row)) {
        thaw_scale_point point;
        int64_t i = 0;
        THAW_TRY(read_point(out->plan->rungs, row, &point));
        while (i < out->count && !same_point(&out->points[i], &point))
            i++;
        if (i == out->count) {
            out->points[out->count++] = point;
            continue;
        }
        out->points[i].steps += point.steps;
        out->points[i].oversubscribed = out->points[i].oversubscribed || point.oversubscribed;
    }
    if (out->count > 0)
        qsort(out->points, (size_t)out->count, sizeof *out->points, by_place);
    return THAW_OK;
}

static thaw_status read_times(const thaw_json *row, const char *key, int64_t steps, double *out)
{
    const thaw_json *list;
    THAW_TRY(thaw_json_get_array(row, key, &list));
    THAW_CHECK(thaw_json_count(list) == steps, THAW_ERR_INPUT,
               "%s of a point has %lld values for %lld steps", key,
               (long long)thaw_json_count(list), (long long)steps);
    const thaw_json *item = thaw_json_first(list);
    for (int64_t i = 0; i < steps; i++, item = thaw_json_next(item)) {
        THAW_TRY(thaw_json_get_double(item, "", &out[i]));
        THAW_CHECK(out[i] >= 0 && out[i] < 1e9, THAW_ERR_INPUT, "%s of a point holds %g", key,
                   out[i]);
    }
    return THAW_OK;
}

/* All steps of a point's rows, one after another: seconds, transfer, waited (3, steps). */
static thaw_status gather_times(const scale_result *r, const thaw_json *rows,
                                const thaw_scale_point *point, double *times)
{
    static const char *const keys[] = {"seconds", "transfer", "waited"};
    int64_t at = 0;
    for (const thaw_json *row = thaw_json_first(rows); row != NULL; row = thaw_json_next(row)) {
        thaw_scale_point its;
        THAW_TRY(read_point(r->plan->rungs, row, &its));
        if (!same_point(&its, point))
            continue;
        for (int k = 0; k < 3; k++)
            THAW_TRY(read_times(row, keys[k], its.steps, times + k * point->steps + at));
        at += its.steps;
    }
    return THAW_OK;
}

static thaw_status set_times(const scale_result *r, const thaw_json *rows, thaw_scale_point *point)
{
    const int64_t n = point->steps;
    double *times = NULL;
    THAW_TRY(thaw_alloc(&times, 3 * n, sizeof *times));
    thaw_status status;
    THAW_TRY_TO(gather_times(r, rows, point, times));
    point->low = thaw_scale_quantile(times, n, 0.25);
    point->seconds = thaw_scale_quantile(times, n, 0.5);
    point->high = thaw_scale_quantile(times, n, 0.75);
    point->transfer = thaw_scale_quantile(times + n, n, 0.5);
    point->waited = thaw_scale_quantile(times + 2 * n, n, 0.5);
    THAW_CHECK_TO(point->seconds > 0, THAW_ERR_INPUT, "a point's steps took no time");
done:
    thaw_free(&times);
    return status;
}

thaw_status scale_result_make(const scale_plan *plan, const thaw_json *rows, scale_result *out)
{
    *out = (scale_result){.plan = plan};
    THAW_TRY(list_points(rows, out));
    for (int64_t i = 0; i < out->count; i++)
        THAW_TRY(set_times(out, rows, &out->points[i]));
    thaw_scale_compare(out->points, out->count);
    thaw_scale_fit(out->points, out->count, (int32_t)plan->rungs->count, &out->model);
    return THAW_OK;
}

void scale_result_clear(scale_result *result)
{
    thaw_free(&result->points);
    *result = (scale_result){0};
}

/* ---- Another machine ------------------------------------------------------------------------------------------- */

/* Beyond so many shards all sums of train.reduce exact take 64 bits (thaw/comm.h): at most twice the bytes. */
enum { NARROW_SHARDS = 256 };

double scale_machine_seconds(const scale_result *r, int32_t rung, int64_t ranks, bool weak)
{
    const thaw_config *c = r->plan->config;
    const thaw_machine_config *machine = &c->scale.machine;
    const thaw_scale_point *p = NULL;
    for (int64_t i = 0; i < r->count && p == NULL; i++)
        p = r->points[i].rung == rung ? &r->points[i] : NULL;
    if (p == NULL || r->model.fitted[rung] == 0 || (!weak && c->train.shards % ranks != 0))
        return NAN;
    thaw_scale_model model = r->model;
    const double each =
        (double)c->train.shards / (double)(weak ? r->plan->most : ranks); /* shards a rank */
    const bool wide = c->train.reduce == THAW_REDUCE_EXACT && c->train.shards <= NARROW_SHARDS &&
                      each * (double)ranks > NARROW_SHARDS;
    model.alpha = machine->alpha > 0 ? machine->alpha : model.alpha;
    model.beta = machine->beta > 0 ? machine->beta : model.beta;
    return thaw_scale_predict(&model, rung, each,
                              ceil((double)ranks / (double)machine->ranks_per_node),
                              (double)p->plan_calls, (double)p->bytes * (wide ? 2 : 1));
}
