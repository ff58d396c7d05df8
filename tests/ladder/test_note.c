/* The transfer note: every part that a reader must find, and no sentence without a figure behind it.
 * THAW_SAMPLE_NOTE=file keeps it, to be read.
 * thaw-test: modules=kern,h5,graph,adapt,optim,ckpt */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
/* after the standard headers that it needs */
#include <cmocka.h>

#include "sample_summary.h"

static void assert_has(const char *text, const char *words)
{
    if (strstr(text, words) == NULL)
        fail_msg("the note lacks: %s\n%s", words, text);
}

static void assert_lacks(const char *text, const char *words)
{
    if (strstr(text, words) != NULL)
        fail_msg("the note has: %.80s", strstr(text, words));
}

static void write_note(const thaw_json *summary, thaw_str *out)
{
    thaw_str_reset(out);
    assert_int_equal(ladder_note_markdown(summary, out), THAW_OK);
    assert_lacks(out->data, "nan");
    assert_lacks(out->data, "(null)");
    assert_lacks(out->data, "null");
}

/* A value inside the summary, to be changed. Only what the summary owns is reached. */
static thaw_json *inside(const thaw_json *summary, const char *path)
{
    return (thaw_json *)(uintptr_t)thaw_json_find(summary, path);
}

static void test_parts(void **state)
{
    static const char *const parts[] = {
        "# Transfer note: fashion-transfer",
        "**Use rung `peft`.**",
        "85.9% [83.7, 88.1] of 1000 gate samples (mean of 3 seeds, 95% interval)",
        "85.2% [84.1, 86.3] of 5000 test samples, opened once after the choice",
        "Against `frozen`, the best simpler rung: **clear gain**",
        "Against training from scratch: **helps**, +11.8 [+8.8, +14.8] points",
        "## The task",
        "train 250, val 500, gate 1000, test 5000 samples",
        "a gain of 3.4 points, when 10% of the predictions change",
        "## Each rung against simpler reuse",
        "+0.5 [-0.7, +1.7] over peft",
        "## What was frozen, what was trained",
        "- Trainable: head, lora in 19 modules; 8901 parameters.",
        "- Frozen: the other 68320 parameters (88.5%), bit for bit.",
        "## Why this depth",
        "`partial:1` against `peft`: **inconclusive**, Holm-adjusted p 0.41. The whole interval",
        "Second opinion, without a test: `peft` is the simplest rung whose mean on gate is within "
        "1 point of the best, that of `partial:1`. It agrees with the choice.",
        "## Learning rates, and why these",
        "- `partial:1`: head 0.3, backbone 0.03. Why: searched over 3 candidates on val",
        "at the edge of the searched range",
        "## Slices",
        "58.0% (failing)",
        "below the floor of 70%",
        "## Negative transfer",
        "- `peft` is worse than scratch: on `class:Shirt`, -5.0 points [95% -9.5, -0.5].",
        "## What moved",
        "of the backbone, layer3.2 moved most, by 16.8% of its norm",
        "(linear CKA) 0.913",
        "## Cost",
        "6667 (features cached)",
        "538.1 KiB",
        "## What would justify unfreezing more",
        "gains at least 1 point on gate, in most seeds, without a slice that surely loses more "
        "than 2 points",
        "a gain of 2.0 points needs about 3120 gate samples; there are 1000",
        "- A slice that stays surely below 70% at the chosen depth, as these do now: "
        "`class:Shirt`, "
        "`source-like`.",
        "## What was not tried",
        "Another draw of the training and validation samples",
        "at most 3 a rung",
        "(LP-FT)"};
    (void)state;
    thaw_json *summary = sample_summary();
    thaw_str note = {0};
    write_note(summary, &note);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        assert_has(note.data, parts[i]);
    assert_lacks(note.data, "Same/unjustified");
    if (getenv("THAW_SAMPLE_NOTE") != NULL)
        assert_int_equal(thaw_file_write(getenv("THAW_SAMPLE_NOTE"), note.data, note.length),
                         THAW_OK);
    thaw_str_clear(&note);
    thaw_json_free(&summary);
}

