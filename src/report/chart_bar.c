#include "thaw/report.h"

#include "report/chart_impl.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define BAR     15.0
#define BAR_GAP 3.0

typedef struct layout {
    bool narrow, log;
    double width, top, bottom, height;
    double label_width, label_height; /* narrow: labels stand above their bars */
    double group;                     /* height of one category */
    thaw_scale scale;
} layout;

static double value_at(const thaw_bar_chart *data, int64_t row, int64_t series)
{
    return data->values[row * data->series_count + series];
}

static int colour_at(const thaw_bar_chart *data, int64_t row, int64_t series)
{
    int64_t index = data->series_count == 1 ? row : series;
    if (data->colours != NULL)
        return data->colours[index] & 7;
    return data->series_count == 1 ? 1 : (int)(index & 7);
}

static double row_total(const thaw_bar_chart *data, int64_t row)
{
    double total = 0;
    for (int64_t s = 0; s < data->series_count; s++)
        total += fmax(isfinite(value_at(data, row, s)) ? value_at(data, row, s) : 0, 0);
    return total;
}

static double draw_legend(const thaw_bar_chart *data, double y, double width, thaw_str *out)
{
    thaw_legend_item items[16];
    int64_t count = 0;
    if (data->series_names == NULL || data->series_count < 2)
        return 0;
    for (int64_t s = 0; s < data->series_count && s < 16; s++)
        items[count++] =
            (thaw_legend_item){.name = data->series_names[s], .colour = colour_at(data, 0, s)};
    return thaw_svg_legend(out, items, count, 0, y, width);
}

static void settle_scale(const thaw_bar_chart *data, layout *at)
{
    double least = DBL_MAX;
    double most = -DBL_MAX;
    if (data->stacked) {
        for (int64_t row = 0; row < data->count; row++) {
            double total = row_total(data, row);
            thaw_extend(&least, &most, &total, 1, false);
        }
    } else {
        thaw_extend(&least, &most, data->values, data->count * data->series_count, at->log);
    }
    if (!at->log) {
        /* A bar starts at zero, or its length means nothing. */
        least = fmin(least, 0);
        most = fmax(most, 0);
    }
    thaw_scale_init(&at->scale, least, most, data->chart.unit, at->log, at->narrow ? 4 : 6, false);
}

static double widest_value(const thaw_bar_chart *data)
{
    char text[48];
    double width = 0;
    for (int64_t row = 0; row < data->count; row++)
        for (int64_t s = 0; s < data->series_count; s++) {
            double value = data->stacked ? row_total(data, row) : value_at(data, row, s);
            thaw_unit_format(value, data->chart.unit, text, sizeof text);
            width = fmax(width, thaw_svg_text_width(text));
        }
    return width;
}

static void settle(const thaw_bar_chart *data, layout *at)
{
    double labels = 0;
    memset(at, 0, sizeof *at);
    at->width = thaw_chart_width(&data->chart);
    at->narrow = thaw_chart_is_narrow(&data->chart);
    at->log = data->log_scale && !data->stacked;
    for (int64_t i = 0; i < data->count; i++)
        labels = fmax(labels, thaw_svg_text_width(data->labels[i]));
    settle_scale(data, at);
    double bars = data->stacked ? 1 : (double)data->series_count;
    double thickness = bars == 1 ? BAR + 5 : BAR;
    double head = thaw_svg_head(&data->chart);
    at->label_height = at->narrow ? 22 : 0;
    at->group = at->label_height + bars * (thickness + BAR_GAP) + (bars == 1 ? 9 : 16);
    at->top = head + draw_legend(data, head, at->width, NULL) + 6;
    at->bottom = at->top + at->group * (double)data->count;
    at->height = at->bottom + (data->chart.axis_label != NULL ? 48 : 26);
    at->label_width = at->narrow ? at->width : fmin(labels, at->width * 0.3);
    at->scale.from = at->narrow ? 6 : at->label_width + 16;
    at->scale.to = at->width - widest_value(data) - 14;
    if (at->scale.low < 0)
        at->scale.from += widest_value(data);
}

