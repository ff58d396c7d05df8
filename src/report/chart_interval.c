#include "thaw/report.h"

#include "report/chart_impl.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Wide: label, interval and figures side by side. Narrow: label and figures above the interval, which takes the
 * whole width. */
typedef struct layout {
    bool narrow;
    double width, top, bottom, row, height;
    double label_width;
    thaw_scale scale;
} layout;

static bool has_interval(const thaw_interval_chart *data, int64_t i)
{
    return data->low != NULL && data->high != NULL && isfinite(data->low[i]) &&
           isfinite(data->high[i]);
}

static bool has_reference(const thaw_interval_chart *data)
{
    return data->reference_label != NULL && isfinite(data->reference);
}

static bool is_chosen(const thaw_interval_chart *data, int64_t i)
{
    return data->chosen != NULL && strcmp(data->chosen, data->labels[i]) == 0;
}

static void row_figures(const thaw_interval_chart *data, int64_t i, char *out, size_t bytes)
{
    char mean[32];
    char low[32];
    char high[32];
    thaw_unit_format(data->mean[i], data->chart.unit, mean, sizeof mean);
    if (!has_interval(data, i)) {
        thaw_copy(out, bytes, mean);
        return;
    }
    thaw_unit_format(data->low[i], data->chart.unit, low, sizeof low);
    thaw_unit_format(data->high[i], data->chart.unit, high, sizeof high);
    /* The unit is said once: "84.2% [83.1, 85.3]". */
    if (data->chart.unit == THAW_UNIT_PERCENT)
        low[strlen(low) - 1] = high[strlen(high) - 1] = '\0';
    thaw_format(out, bytes, "%s [%s, %s]", mean, low, high);
}

static void settle_scale(const thaw_interval_chart *data, layout *at)
{
    double least = DBL_MAX;
    double most = -DBL_MAX;
    thaw_extend(&least, &most, data->mean, data->count, false);
    thaw_extend(&least, &most, data->low, data->count, false);
    thaw_extend(&least, &most, data->high, data->count, false);
    thaw_extend(&least, &most, &data->reference, has_reference(data) ? 1 : 0, false);
    for (int64_t i = 0; data->dots != NULL && data->dot_counts != NULL && i < data->count; i++)
        thaw_extend(&least, &most, data->dots[i], data->dot_counts[i], false);
    double margin = most > least ? (most - least) * 0.06 : 0;
    bool share = data->chart.unit == THAW_UNIT_PERCENT && least >= 0 && most <= 1;
    least -= margin;
    most += margin;
    if (share) {
        least = least < 0 ? 0 : least;
        most = most > 1 ? 1 : most;
    }
    thaw_scale_init(&at->scale, least, most, data->chart.unit, false, at->narrow ? 4 : 6, false);
}

static void settle(const thaw_interval_chart *data, layout *at)
{
    double label_width = 0;
    double figure_width = 0;
    memset(at, 0, sizeof *at);
    at->width = thaw_chart_width(&data->chart);
    at->narrow = thaw_chart_is_narrow(&data->chart);
    for (int64_t i = 0; i < data->count; i++) {
        char figures[120];
        row_figures(data, i, figures, sizeof figures);
        label_width = fmax(label_width, thaw_svg_text_width(data->labels[i]) * 1.06);
        figure_width = fmax(figure_width, thaw_svg_text_width(figures));
    }
    if (data->chosen != NULL)
        label_width = fmax(label_width, 52);
    settle_scale(data, at);
    at->top = thaw_svg_head(&data->chart) + (has_reference(data) ? 24 : 4);
    at->row = at->narrow ? 56 : 46;
    at->bottom = at->top + at->row * (double)data->count;
    at->height = at->bottom + (data->chart.axis_label != NULL ? 48 : 26);
    at->label_width = fmin(label_width, at->width * 0.28);
    at->scale.from = at->narrow ? 14 : at->label_width + 34;
    at->scale.to = at->width - (at->narrow ? 14 : figure_width + 30);
    if (at->narrow)
        at->label_width = at->width - figure_width - 24;
}

