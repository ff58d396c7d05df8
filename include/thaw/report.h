/* thaw/report.h - what a run leaves for people and for other programs: JSON and JSON Lines, CSV, Markdown, TensorBoard
 * event files, SVG charts, one self-contained HTML page, and the progress line.
 *
 * Everything here is local: nothing communicates and nothing here may decide what ranks do together. The caller decides
 * which rank writes (rank 0). Builders append to a thaw_str or to a value that starts as {0}; like thaw_str they cannot
 * fail visibly: out of memory ends the process through thaw_abort(4). Text is UTF-8. Only reading, parsing and writing
 * files return a status: THAW_ERR_INPUT for what is read, THAW_ERR_RESOURCE for what is written. */
#ifndef THAW_REPORT_H
#define THAW_REPORT_H

#include "thaw/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Numbers for people and for files --------------------------------------------------------------------- */

#define THAW_NUMBER 32
/* The shortest of %.9g, %.15g and %.17g that reads back as the same double; whole numbers below 2^53 without
 * exponent; NaN and infinities give "null". The decimal point is a point in every locale. */
void thaw_number(double value, char out[THAW_NUMBER]);

/* How a figure is shown to a person; axis ticks, bar labels and table cells use the same words. */
typedef enum thaw_unit {
    THAW_UNIT_NUMBER,  /* 0.8421, 12300 */
    THAW_UNIT_PERCENT, /* the value 0.842 shows as "84.2%" */
    THAW_UNIT_POINTS, /* a signed difference of shares: 0.012 shows as "+1.2" (percentage points) */
    THAW_UNIT_COUNT,  /* 11.2M, 840; an axis has whole ticks */
    THAW_UNIT_BYTES,  /* 1.2 MiB */
    THAW_UNIT_SECONDS /* 840 ms, 12.3 s, 4 min 10 s, 2 h 05 min */
} thaw_unit;
/* NaN shows as an en dash. */
void thaw_unit_format(double value, thaw_unit unit, char *out, size_t bytes);

/* ---- JSON ------------------------------------------------------------------------------------------------- */

/* A JSON value. A root is owned by who made it (thaw_json_free); every other value belongs to its parent and dies with
 * it. Keys keep the order in which they were set. Values inside are reached by const pointers. */
typedef struct thaw_json thaw_json;

typedef enum thaw_json_type {
    THAW_JSON_NULL,
    THAW_JSON_BOOL,
    THAW_JSON_NUMBER,
    THAW_JSON_STRING,
    THAW_JSON_ARRAY,
    THAW_JSON_OBJECT
} thaw_json_type;

thaw_json *thaw_json_new_object(void);
thaw_json *thaw_json_new_array(void);
thaw_json *thaw_json_copy(const thaw_json *json); /* deep; a root */
void thaw_json_free(thaw_json **json);

/* Setters: `key` is one literal key (it may contain dots); an existing value of that key is replaced in place.
 * Integers beyond +-2^53 are stored as strings, digests as 32 hex digits; NaN, infinities and NULL strings as null.
 * What set_object, set_array and child return is borrowed; child is the object of that key, made when absent. */
void thaw_json_set_null(thaw_json *object, const char *key);
void thaw_json_set_bool(thaw_json *object, const char *key, bool value);
void thaw_json_set_int(thaw_json *object, const char *key, int64_t value);
void thaw_json_set_double(thaw_json *object, const char *key, double value);
void thaw_json_set_string(thaw_json *object, const char *key, const char *text);
void thaw_json_set_digest(thaw_json *object, const char *key, thaw_digest digest);
void thaw_json_set_doubles(thaw_json *object, const char *key, const double *values, int64_t count);
void thaw_json_set_ints(thaw_json *object, const char *key, const int64_t *values, int64_t count);
void thaw_json_set_strings(thaw_json *object, const char *key, const char *const *values,
                           int64_t count);
thaw_json *thaw_json_set_object(thaw_json *object, const char *key);
thaw_json *thaw_json_set_array(thaw_json *object, const char *key);
thaw_json *thaw_json_child(thaw_json *object, const char *key);
/* Takes a root. */
void thaw_json_set_take(thaw_json *object, const char *key, thaw_json *value);

void thaw_json_add_null(thaw_json *array);
void thaw_json_add_bool(thaw_json *array, bool value);
void thaw_json_add_int(thaw_json *array, int64_t value);
void thaw_json_add_double(thaw_json *array, double value);
void thaw_json_add_string(thaw_json *array, const char *text);
thaw_json *thaw_json_add_object(thaw_json *array);
thaw_json *thaw_json_add_array(thaw_json *array);
void thaw_json_add_take(thaw_json *array, thaw_json *value);

