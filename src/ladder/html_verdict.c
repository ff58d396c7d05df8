#include "ladder/html_impl.h"

#include <math.h>

#define SLICES_NAMED 5 /* of those that a warning is about */

/* The answer: what to use, how good it is, what it costs, and what to be careful about. */

static const thaw_json *chosen_of(const ladder_page *page)
{
    return page->rungs[page->chosen];
}

/* The comparison that speaks for the choice: its own step up, or the best deeper rung that did not beat it. */
static const thaw_json *deciding_step(const ladder_page *page)
{
    const char *name = page->names[page->chosen];
    const thaw_json *best = ladder_find_step(page->summary, name);
    if (best != NULL)
        return best;
    for (LADDER_EACH(row, page->summary, "comparisons")) {
        if (ladder_is(row, "a", name) &&
            (best == NULL || ladder_number(row, "delta") > ladder_number(best, "delta")))
            best = row;
    }
    return best;
}

/* "It gains ... over frozen. Deeper rungs bring no clear gain over it: full equivalent." */
static void add_steps(const ladder_page *page, thaw_str *out)
{
    const char *name = page->names[page->chosen];
    const thaw_json *step = ladder_find_step(page->summary, name);
    int64_t deeper = 0;
    if (step != NULL) {
        thaw_str base = {0};
        ladder_add_code(&base, ladder_text(step, "a"));
        thaw_str_printf(out, " It gains %s over ", ladder_text(step, "text"));
        ladder_add_link(page, thaw_str_c(&base), step, out);
        thaw_str_add(out, ".");
        thaw_str_clear(&base);
    }
    for (LADDER_EACH(row, page->summary, "comparisons")) {
        if (!ladder_is(row, "a", name))
            continue;
        thaw_str_add(out, deeper++ == 0 ? " Deeper rungs bring no clear gain over it: " : ", ");
        ladder_add_code(out, ladder_text(row, "b"));
        thaw_str_printf(out, " %s", ladder_text(row, "verdict"));
    }
    thaw_str_add(out, deeper > 0 ? "." : "");
}

static void add_answer(ladder_page *page)
{
    const thaw_json *s = page->summary;
    const thaw_json *test = ladder_find_test(s, page->names[page->chosen]);
    const bool right = ladder_by_accuracy(s);
    thaw_str badge = {0};
    thaw_str words = {0};
    thaw_str_printf(&badge, "%s %s", ladder_reuse_harms(s) ? "best reuse:" : "use",
                    page->names[page->chosen]);
    thaw_str_add(&words, "Train ");
    thaw_markdown_escape(&words, ladder_text(chosen_of(page), "trains"));
    thaw_str_printf(&words, ": %s%s**", right ? "" : ladder_title(s), right ? "" : " ");
    ladder_add_accuracy(&words, chosen_of(page), "gate.");
    thaw_str_printf(&words, "** %s ", right ? "right on" : "on");
    ladder_add_link(page, "gate", thaw_json_find(chosen_of(page), "gate"), &words);
    if (test != NULL) {
        thaw_str_add(&words, ", **");
        ladder_add_accuracy(&words, test, "");
        thaw_str_add(&words, "** on ");
        ladder_add_link(page, "test", test, &words);
    }
    thaw_str_add(&words, ".");
    add_steps(page, &words);
    thaw_html_callout(&page->html,
                      ladder_reuse_harms(s)
                          ? THAW_TONE_NEUTRAL
                          : ladder_verdict_tone(ladder_text(s, "transfer.verdict")),
                      thaw_str_c(&badge), thaw_str_c(&words));
    thaw_str_clear(&words);
    thaw_str_clear(&badge);
}

/* Whether to reuse at all comes before how. */
static void add_harm(ladder_page *page)
{
    thaw_str words = {0};
    thaw_str_add(&words, "**Do not reuse this backbone as it is.** ");
    ladder_add_harm(&words, page->summary);
    thaw_html_callout(&page->html, THAW_TONE_BAD, "negative transfer", thaw_str_c(&words));
    thaw_str_clear(&words);
}

/* No proof that the backbone helps: why not. */
static void add_no_evidence(ladder_page *page)
{
    const thaw_json *s = page->summary;
    thaw_str words = {0};
    thaw_markdown_escape(&words, ladder_text(s, "transfer.explanation"));
    if (ladder_is(s, "transfer.verdict", "no evidence") && words.length > 0)
        thaw_html_callout(&page->html, THAW_TONE_WARN, "no evidence that the backbone helps",
                          thaw_str_c(&words));
    thaw_str_clear(&words);
}

