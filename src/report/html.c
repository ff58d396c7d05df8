#include "thaw/report.h"

#include "report/text_impl.h"

#include <string.h>

void thaw_html_escape(thaw_str *out, const char *text)
{
    while (*text != '\0') {
        size_t run = strcspn(text, "&<>\"'");
        thaw_str_add_bytes(out, text, run);
        text += run;
        switch (*text) {
        case '&':
            thaw_str_add(out, "&amp;");
            break;
        case '<':
            thaw_str_add(out, "&lt;");
            break;
        case '>':
            thaw_str_add(out, "&gt;");
            break;
        case '"':
            thaw_str_add(out, "&quot;");
            break;
        case '\'':
            thaw_str_add(out, "&#39;");
            break;
        default:
            return;
        }
        text++;
    }
}

const char *thaw_tone_name(thaw_tone tone)
{
    static const char *const names[] = {"", "good", "neutral", "warn", "bad"};
    return names[(int)tone >= 0 && (int)tone < 5 ? (int)tone : 0];
}

static void element(thaw_str *out, const char *tag, const char *class_name, const char *text)
{
    thaw_str_printf(out, class_name != NULL ? "<%s class=\"%s\">" : "<%s>", tag, class_name);
    thaw_html_escape(out, text);
    thaw_str_printf(out, "</%s>\n", tag);
}

void thaw_html_end_group(thaw_html *html)
{
    if (html->in_tiles)
        thaw_str_add(&html->body, "</div>\n");
    if (html->in_facts || html->in_records)
        thaw_str_add(&html->body, "</dl>\n");
    html->in_tiles = html->in_facts = html->in_records = false;
}

static void end_section(thaw_html *html)
{
    thaw_html_end_group(html);
    while (html->open_details > 0)
        thaw_html_details_end(html);
    if (html->in_section)
        thaw_str_add(&html->body, "</section>\n");
    html->in_section = false;
}

void thaw_html_section(thaw_html *html, const char *title)
{
    end_section(html);
    int number = ++html->section_count;
    thaw_str_printf(&html->contents, "<a href=\"#s%d\">", number);
    thaw_html_escape(&html->contents, title);
    thaw_str_add(&html->contents, "</a>\n");
    thaw_str_printf(&html->body, "<section id=\"s%d\">\n", number);
    element(&html->body, "h2", NULL, title);
    html->in_section = true;
}

void thaw_html_heading(thaw_html *html, const char *text)
{
    thaw_html_end_group(html);
    element(&html->body, "h3", NULL, text);
}

void thaw_html_paragraph(thaw_html *html, const char *text)
{
    thaw_html_end_group(html);
    thaw_str_add(&html->body, "<p>");
    thaw_markdown_inline(&html->body, text, strlen(text));
    thaw_str_add(&html->body, "</p>\n");
}

void thaw_html_preformatted(thaw_html *html, const char *text)
{
    thaw_html_end_group(html);
    element(&html->body, "pre", NULL, text);
}

void thaw_html_list(thaw_html *html, const char *const *items, int64_t count)
{
    thaw_html_end_group(html);
    thaw_str_add(&html->body, "<ul>\n");
    for (int64_t i = 0; i < count; i++) {
        thaw_str_add(&html->body, "<li>");
        thaw_markdown_inline(&html->body, items[i], strlen(items[i]));
        thaw_str_add(&html->body, "</li>\n");
    }
    thaw_str_add(&html->body, "</ul>\n");
}

void thaw_html_callout(thaw_html *html, thaw_tone tone, const char *badge, const char *text)
{
    const char *name = thaw_tone_name(tone == THAW_TONE_NONE ? THAW_TONE_NEUTRAL : tone);
    thaw_html_end_group(html);
    thaw_str_printf(&html->body, "<div class=\"callout %s\"><p><span class=\"badge %s\">", name,
                    name);
    thaw_html_escape(&html->body, badge);
    thaw_str_add(&html->body, "</span>");
    thaw_markdown_inline(&html->body, text, strlen(text));
    thaw_str_add(&html->body, "</p></div>\n");
}