/* Reading. `path` is dotted, array items by number: "rungs.0.val.accuracy"; "" is the value itself. A key that
 * contains dots is found too ("state.layer1.0.conv1"): the longest key that leads to a value wins. */
const thaw_json *thaw_json_find(const thaw_json *json, const char *path); /* NULL when absent */
thaw_json_type thaw_json_type_of(const thaw_json *json); /* NULL pointer: THAW_JSON_NULL */
/* THAW_ERR_INPUT names the path, what was expected and what is there (put the file in front by thaw_fail_context).
 * Strings are borrowed. get_double gives NaN for null, since that is how NaN was written; get_int also reads
 * the string form of large integers and refuses fractions. */
THAW_NODISCARD thaw_status thaw_json_get_bool(const thaw_json *json, const char *path, bool *out);
THAW_NODISCARD thaw_status thaw_json_get_int(const thaw_json *json, const char *path, int64_t *out);
THAW_NODISCARD thaw_status thaw_json_get_double(const thaw_json *json, const char *path,
                                                double *out);
THAW_NODISCARD thaw_status thaw_json_get_string(const thaw_json *json, const char *path,
                                                const char **out);
THAW_NODISCARD thaw_status thaw_json_get_digest(const thaw_json *json, const char *path,
                                                thaw_digest *out);
THAW_NODISCARD thaw_status thaw_json_get_object(const thaw_json *json, const char *path,
                                                const thaw_json **out);
THAW_NODISCARD thaw_status thaw_json_get_array(const thaw_json *json, const char *path,
                                               const thaw_json **out);
/* The same with a fallback for absent or of another type. */
bool thaw_json_bool_or(const thaw_json *json, const char *path, bool fallback);
int64_t thaw_json_int_or(const thaw_json *json, const char *path, int64_t fallback);
double thaw_json_double_or(const thaw_json *json, const char *path, double fallback);
const char *thaw_json_string_or(const thaw_json *json, const char *path, const char *fallback);

/* Items of an array or object, in order: for (item = thaw_json_first(a); item; item = thaw_json_next(item)). */
int64_t thaw_json_count(const thaw_json *json); /* 0 for what has no items */
const thaw_json *thaw_json_first(const thaw_json *json);
const thaw_json *thaw_json_next(const thaw_json *item);
const char *thaw_json_key(const thaw_json *item); /* NULL in an array */
/* Walks; NULL when out of range. */
const thaw_json *thaw_json_at(const thaw_json *array, int64_t index);

/* Text. `name` is for messages: "name:line:column (byte N): ...". Anything after the value is an error. Pretty: two
 * spaces, arrays of plain values on one line; it is what thaw_json_write writes, atomically. */
THAW_NODISCARD thaw_status thaw_json_parse(const char *text, size_t bytes, const char *name,
                                           thaw_json **out);
/* A regular file of at most so many bytes; its values may take tens of times as much memory. */
#define THAW_JSON_MOST_BYTES (1 << 28)
THAW_NODISCARD thaw_status thaw_json_read(const char *path, thaw_json **out);
void thaw_json_compact(const thaw_json *json, thaw_str *out); /* appends one line without its end */
void thaw_json_pretty(const thaw_json *json, thaw_str *out);
THAW_NODISCARD thaw_status thaw_json_write(const char *path, const thaw_json *json);

/* ---- Rows: JSON Lines ------------------------------------------------------------------------------------- */

/* Appends one row with one write(2): a reader, or a crash, sees whole rows except perhaps the last. */
THAW_NODISCARD thaw_status thaw_rows_append(const char *path, const thaw_json *row);
/* Before a resumed run appends: cuts the file before the first row whose number `key` exceeds `last`, and drops a torn
 * last line. Rows without the key stay where they are. A missing file is fine; `kept` may be NULL.
 * THAW_ERR_INPUT (file:line) when a line that is not the last is no JSON. */
THAW_NODISCARD thaw_status thaw_rows_truncate(const char *path, const char *key, int64_t last,
                                              int64_t *kept);
/* All rows as an array; a torn last line is left out. */
THAW_NODISCARD thaw_status thaw_rows_read(const char *path, thaw_json **out);

/* ---- Tables: Markdown, HTML, CSV and terminal from one builder -------------------------------------------- */