static void draw_bar(const thaw_bar_chart *data, const layout *at, double value, int colour,
                     double y, double thickness, const char *hint, thaw_str *out)
{
    double zero = at->log ? at->scale.from : thaw_scale_at(&at->scale, 0);
    bool drawn = isfinite(value) && (!at->log || value > 0) && value != 0;
    double end = drawn ? thaw_scale_at(&at->scale, value) : zero;
    char text[48];
    thaw_unit_format(value, data->chart.unit, text, sizeof text);
    thaw_str_printf(out, "<g class=\"c%d\">", colour);
    thaw_svg_title(out, hint);
    if (drawn)
        thaw_svg_rect(out, "fill", fmin(zero, end), y, fmax(fabs(end - zero), 1.5), thickness, 2);
    bool left = drawn && end < zero;
    thaw_svg_text(out, end + (left ? -6 : 6), y + thickness / 2 + 5, left ? 'e' : 's',
                  drawn ? NULL : "m", text);
    thaw_str_add(out, "</g>\n");
}

static void draw_stack(const thaw_bar_chart *data, const layout *at, int64_t row, double y,
                       double thickness, thaw_str *out)
{
    double total = 0;
    char text[48];
    char hint[200];
    for (int64_t s = 0; s < data->series_count; s++) {
        double value = value_at(data, row, s);
        if (!isfinite(value) || value <= 0)
            continue;
        double from = thaw_scale_at(&at->scale, total);
        total += value;
        thaw_unit_format(value, data->chart.unit, text, sizeof text);
        thaw_format(hint, sizeof hint, "%s, %s: %s", data->labels[row],
                    data->series_names != NULL ? data->series_names[s] : "", text);
        thaw_str_printf(out, "<g class=\"c%d\">", colour_at(data, row, s));
        thaw_svg_title(out, hint);
        /* A hair between neighbours keeps them apart without their colours. */
        thaw_svg_rect(out, "fill", from, y, thaw_scale_at(&at->scale, total) - from - 1, thickness,
                      0);
        thaw_str_add(out, "</g>\n");
    }
    thaw_unit_format(total, data->chart.unit, text, sizeof text);
    thaw_svg_text(out, thaw_scale_at(&at->scale, total) + 6, y + thickness / 2 + 5, 's', NULL,
                  text);
}

static void draw_row(const thaw_bar_chart *data, const layout *at, int64_t row, thaw_str *out)
{
    double bars = data->stacked ? 1 : (double)data->series_count;
    double thickness = bars == 1 ? BAR + 5 : BAR;
    double top = at->top + at->group * (double)row;
    double block = bars * (thickness + BAR_GAP) - BAR_GAP;
    char label[120];
    thaw_svg_fit(data->labels[row], at->label_width, label, sizeof label);
    if (at->narrow)
        thaw_svg_text(out, at->scale.from, top + 16, 's', NULL, label);
    else
        thaw_svg_text(out, at->label_width + 4, top + 4 + block / 2 + 5, 'e', NULL, label);
    double y = top + at->label_height + 4;
    if (data->stacked) {
        draw_stack(data, at, row, y, thickness, out);
        return;
    }
    for (int64_t s = 0; s < data->series_count; s++) {
        char text[48];
        char hint[200];
        thaw_unit_format(value_at(data, row, s), data->chart.unit, text, sizeof text);
        if (data->series_names != NULL)
            thaw_format(hint, sizeof hint, "%s, %s: %s", data->labels[row], data->series_names[s],
                        text);
        else
            thaw_format(hint, sizeof hint, "%s: %s", data->labels[row], text);
        draw_bar(data, at, value_at(data, row, s), colour_at(data, row, s), y, thickness, hint,
                 out);
        y += thickness + BAR_GAP;
    }
}

void thaw_chart_bar(const thaw_bar_chart *data, thaw_str *out)
{
    layout at;
    char label[200];
    settle(data, &at);
    thaw_svg_open(out, &data->chart, "bars", at.height);
    draw_legend(data, thaw_svg_head(&data->chart), at.width, out);
    thaw_format(label, sizeof label, "%s%s",
                data->chart.axis_label != NULL ? data->chart.axis_label : "",
                at.log ? " (logarithmic)" : "");
    thaw_svg_x_axis(out, &at.scale, at.width, at.top, at.bottom,
                    data->chart.axis_label != NULL ? label : NULL);
    for (int64_t row = 0; row < data->count; row++)
        draw_row(data, &at, row, out);
    double zero = at.log ? at.scale.from : thaw_scale_at(&at.scale, 0);
    if (!at.narrow)
        thaw_svg_line(out, "zero", zero, at.top, zero, at.bottom);
    thaw_svg_close(out);
}