/* Opens a link to the record that a figure is from. */
static void open_source(thaw_str *out, const char *id)
{
    thaw_str_add(out, "<a class=\"from\" href=\"#");
    thaw_html_escape(out, id);
    thaw_str_add(out, "\">");
}

void thaw_html_source(thaw_html *html, const char *id)
{
    (void)thaw_copy(html->source, sizeof html->source, id == NULL ? "" : id);
}

void thaw_html_tile(thaw_html *html, const char *label, const char *value, const char *detail,
                    thaw_tone tone)
{
    if (!html->in_tiles) {
        thaw_html_end_group(html);
        thaw_str_add(&html->body, "<div class=\"tiles\">\n");
        html->in_tiles = true;
    }
    thaw_str_printf(&html->body, "<div class=\"tile %s\">", thaw_tone_name(tone));
    element(&html->body, "div", "label", label);
    thaw_str_add(&html->body, "<div class=\"value\">");
    if (html->source[0] != '\0')
        open_source(&html->body, html->source);
    thaw_html_escape(&html->body, value);
    thaw_str_add(&html->body, html->source[0] != '\0' ? "</a></div>\n" : "</div>\n");
    thaw_html_source(html, NULL);
    if (detail != NULL)
        element(&html->body, "div", "detail", detail);
    thaw_str_add(&html->body, "</div>\n");
}

void thaw_html_fact(thaw_html *html, const char *name, const char *value)
{
    if (!html->in_facts) {
        thaw_html_end_group(html);
        thaw_str_add(&html->body, "<dl class=\"facts\">\n");
        html->in_facts = true;
    }
    thaw_str_add(&html->body, "<div>");
    element(&html->body, "dt", NULL, name);
    element(&html->body, "dd", NULL, value);
    thaw_str_add(&html->body, "</div>\n");
}

void thaw_html_record(thaw_html *html, const char *id, const char *name, const char *text)
{
    if (!html->in_records) {
        thaw_html_end_group(html);
        thaw_str_add(&html->body, "<dl class=\"records\">\n");
        html->in_records = true;
    }
    thaw_str_add(&html->body, "<div id=\"");
    thaw_html_escape(&html->body, id);
    thaw_str_add(&html->body, "\">");
    element(&html->body, "dt", NULL, name);
    element(&html->body, "dd", NULL, text);
    thaw_str_add(&html->body, "</div>\n");
}

void thaw_html_details_begin(thaw_html *html, const char *summary)
{
    thaw_html_end_group(html);
    thaw_str_add(&html->body, "<details>");
    element(&html->body, "summary", NULL, summary);
    html->open_details++;
}

void thaw_html_details_end(thaw_html *html)
{
    thaw_html_end_group(html);
    if (html->open_details > 0) {
        thaw_str_add(&html->body, "</details>\n");
        html->open_details--;
    }
}

static const char *cell_class(thaw_align align, const char *text)
{
    /* Only a sentence may be broken over lines. */
    if (align == THAW_LEFT)
        return thaw_text_columns(text) > 40 ? " class=\"long\"" : "";
    return align == THAW_RIGHT ? " class=\"right\"" : " class=\"center\"";
}

static void write_words(thaw_str *out, const char *text, bool markdown)
{
    if (markdown)
        thaw_markdown_inline(out, text, strlen(text));
    else
        thaw_html_escape(out, text);
}

static bool has_figure(const char *text)
{
    return strpbrk(text, "0123456789") != NULL;
}

static void write_cell(thaw_tone tone, const char *source, const char *text, bool markdown,
                       thaw_str *out)
{
    const bool badge = tone != THAW_TONE_NONE && *text != '\0';
    if (badge)
        thaw_str_printf(out, "<span class=\"badge %s\">", thaw_tone_name(tone));
    if (*source != '\0')
        open_source(out, source);
    write_words(out, text, markdown);
    thaw_str_add(out, *source != '\0' ? "</a>" : "");
    thaw_str_add(out, badge ? "</span>" : "");
}