typedef enum thaw_align { THAW_LEFT, THAW_RIGHT, THAW_CENTER } thaw_align;
/* What a mark means: colour in HTML, never the only carrier of the meaning (the words are there too). */
typedef enum thaw_tone {
    THAW_TONE_NONE,
    THAW_TONE_GOOD,
    THAW_TONE_NEUTRAL,
    THAW_TONE_WARN,
    THAW_TONE_BAD
} thaw_tone;

#define THAW_TABLE_COLUMNS 32
/* Bytes of the id of a record in an HTML page. */
#define THAW_RECORD_ID 200
/* `thaw_table table = {0};`, then columns, then cells row by row (a row is full when it has as many cells as there are
 * columns; the writers fill up the last one). */
typedef struct thaw_table {
    thaw_str headers, cells; /* each text ended by 0; a cell starts with its tone and source */
    thaw_align align[THAW_TABLE_COLUMNS];
    int column_count;
    int64_t cell_count;
    char source[THAW_RECORD_ID]; /* of the cells to come */
} thaw_table;

void thaw_table_column(thaw_table *table, const char *header, thaw_align align);
void thaw_table_cell(thaw_table *table, const char *text);
void thaw_table_printf(thaw_table *table, const char *format, ...) THAW_PRINTF(2, 3);
void thaw_table_value(thaw_table *table, double value, thaw_unit unit);
/* A cell with a mark; plain text outside HTML. */
void thaw_table_badge(thaw_table *table, thaw_tone tone, const char *text);
/* The record (thaw_html_record) that the figures of the cells to come are from: in HTML they link to it. NULL: none. Cells of the first
 * column, which name the row, and cells without a digit have no link. */
void thaw_table_source(thaw_table *table, const char *id);
/* Markdown with padded columns, readable as it is; text for a terminal; CSV with the quoting of RFC 4180 and LF. */
void thaw_table_markdown(const thaw_table *table, thaw_str *out);
void thaw_table_text(const thaw_table *table, thaw_str *out);
void thaw_table_csv(const thaw_table *table, thaw_str *out);
void thaw_table_clear(thaw_table *table);

/* Fields of a CSV line, for files too long for a table: out is the file so far, first starts a line. */
void thaw_csv_field(thaw_str *out, const char *text, bool first);
void thaw_csv_number(thaw_str *out, double value, bool first); /* NaN: empty */
void thaw_csv_end(thaw_str *out);

/* Appends text with what Markdown would read as markup escaped; line breaks become spaces. */
void thaw_markdown_escape(thaw_str *out, const char *text);

/* ---- TensorBoard event files ------------------------------------------------------------------------------ */

/* Scalars for TensorBoard. Records are collected in a fixed buffer (no allocation after opening) and appended by
 * thaw_events_flush or when it is full. Source: TFRecord framing and event.proto of TensorFlow. */
typedef struct thaw_events thaw_events;

/* Makes directory/events.out.tfevents.<unix seconds>.thaw; a name that is taken is never reused. first_step > 0 (a
 * resumed run) also writes a session start, upon which TensorBoard drops what older files hold from that step on. */
THAW_NODISCARD thaw_status thaw_events_open(const char *directory, int64_t first_step,
                                            thaw_events **out);
THAW_NODISCARD thaw_status thaw_events_scalar(thaw_events *events, const char *tag, int64_t step,
                                              double value);
THAW_NODISCARD thaw_status thaw_events_flush(thaw_events *events);
const char *thaw_events_path(const thaw_events *events);
/* Flushes, then frees whatever happens. NULL is fine. */
THAW_NODISCARD thaw_status thaw_events_close(thaw_events **events);
/* CRC-32C (Castagnoli), reflected; crc of "123456789" is 0xe3069283. */
uint32_t thaw_crc32c(const void *data, size_t bytes);

/* ---- Charts: SVG ------------------------------------------------------------------------------------------ */

/* Every chart function appends one <svg> that scales with its viewBox `width` (0: THAW_CHART_WIDE). Colours are the
 * CSS custom properties of thaw_chart_css, so that light, dark and print differ by the style alone; an SVG for a
 * file of its own comes from thaw_chart_standalone. Text is 14 units high: THAW_CHART_NARROW is laid out for a
 * phone, and thaw_html_interval and its like put both layouts into the page, which shows the one that fits. Arrays
 * are borrowed for the call. NaN marks "not there". `colour` is an index into a palette that stays apart for colour-
 * blind readers; give a rung the same index in every chart (thaw_chart_colour). */
