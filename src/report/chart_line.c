#include "thaw/report.h"

#include "report/chart_impl.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define PLOT_WIDE   300.0
#define PLOT_NARROW 230.0
/* Longer series are drawn by the least and the greatest value of this many stretches: no peak is lost. */
#define STRETCHES 240

typedef struct layout {
    double width, top, bottom, height;
    thaw_scale x, y;
} layout;

static bool shown(const thaw_line_chart *data, const thaw_series *series, int64_t i)
{
    return isfinite(series->x[i]) && isfinite(series->y[i]) && (!data->log_x || series->x[i] > 0) &&
           (!data->log_y || series->y[i] > 0);
}

static void settle_scales(const thaw_line_chart *data, bool narrow, layout *at)
{
    double least_x = DBL_MAX;
    double most_x = -DBL_MAX;
    double least_y = DBL_MAX;
    double most_y = -DBL_MAX;
    for (int64_t s = 0; s < data->count; s++)
        for (int64_t i = 0; i < data->series[s].count; i++)
            if (shown(data, &data->series[s], i)) {
                thaw_extend(&least_x, &most_x, &data->series[s].x[i], 1, data->log_x);
                thaw_extend(&least_y, &most_y, &data->series[s].y[i], 1, data->log_y);
            }
    thaw_scale_init(&at->x, least_x, most_x, data->x_unit, data->log_x, narrow ? 4 : 8, false);
    if (data->log_x && most_x >= least_x) {
        at->x.low = least_x;
        at->x.high = most_x > least_x ? most_x : least_x * 10;
    }
    thaw_scale_init(&at->y, least_y, most_y, data->chart.unit, data->log_y, narrow ? 4 : 5, true);
}

static double draw_legend(const thaw_line_chart *data, double y, double width, thaw_str *out)
{
    thaw_legend_item items[32];
    int64_t count = 0;
    for (int64_t s = 0; s < data->count && count < 32; s++)
        if (data->series[s].name != NULL)
            items[count++] = (thaw_legend_item){.name = data->series[s].name,
                                                .colour = data->series[s].colour,
                                                .line = true,
                                                .dashed = data->series[s].dashed};
    return count > 1 ? thaw_svg_legend(out, items, count, 0, y, width) : 0;
}

static void settle(const thaw_line_chart *data, layout *at)
{
    bool narrow = thaw_chart_is_narrow(&data->chart);
    double words = 0;
    memset(at, 0, sizeof *at);
    at->width = thaw_chart_width(&data->chart);
    settle_scales(data, narrow, at);
    for (int i = 0; i < at->y.tick_count; i++)
        words = fmax(words, thaw_svg_text_width(at->y.words[i]));
    double head = thaw_svg_head(&data->chart);
    double legend = draw_legend(data, head, at->width, NULL);
    at->top = head + legend + (data->chart.axis_label != NULL ? 28 : 10);
    at->bottom = at->top + (narrow ? PLOT_NARROW : PLOT_WIDE);
    at->height = at->bottom + (data->x_label != NULL ? 48 : 26);
    at->x.from = words + 12;
    at->x.to = at->width - 16;
    at->y.from = at->bottom;
    at->y.to = at->top;
}

static void draw_axes(const thaw_line_chart *data, const layout *at, thaw_str *out)
{
    for (int i = 0; i < at->y.tick_count; i++) {
        double y = thaw_scale_at(&at->y, at->y.ticks[i]);
        thaw_svg_line(out, "grid", at->x.from, y, at->x.to, y);
        thaw_svg_text(out, at->x.from - 8, y + 5, 'e', "m", at->y.words[i]);
    }
    if (data->chart.axis_label != NULL)
        thaw_svg_text(out, 0, at->top - 14, 's', "m", data->chart.axis_label);
    double taken = -1e9;
    for (int i = 0; i < at->x.tick_count; i++) {
        double x = thaw_scale_at(&at->x, at->x.ticks[i]);
        double half = thaw_svg_text_width(at->x.words[i]) / 2;
        thaw_svg_line(out, "zero", x, at->bottom, x, at->bottom + 5);
        double middle = fmin(x, at->width - half);
        if (middle - half < taken + 8)
            continue;
        thaw_svg_text(out, middle, at->bottom + 20, 'm', "m", at->x.words[i]);
        taken = middle + half;
    }
    thaw_svg_line(out, "zero", at->x.from, at->bottom, at->x.to, at->bottom);
    if (data->x_label != NULL)
        thaw_svg_text(out, (at->x.from + at->x.to) / 2, at->bottom + 42, 'm', "m", data->x_label);
}

static void add_point(const layout *at, const thaw_series *series, int64_t i, bool *pen_down,
                      thaw_str *out)
{
    thaw_str_printf(out, "%s%.1f %.1f", *pen_down ? "L" : "M", thaw_scale_at(&at->x, series->x[i]),
                    thaw_scale_at(&at->y, series->y[i]));
    *pen_down = true;
}

/* The extremes of series[from..to), in their order. A gap among them is passed over unless all of it is one. */
static void add_stretch(const thaw_line_chart *data, const layout *at, const thaw_series *series,
                        int64_t from, int64_t to, bool *pen_down, thaw_str *out)
{
    int64_t least = -1;
    int64_t most = -1;
    for (int64_t i = from; i < to; i++) {
        if (!shown(data, series, i))
            continue;
        least = least < 0 || series->y[i] < series->y[least] ? i : least;
        most = most < 0 || series->y[i] > series->y[most] ? i : most;
    }
    if (least < 0) {
        *pen_down = false;
        return;
    }
    add_point(at, series, least < most ? least : most, pen_down, out);
    if (least != most)
        add_point(at, series, least < most ? most : least, pen_down, out);
}

static void draw_series(const thaw_line_chart *data, const layout *at, const thaw_series *series,
                        thaw_str *out)
{
    bool pen_down = false;
    int64_t count = series->count;
    int64_t stretches = count > 2 * STRETCHES ? STRETCHES : count;
    int64_t last = -1;
    for (int64_t i = 0; i < count; i++)
        last = shown(data, series, i) ? i : last;
    if (last < 0)
        return;
    thaw_str_printf(out, "<g class=\"c%d\">", series->colour & 7);
    if (series->name != NULL)
        thaw_svg_title(out, series->name);
    thaw_str_printf(out, "<path class=\"series%s%s\" d=\"", series->dashed ? " dash" : "",
                    series->thin ? " thin" : "");
    for (int64_t s = 0; s < stretches; s++)
        add_stretch(data, at, series, s * count / stretches, (s + 1) * count / stretches, &pen_down,
                    out);
    thaw_str_add(out, "\"/>\n");
    if (!series->thin)
        thaw_str_printf(out, "<circle class=\"ring\" cx=\"%.1f\" cy=\"%.1f\" r=\"5\"/>\n",
                        thaw_scale_at(&at->x, series->x[last]),
                        thaw_scale_at(&at->y, series->y[last]));
    thaw_str_add(out, "</g>\n");
}

void thaw_chart_line(const thaw_line_chart *data, thaw_str *out)
{
    layout at;
    settle(data, &at);
    thaw_svg_open(out, &data->chart, "lines", at.height);
    draw_legend(data, thaw_svg_head(&data->chart), at.width, out);
    draw_axes(data, &at, out);
    /* Thin lines first: what has a name lies on top. */
    for (int thin = 1; thin >= 0; thin--)
        for (int64_t s = 0; s < data->count; s++)
            if (data->series[s].thin == (thin == 1))
                draw_series(data, &at, &data->series[s], out);
    thaw_svg_close(out);
}