/* Deeper than the choice it says what it is worth, by the margin that this was measured with; simpler it says what the choice has shown. */
static void test_second_opinion(void **state)
{
    (void)state;
    thaw_json *summary = sample_summary();
    thaw_str note = {0};
    thaw_json_set_string(summary, "within_margin_rung", "full");
    thaw_json_set_string(summary, "best_mean_rung", "full");
    write_note(summary, &note);
    assert_has(note.data, "`full` is the simplest rung whose mean on gate is within 1 point of "
                          "the best. Where the answer was known");
    assert_has(note.data, "Where a wrong step deeper costs little, take `full`");
    thaw_json_set_string(summary, "mode", "sequential");
    write_note(summary, &note);
    assert_lacks(note.data, "Where the answer was known");
    thaw_json_set_string(summary, "mode", "exhaustive");
    thaw_json_set_double(inside(summary, "design"), "margin", 0.02);
    write_note(summary, &note);
    assert_lacks(note.data, "Where the answer was known");
    assert_has(note.data, "Where a wrong step deeper costs little, take `full`");
    thaw_json_set_string(summary, "within_margin_rung", "frozen");
    write_note(summary, &note);
    assert_has(note.data, "The choice, `peft`, has a clear gain to show for its depth.");
    thaw_str_clear(&note);
    thaw_json_free(&summary);
}

static void test_limit(void **state)
{
    (void)state;
    thaw_json *summary = sample_summary();
    thaw_str note = {0};
    write_note(summary, &note);
    assert_lacks(note.data, "limit.epoch");
    thaw_json *limit = thaw_json_set_object(inside(summary, "rungs.4"), "limit");
    thaw_json_set_string(limit, "action", "warn");
    thaw_json_set_double(limit, "epoch", 0.05);
    thaw_json_set_int(limit, "epochs_over", 2);
    thaw_json_set_int(limit, "epochs_undone", 0);
    thaw_json_set_int(limit, "seeds_over", 1);
    thaw_json_set_double(limit, "backbone_factor", 1);
    thaw_json *worst = thaw_json_set_object(limit, "worst");
    thaw_json_set_string(worst, "of", "epoch");
    thaw_json_set_int(worst, "epoch", 3);
    thaw_json_set_string(worst, "block", "layer3.2");
    thaw_json_set_double(worst, "moved", 0.0712);
    write_note(summary, &note);
    assert_has(note.data, "The backbone of `full` moved faster than limit.epoch (0.05) in 2 epochs "
                          "of a seed (1 of 3 seeds did), most in epoch 3: layer3.2 by 0.0712 of "
                          "its weights; nothing was done about it.");
    thaw_json_set_string(limit, "action", "rollback");
    thaw_json_set_int(limit, "epochs_undone", 2);
    thaw_json_set_double(limit, "backbone_factor", 0.25);
    write_note(summary, &note);
    assert_has(note.data, "2 epochs were taken back, and it ended at 0.25 of its rates.");
    thaw_str_clear(&note);
    thaw_json_free(&summary);
}

static void test_watch(void **state)
{
    (void)state;
    thaw_json *summary = sample_summary();
    thaw_str note = {0};
    thaw_json *watch = thaw_json_set_object(inside(summary, "rungs.4"), "watch");
    thaw_json_set_int(watch, "evaluations", 3);
    thaw_json_set_int(watch, "seeds_below", 2);
    thaw_json_set_int(watch, "epoch", 7);
    thaw_json_set_double(watch, "delta", -0.05);
    thaw_json_set_double(watch, "low", -0.09);
    thaw_json_set_double(watch, "high", -0.01);
    thaw_json_set_bool(watch, "stopped", true);
    write_note(summary, &note);
    assert_has(note.data, "While `full` trained, val was surely below that of training from "
                          "scratch at the same epoch, 3 evaluations running, in 2 of 3 seeds: "
                          "-5.0 [-9.0, -1.0] points at epoch 7 of one of them; it was stopped "
                          "there.");
    thaw_json_set_bool(watch, "stopped", false);
    write_note(summary, &note);
    assert_has(note.data, "it went on.");
    thaw_str_clear(&note);
    thaw_json_free(&summary);
}

