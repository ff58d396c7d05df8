#include "thaw/report.h"

#include "report/chart_impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define CELL_WIDTH  104.0 /* at most */
#define CELL_HEIGHT 50.0
#define CELL_FIGURE 22.0   /* a cell must be this high to hold its figure */
#define SLANT       0.7072 /* sine and cosine of the slanted column labels */
#define KEY_CELLS   7

typedef struct layout {
    double width, left, top, bottom, height;
    double cell_width, cell_height, label_width, most;
    bool slanted;
    int64_t every; /* label every n-th row and column of a large matrix */
} layout;

static double greatest(const thaw_matrix_chart *data)
{
    double most = 0;
    for (int64_t i = 0; i < data->row_count * data->column_count; i++)
        if (isfinite(data->values[i]))
            most = fmax(most, fabs(data->values[i]));
    return most > 0 ? most : 1;
}

static double widest(const char *const *labels, int64_t count)
{
    double width = 0;
    for (int64_t i = 0; i < count; i++)
        width = fmax(width, thaw_svg_text_width(labels[i]));
    return width;
}

static void settle(const thaw_matrix_chart *data, layout *at)
{
    memset(at, 0, sizeof *at);
    at->width = thaw_chart_width(&data->chart);
    at->most = greatest(data);
    at->label_width = fmin(widest(data->row_labels, data->row_count), at->width * 0.27);
    at->left = at->label_width + 12;
    double columns = (double)(data->column_count > 0 ? data->column_count : 1);
    double labels = fmin(widest(data->column_labels, data->column_count), at->width * 0.27);
    at->cell_width = fmin((at->width - at->left - 2) / columns, CELL_WIDTH);
    at->slanted = labels > at->cell_width - 6;
    if (at->slanted) /* room for the last label to lean into */
        at->cell_width =
            fmin((at->width - at->left - 2 - labels * SLANT * 0.7) / columns, CELL_WIDTH);
    at->cell_height = fmin(at->cell_width, CELL_HEIGHT);
    at->every = 1 + (int64_t)(17.0 / at->cell_height);
    double titles = data->row_title != NULL || data->column_title != NULL ? 26 : 0;
    at->top = thaw_svg_head(&data->chart) + titles + (at->slanted ? labels * SLANT + 18 : 24);
    at->bottom = at->top + at->cell_height * (double)data->row_count;
    at->height = at->bottom + 40;
}

static void cell_words(const thaw_matrix_chart *data, double value, char *out, size_t bytes)
{
    if (!isfinite(value) || value == 0)
        thaw_copy(out, bytes, isfinite(value) ? "0" : "");
    else if (data->diverging)
        thaw_format(out, bytes, "%s%.4g", value > 0 ? "+" : "\xe2\x88\x92", fabs(value));
    else
        thaw_format(out, bytes, "%.5g", value);
}

static void draw_cell(const thaw_matrix_chart *data, const layout *at, int64_t row, int64_t column,
                      thaw_str *out)
{
    double value = data->values[row * data->column_count + column];
    double x = at->left + at->cell_width * (double)column;
    double y = at->top + at->cell_height * (double)row;
    /* The root lifts small counts off the ground; a cell with one more error is not an empty one. */
    double strength = isfinite(value) ? sqrt(fabs(value) / at->most) * THAW_MATRIX_STRENGTH : 0;
    char words[24];
    char hint[300];
    cell_words(data, value, words, sizeof words);
    thaw_format(hint, sizeof hint, "%s \xe2\x86\x92 %s: %s", data->row_labels[row],
                data->column_labels[column], words);
    thaw_str_add(out, "<g>");
    thaw_svg_title(out, hint);
    thaw_svg_rect(out, "cell", x, y, at->cell_width, at->cell_height, 0);
    if (strength > 0)
        thaw_str_printf(out,
                        "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" "
                        "fill-opacity=\"%.2f\"/>",
                        data->diverging && value > 0 ? "more" : "fewer", x + 0.5, y + 0.5,
                        at->cell_width - 1, at->cell_height - 1, strength);
    if (row == column && data->row_count == data->column_count)
        thaw_svg_rect(out, "diagonal", x + 1, y + 1, at->cell_width - 2, at->cell_height - 2, 2);
    if (at->cell_height >= CELL_FIGURE && thaw_svg_text_width(words) <= at->cell_width)
        thaw_svg_text(out, x + at->cell_width / 2, y + at->cell_height / 2 + 5, 'm',
                      value == 0 ? "m" : NULL, words);
    thaw_str_add(out, "</g>\n");
}