#define THAW_CHART_WIDE    940
#define THAW_CHART_NARROW  350
#define THAW_CHART_COLOURS 8

typedef struct thaw_chart {
    const char *title;       /* shown above the chart and read aloud */
    const char *description; /* the finding in one or two sentences, for those who cannot see it */
    const char *axis_label;  /* of the value axis */
    thaw_unit unit;          /* of the value axis */
    double width;            /* 0: THAW_CHART_WIDE */
    bool untitled;           /* the title is only read aloud: the page around shows it */
} thaw_chart;

/* Index of a rung ("scratch", "frozen", "peft", "partial:1", "full"); other words get a fixed index by their text. */
int thaw_chart_colour(const char *rung);

/* (a) Mean, interval and single runs, one row a category. */
typedef struct thaw_interval_chart {
    thaw_chart chart;
    int64_t count;
    const char *const *labels;       /* count */
    const double *mean, *low, *high; /* count; low and high may be NULL */
    const int *colours;              /* count, or NULL: 0, 1, 2, ... */
    const double *const *dots;       /* count arrays, or NULL: a dot for each run */
    const int64_t *dot_counts;       /* count */
    const char *chosen;              /* label of the row to mark; NULL: none */
    const char *reference_label;     /* of a vertical line; NULL: none */
    double reference;
} thaw_interval_chart;
void thaw_chart_interval(const thaw_interval_chart *data, thaw_str *out);

/* (b) Curves. A series without name is left out of the legend (the second seed of a rung). */
typedef struct thaw_series {
    const char *name;
    const double *x, *y; /* count; a NaN interrupts the line */
    int64_t count;
    int colour;
    bool dashed, thin;
} thaw_series;
typedef struct thaw_line_chart {
    thaw_chart chart; /* axis_label and unit are those of y */
    int64_t count;
    const thaw_series *series;
    const char *x_label;
    thaw_unit x_unit;
    bool log_x, log_y; /* values that have no logarithm are left out */
} thaw_line_chart;
void thaw_chart_line(const thaw_line_chart *data, thaw_str *out);

/* (c) Horizontal bars, grouped or stacked. */
typedef struct thaw_bar_chart {
    thaw_chart chart;
    int64_t count, series_count;
    const char *const *labels;       /* count */
    const char *const *series_names; /* series_count; NULL when there is one series */
    const double *values;            /* (count, series_count) */
    const int *colours;              /* series_count; with one series: count; NULL: 0, 1, 2, ... */
    bool stacked;
    bool log_scale; /* ignored when stacked; a zero is written, not drawn */
} thaw_bar_chart;
void thaw_chart_bar(const thaw_bar_chart *data, thaw_str *out);

/* (d) Matrix of counts. Diverging: how a confusion matrix changed, more in one colour and fewer in another. */
typedef struct thaw_matrix_chart {
    thaw_chart chart; /* axis_label and unit are not used */
    int64_t row_count, column_count;
    const char *const *row_labels, *const *column_labels;
    const char *row_title, *column_title; /* "true class", "predicted class" */
    const double *values;                 /* (row_count, column_count) */
    bool diverging;
} thaw_matrix_chart;
void thaw_chart_matrix(const thaw_matrix_chart *data, thaw_str *out);

/* Style sheet of the charts, light and dark. */
const char *thaw_chart_css(void);
/* Appends the SVG of one chart as a file of its own, with its style inside. */
void thaw_chart_standalone(const thaw_str *svg, thaw_str *out);

#define THAW_TICKS 12
/* Ticks at 1, 2 or 5 times a power of ten that lie in [low, high], about `wanted` of them (at most THAW_TICKS).
 * Returns their count; *step may be NULL. Logarithmic: powers of ten, with 2 and 5 between when there is room. */
int thaw_ticks(double low, double high, int wanted, double ticks[THAW_TICKS], double *step);
int thaw_ticks_log(double low, double high, int wanted, double ticks[THAW_TICKS]);

/* ---- HTML ------------------------------------------------------------------------------------------------- */

/* One self-contained page: `thaw_html html = {0};`, content in reading order, then thaw_html_finish or _write. All text
 * is escaped. No script, no external resource. */
typedef struct thaw_html {
    thaw_str body, contents;
    int section_count;
    int open_details, table_count;
    bool in_section, in_tiles, in_facts, in_records;
    char source[THAW_RECORD_ID]; /* of the next tile */
} thaw_html;