static void add_precision(ladder_page *page)
{
    thaw_str words = {0};
    ladder_note_precision(page->summary, &words);
    if (words.length > 0)
        thaw_html_callout(&page->html, THAW_TONE_WARN, "frozen features in 8 bits",
                          thaw_str_c(&words));
    thaw_str_clear(&words);
}

static void tile_chosen(ladder_page *page)
{
    const thaw_json *rung = chosen_of(page);
    thaw_str value = {0};
    thaw_str detail = {0};
    thaw_str_add(&value, page->names[page->chosen]);
    thaw_str_printf(&detail, "trains %s", ladder_text(rung, "trains"));
    ladder_tile_source(page, rung);
    ladder_tile(page, "Chosen rung", &value, &detail, THAW_TONE_NONE);
    thaw_str_clear(&value);
    thaw_str_clear(&detail);
}

static void tile_accuracy(ladder_page *page)
{
    const double level = ladder_number(page->summary, "design.confidence");
    const thaw_json *gate = thaw_json_find(chosen_of(page), "gate");
    const double low = ladder_number(gate, "low");
    const double high = ladder_number(gate, "high");
    thaw_str value = {0};
    thaw_str detail = {0};
    ladder_add_share(&value, ladder_value(gate, "", "score"));
    if (isfinite(level))
        thaw_str_printf(&detail, "%g%% interval ", 100 * level);
    if (isfinite(low) && isfinite(high))
        thaw_str_printf(&detail, "%.1f to %.1f, ", 100 * low, 100 * high);
    thaw_str_printf(&detail, "%lld samples",
                    (long long)thaw_json_int_or(page->summary, "design.gate_samples", 0));
    char title[120] = "Right on gate";
    if (!ladder_by_accuracy(page->summary))
        thaw_format(title, sizeof title, "Gate: %s", ladder_title(page->summary));
    ladder_tile_source(page, gate);
    ladder_tile(page, title, &value, &detail, THAW_TONE_NONE);
    thaw_str_clear(&value);
    thaw_str_clear(&detail);
}

static void tile_difference(ladder_page *page, const char *label, const thaw_json *row,
                            const char *verdict)
{
    char words[40];
    thaw_str value = {0};
    thaw_str detail = {0};
    const double low = ladder_number(row, "low");
    const double high = ladder_number(row, "high");
    thaw_unit_format(ladder_number(row, "delta"), THAW_UNIT_POINTS, words, sizeof words);
    thaw_str_add(&value, words);
    thaw_str_add(&detail, "points");
    if (isfinite(low) && isfinite(high))
        thaw_str_printf(&detail, ", %+.1f to %+.1f", 100 * low, 100 * high);
    thaw_str_printf(&detail, ": %s", verdict);
    ladder_tile_source(page, row);
    ladder_tile(page, label, &value, &detail, ladder_verdict_tone(verdict));
    thaw_str_clear(&value);
    thaw_str_clear(&detail);
}

static void tile_step(ladder_page *page)
{
    const thaw_json *step = deciding_step(page);
    char label[160];
    if (step == NULL)
        return;
    if (ladder_is(step, "b", page->names[page->chosen]))
        thaw_format(label, sizeof label, "Gain over %s", ladder_text(step, "a"));
    else
        thaw_format(label, sizeof label, "%s would gain", ladder_text(step, "b"));
    tile_difference(page, label, step, ladder_text(step, "verdict"));
}

static void tile_share(ladder_page *page)
{
    const thaw_json *rung = chosen_of(page);
    char trained[40];
    char total[40];
    thaw_str value = {0};
    thaw_str detail = {0};
    thaw_unit_format(ladder_number(rung, "parameters.trainable"), THAW_UNIT_COUNT, trained,
                     sizeof trained);
    thaw_unit_format(ladder_number(rung, "parameters.total"), THAW_UNIT_COUNT, total, sizeof total);
    ladder_add_share(&value, ladder_trained_share(rung));
    thaw_str_printf(&detail, "%s of %s parameters", trained, total);
    ladder_tile_source(page, thaw_json_find(rung, "parameters"));
    ladder_tile(page, "Trainable", &value, &detail, THAW_TONE_NONE);
    thaw_str_clear(&value);
    thaw_str_clear(&detail);
}