static void write_cells(const thaw_table *table, bool markdown, thaw_str *out)
{
    const char *at = NULL;
    const char *text = NULL;
    int64_t index = 0;
    thaw_tone tone = THAW_TONE_NONE;
    while (thaw_table_next(table, &at, &index, &tone, &text)) {
        int column = (int)(index % table->column_count);
        const char *tag = column == 0 ? "th" : "td";
        thaw_str_printf(out, "%s<%s%s%s>", column == 0 ? "<tr>" : "", tag,
                        column == 0 ? " scope=\"row\"" : "",
                        cell_class(table->align[column], text));
        write_cell(tone, column > 0 && has_figure(text) ? thaw_table_source_at(at) : "", text,
                   markdown, out);
        thaw_str_printf(out, "</%s>", tag);
        if (column + 1 == table->column_count)
            thaw_str_add(out, "</tr>\n");
    }
}

void thaw_html_table(thaw_html *html, const thaw_table *table, const char *caption)
{
    thaw_html_add_table(html, table, caption, false);
}

void thaw_html_add_table(thaw_html *html, const thaw_table *table, const char *caption,
                         bool markdown)
{
    thaw_str *out = &html->body;
    const char *header = thaw_str_c(&table->headers);
    thaw_html_end_group(html);
    /* A region that scrolls must be reachable by keyboard, hence the tabindex. The caption lies outside of it, so that it does not scroll
     * away; it names both. */
    thaw_str_add(out, "<div class=\"table\"><div class=\"scroll\" tabindex=\"0\" role=\"region\" ");
    if (caption != NULL)
        thaw_str_printf(out, "aria-labelledby=\"t%d\"><table aria-labelledby=\"t%d\">\n",
                        html->table_count + 1, html->table_count + 1);
    else
        thaw_str_add(out, "aria-label=\"Table\"><table>\n");
    thaw_str_add(out, "<thead><tr>");
    for (int c = 0; c < table->column_count; c++, header += strlen(header) + 1) {
        /* A heading without words would be read aloud as one. */
        if (*header == '\0') {
            thaw_str_add(out, "<td></td>");
            continue;
        }
        thaw_str_printf(out, "<th scope=\"col\"%s>", cell_class(table->align[c], ""));
        write_words(out, header, markdown);
        thaw_str_add(out, "</th>");
    }
    thaw_str_add(out, "</tr></thead>\n<tbody>\n");
    write_cells(table, markdown, out);
    thaw_str_add(out, "</tbody></table></div>\n");
    if (caption != NULL) {
        thaw_str_printf(out, "<p class=\"caption\" id=\"t%d\">", ++html->table_count);
        thaw_html_escape(out, caption);
        thaw_str_add(out, "</p>\n");
    }
    thaw_str_add(out, "</div>\n");
}

/* One chart in both layouts; the style shows the one that fits. */
typedef void draw_chart(const void *data, thaw_str *out);

static void figure(thaw_html *html, const thaw_chart *chart, const void *wide, const void *narrow,
                   draw_chart *draw, const char *caption)
{
    thaw_html_end_group(html);
    thaw_str_add(&html->body, "<figure>\n");
    if (chart->title != NULL)
        element(&html->body, "div", "title", chart->title);
    draw(wide, &html->body);
    draw(narrow, &html->body);
    if (caption != NULL) {
        thaw_str_add(&html->body, "<figcaption>");
        thaw_markdown_inline(&html->body, caption, strlen(caption));
        thaw_str_add(&html->body, "</figcaption>");
    }
    thaw_str_add(&html->body, "</figure>\n");
}

static thaw_chart laid_out(thaw_chart chart, double width)
{
    chart.width = width;
    chart.untitled = true;
    return chart;
}