/* Ends the section before; listed at the top of the page. */
void thaw_html_section(thaw_html *html, const char *title);
void thaw_html_heading(thaw_html *html, const char *text); /* inside a section */
/* Paragraphs, list items, callouts and the captions of charts read **bold**, *emphasis* and `code`; a value that may
 * hold such signs goes through thaw_markdown_escape. */
void thaw_html_paragraph(thaw_html *html, const char *text);
void thaw_html_preformatted(thaw_html *html, const char *text);
/* Cells are plain text, the first of a row is its heading. caption may be NULL. */
void thaw_html_table(thaw_html *html, const thaw_table *table, const char *caption);
void thaw_html_list(thaw_html *html, const char *const *items, int64_t count);
/* A sentence that must not be missed, with its badge: (good, "clear gain", "peft beats frozen by ..."). */
void thaw_html_callout(thaw_html *html, thaw_tone tone, const char *badge, const char *text);
/* The record that the value of the next tile links to; NULL: none. */
void thaw_html_source(thaw_html *html, const char *id);
/* Big figures in a row; consecutive calls form one group. detail may be NULL. */
void thaw_html_tile(thaw_html *html, const char *label, const char *value, const char *detail,
                    thaw_tone tone);
/* Name and value in a grid; consecutive calls form one group. */
void thaw_html_fact(thaw_html *html, const char *name, const char *value);
/* What figures are from, as it was recorded: `name` says where, `text` is shown as it is. Consecutive calls form one group, which is not
 * printed. The id is unique in the page and may not begin with "s" or "t" and a digit. */
void thaw_html_record(thaw_html *html, const char *id, const char *name, const char *text);
void thaw_html_details_begin(thaw_html *html, const char *summary);
void thaw_html_details_end(thaw_html *html);
/* A chart in both layouts, with a caption (NULL: none). */
void thaw_html_interval(thaw_html *html, const thaw_interval_chart *data, const char *caption);
void thaw_html_line(thaw_html *html, const thaw_line_chart *data, const char *caption);
void thaw_html_bar(thaw_html *html, const thaw_bar_chart *data, const char *caption);
void thaw_html_matrix(thaw_html *html, const thaw_matrix_chart *data, const char *caption);
/* The Markdown that we write ourselves: headings, paragraphs, **bold**, *emphasis*, `code`, fences, lists, tables,
 * quotes. Its headings start at <h3>; nothing in it can reach the page as markup. */
void thaw_html_markdown(thaw_html *html, const char *markdown);

/* Appends the whole page. `lead` is the sentence under the title; NULL: none. */
void thaw_html_finish(thaw_html *html, const char *title, const char *lead, thaw_str *out);
THAW_NODISCARD thaw_status thaw_html_write(thaw_html *html, const char *title, const char *lead,
                                           const char *path);
void thaw_html_clear(thaw_html *html);
void thaw_html_escape(thaw_str *out, const char *text);

/* ---- Progress line ---------------------------------------------------------------------------------------- */

/* One line on the terminal, redrawn, when stderr is one; else a log line every N seconds. No allocation after start, no
 * say in anything: it reads the local clock. The caller starts it on rank 0 only; a {0} one does nothing.
 * The environment variable THAW_PROGRESS wins: "bar", "off", or a number of seconds between plain lines. */
typedef struct thaw_progress {
    bool active, bar, drawn;
    char label[48];
    int64_t total, first;   /* steps; first is where a resumed run starts */
    double interval;        /* seconds between lines */
    double start, last;     /* seconds */
    double recent_time[16]; /* window of the rate */
    int64_t recent_samples[16], recent_step[16];
    int recent_count;
    int64_t step, samples;
    double loss;
    int columns; /* of the terminal; 0: ask */
    int fd;      /* where the bar goes */
} thaw_progress;

/* interval 0: 10 seconds. */
void thaw_progress_start(thaw_progress *progress, const char *label, int64_t first, int64_t total,
                         double interval);
/* `step` steps are done, which saw `samples` samples since the start; loss NaN: not known. */
void thaw_progress_update(thaw_progress *progress, int64_t step, int64_t samples, double loss);
/* Wipes the bar so that a log line can be printed; the next update draws it again. */
void thaw_progress_hide(thaw_progress *progress);
void thaw_progress_finish(thaw_progress *progress);
/* The line as it would be shown at `now` in `columns` columns (0: plain). */
void thaw_progress_format(const thaw_progress *progress, double now, int columns, char *out,
                          size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