static void test_unjustified_rates(void **state)
{
    (void)state;
    thaw_json *summary = sample_summary();
    thaw_str note = {0};
    thaw_json_set_string(inside(summary, "rungs.4.rates"), "reason", "");
    thaw_json_set_double(inside(summary, "rungs.4.rates"), "backbone", 0.3);
    thaw_json_set_string(inside(summary, "rungs.1.rates"), "reason", "");
    thaw_json_set_array(inside(summary, "rungs.2"), "candidates");
    thaw_json_add_object(inside(summary, "rungs.2.candidates"));
    write_note(summary, &note);
    assert_has(note.data, "- `full`: head 0.3, backbone 0.3. **Same/unjustified learning rates**: "
                          "one rate for head and backbone, and no reason is recorded.");
    assert_has(note.data, "- `frozen`: head 0.3. **Same/unjustified learning rates**: no reason");
    assert_has(note.data, "**Same/unjustified learning rates**: only one rate was tried.");
    thaw_json_set_string(inside(summary, "rungs.4.rates"), "reason", "as ever");
    thaw_json_set_array(inside(summary, "rungs.4"), "candidates");
    thaw_json_add_object(inside(summary, "rungs.4.candidates"));
    write_note(summary, &note);
    assert_has(note.data, "one rate for head and backbone, and only one was tried.");
    thaw_str_clear(&note);
    thaw_json_free(&summary);
}

/* The climb stopped early at frozen: what was not run is named, and nothing is said of what is not there. */
static void test_stopped(void **state)
{
    static const char *const not_run[] = {"partial:1", "full"};
    (void)state;
    thaw_json *summary = sample_summary();
    thaw_str note = {0};
    thaw_json_set_string(summary, "chosen", "frozen");
    thaw_json_set_strings(summary, "not_run", not_run, 2);
    thaw_json_set_string(inside(summary, "comparisons.0"), "verdict", "inconclusive");
    thaw_json_set_int(inside(summary, "comparisons.0"), "samples_needed", -1);
    thaw_json_set_int(inside(summary, "comparisons.1"), "samples_needed", 800);
    thaw_json_set_array(summary, "transfer_comparisons");
    thaw_json_set_object(summary, "transfer");
    write_note(summary, &note);
    assert_has(note.data, "**Use rung `frozen`.**");
    assert_has(note.data, "No deeper rung that was tried beats it clearly.");
    assert_has(note.data, "- Rung `full`: the climb stopped before it.");
    assert_has(note.data, "seeds vary so much that no number of gate samples");
    assert_has(note.data, "the 1000 gate samples are enough for a gain of 2.0 points");
    assert_has(note.data, "Not known: nothing was compared with scratch.");
    assert_lacks(note.data, "Against training from scratch");
    thaw_str_clear(&note);
    thaw_json_free(&summary);
}

static void test_nothing_deeper(void **state)
{
    (void)state;
    thaw_json *summary = sample_summary();
    thaw_str note = {0};
    thaw_json_set_string(summary, "chosen", "full");
    write_note(summary, &note);
    assert_has(note.data, "Nothing: the chosen rung trains everything.");
    assert_has(note.data, "- Frozen: nothing.");
    assert_lacks(note.data, "A deeper rung whose");
    thaw_str_clear(&note);
    thaw_json_free(&summary);
}

/* The best reuse may be worse than no reuse: that comes first. */
static void test_harm(void **state)
{
    (void)state;
    thaw_json *summary = sample_summary();
    thaw_str note = {0};
    thaw_json_set_string(inside(summary, "transfer"), "verdict", "negative transfer");
    thaw_json_set_double(inside(summary, "transfer"), "delta", -0.053);
    write_note(summary, &note);
    assert_has(note.data, "# Transfer note: fashion-transfer\n\n**Do not reuse this backbone as it "
                          "is: negative transfer.** Training from scratch is right on 74.1%");
    assert_has(note.data, "`peft`, changes that by -5.3 [");
    assert_has(note.data, "**If it is reused: rung `peft`.**");
    thaw_str_clear(&note);
    thaw_json_free(&summary);
}

