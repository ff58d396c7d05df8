#include "ladder/note_impl.h"

#include <math.h>

/* The note on one page: what to use, why, at what cost, what to beware of, and what next. What else is known stands in the long note. */

static void write_gate(const thaw_json *s, thaw_str *out)
{
    const char *between = "Smallest gain that gate can show: ";
    for (LADDER_EACH(row, s, "design.detectable")) {
        thaw_str_printf(out, "%s%.1f points when %.0f%% of the predictions change", between,
                        100 * ladder_number(row, "difference"),
                        100 * ladder_number(row, "discordance"));
        between = ", ";
    }
    thaw_str_add(out, between[0] == ',' ? "; smaller ones may exist unseen.\n" : "");
    ladder_note_few(s, out);
}

static void write_cost(const thaw_json *s, thaw_str *out)
{
    const char *between = "Core time of one run: ";
    double all = 0;
    char words[40];
    for (LADDER_EACH(rung, s, "rungs")) {
        const double seconds = ladder_number(rung, "cost.core_seconds_per_run");
        if (!isfinite(seconds))
            continue;
        thaw_unit_format(seconds, THAW_UNIT_SECONDS, words, sizeof words);
        thaw_str_printf(out, "%s`%s` %s", between, ladder_text(rung, "name"), words);
        all += fmax(0, thaw_json_double_or(rung, "cost.core_seconds", 0));
        between = ", ";
    }
    thaw_unit_format(all, THAW_UNIT_SECONDS, words, sizeof words);
    if (between[0] == ',')
        thaw_str_printf(out, "; the whole ladder, its rate search included, %s.\n\n", words);
}

/* Slices of the chosen rung that are surely below the floor. */
static void write_failing(const thaw_json *s, thaw_str *out)
{
    const char *between = ": ";
    thaw_str list = {0};
    for (LADDER_EACH(slice, ladder_find_chosen(s), "slices")) {
        if (!thaw_json_bool_or(slice, "failing", false))
            continue;
        thaw_str_add(&list, between);
        ladder_add_code(&list, ladder_text(slice, "name"));
        thaw_str_add(&list, " ");
        ladder_add_accuracy(&list, slice, "");
        between = ", ";
    }
    if (list.length > 0)
        thaw_str_printf(out, "- Surely below the floor of %g%%%s.\n",
                        100 * ladder_number(s, "slice_floor"), thaw_str_c(&list));
    thaw_str_clear(&list);
}

static void write_beware(const thaw_json *s, thaw_str *out)
{
    write_failing(s, out);
    ladder_note_negative(s, out);
}

thaw_status ladder_note_page(const thaw_json *summary, thaw_str *out)
{
    static const struct {
        const char *title;
        void (*write)(const thaw_json *summary, thaw_str *out);
    } parts[] = {{"Slices and negative transfer", write_beware},
                 {"Learning rates, and why these", ladder_note_rates},
                 {"What would justify unfreezing more", ladder_note_deeper},
                 {"What was not tried", ladder_note_untried}};
    THAW_CHECK(ladder_find_chosen(summary) != NULL, THAW_ERR_INPUT,
               "summary.json names no chosen rung; the ladder is not complete");
    ladder_note_head(summary, out);
    thaw_str_add(out, "## Each rung against simpler reuse\n\n");
    ladder_note_ladder(summary, out);
    write_cost(summary, out);
    thaw_str_add(out, "## Why this depth\n\n");
    ladder_note_why(summary, out);
    thaw_str_add(out, "## The task\n\n");
    ladder_note_data(summary, out);
    write_gate(summary, out);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        thaw_str_printf(out, "\n## %s\n\n", parts[i].title);
        parts[i].write(summary, out);
    }
    thaw_str_add(out,
                 "\n`note-full.md` has what was frozen and trained, every slice, what moved and "
                 "all costs; `report.html` the same with charts, and what each figure is "
                 "from.\n");
    return THAW_OK;
}
