/* note_impl.h - reading a ladder's summary.json, and the words that the note and the report share. */
#ifndef THAW_LADDER_NOTE_IMPL_H
#define THAW_LADDER_NOTE_IMPL_H

#include "ladder/ladder_impl.h"

/* The head of a loop over the items of an array or object: for (LADDER_EACH(rung, summary, "rungs")). */
#define LADDER_EACH(item, json, path)                                                              \
    const thaw_json *item = thaw_json_first(thaw_json_find((json), (path)));                       \
    item != NULL;                                                                                  \
    item = thaw_json_next(item)

const char *ladder_text(const thaw_json *json, const char *path); /* "" when absent */
double ladder_number(const thaw_json *json, const char *path);    /* NaN when absent */
bool ladder_is(const thaw_json *json, const char *path, const char *word);

/* Behind the last slash. */
const char *ladder_base_name(const char *path);
/* Directory of a trial. A ladder's directory may have been moved or copied since: its own trials come first, the recorded path second. */
void ladder_trial_path(const char *directory, const char *recorded, thaw_str *out);

/* Rows of the summary; NULL when absent. */
const thaw_json *ladder_find_rung(const thaw_json *summary, const char *name);
const thaw_json *ladder_find_kind(const thaw_json *summary, const char *kind);
const thaw_json *ladder_find_chosen(const thaw_json *summary);
/* What judged a rung against the best simpler one; a row of comparisons. */
const thaw_json *ladder_find_step(const thaw_json *summary, const char *rung);
const thaw_json *ladder_find_transfer(const thaw_json *summary, const char *rung);
const thaw_json *ladder_find_test(const thaw_json *summary, const char *rung);
const thaw_json *ladder_find_slice(const thaw_json *row, const char *name);
/* "partial" is the kind of "partial:1". */
bool ladder_is_kind(const thaw_json *rung, const char *kind);
bool ladder_is_chosen(const thaw_json *summary, const thaw_json *rung);
/* The chosen rung is surely worse than training from scratch. */
bool ladder_reuse_harms(const thaw_json *summary);
double ladder_trained_share(const thaw_json *rung);

/* Words. A figure that is not there is an en dash. */
void ladder_add_code(thaw_str *out, const char *name); /* `name`, whatever is in it */
void ladder_add_share(thaw_str *out, double share);
/* prefix "accuracy", or where that is not what a ladder was judged by, prefix `other`: "score" (what is paired) or "metric". */
double ladder_value(const thaw_json *row, const char *prefix, const char *other);
/* Judged by accuracy, as everything was before there were other metrics. */
bool ladder_by_accuracy(const thaw_json *summary);
/* Of what is paired: "accuracy", "explained variance". */
const char *ladder_title(const thaw_json *summary);
/* Of train.metric: "accuracy", "RMSE". */
const char *ladder_metric_title(const thaw_json *summary);
/* Of each sample's own score, which slices show: "accuracy", "explained variance". */
const char *ladder_slice_title(const thaw_json *summary);
/* The metric is a share: in percent, its differences in points. */
bool ladder_is_share(const thaw_json *summary);
void ladder_add_metric(thaw_str *out, const thaw_json *summary, double value);
void ladder_add_capital(thaw_str *out, const char *title); /* "Accuracy" for "accuracy" */
/* "10 classes", "3 labels", "2 targets". */
void ladder_add_columns(thaw_str *out, const thaw_json *summary);
/* "Training from scratch is right on ...; the best rung that reuses it, ..., changes that by ... points." */
void ladder_add_harm(thaw_str *out, const thaw_json *summary);
/* Of one paragraph; nothing where the summary has none. */
void ladder_add_second_opinion(thaw_str *out, const thaw_json *summary);
/* "84.2% [83.1, 85.3]" of the row's accuracy, low and high, each key preceded by `prefix`. */
void ladder_add_accuracy(thaw_str *out, const thaw_json *row, const char *prefix);
void ladder_add_difference(thaw_str *out, const thaw_json *row); /* "+1.2 [-0.3, +2.7]" */
void ladder_add_points(thaw_str *out, double share); /* "2 points": a threshold, without a sign */
/* "interval reaches zero, gain below 1 point": why a comparison got its verdict, in few words. */
void ladder_add_reasons(thaw_str *out, const thaw_json *summary, const thaw_json *row);
/* Why nobody should trust these rates, or nothing: "no reason is recorded". */
void ladder_add_doubt(thaw_str *out, const thaw_json *rung);
/* "head 0.3, backbone 0.01": the rates that this rung uses. */
void ladder_add_rates(thaw_str *out, const thaw_json *rung);

/* That gate has too few samples or clusters for any verdict, or nothing. */
void ladder_note_few(const thaw_json *summary, thaw_str *out);

/* What two splits share, and where that was not looked for; or nothing. */
void ladder_note_leaks(const thaw_json *summary, thaw_str *out);

/* note.c: the same for parts that end with an empty line. */
void ladder_note_head(const thaw_json *summary, thaw_str *out); /* the title and the answer */
void ladder_note_data(const thaw_json *summary, thaw_str *out); /* what all rungs had */
void ladder_note_ladder(const thaw_json *summary, thaw_str *out);
void ladder_note_why(const thaw_json *summary, thaw_str *out); /* each step, and a second opinion */

/* note_parts.c: parts of the note that stand in the report too. Markdown without a heading. */
void ladder_note_rates(const thaw_json *summary, thaw_str *out);
void ladder_note_slices(const thaw_json *summary, thaw_str *out);
void ladder_note_negative(const thaw_json *summary, thaw_str *out);
void ladder_note_motion(const thaw_json *summary, thaw_str *out);
void ladder_note_precision(const thaw_json *summary,
                           thaw_str *out); /* nothing where all ran in floats */
void ladder_note_cost(const thaw_json *summary, thaw_str *out);
void ladder_note_deeper(const thaw_json *summary, thaw_str *out);
void ladder_note_untried(const thaw_json *summary, thaw_str *out);

#endif