static void tile_cost(ladder_page *page)
{
    double all = 0;
    char one[40];
    char every[40];
    thaw_str value = {0};
    thaw_str detail = {0};
    for (int64_t i = 0; i < page->count; i++)
        all += thaw_json_double_or(page->rungs[i], "cost.core_seconds", 0);
    thaw_unit_format(ladder_number(chosen_of(page), "cost.core_seconds_per_run"), THAW_UNIT_SECONDS,
                     one, sizeof one);
    thaw_unit_format(all, THAW_UNIT_SECONDS, every, sizeof every);
    thaw_str_add(&value, one);
    thaw_str_printf(&detail, "core time of one run; the whole ladder %s", every);
    ladder_tile_source(page, thaw_json_find(chosen_of(page), "cost"));
    ladder_tile(page, "Cost", &value, &detail, THAW_TONE_NONE);
    thaw_str_clear(&value);
    thaw_str_clear(&detail);
}

static void add_tiles(ladder_page *page)
{
    const thaw_json *s = page->summary;
    tile_chosen(page);
    tile_accuracy(page);
    tile_step(page);
    if (ladder_text(s, "transfer.verdict")[0] != '\0')
        tile_difference(page, "Gain over scratch", thaw_json_find(s, "transfer"),
                        ladder_text(s, "transfer.verdict"));
    tile_share(page);
    tile_cost(page);
}

/* "`Shirt` -5.0 points [95% ...], `Bag` ... and 3 more" */
static void add_slice(thaw_str *out, int64_t *count, const thaw_json *slice, bool failing)
{
    if (++*count > SLICES_NAMED)
        return;
    thaw_str_add(out, *count > 1 ? ", " : "");
    ladder_add_code(out, ladder_text(slice, "name"));
    thaw_str_add(out, " ");
    if (failing)
        ladder_add_accuracy(out, slice, "");
    else
        thaw_str_add(out, ladder_text(slice, "text"));
}

static void warn_of_slices(ladder_page *page, const char *badge, const char *what,
                           const thaw_str *list, int64_t count)
{
    thaw_str words = {0};
    if (count == 0)
        return;
    thaw_str_printf(&words, "%s: %s", what, thaw_str_c(list));
    if (count > SLICES_NAMED)
        thaw_str_printf(&words, " and %lld more", (long long)(count - SLICES_NAMED));
    thaw_str_add(&words, ".");
    thaw_html_callout(&page->html, THAW_TONE_BAD, badge, thaw_str_c(&words));
    thaw_str_clear(&words);
}

static void warn_slices(ladder_page *page)
{
    const thaw_json *transfer = ladder_find_transfer(page->summary, page->names[page->chosen]);
    const double floor = ladder_number(page->summary, "slice_floor");
    char below[100];
    int64_t worse = 0;
    int64_t failing = 0;
    thaw_str worse_list = {0};
    thaw_str failing_list = {0};
    for (LADDER_EACH(slice, transfer, "slices")) {
        if (ladder_is(slice, "verdict", "worse"))
            add_slice(&worse_list, &worse, slice, false);
    }
    for (LADDER_EACH(slice, chosen_of(page), "slices")) {
        if (thaw_json_bool_or(slice, "failing", false))
            add_slice(&failing_list, &failing, slice, true);
    }
    thaw_format(below, sizeof below, "Surely below the floor of %g%%", 100 * floor);
    warn_of_slices(page, "negative transfer", "Surely worse than scratch", &worse_list, worse);
    warn_of_slices(page, failing == 1 ? "failing slice" : "failing slices", below, &failing_list,
                   failing);
    thaw_str_clear(&failing_list);
    thaw_str_clear(&worse_list);
}

static void warn_rates(ladder_page *page)
{
    thaw_str doubt = {0};
    thaw_str words = {0};
    ladder_add_doubt(&doubt, chosen_of(page));
    if (doubt.length > 0) {
        thaw_str_printf(&words, "Same/unjustified learning rates for the chosen rung: %s.",
                        thaw_str_c(&doubt));
        thaw_html_callout(&page->html, THAW_TONE_WARN, "learning rates", thaw_str_c(&words));
    } else if (thaw_json_bool_or(chosen_of(page), "at_edge", false)) {
        thaw_html_callout(&page->html, THAW_TONE_WARN, "learning rates",
                          "The best rate of the chosen rung lies at the edge of the searched "
                          "range; a better one may lie outside.");
    }
    thaw_str_clear(&words);
    thaw_str_clear(&doubt);
}

void ladder_page_verdict(ladder_page *page)
{
    thaw_html_section(&page->html, "Verdict");
    if (ladder_reuse_harms(page->summary))
        add_harm(page);
    add_answer(page);
    add_no_evidence(page);
    add_precision(page);
    warn_slices(page);
    warn_rates(page);
    add_tiles(page);
}