static void draw_interval(const void *data, thaw_str *out)
{
    thaw_chart_interval(data, out);
}

static void draw_line(const void *data, thaw_str *out)
{
    thaw_chart_line(data, out);
}

static void draw_bar(const void *data, thaw_str *out)
{
    thaw_chart_bar(data, out);
}

static void draw_matrix(const void *data, thaw_str *out)
{
    thaw_chart_matrix(data, out);
}

void thaw_html_interval(thaw_html *html, const thaw_interval_chart *data, const char *caption)
{
    thaw_interval_chart wide = *data;
    thaw_interval_chart narrow = *data;
    wide.chart = laid_out(data->chart, THAW_CHART_WIDE);
    narrow.chart = laid_out(data->chart, THAW_CHART_NARROW);
    figure(html, &data->chart, &wide, &narrow, draw_interval, caption);
}

void thaw_html_line(thaw_html *html, const thaw_line_chart *data, const char *caption)
{
    thaw_line_chart wide = *data;
    thaw_line_chart narrow = *data;
    wide.chart = laid_out(data->chart, THAW_CHART_WIDE);
    narrow.chart = laid_out(data->chart, THAW_CHART_NARROW);
    figure(html, &data->chart, &wide, &narrow, draw_line, caption);
}

void thaw_html_bar(thaw_html *html, const thaw_bar_chart *data, const char *caption)
{
    thaw_bar_chart wide = *data;
    thaw_bar_chart narrow = *data;
    wide.chart = laid_out(data->chart, THAW_CHART_WIDE);
    narrow.chart = laid_out(data->chart, THAW_CHART_NARROW);
    figure(html, &data->chart, &wide, &narrow, draw_bar, caption);
}

void thaw_html_matrix(thaw_html *html, const thaw_matrix_chart *data, const char *caption)
{
    thaw_matrix_chart wide = *data;
    thaw_matrix_chart narrow = *data;
    wide.chart = laid_out(data->chart, THAW_CHART_WIDE);
    narrow.chart = laid_out(data->chart, THAW_CHART_NARROW);
    figure(html, &data->chart, &wide, &narrow, draw_matrix, caption);
}

void thaw_html_finish(thaw_html *html, const char *title, const char *lead, thaw_str *out)
{
    char stamp[64];
    end_section(html);
    thaw_timestamp(stamp, sizeof stamp);
    thaw_str_add(out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
                      "<meta name=\"color-scheme\" content=\"light dark\">\n");
    element(out, "title", NULL, title);
    thaw_str_printf(out, "<style>\n%s", thaw_chart_css());
    thaw_html_css(out);
    thaw_str_add(out, "</style>\n</head>\n<body>\n");
    if (html->section_count > 0)
        thaw_str_add(out, "<a class=\"skip\" href=\"#s1\">To the first section</a>\n");
    thaw_str_add(out, "<main>\n<header>\n");
    element(out, "h1", NULL, title);
    if (lead != NULL)
        element(out, "p", "lead", lead);
    if (html->section_count > 1)
        thaw_str_printf(out, "<nav aria-label=\"Contents\">\n%s</nav>\n",
                        thaw_str_c(&html->contents));
    thaw_str_printf(out, "</header>\n%s<footer>Written by thaw %s (%s) at %s.</footer>\n",
                    thaw_str_c(&html->body), thaw_version(), thaw_commit(), stamp);
    thaw_str_add(out, "</main>\n</body>\n</html>\n");
}

thaw_status thaw_html_write(thaw_html *html, const char *title, const char *lead, const char *path)
{
    thaw_str text = {0};
    thaw_html_finish(html, title, lead, &text);
    thaw_status status = thaw_file_write(path, text.data, text.length);
    thaw_str_clear(&text);
    return status;
}

void thaw_html_clear(thaw_html *html)
{
    thaw_str_clear(&html->body);
    thaw_str_clear(&html->contents);
    memset(html, 0, sizeof *html);
}