static void draw_labels(const thaw_matrix_chart *data, const layout *at, thaw_str *out)
{
    char label[120];
    double titles = thaw_svg_head(&data->chart) + 15;
    char words[160];
    if (data->row_title != NULL) {
        thaw_format(words, sizeof words, "%s \xe2\x86\x93", data->row_title);
        thaw_svg_text(out, 0, titles, 's', "m", words);
    }
    if (data->column_title != NULL) {
        thaw_format(words, sizeof words, "%s \xe2\x86\x92", data->column_title);
        thaw_svg_text(out, at->left + at->cell_width * (double)data->column_count, titles, 'e', "m",
                      words);
    }
    for (int64_t i = 0; i < data->row_count; i += at->every) {
        thaw_svg_fit(data->row_labels[i], at->label_width, label, sizeof label);
        thaw_svg_text(out, at->left - 8, at->top + at->cell_height * ((double)i + 0.5) + 5, 'e',
                      NULL, label);
    }
    for (int64_t i = 0; i < data->column_count; i += at->every) {
        double x = at->left + at->cell_width * ((double)i + 0.5);
        thaw_svg_fit(data->column_labels[i], at->slanted ? at->width * 0.27 : at->cell_width, label,
                     sizeof label);
        if (!at->slanted) {
            thaw_svg_text(out, x, at->top - 9, 'm', NULL, label);
            continue;
        }
        thaw_str_printf(out, "<g transform=\"translate(%.1f %.1f) rotate(-45)\">", x, at->top - 8);
        thaw_svg_text(out, 0, 0, 's', NULL, label);
        thaw_str_add(out, "</g>\n");
    }
}

/* What the colours mean: a row of cells from the strongest "fewer" to the strongest "more". */
static void draw_key(const thaw_matrix_chart *data, const layout *at, thaw_str *out)
{
    char low[32];
    char high[32];
    double y = at->bottom + 14;
    if (data->diverging)
        thaw_format(low, sizeof low, "\xe2\x88\x92%.4g fewer", at->most);
    else
        thaw_copy(low, sizeof low, "0");
    thaw_format(high, sizeof high, data->diverging ? "+%.4g more" : "%.5g", at->most);
    double wide = thaw_svg_text_width(low) + thaw_svg_text_width(high) + 20 + 18 * KEY_CELLS;
    double x = wide * 1.15 < at->width - at->left ? at->left : 0;
    thaw_svg_text(out, x, y + 14, 's', "m", low);
    x += thaw_svg_text_width(low) + 10;
    for (int i = 0; i < KEY_CELLS; i++) {
        double share =
            data->diverging ? 2.0 * i / (KEY_CELLS - 1) - 1 : (double)i / (KEY_CELLS - 1);
        thaw_svg_rect(out, "cell", x, y + 1, 18, 16, 0);
        thaw_str_printf(out,
                        "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"17\" height=\"15\" "
                        "fill-opacity=\"%.2f\"/>\n",
                        data->diverging && share > 0 ? "more" : "fewer", x + 0.5, y + 1.5,
                        sqrt(fabs(share)) * THAW_MATRIX_STRENGTH);
        x += 18;
    }
    thaw_svg_text(out, x + 10, y + 14, 's', "m", high);
}

void thaw_chart_matrix(const thaw_matrix_chart *data, thaw_str *out)
{
    layout at;
    settle(data, &at);
    thaw_svg_open(out, &data->chart, "matrix", at.height);
    draw_labels(data, &at, out);
    for (int64_t row = 0; row < data->row_count; row++)
        for (int64_t column = 0; column < data->column_count; column++)
            draw_cell(data, &at, row, column, out);
    draw_key(data, &at, out);
    thaw_svg_close(out);
}