/* Of numbers nothing is right, and RMSE is no share: the note names what each figure is. */
static void test_regression(void **state)
{
    static const char *const words[] = {
        "Its explained variance is 85.9% [83.7, 88.1] on 1000 gate samples",
        ", 5 targets; train 250", "| RMSE on val | explained variance on gate |",
        "RMSE on train better than on val by +0.05", "\nExplained variance, mean of the seeds.\n"};
    (void)state;
    thaw_json *summary = sample_summary();
    thaw_str note = {0};
    sample_regression(summary);
    write_note(summary, &note);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        assert_has(note.data, words[i]);
    assert_lacks(note.data, "ccuracy");
    assert_lacks(note.data, "right on");
    assert_lacks(note.data, "classes");
    thaw_json_set_string(inside(summary, "transfer"), "verdict", "negative transfer");
    write_note(summary, &note);
    assert_has(note.data, "Training from scratch reaches explained variance 74.1% [71.9, 76.3] on "
                          "gate; the best rung that reuses it, `peft`, changes that by +11.8");
    thaw_json_set_string(summary, "task", "multi_label");
    write_note(summary, &note);
    assert_has(note.data, ", 5 labels; train 250");
    thaw_str_clear(&note);
    thaw_json_free(&summary);
}

/* What too few samples or clusters cannot show is said before any figure of it. */
static void test_few(void **state)
{
    (void)state;
    thaw_json *summary = sample_summary();
    thaw_str note = {0};
    thaw_json_set_int(inside(summary, "design"), "min_count", 30);
    write_note(summary, &note);
    assert_lacks(note.data, "support no claim");
    assert_lacks(note.data, "clusters");
    thaw_json_set_int(inside(summary, "design"), "gate_clusters", 40);
    write_note(summary, &note);
    assert_has(note.data, "where they agree, gate counts as its 40 clusters.");
    thaw_json_set_int(inside(summary, "design"), "gate_clusters", 12);
    thaw_json_set_array(inside(summary, "design"), "detectable");
    write_note(summary, &note);
    assert_has(note.data, "Gate has 12 clusters; fewer than 30 support no claim, so every "
                          "comparison is inconclusive.");
    assert_lacks(note.data, "What this gate can show");
    thaw_str_clear(&note);
    thaw_json_free(&summary);
}

static void test_leaks(void **state)
{
    (void)state;
    thaw_json *summary = sample_summary();
    thaw_str note = {0};
    write_note(summary, &note);
    assert_lacks(note.data, "Leak");
    assert_lacks(note.data, "in two splits");
    thaw_json *leaks = thaw_json_set_object(summary, "leaks");
    thaw_json *pairs = thaw_json_set_array(leaks, "pairs");
    thaw_json_set_bool(leaks, "looked", true);
    write_note(summary, &note);
    assert_lacks(note.data, "Leak");
    assert_lacks(note.data, "in two splits");
    thaw_json_set_string(thaw_json_add_object(pairs), "text",
                         "2 of 9 samples of gate are in train");
    thaw_json_set_bool(leaks, "looked", false);
    write_note(summary, &note);
    assert_has(note.data, "**Leak**: 2 of 9 samples of gate are in train. What is measured there "
                          "may be too good.");
    assert_has(note.data, "Samples that are in two splits were not looked for");
    thaw_str_clear(&note);
    thaw_json_free(&summary);
}

