#include "ladder/html_impl.h"

#include <string.h>

/* Where every figure of the report is from: the objects of summary.json by their paths, and of each run the row of metrics.jsonl of the
 * epoch that was kept. They are in the page, since a report that came by mail has no files beside it. */

#define LONG_LIST 400 /* values of a list that are written out; a confusion matrix of 20 classes */

/* Appends the path of `wanted` below `at` to path[0..used). */
static bool find_path(const thaw_json *at, const thaw_json *wanted, char path[THAW_RECORD_ID],
                      size_t used)
{
    const char *between = used > 0 ? "." : "";
    int64_t index = 0;
    for (const thaw_json *item = thaw_json_first(at); item != NULL; item = thaw_json_next(item)) {
        /* A confusion matrix alone may have a million numbers. */
        if (thaw_json_type_of(item) != THAW_JSON_OBJECT && thaw_json_first(item) == NULL) {
            index++;
            continue;
        }
        if (thaw_json_key(item) != NULL)
            (void)thaw_format(path + used, THAW_RECORD_ID - used, "%s%s", between,
                              thaw_json_key(item));
        else
            (void)thaw_format(path + used, THAW_RECORD_ID - used, "%s%lld", between,
                              (long long)index);
        index++;
        if (item == wanted || find_path(item, wanted, path, strlen(path)))
            return true;
    }
    path[used] = '\0';
    return false;
}

bool ladder_record_id(const ladder_page *page, const thaw_json *row, char id[THAW_RECORD_ID])
{
    id[0] = '\0';
    return thaw_json_type_of(row) == THAW_JSON_OBJECT && find_path(page->summary, row, id, 0);
}

void ladder_source(const ladder_page *page, thaw_table *table, const thaw_json *row)
{
    char id[THAW_RECORD_ID];
    thaw_table_source(table, ladder_record_id(page, row, id) ? id : NULL);
}

void ladder_tile_source(ladder_page *page, const thaw_json *row)
{
    char id[THAW_RECORD_ID];
    thaw_html_source(&page->html, ladder_record_id(page, row, id) ? id : NULL);
}

void ladder_add_link(const ladder_page *page, const char *words, const thaw_json *row,
                     thaw_str *out)
{
    char id[THAW_RECORD_ID];
    if (ladder_record_id(page, row, id))
        thaw_str_printf(out, "[%s](#%s)", words, id);
    else
        thaw_str_add(out, words);
}

void ladder_add_records(const ladder_page *page, const char *path, thaw_str *out)
{
    const char *between = " Recorded of ";
    for (int64_t i = 0; i < page->count; i++) {
        const thaw_json *row = thaw_json_find(page->rungs[i], path);
        thaw_str name = {0};
        if (thaw_json_type_of(row) != THAW_JSON_OBJECT)
            continue;
        ladder_add_code(&name, page->names[i]);
        thaw_str_add(out, between);
        ladder_add_link(page, thaw_str_c(&name), row, out);
        thaw_str_clear(&name);
        between = ", ";
    }
    thaw_str_add(out, between[0] == ',' ? "." : "");
}

/* Objects have records of their own, one by one. */
static bool is_apart(const thaw_json *item)
{
    const thaw_json_type first = thaw_json_type_of(thaw_json_first(item));
    return thaw_json_type_of(item) == THAW_JSON_OBJECT ||
           (thaw_json_type_of(item) == THAW_JSON_ARRAY && first == THAW_JSON_OBJECT);
}

static void add_own(ladder_page *page, const char *path, const thaw_json *object)
{
    thaw_json *own = thaw_json_new_object();
    thaw_str text = {0};
    for (LADDER_EACH(item, object, "")) {
        if (is_apart(item))
            continue;
        if (thaw_json_count(item) > LONG_LIST)
            thaw_json_set_string(own, thaw_json_key(item), "a long list, in summary.json");
        else
            thaw_json_set_take(own, thaw_json_key(item), thaw_json_copy(item));
    }
    thaw_json_compact(own, &text);
    thaw_html_record(&page->html, path, path, thaw_str_c(&text));
    thaw_str_clear(&text);
    thaw_json_free(&own);
}

/* Records of all objects in `at`, which lies at `path`. */
static void add_all(ladder_page *page, const char *path, const thaw_json *at)
{
    int64_t index = 0;
    for (LADDER_EACH(item, at, "")) {
        char below[THAW_RECORD_ID];
        const char *between = path[0] != '\0' ? "." : "";
        if (thaw_json_key(item) != NULL)
            (void)thaw_format(below, sizeof below, "%s%s%s", path, between, thaw_json_key(item));
        else
            (void)thaw_format(below, sizeof below, "%s%s%lld", path, between, (long long)index);
        index++;
        if (!is_apart(item))
            continue;
        if (thaw_json_type_of(item) == THAW_JSON_OBJECT)
            add_own(page, below, item);
        add_all(page, below, item);
    }
}

bool ladder_metrics_id(const ladder_page *page, const thaw_json *seed, char id[THAW_RECORD_ID])
{
    char path[THAW_RECORD_ID];
    id[0] = '\0';
    return ladder_record_id(page, seed, path) &&
           thaw_format(id, THAW_RECORD_ID, "metrics.%s", path);
}

thaw_json *ladder_kept_row(const ladder_page *page, const thaw_json *seed, int64_t *line)
{
    const int64_t kept = thaw_json_int_or(seed, "selected_epoch", -1);
    thaw_str path = {0};
    thaw_json *rows = NULL;
    thaw_json *found = NULL;
    int64_t at = 0;
    if (ladder_find_metrics(page, ladder_text(seed, "directory"), &path) &&
        thaw_rows_read(thaw_str_c(&path), &rows) != THAW_OK)
        thaw_error_clear(); /* the curves say that it cannot be read */
    for (LADDER_EACH(row, rows, "")) {
        at++;
        if (found != NULL || !ladder_is(row, "kind", "epoch") ||
            thaw_json_int_or(row, "epoch", -1) != kept)
            continue;
        found = thaw_json_copy(row);
        *line = at;
    }
    thaw_json_free(&rows);
    thaw_str_clear(&path);
    return found;
}

static void add_metrics(ladder_page *page, const thaw_json *seed)
{
    char id[THAW_RECORD_ID];
    int64_t line = 0;
    thaw_str name = {0};
    thaw_str text = {0};
    thaw_json *row = ladder_kept_row(page, seed, &line);
    if (row != NULL && ladder_metrics_id(page, seed, id)) {
        thaw_str_printf(&name, "%s/metrics.jsonl, row %lld",
                        ladder_base_name(ladder_text(seed, "directory")), (long long)line);
        thaw_json_compact(row, &text);
        thaw_html_record(&page->html, id, thaw_str_c(&name), thaw_str_c(&text));
    }
    thaw_str_clear(&text);
    thaw_str_clear(&name);
    thaw_json_free(&row);
}

void ladder_page_records(ladder_page *page)
{
    thaw_html_section(&page->html, "Records");
    ladder_paragraph(page, "What the figures above are from, as `summary.json` and each run's "
                           "`metrics.jsonl` hold it; underlined figures lead here. The first "
                           "words of a record are its path in the file. Not printed.");
    add_own(page, "summary", page->summary);
    add_all(page, "", page->summary);
    for (int64_t i = 0; i < page->count; i++)
        for (LADDER_EACH(seed, page->rungs[i], "seeds"))
            add_metrics(page, seed);
}
