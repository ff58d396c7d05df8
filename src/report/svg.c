#include "thaw/report.h"

#include "report/chart_impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define LINE_HEIGHT 20.0
#define SWATCH      26.0 /* of a legend entry, with its gap */

/* Widths of a common sans-serif face in parts of the text height; good to a tenth, which is all a layout needs. */
double thaw_svg_text_width(const char *text)
{
    double width = 0;
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if ((c & 0xc0) == 0x80)
            continue;
        if (strchr("iljtfrI.,:;'|!()[] ", c) != NULL)
            width += 0.34;
        else if (strchr("mwMW%@", c) != NULL)
            width += 0.88;
        else if (c >= 'A' && c <= 'Z')
            width += 0.7;
        else
            width += 0.6;
    }
    return width * THAW_CHART_TEXT;
}

void thaw_svg_fit(const char *text, double width, char *out, size_t bytes)
{
    static const char ellipsis[] = "\xe2\x80\xa6";
    thaw_copy(out, bytes, text);
    size_t length = strlen(out);
    bool cut = strlen(text) > length;
    while (length > 0 && (cut || thaw_svg_text_width(out) > width)) {
        do
            length--;
        while (length > 0 && ((unsigned char)out[length] & 0xc0) == 0x80);
        if (length + sizeof ellipsis > bytes)
            continue;
        memcpy(out + length, ellipsis, sizeof ellipsis);
        cut = false;
    }
}

double thaw_chart_width(const thaw_chart *chart)
{
    return chart->width > 0 ? chart->width : THAW_CHART_WIDE;
}

bool thaw_chart_is_narrow(const thaw_chart *chart)
{
    return thaw_chart_width(chart) < 560;
}

double thaw_svg_head(const thaw_chart *chart)
{
    return chart->title != NULL && !chart->untitled ? 32 : 0;
}

void thaw_svg_open(thaw_str *out, const thaw_chart *chart, const char *kind, double height)
{
    double width = thaw_chart_width(chart);
    thaw_str_printf(out,
                    "<svg class=\"thaw-chart %s %s\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" "
                    "aria-label=\"",
                    kind, thaw_chart_is_narrow(chart) ? "narrow" : "wide", width, height);
    thaw_html_escape(out, chart->title != NULL ? chart->title : kind);
    thaw_str_add(out, "\">\n");
    if (chart->title != NULL)
        thaw_svg_title(out, chart->title);
    if (chart->description != NULL) {
        thaw_str_add(out, "<desc>");
        thaw_html_escape(out, chart->description);
        thaw_str_add(out, "</desc>\n");
    }
    if (thaw_svg_head(chart) > 0) {
        char title[200];
        thaw_svg_fit(chart->title, width - 8, title, sizeof title);
        thaw_svg_text(out, 0, 18, 's', "b", title);
    }
}

void thaw_svg_close(thaw_str *out)
{
    thaw_str_add(out, "</svg>\n");
}

void thaw_svg_text(thaw_str *out, double x, double y, char anchor, const char *class_name,
                   const char *text)
{
    thaw_str_printf(out, "<text x=\"%.1f\" y=\"%.1f\"", x, y);
    if (anchor != 's')
        thaw_str_printf(out, " text-anchor=\"%s\"", anchor == 'm' ? "middle" : "end");
    if (class_name != NULL)
        thaw_str_printf(out, " class=\"%s\"", class_name);
    thaw_str_add(out, ">");
    thaw_html_escape(out, text);
    thaw_str_add(out, "</text>\n");
}

void thaw_svg_line(thaw_str *out, const char *class_name, double x1, double y1, double x2,
                   double y2)
{
    thaw_str_printf(out, "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
                    class_name, x1, y1, x2, y2);
}

void thaw_svg_rect(thaw_str *out, const char *class_name, double x, double y, double width,
                   double height, double radius)
{
    thaw_str_printf(out, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"",
                    class_name, x, y, width > 0 ? width : 0, height);
    if (radius > 0)
        thaw_str_printf(out, " rx=\"%.1f\"", radius);
    thaw_str_add(out, "/>\n");
}

void thaw_svg_title(thaw_str *out, const char *text)
{
    thaw_str_add(out, "<title>");
    thaw_html_escape(out, text);
    thaw_str_add(out, "</title>");
}

void thaw_svg_x_axis(thaw_str *out, const thaw_scale *scale, double width, double top,
                     double bottom, const char *label)
{
    double taken = -1e9;
    double left = scale->from < scale->to ? scale->from : scale->to;
    double right = scale->from < scale->to ? scale->to : scale->from;
    for (int i = 0; i < scale->tick_count; i++) {
        double x = thaw_scale_at(scale, scale->ticks[i]);
        double half = thaw_svg_text_width(scale->words[i]) / 2;
        thaw_svg_line(out, scale->ticks[i] == 0 && scale->low < 0 ? "zero" : "grid", x, top, x,
                      bottom);
        /* The words of a tick give way to those before it. */
        double middle = fmin(fmax(x, half), width - half);
        if (middle - half < taken + 8)
            continue;
        thaw_svg_text(out, middle, bottom + 18, 'm', "m", scale->words[i]);
        taken = middle + half;
    }
    if (label != NULL)
        thaw_svg_text(out, (left + right) / 2, bottom + 40, 'm', "m", label);
}

double thaw_svg_legend(thaw_str *out, const thaw_legend_item *items, int64_t count, double x,
                       double y, double width)
{
    double at = 0;
    double row = 0;
    for (int64_t i = 0; i < count; i++) {
        double wide = SWATCH + thaw_svg_text_width(items[i].name) + 18;
        if (at > 0 && at + wide - 18 > width) {
            at = 0;
            row += LINE_HEIGHT + 2;
        }
        if (out != NULL) {
            char name[80];
            double middle = y + row + LINE_HEIGHT / 2;
            thaw_svg_fit(items[i].name, width - SWATCH, name, sizeof name);
            thaw_str_printf(out, "<g class=\"c%d\">", items[i].colour & 7);
            if (items[i].line)
                thaw_svg_line(out, items[i].dashed ? "series dash" : "series", x + at, middle,
                              x + at + 20, middle);
            else
                thaw_svg_rect(out, "fill", x + at + 2, middle - 6, 13, 13, 2);
            thaw_str_add(out, "</g>\n");
            thaw_svg_text(out, x + at + (items[i].line ? SWATCH : SWATCH - 5), middle + 5, 's',
                          NULL, name);
        }
        at += wide;
    }
    return count > 0 ? row + LINE_HEIGHT + 8 : 0;
}