static void test_no_negative_transfer(void **state)
{
    (void)state;
    thaw_json *summary = sample_summary();
    thaw_str note = {0};
    for (int r = 0; r < SAMPLE_RUNGS - 1; r++) {
        for (int i = 0; i < SAMPLE_SLICES; i++) {
            char path[80];
            snprintf(path, sizeof path, "transfer_comparisons.%d.slices.%d", r, i);
            thaw_json_set_string(inside(summary, path), "verdict", "inconclusive");
        }
    }
    write_note(summary, &note);
    assert_has(note.data, "None was found: no rung's interval against scratch lies below zero, "
                          "overall or on a slice.");
    thaw_json_set_string(inside(summary, "transfer_comparisons.3"), "transfer_verdict",
                         "negative transfer");
    write_note(summary, &note);
    assert_has(note.data, "- `full` is worse than scratch: overall, +10.3 points");
    thaw_str_clear(&note);
    thaw_json_free(&summary);
}

static void test_incomplete(void **state)
{
    (void)state;
    thaw_json *summary = thaw_json_new_object();
    thaw_str note = {0};
    assert_int_equal(ladder_note_markdown(summary, &note), THAW_ERR_INPUT);
    thaw_json_set_string(summary, "chosen", "frozen");
    thaw_json_set_string(thaw_json_add_object(thaw_json_set_array(summary, "rungs")), "name",
                         "frozen");
    write_note(summary, &note);
    thaw_str_clear(&note);
    thaw_json_free(&summary);
}

static void test_for_programs(void **state)
{
    (void)state;
    thaw_json *summary = sample_summary();
    thaw_json *note = NULL;
    assert_int_equal(ladder_note_json(summary, &note), THAW_OK);
    assert_string_equal(thaw_json_string_or(note, "chosen", ""), "peft");
    assert_int_equal(thaw_json_count(thaw_json_find(note, "rungs")), SAMPLE_RUNGS);
    assert_string_equal(thaw_json_string_or(note, "comparisons.0.verdict", ""), "clear gain");
    thaw_json_free(&note);
    thaw_json_free(&summary);
}

/* A busy reader gets one page; what decides is on it, and where the rest is. */
static void test_one_page(void **state)
{
    static const char *const parts[] = {
        "**Use rung `peft`.**",
        "+0.5 [-0.7, +1.7] over peft",
        "`partial:1` against `peft`: **inconclusive**",
        "train 250, val 500, gate 1000, test 5000 samples",
        "3.4 points when 10% of the predictions change",
        "- Surely below the floor of 70%: ",
        "- `peft` is worse than scratch: on `class:Shirt`",
        "- `partial:1`: head 0.3, backbone 0.03. Why: searched over 3 candidates on val",
        "Core time of one run: `scratch` ",
        "- A deeper rung whose whole interval lies above zero",
        "- Another draw of the training and validation samples",
        "`note-full.md` has"};
    (void)state;
    thaw_json *summary = sample_summary();
    thaw_str note = {0};
    int lines = 0;
    assert_int_equal(ladder_note_page(summary, &note), THAW_OK);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        assert_has(note.data, parts[i]);
    assert_lacks(note.data, "nan");
    assert_lacks(note.data, "(null)");
    for (const char *at = note.data; *at != '\0'; at++)
        lines += *at == '\n';
    if (lines > 64)
        fail_msg("the note has %d lines: a page has 64", lines);
    thaw_json_free(&summary);
    summary = thaw_json_new_object();
    assert_int_equal(ladder_note_page(summary, &note), THAW_ERR_INPUT);
    thaw_json_free(&summary);
    thaw_str_clear(&note);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parts),
                                       cmocka_unit_test(test_second_opinion),
                                       cmocka_unit_test(test_limit),
                                       cmocka_unit_test(test_watch),
                                       cmocka_unit_test(test_unjustified_rates),
                                       cmocka_unit_test(test_stopped),
                                       cmocka_unit_test(test_nothing_deeper),
                                       cmocka_unit_test(test_harm),
                                       cmocka_unit_test(test_regression),
                                       cmocka_unit_test(test_few),
                                       cmocka_unit_test(test_leaks),
                                       cmocka_unit_test(test_no_negative_transfer),
                                       cmocka_unit_test(test_incomplete),
                                       cmocka_unit_test(test_for_programs),
                                       cmocka_unit_test(test_one_page)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
