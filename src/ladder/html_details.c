#include "ladder/html_impl.h"

/* What to do next, what was left out, and everything that a reader may want to look up. */

void ladder_page_outlook(ladder_page *page)
{
    thaw_str deeper = {0};
    thaw_str untried = {0};
    ladder_note_deeper(page->summary, &deeper);
    ladder_note_untried(page->summary, &untried);
    thaw_html_section(&page->html, "What next");
    thaw_html_heading(&page->html, "What would justify unfreezing more");
    thaw_html_markdown(&page->html, thaw_str_c(&deeper));
    thaw_html_heading(&page->html, "What was not tried");
    thaw_html_markdown(&page->html, thaw_str_c(&untried));
    thaw_str_clear(&untried);
    thaw_str_clear(&deeper);
}

static void add_facts(ladder_page *page)
{
    static const struct {
        const char *name, *path;
    } words[] = {{"Dataset", "dataset"},   {"Dataset digest", "dataset_digest"},
                 {"Backbone", "backbone"}, {"Chosen run", "chosen_directory"},
                 {"Output", "output"},     {"Mode", "mode"},
                 {"Version", "version"}};
    static const struct {
        const char *name, *path;
    } numbers[] = {{"First seed", "seed"},
                   {"Seeds", "seeds"},
                   {"Epochs", "epochs"},
                   {"Batch", "batch"},
                   {"Shards", "shards"}};
    const thaw_json *s = page->summary;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (ladder_text(s, words[i].path)[0] != '\0')
            thaw_html_fact(&page->html, words[i].name, ladder_text(s, words[i].path));
    }
    for (LADDER_EACH(split, s, "splits")) {
        char name[100];
        thaw_format(name, sizeof name, "Split %s", thaw_json_key(split));
        ladder_fact(page, name, "%lld samples", (long long)thaw_json_int_or(split, "", 0));
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        ladder_fact(page, numbers[i].name, "%lld",
                    (long long)thaw_json_int_or(s, numbers[i].path, 0));
    ladder_fact(page, "Augmentation", thaw_json_bool_or(s, "augmented", false) ? "yes" : "no");
}

/* Val was measured in the row of the epoch that was kept, where the run's metrics are still there. */
static void val_source(const ladder_page *page, const thaw_json *seed, thaw_table *table)
{
    char id[THAW_RECORD_ID];
    int64_t line;
    thaw_json *row = ladder_kept_row(page, seed, &line);
    if (row != NULL && ladder_metrics_id(page, seed, id))
        thaw_table_source(table, id);
    thaw_json_free(&row);
}

static void run_row(const ladder_page *page, const thaw_json *rung, const thaw_json *seed,
                    thaw_table *table)
{
    static const char *const splits[] = {"train_", "val_", "gate_"};
    const thaw_json *s = page->summary;
    ladder_source(page, table, seed);
    thaw_table_cell(table, ladder_text(rung, "name"));
    thaw_table_printf(table, "%lld", (long long)thaw_json_int_or(seed, "seed", 0));
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++) {
        thaw_str words = {0};
        ladder_add_metric(&words, s, ladder_value(seed, splits[i], "metric"));
        if (i == 1)
            val_source(page, seed, table);
        thaw_table_cell(table, thaw_str_c(&words));
        ladder_source(page, table, seed);
        thaw_str_clear(&words);
    }
    thaw_table_printf(table, "%lld", (long long)thaw_json_int_or(seed, "selected_epoch", 0));
    thaw_table_cell(table, ladder_text(seed, "state_digest"));
}

static void add_runs(ladder_page *page)
{
    static const char *const titles[] = {"rung", "seed",           "train",       "val",
                                         "gate", "selected epoch", "state digest"};
    static const thaw_align aligns[] = {THAW_LEFT,  THAW_RIGHT, THAW_RIGHT, THAW_RIGHT,
                                        THAW_RIGHT, THAW_RIGHT, THAW_LEFT};
    thaw_table table = {0};
    thaw_str caption = {0};
    ladder_columns(&table, titles, aligns, 7);
    for (int64_t i = 0; i < page->count; i++) {
        for (LADDER_EACH(seed, page->rungs[i], "seeds"))
            run_row(page, page->rungs[i], seed, &table);
    }
    ladder_add_capital(&caption, ladder_metric_title(page->summary));
    thaw_str_add(&caption, " of every run at its chosen rate.");
    ladder_table(page, &table, thaw_str_c(&caption));
    thaw_str_clear(&caption);
}

static void add_note(ladder_page *page)
{
    thaw_str note = {0};
    if (ladder_note_markdown(page->summary, &note) == THAW_OK)
        thaw_html_markdown(&page->html, thaw_str_c(&note));
    thaw_str_clear(&note);
}

void ladder_page_details(ladder_page *page)
{
    thaw_html_section(&page->html, "Details");
    thaw_html_details_begin(&page->html, "Data, backbone, settings, version");
    add_facts(page);
    thaw_html_details_end(&page->html);
    thaw_html_details_begin(&page->html, "Every run");
    add_runs(page);
    thaw_html_details_end(&page->html);
    thaw_html_details_begin(&page->html, "The whole note (note-full.md)");
    add_note(page);
    thaw_html_details_end(&page->html);
}
