#include "ladder/inspect_impl.h"

#include <math.h>
#include <string.h>

/* Gradient-to-weight ratios by block of a frozen run, and which third of the blocks they name. */

enum { THIRDS = 3 };
static const char *const third_names[THIRDS] = {"first", "middle", "last"};

/* Rows [begin, end) of the blocks. */
typedef struct third {
    int64_t begin, end;
    double *log_ratio; /* (batches) logarithm of the mean ratio over its blocks */
    double ratio;      /* mean over batches */
} third;

static thaw_status make_third(const thaw_pulls *p, int64_t which, third *out)
{
    out->begin = p->count * which / THIRDS;
    out->end = p->count * (which + 1) / THIRDS;
    THAW_TRY(thaw_alloc(&out->log_ratio, p->batches, sizeof *out->log_ratio));
    for (int64_t i = 0; i < p->batches; i++) {
        double sum = 0;
        for (int64_t row = out->begin; row < out->end; row++)
            sum += p->ratios[i * p->count + row];
        sum /= (double)(out->end - out->begin);
        out->ratio += sum / (double)p->batches;
        out->log_ratio[i] = log(sum);
    }
    return THAW_OK;
}

/* Above both others in the same batches. Two comparisons: each interval leaves out half. */
static thaw_status stands_out(const thaw_pulls *p, const third all[THIRDS], int best, double level,
                              bool *out)
{
    double *difference = NULL;
    *out = true;
    THAW_TRY(thaw_alloc(&difference, p->batches, sizeof *difference));
    for (int other = 0; other < THIRDS; other++) {
        double mean;
        if (other == best)
            continue;
        for (int64_t i = 0; i < p->batches; i++)
            difference[i] = all[best].log_ratio[i] - all[other].log_ratio[i];
        *out = *out &&
               thaw_student_interval(difference, p->batches, 1, 1 - (1 - level) / 2, &mean).low > 0;
    }
    thaw_free(&difference);
    return THAW_OK;
}

/* The rung that trains the head and these blocks. False when its text is too long for one. */
static bool name_rung(const thaw_pulls *p, int which, const third *t, thaw_str *out)
{
    const thaw_block_pull *last = &p->rows[t->end - 1];
    thaw_rung rung;
    if (which == 0 && last->block > 0)
        thaw_str_printf(out, "partial:first:%d", (int)last->block);
    else if (which == THIRDS - 1)
        thaw_str_printf(out, "partial:%d", (int)(last->block - p->rows[t->begin].block + 1));
    else
        for (int64_t row = t->begin; row < t->end; row++)
            thaw_str_printf(out, "%s%s", row == t->begin ? "partial:" : ",", p->rows[row].name);
    if (thaw_rung_parse(thaw_str_c(out), &rung) == THAW_OK)
        return true;
    thaw_error_clear();
    return false;
}

static void suggest(const thaw_pulls *p, const third all[THIRDS], int best, bool clear,
                    thaw_json *out)
{
    thaw_str rung = {0};
    thaw_str text = {0};
    const third *t = &all[best];
    double rest = 0;
    for (int other = 0; other < THIRDS; other++)
        rest = other == best ? rest : fmax(rest, all[other].ratio);
    if (!clear) {
        thaw_str_add(&text, "No third of the blocks is pulled at clearly harder than both others: "
                            "gradients name no blocks.");
    } else if (name_rung(p, best, t, &rung)) {
        thaw_json_set_string(out, "suggested", thaw_str_c(&rung));
        thaw_str_printf(&text,
                        "The loss pulls hardest at the %s third (%s to %s), %.1f times as hard as "
                        "at the next: %s is the cut to try. A suggestion, no verdict: `thaw "
                        "ladder` judges.",
                        third_names[best], p->rows[t->begin].name, p->rows[t->end - 1].name,
                        t->ratio / rest, thaw_str_c(&rung));
    } else {
        thaw_str_printf(&text, "The loss pulls hardest at the %s third, %s to %s.",
                        third_names[best], p->rows[t->begin].name, p->rows[t->end - 1].name);
    }
    thaw_json_set_string(out, "text", thaw_str_c(&text));
    thaw_str_clear(&text);
    thaw_str_clear(&rung);
}

static thaw_status judge_thirds(const thaw_pulls *p, double level, thaw_json *out)
{
    third all[THIRDS] = {{0}};
    int best = 0;
    bool clear = false;
    thaw_status status;
    thaw_json *list = thaw_json_set_array(out, "thirds");
    thaw_json_set_null(out, "suggested");
    for (int i = 0; i < THIRDS; i++) {
        THAW_TRY_TO(make_third(p, i, &all[i]));
        best = all[i].ratio > all[best].ratio ? i : best;
        thaw_json *row = thaw_json_add_object(list);
        thaw_json_set_string(row, "name", third_names[i]);
        thaw_json_set_string(row, "from", p->rows[all[i].begin].name);
        thaw_json_set_string(row, "to", p->rows[all[i].end - 1].name);
        thaw_json_set_double(row, "ratio", all[i].ratio);
    }
    THAW_TRY_TO(stands_out(p, all, best, level, &clear));
    suggest(p, all, best, clear, out);
    status = THAW_OK;
done:
    for (int i = 0; i < THIRDS; i++)
        thaw_free(&all[i].log_ratio);
    return status;
}

static thaw_status describe(inspection *in, const thaw_pulls *p)
{
    thaw_json *out = thaw_json_set_object(in->out, "gradients");
    thaw_json_set_int(out, "batches", p->batches);
    thaw_json_set_int(out, "batch", p->batch);
    thaw_json *list = thaw_json_set_array(out, "blocks");
    for (int64_t i = 0; i < p->count; i++) {
        const thaw_block_pull *r = &p->rows[i];
        thaw_json *row = thaw_json_add_object(list);
        thaw_json_set_string(row, "block", r->name);
        thaw_json_set_int(row, "parameters", r->parameters);
        thaw_json_set_double(row, "weight_norm", r->weight);
        thaw_json_set_double(row, "ratio", r->ratio);
        thaw_json_set_double(row, "low", r->interval.low);
        thaw_json_set_double(row, "high", r->interval.high);
    }
    if (p->count < THIRDS) {
        inspection_unknown(in,
                           "Which third of the blocks the loss pulls at: there are %lld blocks.",
                           (long long)p->count);
        return THAW_OK;
    }
    if (p->batches < 2)
        inspection_unknown(in, "Whether gradients differ by more than chance: train has one batch; "
                               "a smaller train.batch has more.");
    return judge_thirds(p, in->config.ladder.confidence, out);
}

thaw_status inspection_pulls(inspection *in, thaw_comm *comm, int64_t samples)
{
    thaw_str head = {0};
    thaw_pulls pulls;
    const int64_t batch = in->config.train.batch;
    if (!ladder_is(in->run_summary, "rung", "frozen") ||
        in->config.phases.count > 0) { /* uniform */
        inspection_unknown(in,
                           "How hard the loss pulls at each block of the frozen backbone: the "
                           "run trained rung %s; inspect one of rung frozen.",
                           ladder_text(in->run_summary, "rung"));
        return THAW_OK;
    }
    thaw_path_join(&head, thaw_str_c(&in->run), "adaptation.h5");
    thaw_status status = thaw_pull_blocks(comm, &in->config, thaw_str_c(&head),
                                          (samples + batch - 1) / batch, &pulls);
    if (status == THAW_OK) {
        status = thaw_agree(comm, describe(in, &pulls));
        thaw_pulls_clear(&pulls);
    }
    thaw_str_clear(&head);
    return status;
}
