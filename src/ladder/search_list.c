#include "ladder/search_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Which candidates there are, in words and in number. */

static int by_depth(const void *a, const void *b)
{
    const search_candidate *x = a;
    const search_candidate *y = b;
    const int order = thaw_rung_compare(&x->rung, &y->rung);
    return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

/* Of a rung beside the head's; NULL: none. */
static const thaw_doubles *second_rates(const thaw_config *config, thaw_rung_kind kind)
{
    return kind == THAW_RUNG_FROZEN ? NULL : ladder_candidates(config, kind);
}

static int64_t count_of(const thaw_config *config, thaw_rung_kind kind)
{
    const thaw_doubles *second = second_rates(config, kind);
    if (kind == THAW_RUNG_SCRATCH)
        return 0;
    return config->ladder.search_head.count * (second == NULL ? 1 : second->count);
}

static void add(search *s, const thaw_rung *rung)
{
    const thaw_doubles *second = second_rates(s->config, rung->kind);
    const int64_t n = count_of(s->config, rung->kind);
    for (int64_t i = 0; i < n; i++) {
        search_candidate *c = &s->all[s->count];
        const int64_t each = second == NULL ? 1 : second->count;
        *c = (search_candidate){.rung = *rung,
                                .index = s->count++,
                                .rates = s->config->rates,
                                .rate = second == NULL ? NAN : second->items[i % each]};
        thaw_rung_format(rung, c->name);
        c->rates.head = s->config->ladder.search_head.items[i / each];
        if (rung->kind == THAW_RUNG_PEFT)
            c->rates.adapter = c->rate;
        else if (second != NULL)
            c->rates.backbone = c->rate;
    }
}

/* Of these methods what trains is the backbone's own, at rates.backbone, which no list for peft is of. */
static thaw_status check_method(const thaw_config *config)
{
    const char *method = thaw_peft_names()[config->peft.method];
    THAW_CHECK(strcmp(method, "bitfit") != 0 && strcmp(method, "norm") != 0, THAW_ERR_CONFIG,
               "ladder.rungs has peft, but peft.method %s adds nothing that ladder.search_adapter "
               "could be the rates of; leave peft out, or take another method",
               method);
    return THAW_OK;
}

thaw_status search_check_rungs(const thaw_config *config)
{
    const thaw_strings *names = &config->ladder.rungs;
    thaw_rung rung;
    for (int64_t i = 0; i < names->count; i++) {
        THAW_TRY(thaw_rung_parse(names->items[i], &rung));
        if (rung.kind == THAW_RUNG_PEFT)
            THAW_TRY(check_method(config));
    }
    return THAW_OK;
}

thaw_status search_list(search *s)
{
    const thaw_strings *names = &s->config->ladder.rungs;
    int64_t most = 0;
    thaw_rung rung;
    for (int64_t i = 0; i < names->count; i++) {
        THAW_TRY(thaw_rung_parse(names->items[i], &rung));
        most += count_of(s->config, rung.kind);
    }
    THAW_CHECK(most > 1, THAW_ERR_CONFIG,
               "ladder.rungs and the lists of rates make %lld candidates, and there is nothing to "
               "choose; name more rungs than scratch, or more rates in ladder.search_head, "
               "search_adapter and search_backbone",
               (long long)most);
    THAW_TRY(search_check_rungs(s->config));
    THAW_TRY(thaw_alloc(&s->all, most, sizeof *s->all));
    for (int64_t i = 0; i < names->count; i++) {
        THAW_TRY(thaw_rung_parse(names->items[i], &rung));
        add(s, &rung);
    }
    qsort(s->all, (size_t)s->count, sizeof *s->all, by_depth);
    for (int64_t i = 0; i < s->count; i++)
        s->all[i].index = i;
    s->left = s->count;
    return THAW_OK;
}

void search_describe(const search_candidate *c, thaw_str *out)
{
    thaw_str_printf(out, "%s with head %g", c->name, c->rates.head);
    if (!isnan(c->rate))
        thaw_str_printf(out, ", %s %g", c->rung.kind == THAW_RUNG_PEFT ? "adapter" : "backbone",
                        c->rate);
}

int64_t search_rounds(int64_t count, int64_t keep)
{
    int64_t rounds = 0;
    for (; count > 1; rounds++)
        count = (count + keep - 1) / keep;
    return rounds;
}
