#include "ladder/html_impl.h"

/* report.html of a ladder: the verdict first, then what it rests on, then what a reader may want to look up. */

static bool is_taken(const ladder_page *page, int colour)
{
    for (int64_t i = 0; i < page->count; i++) {
        if (page->colours[i] == colour)
            return true;
    }
    return false;
}

/* Every rung has its usual colour; the second of a kind ("partial:2") takes one that is free. */
static int colour_of(const ladder_page *page, const char *name)
{
    const int usual = thaw_chart_colour(name);
    int colour = usual;
    for (int i = THAW_CHART_COLOURS - 1; i >= 5 && is_taken(page, colour); i--)
        colour = i;
    return is_taken(page, colour) ? usual : colour;
}

static void collect_rungs(ladder_page *page)
{
    page->chosen = -1;
    for (LADDER_EACH(rung, page->summary, "rungs")) {
        if (page->count == PAGE_RUNGS)
            return;
        const int64_t i = page->count;
        page->rungs[i] = rung;
        page->names[i] = ladder_text(rung, "name");
        page->colours[i] = colour_of(page, page->names[i]);
        if (ladder_is_chosen(page->summary, rung))
            page->chosen = i;
        page->count++;
    }
}

static void add_lead(const thaw_json *s, thaw_str *out)
{
    const char *between = "";
    thaw_str_printf(out, "%s adapted to %s: ", ladder_text(s, "backbone"),
                    ladder_text(s, "dataset"));
    ladder_add_columns(out, s);
    thaw_str_add(out, "; ");
    for (LADDER_EACH(split, s, "splits")) {
        thaw_str_printf(out, "%s%s %lld", between, thaw_json_key(split),
                        (long long)thaw_json_int_or(split, "", 0));
        between = ", ";
    }
    thaw_str_printf(out, " samples; %lld seeds a rung.",
                    (long long)thaw_json_int_or(s, "seeds", 0));
}

static thaw_status write_sections(ladder_page *page)
{
    ladder_page_verdict(page);
    ladder_page_ladder(page);
    ladder_page_test(page);
    THAW_TRY(ladder_page_slices(page));
    THAW_TRY(ladder_page_confusion(page));
    THAW_TRY(ladder_page_curves(page));
    THAW_TRY(ladder_page_motion(page));
    ladder_page_cost(page);
    ladder_page_rates(page);
    ladder_page_gate(page);
    ladder_page_outlook(page);
    ladder_page_details(page);
    ladder_page_records(page);
    return THAW_OK;
}

thaw_status ladder_write_html(const thaw_json *summary, const char *directory, const char *path)
{
    ladder_page page = {.summary = summary, .directory = directory};
    thaw_str title = {0};
    thaw_str lead = {0};
    thaw_status status;
    collect_rungs(&page);
    THAW_CHECK_TO(page.chosen >= 0, THAW_ERR_INPUT,
                  "summary.json names no chosen rung; the ladder is not complete");
    THAW_TRY_TO(write_sections(&page));
    thaw_str_printf(&title, "Transfer report: %s", ladder_text(summary, "name"));
    add_lead(summary, &lead);
    status = thaw_html_write(&page.html, thaw_str_c(&title), thaw_str_c(&lead), path);
done:
    thaw_html_clear(&page.html);
    thaw_str_clear(&lead);
    thaw_str_clear(&title);
    return status;
}
