#include "scale/scale_impl.h"

#include <math.h>

/* The charts of a study, each an SVG of its own. */

enum { MOST_SIZES = 64, MOST_SERIES = 2 * THAW_SCALE_RUNGS };

typedef struct curves {
    double x[MOST_SERIES][MOST_SIZES], y[MOST_SERIES][MOST_SIZES];
    thaw_series series[MOST_SERIES];
    int64_t count;
    char names[MOST_SERIES][THAW_RUNG_TEXT + 16];
} curves;

static thaw_series *begin_series(const scale_result *r, curves *c, int32_t rung, const char *suffix,
                                 bool dashed)
{
    thaw_series *s = &c->series[c->count];
    const char *name = r->plan->rungs->items[rung];
    thaw_format(c->names[c->count], sizeof c->names[0], "%s%s", name, suffix);
    *s = (thaw_series){.name = c->names[c->count],
                       .x = c->x[c->count],
                       .y = c->y[c->count],
                       .colour = thaw_chart_colour(name),
                       .dashed = dashed};
    return s;
}

static void add_value(curves *c, double x, double y)
{
    thaw_series *s = &c->series[c->count];
    if (s->count == MOST_SIZES || isnan(y))
        return;
    c->x[c->count][s->count] = x;
    c->y[c->count][s->count++] = y;
}

static void end_series(curves *c)
{
    c->count += c->series[c->count].count > 0;
}

static thaw_status write_svg(const scale_result *r, const char *name, const thaw_str *svg)
{
    thaw_str alone = {0};
    thaw_str path = {0};
    thaw_path_join(&path, r->plan->config->output, name);
    thaw_chart_standalone(svg, &alone);
    const thaw_status status = thaw_file_write(thaw_str_c(&path), alone.data, alone.length);
    thaw_str_clear(&path);
    thaw_str_clear(&alone);
    return status;
}

static thaw_status write_lines(const scale_result *r, const char *file, const curves *c,
                               const thaw_chart *chart, bool log_y)
{
    thaw_str svg = {0};
    const thaw_line_chart lines = {.chart = *chart,
                                   .count = c->count,
                                   .series = c->series,
                                   .x_label = "ranks",
                                   .x_unit = THAW_UNIT_COUNT,
                                   .log_x = true,
                                   .log_y = log_y};
    thaw_chart_line(&lines, &svg);
    const thaw_status status = write_svg(r, file, &svg);
    thaw_str_clear(&svg);
    return status;
}

/* Points of the config's own batch. */
static bool is_strong(const scale_result *r, const thaw_scale_point *p)
{
    return p->shards == r->plan->config->train.shards;
}

static thaw_status write_steps(const scale_result *r, curves *c)
{
    c->count = 0;
    for (int32_t rung = 0; rung < r->model.rungs; rung++) {
        for (int model = 0; model < 2; model++) {
            begin_series(r, c, rung, model ? ", model" : "", model != 0);
            for (int64_t i = 0; i < r->count; i++) {
                const thaw_scale_point *p = &r->points[i];
                if (p->rung == rung && is_strong(r, p))
                    add_value(c, (double)p->ranks, model ? p->predicted : p->seconds);
            }
            end_series(c);
        }
    }
    const thaw_chart chart = {.title = "Seconds a step, the same batch on all rank counts",
                              .description = "Measured medians, and the fitted model.",
                              .axis_label = "seconds a step",
                              .unit = THAW_UNIT_SECONDS};
    return write_lines(r, "step.svg", c, &chart, true);
}

static thaw_status write_efficiency(const scale_result *r, curves *c)
{
    c->count = 0;
    for (int32_t rung = 0; rung < r->model.rungs; rung++) {
        for (int weak = 0; weak < 2; weak++) {
            begin_series(r, c, rung, weak ? ", weak" : ", strong", weak != 0);
            for (int64_t i = 0; i < r->count; i++) {
                const thaw_scale_point *p = &r->points[i];
                if (p->rung == rung)
                    add_value(c, (double)p->ranks,
                              weak ? p->weak_efficiency : p->strong_efficiency);
            }
            end_series(c);
        }
    }
    const thaw_chart chart = {.title = "Parallel efficiency",
                              .description = "Against the fewest ranks of the same rung.",
                              .axis_label = "efficiency",
                              .unit = THAW_UNIT_PERCENT};
    return write_lines(r, "efficiency.svg", c, &chart, false);
}

static thaw_status write_machine(const scale_result *r, curves *c)
{
    const thaw_ints *ranks = &r->plan->config->scale.machine.ranks;
    if (ranks->count == 0)
        return THAW_OK;
    c->count = 0;
    for (int32_t rung = 0; rung < r->model.rungs; rung++) {
        const double one = scale_machine_seconds(r, rung, 1, true);
        begin_series(r, c, rung, "", false);
        for (int64_t i = 0; i < ranks->count; i++)
            add_value(c, (double)ranks->items[i],
                      one / scale_machine_seconds(r, rung, ranks->items[i], true));
        end_series(c);
    }
    const thaw_chart chart = {.title = "Weak efficiency, extrapolated by the model",
                              .description = "For the machine of scale.machine.",
                              .axis_label = "efficiency",
                              .unit = THAW_UNIT_PERCENT};
    return write_lines(r, "machine.svg", c, &chart, false);
}

static thaw_status write_bytes(const scale_result *r)
{
    const char *labels[THAW_SCALE_RUNGS];
    double values[THAW_SCALE_RUNGS];
    int colours[THAW_SCALE_RUNGS];
    thaw_str svg = {0};
    thaw_bar_chart bars = {.chart = {.title = "Bytes of one step's gradient sums, a rank",
                                     .description = "What each rung sends.",
                                     .axis_label = "bytes",
                                     .unit = THAW_UNIT_BYTES},
                           .series_count = 1,
                           .labels = labels,
                           .values = values,
                           .colours = colours,
                           .log_scale = true};
    for (int64_t i = 0; i < r->count; i++) {
        const int32_t rung = r->points[i].rung;
        if (i > 0 && r->points[i - 1].rung == rung)
            continue;
        labels[bars.count] = r->plan->rungs->items[rung];
        colours[bars.count] = thaw_chart_colour(labels[bars.count]);
        values[bars.count++] = (double)r->points[i].bytes;
    }
    thaw_chart_bar(&bars, &svg);
    const thaw_status status = write_svg(r, "bytes.svg", &svg);
    thaw_str_clear(&svg);
    return status;
}

thaw_status scale_write_charts(const scale_result *r)
{
    curves *c = NULL;
    thaw_status status;
    THAW_TRY_TO(thaw_alloc(&c, 1, sizeof *c));
    THAW_TRY_TO(write_steps(r, c));
    THAW_TRY_TO(write_efficiency(r, c));
    THAW_TRY_TO(write_machine(r, c));
    status = write_bytes(r);
done:
    thaw_free(&c);
    return status;
}