static void draw_marks(const thaw_interval_chart *data, const layout *at, int64_t i, double y,
                       thaw_str *out)
{
    int64_t dots = data->dots != NULL && data->dot_counts != NULL ? data->dot_counts[i] : 0;
    if (has_interval(data, i))
        thaw_svg_line(out, "interval", thaw_scale_at(&at->scale, data->low[i]), y,
                      thaw_scale_at(&at->scale, data->high[i]), y);
    for (int64_t d = 0; d < dots; d++)
        if (isfinite(data->dots[i][d]))
            thaw_str_printf(out, "<circle class=\"soft\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\"/>\n",
                            thaw_scale_at(&at->scale, data->dots[i][d]), y + 11);
    if (isfinite(data->mean[i]))
        thaw_str_printf(out, "<circle class=\"ring\" cx=\"%.1f\" cy=\"%.1f\" r=\"7\"/>\n",
                        thaw_scale_at(&at->scale, data->mean[i]), y);
}

static void draw_row(const thaw_interval_chart *data, const layout *at, int64_t i, thaw_str *out)
{
    bool chosen = is_chosen(data, i);
    double top = at->top + at->row * (double)i;
    double text = top + (at->narrow ? 19 : at->row / 2 + (chosen ? -3 : 5));
    char figures[120];
    char label[120];
    char hint[280];
    row_figures(data, i, figures, sizeof figures);
    thaw_svg_fit(data->labels[i], at->label_width, label, sizeof label);
    thaw_format(hint, sizeof hint, "%s: %s", data->labels[i], figures);
    thaw_str_printf(out, "<g class=\"c%d%s\">", (data->colours ? data->colours[i] : (int)i) & 7,
                    chosen ? " chosen" : "");
    thaw_svg_title(out, hint);
    thaw_svg_text(out, 8, text, 's', chosen ? "b" : NULL, label);
    /* Beside a bold label whose width is only guessed "chosen" could touch it; the band says it there. */
    if (chosen && !at->narrow)
        thaw_svg_text(out, 8, text + 17, 's', "m", "chosen");
    thaw_svg_text(out, at->width - 8, top + (at->narrow ? 19 : at->row / 2 + 5), 'e',
                  chosen ? "b" : NULL, figures);
    draw_marks(data, at, i, top + (at->narrow ? 36 : at->row / 2 - 2), out);
    thaw_str_add(out, "</g>\n");
}

void thaw_chart_interval(const thaw_interval_chart *data, thaw_str *out)
{
    layout at;
    settle(data, &at);
    thaw_svg_open(out, &data->chart, "intervals", at.height);
    for (int64_t i = 0; i < data->count; i++)
        if (is_chosen(data, i))
            thaw_svg_rect(out, "band", 0, at.top + at.row * (double)i + 1, at.width, at.row - 2, 6);
    thaw_svg_x_axis(out, &at.scale, at.width, at.top, at.bottom, data->chart.axis_label);
    if (has_reference(data)) {
        double x = thaw_scale_at(&at.scale, data->reference);
        double half = thaw_svg_text_width(data->reference_label) / 2;
        double middle = fmin(fmax(x, half), at.width - half);
        /* Narrow: only beside the intervals, not through the figures above them. */
        for (int64_t i = 0; at.narrow && i < data->count; i++)
            thaw_svg_line(out, "reference", x, at.top + at.row * (double)i + 25, x,
                          at.top + at.row * (double)(i + 1) - 1);
        if (!at.narrow)
            thaw_svg_line(out, "reference", x, at.top - 4, x, at.bottom);
        thaw_svg_text(out, middle, at.top - 9, 'm', "m", data->reference_label);
    }
    for (int64_t i = 0; i < data->count; i++)
        draw_row(data, &at, i, out);
    thaw_svg_close(out);
}
