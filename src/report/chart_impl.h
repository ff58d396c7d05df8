/* report/chart_impl.h - what the charts share: scales, ticks with their words, SVG elements, legends.
 *
 * Units are those of the viewBox. Text is 14 high in both layouts, so that it stays above (or, just there, at)
 * 12 pixels when the page scales the wide layout down to a window of 900 or the narrow one to a phone of 360. */
#ifndef THAW_REPORT_CHART_IMPL_H
#define THAW_REPORT_CHART_IMPL_H

#include "thaw/report.h"

#define THAW_CHART_TEXT 14.0

typedef struct thaw_scale {
    double low, high; /* domain */
    double from, to;  /* range in units of the viewBox */
    bool log;
    thaw_unit unit;
    double divisor; /* the unit that the ticks are written in: 1024 for KiB, 60 for minutes */
    int tick_count;
    double ticks[THAW_TICKS];
    char words[THAW_TICKS][24];
} thaw_scale;

/* Settles domain, ticks and their words. least > most: no data. `grow`: widen a linear domain to whole ticks. */
void thaw_scale_init(thaw_scale *scale, double least, double most, thaw_unit unit, bool log,
                     int wanted, bool grow);
/* -1 outside what a logarithm can show. */
double thaw_scale_at(const thaw_scale *scale, double value);
/* Widens *least..*most by finite values (positive ones only for a logarithm). */
void thaw_extend(double *least, double *most, const double *values, int64_t count, bool log);

double thaw_svg_text_width(const char *text);
/* Copies text, cut with an ellipsis where it would be wider. */
void thaw_svg_fit(const char *text, double width, char *out, size_t bytes);

double thaw_chart_width(const thaw_chart *chart);
bool thaw_chart_is_narrow(const thaw_chart *chart);
/* Height that the title takes. */
double thaw_svg_head(const thaw_chart *chart);
void thaw_svg_open(thaw_str *out, const thaw_chart *chart, const char *kind, double height);
void thaw_svg_close(thaw_str *out);
/* anchor: 's' start, 'm' middle, 'e' end. class may be NULL. */
void thaw_svg_text(thaw_str *out, double x, double y, char anchor, const char *class_name,
                   const char *text);
void thaw_svg_line(thaw_str *out, const char *class_name, double x1, double y1, double x2,
                   double y2);
void thaw_svg_rect(thaw_str *out, const char *class_name, double x, double y, double width,
                   double height, double radius);
void thaw_svg_title(thaw_str *out,
                    const char *text); /* what a pointer that rests on the mark shows */
/* Vertical grid lines with their words below, and the label of the axis under them. */
void thaw_svg_x_axis(thaw_str *out, const thaw_scale *scale, double width, double top,
                     double bottom, const char *label);

typedef struct thaw_legend_item {
    const char *name;
    int colour;
    bool line, dashed;
} thaw_legend_item;
/* Lays the legend out in `width`; draws unless out is NULL. Returns its height. */
double thaw_svg_legend(thaw_str *out, const thaw_legend_item *items, int64_t count, double x,
                       double y, double width);

/* Opacity of the strongest cell of a matrix: its figure must stay readable in the colour of all text. */
#define THAW_MATRIX_STRENGTH 0.75

#endif
